from mer_utils.evaluation import (
    confusion,
    constant_answers,
    decide,
    label_f1,
    macro_uf1,
    tune_thresholds,
    uar,
)
from mer_utils.training import mean_precision

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score

# the ten label sets of 4DME with their counts: Negative, Positive, Repression, Surprise, Others
SETS = {
    (1, 0, 0, 0, 0): 127,
    (0, 1, 0, 0, 0): 34,
    (0, 0, 0, 0, 1): 31,
    (0, 0, 0, 1, 0): 30,
    (0, 0, 1, 0, 0): 6,
    (0, 1, 0, 1, 0): 13,
    (1, 0, 0, 1, 0): 8,
    (0, 1, 1, 0, 0): 8,
    (1, 0, 1, 0, 0): 7,
    (0, 0, 1, 1, 0): 3,
}


@pytest.fixture
def labels():
    return np.repeat(list(SETS), list(SETS.values()), axis=0)


def test_agrees_with_scikit_learn(labels):
    predicted = np.random.default_rng(0).random(labels.shape) < 0.3
    expected = f1_score(labels, predicted, average=None, zero_division=0)
    np.testing.assert_allclose(label_f1(labels, predicted), expected)
    assert macro_uf1(labels, predicted) == pytest.approx(expected.mean())


def test_constant_answers_on_the_published_label_counts(labels):
    subjects = np.arange(len(labels)) % 24
    answers = constant_answers(labels, subjects)
    # these values are known to three decimals
    assert macro_uf1(labels, answers["all_ones"]) == pytest.approx(0.349, abs=5e-4)
    assert macro_uf1(labels, answers["majority"]) == pytest.approx(0.139, abs=5e-4)
    assert macro_uf1(labels, answers["all_zeros"]) == 0
    assert (answers["majority"][:, 0] == 1).all() and answers["majority"].sum() == len(labels)


def test_majority_never_looks_at_the_subject_it_answers_for():
    truth = np.array([[1, 0]] * 5 + [[0, 1]] * 4)
    subjects = np.array(["a"] * 5 + ["b"] * 4)
    majority = constant_answers(truth, subjects)["majority"]
    assert (majority[:5] == (0, 1)).all() and (majority[5:] == (1, 0)).all()


def test_a_label_that_never_occurs_has_no_f1_and_counts_in_no_mean():
    f1 = label_f1([[1, 0]], [[1, 0]])
    assert f1[0] == 1 and np.isnan(f1[1])
    assert macro_uf1([[1, 0]], [[1, 1]]) == 1 and np.isnan(macro_uf1([[0, 0]], [[1, 0]]))


def test_exclusive_labels_are_decided_by_the_largest_score_and_scored_by_uf1_and_uar():
    scores = np.random.default_rng(0).random((200, 3))
    answers = decide(scores, np.full(3, 9.0), exclusive=True)
    assert (answers.sum(1) == 1).all() and (answers.argmax(1) == scores.argmax(1)).all()
    truth = np.random.default_rng(1).integers(3, size=200)
    one_hot = np.eye(3, dtype=np.uint8)[truth]
    assert macro_uf1(one_hot, answers) == pytest.approx(
        f1_score(truth, answers.argmax(1), average="macro")
    )
    assert uar(one_hot, answers) == pytest.approx(balanced_accuracy_score(truth, answers.argmax(1)))
    assert list(constant_answers(one_hot, np.arange(200) % 4, exclusive=True)) == ["majority"]


def test_what_training_never_showed_is_never_answered():
    thresholds = tune_thresholds([[1, 0], [0, 0]], [[0.9, 0.9], [0.1, 0.1]])
    assert thresholds.tolist() == [0.5, np.inf]
    assert decide([[0.9, 1e6]], thresholds).tolist() == [[1, 0]]


def test_confusion_counts():
    table = confusion([[1, 0], [0, 1], [1, 1]], [[1, 1], [0, 0], [0, 1]])
    assert table.tolist() == [[[1, 0], [1, 1]], [[0, 1], [1, 1]]]


def test_thresholds_reach_the_best_f1_there_is():
    rng = np.random.default_rng(1)
    truth = rng.random((60, 3)) < 0.3
    scores = truth * 0.5 + rng.random((60, 3))
    best = label_f1(truth, scores >= tune_thresholds(truth, scores))
    for t in np.linspace(0, 1.5, 200):
        assert (best >= label_f1(truth, scores >= t) - 1e-12).all()
    separable = np.array([[0.1], [0.2], [0.8], [0.9]])
    assert tune_thresholds([[0], [0], [1], [1]], separable) == pytest.approx(0.5)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 5), st.integers(1, 12))
def test_mean_precision_is_scikit_learn_s_with_and_without_ties(seed, clips, labels, levels):
    rng = np.random.default_rng(seed)
    truth = rng.random((clips, labels)) < 0.4
    truth[0] = True
    scores = rng.integers(levels, size=truth.shape) / levels  # few levels: many equal scores
    each = [average_precision_score(y, s) for y, s in zip(truth.T, scores.T, strict=True)]
    assert mean_precision(truth, scores) == pytest.approx(np.mean(each), abs=1e-12)


def test_mean_precision_leaves_out_labels_that_do_not_occur(labels):
    scores = np.random.default_rng(0).random(labels.shape)
    assert mean_precision(labels, labels + 0.1 * scores) == 1
    assert mean_precision(0 * labels, scores) == 0
    missing, kept = labels * [1, 1, 0, 1, 1], [0, 1, 3, 4]
    assert mean_precision(missing, scores) == mean_precision(labels[:, kept], scores[:, kept])
