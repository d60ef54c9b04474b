"""The model that starts from networks which learnt to name action units on synthetic people."""

import mer_utils
from faces4d.generate import write_synthetic
from faces4d.head import AUS
from mer_utils import MerError, start
from mer_utils.baselines import takes_maps
from mer_utils.files import read_arrays
from mer_utils.kernels import PINNED
from mer_utils.training import flip, mean_precision

import numpy as np
import pytest
import torch
from toys import load_benchmark, make_toy

TINY = {"people": 2, "clips": 6, "epochs": 1}


@pytest.fixture(scope="module")
def benchmark():
    return load_benchmark("pretrain")


@pytest.fixture(scope="module")
def pretrained(benchmark):
    return benchmark.pretrain(benchmark.SETTINGS | TINY, 1)


def test_the_shipped_weights_are_small_and_what_the_maker_says(benchmark):
    assert start.WEIGHTS.stat().st_size <= 200_000
    arrays, about = read_arrays(start.WEIGHTS)
    assert {key: about[key] for key in benchmark.SETTINGS} == benchmark.SETTINGS
    assert about["networks"] == benchmark.SHIPPED and tuple(about["units"]) == start.UNITS
    assert all(np.isfinite(value).all() for value in arrays.values())
    assert start.UNITS == AUS[: len(start.UNITS)]


def test_a_mirrored_clip_gets_the_same_answers_and_other_maps_are_refused():
    x = make_toy(size=20).x
    answers = start.UnitsLogistic().describe(x)
    assert answers.shape == (36, 13) and answers.std(0).min() > 0
    mirrored = flip(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(start.UnitsLogistic().describe(mirrored), answers, atol=1e-4)
    for options in ({"size": 28}, {"size": 20, "views": 1}):
        x = make_toy(**options).x
        assert not takes_maps("AUs+LR", x.shape[1:]) and takes_maps("MicroAttNet", x.shape[1:])
        with pytest.raises(MerError, match="AUs"):
            start.UnitsLogistic().describe(x)


def test_a_label_that_follows_an_au_is_learnt(benchmark):
    """From 32 clips of two people, for 32 clips of two others, none of whom the networks know."""
    maps, shares = benchmark.make_clips(benchmark.SETTINGS | {"people": 4, "clips": 64, "seed": 1})
    y = shares[:, [start.UNITS.index(4), start.UNITS.index(7)]] > 0.4
    model = start.UnitsLogistic(decay=0.05).fit(maps[:32], y[:32].astype(np.uint8))
    assert mean_precision(y[32:], model.score(maps[32:])) > 0.7 > y[32:].mean(0).max() + 0.1


def test_networks_come_back_from_their_file(benchmark, pretrained, tmp_path):
    networks, scale = pretrained
    mer_utils.files.write_arrays(tmp_path / "w", *benchmark.pack_namers(networks, scale, {}))
    (network,), read = start.read_namers(tmp_path / "w")
    assert torch.equal(read, scale)
    for name, value in networks[0].state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(network.state_dict()[name], value, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(mer_utils.KERNELS != PINNED, reason=f"kernels here: {mer_utils.KERNELS}")
def test_pre_training_gives_the_same_bits_again(benchmark, pretrained):
    networks, scale = benchmark.pretrain(benchmark.SETTINGS | TINY, 1)
    assert torch.equal(scale, pretrained[1])
    for name, value in networks[0].state_dict().items():
        assert torch.equal(value, pretrained[0][0].state_dict()[name]), name


@pytest.mark.parametrize("seed", [2000, 2101, 2999])
def test_no_set_shows_people_of_the_pre_training(tmp_path, seed):
    with pytest.raises(MerError, match=f"seed {seed} .* pre-training"):
        write_synthetic(tmp_path / "set", 2, 4, seed)
    assert not (tmp_path / "set").exists()
