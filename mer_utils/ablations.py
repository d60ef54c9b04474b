"""Is a difference more than chance? Within one set, over several sets; and what the gates do.

Within one set (``compare``) the subject is the unit of chance, because the clips of one person
resemble each other. Over several sets (``compare_sets``) the set is the unit, because everything
trained on one set shares its people. Scores are macro-UF1, means over training seeds.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mer_utils import MerError
from mer_utils.evaluation import decide, f1_of_counts, mean_over_labels, plan_folds
from mer_utils.files import read_json
from mer_utils.training import choose_maps, load_members

import numpy as np
import torch

DRAWS = 2000
# the paper's abstract claims "up to 3.6 points" for fusion attention and SE [stated]; a difference
# that is surely smaller is called equivalent [ours]
MARGIN = 0.036
POWER = 0.8  # the chance of seeing a difference that a design is said to detect [convention]
MOST_SETS = 20  # all 2^20 sign flips take a second


# Within one set: the subject is the unit


@dataclass(frozen=True)
class Comparison:
    """A variant beside a reference on the same clips: macro-UF1 and the difference (variant minus
    reference), both with 95 % intervals; p-value, and p-value corrected for all comparisons.
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
        """The verdict: better or worse if the corrected p-value is below 0.05."""
        if self.p_corrected >= 0.05:
            return "within noise"
        return "better" if self.difference > 0 else "worse"


def count_answers(truth, answers, subjects):
    """Return what F1 needs of each subject: hits (K, S, L), positives (S, L) and positive answers
    (K, S, L), for truth (N, L) and answers (N, L) or (K, N, L) of K training seeds.
    """
    truth, answers = np.asarray(truth, float), np.asarray(answers, float)
    answers = answers[None] if answers.ndim == 2 else answers
    if answers.shape[1:] != truth.shape:
        raise MerError(f"answers {answers.shape} do not fit the truth {truth.shape}")
    member = (np.unique(subjects)[:, None] == np.asarray(subjects)).astype(float)  # (S, N)
    return member @ (truth * answers), member @ truth, member @ answers


def score_draws(counts, weights, seeds=None):
    """Return macro-UF1 (D,) of D draws: ``weights`` (D, S) says how often each subject counts,
    ``seeds`` (D, K) how often each training seed (default: once). A label that no drawn subject
    shows is left out of that draw's mean.
    """
    hits, positives, answered = counts
    f1 = f1_of_counts(weights @ hits, weights @ positives, weights @ answered)  # (K, D, L)
    macro = mean_over_labels(f1)  # (K, D)
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


def permutation_test(truth, answers, reference, subjects, draws=DRAWS, seed=0):
    """Return the two-sided p-value of "variant and reference differ by chance alone": the share of
    swaps of whole subjects' answers that give at least the observed difference in macro-UF1.

    With at most 12 subjects all swaps are tried, else ``draws`` at random, the first as observed.
    """
    hits, positives, answered = count_answers(truth, answers, subjects)
    other_hits, _, other_answered = count_answers(truth, reference, subjects)
    if hits.shape != other_hits.shape:
        raise MerError(f"{len(hits)} and {len(other_hits)} training seeds cannot be paired")
    count = len(positives)
    if count <= 12:
        swaps = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    else:
        swaps = np.random.default_rng(seed).integers(2, size=(draws, count))
        swaps[0] = 0  # as observed
    swap = swaps.astype(float)
    stay, total = 1 - swap, positives.sum(0)

    def score(hit, said):
        return mean_over_labels(f1_of_counts(hit, np.broadcast_to(total, hit.shape), said))

    first = score(stay @ hits + swap @ other_hits, stay @ answered + swap @ other_answered)
    second = score(swap @ hits + stay @ other_hits, swap @ answered + stay @ other_answered)
    difference = (first - second).mean(0)  # over seeds: (draws,)
    return float((np.abs(difference) >= np.abs(difference[0]) - 1e-12).mean())


