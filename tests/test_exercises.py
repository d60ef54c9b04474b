"""The checks of the exercises: right answers are praised, wrong ones get their hint. What is only
compared with the library's answer is tested by the solutions, which test_notebooks.py runs.
"""

from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace as Some

from faces4d.head import AUS
from faces4d.scenario import label_of
from mer_course.checks import (
    ablations,
    apex,
    baselines,
    evaluation,
    few_people,
    flow,
    model,
    own_data,
    prediction,
    preprocessing,
    start,
    training,
)
from mer_utils import start as namers
from mer_utils.ablations import compare
from mer_utils.baselines import PUBLISHED, RegionsLogistic
from mer_utils.training import Recipe, flip

import cv2
import nbformat
import numpy as np
import pytest
import torch
from toys import make_toy

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
# name: (check, right answer, words of its praise, {words of the hint: wrong answers}, the other
# arguments); a tuple holds all that is answered, anything else is the only answer
CASES = {}


def ask(check, *answer):
    """Return what a check prints."""
    with redirect_stdout(StringIO()) as text:
        assert check(*answer) is None  # a notebook would print what it returns
    return text.getvalue()


SWAPPED = ["Positive", "Repression", "Surprise"]
CASES["start 1"] = (
    start.check_1, ["Positive", "Surprise", "Repression"], "hold AU 12 · AU 1 + 2 · AU 17",
    {"0 of 3 are right": [["Others"] * 3], "1 of 3": [SWAPPED], "": [["Positive"]]},
    [[(12,), (1, 2), (17,)]],
)  # fmt: skip


def test_a_riddle_has_three_labels_and_a_neutral_face():
    sets, pictures = start.make_riddle(0, 3)
    assert len({label_of(aus) for aus in sets}) == 3 and len(pictures) == 4
    assert all(np.abs(pictures[0].astype(int) - face).max() > 20 for face in pictures[1:])
    assert start.make_riddle(0, 3)[0] == sets != start.make_riddle(0, 4)[0]


RNG, (Y, X) = np.random.default_rng(0), np.mgrid[:128, :128]
WALL = ((X - 64) / 42) ** 2 + ((Y - 64) / 55) ** 2 > 1
SKIN = 120 + 150 * cv2.GaussianBlur(RNG.normal(size=WALL.shape), (0, 0), 1.5)
FILM = np.stack([np.where(WALL, 240, SKIN.clip(0, 255)).astype(np.uint8)] * 5)
GRAIN = (FILM + 30 * RNG.standard_normal(WALL.shape)).clip(0, 255).astype(np.uint8)
CASES["preprocessing 4"] = (
    preprocessing.check_4, np.where(WALL, GRAIN, FILM), "of the wall in the oval counted, now",
    {"still smooth": [FILM], "The face has changed": [GRAIN], "": [FILM[0]]},
    [FILM, WALL, np.ones_like(WALL)],
)  # fmt: skip


def test_a_blink_counts_between_onset_and_offset(monkeypatch):
    def read_lids(dataset, clip):  # which close so far at frame 6, and before the onset
        weights = np.zeros((24, len(AUS), 2))
        weights[[0, 6], AUS.index(45)] = [[1], [clip.lid]]
        return Some(weights=weights)

    monkeypatch.setattr(apex, "read_truth", read_lids)
    clips = [Some(onset=2, offset=20, lid=lid) for lid in (0.0, 0.5, 0.05, 0.9)]
    rest = Some(synthetic=True, clips=clips), np.array([1.0, 3, 0, 4])
    text = ask(apex.check_3, [False, True, False, True], *rest)
    assert text == "Right: mean error 3.5 frames with a blink (2 clips), 0.5 without (2).\n"
    assert "Which frames count" in ask(apex.check_3, [True] * 4, *rest)
    one_clip = Some(synthetic=True, clips=clips[:1])
    assert "no answer here." in ask(apex.check_3, [False], one_clip, rest[1])


SHIFT = np.stack([np.full((96, 96), 0.8), np.full((96, 96), -0.4)])  # px
CASES["flow 2"] = (
    flow.check_2, 1.01 * SHIFT, "EPE 0.089 px, then 0.009",
    {"mind the sign": [1.1 * SHIFT, 1.2 * SHIFT, 0.1 * SHIFT]},
    [1.1 * SHIFT, None, None, SHIFT],  # one step of Lucas and Kanade: a tenth too long
)  # fmt: skip

