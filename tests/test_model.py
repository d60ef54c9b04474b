from mer_utils import MerError
from mer_utils.model import Dropout, MicroAttNet, count_macs, describe_maps, summarise

import pytest
import torch
from toys import maps


@pytest.mark.parametrize("fusion", ["attention", "concat", "mean"])
@pytest.mark.parametrize(
    ("shape", "streams"),  # 2: without the magnitude
    [((2, 2, 5, 28), 3), ((1, 1, 3, 28), 2), ((1, 2, 7, 21), 3), ((3, 1, 5, 40), 2)],
)
def test_nothing_assumes_two_views_two_phases_or_five_labels(shape, fusion, streams):
    views, phases, labels, size = shape
    network = MicroAttNet(*shape, fusion=fusion, streams=streams)
    x = maps(4, views, phases, size)[:, :, :, :streams]
    assert network(x).shape == (4, labels)
    if fusion == "attention":
        weights = network.weigh(x)
        assert weights.shape == (4, streams, views, phases)
        torch.testing.assert_close(weights.sum((1, 2, 3)), torch.ones(4))


@pytest.mark.parametrize("switch", [{"fusion": "concat"}, {"se": "none"}, {"se": "all"}])
def test_networks_that_differ_in_a_switch_start_with_equal_weights(switch):
    default = MicroAttNet(2, 2, 5, 28, seed=3).eval()
    other = MicroAttNet(2, 2, 5, 28, seed=3, **switch).eval()
    shared, values = default.state_dict(), other.state_dict()
    assert all(torch.equal(shared[name], values[name]) for name in shared.keys() & values.keys())
    gap = (default(maps()) - other(maps())).abs().max()
    assert 0 < gap < 0.2  # the gates are near 1, and act


def test_seeds_differ_and_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = MicroAttNet(2, 2, 5, 28, seed=0), MicroAttNet(2, 2, 5, 28, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first.head[2].weight, second.head[2].weight)


def test_gates_given_stand_in_for_those_the_network_finds():
    network = MicroAttNet(2, 2, 5, 28).eval()
    x = maps()
    weights = network.weigh(x)
    excitation = network.excite(network.extract(x, weights))
    assert weights.shape == (4, 3, 2, 2) and excitation.shape == (4, 3, 16)
    assert (excitation[:, :2] == 1).all() and (excitation[:, 2].std(0) > 0).all()
    assert torch.equal(network(x, weights, excitation), network(x))
    equal = torch.full((1, 3, 2, 2), 1 / 12)
    assert not torch.equal(network(x, equal), network(x))
    bare = MicroAttNet(2, 2, 5, 28, fusion="concat").eval()
    torch.testing.assert_close(bare(x, equal), bare(x))
    # all weight on the left view: what the right one shows is of no matter
    left = torch.zeros(1, 3, 2, 2)
    left[:, :, 0] = 1 / 6
    other = x.clone()
    other[:, 1] = 7.0
    assert torch.equal(network(x, left, excitation), network(other, left, excitation))


@pytest.mark.parametrize(("views", "size", "streams"), [(2, 20, 3), (1, 21, 2), (3, 7, 3)])
def test_weights_in_the_kernels_are_weights_on_the_maps(views, size, streams):
    network = MicroAttNet(views, 2, 5, size, streams=streams).eval()
    flat, conv = network.stack_maps(maps(4, views, 2, size)), network.streams[0]
    for rows in (4, 1):  # weights of each sample, or the same for all
        weights = torch.rand(rows, flat.shape[1])
        expected = torch.conv2d(
            flat * weights[:, :, None, None], conv.weight, None, 2, 1, 1, streams
        )
        torch.testing.assert_close(conv(flat, weights), expected, atol=1e-5, rtol=1e-5)
        assert torch.equal(conv(flat, weights, conv.cut_cells(flat)), conv(flat, weights))


@pytest.mark.parametrize("fusion", ["attention", "concat"])
def test_looking_ahead_changes_no_bit(fusion):
    network = MicroAttNet(2, 2, 5, 20, fusion).eval()
    x = maps(4, 2, 2, 20)
    assert torch.equal(network(**network.look_ahead(x)), network(x))


def test_attention_is_told_size_and_roughness_of_each_map():
    smooth, rough = torch.full((1, 1, 8, 8), 0.5), torch.full((1, 1, 8, 8), 0.5)
    rough[..., ::2, ::2] *= -1
    mean, most, noise = torch.exp(describe_maps(torch.cat([smooth, rough], 1))).view(3, 2) - 0.05
    assert mean[0] == pytest.approx(0.5) and most[1] == pytest.approx(0.5)
    assert noise[1] > 2 * noise[0]


def test_parameters_and_macs_are_counted():
    small = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.Flatten(), torch.nn.Linear(4 * 25, 3)
    )
    assert count_macs(small, (2, 5, 5)) == 2 * 4 * 9 * 25 + 300
    assert summarise(small, (2, 5, 5)) == "Sequential: 379 parameters, 2,100 MACs a sample"


@pytest.mark.parametrize("bad", [{"fusion": "sum"}, {"se": "u"}])
def test_unknown_switches_are_refused(bad):
    with pytest.raises(MerError, match="unknown"):
        MicroAttNet(2, 2, 5, 28, **bad)


def test_dropout_drops_the_share_it_is_told_and_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.ones(100, 40, 3, 3)
    y, whole = Dropout(0.3)(x), Dropout(0.3, whole=True)(x)
    assert abs((y == 0).float().mean() - 0.3) < 0.01 and abs(y.mean() - 1) < 0.01
    assert ((whole == 0).all((2, 3)) | (whole != 0).all((2, 3))).all()
    assert abs(whole.mean() - 1) < 0.05
    assert Dropout(0.3).eval()(x) is x
