"""The shape of a head without its texture: skull, relief of the face, lids; where brows, lips and
hair lie.

Units and axes as in head.py: half a face height; x right, y up, z towards the viewer.
"""

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

COLUMNS, ROWS, SIZE = 138, 150, 1024  # grid of the skin; side of the texture in texels
# the skin takes this part of the texture's height; eyeball and ears share the strip below it
SKIN_PART = 0.85
# eye centre, half width of the opening, radius of the eyeball
EYE_X, EYE_Y, EYE_HALF, BALL = 0.31, 0.15, 0.140, 0.168
LID = 0.02  # thickness that keeps lids in front of the eyeball halfway through a straight blink
MOUTH_Y = -0.56

# Skull and neck from crown down: y in front, y and z at the side, depth to front, half width,
# depth to back, roundness
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

# Each AU as smooth lobes at x > 0, mirrored: centre x, y; widths x, y; motion x, y, z at 1. Our
# choice, but where AU6 and AU9 move most, how far AU1 and AU2 lift and AU12 pulls back: these are
# near the mean of two open head models, ICT-FaceKit (MIT) and the face units of MakeHuman (CC0).
LOBES = {
    1: [(0.13, 0.38, 0.14, 0.13, 0, 0.051, 0.005), (0.12, 0.60, 0.20, 0.15, 0, 0.02, 0)],
    2: [(0.43, 0.38, 0.14, 0.13, 0, 0.07, 0.006), (0.43, 0.60, 0.18, 0.15, 0, 0.025, 0)],
    4: [(0.13, 0.37, 0.13, 0.12, -0.055, -0.07, 0.02), (0.38, 0.38, 0.16, 0.12, -0.025, -0.045, 0)],
    5: [(0.31, 0.28, 0.15, 0.07, 0, 0.035, 0)],
    6: [(0.55, -0.25, 0.19, 0.16, -0.01, 0.078, 0.028), (0.38, -0.06, 0.17, 0.11, 0, 0.045, 0.01),
        (0.53, 0.13, 0.09, 0.10, -0.045, 0.01, 0)],
    7: [(0.49, 0.15, 0.10, 0.09, -0.035, 0, 0), (0.31, 0.02, 0.16, 0.06, 0, 0.04, 0.005)],
    9: [(0.27, -0.32, 0.13, 0.14, -0.01, 0.07, 0.01), (0.09, -0.05, 0.09, 0.16, -0.01, 0.04, 0.01),
        (0.12, -0.46, 0.10, 0.07, 0, 0.03, 0), (0.10, 0.35, 0.10, 0.10, -0.02, -0.045, 0)],
    10: [(0.11, -0.50, 0.11, 0.065, 0, 0.06, 0.015), (0.20, -0.37, 0.10, 0.10, 0.01, 0.065, 0.01)],
    12: [(0.25, -0.56, 0.13, 0.12, 0.078, 0.085, -0.057),
        (0.37, -0.32, 0.17, 0.15, 0.025, 0.06, 0.025)],
    14: [(0.26, -0.56, 0.10, 0.10, 0.04, 0.01, -0.06)],
    15: [(0.25, -0.58, 0.11, 0.11, 0.01, -0.10, -0.01), (0.25, -0.76, 0.12, 0.12, 0, -0.04, 0)],
    17: [(0.07, -0.88, 0.15, 0.12, 0, 0.075, 0.025), (0.08, -0.66, 0.15, 0.08, 0, 0.035, 0.02)],
    24: [(0.08, -0.51, 0.15, 0.06, -0.01, -0.022, -0.02),
        (0.08, -0.63, 0.15, 0.07, -0.01, 0.03, -0.02),
         (0.24, -0.56, 0.10, 0.08, -0.035, 0, -0.01)],
    45: [],
}  # fmt: skip
# Opening of the upper and the lower lid at activation 1; neutral is (1, 1), shut is the upper lid's
# edge on the lower's
LIDS = {5: (1.5, 1.05), 6: (0.95, 0.75), 7: (0.62, 0.45), 45: (-0.6, 0.93)}
# Furrows of the AUs as lines at x > 0, mirrored to the other side: strength, then points (x, y)
# from end to end. A line that begins at x = 0 goes on beyond the middle. Where they lie is read off
# drawings of facial anatomy; how deep each is, is our choice.
FURROWS = {
    1: [(1.0, (0, 0.55), (0.10, 0.56), (0.22, 0.545)),
        (0.8, (0, 0.64), (0.10, 0.65), (0.20, 0.635))],
    2: [(1.0, (0.24, 0.54), (0.38, 0.56), (0.52, 0.50)),
        (0.8, (0.22, 0.62), (0.36, 0.64), (0.49, 0.59))],
    4: [(1.0, (0.045, 0.33), (0.060, 0.40), (0.055, 0.49))],
    6: [(0.9, (0.485, 0.17), (0.535, 0.195), (0.59, 0.235)),
        (1.0, (0.495, 0.145), (0.55, 0.145), (0.61, 0.15)),
        (0.8, (0.485, 0.115), (0.54, 0.095), (0.59, 0.065)),
        (0.6, (0.19, 0.05), (0.30, 0.015), (0.42, 0.045))],
    7: [(0.5, (0.19, 0.05), (0.30, 0.02), (0.42, 0.05))],
    9: [(0.9, (0.03, 0.13), (0.06, 0.10), (0.10, 0.04)), (0.8, (0.035, 0.07), (0.06, 0.04),
        (0.09, -0.01)), (0.7, (0.14, -0.17), (0.19, -0.24), (0.28, -0.27))],
    10: [(1.0, (0.15, -0.26), (0.22, -0.35), (0.28, -0.48))],
    12: [(1.0, (0.155, -0.27), (0.26, -0.38), (0.335, -0.57)),
         (0.4, (0.495, 0.145), (0.55, 0.145), (0.61, 0.15)),
         (0.4, (0.485, 0.115), (0.54, 0.095), (0.59, 0.065))],
    14: [(1.0, (0.295, -0.50), (0.315, -0.55), (0.300, -0.61))],
    15: [(1.0, (0.275, -0.60), (0.300, -0.66), (0.300, -0.73))],
    17: [(1.0, (0, -0.745), (0.07, -0.75), (0.15, -0.785)),
         (0.6, (0.03, -0.86), (0.07, -0.85), (0.11, -0.88))],
}  # fmt: skip


