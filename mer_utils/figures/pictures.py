"""Pictures of faces, flow and networks as pure functions: data in, matplotlib Figure out. Charts
are in charts.py.
"""

from mer_utils import STREAMS
from mer_utils.figures.style import BLUE, GREEN, GREY, ORANGE, PHASE_NAMES, RED, VIEW_NAMES, grid

import numpy as np
from matplotlib.colors import hsv_to_rgb, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle


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


def draw_flow(frame, flows, titles, maximum=None, step=12):
    """Show flow fields (2, H, W) px as colour with arrows over the grey ``frame`` (H, W); all share
    one scale.
    """
    maximum = maximum or max(float(np.percentile(np.hypot(*flow), 99.5)) for flow in flows)
    figure, axes = grid(1, len(flows) + 1, 2 * (len(flows) + 1), 2.3)
    axes[0, 0].imshow(frame // 8 * 8, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes[0, 0].set_title("frame")
    for axis, flow, title in zip(axes[0, 1:], flows, titles, strict=True):
        # few colours: a PNG of half the size
        colours = np.round(flow_to_rgb(flow, maximum) * 24) / 24
        axis.imshow(colours, interpolation="nearest")
        y, x = np.mgrid[step // 2 : flow.shape[1] : step, step // 2 : flow.shape[2] : step]
        axis.quiver(
            x,
            y,
            flow[0][y, x],
            flow[1][y, x],
            angles="xy",
            scale_units="xy",
            scale=maximum / step,
            width=0.004,
        )
        axis.set_title(title)
    for axis in axes.flat:
        axis.axis("off")
    figure.supxlabel(
        f"hue: direction; saturation and arrows: speed, full at {maximum:.2f} px", fontsize=8
    )
    return figure


def draw_maps(maps, heading=""):
    """Show the maps (V, P, 3, S, S) px of one clip: a row per view and phase, a column each for u,
    v, magnitude.
    """
    views, phases = maps.shape[:2]
    figure, axes = grid(views * phases, 3, 6.6, 1.9 * views * phases + 0.4)
    limit = float(np.percentile(np.abs(maps), 99.5))
    for row in range(views * phases):
        view, phase = divmod(row, phases)
        for k, axis in enumerate(axes[row]):
            low, colours = (-limit, "RdBu_r") if k < 2 else (0, "viridis")
            image = axis.imshow(
                maps[view, phase, k], cmap=colours, vmin=low, vmax=limit, interpolation="nearest"
            )
            axis.set(xticks=[], yticks=[], title=STREAMS[k] if row == 0 else "")
            figure.colorbar(image, ax=axis, shrink=0.85, label="px" if k == 2 else "")
        axes[row, 0].set_ylabel(f"{_view_names(views)[view]}\n{PHASE_NAMES[phase]}")
    if heading:
        figure.suptitle(heading, fontsize=10)
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


def draw_hero(raw, boxes, curve, joint, frames, flows, crops, truth=()):
    """Show the method on one clip: raw onset and apex (2, H, W) with the boxes, motion curve (V, T)
    and joint (T,), and each view's flow (V, 2, S, S) px over its crop (V, S, S), as colour and as
    magnitude.

    ``frames`` is (onset, apex, offset); ``truth`` is (motion (T,), apex) where it is known.
    """
    count = len(flows)
    figure = Figure(figsize=(8.2 + 2.5 * count, 5.4), layout="constrained")
    mosaic = [["0", "1", *"uv"[:count]], ["c", "c", *"mn"[:count]]]
    axes = figure.subplot_mosaic(mosaic, width_ratios=[4, 4, *[2.7] * count])
    for k, name in enumerate(("onset", "apex")):
        axes[str(k)].imshow(raw[k], cmap="gray", vmin=0, vmax=255)
        axes[str(k)].set_title(f"{name}, frame {frames[k]}")
        for v, (x0, y0, x1, y1) in enumerate(boxes):
            corner = (x0 + v * (raw.shape[2] // count), y0)
            axes[str(k)].add_patch(
                Rectangle(corner, x1 - x0, y1 - y0, fill=False, edgecolor=ORANGE, linewidth=2)
            )
    draw_motion_curve(curve, joint, *frames, *truth, axis=axes["c"])
    axes["c"].legend(fontsize=8, edgecolor="none")
    limit = float(np.percentile(np.hypot(flows[:, 0], flows[:, 1]), 99.7))
    for v, (flow, face) in enumerate(zip(flows, crops, strict=True)):
        top, bottom = axes["uv"[v]], axes["mn"[v]]
        top.imshow(flow_to_rgb(flow, limit) * (0.35 + 0.65 * face[..., None] / 255))
        top.set_title(f"flow onset-apex, {_view_names(count)[v]}")
        image = bottom.imshow(np.hypot(*flow), cmap="magma", vmin=0, vmax=limit)
        bottom.set_title(f"magnitude, {_view_names(count)[v]}")
    figure.colorbar(image, ax=[top, bottom], label="px", shrink=0.8)
    for name in axes.keys() - {"c"}:
        axes[name].axis("off")
    return figure


def draw_blocks(boxes, title):
    """Show a network as labelled boxes: ``boxes`` is a list of columns, each a list of (text,
    colour) from the top.
    """
    rows = max(map(len, boxes))
    figure, ((axis,),) = grid(1, 1, 1.5 * len(boxes), 0.95 * rows + 0.5)
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
    onset and apex, each phase's flow, motion curve, probabilities of all networks with their
    thresholds, and the streams' weights.
    """
    p, (views, phases) = prediction, prediction.maps.shape[:2]
    figure = Figure(figsize=(10.4, 2.0 * views + 3.3), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[2.0 * views + 0.4, 2.9])
    limit = float(np.percentile(p.maps[:, :, 2], 99.5))
    titles = ("first frame, crop box", f"onset: frame {p.onset}", f"apex found: frame {p.apex}")
    titles += tuple(f"flow {name}" for name in PHASE_NAMES)
    for k, axes in enumerate(top.subplots(views, 3 + phases, squeeze=False)):
        stills = (p.first[k], p.crops[k, p.onset], p.crops[k, p.apex])
        pictures = [*stills, *(flow_to_rgb(flow, limit) for flow in p.maps[k, :, :2])]
        for axis, picture, title in zip(axes, pictures, titles, strict=False):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
            axis.set(xticks=[], yticks=[], title=title if k == 0 else "")
        x0, y0, x1, y1 = p.boxes[k]
        axes[0].add_patch(
            Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=ORANGE, linewidth=2)
        )
        axes[0].set_ylabel(_view_names(views)[k])
    top.supxlabel(
        f"flow: hue is direction, saturation is speed, full at {limit:.2f} px", fontsize=8
    )
    left, middle, right = bottom.subplots(1, 3, width_ratios=[1.3, 1.25, 0.45])
    draw_motion_curve(p.curve, p.joint, p.onset, p.apex, p.offset, axis=left)
    left.legend(fontsize=7, edgecolor="none")
    mean, rows = p.scores.mean(0), np.arange(len(p.labels))
    middle.barh(rows, mean, color=[BLUE if yes else GREY for yes in p.answers])
    middle.plot(p.scores.T, rows, ".", color="black", markersize=3, alpha=0.6)
    middle.plot(p.thresholds, rows, "|", color=RED, markersize=20, markeredgewidth=2)
    middle.set(
        xlim=(0, 1),
        yticks=rows,
        yticklabels=p.labels,
        title="probability; dots: networks; red: threshold",
    )
    middle.invert_yaxis()
    right.bar(STREAMS, p.attention, color=GREY, width=0.6)
    right.set(ylim=(0, max(0.5, float(p.attention.max()) * 1.1)), title="attention")
    right.set_xticks(range(3), ["u", "v", "magn."])
    return figure
