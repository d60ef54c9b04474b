"""Exercises of 07: the magnitude alone, three seeds, people needed, and false alarms."""

from mer_course.checks.answer import compare, judge, need
from mer_utils.ablations import answer_with
from mer_utils.ablations import compare as compare_answers

import numpy as np
import torch

RUNS = 20


@judge
def check_1(magnitude_only, outcome, features, recipe):
    """The answers must be an array (N, L) of 0 and 1."""
    weights = torch.tensor([[0, 0, 1 / 3]])
    expected = answer_with(outcome, features, recipe, lambda network, maps: (weights, None))
    right = np.array_equal(magnitude_only, expected)
    need(right, "u and v get the weight 0, the magnitude that of three equal ones.")
    pair = {"own": outcome.answers, "magnitude": expected}
    rows = compare_answers(features.y, pair, "own", features.subjects)
    row, changed = rows["magnitude"], (expected != outcome.answers).mean()
    words = f"{changed:.0%} of the answers change, macro-UF1 {rows['own'].macro:.2f} -> "
    return words + f"{row.macro:.2f}, p-value {row.p:.2f}."


@judge
def check_2(without, defaults, features):
    """There must be two lists of Outcomes, each of three seeds or more."""
    for runs, wanted in ((without, False), (defaults, True)):
        different = {run.scores.tobytes() for run in runs}
        need(len(different) >= 3, "train from three different seeds or more.")
        for run in runs:
            there = any(".attention." in name for name in run.members[0])
            words = "with" if wanted else "without"
            need(there == wanted, f"a network {words} fusion attention is wanted here.")
    need(len(without) == len(defaults), "train both from the same seeds.")
    runs = {"without": without, "with": defaults}
    answers = {name: np.stack([run.answers for run in several]) for name, several in runs.items()}
    singles = [
        compare_answers(features.y, {"a": one, "b": other}, "b", features.subjects, 1)["a"]
        for one, other in zip(answers["without"], answers["with"], strict=True)
    ]
    told = ", ".join(f"{single.difference:+.3f}" for single in singles)
    row = compare_answers(features.y, answers, "with", features.subjects)["without"]
    ends = f"{row.difference_low:+.3f} to {row.difference_high:+.3f}"
    return f"{told}; mean {row.difference:+.3f} ({ends}), p-value {row.p:.2f}."


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
