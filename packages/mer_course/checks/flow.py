"""Exercises of 03: optical strain, a second step, and a round trip."""

from mer_course.checks.answer import compare, judge, need
from mer_utils.flow import compute_flow, magnitude, strain

import numpy as np
from scipy.ndimage import map_coordinates

INNER = (slice(16, -16), slice(16, -16))  # what enters the picture at its border has no past


def measure_epe(flow, truth):
    """Return the mean EPE, px, of a flow (2, H, W) without its border."""
    return float(magnitude(flow - truth)[INNER].mean())


@judge
def check_1(strain_by_hand, flow):
    """The function must return the strain (H, W), px per px, of a flow (2, H, W) px."""
    y, x = 0.02 * np.mgrid[-9:10, -9:10]
    toys = {"rotation": np.stack([-y, x]), "stretch": np.stack([x, 0 * y]), "your clip": flow}
    for name, field in toys.items():
        hint = f"The strain of the {name}: e_xy stands twice under the root, and is half a sum."
        compare(strain_by_hand(field)[1:-1, 1:-1], strain(field)[1:-1, 1:-1], hint, 1e-6)
    means = (strain_by_hand(field).mean() for field in toys.values())
    return "a rotation {:.3f}, a stretch {:.3f}, the clip {:.3f} on average.".format(*means)


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
