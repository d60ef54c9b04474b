"""Synthetic 4D faces filmed to disk as a dataset: frames, manifest, truth."""

from itertools import groupby
from pathlib import Path

from faces4d.cameras import cameras
from faces4d.motion import simulate
from faces4d.rendering import find_head, render_clip, true_flow
from faces4d.scenario import get_preset, plan_clips
from mer_utils import LABELS, MerError
from mer_utils.cache import describe_process, find_behaviour, name_result
from mer_utils.dataset import encode_png
from mer_utils.features import FrontEnd, probe_front_end
from mer_utils.files import new_folder, write_json, write_text
from mer_utils.jobs import run_jobs
from mer_utils.preprocessing import format_boxes, square_box

import numpy as np
from filelock import FileLock

PRETRAINING = range(2000, 3000)  # seeds of people whom the networks of mer_utils/start.py learnt on


def write_synthetic(
    root, subjects=24, clips=267, seed=0, preset="bench-v1", size=224, jobs=1, replace=False
):
    """Make a dataset of synthetic 4D faces in the new folder ``root``: all of it or, where anything
    fails, nothing. ``size`` is the height of one view in px. The result depends on the arguments
    before ``jobs`` alone.

    Raises MerError for seeds in PRETRAINING, and if ``root`` exists and is not empty; with
    ``replace`` the old set stays until the new one is whole.
    """
    if seed in PRETRAINING:
        what = f"seed {seed} makes people whom pre-training knows"
        raise MerError(f"{what}; choose one outside {PRETRAINING.start} to {PRETRAINING.stop - 1}")
    plans = plan_clips(subjects, clips, seed, preset)
    with new_folder(root, replace) as part:
        (part / "truth").mkdir()
        # a worker takes all clips of one subject in turn: its face is built once
        groups = [list(group) for _, group in groupby(plans, lambda plan: plan.subject)]
        rows = run_jobs(_write_clips, [(part, group, size) for group in groups], jobs)
        columns = ["clip", "subject", *map(str.lower, LABELS), "onset", "apex", "offset", "fps"]
        columns += ["box"] if get_preset(preset).background else []
        lines = [columns, *(row for group in rows for row in group)]
        table = "".join(",".join(map(str, line)) + "\n" for line in lines)
        write_text(part / "manifest.csv", table)
        about = {"name": f"synthetic-{preset}", "views": 2, "labels": list(LABELS)}
        about |= {"exclusive": False, "synthetic": True}
        about |= {"licence": "made by mer_utils; no person is shown; free to use"}
        recipe = {"preset": preset, "subjects": subjects, "clips": clips, "seed": seed}
        write_json(part / "dataset.json", about | recipe | {"size": size})
    return Path(root)


def probe_generator(preset):
    """Return by name what a preset makes of two clips, if possible one with a covered view.

    This is the probe of generated sets: true motion, a few small frames, true flow.
    """
    motions = [simulate(plan) for plan in plan_clips(3, 30, 5, preset)]
    covered = next((motion for motion in motions if motion.cover_seed), motions[0])
    views, arrays = cameras(96), {}
    for number, motion in enumerate((motions[1], covered)):
        arrays |= {f"{number} {name}": value for name, value in motion.arrays().items()}
        arrays[f"{number} frames"] = render_clip(motion, views)[:, ::6]
        flow, visible = true_flow(motion, views, 0, motion.onset, motion.apex)
        arrays |= {f"{number} flow": flow, f"{number} visible": visible}
    return arrays


def _write_clips(root, plans, size):
    """Write frames and truth of some clips; return their rows of the manifest."""
    views, rows = cameras(size), []
    for plan in plans:
        motion = simulate(plan)
        folder = root / "clips" / plan.clip
        folder.mkdir(parents=True)
        for t, frame in enumerate(render_clip(motion, views).transpose(1, 2, 0, 3)):  # (T, H, V, W)
            picture = encode_png(frame.reshape(len(frame), -1))
            (folder / f"{t:04d}.png").write_bytes(picture)  # root is renamed when whole
        np.savez_compressed(root / "truth" / f"{plan.clip}.npz", **motion.arrays())
        onset, offset = motion.marked or (motion.onset, motion.offset)
        row = [plan.clip, plan.subject, *plan.labels, onset, motion.apex, offset, motion.fps]
        rows.append(row + ([_detect(plan, motion, views)] if motion.background else []))
    return rows


def _detect(plan, motion, views):
    """Return a clip's entry in the column ``box``: squares a little off the face on frame 0."""
    rng = np.random.default_rng([plan.clip_seed, 41])
    error = get_preset(plan.preset).box_error
    boxes = []
    for camera in views:
        x, y, side = find_head(motion, camera)
        off = error * np.clip(rng.standard_normal(3), -2, 2)
        x, y, side = x + off[0] * side, y + off[1] * side, side * np.exp(off[2])
        boxes.append(square_box(x, y, side, camera.width, camera.height))
    return format_boxes(boxes)


def ensure_synthetic(parent, subjects, clips, seed, jobs=1, preset="bench-v1", cache=None):
    """Return the folder of a synthetic dataset under ``parent``, made now if it is missing or if
    the generator behaves otherwise by now. ``cache`` keeps the generator's behaviour.

    Another process that asks for the same set waits; an old set stays until the new one is whole.
    """
    root = Path(parent) / f"synthetic-{preset}-{subjects}x{clips}-seed{seed}"
    maker = name_result("faces", probe_generator, preset, cache=cache)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root.with_name(f".lock-{root.name}")).acquire()
    except OSError as error:
        what = f"cannot be written ({error.strerror}); choose a folder you may write to"
        raise MerError(root, what) from None
    with lock:
        mark = root / ".made-by"  # no part of the data: equal frames are an equal set
        if not mark.is_file() or mark.read_text(encoding="utf-8") != maker:
            write_synthetic(root, subjects, clips, seed, preset, jobs=jobs, replace=True)
            write_text(mark, maker)
    return root


def describe_makers(cache=None):
    """Return what made a benchmark's numbers, as JSON values: default behaviour of generator, front
    end and fold, packages, kernels.
    """
    from mer_utils.evaluation import Recipe, probe_fold  # torch: whoever films needs none

    behaviour = {
        "faces": find_behaviour(probe_generator, "bench-v2", cache=cache),
        "features": find_behaviour(probe_front_end, FrontEnd(), None, cache=cache),
        "folds": find_behaviour(probe_fold, Recipe(), False, cache=cache),
    }
    return {"behaviour": behaviour, **describe_process()}
