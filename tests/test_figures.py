"""Every public draw_ function of pictures.py and charts.py draws, deterministically, for two views
and for one.
"""

from types import SimpleNamespace

from mer_utils import plots as charts
from mer_utils import plots as pictures
from mer_utils.flow import magnitude
from mer_utils.study import draw_bytes

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (40, 30)).astype(np.uint8)
LABELS = ("Negative", "Positive", "Surprise")
MATRIX = np.eye(3, dtype=np.uint8).repeat(3, 0)
FLOW = RNG.normal(size=(2, 32, 32)).astype(np.float32)
CURVE = np.abs(RNG.normal(size=(2, 9)))


def maps(views=2, phases=2):
    return np.abs(RNG.normal(size=(views, phases, 3, 12, 12))).astype(np.float32)


def draw_prediction(views, phases):
    scores, thresholds = RNG.random((6, 3)), np.array([0.2, 0.5, 0.7])
    prediction = SimpleNamespace(
        onset=1, apex=4, offset=8, curve=CURVE[:views], joint=CURVE[0], maps=maps(views, phases),
        labels=LABELS,
        scores=scores, thresholds=thresholds, answers=scores.mean(0) >= thresholds,
        attention=np.array([0.3, 0.3, 0.4]),
        first=(GREY,) * views, crops=np.stack([[GREY[:30]] * 9] * views),
        boxes=((2, 3, 20, 21),) * views,
    )  # fmt: skip
    return pictures.draw_prediction(prediction)


def draw_attention(views, phases):
    shape = (views, phases, 3)
    weights = np.full((9, *shape), 1 / np.prod(shape))
    return charts.draw_attention(weights, np.full(shape, 0.01), MATRIX, LABELS)


def draw_hero(views):
    film = np.stack([np.hstack([GREY] * views)] * 3)
    crops = np.stack([[GREY[:30]] * views] * views)
    flows = np.stack([[FLOW[:, :30, :30]] * views] * views)  # as many phases as views
    flows[:, :, :, :5] = np.nan
    truth = (np.arange(9.0), 4)
    return pictures.draw_hero(
        film, [(2, 2, 20, 20)] * views, CURVE[:views], CURVE[0], (1, 4, 8), flows, crops, truth
    )


CALLS = {
    "draw_images": lambda: pictures.draw_images(
        [GREY, GREY], ["a", "b"], boxes=[(1, 2, 9, 9), None], heading="h"
    ),
    "draw_views_and_crop": lambda: pictures.draw_views_and_crop(
        np.hstack([GREY, GREY]), [(2, 2, 20, 20)] * 2, np.stack([GREY[:20, :20]] * 2)
    ),
    "draw_dataset": lambda: charts.draw_dataset(LABELS, MATRIX, np.array(list("aabbbcccc"))),
    "draw_flow": lambda: pictures.draw_flow(GREY, [FLOW, FLOW], ["one", "two"]),
    "draw_maps": lambda: pictures.draw_maps(maps(), "heading"),
    "draw_motion_curve": lambda: pictures.draw_motion_curve(
        np.ones((2, 9)), np.arange(9.0), 1, 5, 8, np.arange(9.0), 4, 60
    ),
    "draw_counts": lambda: charts.draw_counts({"a": [0, 1, 1, 4], "b": [2, 2]}, "t", "x"),
    "draw_spread": lambda: charts.draw_spread({"a": np.arange(4.0), "b": np.ones(3)}, "t", "y"),
    "draw_bars": lambda: charts.draw_bars(
        {"a": 0.2, "b": 0.5}, "t", "x", ["a"], 0.3, {"a": (0.1, 0.3)}
    ),
    "draw_differences": lambda: charts.draw_differences(
        {"a": 0.02, "b": -0.05}, "t", "x", {"b": (-0.1, 0.1)}, ["a"]
    ),
    "draw_sets": lambda: charts.draw_sets(
        {"a": RNG.normal(size=8), "b": RNG.normal(size=8)},
        {"a": (-0.5, 0.5), "b": (-0.6, 0.6)},
        "t",
        "x",
        0.3,
        ["b"],
        {"b": 0.1},
    ),
    "draw_sensitivity": lambda: charts.draw_sensitivity(
        {"px": [1, 2]}, {"error": {"px": ([1, 2], [0, 1], [2, 3])}}
    ),
    "draw_lines": lambda: charts.draw_lines(
        np.arange(3), {"a": np.ones(3)}, "t", "x", "y", [(1, "here"), (2, "there")]
    ),
    "draw_table": lambda: charts.draw_table(np.eye(3), LABELS, LABELS, "t"),
    "draw_confusion": lambda: charts.draw_confusion(np.ones((3, 2, 2), int), LABELS),
    "draw_learning_curves": lambda: charts.draw_learning_curves(np.ones((2, 3, 5, 4)), "t"),
    "draw_attention": lambda: draw_attention(2, 2),
    "draw_blocks": lambda: pictures.draw_blocks([[("a", "C0"), ("b", "C1")], [("c", "C2")]], "t"),
    "draw_prediction": lambda: draw_prediction(2, 2),
    "draw_hero": lambda: draw_hero(2),
}
ONE_VIEW = {
    "draw_views_and_crop": lambda: pictures.draw_views_and_crop(
        GREY, [(2, 2, 20, 20)], GREY[None, :20, :20]
    ),
    "draw_maps": lambda: pictures.draw_maps(maps(1, 1)),
    "draw_motion_curve": lambda: pictures.draw_motion_curve(CURVE[:1], CURVE[0], 1, 5, 8),
    "draw_prediction": lambda: draw_prediction(1, 1),
    "draw_hero": lambda: draw_hero(1),
    "draw_attention": lambda: draw_attention(1, 1),
}


