"""Teach networks to name the action units (AUs) of synthetic people: the weights of "AUs+LR".

    python benchmarks/pretrain.py [--score SEED ...]

Plans 1,500 clips of 100 people and films none: flow is nearly linear in the activations, so the
true flow of every AU is drawn once for eight clips and summed. Noise stands in for the errors of
flow that is found, and maps are seen in their own range. Trains five MicroAttNets; the first four,
which fit the file, are shipped as mer_utils/start.safetensors, with the same bytes wherever the
pinned kernels run. All this is ours.
With --score it also scores each network, and the four together, on development sets, and writes
benchmarks/pretrain.json. About ten minutes on one core.
"""

import argparse
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from faces4d.cameras import FAR, cameras, rasterise
from faces4d.generate import ensure_synthetic, probe_generator
from faces4d.head import AUS, deform
from faces4d.motion import simulate
from faces4d.rendering import PIVOT, face_of
from faces4d.scenario import PRESETS, plan_clips
from mer_utils import start
from mer_utils.baselines import recipe_of
from mer_utils.cache import find_behaviour
from mer_utils.dataset import open_dataset
from mer_utils.evaluation import run_grid
from mer_utils.features import FrontEnd, extract
from mer_utils.files import write_arrays, write_json
from mer_utils.flow import compensate, magnitude
from mer_utils.preprocessing import OVAL, crop_flow, frame_head, square_box
from mer_utils.study import find_root
from mer_utils.training import fit_scale, flip, settle_torch, split_parameters

import cv2
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

SETTINGS = {
    "seed": 2101,  # of the generator: 2000 to 2999 are kept for this, see write_synthetic
    "people": 100,
    "clips": 1500,
    "variation": [0.06, 0.3, 30.0],  # of people's AU fields; bench-v2 has (0.04, 0.2, 20)
    "yaw": [15.0, 35.0],  # degrees; every data set has 25
    "random": 0.5,  # share of clips with one to three AUs of any kind, not 4DME's sets
    # log px of a crop of 128 px, mean and sd over views of clips, and px of a map of 20 px: how
    # large the errors of found flow are, and how smooth, measured on 20 filmed clips
    "noise": [-2.4, 0.67],
    "smooth": 0.9,
    "epochs": 30,
    "rate": 5e-3,
    "decay": 0.05,
    "batch": 64,
}
NETWORKS, SHIPPED = 5, 4  # trained to see how they differ; those that 200 KB hold
SIDE, CROP = 40, 128  # px: of the crops drawn here, and of those whose px the maps count