SEEN = np.zeros((12, 12), bool)
SEEN[5:12, 5:12] = True  # cell (2, 2) stands on (8, 8) and sees 3 cells to either side
CASES["model 2"] = (
    model.check_2, torch.from_numpy(SEEN), "7 x 7 of 12 x 12",
    {"7 of 144 numbers are wrong": [SEEN & (np.arange(12) > 5)], "shape must be": [SEEN[:5]]},
    [12],
)  # fmt: skip

CURVES = np.full((1, 3, 9, 4), 0.5)
CURVES[0, 0, :, 2] = [0.2, 0.4, 0.3, 0.3, 0.3, 0.9, 0.3, 0.3, 0.3]  # better after a long wait
CURVES[0, 1, :, 2] = np.linspace(0.1, 0.9, 9)  # ever better
CURVES[0, 2, :, 1] = [0.9, 0.8, 0.7, 0.8, 0.8, 0.8, 0.8, 0.6, 0.8]  # equal AP: the loss decides
CURVES[0, 2, 8:] = np.nan
CASES["training 2"] = (
    training.check_2, [2, 9, 3], "2 of 3 networks would be others",
    {"Epochs count from 1": [[0, 0, 0], [6, 9, 8], [1, 8, 2]], "shape must be": [[2, 9]]},
    [CURVES, Recipe(patience=8), 3],
)  # fmt: skip


def train(x, y, x_stop, y_stop, seed, mirror=flip):
    """Stand in for the notebook's loop: logits by one layer, fitted at once."""
    x, y = torch.cat([x, mirror(x)]).flatten(1), torch.cat([y, y])
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(x.shape[1], 3, bias=False))
    network[1].weight.data = (torch.linalg.pinv(x) @ (y - y.mean(0))).T
    return network, 1


def deal(labels, k):
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(k))]


TOY = make_toy()
MAPS, ANNOTATED = torch.tensor(TOY.x), torch.tensor(TOY.y).float()
SAMPLES = MAPS[:20], ANNOTATED[:20], MAPS[20:], ANNOTATED[20:]
CASES["training 3"] = (
    training.check_3, lambda x: x.flip(1, -1), "by -1.00",
    {"Views and columns": [lambda x: x, flip, lambda x: x.flip(-1)], "": [lambda x: 1 / 0]},
    [TOY.x[:20], flip(MAPS)[0].numpy(), train, SAMPLES, 0],
)  # fmt: skip
CASES["training 4"] = (
    training.check_4, deal, "by chance",
    {
        "still in their own order": [lambda y, k: y],
        "k is the seed": [lambda y, k: deal(y, 0)],
        "Each row must stay": [lambda y, k: 1 - y],
        "must return labels": [lambda y, k: y[:3], lambda y: y],
    },
    [train, SAMPLES, 0],
)  # fmt: skip


def test_the_solutions_train_with_the_loop_of_the_notebook():
    notebook, solutions = (
        [cell.source for cell in nbformat.read(NOTEBOOKS / name, as_version=4).cells]
        for name in ("05_training.ipynb", "solutions/05_solutions.ipynb")
    )
    (loop,) = [source for source in notebook if source.startswith("def train_by_hand")]
    (mirror,) = [source for source in notebook if source.startswith("def mirror")]
    assert mirror.split("\n\n\n")[0] + "\n\n\n" + loop in solutions


TRUTH = (np.random.default_rng(0).random((40, 3)) < (0.5, 0.3, 0.2)).astype(np.uint8)
MANY = Some(y=TRUTH, subjects=np.repeat(list("abcdefgh"), 5))


def make_outcome(seed, attention=True):
    """An Outcome of noisy scores whose networks have fusion attention or not."""
    scores = np.clip(0.4 * TRUTH + 0.6 * np.random.default_rng(seed).random((40, 3)), 0, 1)
    state = {"0.head.2.bias": None} | ({"0.attention.score.bias": None} if attention else {})
    answers = np.uint8(scores >= 0.4)
    return Some(scores=scores, answers=answers, members=(state,), exclusive=False)


