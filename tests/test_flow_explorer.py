"""The flow explorer: its flows are the library's, its errors are taken against the right truth, and
drawing computes nothing.
"""

from mer_course.demos import flow_explorer
from mer_course.demos.flow_explorer import HEAD, FlowExplorer, warp_error
from mer_utils.flow import BACKENDS, phase_flow
from mer_utils.plots import PHASE_NAMES, VIEW_NAMES, find_maximum, lay_over, paint

import cv2
import numpy as np
import pytest
from scipy import ndimage

KEYS, SIDE = (1, 4, 7), 64
RNG = np.random.default_rng(0)
MASKS = np.ones((2, SIDE, SIDE), bool)
MASKS[:, :8] = False


def film(shift):
    """Return crops (9, SIDE, SIDE) of grain that moves to the right until the apex, and back."""
    grain = cv2.GaussianBlur(RNG.normal(128, 200, (SIDE, SIDE + 8)), (0, 0), 1.5)
    moves = shift * (1 - abs(np.arange(9) - 4) / 3)
    frames = np.stack([ndimage.shift(grain, (0, px), order=1, mode="reflect") for px in moves])
    return frames[:, :, 4:-4].clip(0, 255).astype(np.uint8)


CROPS = np.stack([film(0.9), film(0.5)])


def make_truths():
    whole = np.zeros((2, 2, 2, SIDE, SIDE))  # views, phases, (u, v)
    whole[:, :, 0] = np.array([[0.9, -0.9], [0.5, -0.5]])[..., None, None]
    whole[..., :4] = np.nan
    return {"taken out": 0 * whole, "left in": whole}


@pytest.fixture(scope="module")
def explorer():
    return FlowExplorer("toy", CROPS, KEYS, MASKS, make_truths(), reach=0)


def test_flows_are_the_librarys_and_errors_are_of_the_truth_that_belongs_to_them(explorer):
    asked = phase_flow(CROPS[1], *KEYS, "farneback", "rigid", mask=MASKS[1])
    assert np.array_equal(explorer.flows["farneback", "taken out"][1], asked)
    for k, shift in enumerate((0.9, 0.5)):
        error, zero = explorer.measure("apex-offset", VIEW_NAMES[k], "dis", "left in")
        assert np.nanmean(zero) == pytest.approx(shift) and np.nanmean(error) < shift / 3
        assert np.isnan(error[:8]).all() and np.isnan(error[:, :4]).all()
        assert np.isfinite(error[8:, 4:]).all()
    # the whole picture shifts: all of it is head motion
    error, zero = explorer.measure("onset-apex", VIEW_NAMES[0], "dis")
    assert np.nanmean(zero) == 0 and np.nanmean(error) < 0.1


def test_first_picture_is_the_suites_default_and_a_change_only_draws(explorer, monkeypatch):
    controls = explorer.controls()
    assert {name: choice[0] for name, choice in controls.items()} == {
        "phase": PHASE_NAMES[0], "view": VIEW_NAMES[0], "backend": "dis", "head": HEAD[0],
    }  # fmt: skip
    assert set(controls["backend"]) == set(BACKENDS)
    monkeypatch.setattr(flow_explorer, "phase_flow", None)
    first = paint(explorer.draw())[0]
    last = explorer.draw(*(choice[-1] for choice in controls.values()))
    title = last.texts[0].get_text()
    for word in ("toy", "apex-offset", "right view", "tvl1", "left in", "no flow: 0.500"):
        assert word in title
    assert first == paint(explorer.draw())[0] != paint(last)[0]


def test_without_truth_it_shows_the_warp_error_and_one_view_is_enough():
    explorer = FlowExplorer("real", CROPS[:1], KEYS, MASKS[:1], reach=0)
    title = explorer.draw().texts[0].get_text()
    assert "warp error" in title and "grey levels" in title
    error, zero = explorer.measure("onset-apex", "view", "dis")
    assert np.nanmean(error) < np.nanmean(zero) / 2
    assert explorer.controls()["view"] == ["view"]


def test_warp_error_is_zero_where_the_flow_explains_all():
    first = CROPS[0, 1]
    second = np.roll(first, 2, 1)
    flow = np.stack([np.full(first.shape, 2.0, np.float32), np.zeros(first.shape, np.float32)])
    assert warp_error(first, second, flow)[:, :-2].max() < 1e-3
    assert warp_error(first, second, 0 * flow).mean() > 1


def test_colours_lie_over_the_face_and_what_is_unknown_stays_pale_grey():
    flow, face = np.zeros((2, 4, 4)), np.full((4, 4), 100, np.uint8)
    flow[0, 1, 1], flow[:, 2, 2] = 1.0, np.nan
    picture = lay_over(face, flow, 1.0)
    red, green, blue = picture[1, 1]
    assert red > 0.5 > green == blue
    assert picture[0, 0] == pytest.approx([0.35 + 0.65 * 100 / 255] * 3)
    assert picture[2, 2] == pytest.approx([0.5 + 0.5 * 100 / 255] * 3)
    assert lay_over(np.zeros((8, 8), np.uint8), flow, 1.0).shape == (8, 8, 3)
    assert find_maximum([flow, 3 * flow]) > 0
