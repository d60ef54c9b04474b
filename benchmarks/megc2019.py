"""The default recipe on MEGC 2019's composite of CASME II, SAMM and SMIC: UF1 and UAR of all clips
and of each dataset, beside the majority, PCA+SVM and published results.

    python benchmarks/megc2019.py FOLDER [--seeds 0 1 2 3 4] [--as-stored]

FOLDER holds the composite's flow images, <subject>/u_test/<0, 1, 2>/<clip>.png of u, v and strain;
published code calls it three_norm_u_v_os. It is not shipped: the three licences forbid it. Leaves
one subject out, in maps of 20 px, and pools the answers of all folds. Prints a table and writes
benchmarks/megc2019.json. About twenty minutes on two cores; what is finished is kept.
"""

import argparse
import tempfile
from pathlib import Path

from mer_tools.importing.flow_images import import_flow_images
from mer_tools.importing.megc2019 import CLASSES
from mer_tools.report import read_published, score_datasets
from mer_utils import MerError
from mer_utils.baselines import recipe_of
from mer_utils.dataset import open_dataset
from mer_utils.evaluation import constant_answers, run_grid
from mer_utils.features import FrontEnd, extract
from mer_utils.files import write_json
from mer_utils.study import find_root
from mer_utils.training import Recipe

import numpy as np

NEEDS = (
    "this benchmark needs the flow images of MEGC 2019's composite, which licences keep from being "
    "shipped: the folder three_norm_u_v_os of published code, with CASME II (sub01), SAMM (006) "
    "and SMIC (s1) in <subject>/u_test/<0, 1, 2>/<clip>.png"
)


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
    mean = {name: round(float(np.mean([row[name] for row in seeds])), 4) for name in svm}
    return {"majority": majority, "PCA+SVM": svm, "MicroAttNet": mean}, seeds


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--as-stored", action="store_true", help="u and v keep their median")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args(words)
    cache = find_root(Path(__file__).parent) / "artifacts" / "cache"
    recipes = [Recipe(seed=k) for k in args.seeds]
    try:
        features, datasets = read_composite(args.folder, not args.as_stored, cache, args.jobs)
    except MerError as error:
        raise SystemExit(f"{error}; {NEEDS}") from None
    scores, seeds = score_methods(features, datasets, recipes, cache, args.jobs)
    record = {"clips": len(datasets), "subjects": len(set(features.subjects))}
    record |= {"centred": not args.as_stored, "protocol": "leave one subject out, pooled"}
    write_json(args.out, record | {"scores": scores, "seeds": seeds})
    print(f"\n{'':15}", *(f"{name:>12}" for name in scores["majority"]))
    for method, row in scores.items():
        print(f"{method:15}", *(f"{value:12.4f}" for value in row.values()))
    print("published on the 442 clips:")
    for method, row in read_published().items():
        print(f"{method:15} {row['UF1']:>12} {row['UAR']:>12}  {row['protocol']}")


if __name__ == "__main__":
    main()
