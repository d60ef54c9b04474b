from mer_course.checks import flow as exercises
from mer_utils.flow import compensate, compute_flow, magnitude

import numpy as np
from asking import accept, reject
from scipy.ndimage import gaussian_filter

NOISE = np.random.default_rng(0).standard_normal((96, 96))
GRAIN = sum(sigma * gaussian_filter(NOISE, sigma) for sigma in (1, 3))
TEXTURE = 128 + 40 * GRAIN / GRAIN.std()
TRUTH = np.stack([np.full((96, 96), 0.8), np.full((96, 96), -0.4)])


def move(flow):
    return np.rint(exercises.fetch(TEXTURE, -flow)).clip(0, 255).astype(np.uint8)


FIRST, SECOND = move(0 * TRUTH), move(TRUTH)


def test_check_1():
    right = {}
    for shift in exercises.SHIFTS:
        truth = np.stack([np.full((96, 96), float(shift)), np.zeros((96, 96))])
        right[shift] = exercises.measure_epe(compute_flow(FIRST, move(truth)), truth)
    assert right[4] < 0.1 and right[24] > 1
    accept(exercises.check_1, right, TEXTURE, figures=1, says="lost from ")
    shares = {shift: error / shift for shift, error in right.items()}
    reject(exercises.check_1, [dict.fromkeys(right, 0.0), shares, {4: right[4]}, [1]], TEXTURE)


def test_check_2():
    one = 1.1 * TRUTH  # as one step of Lucas and Kanade: a tenth too long
    rest = one, FIRST, SECOND, TRUTH
    accept(exercises.check_2, 1.01 * TRUTH, *rest, says="EPE 0.089 px, then 0.009")
    reject(exercises.check_2, [one, 1.2 * TRUTH, 0.1 * TRUTH, TRUTH[0]], *rest)


def test_check_3():
    there, back = compute_flow(FIRST, SECOND), compute_flow(SECOND, FIRST)
    back_there = np.stack([exercises.fetch(plane, there) for plane in back])
    right = magnitude(there + back_there)
    truth = np.where(np.mgrid[:96, :96][0] < 87, TRUTH, np.nan)
    accept(exercises.check_3, right, FIRST, SECOND, truth, figures=1)
    accept(exercises.check_3, right, FIRST, SECOND, figures=1, says="mean ")
    away = magnitude(there - back_there)
    wrong = [np.zeros((96, 96)), magnitude(there), away, there, 1.0]
    reject(exercises.check_3, wrong, FIRST, SECOND)


def test_check_4():
    push = np.zeros((2, 128, 128))
    y, x = np.mgrid[:128, :128] - 63.5
    push[0] = 0.8 * np.exp(-(x**2 + y**2) / 200)
    flow = np.stack([0.6 - 0.01 * y, -0.3 + 0.01 * x]) + push
    arrow = flow[:, 90:110, 54:74].mean((1, 2), keepdims=True)
    right, none, median = (
        exercises.measure_epe(rest, push)
        for rest in (flow - arrow, flow, compensate(flow, "median"))
    )
    assert median < right < none  # as the exercise says
    accept(exercises.check_4, right, flow, push)
    reject(exercises.check_4, [0.0, none, median, [right, 1]], flow, push)
