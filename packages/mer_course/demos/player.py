"""The clip player: frames, flow from the onset and motion curve; for notebook 02, `mer demo`."""

import functools
from typing import NamedTuple

from mer_course.demos.drawing import add_picture, grey_to_rgb, place, start_figure, tile
from mer_utils.apex import curve_of_flows, find_apex, joint_curve, onset_flows
from mer_utils.features import FrontEnd, masks_of
from mer_utils.flow import phase_flow
from mer_utils.plots import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    VIEW_NAMES,
    add_wheel,
    draw_motion_curve,
    find_maximum,
    lay_over,
)  # fmt: skip

import cv2
import numpy as np

TIMES = [1, 5, 10]  # how much the motion can be magnified
LEAST = 0.2  # px: below, the colours of a clip's largest motion are not full: they would show noise
SOFT = 1.5  # px, Gaussian: flow that is magnified is smoothed first, as its noise grows too


class Measured(NamedTuple):
    """What the motion of a clip says, measured from one onset to one offset."""

    curve: np.ndarray  # (V, T) px
    joint: np.ndarray  # (T,) px
    apex: int
    maximum: float  # px, at which the colours are full


class Player:
    """A clip to be drawn at any frame; flows are computed when first needed, and kept."""

    def __init__(self, name, crops, onset, offset, options=FrontEnd(), true_apex=None, truth=None):
        """Take face crops (V, T, S, S) uint8 and the frames of onset and offset; where they are
        known, the true apex and the true motion (T,) are drawn beside those found.
        """
        self.name, self.crops, self.options = name, crops, options
        self.onset, self.offset = onset, offset
        self.true_apex, self.truth = true_apex, truth
        self.masks = masks_of(crops, options)
        self.measure = functools.lru_cache(64)(self._measure)
        self.flow = functools.lru_cache(256)(self._flow)
        self._onset_flows = functools.lru_cache(2)(functools.partial(onset_flows, crops))

    def _measure(self, onset, offset):
        """Return the Measured of the clip between two frames, as the method's front end does it.

        MerError where no frame lies between them.
        """
        options = self.options
        how = (options.compensation, options.detrend, self.masks)
        curve = curve_of_flows(self._onset_flows(onset), onset, offset, *how)
        joint = joint_curve(curve, options.rule, options.smoothing)
        apex = find_apex(curve, onset, offset, options.rule, options.smoothing, options.near)
        return Measured(curve, joint, apex, max(LEAST, find_maximum([self.flow(apex, onset)])))

    def _flow(self, frame, onset):
        """Return the method's flow (V, 2, S, S) px from the onset to a frame, NaN off the face."""
        options = self.options
        how = (options.backend, options.compensation, 1)
        flows = np.zeros((len(self.crops), 2, *self.crops.shape[2:]), np.float32)
        for view, mask, flow in zip(self.crops, self.masks, flows, strict=True):
            if frame != onset:
                flow[:] = phase_flow(view, onset, frame, frame, *how, mask, options.reach)[0]
            flow[:, ~mask] = np.nan
        return flows

    def controls(self, ends=False):
        """Return the choices of ``draw`` for ``explore``; with ``ends``, onset and offset, too."""
        last = self.crops.shape[1] - 1
        start = self.measure(self.onset, self.offset).apex
        choices = {"frame": (0, last, 1, start), "flip_to_onset": False, "magnify": TIMES}
        if ends:
            choices["onset"] = (0, last - 2, 1, self.onset)
            choices["offset"] = (2, last, 1, self.offset)
            choices["clamp"] = push_ends
        return choices | {"play": "frame"}

    def draw(self, frame, flip_to_onset=False, magnify=1, onset=None, offset=None):
        """Return the Figure of one frame, measured from ``onset`` to ``offset`` (default: the
        clip's): each view beside its flow over the onset's face, and the motion curve.

        With ``flip_to_onset`` the onset is shown in its place: switched to and fro, what moves
        jumps. ``magnify`` above 1 shows the onset moved by so many times the flow.
        """
        onset = self.onset if onset is None else onset
        offset = self.offset if offset is None else offset
        frame = onset if flip_to_onset else frame
        motion, flows = self.measure(onset, offset), self.flow(frame, onset)
        faces = self.crops[:, onset]
        pictures, caption, colour = self.crops[:, frame], "as filmed", "black"
        if magnify > 1 and frame != onset:
            pictures = [magnify_motion(*pair, magnify) for pair in zip(faces, flows, strict=True)]
            caption, colour = f"drawn: onset, moved {magnify} x flow", ORANGE
        frames = {"onset": onset, "apex": motion.apex, "offset": offset}
        marks = ", ".join(name for name, number in frames.items() if number == frame)
        marks = f" ({marks})" if marks else ""
        title = f"{self.name} · frame {frame} of 0–{self.crops.shape[1] - 1}{marks}"
        title += f" · motion x {magnify}"

        views, side = len(flows), 2.0 if len(flows) > 1 else 2.8  # inches
        width, height = 2 * side + 5.0, views * side + 0.6
        figure = start_figure(width, height, title, 0.3 / width, 1 - 0.17 / height)
        colours = [lay_over(*pair, motion.maximum) for pair in zip(faces, flows, strict=True)]
        rows = [[grey_to_rgb(p), c] for p, c in zip(pictures, colours, strict=True)]
        axis = place(figure, 0.3, 0.05, 2 * side, views * side)
        _draw_rows(axis, np.array(rows), caption, colour)
        axis = place(figure, 2 * side + 1.0, 1.45, 3.85, height - 2.02)
        self._draw_curve(axis, motion, frames.values(), frame)
        for k, (text, colour) in enumerate(self._list_words(motion, frame)):
            left, below = 2 * side + 0.55 + 1.85 * (k // 3), 0.78 - 0.2 * (k % 3)
            figure.text(left / width, below / height, text, color=colour, fontsize=8)
        add_wheel(place(figure, width - 0.95, 0.22, 0.62, 0.62), motion.maximum)
        return figure

    def _draw_curve(self, axis, motion, frames, frame):
        """Draw the motion curve with onset, apex and offset, and the frame shown."""
        truth = (self.truth, self.true_apex)
        draw_motion_curve(motion.curve, motion.joint, *frames, *truth, axis=axis)
        axis.get_legend().remove()
        axis.axvspan(frame - 0.5, frame + 0.5, color="black", alpha=0.13, linewidth=0)
        for line, colour in zip(motion.curve, (BLUE, GREEN), strict=False):
            axis.plot(frame, line[frame], "o", color=colour, markersize=6)
        axis.plot(frame, motion.joint[frame], "o", color="black", markersize=6)
        axis.set_xlim(-0.7, len(motion.joint) - 0.3)
        axis.xaxis.get_major_locator().set_params(integer=True, nbins=7)
        axis.yaxis.get_major_locator().set_params(nbins=5)

    def _list_words(self, motion, frame):
        """Return pairs (words, colour), a legend that tells each line's value at the frame."""
        two = len(motion.curve) > 1
        names = (*VIEW_NAMES, "both, smoothed") if two else ("as measured", "smoothed")
        colours = (BLUE, GREEN, "black") if two else (BLUE, "black")
        lines = zip(names, [*motion.curve, motion.joint], colours, strict=True)
        words = [(f"{name}: {line[frame]:.2f} px", colour) for name, line, colour in lines]
        words.append((f"apex found: frame {motion.apex}", RED))
        if self.true_apex is not None:
            words.append((f"true apex: frame {self.true_apex}", ORANGE))
        if self.truth is not None:
            words.append(("true AU motion, scaled", ORANGE))
        return words


def push_ends(values, moved):
    """Return ``values`` with a frame between onset and offset: the ``moved`` pushes the other."""
    onset, offset = values["onset"], values["offset"]
    if moved == "offset":
        return values | {"onset": min(onset, offset - 2)}
    return values | {"offset": max(offset, onset + 2)}


def magnify_motion(picture, flow, times):
    """Return a picture (H, W) uint8 whose points are moved by ``times`` the flow (2, H, W) px that
    starts in it; the flow is smoothed first, and nothing moves where it is NaN.

    Each pixel is fetched from where the flow at its own place points back to: near enough where the
    motion changes slowly from pixel to pixel; where it does not, the picture tears.
    """
    u, v = (times * cv2.GaussianBlur(np.nan_to_num(plane), (0, 0), SOFT) for plane in flow)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    border = cv2.BORDER_REPLICATE
    return cv2.remap(picture, x - u, y - v, cv2.INTER_CUBIC, borderMode=border)


def _draw_rows(axis, pictures, caption, colour):
    """Draw pictures (V, 2, H, W, 3) in [0, 1]: a row a view, what it shows and its flow."""
    image = np.pad(tile(pictures, 2, 1.0), ((1, 1), (1, 1), (0, 0)), constant_values=1.0)
    add_picture(axis, np.rint(255 * image).astype(np.uint8))
    height, width = image.shape[:2]
    style = {"y": -0.01 * height, "ha": "center", "va": "bottom", "fontsize": 8.5}
    axis.text(x=width / 4, s=caption, color=colour, **style)
    axis.text(x=0.75 * width, s="flow, head motion out", **style)
    for v, name in enumerate(VIEW_NAMES if len(pictures) > 1 else ()):
        middle = (v + 0.5) * height / len(pictures)
        axis.text(-0.01 * width, middle, name, rotation=90, ha="right", va="center")