OUTCOMES = [make_outcome(k) for k in range(20)]
WITHOUT = [make_outcome(20 + k, attention=False) for k in range(3)]
ANSWERS = [outcome.answers for outcome in OUTCOMES]
ROWS = list(compare(TRUTH, dict(enumerate(ANSWERS)), 0, MANY.subjects).values())[1:]
ALARMS = sum(row.p < 0.05 for row in ROWS), sum(row.p_corrected < 0.05 for row in ROWS)
REST = OUTCOMES[0], TRUTH, MANY.subjects
OTHERS, OWN = (evaluation.answer(*REST, peek) for peek in (False, True))
CASES["evaluation 2"] = (
    evaluation.check_2, OTHERS, "by other test people",
    {"all clips of the others": [OWN, OUTCOMES[0].answers]}, REST,
)  # fmt: skip
CASES["evaluation 3"] = (
    evaluation.check_3, OWN, "no network has changed", {"own clips alone": [OTHERS]}, REST
)  # fmt: skip
CASES["ablations 2"] = (
    ablations.check_2, (WITHOUT, OUTCOMES[:3]), "p-value",
    {
        "three different seeds": [([], []), (WITHOUT[:1] * 3, OUTCOMES[:3])],
        "a network without fusion attention": [(OUTCOMES[:3], WITHOUT)],
        "from the same seeds": [(WITHOUT, OUTCOMES[:4])],
    },
    [MANY],
)  # fmt: skip
CASES["ablations 4"] = (
    ablations.check_4, (ALARMS, ANSWERS), "every one would be false",
    {
        "Count the `p`": [((99, 0), ANSWERS), ((ALARMS[0] + 1, ALARMS[1]), ANSWERS)],
        "20 arrays of answers": [(ALARMS, ANSWERS[:19]), (ALARMS[0], ANSWERS)],
        "a seed of its own": [(ALARMS, ANSWERS[:1] * 20)],
    },
    [MANY],
)  # fmt: skip
FLAT = np.repeat(np.random.default_rng(1).random((8, 4)), 5, 0)  # a person's clips are alike
FLAT = Some(x=FLAT + 0.01 * np.random.default_rng(2).random((40, 4)), **vars(MANY))
GAPS = np.linalg.norm(FLAT.x[:, None] - FLAT.x, axis=-1) + np.diag(np.full(40, np.inf))
OTHER = np.where(MANY.subjects[:, None] == MANY.subjects, np.inf, GAPS)
CASES["baselines 1"] = (
    baselines.check_1, TRUTH[OTHER.argmin(1)], "with the person's own other clips",
    {"all clips of the same person": [TRUTH[GAPS.argmin(1)]], "by the distance": [TRUTH]},
    [FLAT],
)  # fmt: skip


def make_curves(epochs):
    curves = np.ones((4, 1, epochs, 4))
    curves[..., 1] = np.linspace(1, 0.5, epochs)
    return Some(curves=curves, uf1=lambda truth: {"macro": 0.4})


SLOW = {"network": "STSTNet", "gamma": 0.0, "alpha": "none", "members": 1}
SLOW = Recipe(**PUBLISHED["STSTNet"] | SLOW | {"epochs": 150, "patience": 150})
LONG, SHORT = make_curves(150), make_curves(60)
OTHERS = {"rate": 5e-3}, {"patience": 8}
CASES["baselines 3"] = (
    baselines.check_3, (SLOW, LONG), "least inner loss at epoch 150",
    {
        "not as published": [(replace(SLOW, **other), LONG) for other in OTHERS],
        "not the Outcome of this Recipe": [(SLOW, SHORT)],
    },
    [SHORT, MANY],
)  # fmt: skip
MOST_TESTS = dict(enumerate([0, 0, 1, 3, 6, 12, 25, 51, 102], 4))  # {people: tests}
CASES["baselines 4"] = (
    baselines.check_4, MOST_TESTS.get, "8 tests need 9 people",
    {"must stay below 0.05": [lambda people: people], "one number": [lambda: 1]}, [8],
)  # fmt: skip


def make_set(onset, apex, offset, names=("a1", "a2", "b1"), labels=("Joy",), fps=60):
    numbers = {"frames": tuple(range(20)), "onset": onset, "apex": apex, "offset": offset}
    clips = [Some(name=name, subject=name[0], fps=fps, **numbers) for name in names]
    return Some(clips=clips, labels=labels)


CASES["own data 1"] = (
    own_data.check_1, make_set(0, None, 19), "60 frames",
    {
        "frame numbers are still there": [make_set(2, 7, 15), make_set(0, 7, 19)],
        "2 clips; all 3": [make_set(0, None, 19, names=("a1", "b1"))],
        "name the column": [make_set(0, None, 19, labels=("None",))],
    },
    [make_set(2, 7, 15)],
)  # fmt: skip
CASES["own data 2"] = (
    own_data.check_2, make_set(2, 7, 15), "3 clips by a preset",
    {
        "2 clips; all 3": [make_set(2, 7, 15, names=("a1", "b1"))],
        "the subject is c": [make_set(2, 7, 15, names=("a1", "a2", "c1"))],
        "should be (2, 7, 15)": [make_set(3, 7, 15)],
        "how many frames": [make_set(2, 7, 15, fps=200)],
    },
    [make_set(2, 7, 15)],
)  # fmt: skip
CASES["own data 3"] = (
    own_data.check_3, [12, 22, 62, 72], "it shares 85%",
    {"px from the top left": [[0, 0, 81, 100], [60, 70, 10, 20]], "31%": [[0, 0, 80, 100]]},
    [np.zeros((100, 80), np.uint8), (10, 20, 60, 70)],
)  # fmt: skip


