"""The checks of 03: right answers, placeholders, plausible mistakes, anything else."""

from mer_course.checks import flow as exercises
from mer_utils.flow import compute_flow, magnitude

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from toys import said

pytestmark = pytest.mark.usefixtures("shown")

NOISE = np.random.default_rng(0).standard_normal((96, 96))
GRAIN = sum(sigma * gaussian_filter(NOISE, sigma) for sigma in (1, 3))
TEXTURE = 128 + 40 * GRAIN / GRAIN.std()
ROWS, COLUMNS = np.mgrid[:96, :96] - 47.5
TRUTH = np.stack([np.full((96, 96), 0.8), np.full((96, 96), -0.4)])


def as_frame(picture):
    return np.rint(picture).clip(0, 255).astype(np.uint8)


FIRST, SECOND = as_frame(TEXTURE), as_frame(exercises.fetch(TEXTURE, -TRUTH))


def test_check_1(capsys, shown):
    right = {shift: exercises.follow_shift(TEXTURE, shift) for shift in exercises.SHIFTS}
    assert right[4] < 0.1 and right[24] > exercises.LOST
    exercises.check_1(right, TEXTURE)
    assert said(capsys).startswith("Right: lost from ") and len(shown) == 1
    shares = {shift: error / shift for shift, error in right.items()}
    for wrong in (dict.fromkeys(exercises.SHIFTS, 0.0), shares, {4: right[4]}, [1], "far", None):
        exercises.check_1(wrong, TEXTURE)
        assert said(capsys).startswith("Not yet: ")


def test_check_2(capsys, shown):
    one = 1.1 * TRUTH  # as one step of Lucas and Kanade: a tenth too long
    exercises.check_2(1.01 * TRUTH, one, FIRST, SECOND, TRUTH)
    assert said(capsys).startswith("Right: EPE 0.089 px, then 0.009") and len(shown) == 1
    for wrong in (one, 1.2 * TRUTH, 0.1 * TRUTH, TRUTH[0], "two", None):
        exercises.check_2(wrong, one, FIRST, SECOND, TRUTH)
        assert said(capsys).startswith("Not yet: ")


def test_check_3(capsys, shown):
    right = exercises.go_and_return(FIRST, SECOND)
    truth = np.where(ROWS < 40, TRUTH, np.nan)
    exercises.check_3(right, FIRST, SECOND, truth)
    assert "it correlates with the EPE by" in said(capsys) and len(shown) == 1
    exercises.check_3(right, FIRST, SECOND)
    assert said(capsys).startswith("Right: mean ") and len(shown) == 2
    there, back = compute_flow(FIRST, SECOND), compute_flow(SECOND, FIRST)
    exercises.check_3(magnitude(there), FIRST, SECOND)
    assert "this is the length of the way there" in said(capsys)
    away = there - np.stack([exercises.fetch(plane, there) for plane in back])
    for wrong in (np.zeros((96, 96)), magnitude(away), there, 1.0, "back", None):
        exercises.check_3(wrong, FIRST, SECOND)
        assert said(capsys).startswith("Not yet: ")


def test_check_4(capsys, shown):
    push = np.zeros((2, 128, 128))
    y, x = np.mgrid[:128, :128] - 63.5
    push[0] = 0.8 * np.exp(-(x**2 + y**2) / 200)
    flow = np.stack([0.6 - 0.01 * y, -0.3 + 0.01 * x]) + push
    right = exercises.measure_epe(exercises.subtract_patch(flow, exercises.PATCH), push)
    exercises.check_4(right, flow, push)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    none, median = (
        exercises.measure_epe(exercises.compensate(flow, how), push) for how in ("none", "median")
    )
    assert median < right < none  # as the exercise says
    for wrong in (0.0, none, median, [right, 1], "half", None):
        exercises.check_4(wrong, flow, push)
        assert said(capsys).startswith("Not yet: ")