def draw_shape(rng):
    """Draw one subject's measures, relative (around 1) or in units; the ranges were set by eye."""
    spread = {
        "width": 0.08, "jaw": 0.13, "nose_w": 0.20, "nose_h": 0.20, "mouth_w": 0.12, "lips": 0.30,
        "brow_w": 0.35, "cheek": 0.6, "ridge": 0.6, "opening": 0.15, "chin": 0.5,
    }  # fmt: skip
    s = {name: float(rng.uniform(1 - d, 1 + d)) for name, d in spread.items()}
    s |= {
        "nose_y": rng.uniform(-0.03, 0.03), "brow_y": rng.uniform(-0.02, 0.03),
        "brow_arch": rng.uniform(0.01, 0.055), "tilt": rng.uniform(-0.015, 0.02),
        "hairline": rng.uniform(0.72, 0.92), "long": float(rng.random() < 0.35),
        "hump": rng.uniform(-0.02, 0.03), "parting": rng.uniform(-0.1, 0.1),
        "oval": rng.uniform(2.2, 4), "tall": rng.uniform(0.96, 1.03), "square": rng.uniform(2, 3),
    }  # fmt: skip
    tones = [(0.86, 0.68, 0.58), (0.80, 0.60, 0.48), (0.68, 0.48, 0.36), (0.52, 0.36, 0.27)]
    tone = rng.uniform(0, 3)
    s["tone"] = np.array([np.interp(tone, range(4), channel) for channel in np.transpose(tones)])
    hairs = [(0.09, 0.075, 0.07), (0.16, 0.11, 0.08), (0.28, 0.18, 0.11), (0.45, 0.34, 0.20)]
    s["hair"] = np.array(hairs[rng.choice(4, p=[0.4, 0.3, 0.2, 0.1])])
    irises = [(0.30, 0.18, 0.09), (0.22, 0.13, 0.07), (0.32, 0.45, 0.58), (0.34, 0.42, 0.26)]
    s["iris"] = np.array(irises[rng.choice(4)])
    s["marks"] = int(rng.integers(3, 9))
    s["freckles"] = int(rng.integers(0, 160))
    return s


