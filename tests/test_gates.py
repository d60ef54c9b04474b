"""The gates act: they differ from clip to clip after training, and other gates give other
answers.
"""

from dataclasses import replace

from mer_utils import MerError
from mer_utils.ablations import KINDS, answer_with_gates, read_gates, spoil_views
from mer_utils.evaluation import macro_uf1, run_loso
from mer_utils.training import Recipe

import numpy as np
import pytest
from toys import make_toy

RECIPE = Recipe(epochs=25, patience=25, members=1)


def log_loss(truth, scores):
    return -(truth * np.log(scores) + (1 - truth) * np.log(1 - scores)).mean()


@pytest.fixture(scope="module")
def run():
    """A toy in which one view of every third clip shows noise instead of the labels."""
    toy = make_toy(clips=48)
    x, rng = toy.x.copy(), np.random.default_rng(1)
    for row in range(0, len(x), 3):
        x[row, row % 2] = rng.standard_normal(x.shape[2:])
    features = replace(toy, x=x)
    return features, run_loso(features, RECIPE)


def test_trained_gates_differ_from_clip_to_clip(run):
    """Coupled weight decay on gates that start at zero had made them constants, which a linear head
    absorbs: nothing was left to compare.
    """
    features, outcome = run
    weights, excitation = read_gates(outcome, features, RECIPE)
    np.testing.assert_allclose(weights.sum((1, 2, 3)), 1, rtol=1e-5)
    np.testing.assert_allclose(weights.transpose(0, 2, 3, 1), outcome.attention, atol=1e-6)
    by_fold = [features.subjects == name for name in outcome.subjects]
    for gate in (weights * weights[0].size, excitation[:, 2]):
        inside = np.mean([gate[rows].std(0).mean() for rows in by_fold])
        assert inside > 1e-3  # within a fold: other networks' gates would differ anyway
    assert (excitation[:, :2] == 1).all()  # SE is on the magnitude alone


def test_own_gates_give_the_runs_own_answers_and_others_do_not(run):
    features, outcome = run
    scores, answers = answer_with_gates(outcome, features, RECIPE)
    np.testing.assert_allclose(scores, outcome.scores, atol=1e-5)
    np.testing.assert_array_equal(answers, outcome.answers)
    seen = {kind: answer_with_gates(outcome, features, RECIPE, kind) for kind in KINDS[1:]}
    for kind, (others, _) in seen.items():
        assert np.abs(others - scores).max() > 1e-4, kind
    own = np.clip(scores, 1e-6, 1 - 1e-6)
    oracle = seen["oracle"][0]
    assert log_loss(features.y, oracle) <= log_loss(features.y, own)  # own are among its choices


def test_a_spoiled_view_keeps_its_values_and_costs_points(run):
    features, outcome = run
    maps, views = spoil_views(features.x, seed=3)
    assert set(views) == {0, 1}
    rows = np.arange(len(maps))
    assert np.array_equal(maps[rows, 1 - views], features.x[rows, 1 - views])
    assert not np.array_equal(maps[rows, views], features.x[rows, views])
    assert maps.shape == features.x.shape
    np.testing.assert_allclose(maps.mean((-2, -1)), features.x.mean((-2, -1)), atol=1e-6)
    _, answers = answer_with_gates(outcome, features, RECIPE, maps=maps)
    assert macro_uf1(features.y, answers) < macro_uf1(features.y, outcome.answers)


def test_other_kinds_and_other_networks_are_refused(run):
    features, outcome = run
    with pytest.raises(MerError, match="own, frozen, borrowed, oracle"):
        answer_with_gates(outcome, features, RECIPE, "open")
    with pytest.raises(MerError, match="gates are those of MicroAttNet"):
        read_gates(outcome, features, replace(RECIPE, network="STSTNet"))
    bare = replace(RECIPE, fusion="concat", se="none", epochs=2)
    weights, excitation = read_gates(run_loso(features, bare), features, bare)
    assert weights is None and excitation is None
