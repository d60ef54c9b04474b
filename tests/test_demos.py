"""The demos of the notebooks: what they show is what the library computes, and a control that is
moved changes the picture.
"""

import base64
import io
from types import SimpleNamespace as Some

from mer_course.demos import still, widgets
from mer_course.demos.aperture import MOTION, PATTERNS, solve_window
from mer_course.demos.beat import Beat
from mer_course.demos.bench import Bench
from mer_course.demos.browser import ANSWERS, Browser
from mer_course.demos.flow_explorer import FlowExplorer
from mer_course.demos.microscope import LAYERS, Microscope
from mer_course.demos.puppet import film_puppet
from mer_course.demos.tries import Tries
from mer_course.demos.weighing import Weighing
from mer_course.weaving import strip_outputs
from mer_utils import MerError
from mer_utils.evaluation import label_f1, macro_uf1
from mer_utils.flow import BACKENDS, phase_flow
from mer_utils.model import MicroAttNet
from mer_utils.plots import VIEW_NAMES, draw_lines, paint

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from nbformat.v4 import new_output
from PIL import Image
from scipy import ndimage

LABELS = ("Negative", "Positive", "Surprise")
RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 2, (30, 3))
SCORES = np.clip(0.3 * TRUTH + 0.7 * RNG.random((30, 3)), 0, 1)
CUTS = np.repeat([[0.4, 0.5, 0.6], [0.5, 0.52, np.inf], [0.6, 0.3, 0.61]], 10, 0)  # three folds


@pytest.fixture(scope="module")
def browser(data, trained):
    """The browser on answers drawn by lot."""
    features = trained[1]
    scores = np.random.default_rng(0).random(features.y.shape)
    answers, cuts = np.uint8(scores >= 0.5), np.full(scores.shape, 0.5)
    return Browser(data, features, Some(scores=scores, answers=answers, thresholds=cuts))


def make_microscope(views=2, phases=2):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        x = torch.randn(4, views, phases, 3, 12, 12)
        network = MicroAttNet(views, phases, 3, 12)
        for part in network.parameters():  # away from the start
            part.data += 0.1 * torch.randn(part.shape)
    return Microscope(network, x, TRUTH[:4], "abcd", LABELS, (2.0, 3.0, 4.0))


@pytest.fixture(scope="module")
def microscope():
    return make_microscope()


