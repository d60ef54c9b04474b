"""Ablations and peers on several data sets with several training seeds each: what a claim needs.

    python benchmarks/replicates.py [--preset bench-v2] [--sets 1 2 3 4 5 6 7 8] [--seeds 3]
        [--groups primary ablations peers oracles] [--variants NAME ...] [--jobs 2] [--data FOLDER]
        [--keep-data] [--report]

Makes each set of synthetic faces (24 subjects, 267 clips), trains every variant on it, one network
a fold, eight groups of people left out in turn, and writes benchmarks/replicates-PRESET.json after
each set. A run that was stopped goes on where it was; a run with other groups or more sets adds to
the file, and one with other settings or code asks for it to be moved away. Frames made here are
removed when their set is done; features and folds stay in artifacts/cache. With --report nothing is
trained: the statistics are computed again from the file and printed. Hours on two cores; it says
how many minutes are left.

Set 0 is the notebooks' and is refused. Sets 1001 and above are for choosing defaults and are no
evidence: they have a file of their own, replicates-PRESET-development.json.
"""

import argparse
import itertools
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter

from faces4d.film_again import film_front
from faces4d.generate import describe_makers, ensure_synthetic
from faces4d.motion import read_truth
from faces4d.scenario import get_preset
from mer_utils import MerError
from mer_utils.ablations import GRID as ABLATIONS
from mer_utils.ablations import TABLES, find_record, read_tables
from mer_utils.baselines import native_front_end, recipe_of
from mer_utils.dataset import open_dataset
from mer_utils.evaluation import constant_answers, label_f1, macro_uf1, run_grid, split_subjects
from mer_utils.features import FrontEnd, extract_variants
from mer_utils.files import read_json, write_json
from mer_utils.jobs import run_jobs
from mer_utils.study import find_root, to_plain
from mer_utils.training import NETWORKS, Recipe

import numpy as np
from acceptance import Folds, logistic, read_peaks  # beside this script
from front_end import find_true_maps

BASE = Recipe(members=1)  # several seeds instead of several networks a fold
FOLDS = 8  # groups of people: each is left out once
PARTS = ("default", "no fusion attention", "no SE", "neither")  # what the paper asks
PRIMARY = {name: ABLATIONS[name] for name in PARTS}
ORACLES = ("true apex", "true flow", "true activations")  # what nobody has: how far one could get
FRONT = "one camera in front"  # the same clips filmed again: see film_front
GRID = ABLATIONS | {FRONT: ({}, {})}
FAMILIES = ("primary", "exploratory")
GROUPS = ("primary", "ablations", "peers", "oracles")
DEVELOPMENT = 1001  # the first seed of the sets on which defaults are chosen


def prepare_peer(network):
    """Return the (FrontEnd, Recipe) with which a peer is trained: its own maps and settings."""
    return native_front_end(network, FrontEnd()), recipe_of(network, members=BASE.members)


def list_variants(groups):
    """Return {(table, name): (FrontEnd, Recipe)} of all variants of some groups."""
    grid = GRID if "ablations" in groups else PRIMARY if "primary" in groups else {}
    variants = {
        ("ablations", name): (replace(FrontEnd(), **front), replace(BASE, **recipe))
        for name, (front, recipe) in grid.items()
    }
    if "peers" in groups:
        variants |= {("peers", name): prepare_peer(name) for name in NETWORKS}
        front, recipe = prepare_peer("PCA+SVM")
        untuned = replace(recipe, thresholds="fixed")
        variants["peers", "PCA+SVM, threshold 0"] = front, untuned
    if "oracles" in groups:
        variants |= {("oracles", name): (FrontEnd(), BASE) for name in ("default", *ORACLES)}
        variants["oracles", "true apex"] = FrontEnd(apex="manifest"), BASE
    return variants


def choose_variants(groups, names):
    """Return the variants of some groups, of which only ``names`` and what they are compared with
    where any are given; MerError for a name that none of them has.
    """
    variants = list_variants(groups)
    known = {name for _, name in variants}
    for name in set(names) - known:
        raise MerError(f"no variant {name!r}; there are {', '.join(sorted(known))}")
    return {
        (table, name): given
        for (table, name), given in variants.items()
        if not names or name in (*names, TABLES[table][0])
    }


def list_changes(options, base):
    """Return {field: value} of what differs from ``base`` (two dataclasses of one kind)."""
    old = asdict(base)
    return {key: value for key, value in asdict(options).items() if value != old[key]}


