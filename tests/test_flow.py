from dataclasses import replace

from faces4d.cameras import cameras
from faces4d.motion import simulate
from faces4d.rendering import find_head, true_flow
from faces4d.scenario import plan_clips
from mer_utils import MerError
from mer_utils.flow import (
    BACKENDS,
    compensate,
    compute_flow,
    head_motion,
    magnitude,
    phase_flow,
    strain,
)
from mer_utils.preprocessing import crop, crop_flow, square_box

import cv2
import numpy as np
import pytest


def texture(size=128, seed=0):
    noise = np.random.default_rng(seed).standard_normal((size, size))
    grain = sum(cv2.GaussianBlur(noise, (0, 0), s) * s for s in (1, 3, 8))
    return (128 + 40 * grain / grain.std()).clip(0, 255).astype(np.float32)


def shifted(image, u, v):
    """Move the picture's content by (u, v) px: right and down where positive."""
    matrix = np.float32([[1, 0, u], [0, 1, v]])
    return cv2.warpAffine(
        image, matrix, image.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_known_shift_is_found_with_its_signs(backend):
    first = texture()
    second = shifted(first, 0.8, -0.5)
    flow = compute_flow(first.astype(np.uint8), second.astype(np.uint8), backend)
    assert flow.shape == (2, 128, 128) and flow.dtype == np.float32
    inner = np.median(flow[:, 16:-16, 16:-16], axis=(1, 2))
    # a quarter of the shift: enough to tell the signs, and u from v
    np.testing.assert_allclose(inner, (0.8, -0.5), atol=0.2)


def test_a_fit_takes_out_head_motion_and_leaves_the_expression():
    y, x = np.mgrid[:128, :128].astype(np.float32)
    # a shift and a turn
    head = np.stack([0.6 - 0.004 * (y - 63.5), -0.3 + 0.004 * (x - 63.5)]).astype(np.float32)
    brow = np.zeros_like(head)
    brow[1] = -np.exp(-(((x - 40) / 10) ** 2) - ((y - 40) / 8) ** 2)
    np.testing.assert_allclose(head_motion(head), head, atol=1e-3)
    left = compensate(head + brow)
    # less than a tenth of the brow's 1 px is lost or spread anywhere
    np.testing.assert_allclose(left, brow, atol=0.1)
    assert np.abs(compensate(head + brow, "none") - brow).max() > 0.5


def test_a_rigid_head_may_turn_out_of_the_picture():
    """The true flow of a head that turns, its expression held, is taken out but for a sixth."""
    motion = simulate(plan_clips(3, 3, seed=1002, preset="bench-v2")[0])
    still = replace(motion, weights=motion.weights[:2] * 0, translation=motion.translation[[0, 0]])
    for turn in ((0.02, 0.0, 0.0), (0.0, 0.02, 0.0)):  # 1 degree: a nod, a turn to the side
        still = replace(still, rotation=motion.rotation[[0, 0]] + np.float32([[0, 0, 0], turn]))
        for number, view in enumerate(cameras()):
            flow, seen = true_flow(still, cameras(), number, 0, 1)
            box = square_box(*find_head(motion, view), view.width, view.height)
            flow, mask = crop_flow(flow, box, 128), crop(255 * np.uint8(seen), box, 128) == 255
            left = magnitude(compensate(flow, "rigid", mask))[mask].mean()
            assert left < 0.16 * magnitude(flow)[mask].mean()


def test_strain_is_what_the_field_does_to_shapes():
    y, x = np.mgrid[:24, :32]
    zero = np.zeros_like(x)
    fields = [
        ((0.03 * x, -0.04 * y), 0.05),  # a stretch: e_xx 0.03, e_yy -0.04
        ((0.02 * y, zero), 0.01 * np.sqrt(2)),  # shear: e_xy 0.01
        ((zero + 0.7, zero - 0.3), 0),  # a shift
        ((-0.02 * y, 0.02 * x), 0),  # a small turn: du/dy and dv/dx cancel
    ]
    for field, value in fields:
        np.testing.assert_allclose(strain(np.stack(field)), value, atol=1e-6)
    # of a curved field: u = x^2 / 50, so e_xx = x / 25 away from the rim
    curved = np.stack([x**2 / 50, zero]).astype(np.float32)
    np.testing.assert_allclose(strain(curved)[:, 1:-1], x[:, 1:-1] / 25, atol=1e-6)


def test_phases_run_onset_apex_and_back():
    image = texture()
    frames = np.stack([image, shifted(image, 1, 0), image]).astype(np.uint8)
    flow = phase_flow(frames, 0, 1, 2, compensation="none")
    assert flow.shape == (2, 2, 128, 128)
    assert np.median(flow[0, 0]) > 0.5 and np.median(flow[1, 0]) < -0.5
    assert phase_flow(frames, 0, 1, 2, phases=1).shape == (1, 2, 128, 128)
    length = np.sqrt(flow[:, 0] ** 2 + flow[:, 1] ** 2)
    np.testing.assert_allclose(magnitude(flow), length, rtol=1e-5)


def test_too_little_to_fit_is_no_head_motion():
    flow = np.full((2, 32, 32), 0.7, np.float32)
    few = np.zeros((32, 32), bool)
    few[:3, :5] = True
    for mask in (few, np.zeros_like(few)):
        assert not head_motion(flow, "rigid", mask).any()


def test_unknown_names_and_unequal_frames_are_refused():
    image = texture().astype(np.uint8)
    with pytest.raises(MerError, match="dis, dis-half, farneback, tvl1"):
        compute_flow(image, image, "raft")
    with pytest.raises(MerError, match="one size"):
        compute_flow(image, image[:64])
    with pytest.raises(MerError, match="unknown"):
        compensate(np.zeros((2, 32, 32), np.float32), "affine")
