"""Is a difference more than chance? Within one set, and over several sets; and what the gates say.

Within one set (``compare``) the subject is the unit of chance, because the clips of one person
resemble each other. Over several sets (``compare_sets``) the set is the unit, because everything
trained on one set shares its people. Scores are macro-UF1, means over training seeds.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mer_utils import MerError
from mer_utils.baselines import PEERS, native_front_end
from mer_utils.evaluation import decide, f1_of_counts, macro_uf1, revisit_folds
from mer_utils.features import FrontEnd
from mer_utils.files import read_json
from mer_utils.training import choose_maps

import numpy as np
import torch

DRAWS = 2000
# the paper's abstract claims "up to 3.6 points" for fusion attention and SE [stated]; a difference
# that is smaller at the level of 0.05 is called equivalent [ours]
MARGIN = 0.036
POWER = 0.8  # the chance of seeing a difference that a design is said to detect [convention]
ALL_SWAPS = 12  # with at most so many subjects all 2^12 swaps are tried
GRID = {  # what is compared: (changes to the front end, changes to the recipe)
    "default": ({}, {}),
    "no fusion attention": ({}, {"attention": False}),
    "no SE": ({}, {"se": False}),
    "neither": ({}, {"attention": False, "se": False}),
    "onset-apex only": ({}, {"phases": 1}),
    "left view only": ({}, {"views": "left", "flip": False}),
    "right view only": ({}, {"views": "right", "flip": False}),
    "cross-entropy": ({}, {"gamma": 0.0}),
    # what paid on development sets; the paper states focal loss and early stopping
    "improved recipe": ({}, {"schedule": "cosine", "epochs": 50, "stop": "last", "gamma": 0.0}),
    "head motion left in": ({"compensation": "none"}, {}),
    "maps min-max": ({"normalisation": "minmax"}, {}),
    "reference apex": ({"apex": "manifest"}, {}),
}


@dataclass(frozen=True)
class Comparison:
    """A variant beside a reference: macro-UF1 and difference with 95 % intervals, and p-values."""

    macro: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    p: float
    p_corrected: float
    p_least: float  # the smallest p_corrected that so few subjects or sets can give

    @property
    def verdict(self):
        """The verdict: better or worse if the corrected p-value is below 0.05."""
        if self.p_corrected >= 0.05:
            return "within noise"
        return "better" if self.difference > 0 else "worse"

    @property
    def words(self):
        """The verdict as a sentence; "no difference" comes with the size that could be missed."""
        if self.verdict == "reference":  # as "equivalent", of a SetComparison
            return "the reference"
        if self.verdict in ("better", "worse"):
            return f"{self.verdict} by {abs(self.difference):.3f}"
        size = max(-self.difference_low, self.difference_high)
        size = np.ceil(1000 * size) / 1000  # rounded up: the sentence must hold
        if self.verdict == "equivalent":
            return f"equivalent: at most {size:.3f} apart"
        if self.p_least >= 0.05:  # nothing could be detected
            ends = f"{self.difference_low:+.3f} and {self.difference_high:+.3f}"
            return f"too few to tell; the difference lies between {ends}"
        return f"no difference could be detected; smaller than {size:.3f}"


def choose_rows(dataset):
    """Return the rows of GRID that a Dataset can run: with one view, with flow images, or without
    annotated apexes some cannot.
    """
    images, kept = bool(dataset.channels), {}
    for name, (front, recipe) in GRID.items():
        fits = dataset.views > 1 or "views" not in recipe
        fits &= not images or not front.keys() - {"size", "normalisation"}
        fits &= not images or len(dataset.clips[0].names) > 1 or "phases" not in recipe
        fits &= "apex" not in front or all(clip.apex is not None for clip in dataset.clips)
        kept |= {name: (front, recipe)} if fits else {}
    return kept


def list_front_ends(dataset):
    """Return the FrontEnds that the notebooks compare on a Dataset, the default first. To extract
    them together reads every film once.
    """
    changed = [replace(FrontEnd(), **front) for front, _ in choose_rows(dataset).values()]
    native = [native_front_end(name, FrontEnd(), bool(dataset.channels)) for name in PEERS]
    return list(dict.fromkeys(changed + native))


# Within one set: the subject is the unit


def count_answers(truth, answers, subjects):
    """Return hits (R, F, L), positives (F, L), positive answers (R, F, L): R seeds, F subjects."""
    truth, answers = np.asarray(truth, float), np.asarray(answers, float)
    answers = answers[None] if answers.ndim == 2 else answers
    member = (np.unique(subjects)[:, None] == np.asarray(subjects)).astype(float)  # (F, N)
    return member @ (truth * answers), member @ truth, member @ answers


def score_draws(counts, weights, seeds=None):
    """Return macro-UF1 (B,) of B draws: ``weights`` (B, F) says how often each subject counts,
    ``seeds`` (B, R) how often each training seed.
    """
    hits, positives, answered = counts
    f1 = f1_of_counts(weights @ hits, weights @ positives, weights @ answered)  # (R, B, L)
    macro = np.nanmean(f1, -1)  # (R, B), over the labels that the drawn clips show
    return macro.mean(0) if seeds is None else (macro * seeds.T).sum(0) / seeds.sum(1)


def draw_weights(count, draws, rng):
    """Return (draws, count): how often each of ``count`` things is drawn, with replacement."""
    picks = rng.integers(count, size=(draws, count))
    return np.stack([(picks == k).sum(1) for k in range(count)], 1).astype(float)


def bootstrap(truth, answers, subjects, draws=DRAWS, seed=0):
    """Return macro-UF1 (draws,) with subjects and training seeds drawn anew, with replacement.
    Equal seeds give equal draws, so that two results are paired.
    """
    counts = count_answers(truth, answers, subjects)
    rng = np.random.default_rng(seed)
    weights = draw_weights(counts[1].shape[0], draws, rng)
    return score_draws(counts, weights, draw_weights(len(counts[0]), draws, rng))


def score_with_interval(truth, answers, subjects, draws=500, seed=0):
    """Return (macro-UF1, low, high) of answers (N, L): a 95 % interval over subjects."""
    ends = np.nanpercentile(bootstrap(truth, answers, subjects, draws, seed), [2.5, 97.5])
    return macro_uf1(truth, answers), *map(float, ends)


def permutation_test(truth, answers, reference, subjects, draws=DRAWS, seed=0):
    """Return the two-sided p-value of "variant and reference differ by chance alone": the share of
    swaps of whole subjects' answers that give at least the observed difference in macro-UF1. With
    at most ALL_SWAPS subjects all are tried, else ``draws`` at random, the first as observed.
    """
    # every subject twice: as the variant answers it, then as the reference does
    pair = [count_answers(truth, own, subjects) for own in (answers, reference)]
    counts = [np.concatenate(part, -2) for part in zip(*pair, strict=True)]
    count = len(np.unique(subjects))
    swap = (np.arange(2 ** min(count, ALL_SWAPS))[:, None] >> np.arange(count)) & 1
    if count > ALL_SWAPS:
        swap = np.random.default_rng(seed).integers(2, size=(draws, count))
        swap[0] = 0  # as observed
    weights = np.hstack([1 - swap, swap]).astype(float)
    difference = score_draws(counts, weights) - score_draws(counts, 1 - weights)
    return float((np.abs(difference) >= np.abs(difference[0]) - 1e-12).mean())


def holm(p_values):
    """Return p-values corrected so that the chance of a false alarm is below 5 % (Holm 1979)."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1)


