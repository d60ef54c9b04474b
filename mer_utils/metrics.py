"""Scores: pooled macro-UF1 over all folds, per-label F1, thresholds, and the constant answers every score is read
against.
"""

import numpy as np


def label_f1(truth, predicted):
    """Return F1 = 2 TP / (2 TP + FP + FN) of the positive class of each label, (N, L) x2 -> (L,).

    A label that is neither there nor predicted has no F1; it counts as 0, so that silence is never rewarded.
    """
    truth, predicted = np.asarray(truth, bool), np.asarray(predicted, bool)
    hit = 2 * (truth & predicted).sum(0)
    total = truth.sum(0) + predicted.sum(0)
    return np.where(total > 0, hit / np.maximum(total, 1), 0.0)


def macro_uf1(truth, predicted):
    """Return the mean of label_f1 over labels: predictions of all folds pooled first, never a mean of per-fold
    scores.
    """
    return float(label_f1(truth, predicted).mean())


def confusion(truth, predicted):
    """Return (L, 2, 2) counts a label: rows truth 0/1, columns predicted 0/1."""
    truth, predicted = np.asarray(truth, int), np.asarray(predicted, int)
    counts = [[((truth == t) & (predicted == p)).sum(0) for p in (0, 1)] for t in (0, 1)]
    return np.moveaxis(np.array(counts), -1, 0)


def constant_answers(truth, subjects):
    """Return what no model needs: {"all_ones", "all_zeros", "majority"} -> predictions (N, L).

    ``majority`` answers, for each subject, the one label most frequent among the other subjects.
    """
    truth, subjects = np.asarray(truth), np.asarray(subjects)
    majority = np.zeros_like(truth)
    for subject in np.unique(subjects):
        test = subjects == subject
        majority[test, np.argmax(truth[~test].sum(0))] = 1
    return {"all_ones": np.ones_like(truth), "all_zeros": np.zeros_like(truth), "majority": majority}


def tune_thresholds(truth, scores):
    """Return for each label the threshold (L,) on ``scores`` (N, L) with the best F1: give it held-out scores of
    training subjects only.

    Candidates lie midway between neighbouring scores; of equals, the middle one is taken. Predict with ``scores >=
    threshold``.
    """
    truth, scores = np.asarray(truth, bool), np.asarray(scores, np.float64)
    best = np.empty(scores.shape[1])
    for k in range(scores.shape[1]):
        values = np.unique(scores[:, k])
        cuts = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
        f1 = label_f1(np.repeat(truth[:, k, None], len(cuts), 1), scores[:, k, None] >= cuts)
        equal = np.flatnonzero(f1 == f1.max())
        best[k] = cuts[equal[len(equal) // 2]]
    return best
