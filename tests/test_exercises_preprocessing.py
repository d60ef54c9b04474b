from mer_course.checks import preprocessing as exercises
from mer_utils.flow import compute_flow, magnitude
from mer_utils.preprocessing import crop, find_box, silhouette

import cv2
import numpy as np
from asking import accept, reject, skips

RNG = np.random.default_rng(0)


def make_view(shift=0.0):
    """Return a grained head with a neck before a bright wall (T = 5, H = 200, W = 160)."""
    texture = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(200, 160)), (0, 0), 1.5)
    frames = []
    for t in range(5):
        y, x = np.mgrid[:200, :160]
        x = x - shift * t
        head = ((x - 80) / 42) ** 2 + ((y - 90) / 55) ** 2 <= 1
        head |= (abs(x - 80) < 25) & (y > 90)
        moved = cv2.remap(texture, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
        frames.append(np.where(head, 120 + 150 * moved, 240).clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def test_check_1():
    frame = make_view()[0]
    masks = [silhouette(frame, tolerance) for tolerance in (24, 80, 150)]
    right = [0.0 if mask is None else mask.mean() for mask in masks]
    accept(exercises.check_1, right, frame, figures=1)
    reject(exercises.check_1, [[0.0] * 3, [right[0]] * 3, 0.5, ["a"] * 3], frame)
    assert skips(exercises.check_1, right, RNG.integers(0, 255, (200, 160)).astype(np.uint8))


def test_check_2():
    view = make_view(0.7)
    pairs = [crop(view[[0, 3]], find_box(view[0], k), 128) for k in (1.0, 1.4)]
    right = [np.median(magnitude(compute_flow(*pair))) for pair in pairs]
    accept(exercises.check_2, right, view, 0, 3, figures=1)
    reject(exercises.check_2, [[0.0, 0.0], right[::-1], [right[0]] * 2], view, 0, 3)


def test_check_3():
    view, still = make_view(1.0), make_view()
    right = [find_box(frame) for frame in view]
    accept(exercises.check_3, right, view, figures=1, says="the box changes 4 times")
    wrong = [[right[0]] * len(view), right[:2], None, [1, 2, 3], [(1, 2)] * len(view)]
    reject(exercises.check_3, wrong, view)
    assert skips(exercises.check_3, [find_box(still[0])] * len(still), still)


def test_check_4():
    view = make_view()
    film = crop(view, find_box(view[0], 1.2), 128)
    wall, oval = film[0] > 230, np.ones((128, 128), bool)
    grain = 30 * RNG.standard_normal(wall.shape)

    def add(noise, where):
        return np.where(where, film + noise, film).clip(0, 255).astype(np.uint8)

    accept(exercises.check_4, add(grain, wall), film, wall, oval, figures=1)
    reject(exercises.check_4, [film, add(grain, True), film[0]], film, wall, oval)
    assert skips(exercises.check_4, film, film, wall & False, oval)
