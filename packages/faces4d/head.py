"""Anatomy: a textured head with eyeballs, lids, lips, ears and hair, and what each action unit (AU)
moves on it.

One curved grid (angle round the head x rows from the crown to the neck) is the skin. It is slit
along each eye; pushing the lids apart over an eyeball opens the slit, and a blink is the way back.
Unit of length: half the height of a face. Axes: x to the right of the picture, y up, z towards the
viewer. Side 0 is x < 0, side 1 is x > 0 (the picture's sides).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from faces4d import anatomy
from faces4d.anatomy import BALL, SIZE, SKIN_PART, bump, ramp, under_hair

import cv2
import numpy as np

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 24, 45)
STEADY = (0.0, 0.0, 0.0)  # no variation: every AU moves the skin where LOBES says
FURROW_SIZE = SIZE // 2  # side of the sheet that furrows are drawn on: a texel is about a pixel


@dataclass(frozen=True, eq=False)
class Furrow:
    """Furrows of one AU on one side of a face."""

    au: int  # index in AUS
    side: int
    rows: slice  # where the patch lies on a sheet (FURROW_SIZE, FURROW_SIZE) over the texture
    columns: slice
    patch: np.ndarray  # darkness 0..1
    depth: float  # this person's, as a deviation in sd


@dataclass(frozen=True, eq=False)
class Face:
    """One subject: geometry, texture and what each AU moves; arrays are read-only."""

    vertices: np.ndarray  # (M, 3) float32, units of half a face height
    triangles: np.ndarray  # (K, 3) int32
    uv: np.ndarray  # (M, 2) float32 in [0, 1]; u right, v down from the texture's first row
    fields: np.ndarray  # (A, 2, M, 3) float32: displacement of each AU on each side at activation 1
    front: np.ndarray  # (M,) bool: skin of the face seen from the front (no hair, eyeballs, neck)
    paint: Callable  # draws the texture
    crease: Callable  # draws the furrows

    @functools.cached_property
    def texture(self):
        """(SIZE, SIZE, 3) uint8 RGB; painted when first asked for, as motion alone needs none."""
        sheet = self.paint()
        sheet.setflags(write=False)
        return sheet

    @functools.cached_property
    def furrows(self):
        """The Furrows that AUs fold the skin into; drawn when first asked for."""
        return self.crease()


def deform(face, weights):
    """Return the vertices (M, 3) of ``face`` under AU ``weights`` (A, 2), to which it is linear."""
    weights = np.asarray(weights, np.float32)
    moved = face.vertices.copy()
    for a, side in zip(*np.nonzero(weights), strict=True):
        moved += weights[a, side] * face.fields[a, side]
    return moved


@functools.lru_cache(maxsize=4)  # ~12 MB each
def make_face(seed, variation=STEADY):
    """Return the Face of a subject: shape, texture, tone, hair and eyes are drawn from ``seed``
    (int).

    ``variation`` (units, sd of log, degrees) says how far this person's AU fields, each by itself,
    lie from those of LOBES, are wider or narrower, and are turned; lids keep their way.
    """
    rng = np.random.default_rng([seed, 41])
    s = anatomy.draw_shape(rng)
    theta, base, slit = anatomy.make_skull(s)
    closed = anatomy.make_relief(s, theta, base)
    neutral, balls = anatomy.place_lids(s, base, slit, closed)
    skin = _Skin(s, base, slit)
    surface = neutral.reshape(-1, 3)[skin.kept], skin.triangles, skin.uv[skin.kept]
    parts = [surface, skin.margins(neutral, balls), *_eyeballs(balls), *_ears(s)]
    vertices, triangles, uv = zip(*parts, strict=True)
    starts = np.cumsum([0] + [len(part) for part in vertices])
    triangles = [part + start for part, start in zip(triangles, starts[:-1], strict=True)]

    fields = np.zeros((len(AUS), 2, starts[-1], 3), np.float32)
    moving = np.r_[skin.kept, skin.edge]  # the lids' edges go with the skin; eyeballs and ears stay
    changes = anatomy.draw_variation(np.random.default_rng([seed, 47]), len(AUS), variation)
    for a, au in enumerate(AUS):
        lobes = [anatomy.vary_lobe(lobe, *changes[a]) for lobe in anatomy.LOBES[au]]
        lids = anatomy.LIDS.get(au)
        both = anatomy.make_au_field(s, lobes, lids, theta, base, slit, closed, neutral)
        fields[a, :, : len(moving)] = np.stack(both).reshape(2, -1, 3)[:, moving]
    fields[..., 1] *= s["tall"]

    y = base[..., 1]
    bare = (np.abs(theta) < 1.1) & (under_hair(s, theta, y) < -0.02) & (y > -1)
    front = np.zeros(starts[-1], bool)
    front[: len(skin.kept)] = bare.ravel()[skin.kept]
    arrays = (
        (np.concatenate(vertices) * [1, s["tall"], 1]).astype(np.float32),
        np.concatenate(triangles).astype(np.int32),
        np.concatenate(uv).astype(np.float32),
        fields,
        front,
    )
    for array in arrays:
        array.setflags(write=False)
    crease = functools.partial(_crease, s, np.random.default_rng([seed, 43]), theta, base, slit)
    return Face(*arrays, functools.partial(_paint, s, rng, theta, base, slit), crease)


class _Skin:
    """Indices of the slit grid: points kept, triangles, uv, lid edges.

    The doubled row is one row everywhere but at the eyes.
    """

    def __init__(self, s, base, slit):
        rows, columns = base.shape[:2]
        index = np.arange(rows * columns).reshape(rows, columns)
        x, front = base[slit, :, 0], base[slit, :, 2] > 0.3
        hole = front & (sum(anatomy.almond_edges(s, x, m) for m in (-1, 1)) > 0)
        index[slit + 1, ~hole] = index[slit, ~hole]
        self.kept = np.unique(index)
        triangles = _triangulate(index).reshape(rows - 1, -1, 3)
        triangles = np.delete(triangles, slit, axis=0).reshape(-1, 3)  # the slit itself
        self.triangles = np.searchsorted(self.kept, triangles)
        # lower edge: skin, no lashes
        v = np.r_[np.arange(slit + 1), slit + 0.4, np.arange(slit + 1, rows - 1)]
        u, v = np.meshgrid(np.linspace(0, 1, columns), v / (rows - 2) * SKIN_PART)
        self.uv = np.stack([u, v], -1).reshape(-1, 2)
        self.strips = []
        for m in (-1, 1):
            opening = np.flatnonzero(hole & (m * x > 0))
            reach = np.arange(opening[0] - 1, opening[-1] + 2)  # with both corners
            self.strips += [index[slit, reach], index[slit + 1, reach]]
        self.edge = np.concatenate([np.r_[strip, strip] for strip in self.strips])

    def margins(self, xyz, balls):
        """Return the lids' edges as one part: strips from the skin's edge back into the eyeball."""
        vertices, triangles, start = [], [], 0
        for k, strip in enumerate(self.strips):
            outer, ball, n = xyz.reshape(-1, 3)[strip], balls[k // 2], len(strip)
            inside = (BALL - 0.01) ** 2 - ((outer - ball)[:, :2] ** 2).sum(-1)
            depth = ball[2] + np.sqrt(np.clip(inside, 0, None))
            inner = outer.copy()
            inner[:, 2] = np.minimum(depth, outer[:, 2] - 0.01)
            vertices += [outer, inner]
            # upper edges face down, lower up
            between = _triangulate(np.arange(start, start + 2 * n).reshape(2, n))
            triangles.append(between[:, :: 1 - 2 * (k % 2)])
            start += 2 * n
        uv = self.uv[self.edge]
        # the colour of the lower lid's rim, not that of lashes
        uv[:, 1] = self.uv[self.strips[1][1], 1]
        return np.concatenate(vertices), np.concatenate(triangles), uv


def _triangulate(index):
    """Return the triangles (K, 3) of a grid of vertices with these numbers (rows, columns)."""
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[:-1, 1:], index[1:, 1:]
    return np.stack([np.stack([a, b, c], -1), np.stack([b, d, c], -1)], 2).reshape(-1, 3)


def _eyeballs(balls):
    """Return two front half spheres; both look up one picture of an eye in the texture."""
    angles = np.linspace(0, 1.75, 18), np.linspace(0, 2 * np.pi, 37)
    polar, turn = np.meshgrid(*angles, indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], -1)
    uv = (np.array([0.075, 0.925]) + 0.07 * unit[..., :2] * [1, -1]).reshape(-1, 2)
    triangles = _triangulate(np.arange(18 * 37).reshape(18, 37))
    return [(ball + BALL * unit.reshape(-1, 3), triangles, uv) for ball in balls]


def _ears(s):
    """Return both ears: shells with a rim, a hollow and a lobe; long hair covers them."""
    r, turn = np.meshgrid(np.linspace(0, 1, 14), np.linspace(0, 2 * np.pi, 33), indexing="ij")
    back, up = r * np.cos(turn), r * np.sin(turn)
    rim = 0.06 * np.exp(-(((r - 0.82) / 0.2) ** 2)) * (0.4 + 0.6 * ramp(back + 0.4, 0.5))
    out = rim - 0.05 * (r > 0.95)
    out += 0.03 * bump(back, up, -0.6, -0.1, 0.2, 0.2) + 0.05 * back
    x = 0.715 * s["width"] + out - 0.3 * s["long"]
    y, z = -0.02 + 0.26 * up - 0.05 * back, -0.10 - 0.15 * back * (1 + 0.25 * up)
    uv = np.stack([0.25 + 0.06 * back, 0.925 - 0.06 * up], -1).reshape(-1, 2)
    triangles = _triangulate(np.arange(14 * 33).reshape(14, 33))
    both = {m: np.stack([m * x, y, z], -1).reshape(-1, 3) for m in (-1, 1)}
    return [(xyz, triangles[:, ::m], uv) for m, xyz in both.items()]


def _grain(rng, x, y):
    """Return skin-like noise (unit variance) at points, with grain of 0.007 to 0.1 units."""
    sheet = np.zeros((960, 1500), np.float32)
    for weight, k in ((0.8, 4), (0.8, 8), (0.45, 16), (0.35, 48)):
        coarse = rng.standard_normal((960 // k, 1500 // k), np.float32)
        sheet += weight * cv2.resize(coarse, (1500, 960), interpolation=cv2.INTER_CUBIC)
    noise = _sample(sheet, x, y)
    return noise / noise.std()


def _sample(sheet, x, y):
    """Look up a sheet of 300 texels per unit (1500 x 960) at points given in units."""
    at = (x * 300 + 750).astype(np.float32), ((1.35 - y) * 300).astype(np.float32)
    return cv2.remap(sheet, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _mix(rgb, mask, colour):
    return rgb + mask[..., None] * (np.asarray(colour, np.float32) - rgb)


def _unroll(s, theta, base, slit, size):
    """Return where the texels of the skin, of a texture of side ``size``, lie on the shut face.

    These are x (of a face of width 1), y, angle, and height above the eye's slit.
    """
    tall = round(size * SKIN_PART)
    across = (np.arange(size) + 0.5) / size * (anatomy.COLUMNS - 1)
    down = (np.arange(tall) + 0.5) / tall * (anatomy.ROWS - 1)
    u, v = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
    x, y = base[..., 0] / s["width"], base[..., 1]
    maps = np.delete(np.dstack([x, y, theta, y - y[slit]]), slit + 1, axis=0)
    x, y, angle, dy = cv2.split(cv2.remap(maps.astype(np.float32), u, v, cv2.INTER_LINEAR))
    # x at the back is beyond any face: what is painted by x is painted on the front only
    return np.where(np.cos(angle) > 0, x, np.sign(x) * 2), y, angle, dy


def _crease(s, rng, theta, base, slit):
    """Return the subject's Furrows: soft lines with thin ends, near where FURROWS has them."""
    x, y, angle, _ = _unroll(s, theta, base, slit, FURROW_SIZE)
    bare = ramp(-0.03 - under_hair(s, angle, y), 0.03)  # none through hair
    furrows = []
    for au, lines in anatomy.FURROWS.items():
        depth = float(np.clip(rng.standard_normal(), -2, 2))
        for side, m in enumerate((-1, 1)):
            sheet = np.zeros(x.shape, np.float32)
            for strength, *points in lines:
                sheet = np.maximum(sheet, strength * _draw_line(rng, m * x, y, points))
            sheet *= bare
            rows, columns = (np.flatnonzero((sheet > 0.01).any(axis)) for axis in (1, 0))
            part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            furrows.append(Furrow(AUS.index(au), side, *part, sheet[part].copy(), depth))
    return tuple(furrows)


