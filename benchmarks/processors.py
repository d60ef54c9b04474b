"""Whether every processor gives the same bits: each step of the suite here and on emulated
processors, hash by hash.

    python benchmarks/processors.py [--machines Haswell Skylake-Server EPYC]

Needs qemu-x86_64 (Debian: `apt-get install qemu-user`), an x86-64 machine and 17 minutes on two
cores. Runs each step here with the suite's kernels, here with this processor's own ("unpinned":
what the pins are for), and under qemu as each of the machines (whose AVX-512 qemu leaves out: run
it on one that has it); prints a table and writes benchmarks/processors.json. Exit code 1 if a
pinned step differs.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path

from faces4d.cameras import cameras
from faces4d.motion import read_npz, simulate
from faces4d.rendering import render_clip, true_flow
from faces4d.scenario import plan_clips
from mer_utils import KERNELS
from mer_utils.ablations import compare
from mer_utils.baselines import NATIVE
from mer_utils.dataset import Clip, encode_png
from mer_utils.evaluation import run_fold
from mer_utils.features import Features, FrontEnd, extract_clip
from mer_utils.files import sha256, write_json
from mer_utils.kernels import CHOICE, NOT_IN_OPENCV, PINS, name_processor
from mer_utils.plots import draw_lines, set_style
from mer_utils.preprocessing import crop_places
from mer_utils.study import draw_bytes
from mer_utils.training import NETWORKS, Recipe

import cv2
import numpy as np
import pandas as pd

MACHINES = ("Haswell", "Skylake-Server", "EPYC")
SIZE = 160  # px, height of a view: emulated processors are about 20 times as slow


def film():
    """Return one synthetic clip (Clip, Motion, frames (V, T, H, W)), its films cut to what the
    front end needs.
    """
    motion = simulate(plan_clips(2, 4, 5)[1])
    frames = render_clip(motion, cameras(SIZE))
    clip = Clip("c", "s", None, Path(), (), motion.onset, motion.apex, motion.offset)
    return clip, motion, frames


def film_again():
    """Return the first frames of bench-v2's first clip with something before one view, (V, 3, H,
    W): a room, furrows, a cover, blur and JPEG.
    """
    motions = (simulate(plan) for plan in plan_clips(2, 30, 5, "bench-v2"))
    motion = next(motion for motion in motions if motion.cover_seed)
    return render_clip(motion, cameras(SIZE))[:, :3]


def make_features(size=20):
    """Return Features of 36 random clips of 6 subjects in which each label is a bright patch."""
    rng = np.random.default_rng(0)
    y = (rng.random((36, 3)) < 0.4).astype(np.uint8)
    y[:3] = np.eye(3, dtype=np.uint8)
    x = 0.2 * rng.standard_normal((36, 2, 2, 3, size, size), np.float32)
    for k in range(3):
        x[..., 4 * k : 4 * k + 4, 4:8] += y[:, k, None, None, None, None, None]
    clips = np.array([f"c{n}" for n in range(36)])
    subjects = np.array([f"s{n % 6}" for n in range(36)])
    none = np.zeros(36, int), np.zeros((36, 2, 4), int)  # apexes and boxes
    return Features(x, y, clips, subjects, *none, ("A", "B", "C"))


def take_steps():
    """Return {step: array}: what each step of the suite computes on this processor."""
    clip, motion, frames = film()
    flow, visible = true_flow(motion, cameras(SIZE), 0, motion.onset, motion.apex)
    jpeg = cv2.imencode(".jpg", frames[0, 0])[1]
    made = {
        "rendering": frames,
        "rendering, bench-v2": film_again(),
        "true flow": np.stack([*flow, visible]),
        "frame as PNG": np.frombuffer(encode_png(frames[0, 0]), np.uint8),
        "frame from JPEG": cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE),
    }
    places = [(size, enlarge) for size in range(64, 161, 8) for enlarge in (1.0, 1.15)]
    crops = crop_places(clip, 2, places, frames)
    made["crops of 26 sizes"] = np.concatenate([np.ravel(found) for found, _ in crops])
    variants = {
        "DIS": {},
        "strain": {"third": "strain"},
        "Farnebäck": {"backend": "farneback"},
        "TV-L1": {"backend": "tvl1", "compensation": "none", "normalisation": "minmax"},
    }
    for name, options in variants.items():
        maps, apex, curve, boxes = extract_clip(clip, 2, FrontEnd(crop=96, **options), frames)
        values = [maps.ravel(), curve.ravel(), boxes.ravel(), [apex]]
        made[f"front end, {name}"] = np.concatenate(values)
    rows = np.arange(36)
    train, test = rows[rows % 6 > 0], rows[rows % 6 == 0]
    for network in NETWORKS:
        features = make_features(NATIVE[network]["size"])
        fold = run_fold(features, train, test, Recipe(network=network, epochs=2, members=1))
        values = [np.ravel(fold[name]) for name in sorted(fold)]
        made[f"{network}, two epochs"] = np.concatenate(values)
    # of no network: for the statistics alone
    features = make_features()
    answers = {f"shift{k}": np.roll(features.y, k, 0) for k in (6, 12)}
    found = compare(features.y, answers, "shift6", features.subjects, draws=200)
    numbers = ("macro", "low", "high", "difference", "difference_low", "difference_high")
    read = attrgetter(*numbers, "p", "p_corrected")
    made["bootstrap, permutation test"] = np.array([read(row) for row in found.values()])
    wave = np.sin(np.arange(9))
    set_style()
    figure = draw_lines(np.arange(9), {"sin": wave}, "title", "x", "y")
    made["a drawn figure"] = np.frombuffer(draw_bytes(figure), np.uint8)
    return made


def run_elsewhere(machine, folder):
    """Run the steps in a process of their own: "here", "unpinned", or emulated; return {step:
    array}.
    """
    out = folder / f"{machine}.npz"
    words = [sys.executable, str(Path(__file__).resolve()), "--steps", str(out)]
    clean = {name: value for name, value in os.environ.items() if name not in PINS | NOT_IN_OPENCV}
    if machine == "unpinned":
        clean |= {CHOICE: "native"}
    elif machine != "here":
        words = ["qemu-x86_64", "-cpu", machine, *words]
    ended = subprocess.run(words, env=clean, capture_output=True, text=True)
    if not out.is_file():
        sys.exit(f"{machine}: {ended.stderr.strip().splitlines()[-1]}")
    return read_npz(out)


def hash_steps(arrays):
    """Return {step: 16 hex digits} of what ``take_steps`` returned."""
    return {step: sha256(array.tobytes())[:16] for step, array in arrays.items()}


def describe(one, other):
    """Return "equal", or how far two arrays differ."""
    if one.shape != other.shape:
        return f"{one.size} and {other.size} values"
    if one.tobytes() == other.tobytes():
        return "equal"
    return f"differs by {np.nanmax(np.abs(one.astype(float) - other.astype(float))):.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machines", nargs="*", default=MACHINES, help="that qemu-x86_64 knows")
    what = "run the steps in this process alone and write them to FILE (npz)"
    parser.add_argument("--steps", metavar="FILE", help=what)
    parser.add_argument("--hashes", metavar="FILE", help="the same, but write their hashes (JSON)")
    args = parser.parse_args()
    if args.steps:
        return np.savez_compressed(args.steps, **take_steps())
    if args.hashes:
        return write_json(args.hashes, hash_steps(take_steps()))
    if args.machines and not shutil.which("qemu-x86_64"):
        sys.exit("qemu-x86_64 is not installed (Debian: apt-get install qemu-user)")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        names = ["here", "unpinned", *args.machines]
        here, *others = pool.map(lambda name: run_elsewhere(name, Path(folder)), names)
    table = {
        step: {n: describe(array, other[step]) for n, other in zip(names[1:], others, strict=True)}
        for step, array in here.items()
    }
    print(pd.DataFrame(table).T)
    record = {"kernels": KERNELS, "here": name_processor(), "hashes": hash_steps(here)}
    write_json(Path(__file__).with_suffix(".json"), record | {"against_here": table})
    pinned = [text for row in table.values() for name, text in row.items() if name != "unpinned"]
    return int(any(text != "equal" for text in pinned))


if __name__ == "__main__":
    sys.exit(main())
