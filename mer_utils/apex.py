"""The apex frame from motion alone: how far both views have moved from the onset."""

from mer_utils import MerError
from mer_utils.flow import compensate, compute_flow

import numpy as np
from scipy.ndimage import gaussian_filter1d

RULES = {"mean": np.mean, "max": np.max, "product": np.prod}


def onset_flows(frames, onset, backend="dis-half"):
    """Return the flow (V, T, 2, H, W) px from the onset to each of the frames (V, T, H, W)."""
    flows = np.zeros((*frames.shape[:2], 2, *frames.shape[2:]), np.float32)
    for v, view in enumerate(frames):
        for t, frame in enumerate(view):
            if t != onset:
                flows[v, t] = compute_flow(view[onset], frame, backend)
    return flows


def motion_curve(
    frames, onset, offset, backend="dis-half", compensation="rigid", detrend=True, masks=None
):
    """Return the motion curve (V, T) in px of frames (V, T, H, W): mean flow magnitude inside
    ``masks`` (V, H, W; everywhere if None) from the onset frame to each frame, without head motion.

    The flow that is left at offset, where the expression is over, is drift: ``detrend`` subtracts
    its share (t - onset) / (offset - onset) from frame t, pixel by pixel (our choice).
    """
    flows = onset_flows(frames, onset, backend)
    return curve_of_flows(flows, onset, offset, compensation, detrend, masks)


def curve_of_flows(flows, onset, offset, compensation="rigid", detrend=True, masks=None):
    """Return the motion curve (V, T) of flows (V, T, 2, H, W), see ``motion_curve``."""
    curve = np.zeros(flows.shape[:2], np.float32)
    for v, view in enumerate(flows):
        mask = np.ones(view.shape[2:], bool) if masks is None else masks[v]
        if not mask.any():  # an empty mask shows no motion
            continue
        still = [compensate(flow, compensation, mask)[:, mask] for flow in view]
        for t, flow in enumerate(still):
            drift = (t - onset) / (offset - onset) * still[offset] if detrend else 0
            curve[v, t] = np.hypot(*(flow - drift)).mean()
    return curve


def joint_curve(curve, rule="mean", smoothing=1.5):
    """Smooth the views' curves (V, T) (Gaussian, frames) and join them by a rule into (T,)."""
    if rule not in RULES:
        raise MerError(f"apex rule {rule!r} is unknown; choose one of {', '.join(RULES)}")
    if smoothing:
        curve = np.asarray(curve, np.float64)
        curve = gaussian_filter1d(curve, smoothing, axis=1, mode="nearest")
    return RULES[rule](curve, axis=0)


def find_apex(curve, onset, offset, rule="mean", smoothing=1.5, near=0.95):
    """Return the apex: the first frame strictly between onset and offset at which the joint curve
    of (V, T) reaches ``near`` times its maximum there. MerError where no frame lies between them.

    The paper states that motion of both views gives the apex; rule, smoothing and ``near`` are our
    choice: noise and smoothing move the maximum itself (``near`` 1) to later frames.
    """
    if not 0 <= onset < offset - 1 or offset >= curve.shape[1]:
        ends = f"onset {onset} and offset {offset} of {curve.shape[1]} frames"
        raise MerError(f"no apex can lie between {ends}")
    between = joint_curve(curve, rule, smoothing)[onset + 1 : offset]
    return onset + 1 + int(np.argmax(between >= near * between.max()))
