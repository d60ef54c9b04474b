"""The peers and plain models, and the benchmark that tunes them."""

import json
from pathlib import Path

from mer_utils import MerError
from mer_utils.baselines import (
    NATIVE,
    PEERS,
    PLAIN,
    TUNED,
    OffApexNet,
    RegionsLogistic,
    SSSNet,
    STSTNet,
    recipe_of,
    takes_maps,
)
from mer_utils.evaluation import run_loso
from mer_utils.model import count_parameters
from mer_utils.training import PlainMember, Recipe, build_network, flip

import numpy as np
import pytest
import torch
from toys import make_toy, maps

ROOT = Path(__file__).parents[1]


def build(name, views=2, phases=2, size=28, labels=5):
    return build_network(Recipe(network=name), (views, phases, 3, size, size), labels, 1).eval()


def test_peers_have_the_parameters_of_their_layer_tables():
    assert count_parameters(STSTNet(1, 1, 3, 28)) == 1683  # Liong et al. 2019
    stream = (5 * 5 * 1 * 6 + 6) + (5 * 5 * 6 * 16 + 16)
    head = (2 * 16 * 7 * 7 * 1024 + 1024) + (1024 * 1024 + 1024) + (1024 * 3 + 3)
    assert count_parameters(OffApexNet(1, 1, 3, 28)) == 2 * stream + head == 2_664_475
    layers = (5 * 5 * 3 * 32 + 32) + 2 * 32 + (3 * 3 * 32 * 64 + 64) + 2 * 64
    assert count_parameters(SSSNet(1, 1, 3, 64)) == layers + (5184 * 256 + 256) + (256 * 3 + 3)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("shape", [(2, 2, 22, 5), (1, 1, 28, 3)])
def test_peers_take_any_views_phases_sizes_and_labels(name, shape):
    network, x = build(name, *shape), maps(4, *shape[:3])
    assert network(x).shape == (4, shape[3])
    assert torch.equal(network(x), build(name, *shape)(x))


def influence(network, size):
    """Return the summed influence (3, S, S) of each input value on the answers to random maps."""
    x = maps(32, size=size).requires_grad_()
    network.eval()(x).square().sum().backward()
    return x.grad.abs().sum((0, 1, 2))


@pytest.mark.parametrize("name", ["MicroAttNet", *PEERS])
def test_every_value_of_a_map_of_the_native_size_has_influence(name):
    size = NATIVE[name]["size"]
    values = influence(build(name, size=size), size)
    if name == "OFF-ApexNet":
        assert not values[2].any()  # it has no stream for the third map
        values = values[:2]
    assert (values > 0).all()


def test_sssnet_refuses_maps_that_it_would_not_see_whole():
    assert not influence(SSSNet(2, 2, 5, 16), 20)[:, 16:].any()
    for size in (12, 15, 20, 63):
        with pytest.raises(MerError, match="SSSNet"):
            SSSNet(2, 2, 5, size)
    assert (influence(SSSNet(2, 2, 5, 22), 22) > 0).all()


def test_tuned_settings_are_the_winners_of_the_benchmark():
    record = json.loads((ROOT / "benchmarks" / "tuning.json").read_text())
    assert min(record["sets"]) > 1000  # development sets
    assert set(PEERS) < set(record["networks"]) and set(TUNED) <= set(record["networks"])
    for network, found in record["networks"].items():
        tried = [row["mean"] or 0 for row in found["tried"]]
        assert len(tried) == 1 + record["draws"] >= 13  # the published settings, and equal draws
        best = found["tried"][int(np.argmax(tried))]["settings"]
        assert found["winner"] == best
        assert {key: getattr(recipe_of(network), key) for key in best} == best


def test_logistic_regression_by_hand():
    """At its optimum the gradient of the balanced loss is what the decay pulls back."""
    data = make_toy(clips=60)
    model = RegionsLogistic(decay=0.05).fit(data.x, data.y)
    values, probability = model.describe(data.x), model.score(data.x)
    unit = (values - values.mean(0)) / values.std(0)
    for k, pipeline in enumerate(model.models):
        y, share = data.y[:, k], data.y[:, k].mean()
        weight = np.where(y, 0.5 / share, 0.5 / (1 - share))
        gradient = (weight * (probability[:, k] - y)) @ unit / 60
        np.testing.assert_allclose(gradient, -0.05 * pipeline[-1].coef_[0], atol=1e-3)
    assert np.isfinite(RegionsLogistic(decay=0.0).fit(data.x, data.y).score(data.x)).all()


def test_regions_are_means_of_cells():
    x = np.zeros((2, 2, 1, 3, 10, 10), np.float32)
    x[0, 1, 0, 2, :3, 8:] = 4  # the first band has 3 rows, the last 2 columns
    means = RegionsLogistic().describe(x).reshape(2, 2, 1, 3, 4, 4)
    expected = np.zeros_like(means)
    expected[0, 1, 0, 2, 0, 3] = 4
    np.testing.assert_array_equal(means, expected)


# of those that take the toy's maps
SIMPLE = [name for name in PLAIN if takes_maps(name, make_toy().x.shape[1:])]


@pytest.mark.parametrize("name", SIMPLE)
def test_a_label_with_one_answer_gets_a_constant_score(name):
    data = make_toy()
    data.y[:, 0], data.y[:, 1] = 0, 1
    model = PLAIN[name](1e-3).fit(data.x, data.y)
    scores = model.score(data.x)
    assert (scores[:, 0] < model.natural).all() and (scores[:, 1] > model.natural).all()
    assert np.ptp(scores[:, :2], 0).max() == 0 and np.ptp(scores[:, 2]) > 0


@pytest.mark.parametrize("name", SIMPLE)
def test_plain_models_learn_a_visible_label_from_mirrored_samples_too(name):
    """Answers to a clip and to its mirror image are then more alike."""
    data, apart = make_toy(clips=60), {}
    mirrored = flip(torch.from_numpy(data.x)).numpy()
    for flips in (True, False):
        member = PlainMember(Recipe(network=name, flip=flips))
        member.fit(data.x, data.y, data.x, data.y)
        apart[flips] = np.abs(member.score(data.x)[0] - member.score(mirrored)[0]).mean()
    assert apart[True] < 0.5 * apart[False]
    data = make_toy(clips=60, views=1, phases=1, exclusive=True)
    assert run_loso(data, Recipe(network=name, inner=2)).uf1(data.y)["macro"] > 0.8
