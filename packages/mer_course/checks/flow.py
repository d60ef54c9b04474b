"""Exercises of 03: too far, a second step, there and back, and the nose patch."""

from mer_course.checks.answer import read_numbers, tell
from mer_utils.flow import compensate, compute_flow, magnitude
from mer_utils.plots import draw_images, draw_lines

import numpy as np
from IPython.display import display
from scipy.ndimage import map_coordinates

SHIFTS = (4, 8, 12, 16, 24)  # px
LOST = 1.0  # px: an EPE from which on a motion counts as not found
INNER = (slice(16, -16), slice(16, -16))  # what enters the picture at its border has no past
PATCH, SIDE, LEFT = 90, 20, 54  # px: upper row, side and left column of the nose patch


def fetch(picture, flow):
    """Return the grey levels (H, W) of a picture at x + flow(x), for a flow (2, H, W) px."""
    at = np.mgrid[: picture.shape[0], : picture.shape[1]] + flow[::-1]
    return map_coordinates(np.float64(picture), at, order=3, mode="reflect")


def measure_epe(flow, truth):
    """Return the mean EPE, px, of a flow (2, H, W) without its border."""
    return float(magnitude(flow - truth)[INNER].mean())


def follow_shift(texture, shift):
    """Return the EPE, px, of DIS on a texture (H, W) moved to the right by ``shift`` px."""
    truth = np.stack([np.full(texture.shape, float(shift)), np.zeros(texture.shape)])
    pair = (np.rint(p).clip(0, 255).astype(np.uint8) for p in (texture, fetch(texture, -truth)))
    return measure_epe(compute_flow(*pair), truth)


def check_1(shift_epe, texture):
    """Check {shift: EPE} px of DIS for each of SHIFTS; draw it where it is right."""
    given = shift_epe if isinstance(shift_epe, dict) else {}
    found = read_numbers([given.get(shift) for shift in SHIFTS], (len(SHIFTS),))
    if found is None:
        return tell(False, "", f"shift_epe must map each of the shifts {SHIFTS} px to its EPE, px")
    expected = np.array([follow_shift(texture, shift) for shift in SHIFTS])
    right = np.allclose(found, expected, rtol=0.1, atol=0.02)
    hint = "constant(shift, 0), as_frame(move(...)), compute_flow, find_epe(...)[inner].mean()."
    lost = [shift for shift, error in zip(SHIFTS, expected, strict=True) if error > LOST]
    praise = f"lost from {lost[0]} px on." if lost else "none of them is lost."
    tell(right, praise, hint)
    if right:
        curves = {"EPE of dis": expected, "EPE of no flow": np.array(SHIFTS, float)}
        display(draw_lines(SHIFTS, curves, f"dis: {praise}", "shift, px", "EPE, px"))


def check_2(flow, one_step, first, second, truth):
    """Check a flow (2, H, W) px that was improved by a second step of Lucas and Kanade; show what
    is wrong with both where it is right.
    """
    given = read_numbers(flow, np.shape(truth))
    if given is None:
        return tell(False, "", f"two_steps must be a flow of the shape {np.shape(truth)}")
    before, after = measure_epe(one_step, truth), measure_epe(given, truth)
    apart = np.abs(first - fetch(second, given))[INNER].mean()
    hint = f"EPE {after:.3f} px after {before:.3f}. Undo the flow in the second frame, ask again, "
    hint += "and mind the sign of what is found."
    right = after < before / 3
    praise = f"EPE {before:.3f} px, then {after:.3f}; the frames now differ by {apart:.1f} grey "
    tell(right, f"{praise}levels, undone.", hint)
    if right:
        errors = [magnitude(each - truth) for each in (one_step, given)]
        shown = [np.clip(255 * error / errors[0][INNER].max(), 0, 255) for error in errors]
        titles = [f"one step: {before:.3f} px", f"two: {after:.3f} px"]
        heading = f"EPE; white: {errors[0][INNER].max():.2f} px or more"
        display(draw_images(shown, titles, size=1.9, heading=heading))


def go_and_return(first, second):
    """Return how far (H, W) px from its place a pixel ends that follows DIS there and back."""
    there, back = compute_flow(first, second), compute_flow(second, first)
    return magnitude(there + np.stack([fetch(plane, there) for plane in back]))


def check_3(round_trip, first, second, truth=None):
    """Check the length (H, W) px of the way there and back; show it beside the EPE where a true
    flow (2, H, W) px, NaN where there is none, is known.
    """
    given = read_numbers(round_trip, first.shape)
    if given is None:
        return tell(False, "", f"round_trip must be a map of the shape {first.shape}")
    expected = go_and_return(first, second)
    right = (np.abs(given - expected) < 0.02 + 0.1 * expected).mean() > 0.95
    hint = "read each plane of `back` at x + there(x), add it to `there`, then take the length."
    if np.abs(given - magnitude(compute_flow(first, second))).mean() < 0.01:
        hint = "this is the length of the way there."
    words, shown = f"mean {expected.mean():.2f} px", {"there and back": expected}
    if truth is not None:
        error = magnitude(compute_flow(first, second) - truth)
        known = np.isfinite(error)
        like = np.corrcoef(expected[known], error[known])[0, 1]
        words += f"; it correlates with the EPE by {like:+.2f}"
        shown["EPE, where it is known"] = np.nan_to_num(error)
    tell(right, f"{words}.", hint)
    if right:
        top = float(np.percentile(expected if truth is None else expected[known], 99.5))
        pictures = [first, *(np.clip(255 * each / top, 0, 255) for each in shown.values())]
        titles = ["frame", *shown]
        display(draw_images(pictures, titles, size=1.9, heading=f"white: {top:.2f} px or more"))


def subtract_patch(flow, row):
    """Return a flow (2, H, W) px without the mean arrow of the patch that begins at ``row``."""
    part = flow[:, row : row + SIDE, LEFT : LEFT + SIDE]
    return flow - part.mean((1, 2), keepdims=True)


def check_4(patch_epe, flow, push):
    """Check the EPE, px, to the ``push`` (2, H, W) px that the nose patch leaves of a ``flow``;
    draw it for patches of other rows where it is right.
    """
    given = read_numbers(patch_epe, ())
    if given is None:
        return tell(False, "", "patch_epe must be one number, px")
    expected = measure_epe(subtract_patch(flow, PATCH), push)
    others = {how: measure_epe(compensate(flow, how), push) for how in ("none", "median", "rigid")}
    right = np.isclose(given, expected, rtol=0.02, atol=0.002)
    words = ", ".join(f"{name} {error:.2f}" for name, error in others.items())
    hint = "the mean of the patch's arrows, one of u and one of v, taken from all; then the EPE."
    tell(right, f"{expected:.2f} px; {words}.", hint)
    if right:
        rows = np.arange(16, flow.shape[1] - 16 - SIDE + 1, 2)
        curves = {"patch": [measure_epe(subtract_patch(flow, row), push) for row in rows]}
        curves |= {name: np.full(len(rows), error) for name, error in others.items()}
        title = f"the best patch leaves {min(curves['patch']):.2f} px, the median "
        title += f"{others['median']:.2f}, a rigid fit {others['rigid']:.2f}"
        marks = [(PATCH, "nose patch")]
        display(draw_lines(rows, curves, title, "upper row of the patch", "EPE, px", marks))