class Ensemble:
    """Networks that say 0.5, and ``sure`` more where a label is there."""

    def __init__(self, count, sure):
        self.members, self.sure = (None,) * count, sure

    def score(self, maps):
        return np.tile(0.5 + self.sure * (maps - 0.5), (len(self.members), 1)), None


def make_prediction(rows=1, columns=1):
    """A Prediction of a clip whose rows or columns (-1) are reversed."""
    view = np.arange(48, dtype=np.uint8).reshape(8, 6)[::rows, ::columns]
    scores = np.array([[0.2, 0.55, 0.4], [0.3, 0.45, 0.6]]) - 0.1 * (rows < 0)
    cuts = {"thresholds": np.array([0.5, 0.51, np.inf]), "exclusive": False}
    return Some(first=(view, view), scores=scores, labels=("Joy", "Fear", "Awe"), **cuts)


CASES["prediction 1"] = (
    prediction.check_1, Ensemble(9, 0.3), "annotated labels +0.10, the others -0.10",
    {"all 9 networks": [Ensemble(3, 0.1), Ensemble(8, 0.3)], "": [Some(members=(None,) * 9)]},
    [Ensemble(3, 0.1), Some(x=TRUTH, y=TRUTH, subjects=np.resize(list("abc"), 40)), "c"],
)  # fmt: skip
CASES["prediction 2"] = (
    prediction.check_2, make_prediction(-1), "moved most",
    {"Reverse the rows": [make_prediction(), make_prediction(1, -1)]}, [make_prediction()],
)  # fmt: skip


CASES["few people 3"] = (
    few_people.check_3, [True, False, False, False, True], "is fair",
    {"of 5 numbers are wrong": [[True] * 5, [True, True, False, False, True]]}, [],
)  # fmt: skip
PEOPLE, DECAY = make_toy(size=20), 0.097


def test_each_namer_alone_has_a_correlation_of_its_own():
    networks, scale = namers.read_namers(namers.WEIGHTS)
    maps = torch.from_numpy(PEOPLE.x) / scale[:, None, None]
    true = np.random.default_rng(0).random((len(maps), len(namers.UNITS)))
    with torch.no_grad():
        votes = [(network(maps), network(flip(maps))) for network in networks]
    right = [few_people.correlate((own + mirrored) / 2, true) for own, mirrored in votes]
    text = ask(few_people.check_1, right, networks, maps, true)
    assert text.startswith("Right: ") and f"alone {min(right):.3f}" in text
    without_mirror = [few_people.correlate(own, true) for own, _ in votes]
    assert "mean of both logits" in ask(few_people.check_1, without_mirror, networks, maps, true)


def test_fewer_people_mean_the_first_of_the_others():
    models = namers.UnitsLogistic(DECAY), RegionsLogistic(DECAY)
    started, others = (
        {k: few_people.score_few(model, PEOPLE, k) for k in (1, 3, 5)} for model in models
    )
    text = ask(few_people.check_2, started, PEOPLE, DECAY)
    assert text.startswith("Right: ") and f"without {others[1]:.2f}" in text
    assert "first k others" in ask(few_people.check_2, {1: 9, 3: 9, 5: 9}, PEOPLE, DECAY)
    assert "for each number of people" in ask(few_people.check_2, {1: 0.5}, PEOPLE, DECAY)


def pack(answer):
    return answer if isinstance(answer, tuple) else (answer,)


@pytest.mark.parametrize("name", CASES)
def test_right_answers_are_praised_and_wrong_ones_get_their_hint(name):
    check, right, praise, wrong, rest = CASES[name]
    text = ask(check, *pack(right), *rest)
    assert text.startswith("Right: ") and praise in text
    nothing = [(None,) * len(pack(right)), ("words",) * len(pack(right))]  # no answer at all
    for hint, answers in [*wrong.items(), ("", nothing)]:
        for answer in answers:
            text = ask(check, *pack(answer), *rest)
            assert text.startswith("Not yet: ") and hint in text, (answer, text)


def test_some_data_give_an_exercise_no_answer():
    said = [
        ask(apex.check_1, 0, [np.ones((1, 9))], [None]),  # one view
        ask(apex.check_4, 0, [], []),  # no clip with a reference
        ask(evaluation.check_2, 0, Some(exclusive=True), TRUTH, None),
    ]
    assert all("so this exercise has no answer here." in text for text in said)
