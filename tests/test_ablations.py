"""Statistics against slow versions, swaps by hand and chance; gates; the benchmark on toys."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

from mer_utils import MerError
from mer_utils.ablations import (
    GRID,
    answer_with,
    bootstrap,
    choose_rows,
    compare,
    compare_sets,
    detectable_difference,
    draw_weights,
    equivalence_test,
    find_record,
    holm,
    load_replicates,
    permutation_test,
    read_gates,
    sign_flip_test,
    t_interval,
)
from mer_utils.baselines import recipe_of
from mer_utils.evaluation import macro_uf1, run_loso
from mer_utils.features import FrontEnd
from mer_utils.training import Recipe

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp
from toys import load_benchmark, make_toy


def simulate(rng, subjects=16, clips=10, seeds=2, skill=0.7, same=True, labels=3):
    """Return truth (N, L), two sets of answers (K, N, L), and subjects (N,)."""
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
    # perfect answers stay perfect whoever is drawn: a label that nobody drawn shows is left out
    truth = np.array([[1, 0], [1, 0], [1, 1]])
    assert (bootstrap(truth, truth, np.arange(3), draws=50) == 1).all()


def test_permutation_test_is_all_swaps_by_hand():
    truth, first, second, subjects = simulate(
        np.random.default_rng(1), subjects=4, clips=5, same=False
    )

    def difference(swap):
        taken = np.array(swap)[subjects].astype(bool)[:, None]
        mixed = np.where(taken, second, first), np.where(taken, first, second)
        return np.mean(
            [macro_uf1(truth, a) - macro_uf1(truth, b) for a, b in zip(*mixed, strict=True)]
        )

    observed = abs(difference((0, 0, 0, 0)))
    swaps = product((0, 1), repeat=4)
    by_hand = np.mean([abs(difference(swap)) >= observed - 1e-12 for swap in swaps])
    assert permutation_test(truth, first, second, subjects) == pytest.approx(by_hand)


def test_equal_methods_are_rarely_called_different_and_unequal_ones_are():
    rng = np.random.default_rng(2)
    chance = [permutation_test(*simulate(rng), draws=400) for _ in range(200)]
    # 5 % of 200 is 10, give or take 2 * 3.1
    assert 0.01 <= np.mean(np.array(chance) < 0.05) <= 0.10
    assert 0.4 < np.mean(chance) < 0.6
    unequal = [permutation_test(*simulate(rng, same=False), draws=400) for _ in range(20)]
    assert max(unequal) < 0.05


def test_holm_and_sign_flips_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0] and holm([]).tolist() == []
    # the 8 sums of 1, 2 and 3 with signs: 6, 4, 2, 0, 0, -2, -4, -6
    assert sign_flip_test([0.01, 0.02, 0.03]) == 2 / 8
    assert sign_flip_test([-0.01, 0.02, 0.03]) == 4 / 8
    assert sign_flip_test([-0.01, -0.02, 0.03]) == sign_flip_test([0.0, 0.0]) == 1
    assert sign_flip_test(np.full(8, 0.01)) == 2 / 2**8


def test_compare_reports_what_its_parts_find():
    truth, first, second, subjects = simulate(np.random.default_rng(3), same=False)
    third = first.copy()
    third[0, 0] = 1 - third[0, 0]
    variants = {"default": first, "better": second, "nearly": third}
    base, better, nearly = compare(truth, variants, "default", subjects, draws=500).values()
    assert base.difference == base.difference_low == base.difference_high == 0
    assert base.macro == pytest.approx(np.mean([macro_uf1(truth, run) for run in first]))
    assert better.verdict == "better" and better.difference_low > 0
    assert better.low < better.macro < better.high
    assert better.p_corrected == pytest.approx(min(1, 2 * better.p))
    assert nearly.verdict == "within noise"
    worse = compare(truth, {"default": second, "first": first}, "default", subjects, draws=500)
    assert worse["first"].verdict == "worse"


def draw_tables(rng, count, sets=8, seeds=3, sd_sets=0.03, sd_seeds=0.02, mean=0.7):
    """Return scores (count, D, K): sets of unequal difficulty, each trained from several seeds."""
    hard = sd_sets * rng.standard_normal((count, sets, 1))
    return mean + hard + sd_seeds * rng.standard_normal((count, sets, seeds))


def test_the_detectable_difference_is_found_in_four_of_five_simulations():
    rng, sd = np.random.default_rng(7), 0.02
    gaps = detectable_difference(sd, 8) + sd * rng.standard_normal((4000, 8))
    # 3 standard errors of a share of 80 % among 4,000 are 2 %
    assert abs(np.mean(ttest_1samp(gaps, 0, axis=1).pvalue < 0.05) - 0.8) < 0.02
    # the test that decides has nearly this power
    assert 0.72 < np.mean([sign_flip_test(row) < 0.05 for row in gaps[:1000]]) < 0.82


def test_equivalence_is_the_90_percent_interval_within_the_margin():
    rng, equivalent = np.random.default_rng(9), []
    for gaps in rng.normal(0.01, 0.03, (100, 8)):
        low, high = t_interval(gaps, 0.9)
        equivalent.append(equivalence_test(gaps) < 0.05)
        assert equivalent[-1] == (-0.036 < low and high < 0.036)
    assert 10 < sum(equivalent) < 90  # both kinds were met
    assert equivalence_test(np.zeros(4)) == 0 and equivalence_test(np.full(4, 0.036)) == 1


def test_the_spread_is_split_into_that_of_sets_and_that_of_seeds(benchmark):
    tables = draw_tables(np.random.default_rng(10), 2000)
    found = np.array([benchmark.split_spread(table) for table in tables])
    assert np.sqrt((found**2).mean(0)) == pytest.approx([0.03, 0.02], rel=0.05)
    single = tables[0][:, :1]
    assert benchmark.split_spread(single) == (
        pytest.approx(single.std(ddof=1)),
        pytest.approx(np.nan, nan_ok=True),
    )


STEPS = np.array([-0.01, 0.01, -0.008, 0.008, -0.006, 0.006, -0.004, 0.004])[:, None]


def make_tables(**shifts):
    """Return tables (8, 3): the default's, and it shifted by (8, 1) or one number."""
    default = draw_tables(np.random.default_rng(11), 1)[0]
    return {"default": default} | {name: default + shift for name, shift in shifts.items()}


