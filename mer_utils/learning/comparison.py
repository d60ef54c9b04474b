"""How sure a score is, and whether a difference is more than chance, within one data set and over
several.

Within one set (``compare``) the subject is the unit of chance, because the clips of one person
resemble each other: subjects are drawn anew, or their answers swapped. Answers (K, N, L) of K
training seeds are scored by the mean over seeds of pooled macro-UF1. Over several sets
(``compare_sets``) the set is the unit, because all that is trained on one set shares its people:
training seeds are averaged within a set first.
"""

from dataclasses import dataclass, replace

from mer_utils import MerError
from mer_utils.learning.metrics import f1_of_counts, mean_over_labels

import numpy as np

DRAWS = 2000
# macro-UF1: fusion attention and SE bring "up to 3.6 points" [stated in the paper's abstract];
# a difference surely below it is called equivalent [ours]
MARGIN = 0.036
POWER = 0.8  # the chance of seeing a difference that a design is said to detect [convention]
MOST_SETS = 20  # all 2^20 sign flips are tried in a second


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


@dataclass(frozen=True)
class SetComparison:
    """One variant beside a reference over D data sets with K training seeds each. All intervals are
    95 % t intervals over the sets; scores are macro-UF1.

    ``sd_sets`` and ``sd_seeds`` are the standard deviations between sets and between training seeds
    of one set (None: there is one seed, and ``sd_sets`` holds both). ``p`` is that of
    ``sign_flip_test``, ``p_corrected`` is Holm's within the ``family`` (primary or exploratory),
    ``p_least`` the smallest ``p_corrected`` that so few sets can give in so large a family.
    ``detectable`` is the difference that a t test at 5 % over so many sets sees with a chance of
    80 %, given the spread that was observed. ``p_equivalent`` (two one-sided t tests, corrected
    like ``p``) is small where the difference is surely smaller than ``margin``.
    """

    family: str  # primary, exploratory, or reference
    mean: float
    low: float
    high: float
    sd_sets: float
    sd_seeds: float | None
    difference: float
    difference_low: float
    difference_high: float
    p: float
    p_corrected: float
    p_least: float
    p_equivalent: float
    detectable: float
    margin: float

    @property
    def verdict(self):
        """Return "better" or "worse" where the corrected p-value is below 0.05, "equivalent" where
        that of equivalence is, else "undecided"; "reference" of the reference itself.
        """
        if self.family == "reference":
            return "reference"
        if self.p_corrected < 0.05:
            return "better" if self.difference > 0 else "worse"
        return "equivalent" if self.p_equivalent < 0.05 else "undecided"

    @property
    def words(self):
        """Return the verdict as words that claim no more than was seen; a size that could not be
        ruled out is the larger end of the interval.
        """
        if self.verdict == "reference":
            return "the reference"
        if self.verdict in ("better", "worse"):
            return f"{self.verdict} by {abs(self.difference):.3f}"
        size = max(abs(self.difference_low), abs(self.difference_high))
        if size == 0:
            return "the same score on every set"
        if self.verdict == "undecided" and self.p_least >= 0.05:  # nothing could be detected
            ends = f"{self.difference_low:+.3f} and {self.difference_high:+.3f}"
            return f"too few sets to tell among so many variants; between {ends}"
        # rounded up: the sentence must hold
        text = f"no difference could be detected; smaller than {np.ceil(1000 * size) / 1000:.3f}"
        equivalent = f": equivalent within the margin of {self.margin:g}"
        return text + (equivalent if self.verdict == "equivalent" else "")


def t_interval(values, level=0.95):
    """Return (low, high): Student's t interval of the mean of ``values`` (D,), one per data set.

    No percentile bootstrap: drawn from 8 values it takes the spread too small by sqrt(7 / 8) and
    about 1.96 such spreads to each side where 2.36 are needed, so its "95 %" hold about 88 % of
    the time (a test measures both).
    """
    from scipy.stats import t  # a second to import

    values = np.asarray(values, float)
    reach = t.ppf((1 + level) / 2, len(values) - 1) * _standard_error(values)
    return float(values.mean() - reach), float(values.mean() + reach)


def _standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


def sign_flip_test(differences):
    """Return the two-sided p-value of "the ``differences`` (D,), one per data set, are symmetric
    around zero": the share of all 2^D ways to flip their signs that leave a mean at least as far
    from zero. It is exact, and never below 2 / 2^D.
    """
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return float((np.abs(sums) >= np.abs(sums[0]) - 1e-12).mean())  # the first: as observed


