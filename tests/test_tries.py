"""Onsets and offsets that may be others: the grid, what the controls do, what is drawn."""

import itertools
from types import SimpleNamespace

from mer_course.demos.tries import Tries

import numpy as np
import pytest

LABELS = ("Negative", "Positive", "Surprise")
FRAMES = 20


def predict(onset, offset):
    """A Prediction whose first label grows with the offset and is answered from 10 on."""
    scores = np.array([[offset / 20, 0.2, 0.6]] * 3) + np.array([[-0.01], [0.0], [0.01]])
    thresholds = np.array([0.5, 0.5, np.inf])
    curve = np.abs(np.sin(np.linspace(0, 3, FRAMES)))[None] * offset
    return SimpleNamespace(
        name="clip", onset=onset, apex=(onset + offset) // 2, offset=offset, curve=curve,
        joint=curve[0], scores=scores, thresholds=thresholds, labels=LABELS,
        answers=scores.mean(0) >= thresholds, exclusive=False,
    )  # fmt: skip


@pytest.fixture
def tries():
    return Tries(predict, 2, 15, FRAMES)


@pytest.mark.parametrize("frames, onset, offset", [(3, 0, 2), (20, 2, 15), (300, 17, 250)])
def test_the_sliders_reach_whole_steps_and_start_where_they_were_told(frames, onset, offset):
    tries, places = Tries(predict, onset, offset, frames), {}
    assert all(0 <= start <= end - 2 and end < frames for start, end in tries.found)
    assert (onset, offset) in tries.found
    for name, (low, high, step, start) in tries.controls.items():
        places[name] = range(low, high + 1, step)
        assert start in places[name] and len(places[name]) <= 8
    ends = [set(ends) for ends in zip(*tries.found, strict=True)]
    assert ends == [set(steps) for steps in places.values()]


def test_controls_clamp_one_another(tries):
    places = [range(low, high + 1, step) for low, high, step, _ in tries.controls.values()]
    for pair in itertools.product(*places):
        values = dict(zip(("onset", "offset"), pair, strict=True))
        for moved in values:
            clamped = tries.clamp(values, moved)
            assert tuple(clamped.values()) in tries.found and clamped[moved] == values[moved]
            assert clamped == values or pair not in tries.found


def test_a_picture_says_its_settings_and_what_changed(tries):
    assert "as given" in tries.draw(2, 15).get_suptitle()
    assert "the same answers" in tries.draw(5, 15).get_suptitle()
    assert "other answers: Negative" in tries.draw(2, 6).get_suptitle()
    limits = {figure.axes[0].get_ylim() for figure in (tries.draw(2, 6), tries.draw(2, 15))}
    assert len(limits) == 1  # one axis for all
