"""What the doctor sees in one clip: its frames read once, its face box, its motion, whether its two
views keep step.

The limits were measured on synthetic clips, healthy and spoilt on purpose. Real faces and cameras
differ: what rests on a limit is there for somebody to look at, and stops nothing.
"""

import hashlib
import os
import re
from collections import Counter
from typing import NamedTuple

from mer_utils import MerError
from mer_utils.dataset import number_key, read_image
from mer_utils.flow import compute_flow, head_motion, magnitude
from mer_utils.preprocessing import crop, locate, split_views

import numpy as np

CROP = 128  # px, side of the crop in which motion is measured
SMALL = 48  # px, side of the crops in which the two views are compared
LONGEST = 600  # frames of a clip that are compared: ten seconds at 60 fps
LONG = 0.5  # s from onset to offset: what still counts as micro
# px of that crop. None of 801 healthy clips (three sets, views 224 px high) passes a limit: the
# face moves 0.14 px or more in the stiller view and 2.10 px or less in the livelier one, the head
# 3.8 px or less; 48 clips at 96 and 448 px: 0.18 to 2.26 px. With the head held quite still, 2 of
# 72 healthy clips do. Exact stills come out as 0.00 px. Out of 24 each are seen: stills with camera
# noise 14 (at 448 px 18, at 96 px, whose pixels are as noisy, 1), macro-expressions of 4-8 px 18
# and of 8-12 px 20, heads that drift 5 times as fast 4, 20 times 23.
STILL, LARGE, HEAD = 0.12, 2.4, 8.0
# Frames; a difference of correlations. None of 801 healthy clips passes, 2 of 24 without any noise
# or flicker do. A view that is 1, 2, 4 frames late is found in 79, 83, 92 % of clips (96 px: 62,
# 79, 88 %), but seldom where each view flickers on its own: 8, 33, 33 %.
LAGS, MARGIN = 5, 0.4


class Finding(NamedTuple):
    """One thing found: ``level`` is "mend" (a run would fail or be wrong) or "look" (odd, may be
    right), ``check`` a row of the report's table, ``where`` a clip, a file or a row of the
    manifest.
    """

    level: str
    check: str
    where: str
    what: str


class Seen(NamedTuple):
    """What remains of one clip once it was read."""

    findings: list
    size: tuple | None = None  # (width, height) px of its first picture
    digest: str | None = None  # of all its decoded pictures; None where one is missing
    how: str | None = None  # its face boxes were found: manifest, silhouette, fallback
    # px of the crop: face in the stiller view, in the livelier one, head
    motion: tuple | None = None


def explain(level, check, error, root):
    """Return the Finding of a MerError, its paths counted from ``root``."""
    inner = rf"(?<![^\s'(]){re.escape(f'{root}{os.sep}')}"
    where, what = (re.sub(inner, "", text) for text in (error.where, error.what))
    return Finding(level, check, where, what)


def inspect_group(root, info, clips):
    """Return what is seen of some clips: the work of one job."""
    inspect = _inspect_pictures if info.get("channels") else _inspect_clip
    return [inspect(root, info, clip) for clip in clips]


def _decode(root, clip, findings, colour=False):
    """Yield (frame number, picture) of a clip for what can be read and has the first one's size;
    note the others.
    """
    size, unread, unequal = None, [], []
    for t, path in enumerate(clip.frames):
        try:
            picture = read_image(path, colour)
        except MerError as error:
            unread.append(error)
            continue
        size = picture.shape[1::-1] if size is None else size
        if picture.shape[1::-1] == size:
            yield t, picture
        else:
            sizes = "{} x {} px, but the clip's first is {} x {} px".format(
                *picture.shape[1::-1], *size
            )
            unequal.append(MerError(path, sizes))
    for check, errors in (("frames", unread), ("sizes", unequal)):
        if errors:
            first = explain("mend", check, errors[0], root)
            more = (
                f" (and {len(errors) - 1} more of its {len(clip.names)} frames)"
                if len(errors) > 1
                else ""
            )
            findings.append(first._replace(what=first.what + more))


