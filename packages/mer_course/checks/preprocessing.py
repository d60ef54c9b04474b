"""Exercises of 01: silhouette, size and place of the crop, and what counts as texture."""

from itertools import pairwise

from mer_course.checks.answer import read_numbers, tell
from mer_utils.flow import compute_flow, magnitude
from mer_utils.plots import draw_images, draw_lines
from mer_utils.preprocessing import crop, face_mask, find_box, silhouette

import numpy as np
from IPython.display import display

TOLERANCES = (24, 80, 150)  # grey levels
FACTORS = (1.0, 1.4)
NONE = "The view has no plain background, so this exercise has no answer here."


def check_1(shares, frame):
    """Check the share of a view (H, W) that counts as head at each of TOLERANCES."""
    masks = [silhouette(frame, tolerance) for tolerance in TOLERANCES]
    if masks[0] is None:
        return print(NONE)
    masks = [np.zeros(frame.shape, bool) if mask is None else mask for mask in masks]
    given = read_numbers(shares, (len(masks),))
    if given is None:
        return tell(False, "", f"shares must be a list of {len(masks)} numbers from 0 to 1")
    expected = np.array([mask.mean() for mask in masks])
    right = np.allclose(given, expected, atol=0.005)
    hint = "call silhouette(view[0], tolerance) for each tolerance; a mask's mean is its share."
    tell(right, "the higher the tolerance, the less is head.", hint)
    if right:
        titles = [f"{t}: {share:.0%}" for t, share in zip(TOLERANCES, expected, strict=True)]
        display(draw_images([255 * m.astype(np.uint8) for m in masks], titles, size=1.4))


def check_2(medians, view, onset, middle):
    """Check the median magnitude, px, of the flow between two frames of a view (T, H, W) in crops
    of 128 px, enlarged by each of FACTORS.
    """
    given = read_numbers(medians, (len(FACTORS),))
    if given is None:
        return tell(False, "", f"medians must be a list of {len(FACTORS)} numbers, px")
    pairs = [crop(view[[onset, middle]], find_box(view[0], k), 128) for k in FACTORS]
    maps = [magnitude(compute_flow(*pair)) for pair in pairs]
    expected = np.array([np.median(each) for each in maps])
    right = np.allclose(given, expected, rtol=0.02, atol=0.002)
    hint = "the box comes from find_box(view[0], enlarge); the rest of the cell stays as it is."
    ratio = expected[1] / expected[0]
    tell(right, f"the second is {ratio:.2f} times the first; 1 / 1.4 is 0.71.", hint)
    if right:
        most = max(float(np.percentile(each, 99)) for each in maps)
        shown = [np.clip(255 * each / most, 0, 255) for each in maps]
        titles = [f"enlarge {k}: magnitude" for k in FACTORS]
        display(draw_images(shown, titles, heading=f"white: {most:.2f} px", size=1.9))


def check_3(boxes, view):
    """Check boxes (x0, y0, x1, y1) px found anew on each frame of a view (T, H, W)."""
    expected = [find_box(frame) for frame in view]
    try:
        given = [tuple(int(edge) for edge in box) for box in boxes]
    except (TypeError, ValueError):
        given = []
    if len(given) != len(expected) or any(len(box) != 4 for box in given):
        return tell(False, "", f"boxes must be a list of {len(expected)} boxes of 4 numbers")
    if len(set(expected)) == 1:
        print("In this clip the box found is the same in all frames: nothing can jump here.")
        return
    right = given == expected
    jumps = sum(a != b for a, b in pairwise(expected))
    tell(right, f"the box changes {jumps} times.", "look where each box is found: on which frame?")
    if right:
        one = crop(view, expected[0], 128)
        pairs = zip(view, expected, strict=True)
        anew = np.stack([crop(frame, box, 128) for frame, box in pairs])
        curves = {
            name: [magnitude(compute_flow(film[0], frame)).mean() for frame in film]
            for name, film in (("one box", one), ("a box on each frame", anew))
        }
        title = f"{jumps} jumps of the box"
        display(draw_lines(np.arange(len(view)), curves, title, "frame", "mean flow, px"))


def check_4(filmed, film, wall, oval):
    """Check a film (T, S, S) in which the ``wall`` (S, S) has got grain and nothing else has
    changed.
    """
    if not (wall & oval).any():
        return print("The crop shows no bright wall, so this exercise has no answer here.")
    filmed = np.asarray(filmed)
    if filmed.shape != film.shape:
        return tell(False, "", f"filmed must have the shape {film.shape}")
    if (filmed != film)[:, ~wall].any():
        return tell(False, "", "the face has changed, too; grain belongs on the wall alone.")
    shares = [face_mask(each[None])[0][wall & oval].mean() for each in (film, filmed)]
    grain = filmed.astype(float).mean(0)[wall].std()
    hint = "the wall is still smooth: multiply rng.standard_normal by some 30 grey levels."
    if grain > 5 and shares[1] <= shares[0]:
        hint = "grain that changes from frame to frame averages out; a wall does not flicker."
    right = grain > 5 and shares[1] > shares[0]
    tell(right, f"{shares[0]:.0%} of the wall in the oval counted, now {shares[1]:.0%}.", hint)
    if right:
        masks = [face_mask(each[None])[0] for each in (film, filmed)]
        shown = [np.where(m, each[0], 60) for m, each in zip(masks, (film, filmed), strict=True)]
        display(draw_images(shown, ["as filmed", "grain on the wall"], size=1.9))