def compare(truth, variants, reference, subjects, draws=DRAWS, seed=0):
    """Return {name: Comparison} of every variant {name: answers (R, N, L) or (N, L)} with the one
    named ``reference``.
    """
    people, macro, drawn, p = len(np.unique(subjects)), {}, {}, {}
    for name, answers in variants.items():
        counts = count_answers(truth, answers, subjects)
        macro[name] = score_draws(counts, np.ones((1, people))).item()
        drawn[name] = bootstrap(truth, answers, subjects, draws, seed)
        if name != reference:
            p[name] = permutation_test(truth, answers, variants[reference], subjects, draws, seed)
    corrected = dict(zip(p, holm(list(p.values())), strict=True))
    least = min(1.0, len(p) * (2 / 2**people if people <= ALL_SWAPS else 1 / draws))
    result = {}
    for name, scores in drawn.items():
        ends = np.nanpercentile(scores, [2.5, 97.5])
        gap_ends = np.nanpercentile(scores - drawn[reference], [2.5, 97.5])
        p_values = (p.get(name, 1.0), corrected.get(name, 1.0), least)
        numbers = (macro[name], *ends, macro[name] - macro[reference], *gap_ends, *p_values)
        result[name] = Comparison(*map(float, numbers))
    return result


# Over several sets: the set is the unit


