"""Which settings suit each network: the same random draws for all of them, on development sets,
whose people no reported number ever sees.

    python benchmarks/tuning.py [--sets 1001] [--draws 12] [--preset bench-v2] [--jobs 2]

Every network gets its own maps (NATIVE) and is scored with the settings it was published with
(PUBLISHED, else a Recipe's defaults) and with each draw from one space: rate and decay log-even,
most epochs, patience and dropout one of a few. Its answers come from a cross-validation that leaves
a quarter of the subjects out, one member a fold. The winner has the highest mean, over the sets, of
mean average precision and macro-UF1. SSSNet's best draws are also tried on maps of its published
size. Writes benchmarks/tuning.json, whose winners belong into TUNED (mer_utils/baselines.py; a test
compares the two). A run that was stopped goes on where it was. About ten minutes on two cores.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from faces4d.generate import ensure_synthetic
from mer_utils import MerError
from mer_utils.baselines import PEERS, PUBLISHED, native_front_end
from mer_utils.dataset import open_dataset
from mer_utils.evaluation import run_grid
from mer_utils.features import FrontEnd, extract_variants
from mer_utils.files import write_json
from mer_utils.study import find_root
from mer_utils.training import NETWORKS, Recipe, mean_precision

import numpy as np
import pandas as pd

SUBJECTS, CLIPS, FOLDS = 24, 267, 4
SPACE = {
    "rate": (3e-5, 3e-2),  # from, to
    "decay": (1e-5, 1e-1),  # from, to
    "patience": (8, 20),
    "dropout": (0.0, 0.25, 0.5),
    "epochs": (20, 40, 60),  # at most
}
FIELDS = (*SPACE, "batch")
# maps of the published size, where NATIVE has smaller ones: tried with the best three draws
PUBLISHED_SIZES = {"SSSNet": 64}
# of the peers that are not trained as networks, those with a setting: their decay
TUNABLE = ("MicroAttNet", *PEERS, "Regions+LR", "AUs+LR")


def draw_settings(count):
    """Return ``count`` draws from SPACE; more draws begin with the same ones."""
    rng, draws = np.random.default_rng(0), []
    for _ in range(count):
        rate, decay = (np.exp(rng.uniform(*np.log(SPACE[name]))) for name in ("rate", "decay"))
        draw = {"rate": float(f"{rate:.2g}"), "decay": float(f"{decay:.2g}")}
        for name in ("patience", "dropout", "epochs"):
            draw[name] = rng.choice(SPACE[name]).item()
        draws.append(draw)
    return draws


def score_recipe(recipe, sets, cache, jobs):
    """Return the settings of a Recipe with its scores on each of ``sets`` (Features), and ``mean``,
    by which it is judged; all None where training diverged.
    """
    row = {name: getattr(recipe, name) for name in FIELDS}
    try:
        found = run_grid([(features, recipe) for features in sets], cache, jobs, folds=FOLDS)
    except MerError as error:
        if "diverged" not in str(error):
            raise
        return {"settings": row, "precision": None, "macro": None, "mean": None}
    pairs = list(zip(sets, found, strict=True))
    precision = [mean_precision(features.y, outcome.scores) for features, outcome in pairs]
    macro = [outcome.uf1(features.y)["macro"] for features, outcome in pairs]
    scores = {"precision": precision, "macro": macro}
    rounded = {name: [round(value, 4) for value in values] for name, values in scores.items()}
    return {"settings": row} | rounded | {"mean": round(float(np.mean([precision, macro])), 4)}


def tune(network, draws, sets, cache, jobs):
    """Return {"seconds", "winner", "tried"} of a network: the published settings, and ``draws``."""
    start = time.perf_counter()
    recipes = [Recipe(**{"network": network, "members": 1} | PUBLISHED.get(network, {}))]
    recipes += [Recipe(network=network, members=1, **draw) for draw in draws]
    tried = []
    for number, recipe in enumerate(recipes):
        tried.append(score_recipe(recipe, sets, cache, jobs))
        row = tried[-1]
        text = "  ".join(f"{name} {value:g}" for name, value in row["settings"].items())
        mean = row["mean"] or np.nan
        print(f"{network:13} {number or 'published':>9}  mean {mean:.3f}  {text}", flush=True)
    winner = rank(tried)[0]["settings"]
    return {"seconds": round(time.perf_counter() - start, 1), "winner": winner, "tried": tried}


def rank(tried):
    """Return the rows of those that could be trained, the best one first."""
    return sorted((row for row in tried if row["mean"] is not None), key=lambda row: -row["mean"])


def try_published_size(network, found, sets, cache, jobs):
    """Put into ``found`` what the best three of a network's draws are worth on maps ``sets`` of its
    published size.
    """
    best = [row for row in rank(found["tried"]) if row is not found["tried"][0]][:3]
    recipes = [Recipe(network=network, members=1, **row["settings"]) for row in best]
    rows = [score_recipe(recipe, sets, cache, jobs) for recipe in recipes]
    found["published_size"] = {"size": PUBLISHED_SIZES[network], "tried": rows}
    for row, other in zip(rows, best, strict=True):
        size = found["published_size"]["size"]
        print(f"{network:13} on {size} px, mean {row['mean'] or np.nan:.3f} ({other['mean']:.3f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, nargs="+", default=[1001], metavar="SEED")
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--networks", nargs="+", default=TUNABLE, choices=NETWORKS)
    parser.add_argument("--preset", default="bench-v2")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    if not all(1001 <= number < 2000 for number in args.sets):
        parser.error("choices are made on development sets: seeds 1001 to 1999")
    folder = find_root(Path(__file__).parent) / "artifacts" / "tuning"
    fronts = {network: native_front_end(network, FrontEnd()) for network in args.networks}
    sizes = {name: size for name, size in PUBLISHED_SIZES.items() if name in fronts}
    larger = {name: replace(fronts[name], size=size) for name, size in sizes.items()}
    variants = list(dict.fromkeys([*fronts.values(), *larger.values()]))
    made = []
    for number in args.sets:
        root = ensure_synthetic(folder, SUBJECTS, CLIPS, number, args.jobs, args.preset)
        features = extract_variants(open_dataset(root), variants, folder / "cache", args.jobs)
        made.append(dict(zip(variants, features, strict=True)))
    draws, tuned = draw_settings(args.draws), {}
    for network, front in fronts.items():
        sets = [features[front] for features in made]
        tuned[network] = tune(network, draws, sets, folder / "cache", args.jobs)
        if network in larger:
            sets = [features[larger[network]] for features in made]
            try_published_size(network, tuned[network], sets, folder / "cache", args.jobs)
        record = {"preset": args.preset, "sets": args.sets, "subjects": SUBJECTS, "clips": CLIPS}
        record |= {"folds": FOLDS, "draws": args.draws, "space": SPACE, "networks": tuned}
        write_json(Path(__file__).with_suffix(".json"), record)
    print(pd.DataFrame({network: found["winner"] for network, found in tuned.items()}).T)


if __name__ == "__main__":
    main()
