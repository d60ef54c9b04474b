"""Exercises of 02: one view, a head that drifts, blinks, and how near to the peak."""

from faces4d.head import AUS
from faces4d.motion import read_truth
from mer_course.checks.answer import compare, judge, skip
from mer_utils.apex import curve_of_flows, find_apex

import numpy as np


def measure_errors(curves, clips, **options):
    """Return by how many frames (N,) the apex of each of ``curves`` (V, T) is late."""
    found = [find_apex(c, k.onset, k.offset, **options) for c, k in zip(curves, clips, strict=True)]
    return np.array(found) - [clip.apex for clip in clips]


@judge
def check_1(errors, curves, clips):
    """The mean absolute errors must be one number a view, in frames."""
    skip(not clips, "No clip has a reference apex")
    skip(len(curves[0]) < 2, "There is one view only")
    parts = [[curve[v : v + 1] for curve in curves] for v in range(len(curves[0]))]
    expected = [abs(measure_errors(part, clips)).mean() for part in parts]
    compare(errors, expected, "Keep the axis of views: curve[0:1], then curve[1:2].", 0.01)
    both = abs(measure_errors(curves, clips)).mean()
    return f"{' and '.join(map('{:.2f}'.format, expected))} frames alone, {both:.2f} together."


@judge
def check_2(apexes, pushed, masks, onset, offset):
    """The apexes must be two frames, without and with detrending, of flows (V, T, 2, H, W) px."""
    expected = []
    for detrend in (False, True):
        curve = curve_of_flows(pushed, onset, offset, "none", detrend, masks)
        expected.append(find_apex(curve, onset, offset))
    hint = "curve_of_flows(pushed, onset, offset, 'none', detrend, masks), then find_apex."
    compare(apexes, expected, hint)
    return f"frames {expected[0]} and {expected[1]}."


@judge
def check_3(blinks, dataset, errors):
    """The blinks must be True or False for each clip; ``errors`` (N,) are in frames."""
    skip(not dataset.synthetic, "It is not known when lids move in these data")
    lids = [read_truth(dataset, clip).weights[:, AUS.index(45)] for clip in dataset.clips]
    pairs = zip(lids, dataset.clips, strict=True)
    blink = np.array([lid[clip.onset : clip.offset + 1].max() > 0.1 for lid, clip in pairs])
    skip(blink.all() or not blink.any(), "All clips blink, or none does")
    compare(blinks, blink, "Which frames count, and which AU?")
    praise = f"mean error {errors[blink].mean():.1f} frames with a blink ({blink.sum()} clips)"
    return f"{praise}, {errors[~blink].mean():.1f} without ({(~blink).sum()})."


@judge
def check_4(counts, curves, clips):
    """The counts must be three pairs [late, early], one for each value of near."""
    skip(not clips, "No clip has a reference apex")
    errors = [measure_errors(curves, clips, near=near) for near in (1, 0.95, 0.8)]
    expected = [[(wrong > 1).sum(), (wrong < -1).sum()] for wrong in errors]
    compare(counts, expected, "late: found - true > 1; early: < -1. Is each row in its place?")
    return "the smaller `near`, the earlier the answers."
