"""Exercises of 00: labels from action units, and when an expression drowns in a camera's noise."""

from faces4d.cameras import Camera
from faces4d.head import AUS
from faces4d.rendering import render_frame, render_rgb
from faces4d.scenario import RECIPES, label_of
from mer_course.checks.answer import tell
from mer_course.demos.puppet import hold
from mer_utils.plots import draw_images

import numpy as np
from IPython.display import display

LABELS = ("Negative", "Positive", "Repression", "Surprise")  # those that can be seen
MOST = 40  # the largest factor tried


def make_riddle(face_seed, seed=0):
    """Return three sets of AUs with one label each, all different, and four pictures (168, 126, 3)
    uint8: the neutral face and each set at full strength.
    """
    rng = np.random.default_rng([seed, 1])
    sets = []
    for label in rng.choice(LABELS, 3, replace=False):
        fitting = [aus for aus in RECIPES if label_of(aus) == (label,)]
        sets.append(fitting[rng.integers(len(fitting))])
    pictures = []
    for aus in ((), *sets):
        weights = np.zeros((len(AUS), 2))
        weights[[AUS.index(au) for au in aus]] = 1
        pictures.append(render_rgb(hold(weights, face_seed), Camera(0, 168, 126), 1))
    return sets, pictures


def check_1(answers, sets):
    """Check the label of each of the three sets of AUs."""
    expected = [label_of(aus)[0] for aus in sets]
    given = list(answers) if isinstance(answers, list | tuple) else []
    if len(given) != len(expected):
        return tell(False, "", f"answers must be a list of {len(expected)} labels")
    count = sum(a == b for a, b in zip(given, expected, strict=True))
    moved = " · ".join("AU " + " + ".join(map(str, aus)) for aus in sets)
    hint = (
        f"{count} of {len(expected)} are right. What moves: brows, lip corners, or lips and chin?"
    )
    tell(count == len(expected), f"these faces hold {moved}.", hint)


def change(face_seed, weights, factor):
    """Return by how many grey levels each pixel (224, 168) of a face changes when it holds AU
    ``weights`` (A, 2), ``factor`` times as strong.
    """
    motion = hold(factor * np.asarray(weights), face_seed)
    camera = Camera(0, 224, 168)
    return render_frame(motion, camera, 1) - render_frame(motion, camera, 0)


def check_2(factor, face_seed, weights, sigma):
    """Check the first whole factor at which a face changes by more than two frames' noise of sd
    ``sigma`` grey levels does, as means over the picture; show both where it is right.
    """
    noise = 2 * sigma / np.sqrt(np.pi)  # mean of |difference| of two normal draws
    sizes = [np.abs(change(face_seed, weights, k)).mean() for k in range(1, MOST + 1)]
    if max(sizes) <= noise:
        print(f"No factor up to {MOST} is enough for this clip: this exercise has no answer here.")
        return
    expected = 1 + int(np.argmax(np.array(sizes) > noise))
    right = isinstance(factor, int | np.integer) and factor == expected
    hint = "try factors 1, 2, 3 ... until the first number printed is larger than the second."
    if isinstance(factor, int | np.integer) and factor > expected:
        hint = "a smaller factor is enough."
    tell(right, f"this expression, shown {expected} times as strong, just beats the noise.", hint)
    if right:
        rng = np.random.default_rng(0)
        grain = sigma * np.sqrt(2) * rng.standard_normal((224, 168))
        shown = {f"expression x {k}": change(face_seed, weights, k) for k in (1, expected)}
        shown["noise alone"] = grain
        pictures = [np.clip(8 * np.abs(each), 0, 255) for each in shown.values()]
        display(draw_images(pictures, list(shown), heading="|difference| x 8, one scale", size=1.6))
