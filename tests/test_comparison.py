"""The statistics against slow versions of themselves, against all swaps by hand, and against what
chance does.
"""

from itertools import product

from mer_utils import MerError
from mer_utils.ablations import (
    bootstrap,
    compare,
    compare_sets,
    detectable_difference,
    draw_weights,
    equivalence_test,
    holm,
    permutation_test,
    sign_flip_test,
    split_spread,
    t_interval,
)
from mer_utils.evaluation import macro_uf1

import numpy as np
import pytest
from scipy.stats import ttest_1samp


def simulate(rng, subjects=16, clips=10, seeds=2, skill=0.7, same=True, labels=3):
    """Return truth (N, L), two sets of answers (K, N, L) of equal or unequal skill, and subjects
    (N,).
    """
    count = subjects * clips
    truth = (rng.random((count, labels)) < 0.4).astype(np.uint8)

    def answer(right):
        return np.where(rng.random((seeds, count, labels)) < right, truth, 1 - truth)

    other = skill if same else skill + 0.2
    return truth, answer(skill), answer(other), np.repeat(np.arange(subjects), clips)


def test_bootstrap_is_the_loop_over_draws():
    truth, answers, _, subjects = simulate(np.random.default_rng(0), subjects=5, seeds=3)
    fast = bootstrap(truth, answers, subjects, draws=20, seed=4)
    rng = np.random.default_rng(4)
    people, seeds = draw_weights(5, 20, rng).astype(int), draw_weights(3, 20, rng).astype(int)
    assert (people.sum(1) == 5).all() and (seeds.sum(1) == 3).all()
    for value, times, picks in zip(fast, people, seeds, strict=True):
        drawn = np.repeat(np.arange(5), times)
        rows = np.concatenate([np.flatnonzero(subjects == s) for s in drawn])
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
    chance = [permutation_test(*simulate(rng), draws=400) for _ in range(200)]
    # 5 % of 200 is 10, give or take 2 * 3.1
    assert 0.01 <= np.mean(np.array(chance) < 0.05) <= 0.10
    assert 0.4 < np.mean(chance) < 0.6
    found = [permutation_test(*simulate(rng, same=False), draws=400) for _ in range(20)]
    assert max(found) < 0.05


def test_holm_on_a_known_example():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0] and holm([]).tolist() == []


def test_compare_reports_what_its_parts_find():
    truth, first, second, subjects = simulate(np.random.default_rng(3), same=False)
    third = first.copy()
    third[0, 0] = 1 - third[0, 0]
    variants = {"default": first, "better": second, "nearly": third}
    found = compare(truth, variants, "default", subjects, draws=500)
    base, better, nearly = found.values()
    assert base.difference == base.difference_low == base.difference_high == 0
    assert base.p == base.p_corrected == 1
    assert base.macro == pytest.approx(np.mean([macro_uf1(truth, run) for run in first]))
    assert better.verdict == "better" and better.difference_low > 0
    assert better.low < better.macro < better.high
    assert better.p_corrected == pytest.approx(min(1, 2 * better.p))
    assert nearly.verdict == "within noise" and nearly.p_corrected >= nearly.p
    assert nearly.difference_low <= nearly.difference <= nearly.difference_high
    assert compare(truth, variants, "default", subjects, draws=500) == found
    worse = compare(truth, {"default": second, "first": first}, "default", subjects, draws=500)
    assert worse["first"].verdict == "worse"
    assert worse["first"].difference == pytest.approx(-better.difference)


def test_what_cannot_be_compared_is_refused():
    truth, first, second, subjects = simulate(np.random.default_rng(4))
    with pytest.raises(MerError, match="no variant"):
        compare(truth, {"a": first}, "b", subjects)
    with pytest.raises(MerError, match="do not fit"):
        bootstrap(truth, first[:, :-1], subjects)
    with pytest.raises(MerError, match="paired"):
        permutation_test(truth, first, second[:1], subjects)


def draw_tables(rng, count, sets=8, seeds=3, sd_sets=0.03, sd_seeds=0.02, mean=0.7):
    """Return scores (count, D, K): sets of unequal difficulty, each trained from several seeds."""
    hard = sd_sets * rng.standard_normal((count, sets, 1))
    return mean + hard + sd_seeds * rng.standard_normal((count, sets, seeds))


