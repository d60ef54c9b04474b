from dataclasses import replace

import numpy as np
import pytest
import torch

from mer_utils import MerError
from mer_utils.features import Features
from mer_utils.training import (
    NetworkMember,
    Recipe,
    batches,
    choose_views,
    flip,
    focal_loss,
    merge_views,
    run_fold,
    run_loso,
    split_subjects,
)

QUICK = Recipe(epochs=4, patience=2, inner=2, width=4)


def toy(clips=36, subjects=6, views=2, phases=2, labels=3, size=12, seed=0):
    """Features in which label k is a bright patch at its own place: something a network can learn at once."""
    rng = np.random.default_rng(seed)
    y = (rng.random((clips, labels)) < 0.4).astype(np.uint8)
    y[:labels] = np.eye(labels, dtype=np.uint8)
    x = 0.2 * rng.standard_normal((clips, views, phases, 3, size, size)).astype(np.float32)
    for k in range(labels):
        x[..., 3 * k : 3 * k + 3, 4:8] += y[:, k, None, None, None, None, None]
    names = np.array([f"S{n % subjects:02d}" for n in range(clips)])
    clip = np.array([f"c{n}" for n in range(clips)])
    return Features(
        x, y, clip, names, np.zeros(clips, int), np.zeros((clips, views, 4), int), tuple("ABC"), f"toy{seed}"
    )


def test_focal_loss_by_hand():
    logits, target = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    p = torch.sigmoid(torch.tensor([0.0, -2.0]))  # probability of the true answer
    expected = -((1 - p) ** 2 * p.log()).mean()
    torch.testing.assert_close(focal_loss(logits, target, 2.0), expected)
    alpha = torch.tensor([0.9, 0.8])
    weighted = -(torch.tensor([0.9, 0.2]) * (1 - p) ** 2 * p.log()).mean()
    torch.testing.assert_close(focal_loss(logits, target, 2.0, alpha), weighted)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(focal_loss(logits, target, 0.0), plain)


def test_flip_mirrors_space_negates_u_and_swaps_views():
    x = torch.randn(2, 2, 1, 3, 4, 4)
    y = flip(x)
    torch.testing.assert_close(y[:, 0, :, 0], -x[:, 1, :, 0].flip(-1))
    torch.testing.assert_close(y[:, 1, :, 1], x[:, 0, :, 1].flip(-1))
    torch.testing.assert_close(y[:, 1, :, 2], x[:, 0, :, 2].flip(-1))
    torch.testing.assert_close(flip(y), x)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 65])
def test_batches_hold_every_sample_once_and_never_one_alone(count):
    parts = list(batches(count, 32))
    assert sorted(torch.cat(parts).tolist()) == list(range(count))
    assert count == 1 or min(map(len, parts)) > 1


def test_inner_parts_share_no_subject_and_are_of_like_size():
    subjects = np.repeat([f"S{k}" for k in range(10)], np.arange(1, 11))
    part = split_subjects(subjects, 3, 0)
    for name in np.unique(subjects):
        assert len(set(part[subjects == name])) == 1
    counts = np.bincount(part)
    assert len(counts) == 3 and counts.max() - counts.min() <= 10  # at most the largest subject apart
    assert (split_subjects(subjects, 3, 0) == part).all() and (split_subjects(subjects, 3, 1) != part).any()
    with pytest.raises(MerError, match="inner parts"):
        split_subjects(np.array(["S1", "S1"]), 2, 0)


def test_views_can_be_channels_samples_or_one_alone():
    x = np.arange(2 * 2 * 2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 2, 2, 3, 4, 4)
    assert choose_views(x, Recipe())[0].shape == x.shape
    samples, count = choose_views(x, Recipe(views="samples"))
    assert samples.shape == (4, 1, 2, 3, 4, 4) and count == 2
    np.testing.assert_array_equal(samples[2, 0], x[1, 0])
    np.testing.assert_array_equal(choose_views(x, Recipe(views="right", phases=1))[0], x[:, 1:, :1])
    scores = np.array([[0.2], [0.6], [0.1], [0.3]])
    np.testing.assert_allclose(merge_views(scores, 2), [[0.4], [0.2]])
    np.testing.assert_allclose(merge_views(scores, 2, "or"), [[0.6], [0.3]])
    with pytest.raises(MerError, match="views"):
        choose_views(x, Recipe(views="both"))


@pytest.mark.parametrize("network", ["MicroAttNet", "STSTNet", "PCA+SVM"])
def test_a_visible_label_is_learned(network):
    data = toy(clips=60)
    outcome = run_loso(data, Recipe(network=network, epochs=40, inner=2, width=4, dropout=0.2, rate=1e-2))
    # a guess by prevalence scores about 0.4-0.57; the patches are plain to see
    assert outcome.uf1(data.y)["macro"] > 0.8


def test_the_test_subject_touches_nothing_but_its_own_scores():
    data = toy()
    poisoned = data.x.copy()
    poisoned[data.subjects == "S02"] = 1e3
    wrong = data.y.copy()
    wrong[data.subjects == "S02"] = 1 - wrong[data.subjects == "S02"]
    clean = run_fold(data.x, data.y, data.subjects, "S02", QUICK)
    other = run_fold(poisoned, wrong, data.subjects, "S02", QUICK)
    for name in clean:
        if name not in ("scores", "attention"):
            np.testing.assert_array_equal(clean[name], other[name], err_msg=name)
    assert (clean["scores"] != other["scores"]).any()


def test_workers_and_cache_change_no_bit(tmp_path):
    data = toy()
    one, two = run_loso(data, QUICK, jobs=1), run_loso(data, QUICK, cache=tmp_path, jobs=2)
    again = run_loso(data, QUICK, cache=tmp_path)
    assert len(list(tmp_path.glob("fold-*.safetensors"))) == 6
    for other in (two, again):
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.thresholds, other.thresholds)
    assert (run_loso(data, replace(QUICK, seed=1)).scores != one.scores).any()


def test_the_best_epoch_is_kept_and_waiting_ends():
    data = toy()
    member = NetworkMember(replace(QUICK, epochs=30, patience=3, rate=5e-2), data.x.shape[1:], 3, 0)
    curve = member.fit(data.x[:24], data.y[:24], data.x[24:], 1 - data.y[24:])  # wrong answers: stopping must set in
    ran = np.isfinite(curve[:, 1]).sum()
    assert ran < 30 and ran - 1 - np.nanargmin(curve[:, 1]) == 3
    state = member.state()
    reloaded = NetworkMember(member.recipe, data.x.shape[1:], 3, 7).load(state)
    np.testing.assert_array_equal(member.score(data.x)[0], reloaded.score(data.x)[0])


@pytest.mark.parametrize("shape", [{"views": 1, "phases": 1}, {"views": 1, "phases": 2}, {"labels": 2}])
def test_one_view_one_phase_other_labels(shape):
    data = toy(**shape)
    outcome = run_loso(data, QUICK)
    assert outcome.scores.shape == data.y.shape and np.isfinite(outcome.scores).all()
    np.testing.assert_array_equal(outcome.answers, outcome.scores >= outcome.thresholds)
    np.testing.assert_allclose(outcome.attention.sum(1), 1, rtol=1e-5)


def test_fixed_thresholds_are_a_half():
    outcome = run_loso(toy(), replace(QUICK, thresholds="fixed"))
    assert (outcome.thresholds == 0.5).all()
