"""Every draw_ function of plots draws, and the same thing twice."""

import base64
import io
from types import SimpleNamespace

from mer_utils import plots
from mer_utils.study import draw_bytes

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (40, 30)).astype(np.uint8)
LABELS = ("Negative", "Positive", "Surprise")
FLOW = RNG.normal(size=(2, 32, 32)).astype(np.float32)
MAPS = np.abs(RNG.normal(size=(2, 2, 3, 12, 12))).astype(np.float32)


def compared(difference, verdict):
    ends = {"difference_low": difference - 0.02, "difference_high": difference + 0.02}
    return SimpleNamespace(difference=difference, verdict=verdict, **ends)


CALLS = {
    "draw_images": lambda: plots.draw_images([GREY, GREY], ["a", "b"], boxes=[(1, 2, 9, 9), None]),
    "draw_flow": lambda: plots.draw_flow(GREY, [FLOW, FLOW], ["one", "two"]),
    "draw_maps": lambda: plots.draw_maps(MAPS, "heading"),
    "draw_motion_curve": lambda: plots.draw_motion_curve(
        np.ones((2, 9)), np.arange(9.0), 1, 5, 8, np.arange(9.0), 4, 60
    ),
    "draw_counts": lambda: plots.draw_counts({"a": [0, 1, 1, 4], "b": [2, 2]}, "t", "x"),
    "draw_spread": lambda: plots.draw_spread({"a": np.arange(4.0), "b": np.ones(3)}, "t", "y"),
    "draw_bars": lambda: plots.draw_bars(
        {"a": 0.2, "b": 0.5}, "t", "x", ["a"], 0.3, {"a": (0.1, 0.3)}
    ),
    "draw_differences": lambda: plots.draw_differences(
        {"a": compared(0.02, "better"), "b": compared(-0.05, "undecided")}, "t", "x"
    ),
    "draw_lines": lambda: plots.draw_lines(
        np.arange(3), {"a": np.ones(3)}, "t", "x", "y", [(1, "here"), (2, "there")]
    ),
    "draw_table": lambda: plots.draw_table(np.eye(3), LABELS, LABELS, "t"),
}


def test_every_draw_function_is_tried_here():
    names = {name for name in vars(plots) if name.startswith("draw_")}
    assert names == {*CALLS, "draw_heat"}  # which draws into an axis, for draw_table


@pytest.mark.parametrize("name", CALLS)
def test_draws_something_and_the_same_thing_twice(name):
    figure = CALLS[name]()
    picture = draw_bytes(figure, dpi=40)
    assert picture == draw_bytes(CALLS[name](), dpi=40)
    blank = Figure(figsize=figure.get_size_inches())
    assert len(picture) > 1.5 * len(draw_bytes(blank, dpi=40))


def test_flow_colours_tell_direction_and_speed():
    still, right, left = plots.flow_to_rgb(np.array([[[0.0, 1.0, -1.0]], [[0.0] * 3]]), 1)[0]
    # white: no motion; red: to the right
    assert still.tolist() == [1, 1, 1] and right.tolist() == [1, 0, 0]
    assert left.tolist() == [0, 1, 1]  # the opposite hue


def test_a_stored_picture_keeps_the_colours_of_a_flow():
    """A chart becomes a PNG of few colours; a flow becomes a JPEG that keeps its many colours."""
    y, x = np.mgrid[-1:1:200j, -1:1:200j]
    colours = np.uint8(255 * plots.flow_to_rgb(np.stack([x, y]), 1))
    for picture, kind in ((colours, "image/jpeg"), (GREY[:, :1].repeat(30, 1), "image/png")):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        data, metadata = plots.bundle(buffer.getvalue(), 100, "alt")
        assert list(metadata) == [kind] and data["text/plain"] == "alt"
        stored = Image.open(io.BytesIO(base64.b64decode(data[kind]))).convert("RGB")
        whole = np.asarray(Image.fromarray(picture).convert("RGB"), int)
        assert np.abs(stored - whole).mean() < 2
