"""The checks of the exercises, a case each: right answers are praised, wrong ones get a hint."""

from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
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
    flow,
    model,
    own_data,
    prediction,
    preprocessing,
    start,
    training,
)
from mer_utils.ablations import compare
from mer_utils.baselines import PUBLISHED
from mer_utils.model import MicroAttNet, make_streams
from mer_utils.training import Recipe, flip

import cv2
import nbformat
import numpy as np
import pytest
import torch
from toys import make_toy

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NO_ANSWER = "so this exercise has no answer here."
CASES = []


def ask(check, *answer):
    """Return what a check prints."""
    with redirect_stdout(StringIO()) as text:
        assert check(*answer) is None  # a notebook would print what it returns
    return text.getvalue()


def case(build):
    """Add a function that returns (check, right answer, words of its praise, {words of the hint:
    wrong answers}, other arguments). A tuple holds all that is answered, anything else is the only
    answer.
    """
    CASES.append(build)
    return build


def pack(answer):
    return answer if isinstance(answer, tuple) else (answer,)


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_right_answers_are_praised_and_wrong_ones_get_their_hint(build):
    check, right, praise, wrong, rest = build()
    text = ask(check, *pack(right), *rest)
    assert text.startswith("Right: ") and praise in text
    nothing = [(None,) * len(pack(right)), ("words",) * len(pack(right))]  # no answer at all
    for hint, answers in [*wrong.items(), ("", nothing)]:
        for answer in answers:
            text = ask(check, *pack(answer), *rest)
            assert text.startswith("Not yet: ") and hint in text, (answer, text)


def test_a_riddle_has_three_labels_and_a_neutral_face():
    sets, pictures = start.make_riddle(0, 3)
    assert len({label_of(aus) for aus in sets}) == 3 and len(pictures) == 4
    assert all(np.abs(pictures[0].astype(int) - face).max() > 20 for face in pictures[1:])
    assert start.make_riddle(0, 3)[0] == sets != start.make_riddle(0, 4)[0]


@case
def start_1():
    right, swapped = ["Positive", "Surprise", "Repression"], ["Positive", "Repression", "Surprise"]
    wrong = {"0 of 3 are right": [["Others"] * 3], "1 of 3": [swapped], "": [["Positive"]]}
    sets = [(12,), (1, 2), (17,)]
    return start.check_1, right, "these faces hold AU 12 · AU 1 + 2 · AU 17", wrong, [sets]


@case
def preprocessing_4():
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:128, :128]
    wall = ((x - 64) / 42) ** 2 + ((y - 64) / 55) ** 2 > 1
    skin = 120 + 150 * cv2.GaussianBlur(rng.normal(size=wall.shape), (0, 0), 1.5)
    film = np.stack([np.where(wall, 240, skin.clip(0, 255)).astype(np.uint8)] * 5)
    noise = (film + 30 * rng.standard_normal(wall.shape)).clip(0, 255).astype(np.uint8)
    wrong = {"still smooth": [film], "The face has changed": [noise], "": [film[0]]}
    rest = film, wall, np.ones_like(wall)
    return preprocessing.check_4, np.where(wall, noise, film), "of the wall", wrong, rest


def read_lids(dataset, clip):
    """Stand in for the truth of a clip whose lids close so far at frame 6."""
    weights = np.zeros((24, len(AUS), 2))
    weights[6, AUS.index(45)] = clip.lid
    weights[0, AUS.index(45)] = 1  # before the onset: does not count
    return Some(weights=weights)


def test_a_blink_counts_between_onset_and_offset(monkeypatch):
    monkeypatch.setattr(apex, "read_truth", read_lids)
    clips = [Some(onset=2, offset=20, lid=lid) for lid in (0.0, 0.5, 0.05, 0.9)]
    check = partial(ask, apex.check_3)
    rest = Some(synthetic=True, clips=clips), np.array([1.0, 3, 0, 4])
    text = check([False, True, False, True], *rest)
    assert text == "Right: mean error 3.5 frames with a blink (2 clips), 0.5 without (2).\n"
    assert "Which frames count" in check([True] * 4, *rest)
    assert NO_ANSWER in check([False], Some(synthetic=True, clips=clips[:1]), rest[1])
    assert NO_ANSWER in check([False], Some(synthetic=False), rest[1])


SHIFT = np.stack([np.full((96, 96), 0.8), np.full((96, 96), -0.4)])  # px