def test_every_draw_function_is_tried_here():
    names = {
        name for module in (pictures, charts) for name in vars(module) if name.startswith("draw_")
    }
    assert names == set(CALLS)


@pytest.mark.parametrize(
    "call", [*CALLS.values(), *ONE_VIEW.values()], ids=[*CALLS, *(f"{n}-one" for n in ONE_VIEW)]
)
def test_draws_something_and_the_same_thing_twice(call):
    state = RNG.bit_generator.state
    first = call()
    RNG.bit_generator.state = state
    second = call()
    assert isinstance(first, Figure)
    picture = draw_bytes(first, dpi=60)
    assert picture == draw_bytes(second, dpi=60)
    blank = Figure(figsize=first.get_size_inches())
    assert len(picture) > 1.5 * len(draw_bytes(blank, dpi=60))


def test_primary_rows_stand_apart_and_the_own_run_is_marked_where_there_is_one():
    gaps = {name: np.linspace(-0.1, 0.3, 5) for name in "abc"}
    ends = {name: (0.0, 0.2) for name in "abc"}
    figure = charts.draw_sets(gaps, ends, "t", "x", 0.036, ["b"], {"c": -0.2})
    rows = [[text.get_text() for text in axis.get_yticklabels()] for axis in figure.axes]
    assert rows == [["b"], ["a", "c"]]
    assert [axis.get_title("left") for axis in figure.axes] == ["primary", "exploratory"]
    (mark,) = [
        one.get_offsets().tolist()
        for axis in figure.axes
        for one in axis.collections
        if one.get_label() == "your run, one set"
    ]
    assert mark == [[-0.2, 1]]  # in the row of c
    assert len(charts.draw_sets(gaps, ends, "t", "x", 0.036).axes) == 1


def test_flow_colours_tell_direction_and_speed():
    still, right, left = (
        pictures.flow_to_rgb(np.full((2, 1, 1), 0.0) + np.array([[[u]], [[0.0]]]), 1)[0, 0]
        for u in (0, 1, -1)
    )
    # white: no motion; red: to the right
    assert still.tolist() == [1, 1, 1] and right.tolist() == [1, 0, 0]
    assert left.tolist() == [0, 1, 1]  # the opposite hue
    assert magnitude(np.array([[[3.0]], [[4.0]]]))[0, 0] == 5


def test_learning_curves_say_where_the_best_medians_lie():
    curves = np.full((1, 3, 8, 4), np.nan)
    curves[0, :, :5, 0] = [1.0, 0.8, 0.6, 0.5, 0.4]
    curves[0, :, :5, 1] = [0.9, 0.5, 0.6, 0.7, 0.8]
    curves[0, :, :5, 2] = [0.1, 0.2, 0.3, 0.7, 0.6]
    curves[0, 0, 5:7] = 0.99  # one network goes on alone: no median is drawn there
    left, right = charts.draw_learning_curves(curves, "t").axes
    assert left.get_title() == "training loss falls by 60%; on inner people it is least at epoch 2"
    assert right.get_title() == "precision on inner people is best at epoch 4"
    assert all(line.get_xdata()[-1] <= 5 for axis in (left, right) for line in axis.lines)


def test_attention_is_drawn_from_zero_with_a_dot_for_each_clip():
    weights = np.full((9, 2, 2, 3), 1 / 12)
    weights[6:, :, :, 0] += 0.01  # clips with the last label: more of u, less of v
    weights[6:, :, :, 1] -= 0.01
    left, right = charts.draw_attention(weights, np.full((2, 2, 3), 0.001), MATRIX, LABELS).axes
    assert left.get_title() == "labels move a stream's share by at most 4.0 points"
    assert left.get_ylim()[0] == right.get_ylim()[0] == 0
    dots = [
        sum(
            len(each.get_offsets()) for each in axis.collections if isinstance(each, PathCollection)
        )
        for axis in (left, right)
    ]
    assert dots == [27, 108]  # of each stream under a clip's label; of each map
