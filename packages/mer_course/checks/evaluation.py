"""Exercises of 06: yes to everything, thresholds of one half, and a second way to peek."""

from mer_course.checks.answer import compare, judge, skip
from mer_utils.evaluation import macro_uf1, tune_thresholds

import numpy as np

EXCLUSIVE = "One label a clip: there are no thresholds"


@judge
def check_1(number, truth):
    """The macro-UF1 must be one number."""
    expected = macro_uf1(truth, np.ones_like(truth))
    compare(number, expected, "Write TP, FP, FN with N and q, then F1: N drops out.", 0.005)
    return f"{expected:.3f}, without looking at one clip."


@judge
def check_2(fixed, outcome, truth, labels):
    """The answers must be yes or no (1 or 0) for each clip and label, (N, L)."""
    skip(outcome.exclusive, EXCLUSIVE)
    compare(fixed, outcome.scores >= 0.5, "Use the probabilities, not the answers.")
    half, tuned = (macro_uf1(truth, answers) for answers in (fixed, outcome.answers))
    return f"macro-UF1 {half:.2f} with one half, {tuned:.2f} with tuned thresholds."


@judge
def check_3(peeked, outcome, truth, labels):
    """The answers must be yes or no (1 or 0) for each clip and label, (N, L)."""
    skip(outcome.exclusive, EXCLUSIVE)
    expected = outcome.scores >= tune_thresholds(truth, outcome.scores)
    compare(peeked, expected, "One threshold a label, chosen with the labels it is scored on.")
    honest, best = (macro_uf1(truth, answers) for answers in (outcome.answers, expected))
    return f"macro-UF1 {honest:.2f} honest, {best:.2f} peeked, and not one network has changed."
