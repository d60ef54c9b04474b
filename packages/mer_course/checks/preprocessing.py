"""Exercises of 01: silhouette, size and place of the crop, and what counts as texture."""

from mer_course.checks.answer import compare, judge, need, skip
from mer_utils.flow import compute_flow, magnitude
from mer_utils.preprocessing import crop, face_mask, find_box, silhouette

import numpy as np


@judge
def check_1(shares, frame):
    """The shares of a view (H, W) that are head must be three numbers from 0 to 1."""
    masks = [silhouette(frame, tolerance) for tolerance in (24, 80, 150)]
    skip(masks[0] is None, "The view has no plain background")
    expected = [0.0 if mask is None else mask.mean() for mask in masks]
    compare(shares, expected, "The share is the mean of silhouette(view[0], tolerance).", 0.005)
    return "the higher the tolerance, the less counts as head."


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
