"""Every public function of plots.py draws, deterministically, and for one view and one phase too."""

import inspect

import numpy as np
import pytest
from matplotlib.figure import Figure

from mer_utils import plots
from mer_utils.study import draw_png

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (40, 30)).astype(np.uint8)
LABELS = ("Negative", "Positive", "Surprise")
MATRIX = np.eye(3, dtype=np.uint8).repeat(3, 0)
FLOW = RNG.normal(size=(2, 32, 32)).astype(np.float32)


def maps(views=2, phases=2):
    return np.abs(RNG.normal(size=(views, phases, 3, 12, 12))).astype(np.float32)


CALLS = {
    "draw_images": lambda: plots.draw_images([GREY, GREY], ["a", "b"], boxes=[(1, 2, 9, 9), None], heading="h"),
    "draw_views_and_crop": lambda: plots.draw_views_and_crop(
        np.hstack([GREY, GREY]), [(2, 2, 20, 20)] * 2, np.stack([GREY[:20, :20]] * 2)
    ),
    "draw_dataset": lambda: plots.draw_dataset(LABELS, MATRIX, np.array(list("aabbbcccc"))),
    "draw_flow": lambda: plots.draw_flow(GREY, [FLOW, FLOW], ["one", "two"]),
    "draw_maps": lambda: plots.draw_maps(maps(), "heading"),
    "draw_motion_curve": lambda: plots.draw_motion_curve(
        np.ones((2, 9)), np.arange(9.0), 1, 5, 8, np.arange(9.0), 4, 60
    ),
    "draw_counts": lambda: plots.draw_counts([0, 1, 1, 4], "t", "x"),
    "draw_spread": lambda: plots.draw_spread({"a": np.arange(4.0), "b": np.ones(3)}, "t", "y"),
    "draw_bars": lambda: plots.draw_bars({"a": 0.2, "b": 0.5}, "t", "x", ["a"], 0.3),
    "draw_differences": lambda: plots.draw_differences({"a": 0.02, "b": -0.05}, "t", "x", {"a": 0.01, "b": 0.1}),
    "draw_lines": lambda: plots.draw_lines(np.arange(3), {"a": np.ones(3)}, "t", "x", "y", [(1, "here"), (2, "there")]),
    "draw_table": lambda: plots.draw_table(np.eye(3), LABELS, LABELS, "t"),
    "draw_confusion": lambda: plots.draw_confusion(np.ones((3, 2, 2), int), LABELS),
    "draw_learning_curves": lambda: plots.draw_learning_curves(np.ones((2, 3, 5, 2)), "t"),
    "draw_attention": lambda: plots.draw_attention(np.full((9, 3), 1 / 3), MATRIX, LABELS),
    "draw_blocks": lambda: plots.draw_blocks([[("a", "C0"), ("b", "C1")], [("c", "C2")]], "t"),
}
