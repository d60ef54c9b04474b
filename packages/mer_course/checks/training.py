"""Exercises of 05: easy clips, patience, a mirror that forgets a sign, and shuffled labels."""

from dataclasses import replace

from mer_course.checks.answer import compare, judge, need
from mer_utils.dataset import read_frames
from mer_utils.features import FrontEnd, extract_clip
from mer_utils.preprocessing import split_views
from mer_utils.training import find_best, flip, mean_precision

import numpy as np
import torch

SEEDS, DEALS = 5, 20  # trainings of the last two exercises


@judge
def check_1(shares):
    """The easy shares must be three numbers, one for each gamma."""
    gamma = np.arange(3)
    easy, hard = (n * (1 - p) ** gamma * -np.log(p) for n, p in ((90, 0.6), (10, 0.3)))
    expected = easy / (easy + hard)
    compare(shares, expected, "The computation of 5.2 with 0.6, as shares from 0 to 1.", 0.01)
    return f"{', '.join(f'{share:.0%}' for share in expected)} of the loss."


def find_kept(run, recipe, patience):
    """Return the epoch, from 1, that a network with the curves ``run`` (E, 4) would have kept."""
    recipe, ran = replace(recipe, patience=patience), np.isfinite(run[:, 0]).sum()
    ends = (epochs for epochs in range(1, ran) if find_best(recipe, run[:epochs])[1])
    return find_best(recipe, run[: next(ends, ran)])[0] + 1


@judge
def check_2(kept, curves, recipe, patience):
    """The epochs kept must be one number a network, counted from 1."""
    runs = curves.reshape(-1, *curves.shape[-2:])
    expected = np.array([find_kept(run, recipe, patience) for run in runs])
    hint = f"Epochs count from 1, of equal AP the loss decides, and {patience} in vain are the end."
    compare(kept, expected, hint)
    others = expected != [find_kept(run, recipe, recipe.patience) for run in runs]
    return f"{others.sum()} of {len(runs)} networks would be others."


@torch.no_grad()
def rate(network, x, y):
    """Return the mean AP of a network's logits for maps x against labels y (N, L)."""
    return mean_precision(np.asarray(y), network.eval()(x).numpy())


def mirror_film(dataset):
    """Return the maps (V, P, 3, S, S) of a set's first clip when its film is mirrored, not its
    maps; None for a set that has no films.
    """
    if dataset.channels:
        return None
    clip, views = dataset.clips[0], dataset.views
    frames = np.stack([split_views(frame, views) for frame in read_frames(clip)], 1)
    frames, wide = frames[::-1, :, :, ::-1].copy(), frames.shape[-1]
    boxes = [(wide - x1, y0, wide - x0, y1) for x0, y0, x1, y1 in (clip.boxes or ())[::-1]]
    return extract_clip(replace(clip, boxes=tuple(boxes) or None), views, FrontEnd(), frames)[0]


@judge
def check_3(forget_sign, x, film, train, samples, seed):
    """The function must return maps (N, V, P, 3, S, S) of the shape of x."""
    x = torch.tensor(np.asarray(x))
    answer, scores = forget_sign(x.clone()).numpy(), []
    compare(answer, x.flip(1, -1), "Views and columns in reverse order, and nothing else.")
    for mirror in (flip, forget_sign):
        networks = [train(*samples, seed + k, mirror)[0] for k in range(SEEDS)]
        scores.append(np.mean([rate(network, *samples[2:]) for network in networks]))
    praise = f"AP on inner people {scores[0]:.2f} with `mirror`, {scores[1]:.2f} without the sign."
    if film is not None:
        u = np.corrcoef(film[:, 0, 0].flat, answer[0, :, 0, 0].flat)[0, 1]
        praise += f" The film's own u correlates with yours by {u:+.2f}."
    return praise


@judge
def check_4(deal, train, samples, seed):
    """The function deal(labels, k) must return labels (n, L) of the same shape."""
    x, y, x_stop, y_stop = samples
    dealt = [deal(y.clone(), k).reshape(y.shape) for k in range(DEALS)]
    rows = [sorted(labels.tolist()) for labels in dealt]
    compare(rows, [sorted(y.tolist())] * DEALS, "Each row must stay as it is.")
    need(not any(map(y.equal, dealt)), "the labels are still in their own order.")
    need(any((labels != dealt[0]).any() for labels in dealt), "k is the seed: use it.")
    scores, rng = [], np.random.default_rng(0)
    for k, labels in enumerate(dealt):
        network, _ = train(x, labels, x_stop, y_stop, seed + k)
        chance = mean_precision(y_stop.numpy(), rng.random(y_stop.shape))
        scores.append((rate(network, x, labels), rate(network, x_stop, y_stop), chance))
    own, inner, chance = np.mean(scores, 0)
    return f"AP on training clips {own:.2f}, on inner people {inner:.2f} (by chance {chance:.2f})."
