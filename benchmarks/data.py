"""Data at size: import, doctor and features over up to 10,000 clips, large frames against the
decode-only limit, and what decoding them smaller does to the flow. About a quarter of an hour on
two cores: `.venv/bin/python benchmarks/data.py`; writes data.json.

Each step runs in a process of its own, whose memory (proportional set size of the whole tree) is
sampled meanwhile.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from unittest.mock import patch

from faces4d.generate import write_synthetic
from mer_tools.importing.tables import write_table
from mer_utils import preprocessing
from mer_utils.dataset import encode_png, open_dataset, read_frames, read_image
from mer_utils.features import FrontEnd, extract_arrays
from mer_utils.files import read_json, write_json
from mer_utils.jobs import run_jobs

import cv2
import numpy as np
import psutil
from front_end import measure_flow

SIZES = (1_000, 10_000)
FRAMES = 9  # a clip
MER = ("-m", "mer_tools")
JOBS = 2


def write_sequences(root, base, count):
    """Write ``count`` sequences in the challenge's layout: clips of ``base``, few frames each, each
    with noise.
    """
    rng = np.random.default_rng(0)
    rows = []
    raws = [read_frames(clip) for clip in base.clips]
    for n in range(count):
        clip, raw = base.clips[n % len(base)], raws[n % len(base)]
        picked = raw[np.linspace(clip.onset, clip.offset, FRAMES).round().astype(int)]
        folder = root / f"seq{n}"
        folder.mkdir(parents=True)
        for t, frame in enumerate(picked):
            noisy = np.clip(frame + rng.integers(-1, 2, frame.shape), 0, 255)
            (folder / f"{t}.png").write_bytes(encode_png(noisy.astype(np.uint8)))
        labels = dict(zip(base.labels, clip.labels, strict=True))
        rows.append({"Id": n, **labels, "Subject": f"{clip.subject}x{n // len(base)}"})
    write_table(root / "labels.csv", rows)


def measure(*words):
    """Return (seconds, peak MiB of the process and its children) of a Python command in a process
    of its own.
    """
    start, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(
        [sys.executable, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    tree = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        with suppress(psutil.Error):
            for one in [tree, *tree.children(recursive=True)]:
                total += one.memory_full_info().pss
        peak = max(peak, total / 2**20)
        time.sleep(0.2)
    said = process.stdout.read().decode()
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}:\n{said}")
    return round(time.perf_counter() - start, 1), round(peak)


FEATURES = """
import sys
from pathlib import Path
from mer_utils.dataset import open_dataset
from mer_utils.features import FrontEnd, extract_arrays
extract_arrays(open_dataset(sys.argv[1]), [FrontEnd(crop=64)], Path(sys.argv[2]), int(sys.argv[3]))
"""


def measure_sizes(folder):
    """Return the seconds and MiB of each step for so many clips."""
    base = open_dataset(write_synthetic(folder / "base", 24, 96, seed=7, size=64, jobs=JOBS))
    clips = {}
    for size in SIZES:
        source, data, cache = (folder / f"{what}{size}" for what in ("source", "data", "cache"))
        write_sequences(source, base, size)
        labels = ("--labels", source / "labels.csv")
        steps = {
            "import": (*MER, "import", "4dme-challenge", source, data, *labels),
            "doctor": (*MER, "doctor", data, "--jobs", JOBS),
            "features": ("-c", FEATURES, data, cache, JOBS),
        }
        clips[str(size)] = row = {}
        for name, step in steps.items():
            seconds, peak = measure(*step)
            row[name] = {"seconds": seconds, "peak_mib": peak}
        print(size, "clips:", row, flush=True)
    return {"clips": clips, "frames_a_clip": FRAMES, "jobs": JOBS}


def enlarge_frames(base, root, kind, frames):
    """Write clips of ``base`` with ``frames`` frames of 2400 x 1600 px each, with camera noise, as
    PNG or JPEG.
    """
    rng, rows = np.random.default_rng(1), []
    for clip in base.clips:
        raw = read_frames(clip)
        folder = root / "clips" / clip.name
        folder.mkdir(parents=True)
        for t, k in enumerate(np.linspace(clip.onset, clip.offset, frames).round().astype(int)):
            large = cv2.resize(raw[k], (2400, 1600), interpolation=cv2.INTER_CUBIC)
            noisy = large + rng.integers(-2, 3, large.shape, np.int16)
            cv2.imwrite(str(folder / f"{t}{kind}"), np.clip(noisy, 0, 255).astype(np.uint8))
        rows.append({"clip": clip.name, "subject": clip.subject, "moved": 1})
    write_table(root / "manifest.csv", rows)
    keys = {"name": "large", "views": 2, "labels": ["Moved"]}
    write_json(root / "dataset.json", keys | {"exclusive": False, "synthetic": False})
    return open_dataset(root)


def decode_clip(clip):
    for path in clip.frames:
        read_image(path)


def measure_large(folder, clips=24, frames=15):
    """Return clips a second for frames of 2400 x 1600 px: decoding alone (whole frames), and the
    front end, each with 1 and 2 jobs; and the peak MiB of the front end in a process of its own,
    for clips of so many frames and of four times as many.
    """
    base, result = open_dataset(write_synthetic(folder / "large", 4, clips, seed=8, jobs=JOBS)), {}
    for kind in (".png", ".jpg"):
        dataset = enlarge_frames(base, folder / f"large{kind}", kind, frames)
        work = [(clip,) for clip in dataset.clips]
        steps = {
            "decoding alone": partial(run_jobs, decode_clip, work),
            "decoding alone, 2 jobs": partial(run_jobs, decode_clip, work, 2),
            "front end": partial(extract_arrays, dataset, [FrontEnd()]),
            "front end, 2 jobs": partial(extract_arrays, dataset, [FrontEnd()], jobs=2),
        }
        times = {name: [] for name in steps}
        for _ in range(3):  # side by side, in turn
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - start)
        rates = {name: round(clips / median(values), 2) for name, values in times.items()}
        size = list(read_image(dataset.clips[0].frames[0]).shape[::-1])
        result[kind[1:]] = {"frame_px": size, "frames_a_clip": frames, "clips_per_second": rates}
        few = replace(base, clips=base.clips[:4])
        long = enlarge_frames(few, folder / f"long{kind}", kind, 4 * frames)
        peaks = [
            measure("-c", FEATURES, one.root, folder / f"cache{one.root.name}", 1)[1]
            for one in (dataset, long)
        ]
        result[kind[1:]]["peak_mib"] = dict(zip((frames, 4 * frames), peaks, strict=True))
        print(kind, result[kind[1:]], flush=True)
    return result


def measure_shrunk(folder, clips=12):
    """Return the error in px of the crop of the flow of JPEG clips whose views have 1200 px, read
    whole and made smaller while they are decoded, and of no flow at all.
    """
    root = write_synthetic(folder / "sharp", 4, clips, seed=9, size=1200, jobs=JOBS)
    dataset = open_dataset(root)
    for path in (path for clip in dataset.clips for path in clip.frames):
        cv2.imwrite(str(path.with_suffix(".jpg")), read_image(path), [cv2.IMWRITE_JPEG_QUALITY, 92])
        path.unlink()
    dataset, errors = open_dataset(dataset.root), {}
    for name, steps in (("made smaller", preprocessing.STEPS), ("whole", ())):
        with patch.object(preprocessing, "STEPS", steps):
            rows = [measure_flow(dataset, clip)[0][:, 0] for clip in dataset.clips]
        errors[name], errors["no flow"] = (round(float(np.mean(rows, 0)[k]), 4) for k in (-1, 0))
    print(errors, flush=True)
    return {"clips": clips, "error_px": errors}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = {"shrunk": measure_shrunk, "large": measure_large, "sizes": measure_sizes}
    parser.add_argument("--only", choices=parts, help="measure this, keep the rest")
    args, path = parser.parse_args(), Path(__file__).with_suffix(".json")
    result = read_json(path) if args.only else {}
    with tempfile.TemporaryDirectory() as name:
        for part in [args.only] if args.only else parts:
            result[part] = parts[part](Path(name))
    write_json(path, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