def test_the_t_interval_over_sets_holds_95_percent_and_its_rivals_do_not():
    rng = np.random.default_rng(5)
    tables, people = draw_tables(rng, 2000), rng.integers(8, size=(400, 8))

    def cover(intervals):
        return np.mean([low <= 0.7 <= high for low, high in intervals])

    # 2 standard errors of a share of 95 % among 2,000 are 1 %
    assert abs(cover([t_interval(table.mean(1)) for table in tables]) - 0.95) < 0.01
    # 24 trainings on 8 sets are not 24 sets
    assert cover([t_interval(table.ravel()) for table in tables]) < 0.85
    drawn = [np.percentile(table.mean(1)[people].mean(1), [2.5, 97.5]) for table in tables]
    assert 0.85 < cover(drawn) < 0.91


def test_sign_flips_by_hand():
    # the 8 sums of 1, 2 and 3 with signs: 6, 4, 2, 0, 0, -2, -4, -6
    assert sign_flip_test([0.01, 0.02, 0.03]) == 2 / 8
    assert sign_flip_test([-0.01, 0.02, 0.03]) == 4 / 8
    assert sign_flip_test([-0.01, -0.02, 0.03]) == 1
    assert sign_flip_test([0.0, 0.0]) == 1
    gaps = np.random.default_rng(6).normal(size=6)
    ways = [abs(np.dot(gaps, signs)) for signs in product((1, -1), repeat=6)]
    assert sign_flip_test(gaps) == np.mean(np.array(ways) >= ways[0] - 1e-12)
    assert sign_flip_test(np.full(8, 0.01)) == 2 / 2**8


@pytest.mark.parametrize("sets", [3, 8, 12])
def test_the_detectable_difference_is_found_in_four_of_five_simulations(sets):
    rng, sd = np.random.default_rng(7), 0.02
    gaps = detectable_difference(sd, sets) + sd * rng.standard_normal((4000, sets))
    # 3 standard errors of a share of 80 % among 4,000 are 2 %
    assert abs(np.mean(ttest_1samp(gaps, 0, axis=1).pvalue < 0.05) - 0.8) < 0.02


def test_the_test_that_decides_has_nearly_the_power_of_the_t_test():
    gaps = 0.02 * np.random.default_rng(8).standard_normal((1000, 8))
    gaps += detectable_difference(0.02, 8)
    assert 0.72 < np.mean([sign_flip_test(row) < 0.05 for row in gaps]) < 0.82


def test_equivalence_is_two_one_sided_tests_and_the_90_percent_interval():
    rng = np.random.default_rng(9)
    seen = []
    for gaps in rng.normal(0.01, 0.03, (200, 8)):
        one = ttest_1samp(gaps, -0.036, alternative="greater").pvalue
        other = ttest_1samp(gaps, 0.036, alternative="less").pvalue
        p = equivalence_test(gaps, 0.036)
        assert p == pytest.approx(max(one, other))
        low, high = t_interval(gaps, 0.9)
        assert (p < 0.05) == (-0.036 < low and high < 0.036)
        seen.append(p < 0.05)
    assert 20 < sum(seen) < 180  # both kinds were met
    assert equivalence_test(np.zeros(4)) == 0 and equivalence_test(np.full(4, 0.036)) == 1


def test_the_spread_is_split_into_that_of_sets_and_that_of_seeds():
    tables = draw_tables(np.random.default_rng(10), 2000)
    found = np.array([split_spread(table) for table in tables])
    assert np.sqrt((found**2).mean(0)) == pytest.approx([0.03, 0.02], rel=0.05)
    single = tables[0][:, :1]
    assert split_spread(single) == (pytest.approx(single.std(ddof=1)), None)


STEPS = np.array([-0.01, 0.01, -0.008, 0.008, -0.006, 0.006, -0.004, 0.004])[:, None]


def make_tables(**shifts):
    """Return tables (8, 3) that differ from the first, the default, by the shifts (8, 1) or one
    number.
    """
    default = draw_tables(np.random.default_rng(11), 1)[0]
    return {"default": default} | {name: default + shift for name, shift in shifts.items()}


