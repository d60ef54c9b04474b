"""One style for all figures: fonts, colours, names of views and phases, and the grid that every
figure is drawn on.

How a notebook shows a figure: twice the pixels of its size on the page, small enough to commit,
with a text alternative, and with its caption below.

Charts of numbers as pure functions: data in, matplotlib Figure out. Pictures of faces and flow
are in pictures.py.

Pictures of faces, flow and networks as pure functions: data in, matplotlib Figure out. Charts
are in charts.py.
"""

import base64
import io

from mer_utils import STREAMS

import cv2
import numpy as np
import seaborn
from IPython import get_ipython
from IPython.display import display
from matplotlib import colormaps
from matplotlib.colors import hsv_to_rgb, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, FancyBboxPatch, Rectangle
from PIL import Image

BLUE, ORANGE, GREEN, RED, GREY = "#3b6fb6", "#e08214", "#2e8b57", "#c0392b", "#8a8a8a"
PALETTE = (BLUE, ORANGE, GREEN, RED, GREY)
VIEW_NAMES = ("left view", "right view")
PHASE_NAMES = ("onset-apex", "apex-offset")


def set_style():
    """Make every figure drawn from now on look alike; ``open_study`` and `mer` call it."""
    sizes = {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "figure.titlesize": 10}
    sizes |= dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 8.5)
    lines = {"axes.linewidth": 0.8, "xtick.major.width": 0.8, "ytick.major.width": 0.8}
    lines |= {"lines.linewidth": 1.5, "xtick.major.size": 3.5, "ytick.major.size": 3.5}
    open_box = {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    rc = sizes | lines | open_box | {"figure.dpi": 80}
    seaborn.set_theme(style="ticks", palette=PALETTE, font="DejaVu Sans", rc=rc)


def grid(rows, columns, width, height, **options):
    """Return a Figure of ``width`` x ``height`` inches and its axes (rows, columns), laid out
    without overlaps; ``options`` go to Figure.subplots.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


SHARP = 2  # pixels of the picture for each pixel of the page


def paint(figure):
    """Return a matplotlib Figure as PNG bytes and its width on the page, px."""
    buffer = io.BytesIO()
    quick = {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 1}}
    figure.savefig(buffer, format="png", dpi=SHARP * figure.dpi, **quick)
    return buffer.getvalue(), round(figure.get_figwidth() * figure.dpi)


def shrink(png):
    """Return PNG bytes as (media type, bytes): a PNG of 256 colours or, where it is smaller (skin,
    grain), a JPEG.
    """
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    made = []
    for kind, image, options in (
        ("png", picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=0), {}),
        ("jpeg", picture, {"quality": 75}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, kind, optimize=True, **options)
        made.append((f"image/{kind}", buffer.getvalue()))
    return min(made, key=lambda one: len(one[1]))


def bundle(png, width, alt):
    """Return the output (data, metadata) that shows PNG bytes ``width`` px wide with a text
    alternative.
    """
    kind, small = shrink(png)
    data = {kind: base64.b64encode(small).decode(), "text/plain": alt}
    return data, {kind: {"width": width, "alt": alt}}


def show(figure, caption, alt):
    """Show a Figure as a cell's output, and below it the caption; outside a notebook do nothing."""
    if get_ipython() is None:
        return
    data, metadata = bundle(*paint(figure), alt)
    display(data, metadata=metadata, raw=True)
    display({"text/markdown": f"*{caption}*", "text/plain": caption}, raw=True)


def tell_titles(figure):
    """Return a text alternative of a figure that was given none: the titles in it."""
    titles = [figure.get_suptitle(), *(axis.get_title() for axis in figure.axes)]
    titles = list(dict.fromkeys(" ".join(title.split()) for title in titles if title))
    return "Figure: " + "; ".join(titles) if titles else "Figure without a title"


def show_figures_so():
    """Let Jupyter show a Figure (made without pyplot) that ends a cell in the same way."""
    if (shell := get_ipython()) is not None:
        shell.display_formatter.mimebundle_formatter.for_type(
            Figure, lambda figure, **_: bundle(*paint(figure), tell_titles(figure))
        )


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


def _view_names(count):
    return VIEW_NAMES if count == 2 else ("view",) * count


def draw_images(images, titles, columns=None, boxes=None, size=1.9, heading=""):
    """Show grey (H, W) or RGB (H, W, 3) images in a grid; ``boxes`` holds None or (x0, y0, x1, y1)
    px for each.
    """
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    aspect = images[0].shape[0] / images[0].shape[1]
    figure, axes = grid(
        rows, columns, size * columns, rows * (size * aspect + 0.3) + (0.3 if heading else 0)
    )
    for k, axis in enumerate(axes.flat):
        axis.axis("off")
        if k < len(images):
            axis.imshow(images[k], cmap="gray", vmin=0, vmax=255)
            axis.set_title(titles[k])
            if boxes is not None and boxes[k] is not None:
                x0, y0, x1, y1 = boxes[k]
                axis.add_patch(
                    Rectangle(
                        (x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=ORANGE, linewidth=1.5
                    )
                )
    if heading:
        figure.suptitle(heading, fontsize=10)
    return figure


def draw_views_and_crop(raw, boxes, crops):
    """Show a raw side-by-side frame (H, W) with the cut and each view's box (px of the view), and
    crops (V, S, S).
    """
    count = len(crops)
    figure = Figure(figsize=(3.2 + 2.1 * count, 2.6), layout="constrained")
    axes = figure.subplots(
        1, 1 + count, width_ratios=[raw.shape[1] / raw.shape[0] * 1.02, *[1] * count]
    )
    axes[0].imshow(raw, cmap="gray", vmin=0, vmax=255)
    axes[0].set_title("one raw frame, cut at half its width")
    for k, (x0, y0, x1, y1) in enumerate(boxes):
        shift = k * (raw.shape[1] // count)
        axes[0].add_patch(
            Rectangle(
                (shift + x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=ORANGE, linewidth=1.5
            )
        )
        if k:
            axes[0].axvline(shift - 0.5, color="white", linestyle="--", linewidth=1)
        axes[k + 1].imshow(crops[k], cmap="gray", vmin=0, vmax=255)
        axes[k + 1].set_title(f"{_view_names(count)[k]}, {crops.shape[-1]} px crop")
    for axis in axes:
        axis.axis("off")
    return figure


def flow_to_rgb(flow, maximum):
    """Return flow (2, H, W) px as RGB (H, W, 3) in [0, 1]: hue is direction, saturation speed up to
    ``maximum`` px.
    """
    u, v = flow
    hue = (np.arctan2(v, u) / (2 * np.pi)) % 1
    return hsv_to_rgb(
        np.stack([hue, np.clip(np.hypot(u, v) / maximum, 0, 1), np.ones_like(hue)], -1)
    )


def lay_over(frame, flow, maximum):
    """Return flow (2, H, W) px as colours over a grey ``frame`` (H, W) or over white (None), RGB
    (H, W, 3) in [0, 1]; pixels that are NaN show the pale frame, or grey.

    A flow of fewer pixels than the frame, such as the network's, gets the frame's; over white,
    every second pixel of a row and of a column is drawn.
    """
    if frame is not None and flow.shape[1:] != frame.shape:
        size = frame.shape[::-1]
        flow = np.stack([cv2.resize(p, size, interpolation=cv2.INTER_NEAREST) for p in flow])
    if frame is None:  # few colours in large cells: a PNG of a quarter of the size
        flow = flow[:, ::2, ::2]
    colours, beside = flow_to_rgb(np.nan_to_num(flow), maximum), np.isnan(flow[0])[..., None]
    if frame is None:
        return np.where(beside, 0.9, np.round(colours * 16) / 16)
    grey = frame[..., None] / 255
    return np.where(beside, 0.5 + 0.5 * grey, colours * (0.35 + 0.65 * grey))


def find_maximum(flows):
    """Return the speed, px, at which the colours of flows (..., 2, H, W) are full: a two-hundredth
    of the pixels is faster.
    """
    speeds = [np.hypot(flow[..., 0, :, :], flow[..., 1, :, :]).ravel() for flow in flows]
    return max(1e-6, *(float(np.nanpercentile(speed, 99.5)) for speed in speeds))


def add_arrows(axis, flow, maximum, step, side=None):
    """Draw into ``axis`` every ``step``-th arrow of a flow (2, H, W) px; one of ``maximum`` px
    reaches the next. ``side`` is the width of the picture below, px, if it is not W.
    """
    half, scale = step // 2, (side or flow.shape[2]) / flow.shape[2]
    y, x = np.mgrid[half : flow.shape[1] : step, half : flow.shape[2] : step]
    here = np.isfinite(flow[0][y, x])
    y, x = y[here], x[here]
    style = {"angles": "xy", "scale_units": "xy", "scale": maximum / step / scale, "width": 0.005}
    axis.quiver((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5, *flow[:, y, x], **style)


def draw_flow(frame, flows, titles, maximum=None, step=12, heading=""):
    """Show flow fields (2, H, W) px as colours with arrows over the grey ``frame`` (H, W), over
    one frame each, or over white (None); pixels that are NaN stay grey. All share one scale, told
    by a wheel of directions that is full at ``maximum`` px.
    """
    maximum = maximum or find_maximum(flows)
    frames = [frame] * len(flows) if frame is None or np.ndim(frame) == 2 else frame
    side, top = 1.42, 0.3 + 0.25 * bool(heading)  # inches
    width, height = len(flows) * (side + 0.06) + 0.95, side + top
    figure = Figure(figsize=(width, height))
    for k, (below, flow, title) in enumerate(zip(frames, flows, titles, strict=True)):
        left = 0.03 + k * (side + 0.06)
        axis = figure.add_axes((left / width, 0.02 / height, side / width, side / height))
        picture = lay_over(below, flow, maximum)
        axis.imshow(picture, interpolation="nearest" if below is None else "bilinear")
        add_arrows(axis, flow, maximum, step, picture.shape[1])
        axis.set_title(title, pad=3)
        axis.axis("off")
    add_wheel(figure.add_axes((1 - 0.84 / width, 0.5 / height, 0.7 / width, 0.7 / height)), maximum)
    figure.suptitle(heading, x=0.03 / width, y=1 - 0.04 / height, ha="left", weight="bold")
    return figure


def draw_maps(maps, heading="", faces=None):
    """Show the maps (V, P, 3, S, S) px of one clip: a column per view and phase, a row each for u,
    v, magnitude; above them, where ``faces`` (V, P, H, W) are given, the flow over the face in
    which it starts. Pixels that are NaN stay grey.
    """
    views, phases = maps.shape[:2]
    columns, rows, side = views * phases, 3 + (faces is not None), 1.1  # inches
    width, height = max(0.3 + columns * (side + 0.06) + 0.9, 4.5), 0.75 + rows * (side + 0.06)
    figure = Figure(figsize=(width, height))
    limit = find_maximum([maps[:, :, :2]])
    smooth = "nearest" if maps.shape[-1] < 64 else "bilinear"  # few cells are shown as cells

    def place(left, row, wide, tall):  # ``row`` from below
        bottom = 0.05 + row * (side + 0.06)
        return figure.add_axes((left / width, bottom / height, wide / width, tall / height))

    looks = (("RdBu_r", -limit), ("RdBu_r", -limit), ("Greens", 0))
    shown = {}
    for column in range(columns):
        view, phase = divmod(column, phases)
        left = 0.3 + column * (side + 0.06)
        for k, (colours, low) in enumerate(looks):
            axis = place(left, 2 - k, side, side)
            given = {
                "cmap": colormaps[colours].resampled(25),
                "vmin": low,
                "vmax": limit,
                "interpolation": smooth,
            }
            shown[k] = axis.imshow(maps[view, phase, k], **given)
            axis.set(xticks=[], yticks=[], facecolor="0.9")
            axis.set_ylabel(STREAMS[k] if column == 0 else "")
            axis.spines[:].set_visible(False)
        if faces is not None:
            axis = place(left, 3, side, side)
            flow, face = maps[view, phase, :2], faces[view, phase]
            axis.imshow(lay_over(face, flow, limit), interpolation="bilinear")
            add_arrows(axis, flow, limit, max(1, flow.shape[-1] // 8), face.shape[1])
            axis.set(xticks=[], yticks=[], ylabel="flow" if column == 0 else "")
            axis.spines[:].set_visible(False)
        axis = figure.axes[-1 if faces is not None else -3]  # the top one of this column
        axis.set_title(f"{_view_names(views)[view]},\n{PHASE_NAMES[phase]}", pad=3)
    left = 0.3 + columns * (side + 0.06) + 0.04
    figure.colorbar(shown[0], cax=place(left, 1, 0.1, 2 * side), label="u, v: px")
    figure.colorbar(shown[2], cax=place(left, 0, 0.1, side), label="magnitude: px")
    if faces is not None:
        add_wheel(place(left, 3.3, 0.7, 0.7), limit)
    figure.suptitle(heading, x=0.05 / width, y=1 - 0.05 / height, ha="left", weight="bold")
    return figure


def draw_motion_curve(
    curve, joint, onset, apex, offset, truth=None, true_apex=None, fps=None, axis=None
):
    """Show each view's motion curve (V, T) px, the joint curve (T,), the three frames, and any true
    AU motion (T,).

    The truth is drawn on the joint curve's scale: only its shape and its peak are to be compared.
    """
    figure = None
    if axis is None:
        figure, ((axis,),) = grid(1, 1, 7, 2.9)
    frames = np.arange(curve.shape[1])
    for k, (name, colour) in enumerate(zip(_view_names(len(curve)), (BLUE, GREEN), strict=False)):
        axis.plot(frames, curve[k], ".-", color=colour, linewidth=0.9, markersize=4, label=name)
    axis.plot(frames, joint, color="black", linewidth=2, label="joint")
    if truth is not None:
        axis.fill_between(
            frames,
            truth * (joint.max() / truth.max()),
            color=ORANGE,
            alpha=0.25,
            label="true AU motion (scaled)",
        )
    for frame, name in ((onset, "onset"), (offset, "offset")):
        axis.axvline(frame, color=GREY, linestyle=":")
        axis.annotate(
            name,
            (frame, 1),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=8,
        )
    axis.axvline(apex, color=RED, label=f"apex found: frame {apex}")
    if true_apex is not None:
        axis.axvline(
            true_apex,
            color=ORANGE,
            linestyle="--",
            linewidth=2,
            label=f"true apex: frame {true_apex}",
        )
    axis.set(
        xlabel="frame" if fps is None else f"frame ({fps:g} a second)",
        ylabel="motion from onset, px",
    )
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def draw_hero(film, boxes, curve, joint, frames, flows, crops, truth=()):
    """Show the method on one clip, from the top: raw onset, apex and offset (3, H, W) as a film
    strip with the boxes, motion curve (V, T) and joint one (T,), and each phase's flow (V, P, 2, S,
    S) px over the crop (V, P, S, S) in which it starts; pixels that are NaN stay grey.

    ``frames`` is (onset, apex, offset); ``truth`` is (motion (T,), apex) where it is known.
    """
    width, high = 7.7, 2.42 * film.shape[1] / film.shape[2]  # inches
    side = 1.55
    height = high + side + 3.05
    figure = Figure(figsize=(width, height))
    found = frames[1]
    title = f"At the apex, frame {found}, the face has moved by {joint[found]:.2f} px on average"
    title += f"; the true apex is frame {truth[1]}" if truth and truth[1] is not None else ""
    figure.text(0.1 / width, 1 - 0.15 / height, title, fontsize=10, weight="bold", va="center")

    def place(left, bottom, wide, tall):
        return figure.add_axes((left / width, bottom / height, wide / width, tall / height))

    axis = place(0.6, side + 0.75, width - 2.6, 1.4)
    draw_motion_curve(curve, joint, *frames, *truth, axis=axis)
    for k, (picture, frame, name) in enumerate(
        zip(film, frames, ("onset", "apex", "offset"), strict=True)
    ):
        still = place(0.1 + 2.55 * k, height - high - 0.5, 2.42, high)
        still.imshow(picture, cmap="gray", vmin=0, vmax=255)
        still.set_title(f"{name}, frame {frame}", pad=3)
        still.axis("off")
        for v, (x0, y0, x1, y1) in enumerate(boxes):
            corner = (x0 + v * (film.shape[2] // len(boxes)), y0)
            style = {"fill": False, "edgecolor": ORANGE, "linewidth": 1.5}
            still.add_patch(Rectangle(corner, x1 - x0, y1 - y0, **style))
        middle = (film.shape[2] / 2, film.shape[1])
        foot = (frame, 1 if name == "apex" else 1.12)  # onset and offset are named up there
        ends = {"xyA": middle, "coordsA": still.transData, "xyB": foot}
        ends["coordsB"] = axis.get_xaxis_transform()
        figure.add_artist(ConnectionPatch(**ends, color=GREY, linewidth=0.8))
    limit = float(np.nanpercentile(np.hypot(flows[:, :, 0], flows[:, :, 1]), 99.7))
    views, phases = flows.shape[:2]
    for k in range(views * phases):
        phase, view = divmod(k, views)
        below = place(0.1 + (side + 0.1) * k, 0.05, side, side)
        grey = crops[view, phase, ..., None] / 255
        colours = flow_to_rgb(np.nan_to_num(flows[view, phase]), limit) * (0.35 + 0.65 * grey)
        beside = np.isnan(flows[view, phase, 0])[..., None]
        below.imshow(np.where(beside, 0.5 + 0.5 * grey, colours), interpolation="nearest")
        below.set_title(f"{PHASE_NAMES[phase]}, {_view_names(views)[view]}", pad=3)
        below.axis("off")
    add_wheel(place(width - 0.9, 0.45, 0.7, 0.7), limit)
    return figure


def add_wheel(axis, maximum):
    """Draw into ``axis`` what the colours of ``flow_to_rgb`` mean: a wheel of directions that is
    full at ``maximum`` px.
    """
    y, x = np.mgrid[-1:1:81j, -1:1:81j]
    disc = np.where((np.hypot(x, y) <= 1)[..., None], flow_to_rgb(np.stack([x, y]), 1), 1)
    axis.imshow(disc, interpolation="bilinear")
    axis.axis("off")
    axis.set_title("direction", fontsize=8, pad=2)
    axis.text(40, 84, f"full at {maximum:.2g} px", fontsize=8, ha="center", va="top")


def draw_blocks(boxes, title):
    """Show a network as labelled boxes: ``boxes`` is a list of columns, each a list of (text,
    colour) from the top.
    """
    rows = max(map(len, boxes))
    figure, ((axis,),) = grid(1, 1, 1.3 * len(boxes), 0.85 * rows + 0.5)
    for x, column in enumerate(boxes):
        for y, (text, colour) in enumerate(column):
            middle = (rows - len(column) + 1) / 2 + y
            face = {"facecolor": (*to_rgb(colour), 0.25), "edgecolor": colour}
            axis.add_patch(
                FancyBboxPatch((x + 0.02, middle - 0.36), 0.74, 0.72, "round,pad=0.02", **face)
            )
            axis.text(
                x + 0.39, middle, text, ha="center", va="center", fontsize=7.5, linespacing=1.3
            )
            for target in _targets(len(column), y, len(boxes[x + 1])) if x + 1 < len(boxes) else ():
                goal = (rows - len(boxes[x + 1]) + 1) / 2 + target
                arrow = {"arrowstyle": "-|>", "color": GREY, "shrinkA": 0, "shrinkB": 0}
                axis.annotate("", (x + 1.0, goal), (x + 0.78, middle), arrowprops=arrow)
    axis.set(xlim=(-0.02, len(boxes) - 0.2), ylim=(rows, 0), title=title)
    axis.axis("off")
    return figure


def _targets(count, index, following):
    return [index] if count == following else range(following)


def draw_prediction(prediction):
    """Show how one clip was answered, from a Prediction: first frames with their boxes, crops of
    onset and apex, each phase's flow over the crop in which it starts, motion curve, probabilities
    of all networks with their thresholds, and the streams' weights.
    """
    p, (views, phases) = prediction, prediction.maps.shape[:2]
    figure = Figure(figsize=(10.4, 2.0 * views + 3.3), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[2.0 * views + 0.3, 3.0])
    limit = find_maximum([p.maps[:, :, :2]])
    titles = ("first frame, crop box", f"onset: frame {p.onset}", f"apex found: frame {p.apex}")
    titles += tuple(f"flow {name}" for name in PHASE_NAMES[:phases])
    wide = [p.first[0].shape[1] / p.first[0].shape[0], *[1] * (2 + phases), 0.4]
    for k, axes in enumerate(top.subplots(views, 4 + phases, squeeze=False, width_ratios=wide)):
        starts = (p.crops[k, p.onset], p.crops[k, p.apex])
        flows = zip(starts, p.maps[k, :, :2], strict=False)
        pictures = [p.first[k], *starts, *(lay_over(face, flow, limit) for face, flow in flows)]
        for axis, picture in zip(axes, pictures, strict=False):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        for axis, title in zip(axes, (*titles, ""), strict=True):
            axis.set(xticks=[], yticks=[], title="" if k else title)
            axis.spines[:].set_visible(False)
        x0, y0, x1, y1 = p.boxes[k]
        axes[0].add_patch(
            Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=ORANGE, linewidth=2)
        )
        axes[0].set_ylabel(_view_names(views)[k])
        axes[-1].axis("off")
        if k == 0:
            add_wheel(axes[-1], limit)
    left, middle, right = bottom.subplots(1, 3, width_ratios=[1.3, 1.25, 0.45])
    draw_motion_curve(p.curve, p.joint, p.onset, p.apex, p.offset, axis=left)
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, fontsize=7)
    left.xaxis.get_major_locator().set_params(integer=True)
    add_answers(middle, p)
    right.bar(STREAMS, p.attention, color=GREY, width=0.6)
    right.axhline(1 / 3, color="black", linestyle=":", linewidth=1)
    right.set(ylim=(0, max(0.5, float(p.attention.max()) * 1.1)), title="attention")
    right.set_xticks(range(3), ["u", "v", "magn."])
    right.set_xlabel("dotted: equal shares")
    return figure


def add_answers(axis, prediction):
    """Draw into ``axis`` the mean probability of each label, blue where it is answered, with the
    networks' own as dots and the thresholds in red.
    """
    p, rows = prediction, np.arange(len(prediction.labels))
    axis.barh(rows, p.scores.mean(0), color=[BLUE if yes else GREY for yes in p.answers])
    axis.plot(p.scores.T, rows, ".", color="black", markersize=3, alpha=0.6)
    axis.plot(p.thresholds, rows, "|", color=RED, markersize=20, markeredgewidth=2)
    told = [label for label, yes in zip(p.labels, p.answers, strict=True) if yes]
    title = f"answered: {', '.join(told) or 'no label'}"
    title = title if len(title) < 45 else f"answered: {len(told)} of {len(p.labels)} labels"
    red = "; red: threshold" if np.isfinite(p.thresholds).any() else ""
    axis.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6), title=title)
    axis.set_xlabel(f"probability (dots: networks{red})")
    axis.set_yticks(rows, p.labels)
