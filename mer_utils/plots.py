"""Figures as pure functions, data in, matplotlib Figure out; and how a notebook shows a figure.

seaborn takes a second to import: where needed.
"""

import base64
import io

from mer_utils import STREAMS, study

import cv2
import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib import colormaps, cycler, rcParams
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

BLUE, ORANGE, GREEN, RED, GREY = "#3b6fb6", "#e08214", "#2e8b57", "#c0392b", "#8a8a8a"
PALETTE = (BLUE, ORANGE, GREEN, RED, GREY)
VIEW_NAMES = ("left view", "right view")
PHASE_NAMES = ("onset-apex", "apex-offset")
SHARP = 2  # pixels of the picture for each pixel of the page
MOST_COLOURS = 8192  # of a chart; the colours of a flow are a measurement and stay as they are


def set_style():
    """Make every figure drawn from now on look alike; ``open_study`` and `mer` call it."""
    sizes = {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "figure.titlesize": 10}
    sizes |= dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 8.5)
    lines = {"axes.linewidth": 0.8, "xtick.major.width": 0.8, "ytick.major.width": 0.8}
    lines |= {"lines.linewidth": 1.5, "xtick.major.size": 3.5, "ytick.major.size": 3.5}
    lines |= {"lines.solid_capstyle": "round", "axes.axisbelow": True}
    dark = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), ".15")
    dark |= {"xtick.color": ".15", "ytick.color": ".15", "axes.prop_cycle": cycler(color=PALETTE)}
    open_box = {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    bars = {"patch.edgecolor": "w", "patch.force_edgecolor": True}
    rcParams.update(sizes | lines | dark | open_box | bars)
    rcParams.update({"font.family": "DejaVu Sans", "figure.dpi": 80})


def grid(rows, columns, width, height, **options):
    """Return a Figure of ``width`` x ``height`` inches and its axes (rows, columns)."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def paint(figure):
    """Return a matplotlib Figure as PNG bytes and its width on the page, px."""
    png = study.draw_bytes(figure, SHARP * figure.dpi, pil_kwargs={"compress_level": 1})
    return png, round(figure.get_figwidth() * figure.dpi)


def bundle(png, width, alt):
    """Return the output (data, metadata) that shows PNG bytes ``width`` px wide with a text
    alternative: as a JPEG, or as a PNG of 256 colours where that is smaller and colours are few.
    """
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    images, encodings = {"image/jpeg": picture}, {}
    if picture.getcolors(MOST_COLOURS):
        images["image/png"] = picture.quantize(256, dither=0)
    for kind, image in images.items():
        buffer = io.BytesIO()
        image.save(buffer, kind.removeprefix("image/"), quality=85, subsampling=0, optimize=True)
        encodings[kind] = buffer.getvalue()
    kind, encoded = min(encodings.items(), key=lambda pair: len(pair[1]))
    data = {kind: base64.b64encode(encoded).decode(), "text/plain": alt}
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
    titles = [" ".join(title.split()) for title in titles if title]
    return "Figure: " + "; ".join(dict.fromkeys(titles))


def show_figures_so():
    """Let Jupyter show a Figure (made without pyplot) that ends a cell in the same way."""
    if (shell := get_ipython()) is not None:
        shell.display_formatter.mimebundle_formatter.for_type(
            Figure, lambda figure, **_: bundle(*paint(figure), tell_titles(figure))
        )


def draw_counts(groups, title, xlabel):
    """Show how often each whole number occurs in groups {name: (N,)}, with their medians."""
    import seaborn

    figure, ((axis,),) = grid(1, 1, 7, 2.8)
    named = {f"{name}: median {np.median(values):g}": values for name, values in groups.items()}
    style = {"palette": [BLUE, GREY, ORANGE][: len(groups)], "alpha": 1, "shrink": 0.8}
    seaborn.histplot(named, ax=axis, discrete=True, multiple="dodge", **style)
    axis.set(title=title, xlabel=xlabel, ylabel="clips")
    axis.yaxis.get_major_locator().set_params(integer=True)
    return figure


def draw_spread(groups, title, ylabel):
    """Show groups of values {name: (N,)} as boxes with their points and their medians."""
    import seaborn

    figure, ((axis,),) = grid(1, 1, 1.8 + 1.3 * len(groups), 3.2)
    top = max(map(max, groups.values()))
    box = {"showfliers": False, "width": 0.5, "fill": False, "color": GREY, "linewidth": 1}
    seaborn.boxplot(groups, ax=axis, medianprops={"color": RED}, **box)
    seaborn.swarmplot(groups, ax=axis, color=BLUE, size=2.5, alpha=0.6, warn_thresh=1)
    for k, group in enumerate(groups.values()):
        axis.text(k, top * 1.04, f"median {np.median(group):.3f}", ha="center", fontsize=8)
    axis.set(title=title, ylabel=ylabel, ylim=(0, top * 1.14))
    return figure


def draw_bars(values, title, xlabel, highlight=(), reference=None, intervals=None):
    """Show {name: number} as bars with numbers; ``highlight`` names stand out, ``reference`` is a
    line, ``intervals`` {name: (low, high)} are whiskers.
    """
    figure, ((axis,),) = grid(1, 1, 7, 0.9 + 0.32 * len(values))
    colours = [BLUE if name in highlight else GREY for name in values]
    axis.barh(list(values), list(values.values()), color=colours)
    axis.invert_yaxis()  # the first one on top
    for k, (name, number) in enumerate(values.items()):
        low, high = (intervals or {}).get(name, (number, number))
        if low < high:
            reach = [[number - low], [high - number]]
            axis.errorbar(number, k, xerr=reach, color="black", linewidth=1, capsize=4)
        axis.text(max(high, 0), k, f" {number:.3f}", va="center")
    if reference is not None:
        axis.axvline(reference, color=RED, linestyle="--", linewidth=1)
    axis.margins(x=0.12)
    axis.set(title=title, xlabel=xlabel)
    return figure


def draw_differences(rows, title, xlabel, dots=None, margin=0.0):
    """Show {name: Comparison} as points with their 95 % intervals around zero: blue better, orange
    worse, grey within chance. ``dots`` {name: (D,)} are the differences of single data sets,
    ``margin`` is the half width of a band around zero.
    """
    figure, ((axis,),) = grid(1, 1, 7.5, 0.9 + (0.4 if dots else 0.27) * len(rows))
    colours = {"better": BLUE, "worse": ORANGE}
    axis.axvline(0, color="black", linewidth=0.8)
    if margin:
        band = {"color": GREEN, "alpha": 0.12, "linewidth": 0, "label": f"margin of ±{margin:g}"}
        axis.axvspan(-margin, margin, **band)
    for place, (name, row) in enumerate(rows.items()):
        colour = colours.get(row.verdict, GREY)
        axis.hlines(place, row.difference_low, row.difference_high, colour, linewidth=2.5)
        axis.scatter(row.difference, place, s=30, color=colour, zorder=3)
        beside = axis.get_yaxis_transform()
        axis.text(1.01, place, f"{row.difference:+.3f}", va="center", transform=beside)
        if dots:
            style = {"s": 14, "color": GREY, "alpha": 0.7, "linewidths": 0}
            style["label"] = None if place else "one data set"
            axis.scatter(dots[name], [place + 0.25] * len(dots[name]), **style)
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set(title=title, xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5))
    if dots:
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def draw_lines(x, curves, title, xlabel, ylabel, marks=()):
    """Show curves {name: (N,)} over ``x`` (N,); vertical lines at ``marks``, pairs (x, text)."""
    figure, ((axis,),) = grid(1, 1, 7, 2.9)
    for name, values in curves.items():
        axis.plot(x, values, label=name)
    for k, (place, text) in enumerate(marks):
        colour = (RED, GREY, GREEN, ORANGE)[k % 4]
        axis.axvline(place, color=colour, linestyle="--", linewidth=1, label=text)
    axis.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def draw_table(values, rows, columns, title, low=0.0, high=1.0):
    """Show numbers (R, C) as a heat map with each number written in its cell."""
    figure, ((axis,),) = grid(1, 1, 2.2 + 0.95 * len(columns), 0.9 + 0.36 * len(rows))
    names = {"xticklabels": columns, "yticklabels": rows}
    draw_heat(axis, np.asarray(values, float), low, high, fmt=".2f", **names)
    axis.set_title(title)
    return figure


def draw_heat(axis, values, low=0.0, high=1.0, annot=True, fmt="", **names):
    """Draw a heat map with a text in each cell (``annot``: the numbers, or texts of their own)."""
    import seaborn

    colours = "RdBu_r" if low < 0 else "Blues"  # of signed numbers zero is white
    scale = {"cmap": colours, "vmin": low, "vmax": high, "cbar": False}
    seaborn.heatmap(values, ax=axis, annot=annot, fmt=fmt, **scale, **names)
    axis.tick_params(axis="both", length=0, labelrotation=0)


def name_views(count):
    return VIEW_NAMES if count == 2 else ("view",) * count


def draw_images(images, titles, columns=None, boxes=None, size=1.9):
    """Show grey (H, W) or RGB (H, W, 3) images, each with a box (x0, y0, x1, y1) px or None."""
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    aspect = images[0].shape[0] / images[0].shape[1]
    figure, axes = grid(rows, columns, size * columns, rows * (size * aspect + 0.3))
    boxes = [None] * len(images) if boxes is None else boxes
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title, box in zip(axes.flat, images, titles, boxes, strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.set_title(title)
        if box is not None:
            x0, y0, x1, y1 = box
            style = {"fill": False, "edgecolor": ORANGE, "linewidth": 1.5}
            axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **style))
    return figure


def flow_to_rgb(flow, maximum):
    """Return flow (2, H, W) px as RGB (H, W, 3) in [0, 1], full colour at ``maximum`` px."""
    u, v = flow
    hue = (np.arctan2(v, u) / (2 * np.pi)) % 1
    saturation = np.clip(np.hypot(u, v) / maximum, 0, 1)
    return hsv_to_rgb(np.stack([hue, saturation, np.ones_like(hue)], -1))


def lay_over(frame, flow, maximum):
    """Return flow (2, H, W) px as colours over a grey ``frame`` (H, W), to whose size it is
    brought, or over white (None): RGB (H, W, 3) in [0, 1]. Pixels that are NaN show the pale frame,
    or grey.
    """
    if frame is not None and flow.shape[1:] != frame.shape:
        size = frame.shape[::-1]
        flow = np.stack([cv2.resize(p, size, interpolation=cv2.INTER_NEAREST) for p in flow])
    colours, beside = flow_to_rgb(np.nan_to_num(flow), maximum), np.isnan(flow[0])[..., None]
    if frame is None:
        return np.where(beside, 0.9, colours)
    grey = frame[..., None] / 255
    return np.where(beside, 0.5 + 0.5 * grey, colours * (0.35 + 0.65 * grey))


def find_maximum(flows):
    """Return the speed, px, that 99.5 % of the pixels of flows (..., 2, H, W) do not exceed."""
    speeds = [np.hypot(flow[..., 0, :, :], flow[..., 1, :, :]).ravel() for flow in flows]
    return max(1e-6, *(float(np.nanpercentile(speed, 99.5)) for speed in speeds))


def add_arrows(axis, flow, maximum, step, side=None):
    """Draw into ``axis`` every ``step``-th arrow of a flow (2, H, W) px, over a picture ``side`` px
    wide (W if None); an arrow of ``maximum`` px reaches the next.
    """
    half, scale = step // 2, (side or flow.shape[2]) / flow.shape[2]
    y, x = np.mgrid[half : flow.shape[1] : step, half : flow.shape[2] : step]
    y, x = np.array([y, x])[:, np.isfinite(flow[0][y, x])]
    style = {"angles": "xy", "scale_units": "xy", "scale": maximum / step / scale, "width": 0.005}
    axis.quiver((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5, *flow[:, y, x], **style)


def draw_flow(frame, flows, titles, maximum=None, step=12, heading=""):
    """Show flow fields (2, H, W) px as colours with arrows over the grey ``frame`` (H, W), over
    one frame each, or over white (None); pixels that are NaN stay grey. All share one scale, told
    by a wheel of directions that is full at ``maximum`` px.
    """
    maximum = maximum or find_maximum(flows)
    frames = [frame] * len(flows) if frame is None or np.ndim(frame) == 2 else frame
    size = 1.5 * len(flows) + 0.9, 1.75 + 0.25 * bool(heading)
    figure, (axes,) = grid(1, len(flows) + 1, *size, width_ratios=[*[2] * len(flows), 1])
    for axis, below, flow, title in zip(axes, frames, flows, titles, strict=False):
        picture = lay_over(below, flow, maximum)
        axis.imshow(picture, interpolation="nearest" if below is None else "bilinear")
        add_arrows(axis, flow, maximum, step, picture.shape[1])
        axis.set_title(title)
        axis.axis("off")
    add_wheel(axes[-1], maximum)
    figure.suptitle(heading, x=0.01, ha="left", weight="bold")
    return figure


def draw_maps(maps, heading="", faces=None):
    """Show the maps (V, P, 3, S, S) px of one clip: a column per view and phase, a row each for u,
    v, magnitude; above them, where ``faces`` (V, P, H, W) are given, the flow over the face in
    which it starts. Pixels that are NaN stay grey.
    """
    views, phases = maps.shape[:2]
    names = [*["flow"] * (faces is not None), *STREAMS]
    width = 1.2 * (views * phases + 1) + 0.7 * (faces is not None)
    figure, axes = grid(len(names), views * phases, max(4.5, width), 0.7 + 1.2 * len(names))
    figure.set_layout_engine("compressed")
    limit = find_maximum([maps[:, :, :2]])
    smooth = "nearest" if maps.shape[-1] < 64 else "bilinear"  # few cells are shown as cells
    looks = (("RdBu_r", -limit), ("RdBu_r", -limit), ("Greens", 0))
    for column, line in enumerate(axes.T):
        view, phase = divmod(column, phases)
        for axis, plane, (colours, low) in zip(line[-3:], maps[view, phase], looks, strict=True):
            scale = {"cmap": colormaps[colours].resampled(25), "vmin": low, "vmax": limit}
            axis.imshow(plane, interpolation=smooth, **scale)
        if faces is not None:
            flow, face = maps[view, phase, :2], faces[view, phase]
            line[0].imshow(lay_over(face, flow, limit), interpolation="bilinear")
            add_arrows(line[0], flow, limit, max(1, flow.shape[-1] // 8), face.shape[1])
        for axis, name in zip(line, names, strict=True):
            axis.set(xticks=[], yticks=[], facecolor="0.9", ylabel="" if column else name)
            axis.spines[:].set_visible(False)
        line[0].set_title(f"{name_views(views)[view]},\n{PHASE_NAMES[phase]}")
    figure.colorbar(axes[-2, 0].images[0], ax=axes[-3:-1], label="u, v: px")
    figure.colorbar(axes[-1, 0].images[0], ax=axes[-1:], label="magnitude: px")
    if faces is not None:
        add_wheel(axes[0, -1].inset_axes((1.15, 0.3, 0.6, 0.6)), limit)
    figure.suptitle(heading, x=0.01, ha="left", weight="bold")
    return figure


def draw_motion_curve(
    curve, joint, onset, apex, offset, truth=None, true_apex=None, fps=None, axis=None
):
    """Show each view's motion curve (V, T) px, the joint curve (T,), the three frames, and any true
    AU motion (T,), scaled: only its shape and its peak are to be compared.
    """
    figure = None
    if axis is None:
        figure, ((axis,),) = grid(1, 1, 7, 2.9)
    frames = np.arange(curve.shape[1])
    for k, (name, colour) in enumerate(zip(name_views(len(curve)), (BLUE, GREEN), strict=False)):
        axis.plot(frames, curve[k], ".-", color=colour, linewidth=0.9, markersize=4, label=name)
    axis.plot(frames, joint, color="black", linewidth=2, label="joint")
    if truth is not None:
        style = {"color": ORANGE, "alpha": 0.25, "label": "true AU motion (scaled)"}
        axis.fill_between(frames, truth * (joint.max() / truth.max()), **style)
    for frame, name in ((onset, "onset"), (offset, "offset")):
        axis.axvline(frame, color=GREY, linestyle=":")
        place = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom"}
        axis.annotate(name, (frame, 1), fontsize=8, **place)
    axis.axvline(apex, color=RED, label=f"apex found: frame {apex}")
    if true_apex is not None:
        style = {"color": ORANGE, "linestyle": "--", "linewidth": 2}
        axis.axvline(true_apex, label=f"true apex: frame {true_apex}", **style)
    xlabel = "frame" if fps is None else f"frame ({fps:g} a second)"
    axis.set(xlabel=xlabel, ylabel="motion from onset, px")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def add_wheel(axis, maximum):
    """Draw into ``axis`` what the colours of ``flow_to_rgb`` mean, full at ``maximum`` px."""
    y, x = np.mgrid[-1:1:81j, -1:1:81j]
    disc = np.where((np.hypot(x, y) <= 1)[..., None], flow_to_rgb(np.stack([x, y]), 1), 1)
    axis.imshow(disc, interpolation="bilinear")
    axis.axis("off")
    axis.set_title("direction", fontsize=8, pad=2)
    axis.text(40, 84, f"full at {maximum:.2g} px", fontsize=8, ha="center", va="top")


def add_answers(axis, prediction):
    """Draw each label's mean probability (blue: yes), the networks' own, thresholds (red)."""
    p, rows = prediction, np.arange(len(prediction.labels))
    axis.barh(rows, p.scores.mean(0), color=[BLUE if yes else GREY for yes in p.answers])
    axis.plot(p.scores.T, rows, ".", color="black", markersize=3, alpha=0.6)
    axis.plot(p.thresholds, rows, "|", color=RED, markersize=20, markeredgewidth=2)
    answers = [label for label, yes in zip(p.labels, p.answers, strict=True) if yes]
    title = f"answered: {', '.join(answers) or 'no label'}"
    title = title if len(title) < 45 else f"answered: {len(answers)} of {len(p.labels)} labels"
    red = "; red: threshold" if np.isfinite(p.thresholds).any() else ""
    xlabel = f"probability (dots: networks{red})"
    axis.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6), title=title, xlabel=xlabel)
    axis.set_yticks(rows, p.labels)
