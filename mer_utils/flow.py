"""Dense optical flow between two frames, head motion taken out, and the three maps of a phase: u,
v, magnitude.
"""

import functools

from mer_utils import MerError

import cv2
import numpy as np
from skimage.registration import optical_flow_tvl1

COMPENSATIONS = ("none", "median", "similarity", "rigid")
# the egg that "rigid" takes a head for: its half width and half height, shares of a crop's side
# [ours, on development sets]
EGG = (0.62, 1.24)


def _dis(first, second):
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # the preset's own stops at half the size, and its patches of 8 px follow noise: both are worse
    # on our faces (benchmarks/front_end.py)
    dis.setFinestScale(0)
    dis.setPatchSize(12)
    dis.setPatchStride(4)
    return dis.calc(first, second, None)


def _dis_half(first, second):
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None)


def _farneback(first, second):
    # OpenCV's own sample settings: pyramid scale, levels, window, iterations, neighbourhood, its
    # sigma
    return cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)


def _tvl1(first, second):
    v, u = optical_flow_tvl1(
        first.astype(np.float32) / 255, second.astype(np.float32) / 255, dtype=np.float32
    )
    return np.stack([u, v], -1)


BACKENDS = {"dis": _dis, "dis-half": _dis_half, "farneback": _farneback, "tvl1": _tvl1}


def compute_flow(first, second, backend="dis"):
    """Return the flow (2, H, W) float32 in px that carries ``first`` onto ``second`` (H, W uint8):
    u right, v down.

    ``backend`` is dis (Kroeger et al. 2016; dis-half stops at half the size and takes a third of
    the time), farneback (Farnebäck 2003) or tvl1 (Zach et al. 2007).
    """
    if backend not in BACKENDS:
        raise MerError(f"flow backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    if first.shape != second.shape:
        raise MerError(f"flow needs two frames of one size, got {first.shape} and {second.shape}")
    return np.ascontiguousarray(
        BACKENDS[backend](first, second).transpose(2, 0, 1), dtype=np.float32
    )


@functools.lru_cache(maxsize=8)
def _sample_grid(height, width, method):
    """Return the step between samples, the columns (K, 2, H, W) of ``head_motion``, what each of
    its numbers adds to u and v at every pixel, and those of the samples (K, 2, H / step, W / step).
    """
    step = max(1, height // 32)  # so few unknowns need no more than about 32 x 32 samples
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    one, zero = np.ones_like(x), np.zeros_like(x)
    columns = [(x, y), (-y, x), (one, zero), (zero, one)]
    if method == "rigid":
        across, along = EGG[0] * width, EGG[1] * height
        depth = np.sqrt(np.maximum(1 - (x / across) ** 2 - (y / along) ** 2, 0)) - 1
        columns += [(across * depth, zero), (zero, across * depth)]
    columns = np.array(columns)
    return step, columns.astype(np.float32), columns[:, :, ::step, ::step].copy()


def head_motion(flow, method="rigid", mask=None, rounds=5):
    """Estimate the part of a flow field (2, H, W) that moves like a rigid head: zero, its median,
    or a fit; only what lies inside ``mask`` (H, W) is asked.

    A *similarity* is what a small shift, rotation in the plane or growth of the picture does:
    u = a x - b y + c, v = b x + a y + d. A *rigid* head also turns out of the plane, which moves
    points at different depths by different amounts: with z <= 0 px, how far a point of an egg (EGG)
    lies behind its nearest one, u gains p z and v gains q z. Both are fitted by reweighted least
    squares (weights 1 / residual^2, from 0.05 px on): the moving parts of the face are outliers, so
    that they are not subtracted
    from themselves. Where fewer than 16 samples lie inside, nothing is. Raises MerError for an
    unknown method.
    """
    if method not in COMPENSATIONS:
        raise MerError(
            f"head-motion compensation {method!r} is unknown; choose one of "
            f"{', '.join(COMPENSATIONS)}"
        )
    mask = np.ones(flow.shape[1:], bool) if mask is None else mask
    if method == "none" or not mask.any():
        return np.zeros_like(flow)
    if method == "median":
        middle = np.median(flow[:, mask], axis=1)[:, None, None]
        return np.broadcast_to(middle, flow.shape).astype(np.float32)
    step, columns, samples = _sample_grid(*flow.shape[1:], method)
    inside = mask[::step, ::step]
    if inside.sum() < 16:
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
    """Return sqrt(u^2 + v^2) in px over the axis of length 2 in front of H, W: (..., 2, H, W) ->
    (..., H, W).
    """
    return np.hypot(flow[..., 0, :, :], flow[..., 1, :, :])


def strain(flow):
    """Return the optical strain sqrt(e_xx^2 + e_yy^2 + 2 e_xy^2) over the axis of length 2 in front
    of H, W: (..., 2, H, W) px -> (..., H, W), px per px.

    e_xx = du/dx, e_yy = dv/dy, e_xy = (du/dy + dv/dx) / 2 (Shreve et al. 2009, 2011; as a third map
    beside u and v: Liong et al. 2014, 2019), by central differences. What moves without changing
    its shape has none.
    """
    (u_y, u_x), (v_y, v_x) = (np.gradient(flow[..., k, :, :], axis=(-2, -1)) for k in range(2))
    return np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2)


def average_frames(frames, frame, reach=1):
    """Return the mean (H, W) uint8 of the frames (T, H, W) from ``frame`` - ``reach`` to ``frame``
    + ``reach``, as far as there are any: noise shrinks, and within three frames a face hardly
    moves.
    """
    near = frames[max(0, frame - reach) : frame + reach + 1]
    return np.rint(near.mean(0)).astype(np.uint8)


def phase_flow(
    frames, onset, apex, offset, backend="dis", compensation="rigid", phases=2, mask=None, reach=0
):
    """Return the flow of each phase (P, 2, H, W) px for the frames (T, H, W) of one view:
    onset-apex, then apex-offset; head motion, as seen inside ``mask`` (H, W), taken out, key frames
    averaged over ``reach`` frames on either side.
    """
    keys = {k: average_frames(frames, k, reach) for k in {onset, apex, offset}}
    pairs = ((onset, apex), (apex, offset))[:phases]
    return np.stack(
        [compensate(compute_flow(keys[i], keys[j], backend), compensation, mask) for i, j in pairs]
    )
