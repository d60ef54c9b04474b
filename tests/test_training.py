from dataclasses import replace

from mer_utils import MerError
from mer_utils.features import FrontEnd
from mer_utils.training import (
    NetworkMember,
    Recipe,
    choose_maps,
    draw_epoch,
    find_best,
    fit_scale,
    flip,
    focal_loss,
    load_members,
    mean_precision,
)

import numpy as np
import pytest
import torch
from toys import make_toy

QUICK = Recipe(epochs=4, patience=2, inner=2, width=4)


def test_focal_losses_by_hand():
    logits, target = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    p = torch.sigmoid(torch.tensor([0.0, -2.0]))  # probability of the true answer
    expected = -((1 - p) ** 2 * p.log()).mean()
    torch.testing.assert_close(focal_loss(logits, target, 2.0), expected)
    weighted = -(torch.tensor([0.9, 0.2]) * (1 - p) ** 2 * p.log()).mean()
    found = focal_loss(logits, target, 2.0, torch.tensor([0.9, 0.8]))
    torch.testing.assert_close(found, weighted)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(focal_loss(logits, target, 0.0), plain)
    # exclusive labels, by softmax
    logits, target = torch.tensor([[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]]), torch.eye(3)[:2]
    p = torch.softmax(logits, 1)[[0, 1], [0, 1]]
    alpha = torch.tensor([0.2, 0.9, 0.9])
    expected = -(torch.tensor([0.2, 0.9]) * (1 - p) ** 2 * p.log()).mean()
    torch.testing.assert_close(focal_loss(logits, target, 2.0, alpha, exclusive=True), expected)
    plain = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
    torch.testing.assert_close(focal_loss(logits, target, 0.0, exclusive=True), plain)


DATA = make_toy()
TOY = DATA.x[:24], DATA.y[:24], DATA.x[24:], DATA.y[24:]  # to learn from, and to stop on


def fit(recipe, x, y, x_stop, y_stop):
    """Return a trained network, its curve, and its scores for the maps it stopped on."""
    member = NetworkMember(recipe, x.shape[1:], 3, 0)
    curve = member.fit(x, y, x_stop, y_stop)
    return member, curve, member.score(x_stop)[0]


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [("constant", [1, 1, 1, 1]), ("cosine", [1, 0.5 + 0.5**0.5 / 2, 0.5, 0.5 - 0.5**0.5 / 2])],
)
def test_the_rate_follows_its_schedule(schedule, factors, monkeypatch):
    rates, step = [], torch.optim.AdamW.step

    def note_rate(optimiser):
        rates.append([group["lr"] for group in optimiser.param_groups])
        return step(optimiser)

    monkeypatch.setattr(torch.optim.AdamW, "step", note_rate)
    fit(replace(QUICK, schedule=schedule, stop="last"), *TOY)  # one step an epoch
    np.testing.assert_allclose(rates, QUICK.rate * np.repeat(factors, 2).reshape(4, 2))


def test_flip_mirrors_space_negates_u_and_swaps_views():
    x = torch.randn(2, 2, 1, 3, 4, 4)
    y = flip(x)
    torch.testing.assert_close(y[:, 0, :, 0], -x[:, 1, :, 0].flip(-1))
    torch.testing.assert_close(y[:, 1, :, 1], x[:, 0, :, 1].flip(-1))
    torch.testing.assert_close(y[:, 1, :, 2], x[:, 0, :, 2].flip(-1))
    torch.testing.assert_close(flip(y), x)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 65])
def test_an_epoch_is_full_batches_of_different_samples(count):
    rows = draw_epoch(count, 32, True, torch.Generator().manual_seed(0))
    assert rows.shape == (max(1, count // 32), min(count, 32))
    plain = rows.flatten() % count
    assert len(plain.unique()) == rows.numel() and rows.max() < 2 * count
    assert not (draw_epoch(count, 32, False, torch.Generator().manual_seed(0)) >= count).any()


def test_a_recipe_chooses_views_and_phases():
    x = np.arange(2 * 2 * 2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 2, 2, 3, 4, 4)
    np.testing.assert_array_equal(choose_maps(x, Recipe()), x)
    np.testing.assert_array_equal(choose_maps(x, Recipe(views="left")), x[:, :1])
    np.testing.assert_array_equal(choose_maps(x, Recipe(views="right", phases=1)), x[:, 1:, :1])


def test_scale_is_the_root_mean_square_of_each_map():
    x = np.random.default_rng(0).normal(0, [[[1]], [[2]], [[3]]], (5, 2, 2, 3, 8, 8))
    np.testing.assert_allclose(fit_scale(x), [1, 2, 3], rtol=0.05)
    assert (fit_scale(np.zeros_like(x)) > 0).all()


def test_the_best_epoch_is_kept_and_waiting_ends():
    x, y, x_stop, right = TOY
    recipe = replace(QUICK, epochs=40, patience=3, rate=5e-2)
    member, curve, scores = fit(recipe, x, y, x_stop, 1 - right)  # wrong: stopping must set in
    ran = np.isfinite(curve[:, 1]).sum()
    rating = curve[:ran, 2]
    best, done = find_best(recipe, curve[:ran])
    assert ran < 40 and ran - 1 - best == 3 and done and rating[best] == rating.max()
    assert mean_precision(1 - right, scores) == pytest.approx(curve[best, 2], abs=1e-6)
    state = {f"0.{name}": value for name, value in member.state().items()}
    (reloaded,) = load_members(state, replace(recipe, members=1), x.shape[1:], 3)
    np.testing.assert_array_equal(scores, reloaded.score(x_stop)[0])
    # or the last one
    _, curve, scores = fit(replace(recipe, epochs=20, stop="last"), x, y, x_stop, 1 - right)
    assert np.isfinite(curve).all() and curve[-1, 2] < curve[:, 2].max()
    assert mean_precision(1 - right, scores) == pytest.approx(curve[-1, 2], abs=1e-6)


def test_peeking_keeps_the_epoch_with_the_most_right_answers_of_all():
    recipe = replace(QUICK, epochs=8, patience=1, stop="test")
    _, curve, scores = fit(recipe, *TOY)
    assert np.isfinite(curve).all()  # no patience
    right = ((scores >= 0.5) == TOY[3]).mean()
    assert right == pytest.approx(curve[:, 3].max(), abs=1e-6)
    assert right > ((fit(replace(recipe, stop="last"), *TOY)[2] >= 0.5) == TOY[3]).mean() - 1e-6


def test_a_loss_that_is_no_number_is_an_error():
    x, y, *_ = TOY
    with pytest.raises(MerError, match="diverged"):
        fit(QUICK, x, y, np.full_like(x, np.nan), y)


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [(Recipe, "network", "ResNet"), (Recipe, "rate", 0.0), (FrontEnd, "apex", "middle")],
)
def test_a_value_that_is_not_allowed_is_refused_when_it_is_given(options, name, value):
    with pytest.raises(MerError, match=f"{options.__name__}: {name} is {value!r}"):
        options(**{name: value})
