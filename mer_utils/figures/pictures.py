"""Pictures of faces, flow and networks as pure functions: data in, matplotlib Figure out. Charts
are in charts.py.
"""

from mer_utils import STREAMS
from mer_utils.figures.style import BLUE, GREEN, GREY, ORANGE, PHASE_NAMES, RED, VIEW_NAMES, grid

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import hsv_to_rgb, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, FancyBboxPatch, Rectangle


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
