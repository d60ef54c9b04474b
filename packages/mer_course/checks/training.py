"""Exercises of 05: easy clips, patience, a mirror that forgets a sign, and shuffled labels."""

from dataclasses import replace

from mer_course.checks.answer import read_numbers, tell
from mer_utils.dataset import read_frames
from mer_utils.features import FrontEnd, flow_maps
from mer_utils.plots import ORANGE, PALETTE, draw_bars, draw_lines, grid
from mer_utils.preprocessing import load_crops, split_views
from mer_utils.training import Stopping, flip, mean_precision

import numpy as np
import torch
from IPython.display import display

EASY, HARD = 0.6, 0.3  # p_t of the easy and of the hard clips
GAMMAS = (0, 1, 2)
SEEDS, DEALS = 5, 20  # trainings of the last two exercises


def share_of_easy(easy, gamma, hard=HARD, counts=(90, 10)):
    """Return which share of the focal loss comes from the easy of ``counts`` (easy, hard) clips,
    whose true answers have the probabilities ``easy`` and ``hard``.
    """
    parts = [n * (1 - p) ** gamma * -np.log(p) for n, p in zip(counts, (easy, hard), strict=True)]
    return parts[0] / (parts[0] + parts[1])


def check_1(shares):
    """Check the shares that easy clips of EASY have of the loss for each of GAMMAS; draw them."""
    given = read_numbers(shares, (len(GAMMAS),))
    if given is None:
        return tell(False, "", f"easy_share must be {len(GAMMAS)} numbers, one a gamma")
    expected = [share_of_easy(EASY, gamma) for gamma in GAMMAS]
    right = np.allclose(given, expected, atol=0.01)
    hint = f"the computation of 5.2 with {EASY} for the easy clips, as shares between 0 and 1."
    before = [f"{share_of_easy(0.9, gamma):.0%}" for gamma in GAMMAS]
    praise = f"{', '.join(f'{s:.0%}' for s in expected)}; at 0.9 it was {', '.join(before)}."
    tell(right, praise, hint)
    if right:
        p = np.linspace(0.4, 0.99, 60)
        curves = {f"gamma {gamma}": share_of_easy(p, gamma) for gamma in GAMMAS}
        title = "the easier the 90 clips, and the larger gamma, the less they count"
        figure = draw_lines(p, curves, title, "$p_t$ of the easy clips", "their share of the loss")
        for share, colour in zip(given, PALETTE, strict=False):
            figure.axes[0].plot(EASY, share, "o", color=colour, markersize=7)
        display(figure)


def find_kept(curves, recipe, patience):
    """Return of each network, from curves (..., E, 4), the epoch kept and the last one trained,
    (n,) each and counted from 1, had it waited ``patience`` epochs only.
    """
    kept, last = [], []
    for curve in curves.reshape(-1, *curves.shape[-2:]):
        stopping = Stopping(replace(recipe, patience=patience))
        for epoch, (_, loss, precision, share) in enumerate(curve[np.isfinite(curve[:, 0])], 1):
            if stopping.take(loss, precision, share):
                best = epoch
            if stopping.done:
                break
        kept.append(best)
        last.append(epoch)
    return np.array(kept), np.array(last)