def _draw_line(rng, x, y, points):
    """Return a furrow's darkness 0..1 at places x, y: a dark line in a soft shade, with thin ends.

    It follows a parabola through three ``points``, wavering; one from x = 0 is not thin there.
    """
    points = np.array(points)
    whole = points[0, 0] == 0
    waver = 0.008 * np.clip(rng.standard_normal((3, 2)), -2, 2)
    waver[0] *= not whole
    t = np.linspace(0, 1, 33)[:, None]
    weights = np.hstack([(2 * t - 1) * (t - 1), 4 * t * (1 - t), t * (2 * t - 1)])
    curve = weights @ (points + waver)
    middle, reach = curve.mean(0), np.ptp(curve, axis=0) / 2 + 0.12
    near = (np.abs(x - middle[0]) < reach[0]) & (np.abs(y - middle[1]) < reach[1])
    apart = np.hypot(x[near, None] - curve[:, 0], y[near, None] - curve[:, 1])
    place, apart = t[apart.argmin(1), 0], apart.min(1)
    thin = np.clip((1 - place) / 0.35, 0, 1) * (1.0 if whole else np.clip(place / 0.25, 0, 1))
    line = np.zeros(x.shape, np.float32)
    core, shade = np.exp(-((apart / 0.015) ** 2)), np.exp(-((apart / 0.045) ** 2))
    line[near] = thin * (0.65 * core + 0.35 * shade)
    return line


