"""The checks of the exercises: right answers are praised, wrong ones get their hint. One check of
each kind is tested here; that solutions are right and placeholders are not is seen by
test_notebooks.py.
"""

from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from types import SimpleNamespace as Some

import numpy as np
import pytest
import torch
from toys import make_toy

# name: (right answer, words of its praise, {words of the hint: wrong answers}, other arguments)
CASES = {}


def ask(name, *answer):
    """Return what a check prints: of "own data 1", ``check_1`` of checks/own_data.py."""
    notebook, number = name.rsplit(" ", 1)
    module = import_module(f"mer_course.checks.{notebook.replace(' ', '_')}")
    with redirect_stdout(StringIO()) as text:
        assert getattr(module, f"check_{number}")(*answer) is None  # a notebook would print it
    return text.getvalue()


SWAPPED = ["Positive", "Repression", "Surprise"]
CASES["start 1"] = (
    ["Positive", "Surprise", "Repression"], "hold AU 12 · AU 1 + 2 · AU 17",
    {"0 of 3 are right": [["Others"] * 3], "1 of 3": [SWAPPED], "": [["Positive"]]},
    [[(12,), (1, 2), (17,)]],
)  # fmt: skip


SHIFT = np.stack([np.full((96, 96), 0.8), np.full((96, 96), -0.4)])  # px
CASES["flow 2"] = (
    1.01 * SHIFT, "EPE 0.089 px, then 0.009",
    {"mind the sign": [1.1 * SHIFT, 1.2 * SHIFT, 0.1 * SHIFT]},
    [1.1 * SHIFT, None, None, SHIFT],  # one step of Lucas and Kanade: a tenth too long
)  # fmt: skip

SEEN = np.zeros((12, 12), bool)
SEEN[5:12, 5:12] = True  # cell (2, 2) stands on (8, 8) and sees 3 cells to either side
CASES["model 2"] = (
    torch.from_numpy(SEEN), "7 x 7 of 12 x 12",
    {"7 of 144 numbers are wrong": [SEEN & (np.arange(12) > 5)], "shape must be": [SEEN[:5]]},
    [12],
)  # fmt: skip


def train(x, y, x_stop, y_stop, seed):
    """Stand in for the notebook's loop: logits by one layer, fitted at once."""
    x = x.flatten(1)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(x.shape[1], 3, bias=False))
    network[1].weight.data = (torch.linalg.pinv(x) @ (y - y.mean(0))).T
    return network, 1


def deal(labels, k):
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(k))]


TOY = make_toy()
MAPS, ANNOTATED = torch.tensor(TOY.x), torch.tensor(TOY.y).float()
SAMPLES = MAPS[:20], ANNOTATED[:20], MAPS[20:], ANNOTATED[20:]
CASES["training 4"] = (
    deal, "by chance",
    {
        "still in their own order": [lambda y, k: y],
        "k is the seed": [lambda y, k: deal(y, 0)],
        "Each row must stay": [lambda y, k: 1 - y],
        "must return labels": [lambda y, k: y[:3], lambda y: y],
    },
    [train, SAMPLES, 0],
)  # fmt: skip


TRUTH = (np.random.default_rng(0).random((40, 3)) < (0.5, 0.3, 0.2)).astype(np.uint8)
MANY = Some(y=TRUTH, subjects=np.repeat(list("abcdefgh"), 5))


FLAT = np.repeat(np.random.default_rng(1).random((8, 4)), 5, 0)  # a person's clips are alike
FLAT = Some(x=FLAT + 0.01 * np.random.default_rng(2).random((40, 4)), **vars(MANY))
GAPS = np.linalg.norm(FLAT.x[:, None] - FLAT.x, axis=-1) + np.diag(np.full(40, np.inf))
OTHER = np.where(MANY.subjects[:, None] == MANY.subjects, np.inf, GAPS)
CASES["baselines 1"] = (
    TRUTH[OTHER.argmin(1)], "with the person's own other clips",
    {"all clips of the same person": [TRUTH[GAPS.argmin(1)]], "by the distance": [TRUTH]},
    [FLAT],
)  # fmt: skip


def make_set(onset, apex, offset, names=("a1", "a2", "b1"), labels=("Joy",), fps=60):
    numbers = {"frames": tuple(range(20)), "onset": onset, "apex": apex, "offset": offset}
    clips = [Some(name=name, subject=name[0], fps=fps, **numbers) for name in names]
    return Some(clips=clips, labels=labels)


CASES["own data 1"] = (
    make_set(0, None, 19), "60 frames",
    {
        "frame numbers are still there": [make_set(2, 7, 15), make_set(0, 7, 19)],
        "2 clips; all 3": [make_set(0, None, 19, names=("a1", "b1"))],
        "name the column": [make_set(0, None, 19, labels=("None",))],
    },
    [make_set(2, 7, 15)],
)  # fmt: skip
CASES["own data 3"] = (
    [12, 22, 62, 72], "it shares 85%",
    {"px from the top left": [[0, 0, 81, 100], [60, 70, 10, 20]], "31%": [[0, 0, 80, 100]]},
    [np.zeros((100, 80), np.uint8), (10, 20, 60, 70)],
)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_right_answers_are_praised_and_wrong_ones_get_their_hint(name):
    right, praise, wrong, rest = CASES[name]
    text = ask(name, right, *rest)
    assert text.startswith("Right: ") and praise in text
    for hint, answers in [*wrong.items(), ("", [None, "words"])]:
        for answer in answers:
            text = ask(name, answer, *rest)
            assert text.startswith("Not yet: ") and hint in text, (answer, text)


def test_some_data_give_an_exercise_no_answer():
    said = [
        ask("apex 1", 0, [np.ones((1, 9))], [None]),  # one view
        ask("apex 3", 0, Some(synthetic=False), None),  # nobody knows when lids move
        ask("apex 4", 0, [], []),  # no clip with a reference
        ask("evaluation 2", 0, Some(exclusive=True), TRUTH, None),
    ]
    assert all("so this exercise has no answer here." in text for text in said)
