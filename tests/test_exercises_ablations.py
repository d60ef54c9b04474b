from types import SimpleNamespace

from mer_course.checks import ablations as exercises
from mer_utils.ablations import compare
from mer_utils.evaluation import macro_uf1

import numpy as np
from asking import accept, reject

RNG = np.random.default_rng(0)
TRUTH = (RNG.random((40, 3)) < (0.5, 0.3, 0.2)).astype(np.uint8)
FEATURES = SimpleNamespace(y=TRUTH, subjects=np.repeat(list("abcdefgh"), 5))


def make_outcome(seed, streams=(2,)):
    scores = np.clip(0.4 * TRUTH + 0.6 * np.random.default_rng(seed).random((40, 3)), 0, 1)
    answers = (scores >= 0.5).astype(np.uint8)
    state = {f"0.gates.{stream}.up.bias": None for stream in streams} | {"0.head.2.bias": None}
    uf1 = {"macro": macro_uf1(TRUTH, answers)}
    return SimpleNamespace(scores=scores, answers=answers, members=(state,), uf1=lambda truth: uf1)


def test_check_1():
    default, bce = make_outcome(0), make_outcome(1)
    accept(exercises.check_1, make_outcome(1), default, bce)
    wrong = [default, make_outcome(2), [bce], bce.scores]  # first: the placeholder
    reject(exercises.check_1, wrong, default, bce)


def test_check_2():
    defaults = [make_outcome(k) for k in range(3)]
    everywhere = [make_outcome(k, (0, 1, 2)) for k in range(3, 6)]
    accept(exercises.check_2, everywhere, defaults, FEATURES, says="p-value")
    one_seed, answers = [everywhere[0]] * 3, [outcome.answers for outcome in everywhere]
    wrong = [([], []), (everywhere, defaults[:2]), (one_seed, defaults), (defaults, everywhere)]
    reject(exercises.check_2, [*wrong, (answers, defaults)], FEATURES)


def test_check_3():
    named = {name: make_outcome(k).answers for k, name in enumerate(("default", "one", "other"))}
    named["twin"] = named["default"]
    found = compare(TRUTH, named, "default", FEATURES.subjects, draws=200)
    del found["default"]
    half = {k: (c.difference_high - c.difference_low) / 2 for k, c in found.items()}
    right = {name: 8 * (half[name] / 0.01) ** 2 for name in ("one", "other")}
    accept(exercises.check_3, right, found, 8, says="of 2 variants")  # the twin has no width
    no_square = {name: 8 * half[name] / 0.01 for name in right}
    whole_width = {name: 4 * number for name, number in right.items()}
    wrong = [dict.fromkeys(found, 8), no_square, whole_width, {"one": right["one"]}]
    reject(exercises.check_3, [*wrong, dict.fromkeys(found, "many")], found, 8)


def test_check_4():
    answers = [make_outcome(k).answers for k in range(20)]
    rows = compare(TRUTH, dict(enumerate(answers)), 0, FEATURES.subjects)
    later = [rows[k] for k in range(1, 20)]
    alarms = (sum(row.p < 0.05 for row in later), sum(row.p_corrected < 0.05 for row in later))
    accept(exercises.check_4, alarms, answers, FEATURES, figures=1)
    wrong = [(0, 0), (alarms[0] + 1, alarms[1]), alarms[0]]
    reject(exercises.check_4, [(alarm, answers) for alarm in wrong], FEATURES)
    wrong = [[], answers[:19], answers[:1] * 20, None, [answer.sum(1) for answer in answers]]
    reject(exercises.check_4, [(alarms, runs) for runs in wrong], FEATURES)
