"""Exercises of 08: the nearest clip, few components, published settings, the price of tests."""

from mer_course.checks.answer import compare, judge, need
from mer_utils.baselines import PUBLISHED, PcaSvm
from mer_utils.evaluation import decide, macro_uf1

import numpy as np
from scipy.spatial.distance import cdist

COMPONENTS = (2, 10, 100)
PEOPLE = range(4, 13)


@judge
def check_1(nearest, features):
    """The answers must be 0 or 1 for each clip and label, (N, L)."""
    flat = features.x.reshape(len(features.x), -1)
    distances = cdist(flat, flat)
    np.fill_diagonal(distances, np.inf)
    leaky = features.y[distances.argmin(1)]
    same_person = features.subjects[:, None] == features.subjects
    expected = features.y[np.where(same_person, np.inf, distances).argmin(1)]
    right = np.array_equal(nearest, expected)
    need(right or not np.array_equal(nearest, leaky), "leave out all clips of the same person.")
    compare(nearest, expected, "The labels of the nearest clip, by the distance of flat maps.")
    honest, leak = (macro_uf1(features.y, answers) for answers in (expected, leaky))
    return f"macro-UF1 {honest:.2f}; with the person's own other clips {leak:.2f}."


@judge
def check_2(scores, features):
    """There must be a macro-UF1 for each number of components: {2: ..., 10: ..., 100: ...}."""
    hint = "Fit a model on all others for each person left out; one score of all answers together."
    expected = []
    for number in COMPONENTS:
        answers = np.zeros_like(features.y)
        for subject in np.unique(features.subjects):
            test = features.subjects == subject
            model = PcaSvm(number).fit(features.x[~test], features.y[~test])
            answers[test] = decide(model.score(features.x[test]), 0.0, features.exclusive)
        expected.append(macro_uf1(features.y, answers))
        compare(scores[number], expected[-1], hint, 0.005)
    return "macro-UF1 " + ", ".join(f"{score:.2f}" for score in expected) + "."


@judge
def check_3(slow, outcome, tuned, features):
    """There must be a Recipe and its Outcome, taken from the list of run_grid."""
    wanted = {name: PUBLISHED["STSTNet"][name] for name in ("rate", "decay", "batch")}
    wanted |= {"network": "STSTNet", "gamma": 0.0, "alpha": "none", "patience": slow.epochs}
    wrong = [name for name, value in wanted.items() if getattr(slow, name) != value]
    need(not wrong, f"not as published: {', '.join(wrong)}.")
    need(slow.epochs >= 100, "100 epochs or more are wanted.")
    need(outcome.curves.shape[2] == slow.epochs, "this is not the Outcome of this Recipe.")
    scores = [run.uf1(features.y)["macro"] for run in (outcome, tuned)]
    least = np.median(np.nanargmin(outcome.curves[..., 1], -1)) + 1
    words = "macro-UF1 {:.2f}; with its tuned settings {:.2f}".format(*scores)
    return f"least inner loss at epoch {least:.0f}, {words}."


@judge
def check_4(most_tests, tests):
    """The function most_tests(people) must return one number."""
    most = {people: max(0, int(np.ceil(0.05 * 2**people / 2)) - 1) for people in range(4, 40)}
    hint = "The smallest p-value times the whole number of tests must stay below 0.05."
    compare([most_tests(people) for people in PEOPLE], [most[people] for people in PEOPLE], hint)
    enough = next(people for people, number in most.items() if number >= tests)
    return f"{tests} tests need {enough} people; 6 people pay for {most[6]}."
