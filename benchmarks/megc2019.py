"""The default recipe on MEGC 2019's composite of CASME II, SAMM and SMIC: UF1 and UAR of all clips
and of each dataset, beside the majority, PCA+SVM and published results.

    python benchmarks/megc2019.py FOLDER [--seeds 0 1 2 3 4] [--as-stored] [--start [0 1 2 3 4]]

FOLDER holds the composite's flow images, <subject>/u_test/<0, 1, 2>/<clip>.png of u, v and strain;
published code calls it three_norm_u_v_os. It is not shipped: the three licences forbid it. Leaves
one subject out, in maps of 20 px, and pools the answers of all folds. Prints a table and writes
benchmarks/megc2019.json. About twenty minutes on two cores; what is finished is kept.

With --start it also asks whether synthetic people help with real ones. Each number is one
pre-training: a MicroAttNet learns to name the action units of 1,500 synthetic clips, drawn anew, in
maps like the composite's (one view, onset to apex, u, v, strain). Then MicroAttNet starts from its
streams and gates with a new head, once a seed, and AUs+LR fits logistic regressions on its answers.
All rows then have maps divided by their own range, since nobody knows how many px a grey level is.
One pre-training decides nothing, like one seed: five by five, the default, take hours.
"""

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

from mer_tools.importing.flow_images import import_flow_images
from mer_tools.importing.megc2019 import CLASSES
from mer_tools.report import read_published, score_datasets
from mer_utils import MerError, start, training
from mer_utils.baselines import recipe_of
from mer_utils.dataset import open_dataset
from mer_utils.evaluation import constant_answers, run_grid
from mer_utils.features import FrontEnd, extract
from mer_utils.files import write_arrays, write_json
from mer_utils.flow import strain
from mer_utils.study import find_root
from mer_utils.training import Recipe, build_network, fit_scale, settle_torch

import numpy as np
import pretrain  # beside this script
import torch
from joblib import Parallel, delayed

NEEDS = (
    "this benchmark needs the flow images of MEGC 2019's composite, which licences keep from being "
    "shipped: the folder three_norm_u_v_os of published code, with CASME II (sub01), SAMM (006) "
    "and SMIC (s1) in <subject>/u_test/<0, 1, 2>/<clip>.png"
)
SHAPE = (1, 1, 3, 20, 20)  # of the composite's maps
LEARN = pretrain.SETTINGS | {"yaw": [0.0, 10.0]}  # degrees: its faces look at the camera
FIRST = 2200  # seed of the first pre-training's people; no data set may have it


def read_composite(folder, centred, cache, jobs):
    """Return the Features of the flow images in ``folder`` and each clip's dataset."""
    options = {"channels": ("u", "v", "strain"), "labels": CLASSES, "centred": centred}
    with tempfile.TemporaryDirectory() as place:
        for sentence in import_flow_images(folder, Path(place, "new"), **options):
            print(sentence)
        dataset = open_dataset(Path(place, "new"))
        datasets = [clip.dataset for clip in dataset.clips]
        if not all(datasets):
            raise MerError(folder, "the subjects are not those of three datasets")
        features = extract(dataset, FrontEnd(size=20), cache, jobs)
    return features, datasets


def score_methods(features, datasets, recipes, cache, jobs):
    """Return {method: row of scores}, the network's the mean over ``recipes`` (one a seed), and the
    network's rows.
    """
    constant = constant_answers(features.y, features.subjects, exclusive=True)["majority"]
    tasks = [(features, recipe) for recipe in (recipe_of("PCA+SVM"), *recipes)]
    answers = [constant, *(outcome.answers for outcome in run_grid(tasks, cache, jobs))]
    majority, svm, *seeds = [score_datasets(features.y, each, datasets) for each in answers]
    return {"majority": majority, "PCA+SVM": svm, "MicroAttNet": average(seeds)}, seeds


def use_own_range(maps):
    """Return maps (N, V, P, 3, S, S) with u and v divided by the largest of either, and strain by
    its largest.
    """
    highest = np.abs(maps).max((-2, -1), keepdims=True)
    highest[:, :, :, :2] = highest[:, :, :, :2].max(3, keepdims=True)
    return (maps / np.maximum(highest, 1e-6)).astype(np.float32)