def _inspect_clip(root, info, clip):
    """Read a clip's frames one by one; only small crops and a few crops of the face are kept at any
    time.
    """
    findings, digest, size, boxes, how = [], hashlib.sha256(), None, None, None
    before, repeats, whole, small, large = None, 0, 0, [], {}
    quarters = [clip.onset + round((clip.offset - clip.onset) * k / 4) for k in range(5)]
    for t, picture in _decode(root, clip, findings):
        this = hashlib.sha256(picture).digest()
        digest.update(this)
        repeats, before, whole = repeats + (this == before), this, whole + 1
        try:
            views = split_views(picture, info["views"])
            if boxes is None:
                size, (boxes, how) = picture.shape[1::-1], locate(views, clip)
            if t in quarters:
                large[t] = [crop(view, box, CROP) for view, box in zip(views, boxes, strict=True)]
            if len(small) < LONGEST and info["views"] == 2:
                small.append(
                    [crop(view, box, SMALL) for view, box in zip(views, boxes, strict=True)]
                )
        except MerError as error:
            return Seen([*findings, Finding("mend", "face box", clip.name, str(error))], size)
    if whole < len(clip.names):
        return Seen(findings, size, None, how)
    findings += _judge_frames(clip, info, size, boxes, how, repeats)
    motion = _measure_motion([large[t] for t in quarters], quarters)
    findings += _judge_motion(clip, *motion)
    lag = _find_lag(np.array(small, np.float32).swapaxes(0, 1)) if small else None
    if lag:
        late = "right" if lag < 0 else "left"
        findings.append(
            Finding(
                "look", "views", clip.name, f"the {late} view seems to be {abs(lag)} frames late"
            )
        )
    return Seen(findings, size, digest.hexdigest(), how, motion)


def _measure_motion(crops, times):
    """Return in px of the crop how far a face moves, in the view where it is least and where it is
    most (95th percentile of the flow from onset to a quarter, half, three quarters of the way, the
    largest of the three), and its head. As in apex.py the head's motion and the drift that is left
    at offset are taken out.
    """
    sizes, heads = [], []
    for view in zip(*crops, strict=True):
        flows = [compute_flow(view[0], later, "dis-half") for later in view[1:]]
        rigid = [head_motion(flow) for flow in flows]
        still = [flow - head for flow, head in zip(flows, rigid, strict=True)]
        share = [(t - times[0]) / (times[-1] - times[0]) for t in times[1:-1]]
        left = [flow - part * still[-1] for flow, part in zip(still[:-1], share, strict=True)]
        sizes.append(max(float(np.percentile(magnitude(flow), 95)) for flow in left))
        heads.append(max(float(magnitude(flow).mean()) for flow in rigid))
    return min(sizes), max(sizes), max(heads)


def _judge_motion(clip, least, most, head):
    """Return Findings for motion that is too small or too large for a micro-expression."""
    found = []
    if least < STILL:
        found.append(
            f"the face hardly moves ({least:.2f} px of a {CROP} px crop): a still, or other "
            "frames than meant?"
        )
    if most > LARGE:
        found.append(
            f"the face moves much ({most:.1f} px of a {CROP} px crop): a macro-expression, "
            "speech, a cut?"
        )
    if head > HEAD:
        found.append(
            f"the head moves much ({head:.1f} px of a {CROP} px crop): the flow keeps part of that"
        )
    return [Finding("look", "motion", clip.name, what) for what in found]


def _find_lag(films):
    """Return by how many frames the left view (first of two small films (V, T, S, S)) runs behind
    the right; 0 where no other lag is clearly better.

    What is compared is how much the picture changes from frame to frame, as it is and with the
    exposure evened out.
    """
    raw, even = (
        _correlate(*(np.abs(np.diff(film, axis=0)).mean((1, 2)) for film in pair))
        for pair in (films, films / np.maximum(films.mean((2, 3), keepdims=True), 1) * 128)
    )
    best = int(np.argmax(raw))
    clear = raw[best] > MARGIN and raw[best] - raw[LAGS] > MARGIN and even[best] > even[LAGS]
    return best - LAGS if clear else 0


