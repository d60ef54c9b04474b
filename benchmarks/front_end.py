"""What each step of the front end brings, measured on development sets against the truth.

    python benchmarks/front_end.py WORK [--presets bench-v1 bench-v2] [--sets 1001 1002 1003]

Makes the sets in the folder WORK where they are missing. From the plain recipe (no mask, flow at
half the resolution, key frames as they are, head motion left in, the apex where the curve is
largest) one step after the other is added, then what only an oracle knows. Each row: error of the
flow after compensation on the expression's motion (onset to true apex, over all visible pixels and
over the tenth that moves most), apex found, motion retained there, and the macro-UF1 of PCA+SVM and
Regions+LR, leaving one subject out. Writes benchmarks/front_end.json.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from faces4d.cameras import cameras
from faces4d.generate import ensure_synthetic
from faces4d.motion import read_truth, scale_head, true_motion
from faces4d.rendering import true_flow
from mer_utils.baselines import recipe_of
from mer_utils.dataset import open_dataset
from mer_utils.evaluation import macro_uf1, run_grid
from mer_utils.features import FrontEnd, extract_variants, make_maps, masks_of
from mer_utils.files import write_json
from mer_utils.flow import phase_flow
from mer_utils.preprocessing import crop, crop_flow, load_crops

import numpy as np
import pandas as pd
from acceptance import Folds, measure_ceiling
from joblib import Parallel, delayed

PLAIN = FrontEnd(mask=False, backend="dis-half", reach=0, compensation="none", near=1.0)
RIGID = replace(PLAIN, compensation="rigid")
MASKED = replace(RIGID, mask=True)
FULL = replace(MASKED, backend="dis")
AVERAGED = replace(FULL, reach=1)
STEPS = {
    "plain": PLAIN,
    "+ head motion taken out": RIGID,
    "+ mask": MASKED,
    "+ flow at full size, larger patches": FULL,
    "+ key frames averaged": AVERAGED,
    "+ first frame near the peak": FrontEnd(),
    "the true apex": FrontEnd(apex="manifest"),
}
MODELS = ("PCA+SVM", "Regions+LR")


def find_truth(dataset, clip, boxes, side=128):
    """Return the expression's true flow (V, P, 2, side, side) in px of the crops from onset to true
    apex to offset, without head motion, and where onset's skin stays visible at the apex (V, side,
    side).
    """
    motion, views = read_truth(dataset, clip), cameras(dataset.info["size"])
    flows, seen = [], []
    for view, box in enumerate(boxes):
        for i, j in ((clip.onset, clip.apex), (clip.apex, clip.offset)):
            flow, visible = true_flow(scale_head(motion, 0, i), views, view, i, j)
            flows.append(crop_flow(flow, box, side))
            seen.append(crop(255 * np.uint8(visible), box, side) == 255)
    return np.reshape(flows, (len(boxes), 2, 2, side, side)), np.array(seen[::2])


def find_true_maps(dataset, clip):
    """Return the maps (V, P, 3, S, S) of a clip's true flow, true apex, inside the mask."""
    crops, boxes = load_crops(clip, dataset.views)
    return make_maps(find_truth(dataset, clip, boxes)[0], FrontEnd(), masks_of(crops))


def measure_flow(dataset, clip):
    """Return the end-point error in px of no flow and of each step's flow, (1 + steps, 2): over the
    visible pixels of both views, and over the tenth of them that moves most; and the maps (V, P, 3,
    S, S) of the true flow inside the mask.
    """
    crops, boxes = load_crops(clip, dataset.views)
    flows, visible = find_truth(dataset, clip, boxes)
    errors = []
    for frames, (truth, _), seen in zip(crops, flows, visible, strict=True):
        length = np.hypot(*truth)
        most = seen & (length >= np.quantile(length[seen], 0.9))
        keys, gaps = (clip.onset, clip.apex, clip.offset), [length]
        for options in STEPS.values():
            mask = masks_of(frames[None], options)[0]
            choices = (options.backend, options.compensation, 1, mask, options.reach)
            gaps.append(np.hypot(*(phase_flow(frames, *keys, *choices)[0] * mask - truth)))
        errors.append([(gap[seen].mean(), gap[most].mean()) for gap in gaps])
    return np.mean(errors, 0), make_maps(flows, FrontEnd(), masks_of(crops))


def measure_set(root, jobs):
    """Return {step: numbers} of one set."""
    dataset = open_dataset(root)
    clips, workers = dataset.clips, Parallel(jobs)
    motions = [read_truth(dataset, clip) for clip in clips]
    apex = np.array([clip.apex for clip in clips])
    curves = [true_motion(motion) for motion in motions]
    pairs = workers(delayed(measure_flow)(dataset, clip) for clip in clips)
    errors, maps = zip(*pairs, strict=True)
    features = extract_variants(dataset, list(STEPS.values()), jobs=jobs)
    features.append(replace(features[-1], x=np.stack(maps)))
    tasks = [(found, recipe_of(name, members=1)) for found in features for name in MODELS]
    scores = [macro_uf1(features[0].y, outcome.answers) for outcome in run_grid(tasks, jobs=jobs)]
    result = {
        name: {"flow_px": error[0], "flow_px_most": error[1]}
        for name, error in zip(["no flow at all", *STEPS], np.mean(errors, 0), strict=True)
    }
    for k, (name, found) in enumerate(zip([*STEPS, "the true flow"], features, strict=True)):
        miss = found.apex - apex
        kept = [curve[t] / curve.max() for curve, t in zip(curves, found.apex, strict=True)]
        result.setdefault(name, {}).update(
            within_2_frames=np.mean(np.abs(miss) <= 2),
            late=int((miss > 2).sum()),
            early=int((miss < -2).sum()),
            retained=np.mean(kept),
            pca_svm=scores[2 * k],
            logistic=scores[2 * k + 1],
        )
    known = measure_ceiling(Folds(features[0].y, features[0].subjects), motions)
    known = known["peak activations, logistic"]
    return result | {"the true activations at the peak": {"logistic": known}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--presets", nargs="+", default=["bench-v1", "bench-v2"])
    parser.add_argument("--sets", type=int, nargs="+", default=[1001, 1002, 1003])
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    table = {}
    for preset in args.presets:
        sets = []
        for seed in args.sets:
            root = ensure_synthetic(args.work, 24, 267, seed, args.jobs, preset)
            sets.append(measure_set(root, args.jobs))
        table[preset] = {
            step: {name: round(float(np.mean([s[step][name] for s in sets])), 4) for name in row}
            for step, row in sets[0].items()
        }
        print(preset, pd.DataFrame(table[preset]).T.round(3), sep="\n")
    record = {"sets": args.sets, "presets": table}
    write_json(Path(__file__).with_suffix(".json"), record)


if __name__ == "__main__":
    main()
