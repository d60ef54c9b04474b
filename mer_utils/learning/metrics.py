"""Scores: pooled macro-UF1 over all folds, per-label F1, recall, decisions, and the constant
answers every score is read against.
"""

import numpy as np


def label_f1(truth, predicted):
    """Return F1 = 2 TP / (2 TP + FP + FN) of the positive class of each label, (N, L) x2 -> (L,).

    A label without a positive in ``truth`` cannot earn an F1: NaN, not a silent zero.
    """
    truth, predicted = np.asarray(truth, bool), np.asarray(predicted, bool)
    return f1_of_counts((truth & predicted).sum(0), truth.sum(0), predicted.sum(0))


def f1_of_counts(hits, positives, answered):
    """Return F1 from true positives, positives in the truth, and positive answers (arrays of one
    shape); NaN where there are no positives.
    """
    hits, positives = np.asarray(hits, float), np.asarray(positives, float)
    total = np.maximum(positives + answered, 1)
    return np.where(positives > 0, 2 * hits / total, np.nan)


def macro_uf1(truth, predicted):
    """Return the mean of label_f1 over the labels that occur in ``truth``: predictions of all folds
    pooled first, never a mean of per-fold scores. NaN if no label occurs.
    """
    return mean_over_labels(label_f1(truth, predicted)).item()


def mean_over_labels(f1):
    """Return the mean over the last axis of F1 values (..., L), leaving out labels without one
    (NaN).
    """
    f1 = np.asarray(f1, float)
    known = np.isfinite(f1)
    count = known.sum(-1)
    return np.where(count > 0, np.where(known, f1, 0).sum(-1) / np.maximum(count, 1), np.nan)


def uar(truth, predicted):
    """Return the unweighted average recall of exclusive labels (one-hot, (N, L) x2): mean over the
    classes that occur (MEGC 2019).
    """
    truth, predicted = np.asarray(truth, bool), np.asarray(predicted, bool)
    there = truth.sum(0)
    return float(((truth & predicted).sum(0)[there > 0] / there[there > 0]).mean())


def mean_precision(truth, scores):
    """Return mean average precision of ``scores`` (N, L): how far up a label's positives stand when
    clips are sorted by its score, mean over the labels that occur; 0 if none does. It needs no
    threshold, and clips with equal scores have no order.

    It is scikit-learn's average_precision_score (a test holds it to that), which takes 3 ms where
    this takes a tenth of one: training asks after every epoch, and epochs of few clips last 4 ms.
    """
    truth, scores = np.asarray(truth, bool), np.asarray(scores)
    order = np.argsort(-scores, axis=0, kind="stable")
    hit, ranked = (np.take_along_axis(array, order, 0) for array in (truth, scores))
    rank = np.arange(1, len(hit) + 1)[:, None]
    last = np.ones(hit.shape, bool)  # of those with equal scores
    last[:-1] = ranked[1:] != ranked[:-1]
    end = np.minimum.accumulate(np.where(last, rank, len(hit))[::-1], 0)[::-1]  # its rank
    precision = np.take_along_axis(hit.cumsum(0) / rank, end - 1, 0)  # among those ranked so far
    positives = truth.sum(0)
    there = positives > 0
    return (
        float(((precision * hit).sum(0)[there] / positives[there]).mean()) if there.any() else 0.0
    )


def confusion(truth, predicted):
    """Return (L, 2, 2) counts per label: rows truth 0/1, columns predicted 0/1."""
    from sklearn.metrics import multilabel_confusion_matrix

    return multilabel_confusion_matrix(np.asarray(truth, int), np.asarray(predicted, int))


def decide(scores, thresholds, exclusive=False):
    """Return answers (N, L) uint8: ``scores >= thresholds`` label by label, or, of exclusive
    labels, the one with the largest score (the first of equals).
    """
    scores = np.asarray(scores)
    if exclusive:
        return np.eye(scores.shape[1], dtype=np.uint8)[scores.argmax(1)]
    return (scores >= thresholds).astype(np.uint8)


def constant_answers(truth, subjects, exclusive=False):
    """Return what no model needs: {"all_ones", "all_zeros", "majority"} -> predictions (N, L).

    ``majority`` answers, for each subject, the one label most frequent among the other subjects; of
    exclusive labels it is the only one of the three that is a possible answer.
    """
    truth, subjects = np.asarray(truth), np.asarray(subjects)
    majority = np.zeros_like(truth)
    for subject in np.unique(subjects):
        test = subjects == subject
        majority[test, np.argmax(truth[~test].sum(0))] = 1
    others = (
        {} if exclusive else {"all_ones": np.ones_like(truth), "all_zeros": np.zeros_like(truth)}
    )
    return others | {"majority": majority}


def tune_thresholds(truth, scores):
    """Return for each label the threshold (L,) on ``scores`` (N, L) with the best F1: give it
    held-out scores of training subjects only.

    Candidates lie midway between neighbouring scores; of equals, the middle one is taken. A label
    without a positive in ``truth`` gets infinity: what training never showed is never answered.
    Predict with ``scores >= threshold``.
    """
    truth, scores = np.asarray(truth, bool), np.asarray(scores, np.float64)
    best = np.full(scores.shape[1], np.inf)
    for k in np.flatnonzero(truth.any(0)):
        values = np.unique(scores[:, k])
        cuts = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
        f1 = label_f1(np.repeat(truth[:, k, None], len(cuts), 1), scores[:, k, None] >= cuts)
        equal = np.flatnonzero(f1 == f1.max())
        best[k] = cuts[equal[len(equal) // 2]]
    return best
