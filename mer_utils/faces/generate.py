"""Synthetic 4D faces filmed to disk as a dataset: frames, manifest, truth."""

from pathlib import Path

from mer_utils import LABELS, MerError
from mer_utils.core.boxes import format_boxes, square_box
from mer_utils.core.files import new_folder, read_json, write_json, write_npz, write_text
from mer_utils.core.parallel import run_jobs
from mer_utils.core.png import encode_png
from mer_utils.core.provenance import code_of, key_of
from mer_utils.faces.cameras import cameras
from mer_utils.faces.motion import simulate
from mer_utils.faces.rendering import find_head, render_clip, write_obj
from mer_utils.faces.scenario import get_preset, plan_clips

import numpy as np
from filelock import FileLock


def write_synthetic(
    root,
    subjects=24,
    clips=267,
    seed=0,
    preset="bench-v1",
    size=224,
    meshes=False,
    jobs=1,
    replace=False,
):
    """Make a dataset of synthetic 4D faces in the new folder ``root``: all of it, or nothing if
    anything fails.

    ``size`` is the height of one view in px; with ``meshes`` each frame's textured OBJ is written
    too (meshes/<clip>/). The result depends on the arguments before ``jobs`` alone. Raises MerError
    if ``root`` exists and is not empty; with ``replace`` it stays until the new set is whole.
    """
    if size < 64:
        raise MerError(f"size is {size} px, but a view needs at least 64 px to show a face")
    plans = plan_clips(subjects, clips, seed, preset)
    with new_folder(root, replace) as part:
        # a worker takes all clips of one subject in turn: its face is built once
        groups = [
            [plan for plan in plans if plan.subject == name]
            for name in dict.fromkeys(p.subject for p in plans)
        ]
        rows = run_jobs(_write_clips, [(part, group, size, meshes) for group in groups], jobs)
        columns = [
            "clip",
            "subject",
            *(label.lower() for label in LABELS),
            "onset",
            "apex",
            "offset",
            "fps",
            *(["box"] if get_preset(preset).background else []),
        ]
        lines = [columns, *(row for group in rows for row in group)]
        write_text(
            part / "manifest.csv", "".join(",".join(map(str, line)) + "\n" for line in lines)
        )
        write_json(part / "dataset.json", _describe(subjects, clips, seed, preset, size))
    return Path(root)


def _describe(subjects, clips, seed, preset, size):
    return {
        "name": f"synthetic-{preset}",
        "views": 2,
        "labels": list(LABELS),
        "exclusive": False,
        "synthetic": True,
        "licence": "made by mer_utils; no person is shown; free to use",
        "preset": preset,
        "subjects": subjects,
        "clips": clips,
        "seed": seed,
        "size": size,
        "generator": generator_hash(),
    }


def generator_hash():
    """Return the hash of what makes synthetic frames: code, packages, kernels. Made by others, a
    set is made again.
    """
    return key_of(code_of("faces.generate"))


def _write_clips(root, plans, size, meshes):
    views = cameras(size)
    rows = []
    for plan in plans:
        motion = simulate(plan)
        folder = root / "clips" / plan.clip
        folder.mkdir(parents=True)
        for t, frame in enumerate(render_clip(motion, views).transpose(1, 2, 0, 3)):  # (T, H, V, W)
            (folder / f"{t:04d}.png").write_bytes(
                encode_png(frame.reshape(len(frame), -1))
            )  # root is renamed when whole
            if meshes:
                write_obj(root / "meshes" / plan.clip, motion, t)
        write_npz(root / "truth" / f"{plan.clip}.npz", **motion.arrays())
        onset, offset = motion.marked or (motion.onset, motion.offset)
        row = [plan.clip, plan.subject, *plan.labels, onset, motion.apex, offset, motion.fps]
        if motion.background:
            row.append(_detect(plan, motion, views))
        rows.append(row)
    return rows


def _detect(plan, motion, views):
    """Return the boxes that a face detector would have found on a clip's first frame, as the
    manifest's column ``box`` has them: square, inside the view, a little off.
    """
    rng = np.random.default_rng([plan.clip_seed, 41])
    error = get_preset(plan.preset).box_error
    boxes = []
    for camera in views:
        x, y, side = find_head(motion, camera)
        off = error * np.clip(rng.standard_normal(3), -2, 2)
        x, y, side = x + off[0] * side, y + off[1] * side, side * np.exp(off[2])
        boxes.append(square_box(x, y, side, camera.width, camera.height))
    return format_boxes(boxes)


def ensure_synthetic(parent, subjects, clips, seed, jobs=1, preset="bench-v1"):
    """Return the folder of a synthetic dataset under ``parent``, made now if missing or if other
    code made it.

    Who comes while another process makes it waits. A set made by other code goes when the new one
    is whole.
    """
    root = Path(parent) / f"synthetic-{preset}-{subjects}x{clips}-seed{seed}"
    if _is_ours(root):
        return root
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root.with_name(f".lock-{root.name}")).acquire()
    except OSError as error:
        raise MerError(
            root, f"cannot be written ({error.strerror}); choose a folder you may write to"
        ) from None
    with lock:
        if not _is_ours(root):
            write_synthetic(root, subjects, clips, seed, preset, jobs=jobs, replace=True)
    return root


def _is_ours(root):
    """Return whether a dataset is there and this code made it."""
    try:
        return read_json(root / "dataset.json").get("generator") == generator_hash()
    except MerError:
        return False
