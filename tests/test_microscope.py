"""The network microscope: what it shows is what the network computes, and off means off."""

from mer_course.demos.microscope import LAYERS, NOTHING, Microscope
from mer_utils import STREAMS, MerError
from mer_utils.model import MicroAttNet
from mer_utils.plots import VIEW_NAMES, paint

import numpy as np
import pytest
import torch

LABELS = ("Negative", "Positive", "Surprise")
NAMES = ("a", "b", "c", "d")


def make(views=2, phases=2, **switches):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        x = torch.randn(4, views, phases, 3, 12, 12)
        network = MicroAttNet(views, phases, 3, 12, seed=2, **switches)
        for part in network.parameters():  # gates that differ from 1
            part.data += 0.1 * torch.randn(part.shape)
    truth = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0]])
    return Microscope(network.eval(), x, truth, NAMES, LABELS, (2.0, 3.0, 4.0))


@pytest.fixture(scope="module")
def scope():
    return make()


def test_the_whole_network_is_the_network(scope):
    seen = scope.look("b")
    x = scope.x[1:2]
    with torch.no_grad():
        assert np.allclose(seen.logits, scope.network(x)[0], atol=1e-5)
        weights = scope.network.weigh(x)
        features = scope.network.extract(x, weights)
    assert seen.factors.sum() == pytest.approx(seen.factors.size, rel=1e-5)
    assert np.allclose(seen.layers[LAYERS[2]], features[0], atol=1e-5)
    read = seen.layers[LAYERS[2]] * seen.gates[..., None, None]
    assert np.allclose(seen.layers[LAYERS[3]], read) and not (seen.gates[2] == 1).all()
    px = x[0, :, :, 2].flatten(0, 1).numpy() * 4.0 * seen.factors[2].reshape(-1, 1, 1)
    assert np.allclose(seen.layers[LAYERS[0]][2], px, atol=1e-5)
    assert seen.layers[LAYERS[1]].shape == (3, 8, 6, 6) and (seen.layers[LAYERS[1]] >= 0).all()


def test_gates_that_are_off_pass_all_on_alike(scope):
    whole, x = scope.look("a"), scope.x[:1]
    assert (scope.look("a", "SE").gates == 1).all()
    assert np.array_equal(scope.look("a", "SE").factors, whole.factors)
    assert np.allclose(scope.look("a", "fusion attention").factors, 1)
    both = scope.look("a", "both gates")
    with torch.no_grad():
        equal = torch.full((1, 3, 2, 2), 1 / 12)
        expected = scope.network(x, equal, torch.ones(1, 3, both.gates.shape[1]))[0]
    assert np.allclose(both.logits, expected, atol=1e-5)
    assert not np.allclose(both.logits, whole.logits, atol=1e-4)


def test_a_part_that_is_off_cannot_change_the_answer(scope):
    with torch.no_grad():
        weights = scope.network.weigh(scope.x[:1])
        weights[:, 1] = 0
        changed = scope.x[:1].clone()
        changed[:, :, :, 1] += 5
        expected, same = (scope.network(x, weights)[0] for x in (scope.x[:1], changed))
    assert torch.allclose(expected, same, atol=1e-5)
    seen = scope.look("a", "stream v")
    assert np.allclose(seen.logits, expected, atol=1e-5) and not seen.layers[LAYERS[0]][1].any()
    assert not scope.look("a", VIEW_NAMES[0]).factors[:, 0].any()
    assert not scope.look("a", "apex-offset").factors[:, :, 1].any()


def test_every_choice_draws_and_the_title_says_what_is_off(scope):
    controls = scope.controls()
    first = {name: choice[0] for name, choice in controls.items()}
    assert first == {"clip": "a", "stream": "magnitude", "layer": LAYERS[2], "off": NOTHING}
    title = scope.draw(**first).texts[0].get_text()
    assert "a, Negative" in title and title.endswith("off: nothing")
    for off in controls["off"][1:]:
        title = scope.draw("b", "u", LAYERS[0], off).texts[0].get_text()
        for words in (f"off: {off}", "logits move by up to", "Positive + Surprise"):
            assert words in title
    for stream, layer in zip(STREAMS * 2, LAYERS, strict=False):
        figure = scope.draw("d", stream, layer)
        assert "no label" in figure.texts[0].get_text()
    assert paint(figure)[0] == paint(scope.draw("d", stream, layer))[0]


def test_one_view_and_phase_offer_none_to_switch_off_and_a_network_needs_gates():
    parts = make(1, 1).controls()["off"]
    assert not {*VIEW_NAMES, "onset-apex"} & set(parts) and "stream u" in parts
    assert make(1, 1).draw("a", layer=LAYERS[0]).axes
    for switches in ({"fusion": "concat"}, {"se": "none"}):
        with pytest.raises(MerError, match="fusion attention and SE"):
            make(**switches)
