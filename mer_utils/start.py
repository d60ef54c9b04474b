"""A start from synthetic people: networks that learnt elsewhere name action units (AUs); "AUs+LR"
fits a logistic regression per label on their answers. Ours: the abstract mentions no start.
"""

import functools
from pathlib import Path

from mer_utils import MerError
from mer_utils.baselines import ONLY, RegionsLogistic
from mer_utils.files import read_arrays
from mer_utils.model import MicroAttNet
from mer_utils.training import flip, settle_torch

import numpy as np
import torch

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 24)  # the AUs that are named
SHAPE = ONLY["AUs+LR"]  # of the maps they are named on: V, P, 3, S, S
WEIGHTS = Path(__file__).with_name("start.safetensors")  # of benchmarks/pretrain.py


def make_namer():
    """Return an untrained network that names UNITS: maps (B, 2, 2, 3, 20, 20) -> logits (B, 13)."""
    views, phases, _, size, _ = SHAPE
    return MicroAttNet(views, phases, len(UNITS), size, dropout=0.25)


@functools.lru_cache(maxsize=8)
def read_namers(path):
    """Return the networks in a file of benchmarks/pretrain.py, frozen, and the scale (3,) of their
    maps. MerError for a file that is missing or damaged.
    """
    arrays, about = read_arrays(path)
    tensors = {name: torch.from_numpy(value).float() for name, value in arrays.items()}
    networks = []
    for k in range(about["networks"]):
        networks.append(make_namer().requires_grad_(False).eval())
        own = {name: value[k] for name, value in tensors.items()}
        # all that a file lacks is the number of batches that the normalisation has seen
        networks[-1].load_state_dict(networks[-1].state_dict() | own)
    return tuple(networks), torch.tensor(about["scale"])


def use_own_range(maps):
    """Return maps (N, V, P, 3, S, S) of u, v, magnitude, those of each view and phase divided by
    the largest magnitude in them: it matters which muscles move, not how far.
    """
    largest = maps[:, :, :, 2:].max((3, 4, 5), keepdims=True)
    return (maps / np.maximum(largest, 1e-6)).astype(np.float32)


class UnitsLogistic(RegionsLogistic):
    """Logistic regression on how much each of UNITS moves, as frozen networks see it."""

    def describe(self, x):
        """Return the logits (N, 13) of maps (N, *SHAPE), means over networks and over each clip
        and its mirror image. MerError for other maps.
        """
        if x.shape[1:] != SHAPE:
            raise MerError(f"AUs+LR knows maps {SHAPE} (V, P, 3, S, S), not {x.shape[1:]}")
        settle_torch()
        networks, scale = read_namers(WEIGHTS)
        x = torch.from_numpy(use_own_range(x)) / scale[:, None, None]
        with torch.no_grad():
            answers = [network(maps) for network in networks for maps in (x, flip(x))]
        return torch.stack(answers).mean(0).numpy()
