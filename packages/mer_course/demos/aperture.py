"""The aperture playground: what Lucas and Kanade can know in a window, for notebook 03."""

from mer_course.demos.drawing import start_figure
from mer_utils.plots import BLUE, GREEN, GREY, RED

import numpy as np

HALF, FEW = 48, 60  # px of half a side of the picture; equations that are drawn
MOTION = np.array([0.7, 0.4])  # px
LEAST = 1.0  # (grey levels / px)^2: a smaller eigenvalue says nothing
WAVES = np.random.default_rng(0).uniform((-0.5, -0.5, 0), (0.5, 0.5, 6.3), (40, 3))
PATTERNS = {  # grey levels at x, y px from the middle: formulas, which move without resampling
    "corner": lambda x, y: 68 + 30 * (1 + np.tanh(x / 3)) * (1 + np.tanh(y / 3)),
    "stripes": lambda x, y: 128 + 60 * np.sin(0.4 * (x + y)),
    "grain": lambda x, y: 128 + sum(9 * np.sin(a * x + b * y + c) for a, b, c in WAVES),
}
CONTROLS = {"pattern": list(PATTERNS), "window": (5, 61, 4, 9)}
CONTROLS |= {"across": (-16, 16, 2, 14), "down": (-16, 16, 2, 0)}


def solve_window(gradients, i_t):
    """Return the motion (u, v) px that fits gradients (2, n) and i_t (n,) best, the shortest where
    many do, and the eigenvalues (2,) of the structure tensor, the smaller first.
    """
    eigenvalues, axes = np.linalg.eigh(gradients @ gradients.T / len(i_t))
    along = axes.T @ gradients @ i_t / len(i_t)
    along = np.where(eigenvalues > LEAST, along / eigenvalues.clip(LEAST), 0)
    return -axes @ along, eigenvalues


def draw_aperture(pattern, window=9, across=14, down=0):
    """Return the Figure of a pattern that moves by MOTION, with what is known in a ``window`` px a
    side, its middle ``across`` and ``down`` px from the picture's.
    """
    y, x = np.mgrid[-HALF:HALF, -HALF:HALF] + 0.5
    first, second = (PATTERNS[pattern](x - k * MOTION[0], y - k * MOTION[1]) for k in (0, 1))
    inside = np.maximum(abs(x - across), abs(y - down)) <= window / 2
    gradients = np.stack(np.gradient((first + second) / 2))[::-1, inside]  # i_x, i_y
    found, eigenvalues = solve_window(gradients, i_t := (second - first)[inside])
    known = f"{(eigenvalues > LEAST).sum()} of 2 directions known"
    figure = start_figure(7.2, 2.9, f"{pattern}, window of {window} px: {known}")

    axis = figure.add_axes((0.01, 0.03, 0.322, 0.8))
    axis.imshow(first, cmap="gray", vmin=0, vmax=255, extent=(-HALF, HALF, HALF, -HALF))
    axis.contour(x, y, inside, [0.5], colors=BLUE)
    axis.axis("off")

    axis = figure.add_axes((0.42, 0.17, 0.32, 0.66))
    for gradient, change in list(zip(gradients.T, i_t, strict=True))[:: 1 + len(i_t) // FEW]:
        if (steep := gradient @ gradient) > LEAST:
            point = -change * gradient / steep  # the line's nearest to no motion
            axis.axline(point, point + gradient[::-1] * (1, -1), color=GREY, linewidth=0.5)
    axis.plot([], color=GREY, label="a pixel's equation")
    axis.plot(*MOTION, "o", color=GREEN, markersize=11, label="true motion")
    axis.plot(*found, "X", color=RED, label=f"answer: {np.hypot(*found - MOTION):.2f} px off")
    axis.set(xlim=(-1.5, 1.5), ylim=(1.5, -1.5), xlabel="u, px", ylabel="v, px (down)")
    words = "$\\lambda_1$ {:.1f}, $\\lambda_2$ {:.1f} (below 1: no answer)"
    axis.set_title(words.format(*eigenvalues), pad=4)
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure
