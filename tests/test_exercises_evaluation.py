"""The checks of 06: right answers, placeholders, plausible mistakes, anything else."""

from types import SimpleNamespace

from mer_course.checks import evaluation as exercises
from mer_utils.evaluation import tune_thresholds

import numpy as np
import pytest
from toys import said

pytestmark = pytest.mark.usefixtures("shown")

RNG = np.random.default_rng(0)
LABELS = ("Negative", "Positive", "Surprise")
TRUTH = (RNG.random((40, 3)) < (0.5, 0.2, 0.1)).astype(np.uint8)
SCORES = 0.3 * TRUTH + 0.6 * RNG.random((40, 3))


def make_outcome(exclusive=False):
    cuts = np.full((40, 3), 0.35)
    return SimpleNamespace(
        scores=SCORES, answers=(SCORES >= cuts).astype(np.uint8), exclusive=exclusive
    )


def test_check_1(capsys, shown):
    q = TRUTH.mean(0)
    exercises.check_1((2 * q / (1 + q)).mean(), TRUTH)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    for wrong in (0.0, q.mean(), (q / (1 + q)).mean(), [0.1], "a third", None):
        exercises.check_1(wrong, TRUTH)
        assert said(capsys).startswith("Not yet: ")


def test_check_2(capsys, shown):
    outcome = make_outcome()
    exercises.check_2(SCORES >= 0.5, outcome, TRUTH, LABELS)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    for wrong in (outcome.answers, SCORES, SCORES >= 0.4, SCORES[:3] >= 0.5, "no", None):
        exercises.check_2(wrong, outcome, TRUTH, LABELS)
        assert said(capsys).startswith("Not yet: ")
    exercises.check_2(None, make_outcome(exclusive=True), TRUTH, LABELS)
    assert "no answer here" in said(capsys)


def test_check_3(capsys, shown):
    outcome = make_outcome()
    exercises.check_3(SCORES >= tune_thresholds(TRUTH, SCORES), outcome, TRUTH, LABELS)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    for wrong in (outcome.answers, TRUTH, SCORES >= 0.5, SCORES, [1, 0], None):
        exercises.check_3(wrong, outcome, TRUTH, LABELS)
        assert said(capsys).startswith("Not yet: ")
    exercises.check_3(None, make_outcome(exclusive=True), TRUTH, LABELS)
    assert "no answer here" in said(capsys)