def predict(onset, offset):
    """A Prediction whose first label grows with the offset and is answered from 10 on."""
    scores = np.array([[offset / 20, 0.2, 0.6]] * 3)
    curve = np.abs(np.sin(np.linspace(0, 3, 20)))[None] * offset
    return Some(
        name="clip", onset=onset, apex=(onset + offset) // 2, offset=offset, curve=curve,
        joint=curve[0], scores=scores, thresholds=np.full(3, 0.5), labels=LABELS,
        answers=scores.mean(0) >= 0.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tries():
    return Tries(predict, 2, 15, 20)


DEMOS = {  # those whose pictures no other test looks at: values of one, and of another
    "browser": (("Negative", "hits"), ("Others", "hits")),
    "microscope": (("b", "u", LAYERS[0], "SE"), ("b", "u", LAYERS[0])),
    "tries": ((2, 7), (6, 15)),
}


@pytest.mark.parametrize("name", DEMOS)
def test_the_same_choice_draws_the_same_bytes_and_another_one_others(name, request):
    demo, (values, other) = request.getfixturevalue(name), DEMOS[name]
    same, again, different = (paint(demo.draw(*v))[0] for v in (values, values, other))
    assert same == again != different


def test_bench_measures_with_the_metrics_and_a_label_brings_its_own_threshold():
    bench = Bench(SCORES, TRUTH, CUTS, LABELS)
    answers = SCORES >= CUTS
    answers[:, 1] = SCORES[:, 1] >= 0.45
    f1, counts, macro = bench.measure("Positive", 0.45)
    assert f1 == label_f1(TRUTH, answers)[1] and macro == macro_uf1(TRUTH, answers)
    assert counts.sum() == 30 and counts[1, 1] == (answers[:, 1] & (TRUTH[:, 1] == 1)).sum()
    clamp = bench.controls()["clamp"]
    assert clamp({"label": "Surprise", "threshold": 0.5}, "label")["threshold"] == 0.61
    assert clamp({"label": "Surprise", "threshold": 0.2}, "threshold")["threshold"] == 0.2
    assert Bench(SCORES, TRUTH, CUTS * np.inf, LABELS).draw("Negative"), "a label never answered"


def test_browser_finds_hits_misses_and_false_alarms_and_shows_their_flow(browser):
    outcome = browser.outcome
    for k, label in enumerate(browser.labels):
        hits, misses, alarms = (browser.select(label, answer) for answer in ANSWERS)
        assert {*hits, *misses} == set(np.flatnonzero(browser.features.y[:, k]))
        assert {*hits, *alarms} == set(np.flatnonzero(outcome.answers[:, k]))
        assert (np.diff(outcome.scores[hits, k]) <= 0).all()  # the surest first
    flows = ["flow onset-apex", "flow apex-offset"]
    assert list(browser.look(0))[2:] == flows
    images = Some(channels=["u", "v", "strain"])  # no faces to show
    assert list(Browser(images, browser.features, outcome).look(0)) == flows


def test_explorer_shows_the_librarys_flows_beside_the_truth_that_belongs_to_them():
    """Grain that moves to the right by 0.9 px (0.5 in the right view), and back."""
    grain = 128 + 60 * ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(64, 72)), 1)
    moves = 1 - abs(np.arange(9) - 4) / 3
    film = [[ndimage.shift(grain, (0, px * m))[:, 4:-4] for m in moves] for px in (0.9, 0.5)]
    masks = np.ones((2, 64, 64), bool)
    masks[:, :8] = False
    truth = np.zeros((2, 2, 2, 64, 64))  # views, phases, (u, v)
    truth[:, :, 0] = np.array([[0.9, -0.9], [0.5, -0.5]])[..., None, None]
    truth[..., :4] = np.nan
    truths = {"taken out": 0 * truth, "left in": truth}
    crops = np.array(film).astype(np.uint8)
    explorer = FlowExplorer("toy", crops, (1, 4, 7), masks, truths, reach=0)
    assert set(explorer.controls()["backend"]) == set(BACKENDS)
    for view, shift in zip(VIEW_NAMES, (0.9, 0.5), strict=True):
        title = explorer.draw("apex-offset", view, "dis", "left in").get_suptitle()
        assert title.endswith(f"no flow: {shift:.3f}")
        assert float(title.split("error ")[1].split(" px")[0]) < shift / 3
    assert explorer.draw().get_suptitle().endswith("no flow: 0.000"), "all of it is head motion"
    crops, mask = RNG.integers(0, 255, (1, 9, 64, 64)).astype(np.uint8), np.ones((64, 64), bool)
    real = FlowExplorer("real", crops, (1, 4, 7), mask[None], reach=0)
    flow = phase_flow(crops[0], 1, 4, 7, "farneback", "rigid", mask=mask)
    assert np.array_equal(real.flows["farneback", "taken out"][0], flow)
    assert [axis.get_title() for axis in real.draw().axes][:2] == ["estimated flow", "head motion"]


def test_microscope_shows_what_the_network_computes_whole_and_with_parts_off(microscope):
    network, x, whole = microscope.network, microscope.x[:1], microscope.look("a")
    equal, ones = torch.full((1, 3), 1 / 3), torch.ones(1, *whole.gates.shape)
    without_view = x.clone()
    without_view[:, 0] = 0
    with torch.no_grad():
        features = torch.cat(network.extract(x))
        logits = {
            "nothing": network(x),
            "both gates": network(x, equal, ones),
            VIEW_NAMES[0]: network(without_view),
        }
    for off, expected in logits.items():
        assert np.allclose(microscope.look("a", off).logits, expected[0], atol=1e-5)
    assert np.allclose(whole.layers[LAYERS[2]], features, atol=1e-5)
    px = x[0, :, :, 2].flatten(0, 1).numpy() * 4.0
    assert np.allclose(whole.layers[LAYERS[0]][2], px, atol=1e-5)
    assert VIEW_NAMES[0] not in make_microscope(1, 1).controls()["off"]


