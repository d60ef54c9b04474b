"""Exercises of 07: a focal loss without focus, SE everywhere, people needed, and false alarms."""

from mer_course.checks.answer import compare, judge, need
from mer_utils import STREAMS
from mer_utils.ablations import compare as compare_answers

import numpy as np

RUNS = 20


@judge
def check_1(no_focus, default, bce):
    """The answer must be an Outcome; run_grid returns a list of them."""
    compare(no_focus.scores, bce.scores, "Change gamma, and nothing else, of `single`.", 0)
    apart = np.abs(default.scores - bce.scores).max()
    return f"no score differs; with gamma they differ by up to {apart:.2f}."


@judge
def check_2(everywhere, defaults, features):
    """There must be two lists of Outcomes, each of three seeds or more."""
    for runs, wanted in ((everywhere, len(STREAMS)), (defaults, 1)):
        different = {run.scores.tobytes() for run in runs}
        need(len(different) >= 3, "train from three different seeds or more.")
        for run in runs:
            gates = {n.split(".gates.")[1][0] for n in run.members[0] if ".gates." in n}
            need(len(gates) == wanted, f"{len(gates)} streams with SE where {wanted} are wanted.")
    runs = {"all": everywhere, "one": defaults}
    answers = {name: np.stack([run.answers for run in several]) for name, several in runs.items()}
    row = compare_answers(features.y, answers, "one", features.subjects)["all"]
    return f"mean difference {row.difference:+.3f}, p-value {row.p:.2f}, {row.verdict}."


@judge
def check_3(people_needed, found, people):
    """There must be a number of people for each variant, as {name: number}."""
    half = {name: (row.difference_high - row.difference_low) / 2 for name, row in found.items()}
    expected = {name: people * (width / 0.01) ** 2 for name, width in half.items() if width > 0}
    hint = "The interval's width falls with the square root of the number of people."
    compare([people_needed[name] for name in expected], list(expected.values()), hint, 1, 0.02)
    more = sum(number > 24 for number in expected.values())
    return f"{more} of {len(expected)} variants need more than the 24 of 4DME."


@judge
def check_4(alarms, seed_answers, features):
    """There must be 20 arrays of answers (N, L), and two numbers of alarms."""
    runs = np.array(seed_answers).reshape(RUNS, *features.y.shape)
    need((runs != runs[0]).any(), "all runs answer the same: each needs a seed of its own.")
    rows = compare_answers(features.y, dict(enumerate(runs)), 0, features.subjects)
    pairs = np.array([(rows[k].p, rows[k].p_corrected) for k in range(1, RUNS)])
    before, after = (pairs < 0.05).sum(0)
    compare(alarms, (before, after), "Count the `p`, then the `p_corrected`, below 0.05.")
    return f"{before} of {RUNS - 1} before, {after} after; every one would be false."