@dataclass(frozen=True)
class SetComparison(Comparison):
    """A variant beside a reference over data sets: t intervals, p-values of sign flips."""

    family: str  # primary, exploratory, or reference
    p_equivalent: float  # of equivalence_test, corrected like p
    detectable: float  # the difference that a t test over so many sets finds in 80 % of cases

    @property
    def verdict(self):
        """The verdict: better or worse by p_corrected, else equivalent by p_equivalent."""
        if self.family == "reference":
            return "reference"
        if self.p_corrected < 0.05:
            return super().verdict
        return "equivalent" if self.p_equivalent < 0.05 else "undecided"


def t_interval(values, level=0.95):
    """Return (low, high): Student's t interval of the mean of ``values`` (D,), one per set."""
    from scipy.stats import ttest_1samp  # a second to import

    return tuple(map(float, ttest_1samp(values, 0).confidence_interval(level)))


def sign_flip_test(differences):
    """Return the exact two-sided p-value of "the ``differences`` (D,), one per set, are symmetric
    around zero": the share of all 2^D sign flips with a mean at least as far from zero.
    """
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return float((np.abs(sums) >= np.abs(sums[0]) - 1e-12).mean())  # the first: as observed


def detectable_difference(sd, sets):
    """Return the difference that a two-sided paired t test at 0.05 over ``sets`` sets finds with
    the chance POWER, if differences have the standard deviation ``sd`` (noncentral t).
    """
    from scipy.special import nctdtrinc
    from scipy.stats import t

    border = t.ppf(0.975, sets - 1)
    return float(nctdtrinc(sets - 1, 1 - POWER, border) * sd / np.sqrt(sets))


def equivalence_test(differences):
    """Return the p-value of "the mean difference is at least MARGIN in size": two one-sided t
    tests (Schuirmann 1987) on ``differences`` (D,), one per set.
    """
    from scipy.stats import ttest_1samp

    if np.ptp(differences) == 0:  # no spread, no t
        return float(abs(differences[0]) >= MARGIN)
    sides = (-MARGIN, "greater"), (MARGIN, "less")
    tests = [ttest_1samp(differences, end, alternative=side) for end, side in sides]
    return float(max(test.pvalue for test in tests))


def compare_sets(scores, reference, primary=()):
    """Return {name: SetComparison} of every variant {name: macro-UF1 (D, R)} with ``reference``:
    seeds averaged within a set, variants paired by set. The hypotheses ``primary``, stated before
    anything was measured, and the exploratory others are corrected apart. MerError for one set, or
    more than 20.
    """
    means = {name: np.mean(table, 1) for name, table in scores.items()}
    sets = len(means[reference])
    if not 2 <= sets <= 20:  # all 2^20 sign flips take a second
        raise MerError(f"{sets} set(s): a comparison over sets needs 2 to 20 of them")
    gaps = {name: mean - means[reference] for name, mean in means.items()}
    others = [name for name in means if name not in (reference, *primary)]
    families = {"reference": [reference], "primary": list(primary), "exploratory": others}
    result = {}
    for family, names in families.items():
        p = [sign_flip_test(gaps[name]) for name in names]
        corrected = holm(p).tolist()
        equivalent = holm([equivalence_test(gaps[name]) for name in names]).tolist()
        least = min(1.0, len(names) * 2 / 2**sets)
        for k, name in enumerate(names):
            own = float(means[name].mean()), *t_interval(means[name])
            differences = float(gaps[name].mean()), *t_interval(gaps[name])
            detectable = detectable_difference(gaps[name].std(ddof=1), sets)
            chances = p[k], corrected[k], least, family, equivalent[k]
            result[name] = SetComparison(*own, *differences, *chances, detectable)
    return {name: result[name] for name in means}


