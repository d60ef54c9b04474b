"""The face puppet: one synthetic face holds one AU, seen by both cameras, with its true flow, for
notebook 00.
"""

import functools

from faces4d.cameras import cameras
from faces4d.head import AUS
from faces4d.motion import Motion
from faces4d.rendering import find_head, render_frame, true_flow
from mer_utils import MerError
from mer_utils.plots import VIEW_NAMES, flow_to_rgb, lay_over
from mer_utils.preprocessing import square_box

import cv2
import numpy as np
from matplotlib.figure import Figure

# after Ekman and Friesen's coding system; the number is the AU's
AU_NAMES = {
    1: "inner brow up",
    2: "outer brow up",
    4: "brows lowered",
    5: "upper lid raised",
    6: "cheeks raised",
    7: "lids tight",
    9: "nose wrinkled",
    10: "upper lip raised",
    12: "lip corners up",
    14: "dimples",
    15: "lip corners down",
    17: "chin raised",
    24: "lips pressed",
    45: "blink",
}
CROP = 128  # px, side of the crop whose px the flow is told in
SIZE = 224  # px, height of a view and side of the crops as they are drawn
# px of the crop: the largest motion of a clip of the default set
FULL = 2.0
WHEEL = 120  # px, width of the wheel of directions
MICRO = 0.1  # activation: a tenth of an everyday expression


def hold(weights, face_seed=0):
    """Return a Motion of two frames: a neutral face, then AU ``weights`` (A, 2) held; no head
    motion, no noise.
    """
    both = np.stack([np.zeros_like(weights), weights]).astype(np.float32)
    still = np.zeros((2, 3), np.float32)
    return Motion(face_seed, both, still, still, np.ones(2), 0, 0.0, 0, 1, 1, 60, ())


def pull(au, intensity):
    """Return the AU weights (A, 2) of one AU, by its number, at ``intensity`` on both sides."""
    if au not in AUS:
        raise MerError(f"AU {au} does not move here; choose one of {', '.join(map(str, AUS))}")
    weights = np.zeros((len(AUS), 2), np.float32)
    weights[AUS.index(au)] = intensity
    return weights


def choices():
    """Return the AUs as words for a drop-down, a smile first."""
    numbers = sorted(AU_NAMES, key=lambda au: (au != 12, au))
    return [f"{au} {AU_NAMES[au]}" for au in numbers]


@functools.lru_cache(maxsize=32)
def _look(face_seed, yaw):
    """Return for both cameras at -/+ ``yaw`` degrees the box of the neutral face, px of the
    view.
    """
    rest, boxes = hold(pull(12, 0), face_seed), []
    for camera in cameras(SIZE, yaw):
        boxes.append(square_box(*find_head(rest, camera), camera.width, camera.height))
    return boxes


def film_puppet(au, intensity, yaw, face_seed=0):
    """Return pictures (V, SIZE, SIZE) uint8 of the face that holds an AU, and over which part of
    them it moved how: true flow (V, 2, SIZE, SIZE) in px of a crop of CROP px from the neutral
    face, NaN beside the face.
    """
    motion, both = hold(pull(au, intensity), face_seed), cameras(SIZE, yaw)
    pictures, flows = [], []
    for view, (camera, (x0, y0, x1, y1)) in enumerate(
        zip(both, _look(face_seed, yaw), strict=True)
    ):
        picture = render_frame(motion, camera, 1)[y0:y1, x0:x1].clip(0, 255).round()
        flow, visible = true_flow(motion, both, view, 0, 1)
        flow = np.where(visible, flow * (CROP / (x1 - x0)), np.nan)[:, y0:y1, x0:x1]
        size = {"dsize": (SIZE, SIZE)}
        pictures.append(cv2.resize(picture.astype(np.uint8), interpolation=cv2.INTER_CUBIC, **size))
        flows.append([cv2.resize(plane, interpolation=cv2.INTER_NEAREST, **size) for plane in flow])
    return np.stack(pictures), np.array(flows, np.float32)


def draw_puppet(au, intensity=MICRO, yaw=25, face_seed=0):
    """Return the Figure of a face that holds one AU (a number, or its words from ``choices``) at
    ``intensity`` (1: an everyday expression), filmed at -/+ ``yaw`` degrees: both views, and how
    its skin truly moved. Colours are full at FULL px whatever is chosen.
    """
    au = int(au.split()[0]) if isinstance(au, str) else au
    pictures, flows = film_puppet(au, intensity, yaw, face_seed)
    most = [f"{np.nanmax(np.hypot(*flow)):.2f}" for flow in flows]
    greys = [np.repeat(picture[..., None] / 255, 3, 2) for picture in pictures]
    colours = [lay_over(*pair, FULL) for pair in zip(pictures, flows, strict=True)]
    names = [*VIEW_NAMES, *(f"true flow, {name}" for name in VIEW_NAMES)]
    return _lay_out(
        [*greys, *colours],
        names,
        f"AU{au} {AU_NAMES[au]} at {intensity:.2f}, cameras at ±{yaw:g}° · "
        f"at most {most[0]} px in the left view, {most[1]} in the right",
    )


def _lay_out(pictures, names, title):
    """Return a Figure of RGB pictures (SIZE, SIZE, 3) in a row with the wheel of directions."""
    gap = np.ones((SIZE, 8, 3))
    row = np.concatenate([each for picture in pictures for each in (picture, gap)] + [_wheel()], 1)
    width = 8.2  # inches
    high = width * SIZE / row.shape[1]
    figure = Figure(figsize=(width, high + 0.55))
    # one axis for all: five would take longer to draw than the faces
    axis = figure.add_axes((0, 0, 1, high / (high + 0.55)))
    axis.imshow(row, aspect="auto", interpolation="nearest")
    axis.axis("off")
    figure.text(0.005, 0.94, title, fontsize=10, weight="bold", va="center")
    for k, name in enumerate(names):
        axis.text((k + 0.5) * SIZE + 8 * k, -4, name, ha="center", va="bottom")
    middle = row.shape[1] - WHEEL / 2
    axis.text(middle, 50, "direction", fontsize=8, ha="center", va="bottom")
    axis.text(middle, 163, f"full at\n{FULL:g} px", fontsize=8, ha="center", va="top")
    return figure


@functools.cache
def _wheel():
    """Return what the flow's colours mean (SIZE, WHEEL, 3): a disc, full at its rim."""
    y, x = (np.mgrid[:SIZE, :WHEEL] - np.array([105, WHEEL / 2])[:, None, None]) / 50
    disc = flow_to_rgb(np.stack([x, y]), 1)
    return np.where((np.hypot(x, y) <= 1)[..., None], disc, 1)