def _paint(s, rng, theta, base, slit):
    """Return the texture (SIZE, SIZE, 3) uint8: the skin (lids shut), eyeball and ear below."""
    x, y, angle, dy = _unroll(s, theta, base, slit, SIZE)
    tall = len(x)
    grain = _grain(rng, angle * 0.75, y)
    colour = np.array([0.8, 1, 1.05], np.float32)
    rgb = s["tone"].astype(np.float32) * (1 + 0.06 * grain[..., None] * colour)
    rgb = _paint_skin(s, rng, rgb, x, y)
    rgb = _paint_eyes_and_lips(s, rgb, x, y, dy, grain)
    strands = _grain(rng, angle * 2.5, y * 0.25)
    hair = s["hair"].astype(np.float32) * np.clip(1 + 0.35 * strands, 0.3, 2)[..., None]
    cover = ramp(under_hair(s, angle, y) + 0.012 * np.clip(strands, -2, 2), 0.03)
    rgb = rgb + cover[..., None] * (hair - rgb)
    sheet = np.empty((SIZE, SIZE, 3), np.float32)
    sheet[:tall], sheet[tall:] = rgb, s["tone"]
    _paint_ball_and_ear(s, sheet[tall:])
    return (np.clip(sheet, 0, 1) * 255 + 0.5).astype(np.uint8)


