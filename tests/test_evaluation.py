"""What a fold may see, that stopping and spreading the work change no bit, and the metrics."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mer_utils import MerError, evaluation
from mer_utils.baselines import PEERS
from mer_utils.evaluation import Fitted, label_f1, macro_uf1, run_fold, run_grid, run_loso
from mer_utils.training import Recipe, mean_precision

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score
from toys import make_toy

QUICK = Recipe(epochs=4, patience=2, inner=2, width=4)


def fold_of(data, subject):
    return evaluation.leave_one_subject_out(data.subjects)[subject]


def test_inner_parts_share_no_subject_and_are_of_like_size():
    subjects = np.repeat([f"S{k}" for k in range(10)], np.arange(1, 11))
    part = evaluation.split_subjects(subjects, 3, 0)
    assert all(len(set(part[subjects == name])) == 1 for name in subjects)
    counts = np.bincount(part)
    assert len(counts) == 3 and np.ptp(counts) <= 10  # at most the largest subject apart


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "exclusive"),
    [*((name, False) for name in ("MicroAttNet", *PEERS)), ("MicroAttNet", True)],
)
def test_a_visible_label_is_learned(network, exclusive):
    data = make_toy(clips=60, size=16, exclusive=exclusive)
    slow = "Apex" in network
    recipe = Recipe(network=network, epochs=10 if slow else 20, rate=1e-3 if slow else 1e-2)
    recipe = replace(recipe, inner=2, members=1, width=4, dropout=0.2)
    (outcome,) = run_grid([(data, recipe)], folds=2)
    # a guess by prevalence scores about 0.4-0.57, one class for all 0.17
    assert outcome.uf1(data.y)["macro"] > 0.8


def test_the_test_subject_touches_nothing_but_its_own_scores():
    data = make_toy()
    own = data.subjects == "S02"
    x, y = data.x.copy(), data.y.copy()
    x[own] = 1e3 + np.arange(own.sum())[:, None, None, None, None, None]
    y[own] = 1 - y[own]
    clean = run_fold(data, *fold_of(data, "S02"), QUICK)
    other = run_fold(replace(data, x=x, y=y), *fold_of(data, "S02"), QUICK)
    for name in clean.keys() - {"scores", "attention"}:
        np.testing.assert_array_equal(clean[name], other[name], err_msg=name)
    assert (clean["scores"] != other["scores"]).any()
    # a recipe that peeks does touch it
    peeks = replace(QUICK, stop="test", epochs=12, members=1)
    pair = (run_fold(toy, *fold_of(data, "S02"), peeks) for toy in (data, replace(data, y=y)))
    assert (next(pair)["scores"] != next(pair)["scores"]).any()


def test_leaks_are_refused():
    data = make_toy()
    train, test = fold_of(data, "S02")
    with pytest.raises(MerError, match=r"leak: subject S02"):
        run_fold(data, np.append(train, test[0]), test[1:], QUICK)
    with pytest.raises(MerError, match=r"leak: the clip c2 "):
        run_fold(data, np.append(train, test[0]), test, QUICK)
    data.x[7] = data.x[2]  # c7 of S01 is c2 of S02
    with pytest.raises(MerError, match=r"leak: the clips c7 and c2 are the same recording"):
        run_loso(data, QUICK)
    data.x[[2, 7]] = 0  # maps without motion identify no recording
    evaluation.check_fold(data, train, test)


def test_a_statistic_of_test_subjects_is_refused():
    """Scales and thresholds know their clips, and are not given out for the people among them."""
    data = make_toy()
    train, test = fold_of(data, "S02")
    roles = evaluation.plan_fold(data, train, test, QUICK)
    trained = evaluation.train_members(data, roles, QUICK)
    greedy = [replace(role, train=np.append(role.train, test[0])) for role in roles]
    with pytest.raises(MerError, match=r"leak: the scales of the maps .* test subject S02"):
        evaluation.train_members(data, greedy, QUICK)
    greedy = [replace(role, validation=np.append(role.validation, test[0])) for role in roles]
    with pytest.raises(MerError, match=r"leak: the thresholds .* test subject S02"):
        evaluation.finish_fold(data, QUICK, greedy, trained)
    # fixed thresholds are computed from no clip
    evaluation.finish_fold(data, replace(QUICK, thresholds="fixed"), greedy, trained)
    assert Fitted.on(train, np.mean, data.y).apply_to(test, data, "mean") == data.y[train].mean()


def test_features_that_cannot_be_learned_from_are_one_sentence():
    data = make_toy()
    for broken, words in (
        (replace(data, y=data.y * np.uint8([1, 0, 1])), "no clip shows B"),
        (replace(data, subjects=np.full(36, "S00")), "too few subjects"),
        (replace(data, subjects=np.repeat(["S00", "S01"], 18)), r"1 subject\(s\) cannot be split"),
    ):
        with pytest.raises(MerError, match=words):
            run_loso(broken, QUICK)


def test_a_label_that_only_the_test_subject_shows_is_never_answered_for_it():
    data = make_toy()
    own, y = data.subjects == "S03", data.y.copy()
    y[:, 1] = own
    outcome = run_loso(replace(data, y=y), QUICK)
    assert np.isinf(outcome.thresholds[own, 1]).all() and not outcome.answers[own, 1].any()
    assert np.isfinite(outcome.thresholds[~own]).all()
    for (subject,), row in zip(outcome.subjects, outcome.fold_thresholds, strict=True):
        assert (outcome.thresholds[data.subjects == subject] == row).all()


def test_fixed_thresholds_are_the_natural_ones():
    for network, natural in (("MicroAttNet", 0.5), ("PCA+SVM", 0)):
        recipe = replace(QUICK, thresholds="fixed", network=network, members=1)
        assert (run_loso(make_toy(subjects=3), recipe).thresholds == natural).all()


@pytest.mark.slow
def test_workers_cache_and_grid_change_no_bit(tmp_path):
    recipe = replace(QUICK, members=1)
    tasks = [(make_toy(), recipe), (make_toy(seed=1), replace(recipe, network="STSTNet"))]
    fresh, kept = (run_grid(tasks, tmp_path, jobs=2, folds=2) for _ in range(2))
    assert len([*(tmp_path / "folds").iterdir()]) == 4
    for task, *outcomes in zip(tasks, fresh, kept, strict=True):
        (alone,) = run_grid([task], folds=2)
        for outcome in outcomes:
            np.testing.assert_array_equal(outcome.scores, alone.scores)
            np.testing.assert_array_equal(outcome.thresholds, alone.thresholds)


def test_two_runs_at_once_train_each_fold_once(tmp_path, monkeypatch):
    data, trained = make_toy(), []

    def train_slowly(features, *others):
        trained.append(others)
        time.sleep(0.05)
        return run_fold(features, *others)

    run_loso(data, QUICK, tmp_path / "other")  # threads, unlike processes, share torch's dice
    monkeypatch.setattr(evaluation, "run_fold", train_slowly)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run_loso, data, QUICK, tmp_path) for _ in range(2)]
        first, second = (run.result() for run in runs)
    assert len(trained) == len(set(data.subjects))
    np.testing.assert_array_equal(first.scores, second.scores)


def test_subjects_can_be_left_out_in_groups(tmp_path):
    data = make_toy(subjects=9)
    folds = evaluation.plan_folds(data.subjects, 4)
    tests = [test for _, test in folds.values()]
    np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(36))
    assert len(folds) == 4 and {len(names) for names in folds} == {2, 3}
    (outcome,) = run_grid([(data, QUICK)], tmp_path, folds=4)
    assert outcome.subjects == tuple(folds) and len([*(tmp_path / "folds").iterdir()]) == 4
    names, (train, test) = next(iter(folds.items()))
    assert list(names) == sorted(set(data.subjects[test]))
    alone = run_fold(data, train, test, QUICK)
    np.testing.assert_array_equal(outcome.scores[test], alone["scores"])


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth, predicted = rng.random((2, 200, 5)) < [[[0.4]], [[0.3]]]
    expected = f1_score(truth, predicted, average=None, zero_division=0)
    np.testing.assert_allclose(label_f1(truth, predicted), expected)
    assert macro_uf1(truth, predicted) == pytest.approx(expected.mean())
    # a label that never occurs has no F1 and counts in no mean
    np.testing.assert_array_equal(label_f1([[1, 0]], [[1, 0]]), [1, np.nan])
    assert macro_uf1([[1, 0]], [[1, 1]]) == 1


def test_constant_answers_on_the_published_label_counts():
    # the label sets of 4DME: Negative, Positive, Repression, Surprise, Others
    sets = "10000 01000 00001 00010 00100 01010 10010 01100 10100 00110".split()
    counts = (127, 34, 31, 30, 6, 13, 8, 8, 7, 3)
    labels = np.repeat([list(map(int, labels)) for labels in sets], counts, axis=0)
    answers = evaluation.constant_answers(labels, np.arange(len(labels)) % 24)
    # these values are known to three decimals
    assert macro_uf1(labels, answers["all_ones"]) == pytest.approx(0.349, abs=5e-4)
    assert macro_uf1(labels, answers["majority"]) == pytest.approx(0.139, abs=5e-4)
    assert macro_uf1(labels, answers["all_zeros"]) == 0
    assert (answers["majority"][:, 0] == 1).all() and answers["majority"].sum() == len(labels)


def test_majority_never_looks_at_the_subject_it_answers_for():
    truth, subjects = np.eye(2, dtype=int)[[0] * 5 + [1] * 4], np.array(["a"] * 5 + ["b"] * 4)
    answers = evaluation.constant_answers(truth, subjects, exclusive=True)
    assert list(answers) == ["majority"]
    assert (answers["majority"][:5] == (0, 1)).all() and (answers["majority"][5:] == (1, 0)).all()


def test_exclusive_labels_are_decided_by_the_largest_score_and_scored_by_uf1_and_uar():
    scores = np.random.default_rng(0).random((200, 3))
    answers = evaluation.decide(scores, np.full(3, 9.0), exclusive=True)
    assert (answers.sum(1) == 1).all() and (answers.argmax(1) == scores.argmax(1)).all()
    truth = np.random.default_rng(1).integers(3, size=200)
    one_hot, classes = np.eye(3, dtype=np.uint8)[truth], answers.argmax(1)
    assert macro_uf1(one_hot, answers) == pytest.approx(f1_score(truth, classes, average="macro"))
    assert evaluation.uar(one_hot, answers) == pytest.approx(
        balanced_accuracy_score(truth, classes)
    )


def test_thresholds_reach_the_best_f1_there_is():
    rng = np.random.default_rng(1)
    truth = rng.random((60, 3)) < 0.3
    scores = truth * 0.5 + rng.random((60, 3))
    best = label_f1(truth, scores >= evaluation.tune_thresholds(truth, scores))
    for t in np.linspace(0, 1.5, 200):
        assert (best >= label_f1(truth, scores >= t) - 1e-12).all()
    # the middle between no and yes; a label that nobody shows is never answered
    thresholds = evaluation.tune_thresholds([[1, 0], [0, 0]], [[0.9, 0.9], [0.1, 0.1]])
    assert thresholds.tolist() == [0.5, np.inf]
    assert evaluation.decide([[0.9, 1e6]], thresholds).tolist() == [[1, 0]]


def test_mean_precision_is_scikit_learn_s_with_and_without_ties():
    rng = np.random.default_rng(0)
    for levels, clips in itertools.product((1, 3, 1000), (1, 2, 3, 10, 40)):  # few levels: ties
        truth = rng.random((clips, 4)) < 0.4
        truth[0] = True
        scores = rng.integers(levels, size=truth.shape) / levels
        pairs = zip(truth.T, scores.T, strict=True)
        expected = np.mean([average_precision_score(y, s) for y, s in pairs])
        assert mean_precision(truth, scores) == pytest.approx(expected, abs=1e-12)
        truth[:, 3] = False  # a label that does not occur is left out
        expected = mean_precision(truth[:, :3], scores[:, :3])
        assert mean_precision(truth, scores) == pytest.approx(expected, abs=1e-12)
    assert mean_precision(np.zeros((3, 1)), np.ones((3, 1))) == 0
