"""The apex frame from motion alone: how far each frame has moved from the onset, in both views
together.
"""

from mer_utils import MerError
from mer_utils.flow import compensate, compute_flow

import numpy as np
from scipy.ndimage import gaussian_filter1d

RULES = {"mean": np.mean, "max": np.max, "product": np.prod}


def onset_flows(frames, onset, backend="dis-half"):
    """Return the flow (V, T, 2, H, W) px from the onset frame to each frame of frames (V, T, H,
    W).
    """
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
    ``masks`` (V, H, W; everywhere if None) from the onset frame to each frame, head motion taken
    out.

    A head that turns slowly moves ever farther from the onset, so that the largest flow is often
    the last one. ``detrend`` takes this out (our choice, not the paper's): at offset the expression
    is over, so what flow is left there is drift, and frame t keeps the flow onset-t less (t -
    onset) / (offset - onset) times the flow onset-offset, pixel by pixel.
    """
    flows = onset_flows(frames, onset, backend)
    return curve_of_flows(flows, onset, offset, compensation, detrend, masks)


def curve_of_flows(flows, onset, offset, compensation="rigid", detrend=True, masks=None):
    """Return the motion curve (V, T) of flows (V, T, 2, H, W) from the onset frame (see
    ``motion_curve``).
    """
    curve = np.zeros(flows.shape[:2], np.float32)
    for v, view in enumerate(flows):
        mask = np.ones(view.shape[2:], bool) if masks is None else masks[v]
        if not mask.any():  # nothing to follow: no motion
            continue
        still = [compensate(flow, compensation, mask)[:, mask] for flow in view]
        for t, flow in enumerate(still):
            drift = (t - onset) / (offset - onset) * still[offset] if detrend else 0
            curve[v, t] = np.hypot(*(flow - drift)).mean()
    return curve


def joint_curve(curve, rule="mean", smoothing=1.5):
    """Join the views' curves (V, T) into one (T,): smooth each (Gaussian, ``smoothing`` frames),
    then mean, max or product over views.
    """
    if rule not in RULES:
        raise MerError(f"apex rule {rule!r} is unknown; choose one of {', '.join(RULES)}")
    smooth = (
        gaussian_filter1d(np.asarray(curve, np.float64), smoothing, axis=1, mode="nearest")
        if smoothing
        else curve
    )
    return RULES[rule](smooth, axis=0)


def find_apex(curve, onset, offset, rule="mean", smoothing=1.5, near=0.95):
    """Return the apex: the first frame strictly between onset and offset at which the joint curve
    of (V, T) reaches ``near`` times its largest value there.

    A face rises faster than it relaxes, and may hold its peak: smoothing and noise draw the largest
    value to the longer slope, so that it comes late. With ``near`` 1 it is the largest value (the
    first of equals). Source: the paper's abstract (apex from the motion of both views); the rule,
    the smoothing and ``near`` are our choice. Raises MerError where no frame lies between onset and
    offset.
    """
    if not 0 <= onset < offset - 1 or offset >= curve.shape[1]:
        raise MerError(
            f"no apex can lie between onset {onset} and offset {offset} of {curve.shape[1]} frames"
        )
    between = joint_curve(curve, rule, smoothing)[onset + 1 : offset]
    return onset + 1 + int(np.argmax(between >= near * between.max()))