def _paint_skin(s, rng, rgb, x, y):
    """Add blush, shade where light hardly reaches, marks, freckles, brows and nostrils."""
    cheeks = sum(bump(x, y, m * 0.42, -0.18, 0.2, 0.17) for m in (-1, 1))
    blush = cheeks + 0.6 * bump(x, y, 0, -0.25, 0.12, 0.1)
    rgb = rgb * (1 - 0.09 * blush[..., None] * np.array([0, 1, 0.8], np.float32))

    wide = s["nose_w"]
    shade = 0.30 * ramp(-1.0 - y, 0.06) + 0.12 * bump(x, y, 0, -0.73, 0.2, 0.04)
    shade = shade + 0.15 * bump(x, y, 0, -0.40, 0.09, 0.03)
    for m in (-1, 1):
        corner = 0.15 * bump(x, y, m * 0.16, 0.17, 0.05, 0.08)
        shade += corner + 0.12 * bump(x, y, m * 0.3, 0.03, 0.13, 0.025)
        lid = 0.10 * bump(x, y, m * 0.3, 0.28, 0.16, 0.03)
        shade += lid + 0.15 * bump(x, y, m * 0.20, -0.36, 0.03, 0.08)
        # nostril
        shade += 0.65 * bump(x, y - s["nose_y"], m * 0.06 * wide, -0.352, 0.036 * wide, 0.016)
    rgb = rgb * (1 - np.clip(shade, 0, 0.85))[..., None]

    moles, freckles = (3.5, 0.5, s["marks"], -0.9, 0.5), (1.8, 0.25, s["freckles"], -0.35, 0.1)
    for size, dark, count, low, high in (moles, freckles):  # size: radius in 1/300 units
        spots = np.zeros((960, 1500), np.float32)
        columns = 750 + 300 * rng.uniform(-0.5, 0.5, count)
        rows = 405 - 300 * rng.uniform(low, high, count)
        strength = rng.uniform(0.5, 1, count) * 2 * np.pi * size**2
        spots[rows.astype(int), columns.astype(int)] = strength
        soft = _sample(cv2.GaussianBlur(spots, (0, 0), size), x, y)
        rgb = rgb * (1 - dark * np.clip(soft, 0, 1.2))[..., None]

    hairs = _grain(rng, x * 1.6 + y, y * 0.4)
    for m in (-1, 1):
        t = (x * m - 0.29) / 0.215
        middle = 0.355 + s["brow_y"] + s["brow_arch"] * (1 - (t - 0.25) ** 2) - 0.015 * t
        half = 0.036 * s["brow_w"] * (1 - 0.55 * ramp(t - 0.3, 0.7)) + 1e-4
        brow = np.exp(-(np.abs((y - middle) / half) ** 3)) * ramp(1 - np.abs(t), 0.12)
        rgb = _mix(rgb, np.clip(brow * (0.8 + 0.2 * hairs), 0, 0.92), s["hair"] * 0.75)
    return rgb