def test_verdicts_of_constructed_cases_and_their_words():
    tables = make_tables(up=0.05 + STEPS, down=-0.02 + STEPS, same=STEPS, wild=0.01 + 10 * STEPS)
    found = compare_sets(tables, "default", ("same",))
    verdicts = [found[name].verdict for name in tables]
    assert verdicts == ["reference", "better", "worse", "equivalent", "undecided"]
    assert found["up"].words == "better by 0.050" and found["down"].words == "worse by 0.020"
    reach = t_interval(STEPS.ravel())[1]
    assert found["same"].words == (
        f"no difference could be detected; smaller than {reach:.3f}: equivalent within the margin "
        "of 0.036"
    )
    assert found["wild"].words == (
        f"no difference could be detected; smaller than {0.01 + 10 * reach:.3f}"
    )
    # the lower end is the larger one here
    wild = compare_sets(make_tables(wild=-0.01 + 10 * STEPS), "default")["wild"]
    assert wild.words == found["wild"].words
    # 7 times the smallest p of 8 sets is above 0.05: not one of 7 rows can be called better
    many = compare_sets(make_tables(**{f"v{k}": 0.05 + STEPS for k in range(7)}), "default")
    assert {many[f"v{k}"].verdict for k in range(7)} == {"undecided"}
    assert many["v0"].p < 0.05 < many["v0"].p_corrected == many["v0"].p_least
    low, high = t_interval(0.05 + STEPS.ravel())
    assert many["v0"].words == (
        f"too few sets to tell among so many variants; between {low:+.3f} and {high:+.3f}"
    )
    # claims nothing beyond these sets
    copy = compare_sets(make_tables(copy=0.0), "default")["copy"]
    assert copy.words == "the same score on every set" and copy.verdict == "equivalent"
    narrow = compare_sets(tables, "default", ("same",), margin=0.004)["same"]
    assert narrow.verdict == "undecided"


def test_families_are_corrected_apart():
    tables = make_tables(a=0.02 + STEPS, b=0.003 + STEPS, c=0.01 + STEPS, d=STEPS, e=2 * STEPS)
    found = compare_sets(tables, "default", ("a", "b"))
    for family, names in {"primary": "ab", "exploratory": "cde"}.items():
        rows = [found[name] for name in names]
        assert {row.family for row in rows} == {family}
        assert [row.p_corrected for row in rows] == holm([row.p for row in rows]).tolist()
        raw = [equivalence_test((tables[n] - tables["default"]).mean(1)) for n in names]
        assert [row.p_equivalent for row in rows] == pytest.approx(holm(raw))
        assert {row.p_least for row in rows} == {len(names) * 2 / 2**8}
    alone = compare_sets(tables, "default")["a"]
    assert alone.p_corrected == 5 * found["a"].p and alone.p == found["a"].p


def test_the_set_is_the_unit_and_seeds_are_nested_in_it():
    tables = make_tables(a=0.01 + STEPS)
    once = {name: table[:, :1] for name, table in tables.items()}
    copies = {name: np.repeat(table, 5, 1) for name, table in once.items()}
    found, again = compare_sets(once, "default"), compare_sets(copies, "default")
    kept = ("low", "high", "difference_low", "difference_high", "p", "p_equivalent", "detectable")
    for name in tables:
        numbers = [[getattr(one[name], key) for key in kept] for one in (found, again)]
        assert numbers[0] == pytest.approx(numbers[1])
        assert found[name].sd_seeds is None and again[name].sd_seeds == pytest.approx(0)
        assert found[name].sd_sets == pytest.approx(again[name].sd_sets)
    row = compare_sets(tables, "default")["a"]
    assert row.difference == pytest.approx(0.01) and row.mean == pytest.approx(tables["a"].mean())
    assert (row.low, row.high) == t_interval(tables["a"].mean(1))
    base = compare_sets(tables, "default")["default"]
    assert base.difference == base.difference_low == base.difference_high == base.detectable == 0


def test_tables_that_cannot_be_compared_are_refused():
    tables = make_tables(a=0.01)
    for wrong, names, message in (
        (tables, ("b", ()), "there is no variant 'b'; there are default, a"),
        (tables, ("default", ("b",)), "there is no variant 'b'"),
        (tables | {"a": tables["a"][:, :2]}, ("default",), "a has not as many scores as default"),
        (tables | {"a": tables["a"] * np.nan}, ("default",), "some are no numbers"),
        ({n: table[:1] for n, table in tables.items()}, ("default",), r"1 set\(s\)"),
        ({n: np.zeros((21, 1)) for n in tables}, ("default",), "needs 2 to 20"),
    ):
        with pytest.raises(MerError, match=message):
            compare_sets(wrong, *names)
