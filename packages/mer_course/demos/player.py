"""The clip player: a frame of a clip beside its flow from the onset and the motion curve, at any
frame, for notebook 02 and `mer demo`.
"""

import functools
from typing import NamedTuple

from mer_utils import MerError
from mer_utils.apex import curve_of_flows, find_apex, joint_curve, onset_flows
from mer_utils.features import FrontEnd, masks_of
from mer_utils.flow import compensate, phase_flow
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
)

import cv2
import numpy as np
from matplotlib.figure import Figure

FILMED = "as filmed"
MARKS = ("onset", "apex", "offset")
COLOURS = (BLUE, GREEN)  # of the views' curves
TIMES = [1, 5, 10]  # how much the motion can be magnified
# px: a clip's largest motion, if smaller, does not fill the colours: they would show noise
LEAST = 0.2
# px, Gaussian: flow that is magnified is smoothed first, as its noise grows too
SOFT = 1.5


class Measured(NamedTuple):
    """What the motion of a clip says, seen from one onset to one offset."""

    curve: np.ndarray  # (V, T) px
    joint: np.ndarray  # (T,) px
    apex: int
    maximum: float  # px, of the colours


class Player:
    """A clip that can be drawn at any of its frames; flows are computed when they are first asked
    for, and kept.
    """

    def __init__(self, name, crops, onset, offset, options=FrontEnd(), true_apex=None, truth=None):
        """Take face crops (V, T, S, S) uint8 and the frames of onset and offset; where they are
        known, the true apex and the true motion (T,) are drawn beside those found.
        """
        self.name, self.crops, self.options = name, crops, options
        self.onset, self.offset = onset, offset
        self.true_apex, self.truth = true_apex, truth
        self.masks = masks_of(crops, options)
        self.measure = functools.lru_cache(64)(self._measure)
        self.flow = functools.lru_cache(256)(self._follow)
        self._still = functools.lru_cache(2)(self._follow_all)

    def _follow_all(self, onset):
        """Return the quick flows (V, T, 2, S, S) px from the onset, head motion taken out."""
        how = self.options.compensation
        return np.stack(
            [
                [compensate(flow, how, mask) for flow in view]
                for view, mask in zip(onset_flows(self.crops, onset), self.masks, strict=True)
            ]
        )

    def _measure(self, onset, offset):
        """Return the Measured of the clip between two frames, as the method's front end does it;
        MerError where no frame lies between them.
        """
        options, count = self.options, self.crops.shape[1]
        if not 0 <= onset < offset - 1 or offset >= count:
            raise MerError(
                self.name,
                f"onset {onset} and offset {offset} must lie in its {count} frames (counted from "
                "0), with a frame between them",
            )
        still = self._still(onset)
        curve = curve_of_flows(still, onset, offset, "none", options.detrend, self.masks)
        apex = find_apex(curve, onset, offset, options.rule, options.smoothing, options.near)
        maximum = max(LEAST, find_maximum([self.flow(apex, onset)]))
        return Measured(curve, joint_curve(curve, options.rule, options.smoothing), apex, maximum)

    def _follow(self, frame, onset):
        """Return the flow (V, 2, S, S) px from the onset to a frame as the method computes it for
        its maps; NaN outside the face.
        """
        options = self.options
        how = (options.backend, options.compensation, 1)
        flows = np.zeros((len(self.crops), 2, *self.crops.shape[2:]), np.float32)
        for view, mask, flow in zip(self.crops, self.masks, flows, strict=True):
            if frame != onset:
                flow[:] = phase_flow(view, onset, frame, frame, *how, mask, options.reach)[0]
            flow[:, ~mask] = np.nan
        return flows

    def draw(self, frame, flip_to_onset=False, magnify=1, onset=None, offset=None):
        """Return the Figure of one frame, seen from ``onset`` to ``offset`` (default: the clip's).

        With ``flip_to_onset`` the onset is shown in its place: switched to and fro, what moves
        jumps. ``magnify`` above 1 shows the onset moved by so many times the flow.
        """
        onset = self.onset if onset is None else onset
        offset = self.offset if offset is None else offset
        found = self.measure(onset, offset)
        frame = onset if flip_to_onset else frame
        flows = self.flow(frame, onset)
        pictures, caption = self.crops[:, frame], FILMED
        if magnify > 1 and frame != onset:
            first = self.crops[:, onset]
            pictures = [magnify_motion(*pair, magnify) for pair in zip(first, flows, strict=True)]
            caption = f"drawn: onset, moved {magnify} x flow"
        marks = (onset, found.apex, offset)
        names = [name for name, mark in zip(MARKS, marks, strict=True) if mark == frame]
        title = f"{self.name} · frame {frame} of 0–{self.crops.shape[1] - 1}"
        title += f" ({', '.join(names)})" if names else ""
        title += f" · motion x {magnify}"
        return draw_player(
            pictures, self.crops[:, onset], flows, found.maximum, found.curve, found.joint, marks,
            frame, title, caption, self.truth, self.true_apex,
        )  # fmt: skip

    def controls(self, ends=False):
        """Return what ``explore`` wants to know of ``draw``, beginning at the apex; with ``ends``
        onset and offset can be moved, too, and push one another.
        """
        last = self.crops.shape[1] - 1
        start = self.measure(self.onset, self.offset).apex
        given = {"frame": (0, last, 1, start), "flip_to_onset": False, "magnify": TIMES}
        if ends:
            given |= {"onset": (0, last - 2, 1, self.onset), "offset": (2, last, 1, self.offset)}
            given["clamp"] = push_ends
        return given | {"play": "frame"}


