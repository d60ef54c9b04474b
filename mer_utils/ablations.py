"""How sure a score is, and whether a difference is more than chance, within one data set and over
several.

Within one set (``compare``) the subject is the unit of chance, because the clips of one person
resemble each other: subjects are drawn anew, or their answers swapped. Answers (K, N, L) of K
training seeds are scored by the mean over seeds of pooled macro-UF1. Over several sets
(``compare_sets``) the set is the unit, because all that is trained on one set shares its people:
training seeds are averaged within a set first.

Do the gates act? What fusion attention and squeeze-and-excitation say of each clip, and what
becomes of the answers when the networks are given other gates than their own.

The networks are those of a finished run: each is asked only about the people it never saw, and
gates that stand in come from its training clips.

The benchmark over several data sets (benchmarks/replicates.py), beside which a notebook shows
what its own run found.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mer_utils import MerError
from mer_utils.evaluation import decide, f1_of_counts, mean_over_labels, plan_folds
from mer_utils.files import read_json
from mer_utils.training import choose_maps, load_members

import numpy as np
import torch

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


KINDS = ("own", "frozen", "borrowed", "oracle")


def _each_fold(outcome, features, recipe, maps):
    """Yield for each fold its networks, test rows, and maps of training and test clips."""
    if recipe.network != "MicroAttNet" or recipe.views == "samples":
        raise MerError("gates are those of MicroAttNet that sees all views of a clip at once")
    x = choose_maps(features.x, recipe)[0]
    asked = x if maps is None else choose_maps(maps, recipe)[0]
    people = len(np.unique(features.subjects))
    groups = 0 if len(outcome.subjects) == people else len(outcome.subjects)
    folds = plan_folds(features.subjects, groups)
    for subject, state in zip(outcome.subjects, outcome.members, strict=True):
        train, test = folds[subject]
        shape, labels = x.shape[1:], features.y.shape[1]
        members = load_members(state, recipe, shape, labels, features.exclusive)
        yield members, test, x[train], asked[test]


def _gates_of(network, x):
    """Return (weights, excitation) of a network for prepared maps, None for a part it lacks."""
    weights = network.weigh(x)
    return weights, network.excite(network.extract(x, weights))


def read_gates(outcome, features, recipe):
    """Return the gates of each clip by networks that never saw its subject: fusion attention's
    weights (N, K, V, P) and SE's factors (N, K, C), means over a fold's networks; None for a part
    that is not there.
    """
    found = None
    for members, test, _, x in _each_fold(outcome, features, recipe, None):
        for member in members:
            member.network.eval()
            with torch.no_grad():
                gates = _gates_of(member.network, member.prepare(x))
            if found is None:
                found = [
                    None if g is None else np.zeros((len(features.y), *g.shape[1:]), np.float32)
                    for g in gates
                ]
            for whole, part in zip(found, gates, strict=True):
                if part is not None:
                    whole[test] += part.numpy() / len(members)
    return tuple(found)


def answer_with_gates(outcome, features, recipe, kind="own", maps=None, seed=0):
    """Return scores (N, L) and answers (N, L) to each clip (or to ``maps`` (N, V, P, 3, S, S) in
    its place) with gates of a ``kind``: own; frozen at their mean over the training clips; borrowed
    from training clips drawn at random; or oracle: those of one view, one stream or all alike,
    whichever gives the truth the largest likelihood. The last looks at the labels: no score, but a
    bound on what any choice among these could bring. Thresholds stay. Raises MerError for another
    kind.
    """
    if kind not in KINDS:
        raise MerError(f"gates {kind!r} are unknown; choose one of {', '.join(KINDS)}")
    scores, rng = np.zeros(features.y.shape), np.random.default_rng(seed)
    for members, test, x_train, x_test in _each_fold(outcome, features, recipe, maps):
        truth = torch.as_tensor(features.y[test], dtype=torch.float32)
        choices = []  # of each member: (choices, clips, L) logits
        for member in members:
            network, x = member.network.eval(), member.prepare(x_test)
            with torch.no_grad():
                if kind == "own":
                    logits = network(x)[None]
                elif kind == "oracle":
                    offered = (None, *_offer_weights(network, x))
                    logits = torch.stack([network(x, weights) for weights in offered])
                else:
                    there = _gates_of(network, member.prepare(x_train))
                    rows = rng.integers(len(x_train), size=len(x))
                    given = [
                        None
                        if gate is None
                        else gate.mean(0, keepdim=True)
                        if kind == "frozen"
                        else gate[torch.as_tensor(rows)]
                        for gate in there
                    ]
                    logits = network(x, *given)[None]
                choices.append(logits)
        logits = torch.stack(choices)  # (members, choices, clips, L)
        said = torch.softmax(logits, -1) if features.exclusive else torch.sigmoid(logits)
        said = said.mean(0).clamp(1e-6, 1 - 1e-6)
        likely = (truth * torch.log(said) + (1 - truth) * torch.log(1 - said)).sum(-1)
        best = likely.argmax(0)
        scores[test] = said[best, torch.arange(len(test))].numpy()
    return scores, decide(scores, outcome.thresholds, features.exclusive)


def _offer_weights(network, x):
    """Return attention weights (1, K, V, P) that look at all maps alike, at one view, or at one
    stream.
    """
    shape = (1, network.count, *x.shape[1:3])
    offered = [torch.ones(shape)]
    for axis in (1, 2):
        for k in range(shape[axis] if shape[axis] > 1 else 0):
            one = torch.zeros(shape)
            one.select(axis, k)[:] = 1
            offered.append(one)
    return [weights / weights.sum() for weights in offered]


def spoil_views(x, seed=0):
    """Return maps (N, V, P, 3, S, S) in which one view of each clip, drawn at random, has its cells
    in random order, and which view that is (N,): the sizes stay, where and how it moved is lost.
    """
    rng = np.random.default_rng(seed)
    spoiled, views = np.array(x), rng.integers(x.shape[1], size=len(x))
    for row, view in enumerate(views):
        flat = spoiled[row, view].reshape(*x.shape[2:4], -1)
        order = rng.permutation(flat.shape[-1])
        spoiled[row, view] = flat[..., order].reshape(x.shape[2:])
    return spoiled, views


# table: the reference of its comparisons, and the hypotheses named before anything was measured:
# those of the paper's abstract
TABLES = {"ablations": ("default", ("no fusion attention", "no SE")), "peers": ("MicroAttNet", ())}


@dataclass(frozen=True)
class SetTable:
    """Scores of the variants of one table over the D data sets on which all of them were trained
    from K seeds: ``macro`` {name: (D, K)} and, mean over seeds, ``f1`` {name: (D, L)} of each
    label. Of each set also ``floors`` {constant answer: (D,)}.
    """

    reference: str
    primary: tuple[str, ...]
    sets: tuple[int, ...]
    macro: dict
    f1: dict
    floors: dict

    @cached_property
    def found(self):
        """{name: SetComparison} of each variant with the reference (see ``compare_sets``)."""
        return compare_sets(self.macro, self.reference, self.primary)

    @cached_property
    def gaps(self):
        """{name: (D,)}: macro-UF1 of each variant minus that of the reference, set by set, mean
        over training seeds.
        """
        base = self.macro[self.reference].mean(1)
        return {n: given.mean(1) - base for n, given in self.macro.items() if n != self.reference}


@dataclass(frozen=True)
class Replicates:
    """What the benchmark found: its settings, ``labels``, and SetTables by name ("ablations",
    "peers").
    """

    preset: str
    subjects: int
    clips: int
    seeds: int
    labels: tuple[str, ...]
    tables: dict


def find_record(root, preset):
    """Return the path of the benchmark's file below the repository's folder ``root``."""
    return Path(root) / "benchmarks" / f"replicates-{preset}.json"


def load_replicates(root, preset):
    """Return the Replicates of a generator ``preset`` kept in the repository's folder ``root``;
    MerError if the file is missing or damaged.
    """
    path = find_record(root, preset)
    if not path.is_file():
        raise MerError(path, f"no such file; make it: benchmarks/replicates.py --preset {preset}")
    return read_replicates(read_json(path), path)


def tell_sets(known, table):
    """Return in one sentence what the numbers of a SetTable of Replicates rest on."""
    return (
        f"{len(table.sets)} synthetic sets (preset {known.preset}) of {known.clips} clips and "
        f"{known.subjects} people, {known.seeds} training seeds each; loaded from "
        f"benchmarks/replicates-{known.preset}.json"
    )


def list_rows(table):
    """Return {variant: its numbers} of a SetTable, as results.json keeps them."""
    numbers = ("low", "high", "difference", "difference_low", "difference_high", "p")
    numbers += ("p_corrected", "detectable", "verdict")
    return {
        name: {"macro": row.mean} | {key: getattr(row, key) for key in numbers}
        for name, row in table.found.items()
    }


def read_replicates(record, path):
    """Return the Replicates of the JSON value ``record`` of the file ``path``."""
    try:
        tables = {name: _read_table(record, name) for name in record["tables"]}
        return Replicates(
            *(record[key] for key in ("preset", "subjects", "clips", "seeds")),
            tuple(record["labels"]),
            tables,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MerError(
            path, f"damaged ({type(error).__name__}: {error}); take it from git or make it again"
        ) from None


def _read_table(record, name):
    """Return one SetTable; ValueError if a score is missing or no number."""
    reference, primary = TABLES[name]
    variants = record["tables"][name]
    # a run that was stopped has trained some variants on more sets than others
    sets = [key for key in record["sets"] if all(key in one["macro"] for one in variants.values())]
    shapes = {"macro": (len(sets), record["seeds"]), "f1": (len(sets), len(record["labels"]))}
    scores = {
        kind: {
            variant: np.array([one[kind][key] for key in sets], float).reshape(shape)
            for variant, one in variants.items()
        }
        for kind, shape in shapes.items()
    }
    if not all(np.isfinite(table).all() for kind in scores.values() for table in kind.values()):
        raise ValueError("a score is no number")
    floors = [record["sets"][key]["floors"] for key in sets]
    return SetTable(
        reference,
        primary,
        tuple(map(int, sets)),
        **scores,
        floors={n: np.array([one[n] for one in floors], float) for n in (floors or [{}])[0]},
    )