@case
def flow_2():
    one = 1.1 * SHIFT  # as one step of Lucas and Kanade: a tenth too long
    wrong = {"mind the sign": [one, 1.2 * SHIFT, 0.1 * SHIFT]}
    rest = one, None, None, SHIFT
    return flow.check_2, 1.01 * SHIFT, "EPE 0.089 px, then 0.009", wrong, rest


SIZE = 12
NETWORK = MicroAttNet(2, 2, 3, SIZE, seed=1).eval()
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    X = torch.randn(1, 2, 2, 3, SIZE, SIZE)
    STREAMS = make_streams(4, 8, 0.25)


@case
def model_1():
    right = 3 * 8 * 9 * 4 + 2 * 3 * 8, 3 * (48 * 9 + 1)
    wrong = {"who has a bias": [(right[0] + 24, right[1]), (right[0], right[1] - 3)]}
    return model.check_1, right, "912 and 1,299 of ", wrong, [NETWORK]


@case
def model_2():
    right = np.zeros((SIZE, SIZE), bool)
    right[5:12, 5:12] = True  # cell (2, 2) stands on (8, 8) and sees 3 cells to either side
    smaller = right.copy()
    smaller[5] = False
    wrong = {"7 of 144 numbers are wrong": [smaller], "Which cells": [0 * right], "": [right[:5]]}
    rest = STREAMS, 12, SIZE
    return model.check_2, torch.from_numpy(right), "7 x 7 of 12 x 12", wrong, rest


@case
def training_1():
    right, easier = [0.793, 0.694, 0.564], [0.4, 0.1, 0.02]
    wrong = {"The computation of 5.2": [[0.0] * 3, easier, right[::-1]], "": [right[:2]]}
    return training.check_1, right, "79%, 69%, 55%", wrong, []


@case
def training_2():
    curves = np.full((1, 3, 9, 4), 0.5)
    curves[0, 0, :, 2] = [0.2, 0.4, 0.3, 0.3, 0.3, 0.9, 0.3, 0.3, 0.3]  # better after a long wait
    curves[0, 1, :, 2] = np.linspace(0.1, 0.9, 9)  # ever better
    curves[0, 2, :, 1] = [0.9, 0.8, 0.7, 0.8, 0.8, 0.8, 0.8, 0.6, 0.8]  # equal AP: the loss decides
    curves[0, 2, 8:] = np.nan
    wrong = {"Epochs count from 1": [[0, 0, 0], [6, 9, 8], [1, 8, 2]], "shape must be": [[2, 9]]}
    rest = curves, Recipe(patience=8), 3
    return training.check_2, [2, 9, 3], "2 of 3 networks would be others", wrong, rest


class Linear(torch.nn.Module):
    """Logits (N, 3) of maps by one layer, fitted at once."""

    def __init__(self, x, y):
        super().__init__()
        self.weight = torch.linalg.pinv(x.flatten(1)) @ (y - y.mean(0))

    def forward(self, x):
        return x.flatten(1) @ self.weight


def train(x, y, x_stop, y_stop, seed, mirror=flip):
    """Stand in for the notebook's loop."""
    return Linear(torch.cat([x, mirror(x)]), torch.cat([y, y])), 1


def make_samples():
    toy = make_toy()
    x, y = torch.tensor(toy.x), torch.tensor(toy.y).float()
    return x[:20], y[:20], x[20:], y[20:]


@case
def training_3():
    samples = make_samples()
    maps, film = samples[0].numpy(), flip(samples[0])[0].numpy()
    wrong = {"Views and columns": [lambda x: x, flip, lambda x: x.flip(-1)], "": [lambda x: 1 / 0]}
    rest = maps, film, train, samples, 0
    return training.check_3, lambda x: x.flip(1, -1), "by -1.00", wrong, rest


@case
def training_4():
    def deal(labels, k):
        return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(k))]

    wrong = {
        "still in their own order": [lambda y, k: y],
        "k is the seed": [lambda y, k: deal(y, 0)],
        "Each row must stay": [lambda y, k: 1 - y],
        "must return labels": [lambda y, k: y[:3], lambda y: y],
    }
    return training.check_4, deal, "by chance", wrong, [train, make_samples(), 0]


def read_sources(name):
    return [cell.source for cell in nbformat.read(NOTEBOOKS / name, as_version=4).cells]


def test_the_solutions_train_with_the_loop_of_the_notebook():
    notebook, solutions = map(read_sources, ("05_training.ipynb", "solutions/05_solutions.ipynb"))
    (loop,) = [source for source in notebook if source.startswith("def train_by_hand")]
    (mirror,) = [source for source in notebook if source.startswith("def mirror")]
    (both,) = [source for source in solutions if source.startswith("def mirror")]
    assert both == mirror.split("\n\n\n")[0] + "\n\n\n" + loop


