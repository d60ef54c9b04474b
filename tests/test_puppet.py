"""The face puppet: what it shows is the generator's own face and its true motion."""

from faces4d.cameras import cameras
from faces4d.head import AUS
from faces4d.rendering import find_head, true_flow
from mer_course.demos.puppet import (
    AU_NAMES,
    CROP,
    SIZE,
    choices,
    draw_puppet,
    film_puppet,
    hold,
    pull,
)
from mer_utils import MerError
from mer_utils.plots import paint
from mer_utils.preprocessing import square_box

import numpy as np
import pytest


def test_the_flow_is_the_true_one_in_px_of_the_crop():
    pictures, flows = film_puppet(12, 0.5, 25)
    assert pictures.shape == (2, SIZE, SIZE) and flows.shape == (2, 2, SIZE, SIZE)
    both, motion = cameras(SIZE, 25), hold(pull(12, 0.5))
    box = square_box(*find_head(motion, both[1]), both[1].width, SIZE)
    flow, visible = true_flow(motion, both, 1, 0, 1)
    there = flow[:, visible] * CROP / (box[2] - box[0])
    assert np.nanmax(np.hypot(*flows[1])) == pytest.approx(np.hypot(*there).max(), rel=0.05)
    assert np.isnan(flows).any() and not np.isnan(flows).all()


def test_motion_grows_with_intensity_and_a_held_still_face_has_none():
    sizes = [np.nanmax(np.abs(film_puppet(4, strength, 10)[1])) for strength in (0.0, 0.1, 0.2)]
    assert sizes[0] == pytest.approx(0, abs=1e-4) and sizes[2] == pytest.approx(2 * sizes[1], 0.1)
    pictures, flows = film_puppet(1, 0.3, 0)  # from the front both cameras see one picture
    assert np.array_equal(*pictures) and np.array_equal(*flows, equal_nan=True)


def test_the_figure_names_what_it_shows_and_draws_the_same_bytes_twice():
    figure = draw_puppet("4 brows lowered", 0.3, 40)
    assert "AU4 brows lowered at 0.30, cameras at ±40°" in figure.texts[0].get_text()
    assert paint(figure)[0] == paint(draw_puppet(4, 0.3, 40))[0]
    assert choices()[0] == "12 lip corners up" and len(choices()) == len(AUS)
    assert set(AU_NAMES) == set(AUS)
    with pytest.raises(MerError, match="AU 3 does not move here"):
        pull(3, 0.1)
