"""Anatomy: a textured head with eyeballs, lids, lips, ears and hair, and what each action unit (AU) moves on it.

One curved grid (angle round the head x rows from the crown to the neck) is the skin. It is slit along each eye; pushing
the lids apart over an eyeball opens the slit, and a blink is the way back. Unit of length: half the height of a face.
Axes: x to the right of the picture, y up, z towards the viewer. Side 0 is x < 0, side 1 is x > 0 (the picture's sides).
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from mer_utils import MerError

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 24, 45)
COLUMNS, ROWS, SIZE = 138, 150, 1024  # grid of the skin; side of the texture in texels
SKIN_PART = 0.85  # the skin takes this part of the texture's height; eyeball and ears share the strip below it
EYE_X, EYE_Y, EYE_HALF, BALL = 0.31, 0.15, 0.140, 0.168  # eye centre, half width of the opening, radius of the eyeball
LID = 0.02  # a lid is this thick: it keeps the lid in front of the eyeball halfway through a (straight-line) blink
MOUTH_Y = -0.56

# Skull and neck from crown down: y in front, y and z at the side, depth to front, half width, depth to back, roundness
PROFILE = np.array([
    [1.22, 1.22, -0.08, 0.00, 0.000, 0.00, 1.00], [1.177, 1.177, -0.08, 0.27, 0.232, 0.29, 1.00],
    [1.05, 1.05, -0.08, 0.53, 0.440, 0.54, 1.00], [0.86, 0.86, -0.08, 0.73, 0.605, 0.74, 0.96],
    [0.62, 0.62, -0.08, 0.85, 0.705, 0.86, 0.92], [0.37, 0.37, -0.08, 0.88, 0.745, 0.90, 0.90],
    [0.15, 0.15, -0.08, 0.87, 0.740, 0.88, 0.88], [-0.10, -0.09, -0.08, 0.87, 0.715, 0.84, 0.90],
    [-0.35, -0.29, -0.09, 0.88, 0.680, 0.74, 0.95], [-0.56, -0.43, -0.11, 0.90, 0.640, 0.60, 0.97],
    [-0.78, -0.57, -0.14, 0.91, 0.585, 0.47, 0.96], [-0.94, -0.68, -0.18, 0.90, 0.515, 0.40, 0.96],
    [-1.02, -0.77, -0.21, 0.80, 0.440, 0.36, 1.00], [-1.06, -0.86, -0.23, 0.62, 0.405, 0.34, 1.05],
    [-1.14, -0.97, -0.24, 0.47, 0.390, 0.33, 1.00], [-1.40, -1.38, -0.24, 0.42, 0.390, 0.34, 1.00],
    [-1.80, -1.80, -0.26, 0.42, 0.440, 0.38, 1.00],
])  # fmt: skip

# Each AU as smooth lobes at x > 0, mirrored to the other side: centre x, y; widths x, y; motion x, y, z at activation 1
LOBES = {
    1: [(0.13, 0.38, 0.14, 0.13, 0, 0.10, 0.01), (0.12, 0.60, 0.20, 0.15, 0, 0.04, 0)],
    2: [(0.43, 0.38, 0.14, 0.13, 0, 0.11, 0.01), (0.43, 0.60, 0.18, 0.15, 0, 0.04, 0)],
    4: [(0.13, 0.37, 0.13, 0.12, -0.055, -0.07, 0.02), (0.38, 0.38, 0.16, 0.12, -0.025, -0.045, 0)],
    5: [(0.31, 0.28, 0.15, 0.07, 0, 0.035, 0)],
    6: [(0.40, -0.08, 0.18, 0.13, -0.01, 0.085, 0.03), (0.53, 0.13, 0.09, 0.10, -0.045, 0.01, 0)],
    7: [(0.49, 0.15, 0.10, 0.09, -0.035, 0, 0), (0.31, 0.02, 0.16, 0.06, 0, 0.04, 0.005)],
    9: [(0.09, -0.05, 0.09, 0.16, -0.01, 0.08, 0.02), (0.14, -0.27, 0.08, 0.08, 0.01, 0.07, 0),
        (0.12, -0.46, 0.10, 0.07, 0, 0.04, 0), (0.10, 0.35, 0.10, 0.10, -0.02, -0.045, 0)],
    10: [(0.11, -0.50, 0.11, 0.065, 0, 0.06, 0.015), (0.20, -0.37, 0.10, 0.10, 0.01, 0.065, 0.01)],
    12: [(0.25, -0.56, 0.13, 0.12, 0.078, 0.085, -0.03), (0.37, -0.32, 0.17, 0.15, 0.025, 0.06, 0.025)],
    14: [(0.26, -0.56, 0.10, 0.10, 0.04, 0.01, -0.06)],
    15: [(0.25, -0.58, 0.11, 0.11, 0.01, -0.10, -0.01), (0.25, -0.76, 0.12, 0.12, 0, -0.04, 0)],
    17: [(0.07, -0.88, 0.15, 0.12, 0, 0.075, 0.025), (0.08, -0.66, 0.15, 0.08, 0, 0.035, 0.02)],
    24: [(0.08, -0.51, 0.15, 0.06, -0.01, -0.022, -0.02), (0.08, -0.63, 0.15, 0.07, -0.01, 0.03, -0.02),
         (0.24, -0.56, 0.10, 0.08, -0.035, 0, -0.01)],
    45: [],
}  # fmt: skip
# Opening of the upper and the lower lid at activation 1; neutral is (1, 1), shut is the upper lid's edge on the lower's
LIDS = {5: (1.5, 1.05), 6: (0.95, 0.75), 7: (0.62, 0.45), 45: (-0.6, 0.93)}


@dataclass(frozen=True, eq=False)
class Face:
    """One subject: geometry, texture and what each AU moves (see the fields; arrays are read-only)."""

    vertices: np.ndarray  # (M, 3) float32, units of half a face height
    triangles: np.ndarray  # (K, 3) int32
    uv: np.ndarray  # (M, 2) float32 in [0, 1]; u right, v down from the texture's first row
    texture: np.ndarray  # (SIZE, SIZE, 3) uint8 RGB
    fields: np.ndarray  # (A, 2, M, 3) float32: displacement of each AU on each side at activation 1
    front: np.ndarray  # (M,) bool: skin of the face as seen from the front (no hair, ears, eyeballs, neck)


def deform(face, weights):
    """Return the vertices (M, 3) of ``face`` under AU ``weights`` (A, 2): neutral plus weighted fields."""
    weights = np.asarray(weights, np.float32)
    if weights.shape != face.fields.shape[:2]:
        raise MerError(f"AU weights have shape {weights.shape}; {face.fields.shape[:2]} (AU, side) is needed")
    moved = face.vertices.copy()
    for a, side in zip(*np.nonzero(weights), strict=True):
        moved += weights[a, side] * face.fields[a, side]
    return moved


@functools.lru_cache(maxsize=4)  # ~12 MB each
def make_face(seed):
    """Return the Face of a subject: shape, texture, tone, hair and eyes are drawn from ``seed`` (int)."""
    rng = np.random.default_rng([seed, 41])
    s = _draw_shape(rng)
    theta, base, slit = _skull(s)
    closed = _relief(s, theta, base)
    neutral, balls = _place_lids(s, base, slit, closed)
    skin = _Skin(s, base, slit)
    parts = [skin.part(neutral), skin.margins(neutral, balls), *_eyeballs(balls), *_ears(s)]
    starts = np.cumsum([0] + [len(p[0]) for p in parts])
    fields = np.zeros((len(AUS), 2, starts[-1], 3), np.float32)
    moving = np.r_[skin.kept, skin.edge]  # the lids' edges go with the skin; eyeballs and ears stay
    for a, au in enumerate(AUS):
        both = _au_fields(s, au, theta, base, slit, closed, neutral)
        fields[a, :, : len(moving)] = np.stack(both).reshape(2, -1, 3)[:, moving]
    fields[..., 1] *= s["tall"]
    y = base[..., 1]
    front = np.zeros(starts[-1], bool)
    front[: len(skin.kept)] = ((np.abs(theta) < 1.1) & (_under_hair(s, theta, y) < -0.02) & (y > -1)).ravel()[skin.kept]
    vertices, triangles, uv = zip(*parts, strict=True)
    face = Face(
        (np.concatenate(vertices) * [1, s["tall"], 1]).astype(np.float32),
        np.concatenate([t + start for t, start in zip(triangles, starts[:-1], strict=True)]).astype(np.int32),
        np.concatenate(uv).astype(np.float32),
        _paint(s, rng, theta, base, slit),
        fields,
        front,
    )
    for array in vars(face).values():
        array.setflags(write=False)
    return face


def _draw_shape(rng):
    """Draw one subject's measures: around 1 (relative) or in units; ranges set by eye, so that all look human."""
    spread = {"width": 0.08, "jaw": 0.13, "nose_w": 0.20, "nose_h": 0.20, "mouth_w": 0.12, "lips": 0.30, "brow_w": 0.35,
              "cheek": 0.6, "ridge": 0.6, "opening": 0.15, "chin": 0.5}  # fmt: skip
    s = {name: float(rng.uniform(1 - d, 1 + d)) for name, d in spread.items()}
    s |= {"nose_y": rng.uniform(-0.03, 0.03), "brow_y": rng.uniform(-0.02, 0.03), "brow_arch": rng.uniform(0.01, 0.055),
          "tilt": rng.uniform(-0.015, 0.02), "hairline": rng.uniform(0.72, 0.92), "long": float(rng.random() < 0.35),
          "hump": rng.uniform(-0.02, 0.03), "parting": rng.uniform(-0.1, 0.1), "oval": rng.uniform(2.2, 4),
          "tall": rng.uniform(0.96, 1.03), "square": rng.uniform(2, 3)}  # fmt: skip
    tones = [(0.86, 0.68, 0.58), (0.80, 0.60, 0.48), (0.68, 0.48, 0.36), (0.52, 0.36, 0.27)]
    tone = rng.uniform(0, 3)
    s["tone"] = np.array([np.interp(tone, range(4), channel) for channel in zip(*tones, strict=True)])
    hairs = [(0.09, 0.075, 0.07), (0.16, 0.11, 0.08), (0.28, 0.18, 0.11), (0.45, 0.34, 0.20)]
    s["hair"] = np.array(hairs[rng.choice(4, p=[0.4, 0.3, 0.2, 0.1])])
    irises = [(0.30, 0.18, 0.09), (0.22, 0.13, 0.07), (0.32, 0.45, 0.58), (0.34, 0.42, 0.26)]
    s["iris"] = np.array(irises[rng.choice(4)])
    s["marks"] = int(rng.integers(3, 9))
    s["freckles"] = int(rng.integers(0, 160))
    return s


