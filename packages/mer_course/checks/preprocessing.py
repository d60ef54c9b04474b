"""Exercises of 01: uneven light, size and place of the crop, and what counts as texture."""

from mer_course.checks.answer import compare, judge, need, skip
from mer_utils.flow import compute_flow, magnitude
from mer_utils.preprocessing import crop, face_mask, find_box, silhouette

import numpy as np


def dim(frame, share):
    """Return a view (H, W) uint8 whose light falls evenly to 1 - ``share`` at the right edge."""
    return (frame * np.linspace(1, 1 - share, frame.shape[1])).astype(np.uint8)


@judge
def check_1(first_share, frame):
    """The share of a view (H, W) must be one of 0.05, 0.10, 0.15 and so on."""
    skip(silhouette(frame) is None, "The view has no plain background")
    lit = np.array(find_box(frame))
    shares = np.arange(0.05, 0.65, 0.05)
    first = next((k for k in shares if abs(find_box(dim(frame, k)) - lit).max() > 3), None)
    skip(first is None, "The box stays where it is")
    compare(first_share, first, "Compare each box with find_box(view[0]), side by side.", 1e-6)
    return f"with {first:.0%} less light at one side, the box has moved."


@judge
def check_2(medians, view, onset, middle):
    """The medians must be two numbers, px, of the flow in a view (T, H, W)."""
    expected = []
    for enlarge in (1.0, 1.4):
        pair = crop(view[[onset, middle]], find_box(view[0], enlarge), 128)
        expected.append(np.median(magnitude(compute_flow(*pair))))
    compare(medians, expected, "Only the box changes: find_box(view[0], enlarge).", 0.002, 0.02)
    return f"the second is {expected[1] / expected[0]:.2f} times the first; 1 / 1.4 is 0.71."


@judge
def check_3(boxes, view):
    """There must be a box (x0, y0, x1, y1) px for each frame of a view (T, H, W)."""
    expected = [find_box(frame) for frame in view]
    skip(len(set(expected)) == 1, "The box is the same in all frames of this clip")
    compare(boxes, expected, "On which frame is each box found?")
    return f"the box changes {np.any(np.diff(expected, axis=0), 1).sum()} times."


@judge
def check_4(filmed, film, wall, oval):
    """The film must have the shape (T, S, S) of ``film``, with grain on the ``wall`` (S, S)."""
    skip(not (wall & oval).any(), "The crop shows no bright wall")
    compare(filmed[:, ~wall], film[:, ~wall], "The face has changed; grain belongs on the wall.")
    hint = "the wall is still smooth: multiply rng.standard_normal by some 30 grey levels."
    need(filmed.mean(0)[wall].std() > 5, hint)
    masks = [face_mask(frames[None])[0] for frames in (film, filmed)]
    before, after = (mask[wall & oval].mean() for mask in masks)
    need(after > before, "grain that flickers averages out; a wall looks the same in all frames.")
    return f"{before:.0%} of the wall in the oval counted, now {after:.0%}."
