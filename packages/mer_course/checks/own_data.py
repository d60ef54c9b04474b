"""Exercises of 09: a table without frame numbers, a preset, a box by hand."""

from mer_course.checks.answer import judge, need

import numpy as np


@judge
def check_1(short, mine):
    """The answer must be a dataset, as open_dataset returns it."""
    people, wanted = (sorted(clip.subject for clip in each.clips) for each in (short, mine))
    need(people == wanted, f"{len(people)} clips; all {len(wanted)} of the same people are wanted.")
    need(tuple(short.labels) == tuple(mine.labels), "name the column of the label, too.")
    numbers = [(clip.onset, clip.apex, clip.offset) for clip in short.clips]
    none = [(0, None, len(clip.frames) - 1) for clip in short.clips]
    need(numbers == none, "frame numbers are still there: which columns need no name?")
    whole = sum(len(clip.frames) for clip in short.clips)
    part = sum(clip.offset - clip.onset + 1 for clip in mine.clips)
    return f"{whole} frames count as expressions; with frame numbers it was {part}."


@judge
def check_2(in_lab, mine):
    """The answer must be a dataset, as open_dataset returns it."""
    count, all_clips = len(in_lab.clips), len(mine.clips)
    need(count == all_clips, f"{count} clips; all {all_clips} are wanted.")
    for clip, wanted in zip(in_lab.clips, mine.clips, strict=True):
        need(clip.subject == wanted.subject, f"{clip.name}: the subject is {clip.subject}.")
        keys, right = ((c.onset, c.apex, c.offset) for c in (clip, wanted))
        need(keys == right, f"{clip.name}: onset, apex, offset are {keys}, but should be {right}.")
        need(clip.frames == wanted.frames, f"{clip.name}: its frames are other ones.")
    need(all(clip.fps == 60 for clip in in_lab.clips), "say how many frames there are a second.")
    return f"{count} clips by a preset of your own."


@judge
def check_3(box, picture, found):
    """The box must be four whole numbers, px: x0, y0, x1, y1."""
    (x0, y0, x1, y1), (high, wide) = box, picture.shape
    inside = 0 <= x0 < x1 <= wide and 0 <= y0 < y1 <= high
    need(inside, f"x0 < x1 up to {wide}, y0 < y1 up to {high}: px from the top left.")
    masks = np.zeros((2, high, wide), bool)
    for mask, (left, top, right, bottom) in zip(masks, (box, found), strict=True):
        mask[top:bottom, left:right] = True
    common = masks.all(0).sum() / masks.any(0).sum()
    words = f"it shares {common:.0%} with the silhouette's box"
    need(common >= 0.6, f"{words}. Go from the brows to the chin, and from ear to cheek.")
    return f"{words}."