def check_2(kept, curves, recipe, patience):
    """Check the epoch (n,), counted from 1, that each network would have kept with less patience;
    draw what all values of patience up to the recipe's cost and bring.
    """
    runs = curves.reshape(-1, *curves.shape[-2:])
    given = read_numbers(kept, (len(runs),))
    if given is None:
        return tell(False, "", f"kept must be {len(runs)} epochs, one a network")
    expected, _ = find_kept(curves, recipe, patience)
    wrong = int((given != expected).sum())
    hint = f"{wrong} of {len(runs)} differ. Epochs count from 1; of equal AP the loss decides; "
    hint += f"after {patience} epochs without anything better nothing later counts."
    own, _ = find_kept(curves, recipe, recipe.patience)
    praise = f"{(expected != own).sum()} of {len(runs)} networks would be others."
    tell(wrong == 0, praise, hint)
    if wrong == 0:
        several = np.arange(1, recipe.patience + 1)
        precision, trained = [], []
        for few in several:
            best, last = find_kept(curves, recipe, few)
            precision.append(np.mean([run[k - 1, 2] for run, k in zip(runs, best, strict=True)]))
            trained.append(last.mean())
        shares = {
            "AP on inner people": np.divide(precision, precision[-1]),
            "epochs trained": np.divide(trained, trained[-1]),
        }
        title = f"patience 1 keeps {shares['AP on inner people'][0]:.0%} of the AP for "
        title += f"{shares['epochs trained'][0]:.0%} of the epochs"
        y = f"share of patience {recipe.patience}"
        figure = draw_lines(several, shares, title, "patience", y, [(patience, "asked for")])
        figure.axes[0].set_ylim(0, 1.05)
        display(figure)


def mirror_film(clip, frames):
    """Return the frames (V, T, H, W) of a clip as a mirror shows them, and the Clip with its boxes
    (if it has any) mirrored.
    """
    wide = frames.shape[-1]
    if clip.boxes:
        boxes = tuple((wide - x1, y0, wide - x0, y1) for x0, y0, x1, y1 in clip.boxes[::-1])
        clip = replace(clip, boxes=boxes)
    return frames[::-1, :, :, ::-1].copy(), clip


def check_3(forget_sign, x, film, train, samples, seed):
    """Check a function that mirrors maps x (N, V, P, 3, S, S) but leaves the sign of u; where it is
    right, train SEEDS networks with it and as many with the right mirror (``train(*samples, seed,
    mirror)``, see notebook 05), and draw u beside that of ``film``, the maps (V, P, 3, S, S) of the
    first clip's mirrored film (None: there are no frames).
    """
    x = torch.tensor(np.asarray(x))
    try:
        given = torch.as_tensor(forget_sign(x.clone()))
    except Exception as error:  # a student's function may fail in any way
        return tell(False, "", f"forget_sign(x) stops with {type(error).__name__}: {error}")
    if given.shape != x.shape:
        return tell(False, "", f"forget_sign(x) must return maps of the shape {tuple(x.shape)}")
    if torch.equal(given, flip(x)):
        return tell(False, "", "this is the right mirror: u has changed its sign.")
    hint = "views and columns in reverse order, and nothing else: which axes are these?"
    if not torch.equal(given, torch.flip(x, (1, -1))):
        return tell(False, "", hint)
    found = {
        name: [rate(train(*samples, seed + k, how)[0], *samples[2:]) for k in range(SEEDS)]
        for name, how in (("mirror", flip), ("forget_sign", forget_sign))
    }
    words = [f"{np.mean(each):.2f} ± {np.std(each):.2f}" for each in found.values()]
    praise = f"AP on inner people {words[0]} with `mirror`, {words[1]} without the sign ({SEEDS} "
    tell(True, praise + "seeds, mean ± sd).", "")
    if film is not None:
        u = {
            "the film mirrored": film[:, 0, 0],
            "mirror": flip(x)[0, :, 0, 0].numpy(),
            "forget_sign": given[0, :, 0, 0].numpy(),
        }
        truth, *both = (maps.ravel() for maps in u.values())
        like = [f"{np.corrcoef(truth, maps)[0, 1]:+.2f}" for maps in both]
        print(f"Correlation with the film's own u: {like[0]} and {like[1]}.")
        display(_draw_u(u))


def rate(network, x, y):
    """Return the mean AP of a network's logits for maps x against labels y (N, L)."""
    network.eval()
    with torch.no_grad():
        return mean_precision(np.asarray(y), network(x).numpy())


