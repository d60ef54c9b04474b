"""The face puppet: a synthetic face holds one AU before both cameras, for notebook 00."""

from faces4d.cameras import cameras
from faces4d.head import AUS
from faces4d.motion import Motion
from faces4d.rendering import find_head, render_frame, true_flow
from mer_course.demos.drawing import add_tiles, place, start_figure
from mer_utils.plots import VIEW_NAMES, add_wheel, lay_over
from mer_utils.preprocessing import crop, square_box

import cv2
import numpy as np
from skimage.color import gray2rgb

# Ekman and Friesen's Facial Action Coding System: number and words of each AU
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
CROP = 128  # px, side of the crop in whose px the flow is measured
SIZE = 224  # px, height of a view and side of the crops as they are drawn
FULL = 2.0  # px of the crop: the largest motion of a clip of the default set
MICRO = 0.1  # activation: a tenth of an everyday expression


def hold(weights, face_seed=0):
    """Return a Motion of a neutral frame and one of AU ``weights`` (A, 2); the head is still."""
    both = np.stack([np.zeros_like(weights), weights]).astype(np.float32)
    still = np.zeros((2, 3), np.float32)
    return Motion(face_seed, both, still, still, np.ones(2), 0, 0.0, 0, 1, 1, 60, ())


def choices():
    """Return the AUs as words for a drop-down, a smile first."""
    return [f"{au} {AU_NAMES[au]}" for au in sorted(AU_NAMES, key=lambda au: (au != 12, au))]


def film_puppet(au, intensity, yaw, face_seed=0):
    """Return pictures (V, SIZE, SIZE) uint8 of the face that holds an AU, and the true flow (V, 2,
    SIZE, SIZE) from the neutral face, px of a crop of CROP px, NaN beside the face.
    """
    weights = np.zeros((len(AUS), 2), np.float32)
    weights[AUS.index(au)] = intensity
    motion, both = hold(weights, face_seed), cameras(SIZE, yaw)
    pictures, flows = [], []
    for view, camera in enumerate(both):
        box = square_box(*find_head(motion, camera), camera.width, camera.height)
        x0, y0, x1, y1 = box
        picture = render_frame(motion, camera, 1).clip(0, 255).round().astype(np.uint8)
        flow, visible = true_flow(motion, both, view, 0, 1)
        pictures.append(crop(picture, box, SIZE))
        flow = np.where(visible, flow * (CROP / (x1 - x0)), np.nan)[:, y0:y1, x0:x1]
        nearest = {"dsize": (SIZE, SIZE), "interpolation": cv2.INTER_NEAREST}
        flows.append([cv2.resize(part, **nearest) for part in flow])
    return np.stack(pictures), np.array(flows, np.float32)


def draw_puppet(au, intensity=MICRO, yaw=25, face_seed=0):
    """Return the Figure of a face that holds one AU (a number, or its words from ``choices``) at
    ``intensity`` (1: an everyday expression), filmed at -/+ ``yaw`` degrees: both views, and how
    its skin truly moved. Colours are full at FULL px whatever is chosen.
    """
    au = int(str(au).split()[0])
    pictures, flows = film_puppet(au, intensity, yaw, face_seed)
    left, right = np.nanmax(np.hypot(flows[:, 0], flows[:, 1]), (1, 2))
    title = f"AU{au} {AU_NAMES[au]} at {intensity:.2f}, cameras at ±{yaw:g}° · "
    title += f"at most {left:.2f} px in the left view, {right:.2f} in the right"
    faces = [gray2rgb(picture) / 255 for picture in pictures]
    colours = [lay_over(*pair, FULL) for pair in zip(pictures, flows, strict=True)]
    side = 1.76  # inches
    width = (4 + 3 / 28) * side  # four pictures, three gaps
    figure = start_figure(width + 1, side + 0.55, title, 0.005)
    titles = [*VIEW_NAMES, *(f"true flow, {name}" for name in VIEW_NAMES)]
    add_tiles(figure, 0, 0, side, np.array([faces + colours]), titles)
    add_wheel(place(figure, width + 0.1, 0.5, 0.8, 0.8), FULL)
    return figure