def holm(p_values):
    """Return p-values corrected for their number (Holm 1979): the chance of even one false alarm
    stays below 5 %.
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1)


def compare(truth, variants, reference, subjects, draws=DRAWS, seed=0):
    """Return {name: Comparison} of every variant {name: answers (K, N, L) or (N, L)} with the one
    named ``reference``.
    """
    if reference not in variants:
        raise MerError(f"no variant is called {reference!r}; there are {', '.join(variants)}")
    everyone = np.ones((1, len(np.unique(subjects))))
    macro, drawn, p = {}, {}, {}
    for name, answers in variants.items():
        macro[name] = score_draws(count_answers(truth, answers, subjects), everyone).item()
        drawn[name] = bootstrap(truth, answers, subjects, draws, seed)
        if name != reference:
            p[name] = permutation_test(truth, answers, variants[reference], subjects, draws, seed)
    corrected = dict(zip(p, holm(list(p.values())), strict=True))
    result = {}
    for name, scores in drawn.items():
        ends = np.nanpercentile(scores, [2.5, 97.5])
        gap_ends = np.nanpercentile(scores - drawn[reference], [2.5, 97.5])
        p_values = (p.get(name, 1.0), corrected.get(name, 1.0))
        numbers = (macro[name], *ends, macro[name] - macro[reference], *gap_ends, *p_values)
        result[name] = Comparison(*map(float, numbers))
    return result


# Over several sets: the set is the unit


@dataclass(frozen=True)
class SetComparison:
    """A variant beside a reference over D data sets with K training seeds each: macro-UF1, 95 % t
    intervals over sets, p-values corrected (Holm) within the family.
    """

    family: str  # primary, exploratory, or reference
    mean: float
    low: float
    high: float
    sd_sets: float  # standard deviation between sets, and between the seeds of one set
    sd_seeds: float | None  # None: one seed, and sd_sets holds both
    difference: float
    difference_low: float
    difference_high: float
    p: float  # of sign_flip_test
    p_corrected: float
    p_least: float  # the smallest p_corrected that so few sets can give in so large a family
    p_equivalent: float  # of equivalence_test, corrected like p
    detectable: float  # the difference that a t test over so many sets finds in 80 % of cases
    margin: float

    @property
    def verdict(self):
        """The verdict: better or worse by p_corrected, else equivalent by p_equivalent."""
        if self.family == "reference":
            return "reference"
        if self.p_corrected < 0.05:
            return "better" if self.difference > 0 else "worse"
        return "equivalent" if self.p_equivalent < 0.05 else "undecided"

    @property
    def words(self):
        """The verdict as a sentence; "no difference" comes with the size that could be missed."""
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
        size = np.ceil(1000 * size) / 1000  # rounded up: the sentence must hold
        text = f"no difference could be detected; smaller than {size:.3f}"
        if self.verdict == "equivalent":
            text += f": equivalent within the margin of {self.margin:g}"
        return text


def standard_error(values):
    """Return the standard error of the mean of ``values`` (D,)."""
    return values.std(ddof=1) / np.sqrt(len(values))


def t_interval(values, level=0.95):
    """Return (low, high): Student's t interval of the mean of ``values`` (D,), one per set. (Of so
    few values a percentile bootstrap would be too narrow: its "95 %" hold 88 %, as a test shows.)
    """
    from scipy.stats import t  # a second to import

    values = np.asarray(values, float)
    reach = t.ppf((1 + level) / 2, len(values) - 1) * standard_error(values)
    return float(values.mean() - reach), float(values.mean() + reach)


def sign_flip_test(differences):
    """Return the exact two-sided p-value of "the ``differences`` (D,), one per set, are symmetric
    around zero": the share of all 2^D sign flips with a mean at least as far from zero.
    """
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return float((np.abs(sums) >= np.abs(sums[0]) - 1e-12).mean())  # the first: as observed


def detectable_difference(sd, sets, power=POWER, level=0.05):
    """Return the difference that a two-sided paired t test at ``level`` over ``sets`` sets finds
    with the chance ``power``, if differences have the standard deviation ``sd`` (noncentral t).
    """
    from scipy.special import nctdtrinc
    from scipy.stats import t

    border = t.ppf(1 - level / 2, sets - 1)
    return float(nctdtrinc(sets - 1, 1 - power, border) * sd / np.sqrt(sets))


def equivalence_test(differences, margin=MARGIN):
    """Return the p-value of "the mean difference is at least ``margin`` in size": two one-sided t
    tests (Schuirmann 1987) on ``differences`` (D,), one per set.
    """
    from scipy.stats import t

    differences = np.asarray(differences, float)
    room, error = margin - abs(differences.mean()), standard_error(differences)
    return float(t.sf(room / error, len(differences) - 1)) if error > 0 else float(room <= 0)


def split_spread(scores):
    """Return the standard deviations of scores (D, K) between sets and between the training seeds
    of a set. With one seed the first holds both and the second is None.
    """
    seeds = scores.shape[1]
    total = scores.mean(1).var(ddof=1)
    if seeds == 1:
        return float(np.sqrt(total)), None
    within = scores.var(1, ddof=1).mean()
    return float(np.sqrt(max(0.0, total - within / seeds))), float(np.sqrt(within))


def compare_sets(scores, reference, primary=(), margin=MARGIN):
    """Return {name: SetComparison} of every variant {name: macro-UF1 (D, K)} with the one named
    ``reference``. Seeds are averaged within a set, and variants are paired by set.

    ``primary`` names the hypotheses stated before anything was measured; all others are
    exploratory. Each family is corrected for its own number. Raises MerError for unknown names,
    unequal tables, gaps in them, and fewer than 2 sets.
    """
    tables = {name: np.asarray(table, float) for name, table in scores.items()}
    for name in (reference, *primary):
        if name not in tables:
            raise MerError(f"there is no variant {name!r}; there are {', '.join(tables)}")
    sets = len(tables[reference])
    if not 2 <= sets <= MOST_SETS:
        raise MerError(f"{sets} set(s): a comparison over sets needs 2 to {MOST_SETS} of them")
    for name, table in tables.items():
        if table.shape != tables[reference].shape or not np.isfinite(table).all():
            raise MerError(f"{name} has not as many scores as {reference}, or some are no numbers")

    gaps = {name: table.mean(1) - tables[reference].mean(1) for name, table in tables.items()}
    others = [name for name in tables if name not in (reference, *primary)]
    tests = {reference: ("reference", 1.0, 1.0, 1.0, 1.0)}
    for family, names in (("primary", list(primary)), ("exploratory", others)):
        p = [sign_flip_test(gaps[name]) for name in names]
        equivalent = holm([equivalence_test(gaps[name], margin) for name in names])
        least = min(1.0, len(names) * 2 / 2**sets)
        for k, corrected in enumerate(holm(p)):
            tests[names[k]] = family, p[k], float(corrected), least, float(equivalent[k])
    result = {}
    for name, table in tables.items():
        family, *p_values = tests[name]
        result[name] = SetComparison(
            family,
            float(table.mean(1).mean()),
            *t_interval(table.mean(1)),
            *split_spread(table),
            float(gaps[name].mean()),
            *t_interval(gaps[name]),
            *p_values,
            detectable_difference(gaps[name].std(ddof=1), sets),
            margin,
        )
    return result


# What was measured over several sets: benchmarks/replicates.py writes it, notebooks read it

# table: the reference of its comparisons, and the hypotheses of the paper's abstract
TABLES = {"ablations": ("default", ("no fusion attention", "no SE")), "peers": ("MicroAttNet", ())}


@dataclass(frozen=True)
class SetTable:
    """Scores of the variants of one table over D sets with K training seeds."""

    reference: str
    primary: tuple[str, ...]
    sets: tuple[int, ...]
    macro: dict  # {variant: (D, K)}
    f1: dict  # {variant: (D, L)}, means over seeds
    floors: dict  # {constant answer: (D,)}

    @cached_property
    def found(self):
        """{variant: SetComparison} with the reference (see ``compare_sets``)."""
        return compare_sets(self.macro, self.reference, self.primary)

    @cached_property
    def gaps(self):
        """{variant: (D,)}: its macro-UF1 minus the reference's, set by set."""
        means = {name: scores.mean(1) for name, scores in self.macro.items()}
        base = means.pop(self.reference)
        return {name: mean - base for name, mean in means.items()}