def draw_flows(motion, views, rng):
    """Return the true flow (V, A * 2, 2, SIDE, SIDE) of activation 1 of each AU on each side, and
    masks of the face (V, SIDE, SIDE), of a person seen by some cameras in a box that is a bit off.
    """
    face, turn = face_of(motion), cv2.Rodrigues(motion.rotation[0].astype(float))[0]
    neutral = deform(face, np.zeros_like(motion.weights[0])) - PIVOT
    neutral = (neutral @ turn.T + PIVOT + motion.translation[0]).astype(np.float32)
    fields = face.fields.reshape(-1, *face.fields.shape[2:]) @ turn.T  # (A * 2, M, 3)
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    oval = ((x - OVAL[0]) / OVAL[2]) ** 2 + ((y - OVAL[1]) / OVAL[3]) ** 2 <= 1
    flows, masks = [], []
    for camera in views:
        before = camera.project(neutral)
        moved = [camera.project(neutral + 0.05 * field) - before for field in fields]
        values = np.concatenate(moved, 1) / 0.05  # (M, A * 2 * 2)
        low, high = values.min(), values.max()
        values = np.pad((values - low) / (high - low), ((0, 0), (0, -values.shape[1] % 3)))
        planes = []
        for three in np.split(values, values.shape[1] // 3, 1):  # the rasteriser takes three
            drawn, depth = rasterise(camera, neutral, face.triangles, three)
            planes.append(drawn * (high - low) + low)
        there = depth < FAR
        planes = np.dstack(planes)[..., : 2 * len(fields)] * there[..., None]
        planes = planes.transpose(2, 0, 1).reshape(-1, 2, *there.shape).astype(np.float32)
        column, row, side = frame_head(there)
        off = 0.03 * np.clip(rng.standard_normal(3), -2, 2)
        place = column + off[0] * side, row + off[1] * side, side * np.exp(off[2])
        x0, y0, x1, y1 = box = square_box(*place, camera.width, camera.height)
        flows.append([crop_flow(plane, box, SIDE) * CROP / SIDE for plane in planes])
        skin = there[y0:y1, x0:x1].astype(np.float32)
        masks.append(oval & (cv2.resize(skin, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 0.5))
    return np.array(flows, np.float32), np.array(masks)


def make_clips(settings):
    """Return maps (N, 2, 2, 3, 20, 20) of true flow, head motion out, and the AUs' rises from onset
    to apex as shares of the clip's largest (N, 13).
    """
    wide = replace(PRESETS["bench-v2"], variation=tuple(settings["variation"]))
    PRESETS["pretraining"] = wide
    plans = plan_clips(settings["people"], settings["clips"], settings["seed"], "pretraining")
    maps, shares = [], []
    for _, group in groupby(plans, lambda plan: plan.subject):
        for number, plan in enumerate(group):
            rng = np.random.default_rng([plan.clip_seed, 99])
            if rng.random() < settings["random"]:
                aus = rng.choice(AUS[:-1], rng.choice(3, p=[0.4, 0.4, 0.2]) + 1, replace=False)
                plan = replace(plan, aus=tuple(sorted(aus.tolist())), coded=None)
            motion = simulate(plan)
            if number % 8 == 0:  # another pose, other cameras, another box
                flows, masks = draw_flows(motion, cameras(112, rng.uniform(*settings["yaw"])), rng)
            onset, offset = motion.marked or (motion.onset, motion.offset)
            apex = int(np.clip(motion.apex + rng.integers(-1, 2), onset + 1, offset - 1))
            rises = np.diff(motion.weights[[onset, apex, offset]], axis=0)  # (2, A, 2)
            sums = np.einsum("pa,vacij->vpcij", rises.reshape(2, -1), flows)
            flow = np.empty_like(sums)
            for where in np.ndindex(2, 2):
                flow[where] = compensate(sums[where], "rigid", masks[where[0]])
            full = np.concatenate([flow, magnitude(flow)[:, :, None]], 2) * masks[:, None, None]
            maps.append(full.reshape(2, 2, 3, 20, SIDE // 20, 20, SIDE // 20).mean((4, 6)))
            rise = np.maximum(rises[0, : len(start.UNITS)].mean(1), 0)
            shares.append(rise / max(rise.max(), 1e-6))
    return np.array(maps, np.float32), np.array(shares, np.float32)


def add_noise(maps, rng, settings):
    """Return maps (B, V, P, 3, 20, 20) with smooth noise on u and v where there is a face, which is
    stronger in some views than in others.
    """
    noise = rng.standard_normal((*maps.shape[:3], 2, 20, 20))
    noise = gaussian_filter(noise, settings["smooth"], axes=(4, 5))
    level, spread = settings["noise"]
    strength = np.exp(level + spread * rng.standard_normal((*maps.shape[:2], 1, 1, 1, 1)))
    flow = maps[:, :, :, :2] + strength / noise.std() * noise * (maps[:, :, :, 2:] != 0)
    full = np.concatenate([flow, np.hypot(flow[:, :, :, :1], flow[:, :, :, 1:])], 3)
    return full.astype(np.float32)


def spoil_maps(maps, rng, settings):
    """Return maps (B, V, P, 3, 20, 20) with noise, as the namers see them."""
    return start.use_own_range(add_noise(maps, rng, settings))


def train(maps, shares, seed, settings, scale, spoil=spoil_maps):
    """Return a network that names AUs; half of its samples are mirrored, and ``spoil`` makes all of
    them noisy.
    """
    torch.manual_seed(seed)
    rng, network = np.random.default_rng(seed), start.make_namer()
    decayed, free = split_parameters(network)
    groups = [{"params": decayed}, {"params": free, "weight_decay": 0.0}]
    rate, decay = settings["rate"], settings["decay"]
    optimiser = torch.optim.AdamW(groups, rate, weight_decay=decay, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings["epochs"])
    size = min(settings["batch"], len(maps))
    for _ in range(settings["epochs"]):
        order = rng.permutation(len(maps))[: len(maps) // size * size]
        for rows in order.reshape(-1, size):
            x = torch.from_numpy(spoil(maps[rows], rng, settings)) / scale[:, None, None]
            mirrored = torch.from_numpy(rng.random(size) < 0.5)[:, None, None, None, None, None]
            logits = network(torch.where(mirrored, flip(x), x))
            targets = torch.from_numpy(shares[rows])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        cosine.step()
    return network


def pretrain(settings, networks):
    """Return the trained networks and the scale (3,) of their maps, that of noisy ones."""
    settle_torch()
    maps, shares = make_clips(settings)
    noisy = spoil_maps(maps, np.random.default_rng(settings["seed"]), settings)
    scale = torch.from_numpy(fit_scale(noisy))
    return [train(maps, shares, seed, settings, scale) for seed in range(networks)], scale


def pack_namers(networks, scale, about):
    """Return (arrays, about) to be written for ``read_namers``: each tensor of the networks stacked
    as float16, the ``scale`` (3,), and what else is to be told of them.
    """
    states = [network.state_dict() for network in networks]
    arrays = {
        name: np.stack([state[name].numpy() for state in states]).astype(np.float16)
        for name in states[0]
        if not name.endswith("num_batches_tracked")
    }
    numbers = [float(value) for value in scale]
    return arrays, {"networks": len(networks), "units": start.UNITS, "scale": numbers, **about}


def score(networks, scale, seeds, folder):
    """Return {name: {set: macro-UF1 of three seeds}} on development sets: AUs+LR on each network
    and on those shipped together, and MicroAttNet that starts from nothing.
    """
    from replicates import BASE, FOLDS, GRID  # beside this script

    choices = {f"pre-training {k}": [network] for k, network in enumerate(networks)}
    choices["as shipped"] = networks[:SHIPPED]
    _, improved = GRID["improved recipe"]
    own = {"MicroAttNet": BASE, "improved recipe": replace(BASE, **improved)}
    found = {name: {} for name in (*own, *choices)}
    for number in seeds:
        root = ensure_synthetic(folder, 24, 267, number, preset="bench-v2")
        features = extract(open_dataset(root), FrontEnd(), folder / "cache")

        def measure(recipe, cache=None, features=features):
            tasks = [(features, replace(recipe, seed=seed)) for seed in range(3)]
            runs = run_grid(tasks, cache, folds=FOLDS)
            return [round(run.uf1(features.y)["macro"], 4) for run in runs]

        for name, recipe in own.items():
            found[name][number] = measure(recipe, folder / "cache")
        for name, chosen in choices.items():
            start.WEIGHTS = folder / f"{name}.safetensors"
            write_arrays(start.WEIGHTS, *pack_namers(chosen, scale, {}))
            found[name][number] = measure(recipe_of("AUs+LR", members=1))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--score", type=int, nargs="*", default=[], metavar="SEED")
    args = parser.parse_args()
    about = SETTINGS | {"generator": find_behaviour(probe_generator, "bench-v2")}
    networks, scale = pretrain(SETTINGS, NETWORKS if args.score else SHIPPED)
    write_arrays(start.WEIGHTS, *pack_namers(networks[:SHIPPED], scale, about))
    if args.score:
        folder = find_root(Path(__file__).parent) / "artifacts" / "tuning"
        found = score(networks, scale, args.score, folder)
        write_json(Path(__file__).with_suffix(".json"), about | {"macro": found})


if __name__ == "__main__":
    main()
