"""Exercises of 06: yes to everything, thresholds from other people, and a second way to peek."""

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


def answer(outcome, truth, people, peek):
    """Return answers (N, L) with thresholds from each person's own clips, or from all others'."""
    answers = np.zeros_like(outcome.answers)
    for person in np.unique(people):
        own = people == person
        rows = own if peek else ~own
        answers[own] = outcome.scores[own] >= tune_thresholds(truth[rows], outcome.scores[rows])
    return answers


@judge
def check_2(crossed, outcome, truth, people):
    """The answers must be yes or no (1 or 0) for each clip and label, (N, L)."""
    skip(outcome.exclusive, EXCLUSIVE)
    expected = answer(outcome, truth, people, peek=False)
    compare(crossed, expected, "For each person: thresholds from all clips of the others.")
    other, inner = (macro_uf1(truth, answers) for answers in (expected, outcome.answers))
    return f"macro-UF1 {other:.2f} by other test people, {inner:.2f} by inner people."


@judge
def check_3(peeked, outcome, truth, people):
    """The answers must be yes or no (1 or 0) for each clip and label, (N, L)."""
    skip(outcome.exclusive, EXCLUSIVE)
    expected = answer(outcome, truth, people, peek=True)
    compare(peeked, expected, "For each person: thresholds from his or her own clips alone.")
    honest, best = (macro_uf1(truth, answers) for answers in (outcome.answers, expected))
    return f"macro-UF1 {honest:.2f} honest, {best:.2f} peeked, and no network has changed."
