"""Charts of numbers as pure functions: data in, matplotlib Figure out. Pictures of faces and flow
are in pictures.py.
"""

from mer_utils import STREAMS
from mer_utils.figures.style import BLUE, GREEN, GREY, ORANGE, PHASE_NAMES, RED, VIEW_NAMES, grid

import numpy as np
import seaborn

# of (low, value, high): the value, and both ends
ENDS = {"estimator": "median", "errorbar": ("pi", 100)}


def draw_dataset(labels, matrix, subjects):
    """Show clips per label (bars) from the label matrix (N, L) and clips per subject (sorted bars)
    from the names (N,).
    """
    figure, ((left, right),) = grid(1, 2, 9, 2.8)
    counts = matrix.sum(0)
    left.barh(labels[::-1], counts[::-1], color=BLUE)
    for k, count in enumerate(counts[::-1]):
        left.text(count, k, f" {count} ({count / len(matrix):.0%})", va="center")
    left.set(
        title=f"clips per label (of {len(matrix)}; a clip may have two)",
        xlim=(0, counts.max() * 1.3),
    )
    names, sizes = np.unique(subjects, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    right.bar(names[order], sizes[order], color=GREY)
    right.set(title="clips per subject", ylabel="clips")
    right.tick_params(axis="x", rotation=90)
    return figure


def draw_counts(groups, title, xlabel):
    """Show how often each whole number occurs in named groups {name: (N,)}, side by side, with
    their medians.
    """
    figure, ((axis,),) = grid(1, 1, 7, 2.8)
    named = {f"{name}: median {np.median(given):g}": given for name, given in groups.items()}
    names = np.repeat(list(named), [len(given) for given in named.values()])
    values, colours = np.concatenate(list(groups.values())), [BLUE, GREY, ORANGE][: len(groups)]
    style = {"palette": colours, "saturation": 1, "native_scale": True}
    seaborn.countplot(x=values, hue=names, ax=axis, **style)
    axis.set(title=title, xlabel=xlabel, ylabel="clips")
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.legend(frameon=False)
    return figure


def draw_spread(groups, title, ylabel):
    """Show values of named groups {name: (N,)} as boxes with their points, the median written above
    each.
    """
    figure, ((axis,),) = grid(1, 1, 1.8 + 1.3 * len(groups), 3.2)
    names = np.repeat(list(groups), [len(values) for values in groups.values()])
    values, top = np.concatenate(list(groups.values())), max(map(max, groups.values()))
    box = {"showfliers": False, "width": 0.5, "fill": False, "color": GREY, "linewidth": 1}
    seaborn.boxplot(x=names, y=values, ax=axis, medianprops={"color": RED}, **box)
    seaborn.swarmplot(x=names, y=values, ax=axis, color=BLUE, size=2.5, alpha=0.6, warn_thresh=1)
    for k, given in enumerate(groups.values()):
        text = f"median {np.median(given):.3f}"
        axis.annotate(text, (k, top * 1.04), ha="center", fontsize=8)
    axis.set(title=title, ylabel=ylabel, ylim=(0, top * 1.14))
    return figure


def draw_bars(values, title, xlabel, highlight=(), reference=None, intervals=None):
    """Show {name: number} as horizontal bars with numbers; ``highlight`` names stand out;
    ``reference`` is a line; ``intervals`` {name: (low, high)} adds whiskers.
    """
    figure, ((axis,),) = grid(1, 1, 7, 0.9 + 0.32 * len(values))
    numbers = np.array(list(values.values()), float)
    ends = np.array([(intervals or {}).get(name, (value, value)) for name, value in values.items()])
    axis.barh(list(values), numbers, color=[BLUE if n in highlight else GREY for n in values])
    axis.invert_yaxis()  # the first one on top
    for k, (name, number) in enumerate(values.items()):
        if name in (intervals or {}):  # a bar without an interval gets no whiskers of no length
            reach = np.abs(ends[k] - number)[:, None]
            axis.errorbar(number, k, xerr=reach, color="black", linewidth=1, capsize=4)
        axis.text(max(number, *ends[k], 0), k, f" {number:.3f}", va="center")
    if reference is not None:
        axis.axvline(reference, color=RED, linestyle="--", linewidth=1)
    largest = max(numbers.max(), ends.max())
    axis.set(title=title, xlabel=xlabel, xlim=(min(0, numbers.min(), ends.min()), largest * 1.15))
    return figure


def _list_ends(values, intervals):
    """Return (names, numbers) with three numbers per name: low end, value, high end."""
    ends = {name: (intervals or {}).get(name, (number, number)) for name, number in values.items()}
    points = [(low, values[name], high) for name, (low, high) in ends.items()]
    return np.repeat(list(values), 3), np.ravel(points)


def draw_differences(values, title, xlabel, intervals=None, sure=()):
    """Show {name: difference} as points with their ``intervals`` {name: (low, high)} around zero;
    those in ``sure`` stand out (blue gains, orange losses), the others are grey.
    """
    figure, ((axis,),) = grid(1, 1, 7.5, 0.9 + 0.27 * len(values))
    names, points = _list_ends(values, intervals)
    colours = {n: GREY if n not in sure else BLUE if v > 0 else ORANGE for n, v in values.items()}
    style = {"hue": names, "palette": colours, "linestyle": "none", "legend": False}
    marks = {"markersize": 5, "err_kws": {"linewidth": 2}}
    seaborn.pointplot(x=points, y=names, ax=axis, orient="h", **style, **marks, **ENDS)
    for k, number in enumerate(values.values()):
        axis.text(1.01, k, f"{number:+.3f}", va="center", transform=axis.get_yaxis_transform())
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set(title=title, xlabel=xlabel, ylabel="")
    return figure


def draw_sets(gaps, intervals, title, xlabel, margin, primary=(), own=None):
    """Show differences to a reference over D data sets, {name: (D,)}: each set as a dot, their mean
    with its interval {name: (low, high)}, and a band of +- ``margin`` around zero.

    Those named in ``primary`` stand apart, above the others. ``own`` {name: difference} marks what
    another run found, where it has one.
    """
    primary = [name for name in gaps if name in primary]
    others = [name for name in gaps if name not in primary]
    parts = {"primary": primary, "exploratory": others}
    parts = {part: names for part, names in parts.items() if names}
    sizes = [len(names) for names in parts.values()]
    figure, axes = grid(
        len(parts), 1, 7.5, 1.5 + 0.33 * sum(sizes), sharex=True, height_ratios=sizes
    )
    for axis, (part, names) in zip(axes[:, 0], parts.items(), strict=True):
        _draw_set_rows(axis, {name: np.asarray(gaps[name]) for name in names}, intervals, margin)
        marks = {name: own[name] for name in names if name in (own or {})}
        if marks:
            style = {"facecolors": "none", "edgecolors": RED, "marker": "D", "zorder": 5}
            places = [names.index(name) for name in marks]
            axis.scatter(list(marks.values()), places, s=38, label="your run, one set", **style)
        axis.set_title(part, loc="left", style="italic")
    figure.suptitle(title, fontsize=9)
    axes[-1, 0].set_xlabel(xlabel)
    entries = {}
    for axis in axes[:, 0]:
        entries |= dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    style = {"loc": "outside lower center", "frameon": False, "fontsize": 8}
    figure.legend(entries.values(), entries, ncols=len(entries), **style)
    return figure


def _draw_set_rows(axis, gaps, intervals, margin):
    """Draw the rows of one family into ``axis``: band, sets, mean with interval and as a number."""
    means = {name: values.mean() for name, values in gaps.items()}
    band = f"margin of ±{margin:g}"
    axis.axvspan(-margin, margin, color=GREEN, alpha=0.12, linewidth=0, label=band)
    axis.axvline(0, color="black", linewidth=0.8)
    lower = [row + 0.25 for row, values in enumerate(gaps.values()) for _ in values]
    dots = {"s": 14, "color": GREY, "alpha": 0.7, "linewidths": 0, "label": "one data set"}
    axis.scatter(np.concatenate(list(gaps.values())), lower, **dots)
    ends = np.array([intervals[name] for name in gaps]).T
    centres = np.array(list(means.values()))
    style = {"color": BLUE, "markersize": 5, "linewidth": 2, "label": "mean, 95 % interval"}
    axis.errorbar(centres, np.arange(len(gaps)), xerr=np.abs(ends - centres), fmt="o", **style)
    for row, mean in enumerate(means.values()):
        axis.text(1.01, row, f"{mean:+.3f}", va="center", transform=axis.get_yaxis_transform())
    axis.set_yticks(range(len(gaps)), list(gaps))
    axis.set_ylim(len(gaps) - 0.5, -0.5)


def draw_sensitivity(axes, rows, title=""):
    """Show how measurements change along several axes: ``axes`` {axis title: (R,) settings},
    ``rows`` {y label: {axis title: (values (R,), low (R,), high (R,))}}; one column an axis, one
    row a measurement, bands for the intervals. Above each line stands how far it reaches.
    """
    figure, table = grid(len(rows), len(axes), 2.6 * len(axes), 2.2 * len(rows))
    for number, (label, measured) in enumerate(rows.items()):
        top = max(np.nanmax(high) for _, _, high in measured.values())
        for axis, (name, settings) in zip(table[number], axes.items(), strict=True):
            values, low, high = measured[name]
            axis.fill_between(settings, low, high, color=BLUE, alpha=0.2, linewidth=0)
            axis.plot(settings, values, "o-", color=BLUE, markersize=4)
            axis.set(ylim=(0, 1.05 * top), ylabel=label if axis is table[number, 0] else "")
            axis.set_title(f"{np.min(values):.2f} to {np.max(values):.2f}")
            axis.xaxis.get_major_locator().set_params(nbins=5)
            if number == len(rows) - 1:
                axis.set_xlabel(name)
    figure.suptitle(title)
    return figure


def draw_lines(x, curves, title, xlabel, ylabel, marks=()):
    """Show named curves {name: (N,)} over ``x`` (N,); ``marks`` are (x, text) pairs drawn as
    vertical lines.
    """
    figure, ((axis,),) = grid(1, 1, 7, 2.9)
    for name, values in curves.items():
        axis.plot(x, values, label=name)
    for k, (place, text) in enumerate(marks):
        axis.axvline(
            place, color=(RED, GREY, GREEN, ORANGE)[k % 4], linestyle="--", linewidth=1, label=text
        )
    axis.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def draw_table(values, rows, columns, title, low=0.0, high=1.0):
    """Show numbers (R, C) as a heat map with each number written in its cell."""
    figure, ((axis,),) = grid(1, 1, 2.2 + 0.95 * len(columns), 0.9 + 0.36 * len(rows))
    names = {"xticklabels": columns, "yticklabels": rows}
    _draw_heat(axis, np.asarray(values, float), low, high, fmt=".2f", **names)
    axis.set_title(title)
    return figure


def _draw_heat(axis, values, low=0.0, high=1.0, annot=True, fmt="", **names):
    """Draw a heat map with a text in each cell (``annot``: the numbers, or texts of their own)."""
    scale = {"cmap": "Blues", "vmin": low, "vmax": high, "cbar": False}
    seaborn.heatmap(values, ax=axis, annot=annot, fmt=fmt, **scale, **names)
    axis.tick_params(axis="both", length=0, labelrotation=0)


def draw_confusion(counts, labels, title=""):
    """Show one 2 x 2 table per label from counts (L, 2, 2): rows truth, columns answer."""
    figure, axes = grid(1, len(labels), 1.9 * len(labels), 2.2 + 0.25 * bool(title))
    shares = counts / counts.sum(2, keepdims=True).clip(1)
    for axis, table, share, label in zip(axes[0], counts, shares, labels, strict=True):
        pairs = zip(table.ravel(), share.ravel(), strict=True)
        texts = np.reshape([f"{count}\n{part:.0%}" for count, part in pairs], (2, 2))
        sides = ["no", "yes"]
        _draw_heat(axis, share, annot=texts, square=True, xticklabels=sides, yticklabels=sides)
        axis.set(title=label, xlabel="answer")
    axes[0, 0].set_ylabel("truth")
    figure.suptitle(title)
    return figure


def draw_learning_curves(curves, title):
    """Show how networks learn from their curves (F, K, E, 4; NaN after the stop): the loss on the
    training part and on inner people, and the inner people's mean average precision; medians bold,
    quartiles as a band, as long as half of the networks go on. Dots mark the best medians.
    """
    figure, ((left, right),) = grid(1, 2, 9, 3)
    runs = curves.reshape(-1, *curves.shape[-2:])
    alive = np.isfinite(runs[:, :, 0]).sum(0)
    shown = max(1, int((alive >= len(runs) / 2).sum()))  # a median of few survivors would mislead
    epochs = np.arange(1, shown + 1)
    parts = ((left, 0, GREY, "training part"), (left, 1, ORANGE, "inner people"))
    middles = {}
    for axis, k, colour, name in (*parts, (right, 2, BLUE, "inner people")):
        low, middle, high = np.nanpercentile(runs[:, :shown, k], (25, 50, 75), axis=0)
        axis.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.plot(epochs, middle, color=colour, linewidth=2.5, label=name)
        middles[k] = middle
    least, most = int(middles[1].argmin()), int(middles[2].argmax())
    left.plot(least + 1, middles[1][least], "o", color=ORANGE, markersize=7)
    right.plot(most + 1, middles[2][most], "o", color=BLUE, markersize=7)
    change = 1 - middles[0][-1] / middles[0][0]
    moves = f"{'falls' if change > 0 else 'rises'} by {abs(change):.0%}"
    left.set_title(f"training loss {moves}; on inner people it is least at epoch {least + 1}")
    right.set_title(f"precision on inner people is best at epoch {most + 1}")
    left.set(ylabel="loss", ylim=(0, None))
    right.set(ylabel="mean average precision")
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
    left.legend()
    figure.suptitle(title)
    return figure


def draw_attention(weights, spread, matrix, labels):
    """Show what shares fusion attention gives, on axes from 0, a dot a clip: of each stream for the
    clips of each label, and of each map for all clips. Black: means, at the right with ``spread``
    (V, P, 3), a map's standard deviation from clip to clip; dotted: equal shares.

    weights (N, V, P, 3), which sum to 1 over a clip's maps, and labels (N, L).
    """
    figure, axes = grid(1, 2, 9.4, 3.4)
    streams = weights.sum((1, 2))  # (N, 3)
    by_label = [streams[matrix[:, k] == 1] for k in range(len(labels))]  # (clips, 3) each
    views, phases = weights.shape[1:3]
    by_map = list(weights.reshape(len(weights), -1, 3).transpose(1, 0, 2))  # (N, 3) each
    view_names = VIEW_NAMES[:views] if views > 1 else ("view",)
    names = [f"{view},\n{phase}" for view in view_names for phase in PHASE_NAMES[:phases]]
    apart = np.ptp([clips.mean(0) for clips in by_label], axis=0).max()
    moves = (spread / weights.mean(0)).mean()
    groups = (
        (by_label, None, 1 / 3, labels,
         f"labels move a stream's share by at most {100 * apart:.1f} points"),
        (by_map, spread.reshape(-1, 3), 1 / weights[0].size, names,
         f"from clip to clip a map's share moves by {moves:.1%} of itself"),
    )  # fmt: skip
    for axis, (clips, around, equal, ticks, title) in zip(axes[0], groups, strict=True):
        for k, (name, colour) in enumerate(zip(STREAMS, (BLUE, ORANGE, GREEN), strict=True)):
            places = np.arange(len(ticks)) + 0.27 * (k - 1)
            for place, shares in zip(places, clips, strict=True):
                beside = place + np.linspace(-0.09, 0.09, len(shares))
                style = {"color": colour, "s": 5, "alpha": 0.45, "linewidths": 0}
                axis.scatter(
                    beside, shares[:, k], label=name if place == places[0] else "", **style
                )
            means = [shares[:, k].mean() for shares in clips]
            ends = None if around is None else around[:, k]
            bars = {"fmt": "_", "color": "black", "markersize": 13, "capsize": 2, "elinewidth": 1}
            axis.errorbar(places, means, ends, label="mean" if k == 2 else "", **bars)
        axis.axhline(equal, color=GREY, linestyle=":", linewidth=1.2, label="equal shares")
        top = max(max(shares.max() for shares in clips), equal)
        axis.set(title=title, ylim=(0, 1.1 * top))
        axis.set_xticks(range(len(ticks)), ticks)
    axes[0, 0].set_ylabel("share, a dot a clip")
    marks = axes[0, 1].get_legend_handles_labels()
    figure.legend(*marks, loc="outside lower center", ncols=5, markerscale=1.5)
    return figure
