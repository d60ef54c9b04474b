"""Exercises of 11: one namer or four, fewer people, and which starts are fair."""

from dataclasses import replace

from mer_course.checks.answer import compare, judge
from mer_utils.baselines import RegionsLogistic
from mer_utils.evaluation import macro_uf1
from mer_utils.start import UnitsLogistic
from mer_utils.training import flip

import numpy as np
import torch

FAIR = (True, False, False, False, True)


def correlate(logits, true):
    """Return the correlation of the shares named by ``logits`` (N, A) with the true ones (N, A)."""
    return np.corrcoef(torch.sigmoid(logits).numpy().ravel(), true.ravel())[0, 1]


@judge
def check_1(alone, networks, maps, true):
    """The answer must be a number for each network."""
    with torch.no_grad():
        logits = [(network(maps) + network(flip(maps))) / 2 for network in networks]
    expected = [correlate(own, true) for own in logits]
    compare(alone, expected, "Take the mean of both logits first, then the sigmoid.", 1e-4)
    together = correlate(torch.stack(logits).mean(0), true)
    return f"alone {min(expected):.3f} to {max(expected):.3f}, together {together:.3f}."


def score_few(model, features, people):
    """Return macro-UF1 of a ``model`` that is fitted on the first ``people`` others of each person
    left out.
    """
    answers, names = np.zeros_like(features.y), np.unique(features.subjects)
    for person in names:
        train = np.isin(features.subjects, names[names != person][:people])
        test = features.subjects == person
        model.fit(features.x[train], features.y[train])
        answers[test] = model.score(features.x[test]) >= 0.5
    return macro_uf1(features.y, answers)


@judge
def check_2(scores, features, decay):
    """There must be a macro-UF1 for each number of people: {1: ..., 3: ..., 5: ...}."""
    counts, found = (1, 3, 5), []
    for model in (UnitsLogistic(decay), RegionsLogistic(decay)):
        described = replace(features, x=model.describe(features.x))  # once, not for each person
        model.describe = np.asarray
        found.append([score_few(model, described, k) for k in counts])
    expected, _ = found
    hint = "Fit on the first k others of each person left out; one score of all answers together."
    compare([scores[k] for k in counts], expected, hint, 0.005)
    rows = (", ".join(f"{score:.2f}" for score in row) for row in found)
    return "1, 3 and 5 people: with a start {}; without {}.".format(*rows)


@judge
def check_3(fair):
    """The answer must be True or False for each of the five proposals."""
    hint = "What has seen a test person's frames, or was chosen or scaled by them?"
    compare(fair, FAIR, hint)
    return "nothing that was learnt, scaled or chosen on the test people is fair."
