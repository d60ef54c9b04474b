"""The clip player: frames, flow from the onset and motion curve; for notebook 02, `mer demo`."""

import functools
from types import SimpleNamespace

from mer_course.demos.drawing import add_tiles, place, start_figure
from mer_utils.apex import find_apex, joint_curve, motion_curve
from mer_utils.flow import phase_flow
from mer_utils.plots import VIEW_NAMES, add_wheel, draw_motion_curve, find_maximum, lay_over
from mer_utils.preprocessing import face_mask

import cv2
import numpy as np
from skimage.color import gray2rgb

LEAST = 0.2  # px: below, the colours of a clip's largest motion are not full: they would show noise
SOFT = 1.5  # px, Gaussian: flow that is magnified is smoothed first, as its noise grows too


class Player:
    """A clip to be drawn at any frame; flows are computed when first needed, and kept."""

    def __init__(self, name, crops, onset, offset, true_apex=None, truth=None):
        """Take face crops (V, T, S, S) uint8 and the frames of onset and offset; where they are
        known, the true apex and the true motion (T,) are drawn beside those found.
        """
        self.name, self.crops, self.masks = name, crops, face_mask(crops)
        self.onset, self.offset = onset, offset
        self.true_apex, self.truth = true_apex, truth
        self.measure = functools.lru_cache(64)(self._measure)
        self.flow = functools.lru_cache(256)(self._flow)

    def _measure(self, onset, offset):
        """Return curve (V, T) and joint (T,), px, apex, and at which px colours are full, between
        two frames as the method's front end finds them; MerError where no frame lies between.
        """
        curve = motion_curve(self.crops, onset, offset, masks=self.masks)
        apex = find_apex(curve, onset, offset)
        maximum = max(LEAST, find_maximum([self.flow(apex, onset)]))
        joint = joint_curve(curve)
        return SimpleNamespace(curve=curve, joint=joint, apex=apex, maximum=maximum)

    def _flow(self, frame, onset):
        """Return the method's flow (V, 2, S, S) px from the onset to a frame, NaN off the face."""
        flows = []
        for view, mask in zip(self.crops, self.masks, strict=True):
            flow = phase_flow(view, onset, frame, frame, phases=1, mask=mask, reach=1)[0]
            flows.append(np.where(mask, flow, np.nan))
        return np.stack(flows)

    def controls(self, ends=False):
        """Return the choices of ``draw`` for ``explore``; with ``ends``, onset and offset, too."""
        last = self.crops.shape[1] - 1
        start = self.measure(self.onset, self.offset).apex
        choices = {"frame": (0, last, 1, start), "flip_to_onset": False, "magnify": [1, 5, 10]}
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
        pictures, caption = self.crops[:, frame], "as filmed"
        if magnify > 1 and frame != onset:
            pictures = [magnify_motion(*pair, magnify) for pair in zip(faces, flows, strict=True)]
            caption = f"drawn: onset, moved {magnify} x flow"
        frames = {"onset": onset, "apex": motion.apex, "offset": offset}
        mark = "".join(f" ({name})" for name, number in frames.items() if number == frame)
        title = f"{self.name} · frame {frame} of 0–{self.crops.shape[1] - 1}{mark}"
        title += f" · motion x {magnify}"

        views, side = len(flows), 2.0 if len(flows) > 1 else 2.8  # inches
        width, height = 2 * side + 5.0, views * side + 0.6
        figure = start_figure(width, height, title, 0.3 / width, 1 - 0.17 / height)
        colours = [lay_over(*pair, motion.maximum) for pair in zip(faces, flows, strict=True)]
        rows = [[gray2rgb(p) / 255, c] for p, c in zip(pictures, colours, strict=True)]
        titles = caption, "flow, head motion out"
        axis = add_tiles(figure, 0.3, 0.05, side, np.array(rows), titles)
        for v, name in enumerate(VIEW_NAMES if views == 2 else ()):
            where = -0.03, 1 - (v + 0.5) / views
            axis.text(*where, name, rotation=90, va="center", transform=axis.transAxes)
        axis = place(figure, 2 * side + 1.0, 1.45, 3.85, height - 2.02)
        truth = (self.truth, self.true_apex)
        draw_motion_curve(motion.curve, motion.joint, *frames.values(), *truth, axis=axis)
        axis.axvspan(frame - 0.5, frame + 0.5, color="black", alpha=0.13, linewidth=0)
        axis.set_xlim(-0.7, len(motion.joint) - 0.3)
        axis.legend(loc=(-0.1, -0.95 / (height - 2.02)), ncols=2, fontsize=8, columnspacing=1)
        add_wheel(place(figure, width - 0.95, 0.22, 0.62, 0.62), motion.maximum)
        return figure


def push_ends(values, moved):
    """Return ``values`` with a frame between onset and offset: the ``moved`` pushes the other."""
    onset, offset = values["onset"], values["offset"]
    if moved == "offset":
        return values | {"onset": min(onset, offset - 2)}
    return values | {"offset": max(offset, onset + 2)}


def magnify_motion(picture, flow, times):
    """Return a picture (H, W) uint8 whose points are moved by ``times`` the smoothed flow (2, H, W)
    px that starts in it; nothing moves where it is NaN. Where motion changes fast, it tears.
    """
    u, v = (times * cv2.GaussianBlur(np.nan_to_num(plane), (0, 0), SOFT) for plane in flow)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    return cv2.remap(picture, x - u, y - v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