@dataclass(frozen=True)
class Replicates:
    """What the benchmark found: its settings, and its tables by name."""

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
    """Return the Replicates of a generator ``preset``; MerError for a missing or damaged file."""
    path = find_record(root, preset)
    if not path.is_file():
        raise MerError(path, f"no such file; make it: benchmarks/replicates.py --preset {preset}")
    return read_replicates(read_json(path), path)


def read_replicates(record, path):
    """Return the Replicates of the JSON value ``record`` of the file ``path``."""
    try:
        settings = [record[key] for key in ("preset", "subjects", "clips", "seeds")]
        tables = {name: _read_table(record, name) for name in record["tables"]}
        return Replicates(*settings, tuple(record["labels"]), tables)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        fault = f"damaged ({type(error).__name__}: {error}); take it from git or make it again"
        raise MerError(path, fault) from None


def _read_table(record, name):
    """Return one SetTable; ValueError if a score is missing or not a number."""
    variants = record["tables"][name]
    # a run that was stopped has trained some variants on more sets than others
    sets = [key for key in record["sets"] if all(key in v["macro"] for v in variants.values())]
    shapes = {"macro": (len(sets), record["seeds"]), "f1": (len(sets), len(record["labels"]))}
    scores = {"macro": {}, "f1": {}}
    for kind, shape in shapes.items():
        for variant, entry in variants.items():
            table = np.array([entry[kind][key] for key in sets], float).reshape(shape)
            if not np.isfinite(table).all():
                raise ValueError(f"a score of {variant} is not a number")
            scores[kind][variant] = table
    floors = [record["sets"][key]["floors"] for key in sets]
    floors = {k: np.array([row[k] for row in floors], float) for k in (floors or [{}])[0]}
    return SetTable(*TABLES[name], tuple(map(int, sets)), **scores, floors=floors)


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


# What the gates do: networks are asked only about people they never saw

KINDS = ("own", "frozen", "borrowed", "oracle")