def test_a_window_knows_motion_where_grey_levels_change_and_only_across_stripes():
    y, x = np.mgrid[-8:8, -8:8] + 0.5
    for name, pattern in PATTERNS.items():
        first, second = pattern(x + 20, y), pattern(x + 20 - MOTION[0], y - MOTION[1])
        inner = np.s_[1:-1, 1:-1]  # where derivatives have both neighbours
        i_y, i_x = (part[inner].ravel() for part in np.gradient((first + second) / 2))
        gradients, i_t = np.stack([i_x, i_y]), (second - first)[inner].ravel()
        known, eigenvalues = solve_window(gradients, i_t)
        assert (eigenvalues > 1).sum() == (2 if name == "grain" else 1)
        # the horizontal edge of the corner alone; what lies across the stripes
        wanted = {"corner": (0, MOTION[1]), "stripes": MOTION.mean(), "grain": MOTION}
        assert np.allclose(known, wanted[name], atol=0.05)


def test_weighing_answers_as_the_network_does_with_its_own_weights_and_with_ours(microscope):
    network, x, ours = microscope.network, microscope.x[:1], [0.2, 0.3, 0.5]
    weighing = Weighing(network, microscope.x, "abcd", LABELS)
    with torch.no_grad():
        own, mine = network(x), network(x, torch.tensor([ours]))
    assert np.allclose(weighing.weigh("a")[1], torch.sigmoid(own)[0], atol=1e-6)
    weights, probabilities = weighing.weigh("a", ours)
    assert np.allclose(weights, ours)
    assert np.allclose(probabilities, torch.sigmoid(mine)[0], atol=1e-6)
    assert paint(weighing.draw("a", 0.2, 0.2, 0.4))[0] == paint(weighing.draw("a", 0.5, 0.5, 1))[0]
    exclusive = Weighing(network, microscope.x, "abcd", LABELS, exclusive=True)
    assert np.allclose(exclusive.weigh("a")[1], torch.softmax(own[0], 0), atol=1e-6)
    with pytest.raises(MerError, match="all weights are 0"):
        weighing.draw("a", 0, 0, 0)


def test_puppet_shows_the_true_motion_which_grows_with_intensity():
    sizes = [np.nanmax(np.abs(film_puppet(4, strength, 10)[1])) for strength in (0.0, 0.1, 0.2)]
    assert sizes[0] == pytest.approx(0, abs=1e-4) and sizes[2] == pytest.approx(2 * sizes[1], 0.1)
    pictures, flows = film_puppet(1, 0.3, 0)  # from the front both cameras see one picture
    assert np.array_equal(*pictures) and np.array_equal(*flows, equal_nan=True)