def detectable_difference(sd, sets, power=POWER, level=0.05):
    """Return the difference that a two-sided paired t test at ``level`` over ``sets`` data sets
    finds, with its right sign, with the chance ``power``, where differences of sets have the
    standard deviation ``sd``: the noncentral t distribution solved for its noncentrality.
    """
    from scipy.special import nctdtrinc
    from scipy.stats import t

    border = t.ppf(1 - level / 2, sets - 1)
    return float(nctdtrinc(sets - 1, 1 - power, border) * sd / np.sqrt(sets))


def equivalence_test(differences, margin=MARGIN):
    """Return the p-value of "the mean difference is at least ``margin`` in size": the larger one of
    two one-sided t tests (Schuirmann 1987) on ``differences`` (D,), one per data set.
    """
    from scipy.stats import t

    differences = np.asarray(differences, float)
    room, error = margin - abs(differences.mean()), _standard_error(differences)
    return float(t.sf(room / error, len(differences) - 1)) if error > 0 else float(room <= 0)


def split_spread(scores):
    """Return the standard deviations (between sets, between training seeds of one set) of scores
    (D, K): the spread of the sets' means is that of the sets and a K-th of the seeds' variance.

    With one seed the two cannot be told apart: the second is None and the first holds both.
    """
    seeds = scores.shape[1]
    total = scores.mean(1).var(ddof=1)
    if seeds == 1:
        return float(np.sqrt(total)), None
    within = scores.var(1, ddof=1).mean()
    return float(np.sqrt(max(0.0, total - within / seeds))), float(np.sqrt(within))


def compare_sets(scores, reference, primary=(), margin=MARGIN):
    """Return {name: SetComparison} of every variant {name: macro-UF1 (D, K)} over D data sets and K
    training seeds with the one named ``reference``.

    A set counts once: its seeds are averaged, and variant and reference are paired within it. The
    variants named in ``primary`` are the hypotheses that were named before anything was measured;
    p-values are corrected for their number, those of all others, which are exploratory, for theirs.
    Raises MerError for tables of unequal shapes, with fewer than 2 sets or with gaps, and for a
    reference or primary variant that is not there.
    """
    tables = {name: np.asarray(table, float) for name, table in scores.items()}
    _check_tables(tables, reference, primary, margin)
    sets = len(tables[reference])
    means = {name: table.mean(1) for name, table in tables.items()}
    gaps = {name: mean - means[reference] for name, mean in means.items()}
    families = {
        "primary": [name for name in tables if name in primary],
        "exploratory": [name for name in tables if name not in (reference, *primary)],
    }
    result = {}
    for name, table in tables.items():
        result[name] = SetComparison(
            "reference",
            float(means[name].mean()),
            *t_interval(means[name]),
            *split_spread(table),
            float(gaps[name].mean()),
            *t_interval(gaps[name]),
            *(1.0, 1.0, 1.0, 1.0),
            detectable_difference(gaps[name].std(ddof=1), sets),
            margin,
        )
    for family, names in families.items():
        p = [sign_flip_test(gaps[name]) for name in names]
        same = holm([equivalence_test(gaps[name], margin) for name in names])
        least = min(1.0, len(names) * 2 / 2**sets)
        for name, *values in zip(names, p, holm(p), same, strict=True):
            raw, corrected, equivalent = map(float, values)
            result[name] = replace(
                result[name],
                family=family,
                p=raw,
                p_corrected=corrected,
                p_least=least,
                p_equivalent=equivalent,
            )
    return result


def _check_tables(tables, reference, primary, margin):
    """Raise MerError for what ``compare_sets`` cannot compare."""
    for name in (reference, *primary):
        if name not in tables:
            raise MerError(f"there is no variant {name!r}; there are {', '.join(tables)}")
    if reference in primary:
        raise MerError(f"{reference} is the reference and cannot be compared with itself")
    shape = tables[reference].shape
    for name, table in tables.items():
        if table.shape != shape or table.ndim != 2 or not table.size:
            raise MerError(
                f"the scores of {name} are {table.shape} and those of {reference} {shape}: all "
                "must be (data sets, training seeds)"
            )
        if not np.isfinite(table).all():
            raise MerError(f"the scores of {name} hold values that are no numbers")
    if not 2 <= shape[0] <= MOST_SETS:
        raise MerError(
            f"{shape[0]} data set(s): a comparison over sets needs 2 to {MOST_SETS} of them"
        )
    if not margin > 0:
        raise MerError(f"the margin is {margin}, but must be above 0")