def _g(x, y, cx, cy, sx, sy):
    return np.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)


def _step(x, width):
    """Rise smoothly from 0 to 1 while x goes from -width to width."""
    t = np.clip(x / (2 * width) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _skull(s):
    """Return angle (ROWS+1, COLUMNS), skull points (ROWS+1, COLUMNS, 3) and the index of the slit's upper row.

    Row ``slit`` (upper lid's edge) and ``slit + 1`` (lower lid's edge) are the same row twice. Rows and columns crowd
    near eyes and mouth, where small shapes must move smoothly.
    """
    profile = PROFILE.copy()
    profile[:, 4] *= s["width"] * (1 + (s["jaw"] - 1) * _step(-profile[:, 0] - 0.45, 0.35) * (profile[:, 0] > -1.1))
    mirror = profile[3:0:-1] * [1, 1, 1, -1, -1, -1, 1]  # past the pole, so that the crown is smooth
    table = np.concatenate([mirror, profile])
    along = np.cumsum(np.r_[0, np.linalg.norm(np.diff(table[:, [0, 3, 4]], axis=0), axis=1)])
    curve = CubicSpline(along, table)
    fine = np.linspace(along[3], along[-1], 2000)
    y = curve(fine)[:, 0]
    density = 1 + 2.5 * np.exp(-(((y - 0.2) / 0.22) ** 2)) + 1.5 * np.exp(-(((y + 0.5) / 0.28) ** 2))
    rows = np.interp(np.linspace(0, 1, ROWS), np.cumsum(density) / density.sum(), fine)
    rows[0] = along[3]
    slit = int(np.argmin(np.abs(curve(rows)[:, 0] - EYE_Y)))
    rows = np.insert(rows, slit, rows[slit])
    yf, ys, zs, front, half, back, power = curve(rows).T[..., None]
    t = np.linspace(-1, 1, COLUMNS)
    theta = np.broadcast_to(np.pi * (0.22 * t + 0.78 * t**5), (len(rows), COLUMNS))
    c, sine = np.cos(theta), np.sin(theta)
    z = zs + np.where(c > 0, front * np.abs(c) ** power, -back * np.abs(c))
    y = yf + (ys - yf) * np.where(c > 0, np.abs(sine) ** s["square"], 1)
    return theta, np.stack([half * sine, y, z], -1), slit


def _lips(s, x, y):
    """Return height within the upper and the lower lip (0..1), above the mouth line, and 1 - (x / half)^2."""
    half = 0.245 * s["mouth_w"]
    e = np.clip(1 - (x / half) ** 2, 0, 1)
    line = (
        MOUTH_Y + s["tilt"] * (x / half) ** 2 - 0.008 * np.exp(-((x / 0.05) ** 2)) + 0.006 * np.exp(-((x / 0.14) ** 2))
    )
    bow = 1 + 0.16 * (_g(x, 0, 0.07, 0, 0.05, 1) + _g(x, 0, -0.07, 0, 0.05, 1)) - 0.12 * _g(x, 0, 0, 0, 0.03, 1)
    upper = (y - line) / (0.066 * s["lips"] * e**0.75 * bow + 1e-4)
    lower = (line - y) / (0.082 * s["lips"] * e**0.6 + 1e-4)
    return upper, lower, (y - line), e


def _under_hair(s, theta, y):
    """Return how far (units; negative: outside) a point at an angle and height lies within the hair."""
    turn = np.abs(theta)
    side, top = 1.22 - 0.1 * s["long"], s["hairline"] - 0.1 + s["parting"] * theta
    oval = ((turn / side) ** s["oval"] + (np.clip(y - 0.1, 0, None) / top) ** s["oval"]) ** (
        1 / s["oval"]
    )  # the bare face
    if s["long"]:
        return (oval - 1) * 0.8
    nape = 0.02 - 0.72 * _step(turn - 1.85, 0.35) + 0.2 * np.exp(-(((turn - 1.6) / 0.14) ** 2))  # sideburn, ear, nape
    return np.minimum((oval - 1) * 0.8, y - nape)


def _relief(s, theta, base):
    """Return the skull with features, lids shut (rows, columns, 3): bumps pushed outwards, mostly forwards."""
    x, y = base[..., 0] / s["width"], base[..., 1]
    ny = y - s["nose_y"]
    d = np.zeros_like(x)
    for m in (-1, 1):
        d += 0.045 * s["ridge"] * _g(x, y, m * 0.28, 0.335, 0.22, 0.075)  # brow ridge
        d -= 0.125 * _g(x, y, m * 0.27, 0.14, 0.17, 0.12)  # eye socket
        d += 0.055 * s["cheek"] * _g(x, y, m * 0.43, -0.13, 0.19, 0.18)  # cheekbone
        d -= 0.035 * _g(x, y, m * 0.25, -0.42, 0.07, 0.12)  # fold between nose and mouth corner
        d -= 0.03 * (2 - s["cheek"]) * _g(x, y, m * 0.46, -0.55, 0.15, 0.2)  # hollow of the cheek
        d -= 0.03 * _g(x, y, m * 0.60, 0.35, 0.12, 0.2)  # temple
        d += 0.075 * s["nose_w"] * _g(x, ny, m * 0.118 * s["nose_w"], -0.285, 0.05, 0.05)  # wing of the nose
        d += 0.02 * _g(x, y, m * 0.3, 0.60, 0.25, 0.2)  # forehead
        d -= 0.02 * _g(x, y, m * 0.265, MOUTH_Y, 0.04, 0.05)  # corner of the mouth
    heights = [0, 0, 0.06, 0.22, 0.26, 0.235, 0.17 + s["hump"], 0.12 + s["hump"], 0.08, 0.05, 0, 0]
    ridge = PchipInterpolator([-1.9, -0.39, -0.355, -0.30, -0.25, -0.19, -0.05, 0.08, 0.20, 0.34, 0.48, 1.3], heights)(
        ny
    )
    breadth = np.interp(ny, [-0.36, -0.30, -0.24, -0.12, 0.0, 0.2, 0.4], [0.06, 0.085, 0.095, 0.075, 0.07, 0.065, 0.13])
    d += ridge * s["nose_h"] * np.exp(-(np.abs(x / (breadth * (0.5 + 0.5 * s["nose_w"]))) ** 1.8))
    upper, lower, above, e = _lips(s, x, y)
    d += 0.04 * _g(x, y, 0, -0.55, 0.24, 0.16)  # the teeth carry the mouth forwards
    bulge = lambda q: np.sin(np.pi * np.clip(q, 0, 1) ** 0.8) ** 0.8  # noqa: E731
    d += (
        0.045
        * s["lips"] ** 0.5
        * e**0.6
        * (bulge(upper * 0.85) * (upper > 0) + 1.25 * bulge(lower * 0.85) * (lower > 0))
    )
    d -= 0.022 * np.exp(-((above / 0.016) ** 2)) * np.exp(-((x / 0.25) ** 6))
    d -= 0.022 * _g(x, y, 0, -0.435, 0.03, 0.05)  # groove under the nose
    d -= 0.045 * _g(x, y, 0, -0.735, 0.18, 0.045)  # groove under the lip
    d += 0.075 * s["chin"] * _g(x, y, 0, -0.91, 0.17, 0.11)
    d *= np.cos(theta) > 0
    hair = _step(_under_hair(s, theta, y) - 0.05, 0.11)
    side = np.stack([0.6 * np.sin(theta), 0 * theta, np.cos(theta)], -1)
    out = base - [0, 0.25, -0.08]  # from the middle of the skull
    out[..., 1] = np.clip(out[..., 1], 0, None)
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    thick = hair * (0.06 + s["long"] * (0.06 + 0.19 * _step(-0.5 - y, 0.55)) * _step(np.abs(theta) - 1.2, 0.4))
    return base + d[..., None] * side / np.linalg.norm(side, axis=-1, keepdims=True) + thick[..., None] * out


def _almond(s, x, m):
    """Return the opening of eye ``m`` (-1 or 1) along x: about 1 in the middle, 0 at and beyond the corners."""
    e = (x / s["width"] - m * EYE_X) / EYE_HALF
    return np.clip(1 - e**2, 0, 1) ** 0.8 * (1 - 0.15 * m * e)  # the inner half is the rounder one


def _place_lids(s, base, slit, closed, upper=1.0, lower=1.0):
    """Open the slit: lids go up and down by their share of the neutral opening and bulge over the eyeballs.

    Returns the moved points (rows, columns, 3) and the eyeballs' centres (2, 3).
    """
    xyz, x = closed.copy(), base[..., 0]
    dy = base[..., 1] - base[slit, :, 1]
    above = np.arange(len(base))[:, None] <= slit
    rise, fall = 0.066 * upper * np.clip(1 - dy / 0.17, 0, 1) ** 2, 0.042 * lower * np.clip(1 + dy / 0.11, 0, 1) ** 2
    balls = []
    for m in (-1, 1):
        xyz[..., 1] += s["opening"] * _almond(s, x, m) * np.where(above, rise, -fall)
        opening = closed[slit, (_almond(s, x[slit], m) > 0) & (base[slit, :, 2] > 0.3)]
        balls.append(
            [(opening[0, 0] + opening[-1, 0]) / 2, opening[:, 1].mean() + 0.01, opening[:, 2].max() + 0.02 - BALL]
        )
    for ball in balls:
        inside = (BALL + LID) ** 2 - ((xyz[..., :2] - ball[:2]) ** 2).sum(-1)
        gap = xyz[..., 2] - ball[2] - np.sqrt(np.clip(inside, 0, None))
        lift = 0.5 * (np.sqrt(gap**2 + 0.03**2) - gap)  # smooth maximum of skin and sphere
        xyz[..., 2] += np.where((inside > 0) & (xyz[..., 2] > 0.3), lift, 0)
    return xyz, np.array(balls)


def _au_fields(s, au, theta, base, slit, closed, neutral):
    """Return the displacement (2, rows, columns, 3) of one AU on the sides x < 0 and x > 0."""
    x, y = neutral[..., 0], neutral[..., 1]
    move = np.zeros_like(neutral)
    for cx, cy, sx, sy, *step in LOBES[au]:
        for m in (-1, 1):
            move += _g(x, y, m * cx * s["width"], cy, sx, sy)[..., None] * (np.array(step) * [m, 1, 1])
    for m in (-1, 1):  # lids ride on the eyeball: only their own muscle moves them much
        lid = np.exp(-(((x / s["width"] - m * EYE_X) / 0.17) ** 4) - ((y - EYE_Y - 0.01) / 0.1) ** 4)
        move *= (1 - 0.9 * lid)[..., None]
    slope = np.cross(np.gradient(base, axis=0), np.gradient(base, axis=1))
    slope /= np.linalg.norm(slope, axis=-1, keepdims=True) + 1e-9
    move -= 0.8 * slope * (slope[..., :2] * move[..., :2]).sum(-1, keepdims=True)  # skin slides along the skull
    move *= _step(np.cos(theta) - 0.2, 0.2)[..., None]
    if au in LIDS:
        move += _place_lids(s, base, slit, closed, *LIDS[au])[0] - neutral
    right = _step(x, 0.12)[..., None]  # the sides blend over the midline and add up to the symmetric action
    return move * (1 - right), move * right


class _Skin:
    """Indices of the slit grid: points kept (the doubled row is one but for the eyes), triangles, uv, lid edges."""

    def __init__(self, s, base, slit):
        rows, columns = base.shape[:2]
        index = np.arange(rows * columns).reshape(rows, columns)
        x, front = base[slit, :, 0], base[slit, :, 2] > 0.3
        hole = front & (sum(_almond(s, x, m) for m in (-1, 1)) > 0)
        index[slit + 1, ~hole] = index[slit, ~hole]
        self.kept = np.unique(index)
        a, b, c, d = index[:-1, :-1], index[1:, :-1], index[:-1, 1:], index[1:, 1:]
        triangles = np.stack([np.stack([a, b, c], -1), np.stack([b, d, c], -1)], 2).reshape(rows - 1, -1, 3)
        triangles = np.delete(triangles, slit, axis=0).reshape(-1, 3)  # the slit itself
        self.triangles = np.searchsorted(self.kept, triangles)
        v = np.r_[np.arange(slit + 1), slit + 0.4, np.arange(slit + 1, rows - 1)]  # lower edge: skin, no lashes
        u, v = np.meshgrid(np.linspace(0, 1, columns), v / (rows - 2) * SKIN_PART)
        self.uv = np.stack([u, v], -1).reshape(-1, 2)
        strips = []
        for m in (-1, 1):
            open_ = np.flatnonzero(hole & (m * x > 0))
            reach = np.arange(open_[0] - 1, open_[-1] + 2)  # with both corners
            strips += [index[slit, reach], index[slit + 1, reach]]
        self.strips = strips
        self.edge = np.concatenate([np.r_[strip, strip] for strip in strips])

    def part(self, xyz):
        """Return the skin as (vertices, triangles, uv)."""
        return xyz.reshape(-1, 3)[self.kept], self.triangles, self.uv[self.kept]

    def margins(self, xyz, balls):
        """Return the lids' edges as one part: strips from the skin's edge back into the eyeball."""
        vertices, triangles, start = [], [], 0
        for k, strip in enumerate(self.strips):
            outer, ball, n = xyz.reshape(-1, 3)[strip], balls[k // 2], len(strip)
            inner = outer.copy()
            inner[:, 2] = ball[2] + np.sqrt(np.clip((BALL - 0.01) ** 2 - ((outer - ball)[:, :2] ** 2).sum(-1), 0, None))
            inner[:, 2] = np.minimum(inner[:, 2], outer[:, 2] - 0.01)
            vertices += [outer, inner]
            triangles.append(_quads(2, n)[:, :: 1 - 2 * (k % 2)] + start)  # upper edges face down, lower up
            start += 2 * n
        uv = self.uv[self.edge]
        uv[:, 1] = self.uv[self.strips[1][1], 1]  # the colour of the lower lid's rim, not that of lashes
        return np.concatenate(vertices), np.concatenate(triangles), uv


def _quads(rows, columns):
    """Return the triangles (K, 3) of a grid of rows x columns vertices."""
    i = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = i[:-1, :-1], i[1:, :-1], i[:-1, 1:], i[1:, 1:]
    return np.stack([np.stack([a, b, c], -1), np.stack([b, d, c], -1)], 2).reshape(-1, 3)


def _eyeballs(balls):
    """Return the two front half spheres; both look up one round picture of an eye in the texture."""
    polar, turn = np.meshgrid(np.linspace(0, 1.75, 18), np.linspace(0, 2 * np.pi, 37), indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], -1)
    uv = np.array([0.075, 0.925]) + 0.07 * unit[..., :2] * [1, -1]
    return [(ball + BALL * unit.reshape(-1, 3), _quads(18, 37), uv.reshape(-1, 2)) for ball in balls]


def _ears(s):
    """Return both ears: shells with a rim, a hollow and a lobe; long hair covers them."""
    r, turn = np.meshgrid(np.linspace(0, 1, 14), np.linspace(0, 2 * np.pi, 33), indexing="ij")
    back, up = r * np.cos(turn), r * np.sin(turn)
    out = 0.06 * np.exp(-(((r - 0.82) / 0.2) ** 2)) * (0.4 + 0.6 * _step(back + 0.4, 0.5)) - 0.05 * (r > 0.95)
    out += 0.03 * _g(back, up, -0.6, -0.1, 0.2, 0.2) + 0.05 * back
    x = 0.715 * s["width"] + out - 0.3 * s["long"]
    y, z = -0.02 + 0.26 * up - 0.05 * back, -0.10 - 0.15 * back * (1 + 0.25 * up)
    uv = np.stack([0.25 + 0.06 * back, 0.925 - 0.06 * up], -1).reshape(-1, 2)
    parts = []
    for m in (-1, 1):
        xyz = np.stack([m * x, y, z], -1).reshape(-1, 3)
        parts.append((xyz, _quads(14, 33)[:, ::m], uv))
    return parts


def _grain(rng, x, y):
    """Return skin-like noise (unit variance) at points given in units, with grain of 0.007 to 0.1 units."""
    sheet = np.zeros((960, 1500), np.float32)
    for weight, k in ((0.8, 4), (0.8, 8), (0.45, 16), (0.35, 48)):
        coarse = rng.standard_normal((960 // k, 1500 // k), np.float32)
        sheet += weight * cv2.resize(coarse, (1500, 960), interpolation=cv2.INTER_CUBIC)
    return _unit(_sample(sheet, x, y))


def _sample(sheet, x, y):
    """Look up a sheet of 300 texels a unit (1500 x 960) at points given in units."""
    at = (x * 300 + 750).astype(np.float32), ((1.35 - y) * 300).astype(np.float32)
    return cv2.remap(sheet, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _unit(a):
    return a / a.std()


def _mix(rgb, mask, colour):
    return rgb + mask[..., None] * (np.asarray(colour, np.float32) - rgb)


def _paint(s, rng, theta, base, slit):
    """Return the texture (SIZE, SIZE, 3) uint8: the skin on the grid itself (lids shut), eyeball and ear below."""
    tall = round(SIZE * SKIN_PART)
    u, v = np.meshgrid((np.arange(SIZE) + 0.5) / SIZE * (COLUMNS - 1), (np.arange(tall) + 0.5) / tall * (ROWS - 1))
    maps = np.dstack([base[..., 0] / s["width"], base[..., 1], theta, base[..., 1] - base[slit, :, 1]])
    maps = np.delete(maps, slit + 1, axis=0).astype(np.float32)
    x, y, angle, dy = cv2.split(cv2.remap(maps, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR))
    x = np.where(np.cos(angle) > 0, x, np.sign(x) * 2)  # what follows is painted on the front only
    grain = _grain(rng, angle * 0.75, y)
    rgb = s["tone"].astype(np.float32) * (1 + 0.06 * grain[..., None] * np.array([0.8, 1, 1.05], np.float32))
    rgb = _paint_skin(s, rng, rgb, x, y, angle)
    rgb = _paint_eyes_and_lips(s, rgb, x, y, dy, grain)
    strands = _grain(rng, angle * 2.5, y * 0.25)
    hair = s["hair"].astype(np.float32) * np.clip(1 + 0.35 * strands, 0.3, 2)[..., None]
    cover = _step(_under_hair(s, angle, y) + 0.012 * np.clip(strands, -2, 2), 0.03)
    rgb = rgb + cover[..., None] * (hair - rgb)
    sheet = np.empty((SIZE, SIZE, 3), np.float32)
    sheet[:tall], sheet[tall:] = rgb, s["tone"]
    _paint_ball_and_ear(s, sheet[tall:])
    return (np.clip(sheet, 0, 1) * 255 + 0.5).astype(np.uint8)


def _paint_skin(s, rng, rgb, x, y, angle):
    """Add blush, shade where light hardly reaches, marks, freckles, brows and nostrils."""
    blush = sum(_g(x, y, m * 0.42, -0.18, 0.2, 0.17) for m in (-1, 1)) + 0.6 * _g(x, y, 0, -0.25, 0.12, 0.1)
    rgb = rgb * (1 - 0.09 * blush[..., None] * np.array([0, 1, 0.8], np.float32))
    shade = 0.30 * _step(-1.0 - y, 0.06) + 0.12 * _g(x, y, 0, -0.73, 0.2, 0.04) + 0.15 * _g(x, y, 0, -0.40, 0.09, 0.03)
    for m in (-1, 1):
        shade += 0.15 * _g(x, y, m * 0.16, 0.17, 0.05, 0.08) + 0.12 * _g(x, y, m * 0.3, 0.03, 0.13, 0.025)
        shade += 0.10 * _g(x, y, m * 0.3, 0.28, 0.16, 0.03) + 0.15 * _g(x, y, m * 0.20, -0.36, 0.03, 0.08)
        shade += 0.65 * _g(x, y - s["nose_y"], m * 0.06 * s["nose_w"], -0.352, 0.036 * s["nose_w"], 0.016)  # nostril
    rgb = rgb * (1 - np.clip(shade, 0, 0.85))[..., None]
    for size, dark, count in (
        (3.5, 0.5, s["marks"]),
        (1.8, 0.25, s["freckles"]),
    ):  # moles, freckles: radius in 1/300 units
        spots = np.zeros((960, 1500), np.float32)
        where = (
            750 + 300 * rng.uniform(-0.5, 0.5, count),
            405 - 300 * rng.uniform(-0.9 if size > 3 else -0.35, 0.5 if size > 3 else 0.1, count),
        )
        spots[where[1].astype(int), where[0].astype(int)] = rng.uniform(0.5, 1, count) * 2 * np.pi * size**2
        rgb = rgb * (1 - dark * np.clip(_sample(cv2.GaussianBlur(spots, (0, 0), size), x, y), 0, 1.2))[..., None]
    hairs = _grain(rng, x * 1.6 + y, y * 0.4)
    for m in (-1, 1):
        t = (x * m - 0.29) / 0.215
        middle = 0.355 + s["brow_y"] + s["brow_arch"] * (1 - (t - 0.25) ** 2) - 0.015 * t
        half = 0.036 * s["brow_w"] * (1 - 0.55 * _step(t - 0.3, 0.7)) + 1e-4
        brow = np.exp(-(np.abs((y - middle) / half) ** 3)) * _step(1 - np.abs(t), 0.12)
        rgb = _mix(rgb, np.clip(brow * (0.8 + 0.2 * hairs), 0, 0.92), s["hair"] * 0.75)
    return rgb


def _paint_eyes_and_lips(s, rgb, x, y, dy, grain):
    """Add lashes, lid creases and lips; ``dy`` is the height above the (shut) slit of the eye."""
    for m in (-1, 1):
        e = np.clip((x - m * EYE_X) / EYE_HALF, -1.3, 1.3)
        near = _step(1.05 - np.abs(e), 0.1)
        arc = 0.090 * np.sqrt(np.clip(1 - 0.5 * e**2, 0, 1))
        rgb = rgb * (1 - 0.35 * near * np.exp(-(((dy - arc) / 0.012) ** 2)))[..., None]  # crease of the upper lid
        rgb = rgb * (1 - 0.12 * near * _step(dy, 0.01) * _step(arc - dy, 0.01))[..., None]
        lash = near * np.exp(-(np.abs((dy - 0.006) / 0.016) ** 3)) * (dy > -0.004)
        rgb = _mix(rgb, 0.9 * lash, (0.05, 0.04, 0.04))
        rgb = _mix(rgb, 0.5 * near * np.exp(-(((dy + 0.006) / 0.006) ** 2)), (0.62, 0.36, 0.33))  # rim of the lower lid
    upper, lower, above, e = _lips(s, x, y)
    mouth = np.maximum(_step(1 - upper, 0.12) * (above >= 0), _step(1 - lower, 0.12) * (above < 0)) * _step(
        e - 0.03, 0.03
    )
    red = s["tone"] * np.array([0.85, 0.64, 0.66]) + np.array([0.02, 0, 0])
    lips = red.astype(np.float32) * (1 + 0.06 * grain)[..., None] * np.where(above > 0, 0.88, 1.04)[..., None]
    rgb = rgb + mouth[..., None] * (lips - rgb)
    line = np.exp(-((above / 0.011) ** 2)) * _step(e - 0.05, 0.05)
    return rgb * (1 - 0.7 * line)[..., None]


def _paint_ball_and_ear(s, strip):
    """Paint the eyeball's disc and the ear's patch into the strip under the skin (rows, SIZE, 3)."""
    u, v = np.meshgrid((np.arange(SIZE) + 0.5) / SIZE, 1 - (np.arange(len(strip))[::-1] + 0.5) / SIZE)
    x, y = (u - 0.075) / 0.07, (0.925 - v) / 0.07  # -1..1 over the eyeball
    r, turn = np.hypot(x, y), np.arctan2(y, x)
    eye = np.full(strip.shape, (0.84, 0.81, 0.79), np.float32)
    eye = _mix(eye, _step(0.42 - r, 0.03), s["iris"] * 0.45)
    spokes = 1 + 0.25 * np.sin(turn * 23) * np.sin(turn * 9 + 1)
    eye = eye + _step(0.38 - r, 0.04)[..., None] * (s["iris"] * spokes[..., None] - eye)
    eye = _mix(eye, _step(0.17 - r, 0.02), (0.02, 0.02, 0.02))
    eye = eye * (1 - 0.4 * _step(y - 0.3, 0.2) - 0.1 * _step(np.abs(x) - 0.6, 0.3))[..., None]  # the lids' shadow
    eye = _mix(eye, _step(0.08 - np.hypot(x + 0.13, y - 0.15), 0.03), (1, 1, 1))
    strip[u < 0.15] = eye[u < 0.15]
    back, up = (u - 0.25) / 0.06, (0.925 - v) / 0.06
    hollow = 0.45 * _g(back, up, -0.05, -0.05, 0.4, 0.5) + 0.25 * np.exp(-(((np.hypot(back, up) - 0.65) / 0.1) ** 2))
    strip *= np.where(u < 0.15, 1, 1 - np.clip(hollow, 0, 0.6))[..., None]
