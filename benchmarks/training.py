"""What training costs, side by side in one run: each number is the median of rounds in which all
candidates take turns.

    python benchmarks/training.py WORK [--rounds 7]

Makes a development set in the folder WORK, prints a table and writes benchmarks/training.json.
About six minutes on two cores, which should have nothing else to do.
"""

import argparse
import platform
import time
from dataclasses import replace
from pathlib import Path

from faces4d.generate import ensure_synthetic
from mer_utils.dataset import open_dataset
from mer_utils.evaluation import leave_one_subject_out, run_fold, run_loso
from mer_utils.features import FrontEnd, extract
from mer_utils.files import write_json
from mer_utils.training import NetworkMember, Recipe, build_network, fit_scale, flip, focal_loss

import joblib
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 6
FIXED = Recipe(epochs=EPOCHS, stop="last")


def fit_ours(x, y):
    """Train as the suite does; return sample passes (training and stopping)."""
    member = NetworkMember(FIXED, x.shape[1:], y.shape[1], 0, fit_scale(x))
    member.fit(x, y, x[:80], y[:80])
    return EPOCHS * (len(x) // FIXED.batch * FIXED.batch + 80)


def fit_plain(x, y):
    """Train the same network as a tutorial would: Dataset, DataLoader, one group of parameters."""
    network = build_network(FIXED, x.shape[1:], y.shape[1], 0)
    scaled = torch.from_numpy(x / fit_scale(x)[:, None, None])
    truth = torch.from_numpy(y.astype(np.float32))
    alpha = 1 - truth.mean(0)
    train = DataLoader(TensorDataset(scaled, truth), FIXED.batch, shuffle=True, drop_last=True)
    stop = DataLoader(TensorDataset(scaled[:80], truth[:80]), FIXED.batch)
    optimiser = torch.optim.AdamW(network.parameters(), FIXED.rate, weight_decay=FIXED.decay)
    for _ in range(EPOCHS):
        network.train()
        for batch, target in train:
            coin = torch.rand(len(batch)) < 0.5
            batch = torch.where(coin[:, None, None, None, None, None], flip(batch), batch)
            loss = focal_loss(network(batch), target, FIXED.gamma, alpha)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        network.eval()
        with torch.no_grad():
            for batch, target in stop:
                float(focal_loss(network(batch), target, FIXED.gamma, alpha))
    return EPOCHS * (len(x) // FIXED.batch * FIXED.batch + 80)


def clock(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def compare_loops(features, rounds):
    """Return sample passes a second of each way to train one network on one fold's data."""
    rows = leave_one_subject_out(features.subjects)[str(features.subjects[0])][0][:170]
    x, y = features.x[rows], features.y[rows]
    ways = {
        "the suite's loop": lambda: fit_ours(x, y),
        "plain loop with DataLoader": lambda: fit_plain(x, y),
    }
    speeds = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            seconds, passes = clock(way)
            if number:  # the first round warms up
                speeds[name].append(passes / seconds)
    return {name: round(float(np.median(values))) for name, values in speeds.items()}


def compare_workers(features):
    """Return seconds of a whole LOSO run, one network per fold, with one and with two workers, once
    they are running.
    """
    seconds = {1: [], 2: []}
    for number in range(4):
        for jobs in seconds:
            start = time.perf_counter()
            run_loso(features, Recipe(members=1), jobs=jobs)
            if number:
                seconds[jobs].append(time.perf_counter() - start)
    return {str(jobs): round(float(np.median(values)), 2) for jobs, values in seconds.items()}


def measure_growth(features, rounds):
    """Return seconds of one fold with 267 clips and with ten times as many (noise added: no clip
    stands twice).
    """
    rng = np.random.default_rng(0)
    shape = features.x.shape
    noise = [0.01 * rng.standard_normal(shape).astype(np.float32) for _ in range(10)]
    x = np.concatenate([features.x + part for part in noise])
    many = replace(
        features,
        x=x,
        y=np.tile(features.y, (10, 1)),
        clips=np.array([f"c{n}" for n in range(len(x))]),
        subjects=np.tile(features.subjects, 10),
    )
    seconds = {267: [], 2670: []}
    for number in range(max(3, rounds // 2) + 1):
        for count, data in ((267, features), (2670, many)):
            fold = leave_one_subject_out(data.subjects)[str(data.subjects[0])]
            start = time.perf_counter()
            run_fold(data, *fold, replace(FIXED, members=1))
            if number:
                seconds[count].append(time.perf_counter() - start)
    return {str(count): round(float(np.median(values)), 3) for count, values in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    data = open_dataset(ensure_synthetic(args.work, 24, 267, 1001, jobs=2))
    features = extract(data, FrontEnd(), args.work, jobs=2)
    loops = compare_loops(features, args.rounds)
    plain = loops["plain loop with DataLoader"]
    for name, speed in loops.items():
        print(f"{name:32} {speed:7,} sample passes/s   {speed / plain:.2f} x plain", flush=True)
    workers = compare_workers(features)
    one, two = workers.values()
    print(f"LOSO: 1 worker {one:.1f} s, 2 workers {two:.1f} s: {one / two:.2f} x", flush=True)
    growth = measure_growth(features, args.rounds)
    few, many = growth.values()
    print(
        f"one fold: {few:.2f} s with 267 clips, {many:.2f} s with 2,670: {many / few:.1f} x",
        flush=True,
    )
    seconds, outcome = clock(lambda: run_loso(features, Recipe(), jobs=2))
    score = outcome.uf1(features.y)["macro"]
    print(
        f"default recipe, 72 networks: macro-UF1 {score:.3f} (development set) after "
        f"{seconds:.0f} s, 2 workers"
    )
    machine = {"processor": platform.machine(), "cores": joblib.cpu_count()}
    record = {
        "machine": machine | {"torch": torch.__version__},
        "sample_passes_per_second": loops,
        "loso_seconds_by_workers": workers,
        "fold_seconds_by_clips": growth,
        "default_loso": {"seconds": round(seconds, 1), "macro_uf1": round(score, 3), "workers": 2},
    }
    write_json(Path(__file__).with_suffix(".json"), record)


if __name__ == "__main__":
    main()
