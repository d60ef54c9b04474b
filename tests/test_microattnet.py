from mer_utils import MerError
from mer_utils.learning.peers import STSTNet
from mer_utils.method.microattnet import (
    Dropout,
    MicroAttNet,
    count_macs,
    count_parameters,
    summarise,
)

import pytest
import torch


def maps(n=4, views=2, phases=2, size=28):
    return torch.randn(n, views, phases, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("views", "phases", "labels", "size"),
    [(2, 2, 5, 28), (1, 1, 3, 28), (1, 2, 7, 21), (3, 1, 5, 40)],
)
@pytest.mark.parametrize("fusion", ["attention", "concat", "mean"])
def test_nothing_assumes_two_views_two_phases_or_five_labels(views, phases, labels, size, fusion):
    network = MicroAttNet(views, phases, labels, size, fusion=fusion)
    logits, weights = network(maps(4, views, phases, size), return_attention=True)
    assert logits.shape == (4, labels) and weights.shape == (4, 3)
    torch.testing.assert_close(weights.sum(1), torch.ones(4))


@pytest.mark.parametrize("switch", [{"fusion": "concat"}, {"se": "none"}, {"se": "all"}])
def test_a_switch_changes_nothing_else_at_the_start(switch):
    default = MicroAttNet(2, 2, 5, 28, seed=3).eval()
    other = MicroAttNet(2, 2, 5, 28, seed=3, **switch).eval()
    assert torch.equal(default(maps()), other(maps()))
    shared, values = default.state_dict(), other.state_dict()
    assert all(torch.equal(shared[name], values[name]) for name in shared.keys() & values.keys())


def test_seeds_differ_and_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = MicroAttNet(2, 2, 5, 28, seed=0), MicroAttNet(2, 2, 5, 28, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first.head[2].weight, second.head[2].weight)


def test_attention_and_se_take_part_in_learning():
    network = MicroAttNet(2, 2, 5, 28, dropout=0.0)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(5):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(
            network(maps()), torch.ones(4, 5)
        ).backward()
        optimiser.step()
    assert network.attention.score.weight.abs().max() > 0
    assert network.gates[2].up.weight.abs().max() > 0
    assert (network(maps(), return_attention=True)[1] - 1 / 3).abs().max() > 1e-4


def test_parameters_and_macs_are_counted():
    assert count_parameters(STSTNet(1, 1, 3, 28)) == 1683  # Liong et al. 2019
    small = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.Flatten(), torch.nn.Linear(4 * 25, 3)
    )
    assert count_macs(small, (2, 5, 5)) == 2 * 4 * 9 * 25 + 300
    assert summarise(small, (2, 5, 5)) == "Sequential: 379 parameters, 2,100 MACs a sample"


@pytest.mark.parametrize("bad", [{"fusion": "sum"}, {"se": "u"}])
def test_unknown_switches_are_refused(bad):
    with pytest.raises(MerError, match="unknown"):
        MicroAttNet(2, 2, 5, 28, **bad)


def test_two_streams_leave_the_magnitude_out():
    network = MicroAttNet(2, 2, 5, 28, streams=2).eval()
    logits, weights = network(maps()[:, :, :, :2], return_attention=True)
    assert logits.shape == (4, 5) and weights.shape == (4, 2)


def test_dropout_drops_the_share_it_is_told_and_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.ones(100, 40, 3, 3)
    y, whole = Dropout(0.3)(x), Dropout(0.3, whole=True)(x)
    assert abs((y == 0).float().mean() - 0.3) < 0.01 and abs(y.mean() - 1) < 0.01
    assert ((whole == 0).all((2, 3)) | (whole != 0).all((2, 3))).all() and abs(
        whole.mean() - 1
    ) < 0.05
    assert Dropout(0.3).eval()(x) is x