TRUTH = (np.random.default_rng(0).random((40, 3)) < (0.5, 0.3, 0.2)).astype(np.uint8)
LABELS = ("Negative", "Positive", "Surprise")


def make_outcome(seed, streams=(2,)):
    """An Outcome of noisy scores whose networks have SE on these streams."""
    scores = np.clip(0.4 * TRUTH + 0.6 * np.random.default_rng(seed).random((40, 3)), 0, 1)
    state = {f"0.gates.{stream}.up.bias": None for stream in streams} | {"0.head.2.bias": None}
    outcome = Some(scores=scores, answers=np.uint8(scores >= 0.4), members=(state,))
    outcome.exclusive = False
    return outcome


OUTCOME = make_outcome(0)


@case
def evaluation_1():
    q = TRUTH.mean(0)
    wrong = {"N drops out": [0.0, q.mean(), (q / (1 + q)).mean()], "shape must be": [[0.1]]}
    right = (2 * q / (1 + q)).mean()
    return evaluation.check_1, right, "without looking at one clip", wrong, [TRUTH]


@case
def evaluation_2():
    scores, rest = OUTCOME.scores, (OUTCOME, TRUTH, LABELS)
    wrong = {"Use the probabilities": [OUTCOME.answers, scores, scores >= 0.4], "": [scores[:3]]}
    return evaluation.check_2, scores >= 0.5, "with tuned thresholds", wrong, rest


MANY = Some(y=TRUTH, subjects=np.repeat(list("abcdefgh"), 5))


@case
def ablations_1():
    default, bce = make_outcome(0), make_outcome(1)
    wrong = {"Change gamma": [default, make_outcome(2)], "an Outcome": [[bce], bce.scores]}
    return ablations.check_1, make_outcome(1), "they differ by up to", wrong, [default, bce]


@case
def ablations_2():
    defaults = [make_outcome(k) for k in range(3)]
    everywhere = [make_outcome(k, (0, 1, 2)) for k in range(3, 6)]
    few = [([], []), (everywhere, defaults[:2]), ([everywhere[0]] * 3, defaults)]
    wrong = {"three different seeds": few, "1 streams with SE where 3": [(defaults, everywhere)]}
    return ablations.check_2, (everywhere, defaults), "p-value", wrong, [MANY]


@case
def ablations_4():
    answers = [make_outcome(k).answers for k in range(20)]
    rows = compare(TRUTH, dict(enumerate(answers)), 0, MANY.subjects)
    later = [rows[k] for k in range(1, 20)]
    alarms = (sum(row.p < 0.05 for row in later), sum(row.p_corrected < 0.05 for row in later))
    wrong = {
        "Count the `p`": [((99, 0), answers), ((alarms[0] + 1, alarms[1]), answers)],
        "20 arrays of answers": [(alarms, answers[:19]), (alarms[0], answers)],
        "a seed of its own": [(alarms, answers[:1] * 20)],
    }
    return ablations.check_4, (alarms, answers), "every one would be false", wrong, [MANY]


MAPS = np.random.default_rng(0).normal(size=(40, 1, 1, 3, 4, 4)).astype(np.float32)
MAPS[:, 0, 0, :, 0, 0] += 3 * TRUTH
FEW = Some(x=MAPS, y=TRUTH, subjects=np.repeat(list("abcd"), 10), exclusive=False)


@case
def baselines_1():
    wrong = {"Another pattern scores more": [[0, 0, 0], [1, 1, 0], [0.5, 1, 1]], "": [[1, 1], 1]}
    return baselines.check_1, [1, 1, 1], "no other of 8 patterns", wrong, [TRUTH]


def make_curves(epochs):
    curves = np.ones((4, 1, epochs, 4))
    curves[..., 1] = np.linspace(1, 0.5, epochs)
    return Some(curves=curves, uf1=lambda truth: {"macro": 0.4})


@case
def baselines_3():
    shared, own = Recipe(network="STSTNet", members=1), PUBLISHED["STSTNet"]
    slow = replace(shared, **own | {"epochs": 150, "patience": 150, "loss": "bce", "alpha": "none"})
    stopped, outcome = make_curves(60), make_curves(150)
    changes = {"rate": 5e-3}, {"alpha": "balanced"}, {"network": "SSSNet"}, {"patience": 8}
    wrong = {"not as published": [(replace(slow, **change), outcome) for change in changes]}
    wrong |= {"not the Outcome of this Recipe": [(slow, stopped)], "": [(slow, [outcome])]}
    rest = stopped, FEW
    return baselines.check_3, (slow, outcome), "least inner loss at epoch 150", wrong, rest


