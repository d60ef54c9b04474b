"""Exercises of 09: a table without frame numbers, a person in two spellings, a box by hand."""

from mer_course.checks.answer import judge, need
from mer_utils.plots import draw_images

import numpy as np


@judge
def check_1(short, mine):
    """The answer must be a dataset, as open_dataset returns it."""
    people, wanted = (sorted(clip.subject for clip in each.clips) for each in (short, mine))
    need(people == wanted, f"{len(people)} clips; all {len(wanted)} of the same people are wanted.")
    hint = f"its labels are {short.labels}; name the label's column, too."
    need(tuple(short.labels) == tuple(mine.labels), hint)
    numbers = [(clip.onset, clip.apex, clip.offset) for clip in short.clips]
    none = [(0, None, len(clip.frames) - 1) for clip in short.clips]
    need(numbers == none, "frame numbers are still there: which columns need no name?")
    whole = sum(len(clip.frames) for clip in short.clips)
    part = sum(clip.offset - clip.onset + 1 for clip in mine.clips)
    return f"{whole} frames count as expressions; with frame numbers it was {part}.", None


@judge
def check_2(report):
    """The report must be what examine returns."""
    found = [one for one in report.findings if (one.check, one.level) == ("subjects", "mend")]
    need(found, "the doctor finds nothing to mend in the subjects: is the manifest written?")
    return "; ".join(f"{one.where}: {one.what}" for one in found), None


def overlap(box, other):
    """Return intersection over union of two boxes (x0, y0, x1, y1)."""
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    common = np.prod(np.maximum(high - low, 0))
    areas = [np.prod(np.subtract(b[2:], b[:2])) for b in (box, other)]
    return float(common / (sum(areas) - common))


@judge
def check_3(box, picture, found):
    """The box must be four numbers in px: x0, y0, x1, y1."""
    (x0, y0, x1, y1), (high, wide) = box, picture.shape
    inside = 0 <= x0 < x1 <= wide and 0 <= y0 < y1 <= high
    need(inside, f"x0 < x1 up to {wide}, y0 < y1 up to {high}: px from the top left.")
    common = overlap(box, found)
    words = f"it shares {common:.0%} with the silhouette's box"
    need(common >= 0.6, f"{words}. Go from the brows to the chin, and from ear to cheek.")
    return f"{words}.", draw_images([picture] * 2, ["by hand", "found"], boxes=[box, found])