def test_verdicts_of_constructed_cases_and_their_words():
    tables = make_tables(up=0.05 + STEPS, down=-0.02 + STEPS, same=STEPS, wild=0.01 + 10 * STEPS)
    rows = compare_sets(tables, "default", ("same",))
    verdicts = [rows[name].verdict for name in tables]
    assert verdicts == ["reference", "better", "worse", "equivalent", "undecided"]
    assert rows["up"].words == "better by 0.050" and rows["down"].words == "worse by 0.020"
    reach = t_interval(STEPS.ravel())[1]
    assert rows["same"].words == f"equivalent: at most {reach:.3f} apart"
    none = "no difference could be detected; smaller than"
    assert rows["wild"].words == f"{none} {0.01 + 10 * reach:.3f}"
    # the lower end is the larger one here
    wild = compare_sets(make_tables(wild=-0.01 + 10 * STEPS), "default")["wild"]
    assert wild.words == rows["wild"].words
    # 7 times the smallest p of 8 sets is above 0.05: not one of 7 rows can be called better
    many = compare_sets(make_tables(**{f"v{k}": 0.05 + STEPS for k in range(7)}), "default")
    assert {many[f"v{k}"].verdict for k in range(7)} == {"undecided"}
    assert many["v0"].p < 0.05 < many["v0"].p_corrected == many["v0"].p_least
    low, high = t_interval(0.05 + STEPS.ravel())
    few = "too few to tell; the difference lies between"
    assert many["v0"].words == f"{few} {low:+.3f} and {high:+.3f}"


@pytest.mark.slow
def test_every_score_is_kept_and_a_notebook_reads_the_tables(measured, benchmark):
    record = read_record(measured)
    table = load_replicates(measured, "bench-v1")["ablations"]
    assert list(record["sets"]) == ["1", "2"] and list(record["tables"]) == ["ablations"]
    assert list(record["tables"]["ablations"]) == list(benchmark.PRIMARY)
    assert not list((measured / "data").glob("synthetic-*"))  # the frames are not kept
    assert table.sets == (1, 2) and "8 clips and 4 people, 2 training seeds each" in table.about
    for name, macro in table.macro.items():
        f1 = [record["tables"]["ablations"][name]["f1"][key] for key in "12"]
        # both are means over training seeds
        assert macro.mean(1) == pytest.approx(np.mean(f1, 1), abs=1e-3)
    assert table.rows == compare_sets(table.macro, "default", ("no fusion attention", "no SE"))
    for name, row in table.rows.items():
        assert record["comparisons"]["ablations"][name]["words"] == row.words


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


