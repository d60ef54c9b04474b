"""The checks of 02: right answers, placeholders, plausible mistakes, anything else."""

from types import SimpleNamespace

from faces4d.head import AUS
from mer_course.checks import apex as exercises
from mer_utils.apex import curve_of_flows, find_apex

import numpy as np
import pytest
from toys import said

pytestmark = pytest.mark.usefixtures("shown")

RNG = np.random.default_rng(0)
T = np.arange(24)
PEAKS = (8, 9, 11, 10)
CURVES = [
    np.stack([np.exp(-(((T - peak - lag) / 4) ** 2)) for lag in (-1, 4)])
    + 0.1 * RNG.standard_normal((2, 24))
    for peak in PEAKS
]  # (V, T) each
CLIPS = [SimpleNamespace(onset=2, offset=20, apex=peak) for peak in PEAKS]


def test_check_1(capsys):
    right = [
        np.mean(
            [abs(find_apex(c[v : v + 1], 2, 20) - p) for c, p in zip(CURVES, PEAKS, strict=True)]
        )
        for v in (0, 1)
    ]
    exercises.check_1(right, CURVES, CLIPS)
    assert said(capsys).startswith("Right: ") and right[0] != right[1]
    for wrong in ([0.0, 0.0], right[::-1], right[:1], "left", None):
        exercises.check_1(wrong, CURVES, CLIPS)
        assert said(capsys).startswith("Not yet: ")
    exercises.check_1(right, [curve[:1] for curve in CURVES], CLIPS)
    exercises.check_1(right, [], [])
    assert said(capsys).count("no answer here") == 2


def test_check_2(capsys, shown):
    flows = np.zeros((2, 24, 2, 20, 20), np.float32)
    flows[:, :, 1, 5:10, 5:10] = np.exp(-(((T - 9) / 3) ** 2))[None, :, None, None]
    masks, push = np.ones((2, 20, 20), bool), 0.05
    pushed = exercises.push_flows(flows, 2, push)
    assert np.allclose(pushed[:, 12, 0], 0.5) and np.array_equal(pushed[:, 2], flows[:, 2])
    right = [
        find_apex(curve_of_flows(pushed, 2, 20, "none", detrend, masks), 2, 20)
        for detrend in (False, True)
    ]
    exercises.check_2(right, flows, masks, 2, 20, push)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    assert right[0] > 16 and abs(right[1] - 9) <= 1
    for wrong in ([0, 0], right[::-1], [right[1]] * 2, 9, ["a", "b"], None):
        exercises.check_2(wrong, flows, masks, 2, 20, push)
        assert said(capsys).startswith("Not yet: ")


def make_dataset(lids):
    """Return a stand-in for a synthetic set in which each clip's lids close so far at frame 6."""

    def truth(clip):
        weights = np.zeros((24, len(AUS), 2))
        weights[6, AUS.index(45)] = clip.lid
        weights[0, AUS.index(45)] = 1  # before the onset: does not count
        return SimpleNamespace(weights=weights)

    clips = [SimpleNamespace(onset=2, offset=20, lid=lid) for lid in lids]
    return SimpleNamespace(synthetic=True, clips=clips, truth=truth)


def test_check_3(capsys):
    dataset, errors = make_dataset([0.0, 0.5, 0.05, 0.9]), np.array([1.0, 3, 0, 4])
    exercises.check_3([False, True, False, True], dataset, errors)
    assert said(capsys).startswith("Right: mean error 3.5 frames with a blink (2 clips), 0.5")
    for wrong in (np.zeros(4, bool), [True] * 4, [True], "yes", None):
        exercises.check_3(wrong, dataset, errors)
        assert said(capsys).startswith("Not yet: ")
    exercises.check_3([False], make_dataset([0.0]), errors[:1])
    exercises.check_3([False], SimpleNamespace(synthetic=False), errors)
    assert said(capsys).count("no answer here") == 2


def test_check_4(capsys, shown):
    wrong = [
        np.array([find_apex(c, 2, 20, near=near) - p for c, p in zip(CURVES, PEAKS, strict=True)])
        for near in exercises.NEARS
    ]
    right = [[(each > 1).sum(), (each < -1).sum()] for each in wrong]
    assert right[0] != right[2]
    exercises.check_4(right, CURVES, CLIPS)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    for answer in ([[9, 9]] * 3, right[::-1], [1, 2], "three", None):
        exercises.check_4(answer, CURVES, CLIPS)
        assert said(capsys).startswith("Not yet: ")
    exercises.check_4(right, [], [])
    assert "no answer here" in said(capsys)