def _each_fold(outcome, features, recipe, maps):
    """Yield each fold's networks, test rows, and maps of its training and test clips."""
    if recipe.network != "MicroAttNet" or recipe.views == "samples":
        raise MerError("gates are those of MicroAttNet that sees all views of a clip at once")
    x = choose_maps(features.x, recipe)[0]
    asked = x if maps is None else choose_maps(maps, recipe)[0]
    count = len(outcome.subjects)
    alone = count == len(np.unique(features.subjects))
    folds = plan_folds(features.subjects, 0 if alone else count)
    for subject, state in zip(outcome.subjects, outcome.members, strict=True):
        train, test = folds[subject]
        shape, labels = x.shape[1:], features.y.shape[1]
        members = load_members(state, recipe, shape, labels, features.exclusive)
        for member in members:
            member.network.eval()
        yield members, test, x[train], asked[test]


def _gates_of(network, x):
    """Return (weights, excitation) of a network for prepared maps, None for a part it lacks."""
    weights = network.weigh(x)
    return weights, network.excite(network.extract(x, weights))


@torch.no_grad()
def read_gates(outcome, features, recipe):
    """Return the gates of each clip by networks that never saw its subject, means over a fold's
    networks: attention weights (N, K, V, P) and SE's factors (N, K, C), None for a missing part.
    """
    gates = [None, None]
    for members, test, _, x in _each_fold(outcome, features, recipe, None):
        for member in members:
            for part, values in enumerate(_gates_of(member.network, member.prepare(x))):
                if values is None:
                    continue
                if gates[part] is None:
                    shape = (len(features.y), *values.shape[1:])
                    gates[part] = np.zeros(shape, np.float32)
                gates[part][test] += values.numpy() / len(members)
    return tuple(gates)


@torch.no_grad()
def answer_with_gates(outcome, features, recipe, kind="own", maps=None, seed=0):
    """Return scores (N, L) and answers (N, L) to each clip (or to ``maps`` (N, V, P, 3, S, S) in
    its place) with other gates; thresholds stay. The ``kind`` of gates is:

    own; frozen: their mean over the training clips; borrowed: those of random training clips;
    oracle: attention to all maps alike, one view or one stream, whichever makes the truth most
    likely. The oracle looks at the labels: it is a bound for such a choice, not a score.
    """
    if kind not in KINDS:
        raise MerError(f"gates {kind!r} are unknown; choose one of {', '.join(KINDS)}")
    scores, rng = np.zeros(features.y.shape), np.random.default_rng(seed)

    def ask(member, x_train, x_test):
        """Return logits (choices, clips, L)."""
        network, x = member.network, member.prepare(x_test)
        if kind == "own":
            return network(x)[None]
        if kind == "oracle":
            return torch.stack([network(x, weights) for weights in (None, *_offer_weights(x))])
        gates = _gates_of(network, member.prepare(x_train))
        rows = torch.as_tensor(rng.integers(len(x_train), size=len(x)))
        if kind == "frozen":
            return network(x, *(g if g is None else g.mean(0, keepdim=True) for g in gates))[None]
        return network(x, *(g if g is None else g[rows] for g in gates))[None]

    for members, test, x_train, x_test in _each_fold(outcome, features, recipe, maps):
        truth = torch.as_tensor(features.y[test], dtype=torch.float32)
        logits = torch.stack([ask(member, x_train, x_test) for member in members])
        scored = torch.softmax(logits, -1) if features.exclusive else torch.sigmoid(logits)
        scored = scored.mean(0).clamp(1e-6, 1 - 1e-6)  # (choices, clips, L)
        likely = (truth * torch.log(scored) + (1 - truth) * torch.log(1 - scored)).sum(-1)
        scores[test] = scored[likely.argmax(0), torch.arange(len(test))].numpy()
    return scores, decide(scores, outcome.thresholds, features.exclusive)


def _offer_weights(x):
    """Return attention weights (1, K, V, P) for maps x: all alike, one view alone, one stream."""
    shape = (1, x.shape[3], *x.shape[1:3])
    offered = [torch.ones(shape)]
    for axis in (1, 2):
        for k in range(shape[axis] if shape[axis] > 1 else 0):
            alone = torch.zeros(shape)
            alone.select(axis, k)[:] = 1
            offered.append(alone)
    return [weights / weights.sum() for weights in offered]


def spoil_views(x, seed=0):
    """Return maps (N, V, P, 3, S, S) with the cells of one random view of each clip in random order
    (how much moved stays, where is lost), and that view (N,).
    """
    rng = np.random.default_rng(seed)
    spoiled, views = np.array(x), rng.integers(x.shape[1], size=len(x))
    for row, view in enumerate(views):
        flat = spoiled[row, view].reshape(*x.shape[2:4], -1)
        order = rng.permutation(flat.shape[-1])
        spoiled[row, view] = flat[..., order].reshape(x.shape[2:])
    return spoiled, views
