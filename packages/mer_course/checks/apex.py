"""Exercises of 02: one view, a head that is pushed, blinks, and how near to the peak."""

from faces4d.head import AUS
from faces4d.motion import read_truth
from mer_course.checks.answer import read_numbers, tell
from mer_utils.apex import curve_of_flows, find_apex, joint_curve
from mer_utils.plots import draw_counts, draw_lines

import numpy as np
from IPython.display import display

NEARS = (1.0, 0.95, 0.8)
LID = 0.1  # activation of AU45 from which on lids count as blinking
UNKNOWN = "No clip has a reference apex, so this exercise has no answer here."


def measure_errors(curves, clips, **options):
    """Return by how many frames (N,) the apex found in each of ``curves`` (V, T) lies from that of
    its clip; positive: late.
    """
    pairs = zip(curves, clips, strict=True)
    return np.array(
        [find_apex(each, clip.onset, clip.offset, **options) - clip.apex for each, clip in pairs]
    )


def check_1(errors, curves, clips):
    """Check the mean absolute error, frames, of the apex found in each view alone."""
    if not clips:
        return print(UNKNOWN)
    views = len(curves[0])
    if views < 2:
        return print("There is one view only, so this exercise has no answer here.")
    given = read_numbers(errors, (views,))
    if given is None:
        return tell(False, "", f"errors must be a list of {views} numbers, frames")
    parts = [[curve[v : v + 1] for curve in curves] for v in range(views)]
    expected = [abs(measure_errors(part, clips)).mean() for part in parts]
    both = abs(measure_errors(curves, clips)).mean()
    hint = "find_apex wants curves (V, T): keep the axis of views, curve[0:1], then curve[1:2]."
    told = " and ".join(f"{each:.2f}" for each in expected)
    right = np.allclose(given, expected, atol=0.01)
    tell(right, f"{told} frames alone, {both:.2f} together, over {len(clips)} clips.", hint)


def push_flows(flows, onset, push):
    """Return flows (V, T, 2, H, W) px from the onset, of a head that also drifts to the right by
    ``push`` px a frame.
    """
    pushed = flows.copy()
    pushed[:, :, 0] += (push * (np.arange(flows.shape[1]) - onset))[None, :, None, None]
    return pushed


def check_2(apexes, flows, masks, onset, offset, push):
    """Check the apex of a pushed head without and with detrending, no compensation; show the
    curves where both are right.
    """
    given = read_numbers(apexes, (2,))
    if given is None:
        return tell(False, "", "apexes must be a list of 2 frames: without and with detrending")
    pushed = push_flows(flows, onset, push)
    curves = {
        name: curve_of_flows(pushed, onset, offset, "none", detrend, masks)
        for name, detrend in (("as it is", False), ("detrended", True))
    }
    expected = [find_apex(curve, onset, offset) for curve in curves.values()]
    still = find_apex(curve_of_flows(flows, onset, offset, "none", True, masks), onset, offset)
    right = given.tolist() == expected
    hint = "curve_of_flows(pushed, onset, offset, 'none', detrend, masks), then find_apex."
    praise = f"frames {expected[0]} and {expected[1]}; detrended without any push: {still}."
    tell(right, praise, hint)
    if right:
        lines = {name: joint_curve(curve) for name, curve in curves.items()}
        marks = [(frame, f"apex, {name}") for frame, name in zip(expected, lines, strict=True)]
        title = f"a head that drifts by {push} px a frame"
        times = np.arange(flows.shape[1])
        display(draw_lines(times, lines, title, "frame", "motion, px", marks))


def check_3(blinks, dataset, errors):
    """Check which clips (N,) blink between onset and offset; ``errors`` (N,) are theirs in
    frames.
    """
    if not dataset.synthetic:
        return print("When lids move is not known of these data: this exercise has no answer here.")
    given = read_numbers(blinks, (len(dataset.clips),))
    if given is None:
        wanted = f"blinks must be {len(dataset.clips)} times True or False"
        return tell(False, "", wanted)
    lid = AUS.index(45)
    expected = np.array(
        [
            read_truth(dataset, clip).weights[clip.onset : clip.offset + 1, lid].max() > LID
            for clip in dataset.clips
        ]
    )
    if not expected.any() or expected.all():
        return print("All clips blink or none does: this exercise has no answer here.")
    hint = f"{int(abs(given - expected).sum())} clips differ. Which frames count, which AU?"
    means = errors[expected].mean(), errors[~expected].mean()
    praise = f"mean error {means[0]:.1f} frames with a blink ({expected.sum()} clips), "
    praise += f"{means[1]:.1f} without ({(~expected).sum()})."
    tell((given == expected).all(), praise, hint)


def check_4(counts, curves, clips):
    """Check [late, early] clips (more than a frame) for each of NEARS; show the errors where all
    are right.
    """
    if not clips:
        return print(UNKNOWN)
    given = read_numbers(counts, (len(NEARS), 2))
    if given is None:
        return tell(False, "", f"counts must be {len(NEARS)} pairs [late, early]")
    wrong = {f"near {near:g}": measure_errors(curves, clips, near=near) for near in NEARS}
    expected = [[(each > 1).sum(), (each < -1).sum()] for each in wrong.values()]
    right = given.tolist() == np.array(expected).tolist()
    hint = "late: found - true > 1; early: < -1. In which order do the three rows stand?"
    tell(right, "the smaller `near`, the earlier the answers.", hint)
    if right:
        title = f"a smaller near answers earlier ({len(clips)} clips)"
        display(draw_counts(wrong, title, "frames from the true apex; positive: late"))
