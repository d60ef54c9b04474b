"""The checks of 10: right answers, placeholders, plausible mistakes, anything else."""

from types import SimpleNamespace

from mer_course.checks import prediction as exercises

import numpy as np
import pytest
from toys import said

pytestmark = pytest.mark.usefixtures("shown")

RNG = np.random.default_rng(0)
LABELS = ("Negative", "Positive", "Surprise")
TRUTH = (RNG.random((12, 3)) < 0.4).astype(np.uint8)
X = TRUTH[:, None, None, :, None, None].astype(np.float32)  # the labels are the maps
FEATURES = SimpleNamespace(x=X, y=TRUTH, subjects=np.repeat(list("abc"), 4))


class Ensemble:
    """Networks that say 0.5, and ``sure`` more where a label is there."""

    def __init__(self, count, sure):
        self.members, self.sure = (None,) * count, sure

    def score(self, maps):
        there = maps[0, 0, :, 0, 0]
        return np.tile(0.5 + self.sure * (there - 0.5), (len(self.members), 1)), None


def make_prediction(turned=False, exclusive=False):
    view = np.arange(48, dtype=np.uint8).reshape(8, 6)
    view = view[::-1] if turned else view
    scores = np.array([[0.2, 0.55, 0.4], [0.3, 0.45, 0.6]]) - 0.1 * turned
    thresholds = np.array([0.5, 0.51, np.inf])
    return SimpleNamespace(
        scores=scores, thresholds=thresholds, labels=LABELS, first=(view, view), apex=1,
        crops=np.stack([[view] * 3] * 2), answers=scores.mean(0) >= thresholds, exclusive=exclusive,
    )  # fmt: skip


def test_check_1(capsys, shown):
    few, all_of_them = Ensemble(3, 0.1), Ensemble(9, 0.3)
    exercises.check_1(all_of_them, few, FEATURES, "c")
    told = said(capsys)
    assert (
        told.startswith("Right: annotated labels +0.10, the others -0.10") and "100% rose" in told
    )
    assert len(shown) == 1
    for wrong in (few, Ensemble(8, 0.3), "all", None, SimpleNamespace(members=(None,) * 9)):
        exercises.check_1(wrong, few, FEATURES, "c")
        assert said(capsys).startswith("Not yet: ")


def test_check_2(capsys, shown):
    prediction = make_prediction()
    exercises.check_2(make_prediction(turned=True), prediction)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    mirrored = make_prediction()
    mirrored.first = tuple(view[:, ::-1] for view in mirrored.first)
    single = make_prediction(turned=True)
    single.first = single.first[:1]
    for wrong in (prediction, mirrored, single, "turned", None):
        exercises.check_2(wrong, prediction)
        assert said(capsys).startswith("Not yet: ")


def test_check_3(capsys, shown):
    prediction = make_prediction()
    exercises.check_3([False, True, False], prediction)
    assert "undecided: Positive" in said(capsys) and len(shown) == 1
    for wrong in ([], [False] * 3, [True] * 3, [0.1, 0.5, 0.2], "Positive", None):
        exercises.check_3(wrong, prediction)
        assert said(capsys).startswith("Not yet: ")
    exercises.check_3(None, make_prediction(exclusive=True))
    assert "no answer here" in said(capsys)
