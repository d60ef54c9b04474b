"""Controls around a picture, moved as a browser would move them."""

import base64
import io

from mer_course.demos import widgets

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image


@pytest.fixture
def shown(monkeypatch):
    """What is displayed: the box of controls, then the still picture."""
    displayed = []
    monkeypatch.setattr(widgets, "display", lambda data, **_: displayed.append(data))
    return displayed


def draw(height, colour):
    if height > 8:
        raise ValueError("too high")
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().bar([0], [height], color=colour)
    return figure


def test_a_demo_starts_where_it_is_told_and_keeps_a_still_picture(shown):
    widgets.explore(draw, height=(0, 10, 1, 5), colour=["red", "blue"])
    box, bundle = shown
    height, colour, told, picture = box.children
    assert (height.value, colour.value, told.value) == (5, "red", widgets.START)
    assert "mer-still" in bundle["text/html"]
    still = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    live = Image.open(io.BytesIO(bytes(picture.value)))
    assert still.size == live.size and picture.layout.width == f"{live.size[0] // 2}px"
    assert np.abs(np.subtract(still.convert("RGB"), live.convert("RGB"), dtype=int)).mean() < 2
    assert bundle["text/plain"] == "A demo with the controls height, colour"


def test_a_moved_control_changes_picture_and_words_and_an_error_is_seen(shown):
    widgets.explore(draw, height=(1.0, 10.0, 0.5), colour=["red", "blue"])
    height, colour, told, picture = shown[0].children
    first = bytes(picture.value)
    colour.value = "blue"
    second = bytes(picture.value)
    assert second != first and told.value == "changed: colour red → blue"
    height.value = 9.0
    assert bytes(picture.value) == second and told.value == "ValueError: too high"
    height.value, colour.value = 1.0, "red"
    assert bytes(picture.value) == first and told.value == widgets.START


def test_an_error_in_the_first_picture_is_the_cells(shown):
    with pytest.raises(ValueError, match="too high"):
        widgets.explore(draw, height=(0, 10, 1, 9), colour=["red"])
    assert not shown


def test_controls_clamp_one_another_and_a_scrubber_plays(shown):
    def clamp(values, moved):
        low, high = values["low"], values["high"]
        return values | ({"high": max(low, high)} if moved == "low" else {"low": min(low, high)})

    def draw_both(low, high, red):
        return draw(low + high / 10, "red" if red else "blue")

    widgets.explore(
        draw_both, clamp=clamp, play="low", low=(0, 5, 1, 1), high=(0, 5, 1, 2), red=False
    )
    row, high, red, told, picture = shown[0].children
    play, low = row.children
    assert (play.min, play.max, play.value) == (0, 5, 1) and red.value is False
    low.value = 4
    assert high.value == 4 and told.value == "changed: low 1 → 4, high 2 → 4"
    before = bytes(picture.value)
    high.value = 3
    assert low.value == 3 and bytes(picture.value) != before