def test_the_set_is_the_unit_and_seeds_are_nested_in_it():
    tables = make_tables(a=0.01 + STEPS)
    once = {name: table[:, :1] for name, table in tables.items()}
    copies = {name: np.repeat(table, 5, 1) for name, table in once.items()}
    found, again = compare_sets(once, "default"), compare_sets(copies, "default")
    kept = ("low", "high", "difference_low", "difference_high", "p", "p_equivalent", "detectable")
    for name in tables:
        numbers = [[getattr(one[name], key) for key in kept] for one in (found, again)]
        assert numbers[0] == pytest.approx(numbers[1])
    rows = compare_sets(tables, "default")
    base, row = rows["default"], rows["a"]
    assert row.difference == pytest.approx(0.01) and row.macro == pytest.approx(tables["a"].mean())
    assert base.difference == base.difference_low == base.difference_high == base.detectable == 0


RECIPE = Recipe(epochs=6, patience=6, members=1)


@pytest.fixture(scope="module")
def run():
    """A toy in which one view of every third clip shows noise instead of the labels."""
    toy = make_toy(clips=24)
    x, rng = toy.x.copy(), np.random.default_rng(1)
    for row in range(0, len(x), 3):
        x[row, row % 2] = rng.standard_normal(x.shape[2:])
    features = replace(toy, x=x)
    return features, run_loso(features, RECIPE)


def test_trained_gates_differ_from_clip_to_clip(run):
    """Coupled weight decay would make gates constants, which a linear head absorbs."""
    features, outcome = run
    weights, gates = read_gates(outcome, features, RECIPE)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights, outcome.attention, atol=1e-6)
    by_fold = [features.subjects == name for (name,) in outcome.subjects]
    for gate in (weights, gates):
        inside = np.mean([gate[rows].std(0).mean() for rows in by_fold])
        assert inside > 1e-3  # within a fold: other networks' gates would differ anyway


def test_other_gates_give_other_answers_and_the_own_ones_those_of_the_run(run):
    features, outcome = run
    own = answer_with(outcome, features, RECIPE, lambda network, maps: (None, None))
    np.testing.assert_array_equal(own, outcome.answers)
    sizes = []

    def silence(network, maps):
        sizes.append(len(maps))
        return torch.zeros(1, 3), None

    silent = answer_with(outcome, features, RECIPE, silence)
    people = [(features.subjects == name).sum() for (name,) in outcome.subjects]
    assert sizes == [len(features.x) - count for count in people]  # the training clips
    for (name,) in outcome.subjects:  # nothing of a clip is left: a fold answers all alike
        assert (np.ptp(silent[features.subjects == name], 0) == 0).all()


def test_rows_that_some_data_cannot_run_are_left_out():
    def kept(views=2, channels=None, apex=5, phases=2):
        clips = [SimpleNamespace(apex=apex, names=("a",) * phases)]
        dataset = SimpleNamespace(views=views, channels=channels, clips=clips)
        return GRID.keys() - choose_rows(dataset).keys()

    one_view = {"left view only", "right view only"}
    assert kept() == set() and kept(views=1) == one_view
    assert kept(apex=None) == {"reference apex"}
    images = {"head motion left in", "reference apex"}
    assert kept(channels=("u", "v")) == images
    assert kept(1, ("u", "v"), phases=1) == images | one_view | {"onset-apex only"}


ROOT = Path(__file__).parents[1]
TINY = ("--preset", "bench-v1", "--subjects", "4", "--clips", "8", "--seeds", "2", "--jobs", "1")