def start_record(args, variants, path):
    """Return the record to add to, that of ``path`` or an empty one, with an entry for each
    variant; MerError if ``path`` was made with other settings, code, packages or kernels.
    """
    keys = ("preset", "subjects", "clips", "seeds", "folds")
    record = {key: getattr(args, key) for key in keys} | {"provenance": describe_makers()}
    record |= {"labels": [], "sets": {}, "tables": {}, "comparisons": {}}
    if path.is_file():
        old = read_json(path)
        for key in (*keys, "provenance"):
            if old.get(key) != record[key]:
                what = f"was made with another {key}: move it away to begin anew, git keeps it"
                raise MerError(path, what)
        record = old
    for (table, name), (front, recipe) in variants.items():
        changes = {"front": list_changes(front, FrontEnd()), "recipe": list_changes(recipe, BASE)}
        changes = to_plain(changes)  # as the file holds them: an entry knows its settings again
        entry = record["tables"].setdefault(table, {}).get(name, {})
        if any(entry.get(key) != value for key, value in changes.items()):
            record["tables"][table][name] = {**changes, "macro": {}, "f1": {}}
    return record


def list_missing(record, variants, seed):
    """Return the (table, name) of those variants that have no score on the set ``seed``."""
    return [
        (table, name)
        for table, name in variants
        if str(seed) not in record["tables"][table][name]["macro"]
    ]


def describe_set(dataset, features, seconds):
    """Return what is kept of a set beside scores: apex error, motion seen, floors, seconds."""
    error = np.abs(features.apex - [clip.apex for clip in dataset.clips])
    constants = constant_answers(features.y, features.subjects)
    return {
        "apex_error_frames": error.mean(),
        "apex_within_2_frames": (error <= 2).mean(),
        "flow_px": features.x[:, :, 0, 2].mean(),  # magnitude, onset-apex
        "clips_per_label": features.y.sum(0),
        "floors": {name: macro_uf1(features.y, given) for name, given in constants.items()},
        "seconds": seconds,
    }


def score_known(dataset, features):
    """Return the scores of a logistic regression that knows the activations at the true peak, with
    the same groups of people left out: {"macro", "per_label"}.
    """
    folds = Folds(features.y, split_subjects(features.subjects, FOLDS, 0))
    peaks = read_peaks([read_truth(dataset, clip) for clip in dataset.clips])
    answers = folds.answer(folds.score(peaks, logistic))
    per_label = label_f1(features.y, answers).tolist()
    return {"macro": macro_uf1(features.y, answers), "per_label": per_label}


def measure_set(args, root, seed, record, todo, tell):
    """Make the set ``seed`` and train the variants ``todo`` {(table, name): (FrontEnd, Recipe)} on
    it; put all into ``record``, and ``tell`` the set, each variant's name and scores.
    """
    start, cache = perf_counter(), root / "artifacts" / "cache"
    before = set(args.data.glob("synthetic-*"))
    folder = ensure_synthetic(args.data, args.subjects, args.clips, seed, args.jobs, args.preset)
    filmed, dataset = perf_counter(), open_dataset(folder)
    kinds = list(dict.fromkeys([FrontEnd(), *(front for front, _ in todo.values())]))
    made = dict(zip(kinds, extract_variants(dataset, kinds, cache, args.jobs), strict=True))
    followed = perf_counter()
    for (table, name), (front, recipe) in todo.items():
        features = made[front]
        if name == FRONT:
            features = film_front(dataset, features, front, cache, args.jobs)
        if name == "true flow":
            maps = run_jobs(find_true_maps, [(dataset, clip) for clip in dataset.clips], args.jobs)
            features = replace(features, x=np.stack(maps))
        tasks = [(features, replace(recipe, seed=k)) for k in range(args.seeds)]
        if name == "true activations":
            scores = [score_known(dataset, features)] * args.seeds
        else:
            scores = [one.uf1(features.y) for one in run_grid(tasks, cache, args.jobs, FOLDS)]
        entry = record["tables"][table][name]
        entry["macro"][str(seed)] = [score["macro"] for score in scores]
        entry["f1"][str(seed)] = np.mean([score["per_label"] for score in scores], 0)
        tell(seed, name, entry["macro"][str(seed)])
    seconds = {"frames": filmed - start, "features": followed - filmed}
    seconds["training"] = perf_counter() - followed
    earlier = record["sets"].get(str(seed), {}).get("seconds", {})
    seconds = {key: value + earlier.get(key, 0) for key, value in seconds.items()}
    record["labels"] = dataset.labels
    record["sets"][str(seed)] = describe_set(dataset, made[FrontEnd()], seconds)
    if folder not in before and not args.keep_data:
        shutil.rmtree(folder)


def count_down(total):
    """Return ``tell(seed, name, scores)``, which prints the scores of one of ``total`` trainings
    and the minutes left.
    """
    done, start = itertools.count(1), perf_counter()

    def tell(seed, name, scores):
        number = next(done)
        left = (perf_counter() - start) / number * (total - number) / 60
        numbers = " ".join(f"{score:.3f}" for score in scores)
        line = f"set {seed}  {name:22} {numbers}   {number} of {total}"
        print(f"{line}, about {left:.0f} min left", flush=True)

    return tell


