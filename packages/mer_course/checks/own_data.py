"""Exercises of 09: a table without frame numbers, a person in two spellings, a box by hand."""

from mer_course.checks.answer import read_numbers, tell
from mer_utils.plots import BLUE, ORANGE, draw_images, grid

import numpy as np
from IPython.display import display

OVERLAP = 0.6  # intersection over union of two boxes that show the same face


def check_1(short, mine):
    """Check a dataset that was imported without frame numbers beside ``mine``, with them; draw what
    is taken for the expression in each clip.
    """
    clips = getattr(short, "clips", None)
    if clips is None:
        return tell(False, "", "short must be what open_dataset returns")
    if sorted(c.subject for c in clips) != sorted(c.subject for c in mine.clips):
        hint = f"{len(clips)} clips; all {len(mine.clips)} of the same people are wanted"
        return tell(False, "", hint)
    if tuple(short.labels) != tuple(mine.labels):
        return tell(False, "", f"its labels are {short.labels}; name the label's column, too")
    known = [
        name
        for name, there in (
            ("onset", any(c.onset for c in clips)),
            ("apex", any(c.apex is not None for c in clips)),
            ("offset", any(c.offset != len(c.frames) - 1 for c in clips)),
        )
        if there
    ]
    hint = f"frame numbers of {', '.join(known)} are still there: which columns need no name?"
    whole = sum(len(c.frames) for c in clips)
    part = sum(c.offset - c.onset + 1 for c in mine.clips)
    praise = f"{whole} frames count as expressions; with frame numbers it was {part}."
    tell(not known, praise, hint)
    if not known:
        figure, ((axis,),) = grid(1, 1, 7, 0.8 + 0.3 * len(clips))
        for row, (all_of_it, own) in enumerate(zip(clips, mine.clips, strict=True)):
            axis.barh(row - 0.2, all_of_it.offset + 1, height=0.35, color=ORANGE)
            axis.barh(row + 0.2, own.offset - own.onset + 1, 0.35, own.onset, color=BLUE)
        axis.set_yticks(range(len(clips)), [own.name for own in mine.clips])
        title = (
            f"without frame numbers (orange) {whole / max(part, 1) - 1:.0%} more frames are taken "
        )
        axis.set(title=title + "for the expression", xlabel="frame")
        axis.invert_yaxis()
        display(figure)


def check_2(report):
    """Check the doctor's report on a set with one person in two spellings."""
    findings = getattr(report, "findings", None)
    if findings is None:
        return tell(False, "", "report must be what examine returns")
    found = [one for one in findings if one.check == "subjects" and one.level == "mend"]
    hint = "the doctor finds nothing to mend in the subjects: is the manifest written?"
    told = "; ".join(f"{one.where}: {one.what}" for one in found)
    tell(bool(found), told, hint)


def overlap(box, other):
    """Return intersection over union of two boxes (x0, y0, x1, y1)."""
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    common = np.prod(np.maximum(high - low, 0))
    areas = [np.prod(np.subtract(b[2:], b[:2])) for b in (box, other)]
    return float(common / (sum(areas) - common))


def check_3(box, picture, found):
    """Check a box (x0, y0, x1, y1) px around the face in ``picture`` (H, W) with the one that was
    ``found`` before a plain background; draw both.
    """
    given, (high, wide) = read_numbers(box, (4,)), picture.shape
    if given is None:
        return tell(False, "", "box must be four numbers: x0, y0, x1, y1")
    if not (0 <= given[0] < given[2] <= wide and 0 <= given[1] < given[3] <= high):
        return tell(False, "", f"x0 < x1 up to {wide}, y0 < y1 up to {high}: px from the top left")
    common = overlap(given, np.asarray(found, float))
    hint = (
        f"it shares {common:.0%} with the silhouette's: from the brows to the chin, ear to cheek."
    )
    tell(common >= OVERLAP, f"it shares {common:.0%} with the silhouette's box.", hint)
    if common >= OVERLAP:
        titles = ["by hand", f"found; {common:.0%} shared"]
        display(draw_images([picture] * 2, titles, boxes=[tuple(given), tuple(found)], size=1.7))