@pytest.fixture(scope="session")
def benchmark():
    """The script as a module, with toys in place of films and training cut short."""
    module = load_benchmark("replicates")
    module.describe_makers = lambda: {"code": {"generator": "a toy"}}
    module.BASE, module.FOLDS = replace(module.BASE, epochs=2, inner=2, width=2), 2

    def make_folder(parent, subjects, clips, seed, jobs, preset):
        root = parent / f"synthetic-{preset}-{subjects}x{clips}-seed{seed}"
        root.mkdir(parents=True)
        return root

    def open_toy(root):
        toy = make_toy(clips=8, subjects=4, seed=int(root.name[-1]))
        clips = [SimpleNamespace(apex=apex) for apex in toy.apex]
        return SimpleNamespace(toy=toy, clips=clips, labels=toy.labels)

    module.ensure_synthetic, module.open_dataset = make_folder, open_toy
    module.extract_variants = lambda dataset, kinds, *_: [dataset.toy for _ in kinds]
    return module


@pytest.fixture(scope="session")
def measured(benchmark, tmp_path_factory):
    """A folder in which two tiny sets were measured, the second one with the first one's file."""
    root = tmp_path_factory.mktemp("root")
    for sets in (["1"], ["1", "2"]):
        benchmark.main([*TINY, "--groups", "primary", "--sets", *sets], root)
    return root


def read_record(root):
    return json.loads(find_record(root, "bench-v1").read_text())


@pytest.mark.slow
def test_a_stopped_run_compares_only_whole_sets_and_goes_on(
    measured, benchmark, monkeypatch, tmp_path
):
    path = find_record(tmp_path, "bench-v1")
    record = read_record(measured)
    for kind in ("macro", "f1"):  # as if it had been added later, and stopped after the first set
        del record["tables"]["ablations"]["neither"][kind]["2"]
    path.parent.mkdir()
    path.write_text(json.dumps(record))
    assert load_replicates(tmp_path, "bench-v1")["ablations"].sets == (1,)
    made = []
    grid = benchmark.run_grid
    monkeypatch.setattr(benchmark, "run_grid", lambda *args: made.append(args) or grid(*args))
    (tmp_path / "artifacts").symlink_to(measured / "artifacts")
    words = [*TINY, "--groups", "primary", "--sets", "1", "2", "--keep-data"]
    benchmark.main(words, tmp_path)
    ((tasks, *_),) = made  # one variant on one set
    assert [(recipe.seed, recipe.se) for _, recipe in tasks] == [(0, False), (1, False)]
    assert list((tmp_path / "data").glob("synthetic-bench-v1-4x8-seed2"))
    again, first = read_record(tmp_path), read_record(measured)
    assert again["tables"] == first["tables"] and again["comparisons"] == first["comparisons"]
    with pytest.raises(MerError, match="was made with another seeds: move it away"):
        benchmark.main([*words, "--seeds", "1"], tmp_path)
    monkeypatch.setattr(benchmark, "describe_makers", lambda: {"code": {}})
    with pytest.raises(MerError, match="was made with another provenance"):
        benchmark.main(words, tmp_path)
    assert read_record(tmp_path) == again


def test_sets_that_are_no_evidence_or_too_few_or_many_are_refused(benchmark, tmp_path):
    for words, message in (
        (["--sets", "1", "1001"], "sets from 1001 on are for choosing defaults"),
        (["--sets", "0"], "set 0 is no evidence: it is the notebooks'"),
        (["--sets", "3", "3"], "each set can be named once"),
        (["--preset", "bench-v0"], "there is no preset 'bench-v0'"),
        (["--variants", "SVM"], "no variant 'SVM'"),
    ):
        with pytest.raises(MerError, match=message):
            benchmark.main(["--preset", "bench-v1", *words], tmp_path)
    for sets in (1, 21):
        with pytest.raises(MerError, match=rf"{sets} set\(s\): .* needs 2 to 20"):
            compare_sets({"default": np.zeros((sets, 3))}, "default")


def test_a_chosen_variant_runs_beside_what_it_is_compared_with(benchmark):
    chosen = benchmark.choose_variants(("ablations", "peers"), ["cross-entropy", "PCA+SVM"])
    names = ["default", "cross-entropy", "MicroAttNet", "PCA+SVM"]
    assert [name for _, name in chosen] == names
    assert chosen["peers", "PCA+SVM"] == (FrontEnd(), recipe_of("PCA+SVM", members=1))