@pytest.mark.parametrize("frames, onset, offset", [(3, 0, 2), (20, 2, 15), (300, 17, 250)])
def test_tries_sliders_reach_only_pairs_that_were_computed(frames, onset, offset):
    tries = Tries(predict, onset, offset, frames)
    places = [range(low, high + 1, step) for low, high, step, _ in tries.controls.values()]
    assert max(map(len, places)) <= 6 and (onset, offset) in tries.found
    for values in ({"onset": a, "offset": b} for a in places[0] for b in places[1]):
        for moved in values:
            clamped = tries.clamp(values, moved)
            assert tuple(clamped.values()) in tries.found and clamped[moved] == values[moved]
            assert clamped == values or tuple(values.values()) not in tries.found


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed: the box of controls, then the still picture."""
    shown = []
    monkeypatch.setattr(still, "display", lambda data, **_: shown.append(data))
    return shown


def draw_ends(low, high, colour="red", doubled=False):
    if high > 8:
        raise ValueError("too high")
    return draw_lines([0, 1], {colour: [low, high]}, str(doubled), "", "")


def push(values, moved):
    low, high = values["low"], values["high"]
    return values | ({"high": max(low, high)} if moved == "low" else {"low": min(low, high)})


def test_controls_start_where_they_are_told_move_one_another_and_redraw(displayed):
    choices = {"low": (0, 5, 1, 1), "high": (1.0, 10.0, 0.5, 2.0), "colour": ["red", "blue"]}
    widgets.explore(draw_ends, clamp=push, play="low", **choices, doubled=False)
    row, high, colour, doubled, told, picture = displayed[0].children
    play, low = row.children
    assert (play.min, play.max, play.value) == (0, 5, 1)
    assert (low.value, high.value, colour.value, doubled.value) == (1, 2.0, "red", False)
    pictures = [bytes(picture.value)]
    for control, value in ((low, 4), (high, 3.0), (colour, "blue"), (doubled, True)):
        control.value = value
        pictures.append(bytes(picture.value))
    assert len(set(pictures)) == 5 and (low.value, high.value) == (3, 3.0)
    high.value = 9.0
    assert bytes(picture.value) == pictures[-1] and told.value == "ValueError: too high"
    with pytest.raises(ValueError, match="too high"):  # in the first picture it is the cell's
        widgets.explore(draw_ends, low=(0, 5, 1), high=(9, 10, 1))


def test_a_slider_moves_without_a_kernel_and_is_kept_with_the_notebook(displayed):
    choices = {"low": (0, 5, 1, 1), "high": (0, 8, 0.5, 3.0)}
    widgets.explore(draw_ends, frames="high", **choices)
    widgets.explore(draw_ends, **choices)
    _, slider, box, plain = displayed
    picture = Image.open(io.BytesIO(base64.b64decode(plain["image/png"])))
    assert picture.size == Image.open(io.BytesIO(box.children[-1].value)).size
    page = BeautifulSoup(slider["text/html"], "html.parser")
    images, control = page.find_all("img"), page.find("input", type="range")
    places = still.choose_places(*choices["high"])
    assert places == [0, 1.5, 2.5, 3.0, 4.0, 5.5, 6.5, 8.0]
    assert [float(image["data-at"]) for image in images] == places
    assert len({image["src"] for image in images}) == len(places)
    (first,) = [image for image in images if not image.has_attr("hidden")]
    assert images[int(control["value"])] is first
    assert first["data-at"] == "3" == control["aria-valuetext"] == page.output.text
    kept = strip_outputs([new_output("display_data", dict(data)) for data in (slider, plain)])
    assert ["text/html" in output.data for output in kept] == [True, False]


def test_who_plays_against_the_network_is_told_the_truth_after_the_answer(data, displayed):
    truth = data.label_matrix()
    rows = np.random.default_rng(0).permutation(len(truth))[:2]
    features, wrong = Some(y=truth, labels=data.labels), Some(answers=1 - truth)
    beat = Beat(data, features, wrong, clips=2)
    first = Image.open(io.BytesIO(beat.film()))
    clip = data.clips[rows[0]]
    assert first.n_frames == len(clip.names)
    assert first.info["duration"] == round(1000 / clip.fps), "at its true speed"
    beat.show()
    picture, *boxes, button, told = displayed[0].children
    for row in rows:
        for box, true in zip(boxes, truth[row], strict=True):
            assert not box.value
            box.value = bool(true)
        button.click()
        true = [box.description for box, y in zip(boxes, truth[row], strict=True) if y]
        assert told.value.endswith(f"shows: {', '.join(true) or 'no label'}.")
    assert button.disabled and np.array_equal(beat.mine, truth[rows])
    assert bytes(picture.value) == paint(beat.draw())[0]
