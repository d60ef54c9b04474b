"""Dense optical flow between two frames, head motion taken out, and the three maps of a phase: u,
v, magnitude.
"""

import functools
from itertools import pairwise

from mer_utils import MerError

import cv2
import numpy as np
from skimage.registration import optical_flow_tvl1

COMPENSATIONS = ("none", "rigid")
# the ellipsoid that stands for a head: half width and height, shares of a crop's side [ours]
EGG = (0.62, 1.24)
MEDIUM = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM


def _dis(first, second):
    dis = cv2.DISOpticalFlow_create(MEDIUM)
    # the preset's half size and patches of 8 px are worse on our faces (benchmarks/front_end.py)
    dis.setFinestScale(0)
    dis.setPatchSize(12)
    dis.setPatchStride(4)
    return dis.calc(first, second, None)


def _tvl1(first, second):
    first, second = first.astype(np.float32) / 255, second.astype(np.float32) / 255
    v, u = optical_flow_tvl1(first, second, dtype=np.float32)
    return np.stack([u, v], -1)


BACKENDS = {
    "dis": _dis,
    "dis-half": lambda a, b: cv2.DISOpticalFlow_create(MEDIUM).calc(a, b, None),
    # pyramid scale, levels, window, iterations, neighbourhood, its sigma: OpenCV's sample settings
    "farneback": lambda a, b: cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 15, 3, 5, 1.2, 0),
    "tvl1": _tvl1,
}


def compute_flow(first, second, backend="dis"):
    """Return the flow (2, H, W) float32 in px, u right, v down, that carries ``first`` onto
    ``second`` (H, W uint8), by dis (Kroeger et al. 2016), dis-half (at half the size), farneback
    (Farnebäck 2003) or tvl1 (Zach et al. 2007).
    """
    if backend not in BACKENDS:
        raise MerError(f"flow backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    if first.shape != second.shape:
        raise MerError(f"flow needs two frames of one size, got {first.shape} and {second.shape}")
    flow = BACKENDS[backend](first, second)  # (H, W, 2)
    return np.ascontiguousarray(flow.transpose(2, 0, 1), dtype=np.float32)


@functools.lru_cache(maxsize=8)
def _sample_grid(height, width):
    """Return the step between samples, and what each of the 6 numbers of ``head_motion`` adds to u
    and v: at every pixel (6, 2, H, W) and at the samples (6, 2, H / step, W / step).
    """
    step = max(1, height // 32)  # 32 x 32 samples are enough for so few unknowns
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    ones, zeros = np.ones_like(x), np.zeros_like(x)
    across, along = EGG[0] * width, EGG[1] * height
    depth = np.sqrt(np.maximum(1 - (x / across) ** 2 - (y / along) ** 2, 0)) - 1
    columns = [(x, y), (-y, x), (ones, zeros), (zeros, ones)]
    columns = np.array([*columns, (across * depth, zeros), (zeros, across * depth)])
    return step, columns.astype(np.float32), columns[:, :, ::step, ::step].copy()


def head_motion(flow, method="rigid", mask=None, rounds=5):
    """Return the part of a flow field (2, H, W) that is head motion inside ``mask`` (H, W); fewer
    than 16 samples give none.

    A *rigid* head shifts, turns in the picture and grows: u = a x - b y + c, v = b x + a y + d. It
    also turns out of the picture, which moves near points more: with z <= 0 px the depth of an
    ellipsoid (EGG), u gains p z and v gains q z. The fit is least squares with weights
    1 / residual^2 (from 0.05 px on), so that the expression, an outlier, stays.
    """
    if method not in COMPENSATIONS:
        names = ", ".join(COMPENSATIONS)
        raise MerError(f"head-motion compensation {method!r} is unknown; choose one of {names}")
    mask = np.ones(flow.shape[1:], bool) if mask is None else mask
    step, columns, samples = _sample_grid(*flow.shape[1:])
    inside = mask[::step, ::step]
    if method == "none" or inside.sum() < 16:
        return np.zeros_like(flow)
    matrix = samples[:, :, inside].reshape(len(samples), -1)  # (K, 2 n)
    target = flow[:, ::step, ::step][:, inside].astype(np.float64).ravel()
    weighted = matrix
    for _ in range(rounds):
        numbers = np.linalg.solve(weighted @ matrix.T, weighted @ target)
        u, v = (target - numbers @ matrix).reshape(2, -1)
        weight = 1 / np.maximum(u * u + v * v, 0.05**2)
        weighted = matrix * np.concatenate([weight, weight])
    return np.tensordot(numbers.astype(np.float32), columns, 1)


def compensate(flow, method="rigid", mask=None):
    """Return a flow field (2, H, W) without its head motion (see head_motion)."""
    return flow - head_motion(flow, method, mask)


def magnitude(flow):
    """Return sqrt(u^2 + v^2) in px: (..., 2, H, W) -> (..., H, W)."""
    return np.hypot(flow[..., 0, :, :], flow[..., 1, :, :])


def strain(flow):
    """Return the optical strain sqrt(e_xx^2 + e_yy^2 + 2 e_xy^2), (..., 2, H, W) px -> (..., H, W):
    how much the flow changes shapes (Shreve et al. 2009; as a third map: Liong et al. 2014, 2019).

    e_xx = du/dx, e_yy = dv/dy, e_xy = (du/dy + dv/dx) / 2, by central differences.
    """
    (u_y, u_x), (v_y, v_x) = (np.gradient(flow[..., k, :, :], axis=(-2, -1)) for k in range(2))
    return np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2)


def average_frames(frames, frame, reach=1):
    """Return the mean (H, W) uint8 of the frames (T, H, W) at most ``reach`` from ``frame``."""
    near = frames[max(0, frame - reach) : frame + reach + 1]
    return np.rint(near.mean(0)).astype(np.uint8)


def phase_flow(
    frames, onset, apex, offset, backend="dis", compensation="rigid", phases=2, mask=None, reach=0
):
    """Return the flow of each phase (P, 2, H, W) px of one view's frames (T, H, W), onset-apex then
    apex-offset, without head motion (as seen inside ``mask``), of averaged key frames.
    """
    keys = [average_frames(frames, frame, reach) for frame in (onset, apex, offset)]
    flows = [compute_flow(*pair, backend) for pair in list(pairwise(keys))[:phases]]
    return np.stack([compensate(flow, compensation, mask) for flow in flows])
