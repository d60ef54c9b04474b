"""How sure a score is, and whether a difference is more than chance: subjects are drawn anew, or
their answers swapped.

Answers (K, N, L) of K training seeds are scored by the mean over seeds of pooled macro-UF1. The
subject is the unit of chance throughout, because the clips of one person resemble each other.
"""

from dataclasses import dataclass

from mer_utils import MerError
from mer_utils.learning.metrics import f1_of_counts, mean_over_labels

import numpy as np

DRAWS = 2000


@dataclass(frozen=True)
class Comparison:
    """One variant beside a reference, both scored on the same clips: macro-UF1 and its 95 %
    interval; the difference (variant minus reference), its 95 % interval, p-value, and p-value
    corrected for the number of comparisons.
    """

    macro: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    p: float
    p_corrected: float

    @property
    def verdict(self):
        """Return "better" or "worse" where the corrected p-value is below 0.05, else "within
        noise".
        """
        if self.p_corrected >= 0.05:
            return "within noise"
        return "better" if self.difference > 0 else "worse"


def count_answers(truth, answers, subjects):
    """Return what F1 needs, a subject at a time: hits (K, S, L), positives (S, L) and positive
    answers (K, S, L).
    """
    truth, answers = np.asarray(truth, float), np.asarray(answers, float)
    if answers.ndim == 2:
        answers = answers[None]
    if answers.shape[1:] != truth.shape:
        raise MerError(
            f"answers {answers.shape} do not fit the truth {truth.shape}: (K, N, L) and (N, L) "
            "are needed"
        )
    member = (np.unique(subjects)[:, None] == np.asarray(subjects)).astype(float)  # (S, N)
    return member @ (truth * answers), member @ truth, member @ answers


def score_draws(counts, weights, seeds=None):
    """Return macro-UF1 (D,) for ``weights`` (D, S): how often each subject counts in each draw.

    ``seeds`` (D, K) says how often each training seed counts; default: each once. A label that no
    subject of a draw shows is left out of that draw's mean.
    """
    hits, positives, answered = counts
    f1 = f1_of_counts(weights @ hits, weights @ positives, weights @ answered)  # (K, D, L)
    macro = mean_over_labels(f1)  # (K, D)
    return macro.mean(0) if seeds is None else (macro * seeds.T).sum(0) / seeds.sum(1)


def draw_weights(count, draws, rng):
    """Return (draws, count): how often each of ``count`` things comes when as many are drawn with
    replacement.
    """
    picks = rng.integers(count, size=(draws, count))
    return np.stack([(picks == k).sum(1) for k in range(count)], 1).astype(float)


def bootstrap(truth, answers, subjects, draws=DRAWS, seed=0):
    """Return macro-UF1 (draws,) over draws of subjects and of training seeds, both with
    replacement.

    Equal ``subjects``, ``draws``, ``seed`` and K give equal draws, so that differences of two
    results are paired.
    """
    counts = count_answers(truth, answers, subjects)
    rng = np.random.default_rng(seed)
    weights = draw_weights(counts[1].shape[0], draws, rng)
    return score_draws(counts, weights, draw_weights(len(counts[0]), draws, rng))


def permutation_test(truth, answers, reference, subjects, draws=DRAWS, seed=0):
    """Return the two-sided p-value of "variant and reference differ by chance alone" in macro-UF1.

    If they did not differ, each subject's two sets of answers could change places: they are swapped
    at random, a subject's seeds together, and the share of swaps with a difference at least as
    large is the p-value. With at most 12 subjects all swaps are tried; else ``draws`` of them, the
    one observed counted in.
    """
    hits, positives, answered = count_answers(truth, answers, subjects)
    other_hits, _, other_answered = count_answers(truth, reference, subjects)
    if hits.shape != other_hits.shape:
        raise MerError(
            f"{len(hits)} seeds of one variant cannot be paired with {len(other_hits)} of the other"
        )
    count = len(positives)
    if count <= 12:
        swaps = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    else:
        swaps = np.random.default_rng(seed).integers(2, size=(draws, count))
        swaps[0] = 0  # as observed
    swaps = swaps.astype(float)
    stay = 1 - swaps
    first = (stay @ hits + swaps @ other_hits, stay @ answered + swaps @ other_answered)
    second = (swaps @ hits + stay @ other_hits, swaps @ answered + stay @ other_answered)
    total = positives.sum(0)
    gaps = [
        mean_over_labels(f1_of_counts(hit, np.broadcast_to(total, hit.shape), said))
        for hit, said in (first, second)
    ]
    difference = (gaps[0] - gaps[1]).mean(0)  # over seeds: (draws,); the first is the one observed
    return float((np.abs(difference) >= np.abs(difference[0]) - 1e-12).mean())


def holm(p_values):
    """Return p-values corrected for their number (Holm 1979): the chance of even one false alarm
    stays below 5 % where those below 0.05 are believed.
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(raised, 1)
    return corrected


def compare(truth, variants, reference, subjects, draws=DRAWS, seed=0):
    """Return {name: Comparison} of every variant {name: answers (K, N, L) or (N, L)} with the one
    named ``reference``; p-values are corrected for the number of variants compared with it.
    """
    if reference not in variants:
        raise MerError(
            f"there is no variant {reference!r} to compare with; there are {', '.join(variants)}"
        )
    everyone = np.ones((1, len(np.unique(subjects))))
    macro = {
        n: score_draws(count_answers(truth, a, subjects), everyone).item()
        for n, a in variants.items()
    }
    drawn = {
        name: bootstrap(truth, answers, subjects, draws, seed) for name, answers in variants.items()
    }
    others = [name for name in variants if name != reference]
    p = [
        permutation_test(truth, variants[name], variants[reference], subjects, draws, seed)
        for name in others
    ]
    p_values = {reference: (1.0, 1.0)} | dict(
        zip(others, zip(p, holm(p), strict=True), strict=True)
    )
    result = {}
    for name, scores in drawn.items():
        low, high = np.nanpercentile(scores, [2.5, 97.5])
        gap_low, gap_high = np.nanpercentile(scores - drawn[reference], [2.5, 97.5])
        difference = macro[name] - macro[reference]
        numbers = (macro[name], low, high, difference, gap_low, gap_high, *p_values[name])
        result[name] = Comparison(*map(float, numbers))
    return result