# What was measured over several sets: benchmarks/replicates.py writes it, notebooks read it

# table: the reference of its comparisons, and the hypotheses of the paper's abstract
TABLES = {
    "ablations": ("default", ("no fusion attention", "no SE")),
    "peers": ("MicroAttNet", ()),
    "oracles": ("default", ()),
}


@dataclass(frozen=True)
class SetTable:
    """Scores of one table's variants over D sets with R seeds each, and what they rest on."""

    reference: str
    primary: tuple[str, ...]
    sets: tuple[int, ...]
    macro: dict  # {variant: (D, R)}
    about: str

    @cached_property
    def rows(self):
        """{variant: SetComparison} with the reference (see ``compare_sets``)."""
        return compare_sets(self.macro, self.reference, self.primary)

    @cached_property
    def gaps(self):
        """{variant: (D,)}: its macro-UF1 minus the reference's, set by set."""
        means = {name: scores.mean(1) for name, scores in self.macro.items()}
        base = means.pop(self.reference)
        return {name: mean - base for name, mean in means.items()}


def find_record(root, preset):
    """Return the path of the benchmark's file of a ``preset`` below the repository's ``root``."""
    return Path(root) / "benchmarks" / f"replicates-{preset}.json"


def load_replicates(root, preset):
    """Return {table: SetTable} of a generator ``preset``; MerError for a missing file."""
    return read_tables(read_json(find_record(root, preset)))


def read_tables(record):
    """Return {table: SetTable} of the benchmark's ``record``; of a run that was stopped, the sets
    on which every variant of the table was trained.
    """
    tables = {}
    for name, variants in record["tables"].items():
        scores = {variant: entry["macro"] for variant, entry in variants.items()}
        sets = [key for key in record["sets"] if all(key in row for row in scores.values())]
        macro = {v: np.array([row[key] for key in sets], float) for v, row in scores.items()}
        about = (
            f"{len(sets)} synthetic sets (preset {record['preset']}) of {record['clips']} clips "
            f"and {record['subjects']} people, {record['seeds']} training seeds each, "
            f"{record['folds']} groups of people left out in turn"
        )
        tables[name] = SetTable(*TABLES[name], tuple(map(int, sets)), macro, about)
    return tables


# What the gates say: networks are asked only about people they never saw


@torch.no_grad()
def read_gates(outcome, features, recipe):
    """Return each clip's gates by networks that never saw its subject, means over a fold's
    networks: attention (N, 3) and SE (N, C). The Recipe is of a MicroAttNet with both.
    """
    x, gates = choose_maps(features.x, recipe), [None] * len(features.x)
    for test, members in revisit_folds(outcome, features, recipe):
        fused = [member.network.eval().fuse(member.prepare(x[test])) for member in members]
        means = [torch.stack(part).mean(0).numpy() for part in list(zip(*fused, strict=True))[1:]]
        for row, *pair in zip(test, *means, strict=True):
            gates[row] = pair
    return tuple(np.stack(part) for part in zip(*gates, strict=True))


@torch.no_grad()
def answer_with(outcome, features, recipe, choose):
    """Return the answers (N, L) of a finished run's networks with other attention weights and SE
    gates than their own; each clip is answered by networks that never saw its subject.

    ``choose(network, maps)``, asked with the maps of a fold's training clips, returns ``weights``
    and ``gates`` for ``MicroAttNet.fuse``, or None for the network's own.
    """
    x, scores = choose_maps(features.x, recipe), np.zeros(features.y.shape, np.float32)
    for test, members in revisit_folds(outcome, features, recipe):
        for member in members:
            network = member.network.eval()
            chosen = choose(network, member.prepare(np.delete(x, test, 0)))
            logits = network(member.prepare(x[test]), *chosen)
            own = torch.softmax(logits, 1) if features.exclusive else torch.sigmoid(logits)
            scores[test] += own.numpy() / len(members)
    return decide(scores, outcome.thresholds, features.exclusive)
