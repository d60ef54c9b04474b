from dataclasses import replace
from types import SimpleNamespace

from mer_course.checks import baselines as exercises
from mer_utils.baselines import PUBLISHED
from mer_utils.training import Recipe

import numpy as np
from asking import accept, reject, skips

RNG = np.random.default_rng(0)
TRUTH = (RNG.random((40, 3)) < (0.5, 0.3, 0.2)).astype(np.uint8)
X = RNG.normal(size=(40, 1, 1, 3, 4, 4)).astype(np.float32)
X[:, 0, 0, :, 0, 0] += 3 * TRUTH
FEATURES = SimpleNamespace(x=X, y=TRUTH, subjects=np.repeat(list("abcd"), 10), exclusive=False)


def test_check_1():
    accept(exercises.check_1, [1, 1, 1], TRUTH)
    reject(exercises.check_1, [np.zeros(3, int), [1, 1, 0], [1], [1, 1], 1, [0.5, 1, 1]], TRUTH)
    rare = TRUTH * (1, 1, 0)  # a label that never occurs: yes or no, it is the same
    accept(exercises.check_1, [1, 1, 1], rare)
    accept(exercises.check_1, [1, 1, 0], rare)
    assert skips(exercises.check_1, None, TRUTH, True)


def test_check_2():
    right = {number: exercises.score_components(FEATURES, number) for number in (2, 10, 100)}
    assert right[100] > right[2]  # few of so noisy components hold the labels
    accept(exercises.check_2, right, FEATURES)
    all_the_same = dict.fromkeys(right, right[100])  # the number was not handed over
    wrong = [dict.fromkeys(right, 0.0), all_the_same, {2: right[2]}, list(right.values())]
    reject(exercises.check_2, wrong, FEATURES)


def make_outcome(epochs):
    curves = np.ones((4, 1, epochs, 4))
    curves[..., 1] = np.linspace(1, 0.5, epochs)
    return SimpleNamespace(curves=curves, uf1=lambda truth: {"macro": 0.4})


def test_check_3():
    shared = Recipe(network="STSTNet", members=1)
    slow = replace(
        shared, **PUBLISHED["STSTNet"] | {"epochs": 150, "patience": 150}, loss="bce", alpha="none"
    )
    stopped, outcome = make_outcome(60), make_outcome(150)
    stopped.curves[:, :, 20:] = np.nan
    says = "published settings: least inner loss at epoch 150"
    accept(exercises.check_3, slow, outcome, stopped, FEATURES, says=says)
    changes = {"rate": 5e-3}, {"alpha": "balanced"}, {"network": "SSSNet"}, {"patience": 8}
    wrong = [(replace(slow, **change), outcome) for change in changes]
    wrong += [(shared, stopped), (slow, stopped), (slow, [outcome])]
    reject(exercises.check_3, wrong, stopped, FEATURES)


def test_check_4():
    def count(people):
        tests = 0
        while (tests + 1) * 2 / 2**people < 0.05:
            tests += 1
        return tests

    assert [count(people) for people in (4, 6, 8)] == [0, 1, 6]
    accept(exercises.check_4, count, 8, says="8 tests need 9 people")
    wrong = [lambda people: people, lambda people: int(0.05 * 2**people), lambda: 1]
    reject(exercises.check_4, wrong, 8)
