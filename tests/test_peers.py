import json
from dataclasses import replace
from pathlib import Path

from mer_utils import MerError
from mer_utils.baselines import (
    NATIVE,
    PEERS,
    PLAIN,
    PUBLISHED,
    TUNED,
    CrossPhaseNet,
    Logistic,
    OffApexNet,
    RegionsLogistic,
    SSSNet,
    STSTNet,
    TemplatesLogistic,
    build_peer,
    encode_places,
    native_front_end,
    recipe_of,
)
from mer_utils.evaluation import run_loso
from mer_utils.features import FrontEnd
from mer_utils.model import count_parameters
from mer_utils.training import NETWORKS, PlainMember, Recipe, build_network, flip

import numpy as np
import pytest
import torch
from toys import make_toy, maps

ROOT = Path(__file__).parents[1]


def test_peers_have_the_parameters_of_their_layer_tables():
    assert count_parameters(STSTNet(1, 1, 3, 28)) == 1683  # Liong et al. 2019
    stream = (5 * 5 * 1 * 6 + 6) + (5 * 5 * 6 * 16 + 16)
    head = (2 * 16 * 7 * 7 * 1024 + 1024) + (1024 * 1024 + 1024) + (1024 * 3 + 3)
    assert count_parameters(OffApexNet(1, 1, 3, 28)) == 2 * stream + head == 2_664_475
    layers = (5 * 5 * 3 * 32 + 32) + 2 * 32 + (3 * 3 * 32 * 64 + 64) + 2 * 64
    assert count_parameters(SSSNet(1, 1, 3, 64)) == layers + (5184 * 256 + 256) + (256 * 3 + 3)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize(
    ("views", "phases", "size", "labels"), [(2, 2, 22, 5), (1, 1, 28, 3), (1, 2, 28, 3)]
)
def test_peers_take_any_views_phases_sizes_and_labels(name, views, phases, size, labels):
    before = torch.get_rng_state()
    network = BUILD(name).eval()
    assert torch.equal(before, torch.get_rng_state())
    x = maps(4, views, phases, size)
    assert network(x).shape == (4, labels)
    assert torch.equal(
        network(x), BUILD(name).eval()(x)
    )


def influence(network, size):
    """Return the summed influence (3, S, S) of each input value on the answers to random maps."""
    x = maps(32, size=size).requires_grad_()
    network.eval()(x).square().sum().backward()
    return x.grad.abs().sum((0, 1, 2))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in PLAIN])
def test_every_value_of_a_map_of_the_native_size_has_influence(name):
    size = NATIVE[name]["size"]
    network = build_network(Recipe(network=name), (2, 2, 3, size, size), 5, 0)
    seen = influence(network, size)
    if name == "OFF-ApexNet":
        assert not seen[2].any()  # it has no stream for the third map
        seen = seen[:2]
    assert (seen > 0).all()


def test_sssnet_would_not_see_a_third_of_maps_of_20_px():
    """Made for 16 px it takes 20 px, too: its poolings drop the last rows and columns."""
    seen = influence(SSSNet(2, 2, 5, 16), 20)
    assert (seen[:, :16, :16] > 0).all() and not seen[:, 16:].any() and not seen[:, :, 16:].any()
    for size in (12, 15, 20, 63):
        with pytest.raises(MerError, match="SSSNet"):
            SSSNet(2, 2, 5, size)
    for size in (16, 22, 28):
        assert (influence(SSSNet(2, 2, 5, size), size) > 0).all()


def test_off_apex_looks_at_no_magnitude_and_phases_look_at_each_other():
    x, y = maps(), maps()
    y[:, :, :, 2] += 1
    off = build_peer("OFF-ApexNet", (2, 2, 3, 28, 28), 5).eval()
    assert torch.equal(off(x), off(y))
    cross = build_peer("CrossPhaseNet", (2, 2, 3, 28, 28), 5).eval()
    seen = []
    cross.ask[0].register_forward_hook(lambda _, given, __: seen.append(given))
    cross(x)
    own, others, _ = seen[0]
    assert own.shape == others.shape == (4, 49, 32) and not torch.equal(own, others)


def test_cross_phase_tells_one_place_from_another():
    network, x = CrossPhaseNet(2, 2, 5, 28).eval(), maps()
    straight = network(x)
    order = torch.randperm(49, generator=torch.Generator().manual_seed(0))

    def mix(module, given, output):
        return output.flatten(2)[:, :, order].view_as(output)

    for stream in network.streams:
        stream.register_forward_hook(mix)
    assert (network(x) - straight).abs().max() > 0.01
    # without the grid the encoding alone must tell; without both, nothing would
    network.pool = torch.nn.AdaptiveAvgPool2d(1)
    network.head = torch.nn.Flatten()
    mixed = network(x)
    network.where.zero_()
    blind = network(x)
    for stream in network.streams:
        stream._forward_hooks.clear()
    torch.testing.assert_close(network(x), blind)
    network.where.copy_(encode_places(7, 32))
    assert (network(x) - mixed).abs().max() > 0.01


def test_every_place_has_a_code_of_its_own():
    code = encode_places(7, 32)
    assert code.shape == (49, 32)
    assert torch.cdist(code, code).add(torch.eye(49)).min() > 0.5
    torch.testing.assert_close(code.square().sum(1), torch.full((49,), 16.0))
    grid = code.view(7, 7, 32)
    assert torch.equal(grid[3, 1, :16], grid[3, 6, :16])
    assert torch.equal(grid[0, 2, 16:], grid[5, 2, 16:])


