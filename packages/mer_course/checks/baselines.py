"""Exercises of 08: a coin, few components, published settings, the price of tests."""

from mer_course.checks.answer import compare, judge, need
from mer_utils.baselines import PUBLISHED, PcaSvm
from mer_utils.evaluation import decide, macro_uf1

import numpy as np

COMPONENTS = (2, 10, 100)
PEOPLE = range(4, 13)


@judge
def check_1(score_coin):
    """The function score_coin(q, r) must return one number."""
    pairs = [(0.05, 0.5), (0.2, 0.2), (0.2, 1.0), (0.5, 0.9)]
    expected = [2 * q * r / (q + r) for q, r in pairs]
    hint = "TP is the share of clips with the label and a yes. What are FP and FN?"
    compare([score_coin(q, r) for q, r in pairs], expected, hint, 1e-6)
    rng, clips = np.random.default_rng(0), 1_000_000
    truth, coin = rng.random((clips, 1)) < 0.2, rng.random((clips, 1)) < 0.2
    words = f"of {clips:,} clips, one in five with the label, a coin with r = q gets "
    return words + f"{macro_uf1(truth, coin):.2f}, always yes {macro_uf1(truth, coin | True):.2f}."


@judge
def check_2(scores, features):
    """There must be a macro-UF1 for each number of components: {2: ..., 10: ..., 100: ...}."""
    answers = np.zeros((len(COMPONENTS), *features.y.shape), np.uint8)
    for subject in np.unique(features.subjects):
        test = features.subjects == subject
        for k, number in enumerate(COMPONENTS):
            model = PcaSvm(number).fit(features.x[~test], features.y[~test])
            answers[k, test] = decide(model.score(features.x[test]), 0.0, features.exclusive)
    expected = [macro_uf1(features.y, each) for each in answers]
    hint = "Fit a model on all others for each person left out; one score of all answers together."
    compare([scores[number] for number in COMPONENTS], expected, hint, 0.005)
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
