"""How the defaults were chosen: each option changed alone, on development sets whose seeds the suite never reports.

    python benchmarks/defaults.py WORK [--seeds 1001 1002] [--jobs 2]

Makes the development sets in the folder WORK, prints apex error and macro-UF1 of each choice and writes the means over
the sets to benchmarks/defaults.json. About eight minutes a set on two cores.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from mer_utils.artifacts import write_json
from mer_utils.clips import open_dataset
from mer_utils.features import FrontEnd, extract
from mer_utils.generate import ensure_synthetic
from mer_utils.training import Recipe, run_loso

FRONT_ENDS = {
    "default": {},
    "head motion: none": {"compensation": "none"},
    "apex: curve not detrended": {"detrend": False},
    "maps: robust": {"normalisation": "robust"},
    "maps: 28 px": {"size": 28},
}
RECIPES = {
    "patience 12": {"patience": 12},
    "batch 64": {"batch": 64},
    "alpha: none": {"alpha": "none"},
    "thresholds: 0.5": {"thresholds": "fixed"},
    "views as samples": {"views": "samples"},
    "PCA+SVM": {"network": "PCA+SVM"},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1001, 1002])
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    table = {}
    for seed in args.seeds:
        data = open_dataset(ensure_synthetic(args.work, 24, 267, seed, args.jobs))
        reference = np.array([clip.apex for clip in data.clips])
        for name in [*FRONT_ENDS, *RECIPES]:
            front_end = replace(FrontEnd(), **FRONT_ENDS.get(name, {}))
            features = extract(data, front_end, args.work, args.jobs)
            recipe = replace(Recipe(), **RECIPES.get(name, {}))
            score = run_loso(features, recipe, args.work, args.jobs).uf1(features.y)["macro"]
            near = float((np.abs(features.apex - reference) <= 2).mean())
            table.setdefault(name, []).append((near, score))
            print(f"{seed}  {name:30} apex within 2 frames {near:.3f}   macro-UF1 {score:.3f}", flush=True)
    rows = {
        name: {
            "apex_within_2_frames": round(float(np.mean([near for near, _ in pairs])), 3),
            "macro_uf1": round(float(np.mean([score for _, score in pairs])), 3),
            "macro_uf1_per_seed": [round(score, 3) for _, score in pairs],
        }
        for name, pairs in table.items()
    }
    write_json(Path(__file__).with_suffix(".json"), {"seeds": args.seeds, "choices": rows})


if __name__ == "__main__":
    main()
