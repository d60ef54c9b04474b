"""What each step of the front end brings, measured on development sets against the truth.

    python benchmarks/front_end.py WORK [--presets bench-v1 bench-v2] [--sets 1001 1002]

Makes the sets in the folder WORK where they are missing. From the plain recipe (no mask, flow at
half the size, key frames as they are, head motion by a similarity, the apex where the curve is
largest) one step after the other is added; each row: error of the flow after compensation on the
expression's motion (onset to true apex, all visible pixels, beside that of no flow at all), apex
found, motion retained there, and the macro-UF1 of PCA+SVM, leaving one subject out. Writes
benchmarks/front_end.json. About 15 minutes on two cores.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from faces4d.cameras import cameras
from faces4d.generate import ensure_synthetic
from faces4d.motion import read_truth, scale_head, true_motion
from faces4d.rendering import true_flow
from mer_utils.dataset import open_dataset
from mer_utils.evaluation import macro_uf1, run_grid
from mer_utils.features import FrontEnd, extract_variants, masks_of
from mer_utils.files import write_json
from mer_utils.flow import phase_flow
from mer_utils.preprocessing import crop, crop_flow, load_crops
from mer_utils.training import Recipe

import numpy as np
from joblib import Parallel, delayed

PLAIN = FrontEnd(mask=False, backend="dis-half", reach=0, compensation="similarity", near=1.0)
MASKED = replace(PLAIN, mask=True)
FULL = replace(MASKED, backend="dis")
AVERAGED = replace(FULL, reach=1)
STEPS = {
    "plain": PLAIN,
    "+ mask": MASKED,
    "+ flow at full size, larger patches": FULL,
    "+ key frames averaged": AVERAGED,
    "+ a rigid head": replace(AVERAGED, compensation="rigid"),
    "+ first frame near the peak": FrontEnd(),
    "the true apex": FrontEnd(apex="manifest"),
}
PAIRS = 48  # clips whose flow is held against the truth


def measure_flow(dataset, clip):
    """Return the end-point error in px of each step's flow, and of no flow, over the visible pixels
    of both views.
    """
    motion = read_truth(dataset, clip)
    still, rows = scale_head(motion, 0, clip.onset), []
    crops, boxes = load_crops(clip, dataset.views)
    for view, frames in enumerate(crops):
        truth, visible = true_flow(
            still, cameras(dataset.info["size"]), view, clip.onset, clip.apex
        )
        truth = crop_flow(truth, boxes[view], frames.shape[-1])
        seen = crop(255 * np.uint8(visible), boxes[view], frames.shape[-1]) == 255
        row = [np.hypot(*truth)[seen].mean()]
        for options in STEPS.values():
            mask = masks_of(crops, options)[view]
            keys = (clip.onset, clip.apex, clip.offset)
            given = (options.backend, options.compensation, 1, mask, options.reach)
            flow = phase_flow(frames, *keys, *given)[0] * mask
            row.append(np.hypot(*(flow - truth))[seen].mean())
        rows.append(row)
    return np.mean(rows, 0)


def measure_set(root, jobs):
    """Return {step: numbers} of one set."""
    dataset = open_dataset(root)
    apex = np.array([clip.apex for clip in dataset.clips])
    length = np.array([clip.offset - clip.onset for clip in dataset.clips])
    curves = [true_motion(read_truth(dataset, clip)) for clip in dataset.clips]
    places = np.linspace(0, len(dataset) - 1, min(PAIRS, len(dataset))).round().astype(int)
    work = (delayed(measure_flow)(dataset, dataset.clips[k]) for k in places)
    error = np.mean(Parallel(jobs)(work), 0)
    features = extract_variants(dataset, list(STEPS.values()), jobs=jobs)
    svm = Recipe(network="PCA+SVM", members=1)
    outcomes = run_grid([(found, svm) for found in features], jobs=jobs)
    result = {}
    for k, (name, found) in enumerate(zip(STEPS, features, strict=True)):
        miss = found.apex - apex
        kept = [curve[t] / curve.max() for curve, t in zip(curves, found.apex, strict=True)]
        result[name] = {
            "flow_px": error[k + 1],
            "no_flow_px": error[0],
            "within_2_frames": np.mean(np.abs(miss) <= 2),
            "late": int((miss > 2).sum()),
            "early": int((miss < -2).sum()),
            "share_of_length": np.mean(np.abs(miss) / length),
            "retained": np.mean(kept),
            "pca_svm": macro_uf1(found.y, outcomes[k].answers),
        }
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--presets", nargs="+", default=["bench-v1", "bench-v2"])
    parser.add_argument("--sets", type=int, nargs="+", default=[1001, 1002])
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
        print(f"{preset}, mean of the sets {args.sets}")
        for step, row in table[preset].items():
            print(f"  {step:36}", " ".join(f"{name} {value:<7g}" for name, value in row.items()))
    record = {"sets": args.sets, "pairs": PAIRS, "presets": table}
    write_json(Path(__file__).with_suffix(".json"), record)


if __name__ == "__main__":
    main()