def follow_mirrored(dataset, row, apex, options=FrontEnd()):
    """Return the maps (V, P, 3, S, S) of a clip's mirrored film with the apex ``apex``; None where
    the set has no frames.
    """
    if dataset.channels:
        return None
    clip = dataset.clips[row]
    frames = np.stack([split_views(raw, dataset.views) for raw in read_frames(clip)], 1)
    frames, clip = mirror_film(clip, frames)
    crops, _ = load_crops(clip, dataset.views, options.crop, options.enlarge, frames)
    return flow_maps(crops, clip.onset, int(apex), clip.offset, options)


def _draw_u(named):
    """Show the maps of u {name: (V, S, S)}, a row a view, on one scale."""
    views = len(next(iter(named.values())))
    figure, axes = grid(views, len(named), 1.7 * len(named) + 0.6, 1.6 * views + 0.3)
    limit = max(np.abs(maps).max() for maps in named.values())
    for column, (name, maps) in zip(axes.T, named.items(), strict=True):
        for axis, plane in zip(column, maps, strict=True):
            shown = axis.imshow(plane, cmap="RdBu_r", vmin=-limit, vmax=limit)
            axis.axis("off")
        column[0].set_title(f"u, {name}")
    figure.colorbar(shown, ax=axes, shrink=0.8, label="px, right: red")
    return figure


def rank_by_chance(truth, times=200):
    """Return the mean AP of clips in random order, from truth (N, L)."""
    rng = np.random.default_rng(0)
    return np.mean([mean_precision(truth, rng.random(truth.shape)) for _ in range(times)])


def check_4(deal, train, samples, seed):
    """Check a function that deals training labels (n, L) to other clips by ``deal(labels, k)``;
    where it is right, train DEALS networks on such labels (``train(*samples, seed)``, see notebook
    05), and draw their AP on training clips and on the people they stopped on.
    """
    x, y, x_stop, y_stop = samples
    try:
        dealt = [torch.as_tensor(deal(y.clone(), k)) for k in range(DEALS)]
    except Exception as error:  # a student's function may fail in any way
        return tell(False, "", f"deal(labels, k) stops with {type(error).__name__}: {error}")
    if any(labels.shape != y.shape for labels in dealt):
        return tell(False, "", f"deal(labels, k) must return labels of the shape {tuple(y.shape)}")
    if any(sorted(labels.tolist()) != sorted(y.tolist()) for labels in dealt):
        return tell(False, "", "each row must stay as it is: only the order of the rows changes.")
    if any(torch.equal(labels, y) for labels in dealt):
        return tell(False, "", "the labels are still in their own order.")
    if all(torch.equal(labels, dealt[0]) for labels in dealt):
        return tell(False, "", "another k must give another order: k is the seed.")
    found = []
    for k, labels in enumerate(dealt):
        network, _ = train(x, labels.to(y.dtype), x_stop, y_stop, seed + k)
        found.append((rate(network, x, labels), rate(network, x_stop, y_stop)))
    means, low, high = np.mean(found, 0), *np.percentile(found, (25, 75), axis=0)
    chance = [rank_by_chance(np.asarray(part)) for part in (y, y_stop)]
    names = ("training clips, labels as dealt", "inner people, true labels")
    words = [f"{mean:.2f} (by chance {by:.2f})" for mean, by in zip(means, chance, strict=True)]
    tell(True, f"AP on training clips {words[0]}, on inner people {words[1]}.", "")
    ends = {name: (low[k], high[k]) for k, name in enumerate(names)}
    title = f"labels at random: AP {means[0]:.2f} on training clips, {means[1]:.2f} on inner people"
    bars = dict(zip(names, means, strict=True))
    figure = draw_bars(bars, title, "mean average precision", names[:1], None, ends)
    for k, number in enumerate(chance):
        style = {"color": ORANGE, "linewidth": 2.5, "label": "" if k else "random order"}
        figure.axes[0].plot([number] * 2, [k - 0.4, k + 0.4], **style)
    figure.axes[0].legend(loc="lower right")
    display(figure)
