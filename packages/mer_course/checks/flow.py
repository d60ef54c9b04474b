"""Exercises of 03: the nose patch, a second step, and a round trip."""

from mer_course.checks.answer import compare, judge, need
from mer_utils.flow import compensate, compute_flow, magnitude

import numpy as np
from scipy.ndimage import map_coordinates

INNER = (slice(16, -16), slice(16, -16))  # what enters the picture at its border has no past


def measure_epe(flow, truth):
    """Return the mean EPE, px, of a flow (2, H, W) without its border."""
    return float(magnitude(flow - truth)[INNER].mean())


@judge
def check_1(patch_epe, flow, push):
    """The EPE must be one number, px, of a flow (2, H, W) without the mean arrow of its patch."""
    expected = measure_epe(flow - flow[:, 90:110, 54:74].mean((1, 2), keepdims=True), push)
    hint = "Take the patch's mean arrow, one u and one v, from all arrows; then the EPE."
    compare(patch_epe, expected, hint, 0.002, 0.02)
    rigid = measure_epe(compensate(flow, "rigid"), push)
    return f"{expected:.2f} px; with a rigid head taken out {rigid:.2f}."


@judge
def check_2(flow, one_step, first, second, truth):
    """The better flow must have the shape (2, H, W) of the first one, in px."""
    before, after = measure_epe(one_step, truth), measure_epe(flow, truth)
    hint = "Undo the flow in the second frame, solve again, and mind the sign of what is found."
    need(after < before / 3, f"EPE {after:.3f} px after {before:.3f}. {hint}")
    return f"EPE {before:.3f} px, then {after:.3f}."


@judge
def check_3(round_trip, first, second, truth=None):
    """The round trip must be a map (H, W) of px; the true flow (2, H, W) is NaN where unknown."""
    there, back = compute_flow(first, second), compute_flow(second, first)
    places = np.mgrid[: first.shape[0], : first.shape[1]] + there[::-1]
    read = [map_coordinates(np.float64(plane), places, order=3, mode="reflect") for plane in back]
    expected = magnitude(there + np.stack(read))
    hint = "Read each plane of `back` at x + there(x), add it to `there`, then take the length."
    close = np.abs(np.reshape(round_trip, first.shape) - expected) < 0.02 + 0.1 * expected
    need(close.mean() > 0.95, hint)
    known = "" if truth is None else f", mean EPE {np.nanmean(magnitude(there - truth)):.2f} px"
    return f"mean {expected.mean():.2f} px{known}."