def split_spread(scores):
    """Return the standard deviations of scores (D, K) between sets and between the training seeds
    of a set. With one seed the first holds both and the second is NaN.
    """
    seeds, total = scores.shape[1], scores.mean(1).var(ddof=1)
    within = scores.var(1, ddof=1).mean() if seeds > 1 else np.nan
    return np.sqrt(max(0.0, total - np.nan_to_num(within) / seeds)), np.sqrt(within)


def write_record(path, record):
    """Write the record with sets and variants in order, and what its scores say."""
    order = [*GRID, *ORACLES, *NETWORKS, "PCA+SVM, threshold 0"]
    record["sets"] = dict(sorted(record["sets"].items(), key=lambda pair: int(pair[0])))
    for table, entries in record["tables"].items():
        record["tables"][table] = {name: entries[name] for name in order if name in entries}
    record = to_plain(record)
    record["comparisons"] = {
        name: {
            variant: asdict(row) | {"verdict": row.verdict, "words": row.words}
            for variant, row in table.rows.items()
        }
        for name, table in read_tables(record).items()
        if len(table.sets) > 1
    }
    write_json(path, to_plain(record))


def print_report(record):
    """Print the tables of a record: each variant with its intervals over sets and its verdict."""
    for name, table in read_tables(record).items():
        count = len(table.sets)
        print(f"\n{name}, against {table.reference}: {table.about}")
        if count < 2:
            print("a comparison over sets needs at least 2 on which every variant was trained")
            continue
        print(f"{'':22} {'macro-UF1':>23}   {'sd sets, seeds':14} {'difference':>27}", end="")
        print("      p  corrected  detectable  verdict")
        for variant, row in table.rows.items():
            between, within = split_spread(table.macro[variant])
            score = f"{row.macro:.3f} ({row.low:.3f} to {row.high:.3f})"
            line = f"{variant:22} {score:>23}   {between:.3f}, {within:5.3f} "
            if row.family != "reference":
                ends = f"{row.difference_low:+.3f} to {row.difference_high:+.3f}"
                span = f"{row.difference:+.3f} ({ends})"
                line += f"  {span:>27} {row.p:6.3f} {row.p_corrected:10.3f} {row.detectable:11.3f}"
                line += f"  {row.family}: {row.words}"
            print(line)
        least = {row.family: row.p_least for row in table.rows.values()}
        said = [f"{family} {least[family]:.4f}" for family in FAMILIES if family in least]
        print(f"smallest corrected p that {count} sets can give: {', '.join(said)}")


def parse_words(words, root):
    """Return the checked settings of a command line; MerError for sets that are no evidence."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="bench-v2", help="of the generator")
    parser.add_argument("--sets", type=int, nargs="+", default=list(range(1, 9)))
    parser.add_argument("--seeds", type=int, default=3, help="training seeds on each set")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--variants", nargs="+", default=(), help="only these of the groups")
    parser.add_argument("--jobs", type=int, default=0, help="processes; 0: one a core")
    parser.add_argument("--data", type=Path, default=root / "data", help="where frames are made")
    parser.add_argument("--keep-data", action="store_true", help="do not remove the frames")
    parser.add_argument("--report", action="store_true", help="print what the file says")
    for name, size in (("--subjects", 24), ("--clips", 267)):  # smaller: for tests
        parser.add_argument(name, type=int, default=size, help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    args.folds = FOLDS
    get_preset(args.preset)
    if min(args.sets) < 1:
        raise MerError(f"set {min(args.sets)} is no evidence: it is the notebooks'")
    args.development = min(args.sets) >= DEVELOPMENT
    if not args.development and max(args.sets) >= DEVELOPMENT:
        raise MerError(f"sets from {DEVELOPMENT} on are for choosing defaults: run them alone")
    if len(set(args.sets)) < len(args.sets) or args.seeds < 1:
        raise MerError("each set can be named once, and at least one training seed is needed")
    return args


def main(words=None, root=None):
    root = root or find_root(Path(__file__).parent)
    args = parse_words(words, root)
    path = find_record(root, args.preset + "-development" * args.development)
    if args.report:
        record = read_json(path)
        write_record(path, record)
        print_report(record)
        return
    variants = choose_variants(args.groups, args.variants)
    record = start_record(args, variants, path)
    missing = {seed: list_missing(record, variants, seed) for seed in args.sets}
    tell = count_down(sum(map(len, missing.values())))
    for seed, names in missing.items():
        if names:
            measure_set(args, root, seed, record, {key: variants[key] for key in names}, tell)
            write_record(path, record)
    print_report(read_json(path))


if __name__ == "__main__":
    try:
        main()
    except MerError as error:
        raise SystemExit(f"replicates: {error}") from None
