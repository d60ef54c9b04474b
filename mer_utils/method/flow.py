"""Dense optical flow between two frames, head motion taken out, and the three maps of a phase: u,
v, magnitude.
"""

import functools

from mer_utils import MerError

import cv2
import numpy as np
from skimage.registration import optical_flow_tvl1

COMPENSATIONS = ("none", "median", "similarity")


def _dis(first, second):
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)  # the preset's own stops at half the size: 0.02 px worse on our faces
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
def _sample_grid(height, width):
    """Return x and y (H, W) px from the middle, the step between samples, and the similarity's
    matrix (2 M, 4) at the samples.
    """
    step = max(1, height // 32)  # four unknowns need no more than about 32 x 32 samples
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    sx, sy = x[::step, ::step].ravel(), y[::step, ::step].ravel()
    one, zero = np.ones_like(sx), np.zeros_like(sx)
    matrix = np.concatenate([np.stack([sx, -sy, one, zero], 1), np.stack([sy, sx, zero, one], 1)])
    return x, y, step, matrix


def head_motion(flow, method="similarity", mask=None, rounds=5):
    """Estimate the part of a flow field (2, H, W) that moves like a rigid head: zero, its median,
    or a similarity transform; only what lies inside ``mask`` (H, W) is asked.

    The similarity u = a x - b y + c, v = b x + a y + d is fitted by reweighted least squares
    (weights 1 / residual): the moving parts of the face are outliers, so that they are not
    subtracted from themselves. Raises MerError for an unknown method.
    """
    if method == "none":
        return np.zeros_like(flow)
    mask = np.ones(flow.shape[1:], bool) if mask is None else mask
    if method == "median":
        middle = np.median(flow[:, mask], axis=1)[:, None, None]
        return np.broadcast_to(middle, flow.shape).astype(np.float32)
    if method != "similarity":
        raise MerError(
            f"head-motion compensation {method!r} is unknown; choose one of "
            f"{', '.join(COMPENSATIONS)}"
        )
    x, y, step, matrix = _sample_grid(*flow.shape[1:])
    inside = mask[::step, ::step].ravel()
    matrix = matrix[np.tile(inside, 2)]
    sx, sy, su, sv = (a[::step, ::step].ravel()[inside] for a in (x, y, flow[0], flow[1]))
    target = np.concatenate([su, sv]).astype(np.float64)
    weight = np.ones(len(sx))
    for _ in range(rounds):
        weighted = matrix * np.tile(weight, 2)[:, None]
        a, b, c, d = np.linalg.solve(weighted.T @ matrix, weighted.T @ target)
        residual = np.hypot(su - (a * sx - b * sy + c), sv - (b * sx + a * sy + d))
        weight = 1 / np.maximum(residual, 0.02)  # 0.02 px: below what any backend resolves
    return np.stack([a * x - b * y + c, b * x + a * y + d]).astype(np.float32)


def compensate(flow, method="similarity", mask=None):
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
    frames,
    onset,
    apex,
    offset,
    backend="dis",
    compensation="similarity",
    phases=2,
    mask=None,
    reach=0,
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
