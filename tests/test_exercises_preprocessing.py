"""The checks of 01: right answers, placeholders, plausible mistakes, anything else."""

from mer_course.checks import preprocessing as exercises
from mer_utils.flow import compute_flow, magnitude
from mer_utils.preprocessing import crop, find_box, silhouette

import cv2
import numpy as np
import pytest
from toys import said

pytestmark = pytest.mark.usefixtures("shown")

RNG = np.random.default_rng(0)


def make_view(shift=0.0, seed=0):
    """Return a grained head with a neck before a bright wall (T = 5, H = 200, W = 160)."""
    texture = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(200, 160)), (0, 0), 1.5)
    frames = []
    for t in range(5):
        y, x = np.mgrid[:200, :160]
        x = x - shift * t
        head = ((x - 80) / 42) ** 2 + ((y - 90) / 55) ** 2 <= 1
        head |= (abs(x - 80) < 25) & (y > 90)
        moved = cv2.remap(texture, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
        frames.append(np.where(head, 120 + 150 * moved, 240).clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def test_check_1(capsys, shown):
    frame = make_view()[0]
    right = []
    for tolerance in exercises.TOLERANCES:
        mask = silhouette(frame, tolerance)
        right.append(0.0 if mask is None else mask.mean())
    exercises.check_1(right, frame)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    for wrong in ([0.0, 0.0, 0.0], [right[0]] * 3, 0.5, ["a"] * 3, None):
        exercises.check_1(wrong, frame)
        assert said(capsys).startswith("Not yet: ")
    busy = RNG.integers(0, 255, (200, 160)).astype(np.uint8)
    exercises.check_1(right, busy)
    assert "no answer here" in said(capsys) and len(shown) == 1


def test_check_2(capsys, shown):
    view = make_view(0.7)
    pairs = [crop(view[[0, 3]], find_box(view[0], k), 128) for k in exercises.FACTORS]
    right = [np.median(magnitude(compute_flow(*pair))) for pair in pairs]
    exercises.check_2(right, view, 0, 3)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    for wrong in ([0.0, 0.0], right[::-1], [right[0]] * 2, "x", None):
        exercises.check_2(wrong, view, 0, 3)
        assert said(capsys).startswith("Not yet: ")


def test_check_3(capsys, shown):
    view = make_view(1.0)
    right = [find_box(frame) for frame in view]
    exercises.check_3(right, view)
    assert said(capsys).startswith("Right: the box changes 4 times") and len(shown) == 1
    for wrong in ([right[0]] * len(view), right[:2], None, [1, 2, 3], [(1, 2)] * len(view)):
        exercises.check_3(wrong, view)
        assert said(capsys).startswith("Not yet: ")
    still = make_view()
    exercises.check_3([find_box(still[0])] * len(still), still)
    assert "nothing can jump" in said(capsys)


def test_check_4(capsys, shown):
    view = make_view()
    film = crop(view, find_box(view[0], 1.2), 128)
    wall, oval = film[0] > 230, np.ones((128, 128), bool)
    grain = 30 * RNG.standard_normal(wall.shape)
    filmed = np.where(wall, film + grain, film).clip(0, 255).astype(np.uint8)
    exercises.check_4(filmed, film, wall, oval)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    everywhere = (film + grain).clip(0, 255).astype(np.uint8)
    for wrong in (film, everywhere, film[0], None):
        exercises.check_4(wrong, film, wall, oval)
        assert said(capsys).startswith("Not yet: ")
    exercises.check_4(filmed, film, wall & False, oval)
    assert "no answer here" in said(capsys)
