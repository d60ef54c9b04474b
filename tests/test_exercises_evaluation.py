from types import SimpleNamespace

from mer_course.checks import evaluation as exercises
from mer_utils.evaluation import tune_thresholds

import numpy as np
from asking import accept, reject, skips

RNG = np.random.default_rng(0)
TRUTH = (RNG.random((40, 3)) < (0.5, 0.2, 0.1)).astype(np.uint8)
SCORES = 0.3 * TRUTH + 0.6 * RNG.random((40, 3))
ANSWERS = (SCORES >= 0.35).astype(np.uint8)
OUTCOME = SimpleNamespace(scores=SCORES, answers=ANSWERS, exclusive=False)
REST = OUTCOME, TRUTH, ("Negative", "Positive", "Surprise")


def test_check_1():
    q = TRUTH.mean(0)
    accept(exercises.check_1, (2 * q / (1 + q)).mean(), TRUTH)
    reject(exercises.check_1, [0.0, q.mean(), (q / (1 + q)).mean(), [0.1]], TRUTH)


def test_check_2():
    accept(exercises.check_2, SCORES >= 0.5, *REST, figures=1)
    reject(exercises.check_2, [ANSWERS, SCORES, SCORES >= 0.4, SCORES[:3] >= 0.5], *REST)


def test_check_3():
    accept(exercises.check_3, SCORES >= tune_thresholds(TRUTH, SCORES), *REST, figures=1)
    reject(exercises.check_3, [ANSWERS, TRUTH, SCORES >= 0.5, SCORES, [1, 0]], *REST)


def test_exclusive_labels_have_no_thresholds():
    outcome = SimpleNamespace(scores=SCORES, answers=ANSWERS, exclusive=True)
    for check in (exercises.check_2, exercises.check_3):
        assert skips(check, None, outcome, *REST[1:])
