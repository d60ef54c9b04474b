from mer_utils import MerError
from mer_utils.apex import RULES, find_apex, joint_curve, motion_curve

import numpy as np
import pytest


def bump(frames, peak, height=1.0):
    return height * np.exp(-(((np.arange(frames) - peak) / 4) ** 2))


def test_both_views_decide_together():
    curve = np.stack([bump(30, 10), bump(30, 16)])
    # the mean of two equal bumps, 6 frames apart, peaks half way
    assert find_apex(curve, 2, 27, near=1) == 13
    assert find_apex(curve[:1], 2, 27, near=1) == 10
    loud = np.stack([bump(30, 10, 3.0), bump(30, 16)])
    assert find_apex(loud, 2, 27, rule="max", near=1) == 10


@pytest.mark.parametrize("rule", RULES)
def test_the_apex_lies_strictly_between_onset_and_offset(rule):
    rising = np.arange(20.0)[None].repeat(2, 0)
    assert find_apex(rising, 3, 15, rule) == 14
    assert find_apex(rising[:, ::-1], 3, 15, rule) == 4
    assert find_apex(np.zeros((2, 20)), 3, 15, rule) == 4
    for offset in (4, 20):
        with pytest.raises(MerError, match="no apex"):
            find_apex(rising, 3, offset, rule)
    with pytest.raises(MerError, match="mean, max, product"):
        joint_curve(rising, "median")


def test_smoothing_ignores_a_single_noisy_frame():
    curve = np.stack([bump(40, 20)] * 2)
    curve[:, 9] += 1.2
    assert find_apex(curve, 2, 37, smoothing=0) == 9
    assert find_apex(curve, 2, 37, smoothing=2.0, near=1) == 20


def test_the_apex_is_where_a_peak_is_first_reached_not_where_noise_on_it_is_largest():
    """A quick rise, a held peak, a slow fall, and noise, largest anywhere."""
    t, rng = np.arange(40), np.random.default_rng(0)
    clean = np.interp(t, [4, 10, 18, 36], [0, 1, 1, 0])
    curves = clean + 0.03 * rng.standard_normal((200, 2, 40))
    found = {near: np.array([find_apex(c, 4, 36, near=near) for c in curves]) for near in (0.95, 1)}
    assert abs(np.median(found[0.95]) - 10) <= 1 and np.abs(found[0.95] - 10).max() <= 3
    assert np.median(found[1]) >= 12


def test_only_the_face_counts_in_the_curve():
    """Half of the picture is a wall on which flow finds noise, half moves."""
    frames = moving([0, 1, 2, 1, 0])
    frames[..., 35:] = np.random.default_rng(1).integers(0, 9, (5, 70, 35))
    mask = np.zeros((2, 70, 70), bool)
    mask[..., :28] = True
    curve = motion_curve(frames, 0, 4, compensation="none", masks=mask)
    np.testing.assert_allclose(curve, [[0, 1, 2, 1, 0]] * 2, atol=0.25)


def moving(shifts):
    """Two views (2, T, 70, 70) of blocks that move right by ``shifts`` px."""
    image = np.random.default_rng(0).integers(0, 255, (10, 10)).astype(np.uint8)
    image = np.kron(image, np.ones((7, 7), np.uint8))
    return np.stack([np.roll(image, shift, 1) for shift in shifts])[None].repeat(2, 0)


def test_detrending_finds_the_bump_on_top_of_a_drift():
    curve = motion_curve(moving([0, 1, 2, 3]), 0, 3, compensation="none", detrend=False)
    assert curve.shape == (2, 4) and (curve[:, 0] == 0).all() and (np.diff(curve) > 0.3).all()
    # 2 px a frame of drift, and an expression of 3 px that fades from frame 1 on
    frames = moving([0, 5, 5, 6, 8])
    drifting = motion_curve(frames, 0, 4, compensation="none", detrend=False)
    assert find_apex(drifting, 0, 4, smoothing=0) == 3
    curve = motion_curve(frames, 0, 4, compensation="none")
    assert find_apex(curve, 0, 4, smoothing=0) == 1
    assert (curve[:, 4] == 0).all()