def _correlate(left, right):
    """Return the correlation of two courses (T,) at each lag from -LAGS to LAGS; -1 where fewer
    than 8 values meet.
    """
    found = []
    for lag in range(-LAGS, LAGS + 1):
        a = left[max(0, lag) : len(left) + min(0, lag)]
        b = right[max(0, -lag) : len(right) + min(0, -lag)]
        spread = np.std(a) * np.std(b) if len(a) >= 8 else 0
        found.append(np.mean((a - a.mean()) * (b - b.mean())) / spread if spread > 1e-9 else -1.0)
    return np.array(found)


def _judge_frames(clip, info, size, boxes, how, repeats):
    """Return Findings on what a clip's frames and box look like."""
    found = []
    if info["views"] == 2 and size[0] % 2:
        found.append(
            (
                "sizes",
                f"{size[0]} px wide, an odd number: the last column is dropped to part the two "
                "views",
            )
        )
    if how == "fallback":
        found.append(
            (
                "face box",
                "no plain background: the stated fallback box is used; give a box column or run "
                "mer boxes",
            )
        )
    sides = [x1 - x0 for x0, _, x1, _ in boxes]
    if max(sides) > 1.5 * min(sides):
        found.append(
            ("views", f"the face boxes of the two views are {sides[0]} and {sides[1]} px wide")
        )
    if repeats:
        found.append(
            ("frames", f"{repeats} of {len(clip.names)} frames repeat the one before exactly")
        )
    gaps = _find_gaps(clip.names)
    if gaps:
        found.append(("frames", f"the numbers in the file names jump {gaps}: are frames missing?"))
    seconds = (clip.offset - clip.onset) / clip.fps if clip.fps else 0
    if seconds > LONG:
        found.append(
            (
                "duration",
                f"{seconds:.2f} s from onset to offset, more than a micro-expression's {LONG} s",
            )
        )
    return [Finding("look", check, clip.name, what) for check, what in found]


def _find_gaps(names):
    """Return the first jump in the frame numbers, as "from 12 to 14", or None; the number is the
    one that varies.
    """
    keys = [number_key(name)[0] for name in names]
    if len({len(key) for key in keys}) > 1:
        return None
    # not the subject's
    varying = [column for column in zip(*keys, strict=True) if len(set(column)) > 1]
    if len(varying) != 1:
        return None
    steps = np.diff(varying[0])
    usual, times = Counter(steps.tolist()).most_common(1)[0]
    # times of day have no usual step
    at = np.flatnonzero(steps > usual) if times > len(steps) / 2 else []
    return f"from {varying[0][at[0]]} to {varying[0][at[0] + 1]}" if len(at) else None


def _inspect_pictures(root, info, clip):
    """Read a clip's ready-made flow images."""
    findings, digest, size, whole = [], hashlib.sha256(), None, 0
    for t, picture in _decode(root, clip, findings, colour=True):
        size, whole = picture.shape[1::-1], whole + 1
        digest.update(hashlib.sha256(picture).digest())
        red, green, blue = picture.reshape(-1, 3).T
        if picture.min() == picture.max():
            findings.append(
                Finding(
                    "look",
                    "channels",
                    clip.name,
                    f"picture {t + 1} is of one colour: no motion at all",
                )
            )
        elif np.array_equal(red, green) and np.array_equal(green, blue):
            what = (
                f"picture {t + 1} is grey, but must hold {', '.join(info['channels'])} as "
                "red, green, blue"
            )
            findings.append(Finding("mend", "channels", clip.name, what))
    return Seen(findings, size, digest.hexdigest() if whole == len(clip.names) else None)
