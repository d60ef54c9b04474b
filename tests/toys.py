"""Features small enough to learn in a second, random maps for a network, and benchmarks to call."""

import importlib.util
import sys
from contextlib import contextmanager
from pathlib import Path

from mer_utils.features import Features

import numpy as np
import torch


def make_toy(clips=36, subjects=6, views=2, phases=2, labels=3, size=12, seed=0, exclusive=False):
    """Features in which label k is a bright patch: something to be learnt at once."""
    rng = np.random.default_rng(seed)
    y = (rng.random((clips, labels)) < 0.4).astype(np.uint8)
    if exclusive:
        y = np.eye(labels, dtype=np.uint8)[rng.integers(labels, size=clips)]
    y[:labels] = np.eye(labels, dtype=np.uint8)
    x = 0.2 * rng.standard_normal((clips, views, phases, 3, size, size)).astype(np.float32)
    for k in range(labels):
        x[..., 3 * k : 3 * k + 3, 4:8] += y[:, k, None, None, None, None, None]
    return Features(
        x=x,
        y=y,
        clips=np.array([f"c{n}" for n in range(clips)]),
        subjects=np.array([f"S{n % subjects:02d}" for n in range(clips)]),
        apex=np.zeros(clips, int),
        boxes=np.zeros((clips, views, 4), int),
        labels=tuple("ABCDEFG"[:labels]),
        exclusive=exclusive,
    )


def maps(n=4, views=2, phases=2, size=28):
    return torch.randn(n, views, phases, 3, size, size, generator=torch.Generator().manual_seed(0))


def load_benchmark(name):
    """Return a script of ``benchmarks/`` as a module."""
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    if str(path.parent) not in sys.path:  # some import their neighbours
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def full_disk(size):
    """No file may grow beyond ``size`` bytes: writing fails in the middle, as on a full disk."""
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
