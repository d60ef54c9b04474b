"""Exercises of 00: labels from action units, and when noise hides an expression."""

from faces4d.cameras import Camera
from faces4d.head import AUS
from faces4d.rendering import render_frame, render_rgb
from faces4d.scenario import RECIPES, label_of
from mer_course.checks.answer import compare, judge, need, skip
from mer_course.demos.puppet import hold

import numpy as np

MOST = 40  # the largest factor tried


def make_riddle(face_seed, seed=0):
    """Return three sets of AUs, each of another label, and four pictures (168, 126, 3) uint8: the
    neutral face, then each set at full strength.
    """
    rng, sets, pictures = np.random.default_rng([seed, 1]), [], []
    for label in rng.choice(["Negative", "Positive", "Repression", "Surprise"], 3, replace=False):
        fitting = [aus for aus in RECIPES if label_of(aus) == (label,)]
        sets.append(fitting[rng.integers(len(fitting))])
    for aus in ((), *sets):
        weights = np.zeros((len(AUS), 2))
        weights[[AUS.index(au) for au in aus]] = 1
        pictures.append(render_rgb(hold(weights, face_seed), Camera(0, 168, 126), 1))
    return sets, pictures


@judge
def check_1(answers, sets):
    """The answers must be a list of three labels, one for each of three sets of AUs."""
    labels = [label_of(aus)[0] for aus in sets]
    count = sum(answer == label for answer, label in zip(answers, labels, strict=True))
    need(count == 3, f"{count} of 3 are right. What moves: brows, lip corners, or lips and chin?")
    moved = " · ".join("AU " + " + ".join(map(str, aus)) for aus in sets)
    return f"these faces hold {moved}."


def change(face_seed, weights, factor):
    """Return by how many grey levels each pixel (224, 168) of a face changes when it shows the AU
    ``weights`` (A, 2), ``factor`` times as strong.
    """
    motion, camera = hold(factor * np.asarray(weights), face_seed), Camera(0, 224, 168)
    return render_frame(motion, camera, 1) - render_frame(motion, camera, 0)


@judge
def check_2(factor, face_seed, weights, sigma):
    """The factor must be a whole number; ``sigma`` is the sd of the noise in grey levels."""
    noise = 2 * sigma / np.sqrt(np.pi)  # mean of |difference| of two normal draws
    sizes = (np.abs(change(face_seed, weights, k)).mean() for k in range(1, MOST + 1))
    first = next((k for k, size in enumerate(sizes, 1) if size > noise), None)
    skip(first is None, f"No factor up to {MOST} lifts this expression above the noise")
    compare(factor, first, "Try 1, 2, 3 ... until the first number printed is the larger.")
    return f"this expression, shown {first} times as strong, just beats the noise."