def _paint_eyes_and_lips(s, rgb, x, y, dy, grain):
    """Add lashes, lid creases and lips; ``dy`` is the height above the (shut) slit of the eye."""
    for m in (-1, 1):
        e = np.clip((x - m * anatomy.EYE_X) / anatomy.EYE_HALF, -1.3, 1.3)
        near = ramp(1.05 - np.abs(e), 0.1)
        arc = 0.090 * np.sqrt(np.clip(1 - 0.5 * e**2, 0, 1))
        # crease of the upper lid
        rgb = rgb * (1 - 0.35 * near * np.exp(-(((dy - arc) / 0.012) ** 2)))[..., None]
        rgb = rgb * (1 - 0.12 * near * ramp(dy, 0.01) * ramp(arc - dy, 0.01))[..., None]
        lash = near * np.exp(-(np.abs((dy - 0.006) / 0.016) ** 3)) * (dy > -0.004)
        rgb = _mix(rgb, 0.9 * lash, (0.05, 0.04, 0.04))
        # rim of the lower lid
        rgb = _mix(rgb, 0.5 * near * np.exp(-(((dy + 0.006) / 0.006) ** 2)), (0.62, 0.36, 0.33))
    upper, lower, above, e = anatomy.lip_shape(s, x, y)
    inside = ramp(1 - np.where(above >= 0, upper, lower), 0.12)
    red = s["tone"] * np.array([0.85, 0.64, 0.66]) + np.array([0.02, 0, 0])
    lips = red.astype(np.float32) * (1 + 0.06 * grain)[..., None]
    lips = lips * np.where(above > 0, 0.88, 1.04)[..., None]
    mouth = inside * ramp(e - 0.03, 0.03)
    rgb = rgb + mouth[..., None] * (lips - rgb)
    line = np.exp(-((above / 0.011) ** 2)) * ramp(e - 0.05, 0.05)
    return rgb * (1 - 0.7 * line)[..., None]


def _paint_ball_and_ear(s, strip):
    """Paint the eyeball's disc and the ear's patch into the strip below (rows, SIZE, 3)."""
    rows = np.arange(len(strip))[::-1]
    u, v = np.meshgrid((np.arange(SIZE) + 0.5) / SIZE, 1 - (rows + 0.5) / SIZE)
    x, y = (u - 0.075) / 0.07, (0.925 - v) / 0.07  # -1..1 over the eyeball
    r, turn = np.hypot(x, y), np.arctan2(y, x)
    eye = np.full(strip.shape, (0.84, 0.81, 0.79), np.float32)
    eye = _mix(eye, ramp(0.42 - r, 0.03), s["iris"] * 0.45)
    spokes = 1 + 0.25 * np.sin(turn * 23) * np.sin(turn * 9 + 1)
    eye = eye + ramp(0.38 - r, 0.04)[..., None] * (s["iris"] * spokes[..., None] - eye)
    eye = _mix(eye, ramp(0.17 - r, 0.02), (0.02, 0.02, 0.02))
    # the lids' shadow
    eye = eye * (1 - 0.4 * ramp(y - 0.3, 0.2) - 0.1 * ramp(np.abs(x) - 0.6, 0.3))[..., None]
    eye = _mix(eye, ramp(0.08 - np.hypot(x + 0.13, y - 0.15), 0.03), (1, 1, 1))
    strip[u < 0.15] = eye[u < 0.15]
    back, up = (u - 0.25) / 0.06, (0.925 - v) / 0.06
    rim = np.exp(-(((np.hypot(back, up) - 0.65) / 0.1) ** 2))
    hollow = 0.45 * bump(back, up, -0.05, -0.05, 0.4, 0.5) + 0.25 * rim
    strip *= np.where(u < 0.15, 1, 1 - np.clip(hollow, 0, 0.6))[..., None]