def spoil(maps, rng, settings):
    """Return maps of u, v, magnitude as noisy maps of u, v, strain in their own range."""
    flow = pretrain.add_noise(maps, rng, settings)[:, :, :, :2]
    third = strain(flow)[:, :, :, None] * (maps[:, :, :, 2:] != 0)
    return use_own_range(np.concatenate([flow, third], 3))


def teach(number):
    """Return pre-training ``number``: a network that names AUs in maps of SHAPE, and the scale (3,)
    of its maps.
    """
    settle_torch()
    start.SHAPE = SHAPE
    maps, shares = pretrain.make_clips(LEARN | {"seed": FIRST + number})
    maps = maps[:, :, :1].reshape(-1, *SHAPE)  # both cameras, onset to apex
    noisy = spoil(maps, np.random.default_rng(number), LEARN)
    scale = torch.from_numpy(fit_scale(noisy))
    return pretrain.train(maps, np.repeat(shares, 2, 0), number, LEARN, scale, spoil), scale


def build_started(namer, *options):
    """Return the untrained network of a Recipe with the streams and gates of ``namer``."""
    network, learnt = build_network(*options), namer.state_dict()
    own = {name: value for name, value in learnt.items() if not name.startswith("head")}
    network.load_state_dict(network.state_dict() | own)
    return network


def score_start(number, features, datasets, recipes):
    """Return the rows of one pre-training: MicroAttNet started from it, one a Recipe, and AUs+LR's.

    The pre-training saw synthetic people alone, so that it is the same in all folds.
    """
    namer, scale = teach(number)
    with tempfile.TemporaryDirectory() as place:
        start.WEIGHTS = Path(place, f"{number}.safetensors")
        write_arrays(start.WEIGHTS, *pretrain.pack_namers([namer], scale, {}))
        training.build_network = partial(build_started, namer)
        try:
            outcomes = run_grid([(features, r) for r in (recipe_of("AUs+LR"), *recipes)])
        finally:
            training.build_network = build_network
    rows = [score_datasets(features.y, outcome.answers, datasets) for outcome in outcomes]
    return {"MicroAttNet, started": rows[1:], "AUs+LR": rows[:1]}


def score_starts(numbers, features, datasets, recipes, jobs):
    """Return {method: a list of rows for each pre-training}."""
    tasks = (delayed(score_start)(k, features, datasets, recipes) for k in numbers)
    starts = Parallel(jobs)(tasks)
    return {method: [rows[method] for rows in starts] for method in starts[0]}


def average(rows):
    """Return the mean of rows of scores."""
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--as-stored", action="store_true", help="u and v keep their median")
    parser.add_argument("--start", type=int, nargs="*", metavar="NUMBER", help="default: 0 to 4")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args(words)
    cache = find_root(Path(__file__).parent) / "artifacts" / "cache"
    recipes = [Recipe(seed=k) for k in args.seeds]
    try:
        features, datasets = read_composite(args.folder, not args.as_stored, cache, args.jobs)
    except MerError as error:
        raise SystemExit(f"{error}; {NEEDS}") from None
    if args.start is not None:
        features = replace(features, x=use_own_range(features.x))
    scores, seeds = score_methods(features, datasets, recipes, cache, args.jobs)
    starts = {}
    if args.start is not None:
        numbers = args.start or range(5)
        starts = score_starts(numbers, features, datasets, recipes, args.jobs)
        scores |= {method: average([*chain(*rows)]) for method, rows in starts.items()}
    record = {"clips": len(datasets), "subjects": len(set(features.subjects))}
    record |= {"centred": not args.as_stored, "protocol": "leave one subject out, pooled"}
    write_json(args.out, record | {"scores": scores, "seeds": seeds, "starts": starts})
    print(f"\n{'':21}", *(f"{name:>12}" for name in scores["majority"]))
    for method, row in scores.items():
        print(f"{method:21}", *(f"{value:12.4f}" for value in row.values()))
    for method, rows in starts.items():
        means = " ".join(f"{average(own)['UF1']:.4f}" for own in rows)
        print(f"{method}: UF1 of each pre-training {means}")
    print("published on the 442 clips:")
    for method, row in read_published().items():
        print(f"{method:15} {row['UF1']:>12} {row['UAR']:>12}  {row['protocol']}")


if __name__ == "__main__":
    main()
