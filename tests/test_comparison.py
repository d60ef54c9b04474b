"""The statistics against slow versions of themselves, against all swaps by hand, and against what
chance does.
"""

from itertools import product

from mer_utils import MerError
from mer_utils.learning.comparison import bootstrap, compare, draw_weights, holm, permutation_test
from mer_utils.learning.metrics import macro_uf1

import numpy as np
import pytest


def simulate(rng, subjects=16, clips=10, seeds=2, skill=0.7, same=True, labels=3):
    """Return truth (N, L), two sets of answers (K, N, L) of equal or unequal skill, and subjects
    (N,).
    """
    count = subjects * clips
    truth = (rng.random((count, labels)) < 0.4).astype(np.uint8)

    def answer(right):
        return np.where(rng.random((seeds, count, labels)) < right, truth, 1 - truth)

    return (
        truth,
        answer(skill),
        answer(skill if same else skill + 0.2),
        np.repeat(np.arange(subjects), clips),
    )


def test_bootstrap_is_the_loop_over_draws():
    truth, answers, _, subjects = simulate(np.random.default_rng(0), subjects=5, seeds=3)
    fast = bootstrap(truth, answers, subjects, draws=20, seed=4)
    rng = np.random.default_rng(4)
    people, seeds = draw_weights(5, 20, rng).astype(int), draw_weights(3, 20, rng).astype(int)
    assert (people.sum(1) == 5).all() and (seeds.sum(1) == 3).all()
    for value, times, picks in zip(fast, people, seeds, strict=True):
        rows = np.concatenate(
            [np.flatnonzero(subjects == s) for s in np.repeat(np.arange(5), times)]
        )
        scores = [macro_uf1(truth[rows], answers[k][rows]) for k in np.repeat(np.arange(3), picks)]
        assert value == pytest.approx(np.mean(scores))


def test_a_label_that_no_drawn_subject_shows_is_left_out_of_that_draw():
    truth = np.array([[1, 0], [1, 0], [1, 1]])
    drawn = bootstrap(truth, truth, np.arange(3), draws=50)
    assert (drawn == 1).all()  # perfect answers stay perfect whoever is drawn


def test_permutation_test_is_all_swaps_by_hand():
    truth, first, second, subjects = simulate(
        np.random.default_rng(1), subjects=4, clips=5, same=False
    )

    def difference(swap):
        taken = np.array(swap)[subjects].astype(bool)[:, None]
        pairs = [
            (np.where(taken, b, a), np.where(taken, a, b))
            for a, b in zip(first, second, strict=True)
        ]
        return np.mean([macro_uf1(truth, a) - macro_uf1(truth, b) for a, b in pairs])

    seen = abs(difference((0, 0, 0, 0)))
    by_hand = np.mean([abs(difference(swap)) >= seen - 1e-12 for swap in product((0, 1), repeat=4)])
    assert permutation_test(truth, first, second, subjects) == pytest.approx(by_hand)


def test_equal_methods_are_rarely_called_different_and_unequal_ones_are():
    rng = np.random.default_rng(2)
    chance = [permutation_test(*_args(simulate(rng)), draws=400) for _ in range(200)]
    # 5 % of 200 is 10, give or take 2 * 3.1
    assert 0.01 <= np.mean(np.array(chance) < 0.05) <= 0.10
    assert 0.4 < np.mean(chance) < 0.6
    found = [permutation_test(*_args(simulate(rng, same=False)), draws=400) for _ in range(20)]
    assert max(found) < 0.05


def _args(made):
    truth, first, second, subjects = made
    return truth, first, second, subjects


def test_holm_on_a_known_example():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0] and holm([]).tolist() == []


def test_compare_reports_what_its_parts_find():
    truth, first, second, subjects = simulate(np.random.default_rng(3), same=False)
    third = first.copy()
    third[0, 0] = 1 - third[0, 0]
    found = compare(
        truth, {"default": first, "better": second, "nearly": third}, "default", subjects, draws=500
    )
    base, better, nearly = found["default"], found["better"], found["nearly"]
    assert (
        base.difference == base.difference_low == base.difference_high == 0
        and base.p == base.p_corrected == 1
    )
    assert base.macro == pytest.approx(np.mean([macro_uf1(truth, run) for run in first]))
    assert (
        better.verdict == "better"
        and better.difference_low > 0
        and better.low < better.macro < better.high
    )
    assert (
        nearly.verdict == "within noise"
        and nearly.difference_low <= nearly.difference <= nearly.difference_high
    )
    assert (
        better.p_corrected == pytest.approx(min(1, 2 * better.p)) and nearly.p_corrected >= nearly.p
    )
    again = compare(
        truth, {"default": first, "better": second, "nearly": third}, "default", subjects, draws=500
    )
    assert again == found
    worse = compare(truth, {"default": second, "first": first}, "default", subjects, draws=500)[
        "first"
    ]
    assert worse.verdict == "worse" and worse.difference == pytest.approx(-better.difference)


def test_what_cannot_be_compared_is_refused():
    truth, first, second, subjects = simulate(np.random.default_rng(4))
    with pytest.raises(MerError, match="no variant"):
        compare(truth, {"a": first}, "b", subjects)
    with pytest.raises(MerError, match="do not fit"):
        bootstrap(truth, first[:, :-1], subjects)
    with pytest.raises(MerError, match="paired"):
        permutation_test(truth, first, second[:1], subjects)