def test_native_maps_and_published_settings():
    assert set(NATIVE) == set(NETWORKS) and set(PUBLISHED) < set(NETWORKS)
    base = FrontEnd(crop=96, backend="farneback")
    assert native_front_end("STSTNet", base) == replace(base, size=28, third="strain")
    assert native_front_end("STSTNet", base, flow_images=True) == replace(base, size=28)
    assert native_front_end("SSSNet", base) == replace(base, size=28)
    assert native_front_end("PCA+SVM", base) == native_front_end("MicroAttNet", base)
    with pytest.raises(MerError, match="ResNet"):
        native_front_end("ResNet", base)
    assert recipe_of("PCA+SVM") == Recipe(network="PCA+SVM")  # it has no settings
    assert recipe_of("OFF-ApexNet", members=1) == Recipe(
        network="OFF-ApexNet", members=1, **TUNED["OFF-ApexNet"]
    )
    assert recipe_of("SSSNet", rate=1e-2).rate == 1e-2
    with pytest.raises(MerError, match="ResNet"):
        recipe_of("ResNet")


def test_tuned_settings_are_the_winners_of_the_benchmark():
    record = json.loads((ROOT / "benchmarks" / "tuning.json").read_text())
    assert min(record["sets"]) > 1000  # development sets
    assert set(PEERS) < set(record["networks"])
    for network, found in record["networks"].items():
        tried = [row["mean"] or 0 for row in found["tried"]]
        assert len(tried) == 1 + record["draws"] >= 13  # the published settings, and equal draws
        best = found["tried"][int(np.argmax(tried))]["settings"]
        assert found["winner"] == best
        assert {key: getattr(recipe_of(network), key) for key in best} == best
    assert set(TUNED) <= set(record["networks"])


def test_logistic_regression_by_hand():
    """At its optimum the gradient of the balanced loss is what the decay pulls back."""
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, (60, 4))
    y = (values[:, :2] + rng.normal(0, 2, (60, 2)) > 4).astype(np.uint8)
    model = Logistic(decay=0.05).fit(values, y)
    unit = (values - values.mean(0)) / values.std(0)
    probability = model.score(values)
    for k, fitted in enumerate(model.models):
        share = y[:, k].mean()
        weight = np.where(y[:, k], 0.5 / share, 0.5 / (1 - share))
        gradient = (weight * (probability[:, k] - y[:, k])) @ unit / 60
        np.testing.assert_allclose(gradient, -0.05 * fitted.coef_[0], atol=1e-4)
    assert np.isfinite(Logistic(decay=0.0).fit(values, y).score(values)).all()


def test_regions_are_means_of_cells():
    x = np.zeros((2, 2, 1, 3, 10, 10), np.float32)
    x[0, 1, 0, 2, :3, 8:] = 4  # the first band has 3 rows, the last 2 columns
    means = RegionsLogistic().describe(x).reshape(2, 2, 1, 3, 4, 4)
    expected = np.zeros_like(means)
    expected[0, 1, 0, 2, 0, 3] = 4
    np.testing.assert_array_equal(means, expected)


def test_templates_correlate_as_a_matched_filter_does():
    data = make_toy(clips=60)
    model = TemplatesLogistic().fit(data.x, data.y)
    found = model.correlate(data.x)
    for k in range(3):
        flat = data.x.reshape(60, -1).astype(float)
        template = flat[data.y[:, k] > 0].mean(0) - flat[data.y[:, k] == 0].mean(0)
        centred = flat - flat.mean(0)
        cosine = centred @ template / np.linalg.norm(centred, axis=1) / np.linalg.norm(template)
        np.testing.assert_allclose(found[:, k], cosine, atol=1e-5)
    # twice the motion about the mean, the same correlation
    stronger = model.mean.reshape(data.x.shape[1:]) * -1 + 2 * data.x
    np.testing.assert_allclose(model.correlate(stronger), found, atol=1e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_a_label_with_one_answer_gets_a_constant_score(name):
    data = make_toy()
    y = data.y.copy()
    y[:, 0], y[:, 1] = 0, 1
    model = PLAIN[name](1e-3).fit(data.x, y)
    scores = model.score(data.x)
    assert (scores[:, 0] < model.natural).all() and (scores[:, 1] > model.natural).all()
    assert np.ptp(scores[:, :2], 0).max() == 0 and np.ptp(scores[:, 2]) > 0
    assert (model.score(np.zeros_like(data.x[:1])).shape) == (1, 3)


@pytest.mark.parametrize("name", PLAIN)
def test_peers_that_are_no_networks_get_mirrored_samples_too(name):
    """As a network does, which makes their answers to a clip and its mirror image more alike."""
    data = make_toy(clips=60)
    mirrored = flip(torch.from_numpy(data.x)).numpy()
    apart = {}
    for flips in (True, False):
        member = PlainMember(Recipe(network=name, flip=flips))
        member.fit(data.x, data.y, data.x, data.y)
        apart[flips] = np.abs(member.score(data.x)[0] - member.score(mirrored)[0]).mean()
    assert apart[True] < 0.5 * apart[False]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("exclusive", [False, True])
def test_peers_that_are_no_networks_learn_a_visible_label(name, exclusive):
    data = make_toy(clips=60, views=1, phases=1, exclusive=exclusive)
    assert run_loso(data, Recipe(network=name, inner=2)).uf1(data.y)["macro"] > 0.8
