from types import SimpleNamespace

from faces4d.head import AUS
from mer_course.checks import apex as exercises
from mer_utils.apex import curve_of_flows, find_apex

import numpy as np
from asking import accept, reject, skips

RNG = np.random.default_rng(0)
T = np.arange(24)
PEAKS = (8, 9, 11, 10)
CURVES = [
    np.stack([np.exp(-(((T - peak - lag) / 4) ** 2)) for lag in (-1, 4)])
    + 0.1 * RNG.standard_normal((2, 24))
    for peak in PEAKS
]  # (V, T) each
CLIPS = [SimpleNamespace(onset=2, offset=20, apex=peak) for peak in PEAKS]


def find_errors(curves, **options):
    pairs = zip(curves, PEAKS, strict=True)
    return np.array([find_apex(curve, 2, 20, **options) - peak for curve, peak in pairs])


def test_check_1():
    right = [abs(find_errors([curve[v : v + 1] for curve in CURVES])).mean() for v in (0, 1)]
    assert right[0] != right[1]
    accept(exercises.check_1, right, CURVES, CLIPS)
    reject(exercises.check_1, [[0.0, 0.0], right[::-1], right[:1]], CURVES, CLIPS)
    assert skips(exercises.check_1, right, [curve[:1] for curve in CURVES], CLIPS)
    assert skips(exercises.check_1, right, [], [])


def test_check_2():
    flows = np.zeros((2, 24, 2, 20, 20), np.float32)
    flows[:, :, 1, 5:10, 5:10] = np.exp(-(((T - 9) / 3) ** 2))[None, :, None, None]
    masks = np.ones((2, 20, 20), bool)
    flows[:, :, 0] += 0.05 * (T - 2)[None, :, None, None]
    curves = [curve_of_flows(flows, 2, 20, "none", detrend, masks) for detrend in (False, True)]
    right = [find_apex(curve, 2, 20) for curve in curves]
    assert right[0] > 16 and abs(right[1] - 9) <= 1
    accept(exercises.check_2, right, flows, masks, 2, 20, figures=1)
    reject(exercises.check_2, [[0, 0], right[::-1], [right[1]] * 2, 9], flows, masks, 2, 20)


def read_truth(dataset, clip):
    """Stand in for the truth of a clip whose lids close so far at frame 6."""
    weights = np.zeros((24, len(AUS), 2))
    weights[6, AUS.index(45)] = clip.lid
    weights[0, AUS.index(45)] = 1  # before the onset: does not count
    return SimpleNamespace(weights=weights)


def test_check_3(monkeypatch):
    monkeypatch.setattr(exercises, "read_truth", read_truth)
    clips = [SimpleNamespace(onset=2, offset=20, lid=lid) for lid in (0.0, 0.5, 0.05, 0.9)]
    dataset, errors = SimpleNamespace(synthetic=True, clips=clips), np.array([1.0, 3, 0, 4])
    says = "mean error 3.5 frames with a blink (2 clips), 0.5 without (2)"
    accept(exercises.check_3, [False, True, False, True], dataset, errors, says=says)
    reject(exercises.check_3, [np.zeros(4, bool), [True] * 4, [True]], dataset, errors)
    one = SimpleNamespace(synthetic=True, clips=clips[:1])
    assert skips(exercises.check_3, [False], one, errors[:1])
    assert skips(exercises.check_3, [False], SimpleNamespace(synthetic=False), errors)


def test_check_4():
    errors = [find_errors(CURVES, near=near) for near in (1, 0.95, 0.8)]
    right = [[(wrong > 1).sum(), (wrong < -1).sum()] for wrong in errors]
    assert right[0] != right[2]
    accept(exercises.check_4, right, CURVES, CLIPS, figures=1)
    reject(exercises.check_4, [[[9, 9]] * 3, right[::-1], [1, 2]], CURVES, CLIPS)
    assert skips(exercises.check_4, right, [], [])