def bump(x, y, cx, cy, sx, sy):
    return np.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)


def ramp(x, width):
    """Rise smoothly from 0 to 1 while x goes from -width to width."""
    t = np.clip(x / (2 * width) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def make_skull(s):
    """Return angle (ROWS+1, COLUMNS), skull points (ROWS+1, COLUMNS, 3), index of the slit's row.

    Row ``slit`` (upper lid's edge) and ``slit + 1`` (lower lid's edge) are the same row twice. Rows
    and columns crowd near eyes and mouth, where small shapes must move smoothly.
    """
    profile = PROFILE.copy()
    jaw = ramp(-profile[:, 0] - 0.45, 0.35) * (profile[:, 0] > -1.1)
    profile[:, 4] *= s["width"] * (1 + (s["jaw"] - 1) * jaw)
    # past the pole, so that the crown is smooth
    mirror = profile[3:0:-1] * [1, 1, 1, -1, -1, -1, 1]
    table = np.concatenate([mirror, profile])
    along = np.cumsum(np.r_[0, np.linalg.norm(np.diff(table[:, [0, 3, 4]], axis=0), axis=1)])
    curve = CubicSpline(along, table)
    fine = np.linspace(along[3], along[-1], 2000)
    y = curve(fine)[:, 0]
    eyes, mouth = np.exp(-(((y - 0.2) / 0.22) ** 2)), np.exp(-(((y + 0.5) / 0.28) ** 2))
    density = 1 + 2.5 * eyes + 1.5 * mouth
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


def lip_shape(s, x, y):
    """Return height in the upper and lower lip (0..1), above the mouth line, and 1 - (x/half)^2."""
    half = 0.245 * s["mouth_w"]
    e = np.clip(1 - (x / half) ** 2, 0, 1)
    line = MOUTH_Y + s["tilt"] * (x / half) ** 2
    line = line - 0.008 * np.exp(-((x / 0.05) ** 2)) + 0.006 * np.exp(-((x / 0.14) ** 2))
    peaks = bump(x, 0, 0.07, 0, 0.05, 1) + bump(x, 0, -0.07, 0, 0.05, 1)
    bow = 1 + 0.16 * peaks - 0.12 * bump(x, 0, 0, 0, 0.03, 1)
    upper = (y - line) / (0.066 * s["lips"] * e**0.75 * bow + 1e-4)
    lower = (line - y) / (0.082 * s["lips"] * e**0.6 + 1e-4)
    return upper, lower, (y - line), e


def under_hair(s, theta, y):
    """Return how deep (units; negative: outside) a point at an angle and height lies under hair."""
    turn = np.abs(theta)
    side, top = 1.22 - 0.1 * s["long"], s["hairline"] - 0.1 + s["parting"] * theta
    high = np.clip(y - 0.1, 0, None) / top
    oval = ((turn / side) ** s["oval"] + high ** s["oval"]) ** (1 / s["oval"])  # the bare face
    if s["long"]:
        return (oval - 1) * 0.8
    # sideburn, ear, nape
    nape = 0.02 - 0.72 * ramp(turn - 1.85, 0.35) + 0.2 * np.exp(-(((turn - 1.6) / 0.14) ** 2))
    return np.minimum((oval - 1) * 0.8, y - nape)


def make_relief(s, theta, base):
    """Return the skull with features pushed outwards, lids shut (rows, columns, 3)."""
    x, y = base[..., 0] / s["width"], base[..., 1]
    ny = y - s["nose_y"]
    d = np.zeros_like(x)
    for m in (-1, 1):
        d += 0.045 * s["ridge"] * bump(x, y, m * 0.28, 0.335, 0.22, 0.075)  # brow ridge
        d -= 0.125 * bump(x, y, m * 0.27, 0.14, 0.17, 0.12)  # eye socket
        d += 0.055 * s["cheek"] * bump(x, y, m * 0.43, -0.13, 0.19, 0.18)  # cheekbone
        d -= 0.035 * bump(x, y, m * 0.25, -0.42, 0.07, 0.12)  # fold between nose and mouth corner
        d -= 0.03 * (2 - s["cheek"]) * bump(x, y, m * 0.46, -0.55, 0.15, 0.2)  # hollow of the cheek
        d -= 0.03 * bump(x, y, m * 0.60, 0.35, 0.12, 0.2)  # temple
        # wing of the nose
        d += 0.075 * s["nose_w"] * bump(x, ny, m * 0.118 * s["nose_w"], -0.285, 0.05, 0.05)
        d += 0.02 * bump(x, y, m * 0.3, 0.60, 0.25, 0.2)  # forehead
        d -= 0.02 * bump(x, y, m * 0.265, MOUTH_Y, 0.04, 0.05)  # corner of the mouth
    levels = [-1.9, -0.39, -0.355, -0.30, -0.25, -0.19, -0.05, 0.08, 0.20, 0.34, 0.48, 1.3]
    heights = [0, 0, 0.06, 0.22, 0.26, 0.235, 0.17 + s["hump"], 0.12 + s["hump"], 0.08, 0.05, 0, 0]
    ridge = PchipInterpolator(levels, heights)(ny)
    levels = [-0.36, -0.30, -0.24, -0.12, 0.0, 0.2, 0.4]
    breadth = np.interp(ny, levels, [0.06, 0.085, 0.095, 0.075, 0.07, 0.065, 0.13])
    d += ridge * s["nose_h"] * np.exp(-(np.abs(x / (breadth * (0.5 + 0.5 * s["nose_w"]))) ** 1.8))
    upper, lower, above, e = lip_shape(s, x, y)
    d += 0.04 * bump(x, y, 0, -0.55, 0.24, 0.16)  # the teeth carry the mouth forwards
    bulge = lambda q: np.sin(np.pi * np.clip(q, 0, 1) ** 0.8) ** 0.8  # noqa: E731
    full = bulge(upper * 0.85) * (upper > 0) + 1.25 * bulge(lower * 0.85) * (lower > 0)
    d += 0.045 * s["lips"] ** 0.5 * e**0.6 * full
    d -= 0.022 * np.exp(-((above / 0.016) ** 2)) * np.exp(-((x / 0.25) ** 6))
    d -= 0.022 * bump(x, y, 0, -0.435, 0.03, 0.05)  # groove under the nose
    d -= 0.045 * bump(x, y, 0, -0.735, 0.18, 0.045)  # groove under the lip
    d += 0.075 * s["chin"] * bump(x, y, 0, -0.91, 0.17, 0.11)
    d *= np.cos(theta) > 0
    side = np.stack([0.6 * np.sin(theta), 0 * theta, np.cos(theta)], -1)
    push = d[..., None] * side / np.linalg.norm(side, axis=-1, keepdims=True)

    hair = ramp(under_hair(s, theta, y) - 0.05, 0.11)
    locks = s["long"] * (0.06 + 0.19 * ramp(-0.5 - y, 0.55)) * ramp(np.abs(theta) - 1.2, 0.4)
    out = base - [0, 0.25, -0.08]  # from the middle of the skull
    out[..., 1] = np.clip(out[..., 1], 0, None)
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    return base + push + (hair * (0.06 + locks))[..., None] * out


def almond_edges(s, x, m):
    """Return the opening of eye ``m`` (-1 or 1) along x: 1 in the middle, 0 at the corners."""
    e = (x / s["width"] - m * EYE_X) / EYE_HALF
    return np.clip(1 - e**2, 0, 1) ** 0.8 * (1 - 0.15 * m * e)  # the inner half is the rounder one


def place_lids(s, base, slit, closed, upper=1.0, lower=1.0):
    """Open the slit: lids go up and down by their share of the neutral opening over the eyeballs.

    Returns the moved points (rows, columns, 3) and the eyeballs' centres (2, 3).
    """
    xyz, x = closed.copy(), base[..., 0]
    dy = base[..., 1] - base[slit, :, 1]
    above = np.arange(len(base))[:, None] <= slit
    rise = 0.066 * upper * np.clip(1 - dy / 0.17, 0, 1) ** 2
    fall = 0.042 * lower * np.clip(1 + dy / 0.11, 0, 1) ** 2
    balls = []
    for m in (-1, 1):
        xyz[..., 1] += s["opening"] * almond_edges(s, x, m) * np.where(above, rise, -fall)
        opening = closed[slit, (almond_edges(s, x[slit], m) > 0) & (base[slit, :, 2] > 0.3)]
        middle = (opening[0, 0] + opening[-1, 0]) / 2
        depth = opening[:, 2].max() + 0.02 - BALL
        balls.append([middle, opening[:, 1].mean() + 0.01, depth])
    for ball in balls:
        inside = (BALL + LID) ** 2 - ((xyz[..., :2] - ball[:2]) ** 2).sum(-1)
        gap = xyz[..., 2] - ball[2] - np.sqrt(np.clip(inside, 0, None))
        lift = 0.5 * (np.sqrt(gap**2 + 0.03**2) - gap)  # smooth maximum of skin and sphere
        xyz[..., 2] += np.where((inside > 0) & (xyz[..., 2] > 0.3), lift, 0)
    return xyz, np.array(balls)


def draw_variation(rng, count, variation):
    """Draw how the fields of ``count`` AUs differ from LOBES in one subject, (count, 5): shifts
    (units), factors of the widths, angle (rad). ``variation`` is that of ``head.make_face``.
    """
    shift, scale, turn = variation
    z = np.clip(rng.standard_normal((count, 5)), -2, 2)
    return np.hstack([shift * z[:, :2], np.exp(scale * z[:, 2:4]), np.deg2rad(turn) * z[:, 4:]])


def vary_lobe(lobe, shift_x, shift_y, wide, tall, angle):
    """Return a lobe moved, widened and turned in the frontal plane (see ``draw_variation``)."""
    cx, cy, sx, sy, dx, dy, dz = lobe
    c, sine = np.cos(angle), np.sin(angle)
    turned = c * dx - sine * dy, sine * dx + c * dy
    return cx + shift_x, cy + shift_y, sx * wide, sy * tall, *turned, dz


def make_au_field(s, lobes, lids, theta, base, slit, closed, neutral):
    """Return the displacement (2, rows, columns, 3) of one AU on the sides x < 0 and x > 0.

    ``lobes`` are the AU's in LOBES or varied; ``lids`` its part of LIDS, or None.
    """
    x, y = neutral[..., 0], neutral[..., 1]
    move = np.zeros_like(neutral)
    for cx, cy, sx, sy, *step in lobes:
        for m in (-1, 1):
            lobe = bump(x, y, m * cx * s["width"], cy, sx, sy)
            move += lobe[..., None] * (np.array(step) * [m, 1, 1])
    for m in (-1, 1):  # lids ride on the eyeball: only their own muscle moves them much
        across = (x / s["width"] - m * EYE_X) / 0.17
        lid = np.exp(-(across**4) - ((y - EYE_Y - 0.01) / 0.1) ** 4)
        move *= (1 - 0.9 * lid)[..., None]
    slope = np.cross(np.gradient(base, axis=0), np.gradient(base, axis=1))
    slope /= np.linalg.norm(slope, axis=-1, keepdims=True) + 1e-9
    # skin slides along the skull
    move -= 0.8 * slope * (slope[..., :2] * move[..., :2]).sum(-1, keepdims=True)
    move *= ramp(np.cos(theta) - 0.2, 0.2)[..., None]
    if lids:
        move += place_lids(s, base, slit, closed, *lids)[0] - neutral
    # the sides blend over the midline and add up to the symmetric action
    right = ramp(x, 0.12)[..., None]
    return move * (1 - right), move * right
