from mer_utils.model import MicroAttNet
from mer_utils.training import Recipe, build_network

import pytest
import torch
from toys import maps


@pytest.mark.parametrize("shape", [(2, 2, 5, 28), (1, 1, 3, 28), (1, 2, 7, 21), (3, 1, 5, 40)])
@pytest.mark.parametrize("attention", [True, False])
def test_nothing_assumes_two_views_two_phases_or_five_labels(shape, attention):
    views, phases, labels, size = shape
    network, x = MicroAttNet(*shape, attention=attention).eval(), maps(4, views, phases, size)
    assert network(x).shape == (4, labels)
    features, weights, gates = network.fuse(x)
    assert features.shape[:3] == (4, 3, 16) and gates.shape == (4, 16)
    assert (weights is None) is not attention
    if attention:
        torch.testing.assert_close(weights.sum(1), torch.ones(4))


@pytest.mark.parametrize("switch", [{"attention": False}, {"se": False}])
def test_networks_that_differ_in_a_switch_start_with_equal_weights(switch):
    shape = (2, 2, 3, 28, 28)
    default = build_network(Recipe(), shape, 5, seed=3).eval()
    other = build_network(Recipe(**switch), shape, 5, seed=3).eval()
    shared, values = default.state_dict(), other.state_dict()
    assert values.keys() < shared.keys()
    assert all(torch.equal(shared[name], values[name]) for name in values)
    assert not torch.equal(default(maps()), other(maps()))  # the gate acts


def test_seeds_differ_and_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = (build_network(Recipe(), (2, 2, 3, 28, 28), 5, seed) for seed in (0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first.head[2].weight, second.head[2].weight)


def test_gates_from_outside_replace_the_own_ones():
    network, x = MicroAttNet(2, 2, 5, 28).eval(), maps()
    _, weights, gates = network.fuse(x)
    assert (weights.std(0) > 0).all() and (gates.std(0) > 0).all()
    assert torch.equal(network(x, weights, gates), network(x))
    equal = torch.full((1, 3), 1 / 3)
    assert not torch.equal(network(x, equal), network(x))
    bare = MicroAttNet(2, 2, 5, 28, attention=False).eval()
    torch.testing.assert_close(bare(x, equal), bare(x))
    # all weight on u: what v and the magnitude show is of no matter
    other = x.clone()
    other[:, :, :, 1:] = 7.0
    alone = torch.tensor([[1.0, 0.0, 0.0]])
    assert torch.equal(network(x, alone, gates), network(other, alone, gates))
