from mer_utils import MerError
from mer_utils.model import Dropout, MicroAttNet, describe_maps

import pytest
import torch
from toys import maps


@pytest.mark.parametrize(
    ("shape", "streams", "fusion"),  # 2 streams: without the magnitude
    [
        ((2, 2, 5, 28), 3, "attention"),
        ((1, 1, 3, 28), 2, "attention"),
        ((1, 2, 7, 21), 3, "concat"),
        ((3, 1, 5, 40), 2, "mean"),
    ],
)
def test_nothing_assumes_two_views_two_phases_or_five_labels(shape, streams, fusion):
    views, phases, labels, size = shape
    network = MicroAttNet(*shape, fusion=fusion, streams=streams).eval()
    x = maps(4, views, phases, size)[:, :, :, :streams]
    assert network(x).shape == (4, labels)
    assert torch.equal(network(**network.look_ahead(x)), network(x))
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


def test_gates_from_outside_replace_the_own_ones():
    network, x = MicroAttNet(2, 2, 5, 28).eval(), maps()
    weights = network.weigh(x)
    excitation = network.excite(network.extract(x, weights))
    assert (excitation[:, :2] == 1).all() and (excitation[:, 2].std(0) > 0).all()
    assert torch.equal(network(x, weights, excitation), network(x))
    equal = torch.full((1, 3, 2, 2), 1 / 12)
    assert not torch.equal(network(x, equal), network(x))
    bare = MicroAttNet(2, 2, 5, 28, fusion="concat").eval()
    torch.testing.assert_close(bare(x, equal), bare(x))
    # all weight on the left view: what the right one shows is of no matter
    left, other = torch.zeros(1, 3, 2, 2), x.clone()
    left[:, :, 0], other[:, 1] = 1 / 6, 7.0
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


def test_attention_is_told_size_and_roughness_of_each_map():
    smooth, rough = torch.full((1, 1, 8, 8), 0.5), torch.full((1, 1, 8, 8), 0.5)
    rough[..., ::2, ::2] *= -1
    mean, most, noise = torch.exp(describe_maps(torch.cat([smooth, rough], 1))).view(3, 2) - 0.05
    assert mean[0] == pytest.approx(0.5) and most[1] == pytest.approx(0.5)
    assert noise[1] > 2 * noise[0]


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