@case
def baselines_4():
    def count(people):
        tests = 0
        while (tests + 1) * 2 / 2**people < 0.05:
            tests += 1
        return tests

    wrong = {"must stay below 0.05": [lambda people: people], "one number": [lambda: 1]}
    return baselines.check_4, count, "8 tests need 9 people", wrong, [8]


def make_set(onset, apex, offset, names=("a1", "a2", "b1"), labels=("Joy",)):
    numbers = {"frames": tuple(range(20)), "onset": onset, "apex": apex, "offset": offset}
    return Some(clips=[Some(subject=name[0], **numbers) for name in names], labels=labels)


@case
def own_data_1():
    mine = make_set(2, 7, 15)
    wrong = {
        "frame numbers are still there": [mine, make_set(0, 7, 19)],
        "2 clips; all 3": [make_set(0, None, 19, names=("a1", "b1"))],
        "name the column": [make_set(0, None, 19, labels=("None",))],
    }
    return own_data.check_1, make_set(0, None, 19), "60 frames", wrong, [mine]


@case
def own_data_2():
    mend, look = (
        Some(findings=[Some(check="subjects", level=level, where="1, 01", what="one subject")])
        for level in ("mend", "look")
    )
    wrong = {"is the manifest written": [Some(findings=[]), look]}
    return own_data.check_2, mend, "1, 01: one subject", wrong, []


@case
def own_data_3():
    outside = [[0, 0, 81, 100], [60, 70, 10, 20]]
    wrong = {"px from the top left": outside, "shares 31%": [[0, 0, 80, 100]], "": [[1, 2, 3]]}
    rest = np.zeros((100, 80), np.uint8), (10, 20, 60, 70)
    return own_data.check_3, [12, 22, 62, 72], "it shares 85%", wrong, rest


class Ensemble:
    """Networks that say 0.5, and ``sure`` more where a label is there."""

    def __init__(self, count, sure):
        self.members, self.sure = (None,) * count, sure

    def score(self, maps):
        return np.tile(0.5 + self.sure * (maps - 0.5), (len(self.members), 1)), None


@case
def prediction_1():
    few, everyone = Ensemble(3, 0.1), Ensemble(9, 0.3)
    wrong = {"all 9 networks": [few, Ensemble(8, 0.3)], "": ["all", Some(members=(None,) * 9)]}
    features = Some(x=TRUTH, y=TRUTH, subjects=np.resize(list("abc"), 40))
    says = "annotated labels +0.10, the others -0.10"
    return prediction.check_1, everyone, says, wrong, [few, features, "c"]


def make_prediction(step=1, exclusive=False):
    view = np.arange(48, dtype=np.uint8).reshape(8, 6)[::step]
    scores = np.array([[0.2, 0.55, 0.4], [0.3, 0.45, 0.6]]) - 0.1 * (step < 0)
    cuts = {"thresholds": np.array([0.5, 0.51, np.inf]), "exclusive": exclusive}
    return Some(first=(view, view), scores=scores, labels=LABELS, **cuts)


@case
def prediction_2():
    mirrored = make_prediction()
    mirrored.first = tuple(view[:, ::-1] for view in mirrored.first)
    wrong = {"Reverse the rows": [make_prediction(), mirrored]}
    return prediction.check_2, make_prediction(-1), "moved most", wrong, [make_prediction()]


@case
def prediction_3():
    wrong = {"Take mean and sd": [[False] * 3, [True] * 3], "shape must be": [[]]}
    rest = [make_prediction()]
    return prediction.check_3, [False, True, False], "undecided: Positive", wrong, rest


EXCLUSIVE = Some(scores=OUTCOME.scores, answers=OUTCOME.answers, exclusive=True)


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (apex.check_1, (0, [np.ones((1, 9))], [None])),  # one view
        (apex.check_1, (0, [], [])),  # no clip with a reference
        (apex.check_4, (0, [], [])),
        (baselines.check_1, (0, TRUTH, True)),  # one label a clip
        (evaluation.check_2, (0, EXCLUSIVE, TRUTH, LABELS)),
        (evaluation.check_3, (0, EXCLUSIVE, TRUTH, LABELS)),
        (prediction.check_3, (0, make_prediction(exclusive=True))),
    ],
)
def test_some_data_give_an_exercise_no_answer(check, answer):
    assert NO_ANSWER in ask(check, *answer)