def push_ends(values, moved):
    """Return the ``values`` of the controls with a frame left between onset and offset: the one
    that was ``moved`` pushes the other.
    """
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


def draw_player(
    pictures, faces, flows, maximum, curve, joint, marks, frame, title, caption,
    truth=None, true_apex=None,
):  # fmt: skip
    """Show one moment of a clip: for each view a picture (V, H, W) and the flow from the onset (V,
    2, H, W) px over the onset's face (V, H, W), and beside them the motion curve (V, T) px with the
    joint one (T,), the ``marks`` (onset, apex, offset) and the ``frame`` shown.

    Colours are full at ``maximum`` px: the same for all moments of a clip. ``caption`` says what
    the pictures are.
    """
    views = len(flows)
    side = 2.0 if views > 1 else 2.8  # inches
    width, height = 2 * side + 5.0, views * side + 0.6
    figure = Figure(figsize=(width, height))

    def place(left, bottom, wide, high):  # constrained layout would take longer than all the rest
        return figure.add_axes((left / width, bottom / height, wide / width, high / height))

    figure.text(0.3 / width, 1 - 0.17 / height, title, fontsize=10, weight="bold", va="center")
    rows = [_join(*each, maximum) for each in zip(pictures, faces, flows, strict=True)]
    axis = place(0.3, 0.05, 2 * side, views * side)
    _draw_faces(axis, np.concatenate(rows), views, caption)
    axis = place(2 * side + 1.0, 1.45, 3.85, height - 2.02)
    _draw_curve(axis, curve, joint, marks, frame, truth, true_apex)
    words = _list_words(curve, joint, marks[1], frame, truth, true_apex)
    for k, (text, colour) in enumerate(words):  # a legend that also tells numbers
        left, below = 2 * side + 0.55 + 1.85 * (k // 3), 0.78 - 0.2 * (k % 3)
        figure.text(left / width, below / height, text, color=colour, fontsize=8)
    add_wheel(place(width - 0.95, 0.22, 0.62, 0.62), maximum)
    return figure


def _join(picture, face, flow, maximum):
    """Return a picture and, at its right, the coloured flow over the face as RGB (H + 2, 2 W + 4,
    3) uint8 with white edges.
    """
    colours = np.rint(255 * lay_over(face, flow, maximum)).astype(np.uint8)
    both = [np.repeat(picture[..., None], 3, 2), colours]
    return np.concatenate(
        [np.pad(part, ((1, 1), (1, 1), (0, 0)), constant_values=255) for part in both], 1
    )


def _draw_faces(axis, image, views, caption):
    """Draw what ``_join`` made of all views, one above the other, into ``axis``."""
    high, wide = image.shape[:2]
    axis.imshow(image, interpolation="nearest")
    axis.axis("off")
    colour = "black" if caption == FILMED else ORANGE
    where = {"ha": "center", "va": "bottom", "fontsize": 8.5}
    axis.text(wide / 4, -0.01 * high, caption, color=colour, **where)
    axis.text(0.75 * wide, -0.01 * high, "flow, head motion out", **where)
    for v, name in enumerate(VIEW_NAMES[:views] if views > 1 else ()):
        middle = (v + 0.5) * high / views
        axis.text(-0.01 * wide, middle, name, rotation=90, ha="right", va="center")


def _draw_curve(axis, curve, joint, marks, frame, truth, true_apex):
    """Draw the motion curve into ``axis`` with the frame shown."""
    draw_motion_curve(curve, joint, *marks, truth, true_apex, axis=axis)
    axis.get_legend().remove()
    axis.axvspan(frame - 0.5, frame + 0.5, color="black", alpha=0.13, linewidth=0)
    for line, colour in zip((*curve, joint), (*COLOURS[: len(curve)], "black"), strict=True):
        axis.plot(frame, line[frame], "o", color=colour, markersize=6)
    axis.set_xlim(-0.7, curve.shape[1] - 0.3)
    axis.xaxis.get_major_locator().set_params(integer=True, nbins=7)
    axis.yaxis.get_major_locator().set_params(nbins=5)


def _list_words(curve, joint, apex, frame, truth, true_apex):
    """Return pairs (words, colour): what each line is, and its value at the frame shown."""
    names = VIEW_NAMES if len(curve) > 1 else ("as measured",)
    words = [
        (f"{name}: {line[frame]:.2f} px", colour)
        for name, line, colour in zip(names, curve, COLOURS, strict=False)
    ]
    name = "both, smoothed" if len(curve) > 1 else "smoothed"
    words.append((f"{name}: {joint[frame]:.2f} px", "black"))
    words.append((f"apex found: frame {apex}", RED))
    if true_apex is not None:
        words.append((f"true apex: frame {true_apex}", ORANGE))
    if truth is not None:
        words.append(("true AU motion, scaled", ORANGE))
    return words
