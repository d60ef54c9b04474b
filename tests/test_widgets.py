"""Controls around a picture, moved as a browser would move them."""

import base64

from mer_utils.figures import widgets

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def shown(monkeypatch):
    """What is displayed, and the box of controls that a notebook would show."""
    boxes, bundles = [], []
    real = widgets.ipywidgets.VBox

    def make_box(*given, **options):
        boxes.append(real(*given, **options))
        return boxes[-1]

    monkeypatch.setattr(widgets.ipywidgets, "VBox", make_box)
    monkeypatch.setattr(widgets, "display", lambda bundle, raw: bundles.append(bundle))
    return boxes, bundles


def draw(height, colour):
    if height > 8:
        raise ValueError("too high")
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().bar([0], [height], color=colour)
    return figure


def test_a_demo_starts_where_it_is_told_and_keeps_a_still_picture(shown):
    widgets.explore(draw, height=(0, 10, 1, 5), colour=["red", "blue"])
    (box,), (bundle,) = shown
    height, colour, told, picture = box.children
    assert (height.value, colour.value, told.value) == (5, "red", "as it starts")
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert base64.b64decode(bundle["image/png"]) == bytes(picture.value)
    assert bundle["text/plain"] == "A demo with the controls height, colour"


def test_a_moved_control_changes_picture_and_words_and_an_error_is_seen(shown):
    widgets.explore(draw, height=(1.0, 10.0, 0.5), colour=["red", "blue"])
    height, colour, told, picture = shown[0][0].children
    first = bytes(picture.value)
    colour.value = "blue"
    second = bytes(picture.value)
    assert second != first and told.value == "changed: colour red → blue"
    height.value = 9.0
    assert bytes(picture.value) == second and told.value == "ValueError: too high"
    height.value, colour.value = 1.0, "red"
    assert bytes(picture.value) == first and told.value == "as it starts"


def test_an_error_in_the_first_picture_is_the_cells(shown):
    with pytest.raises(ValueError, match="too high"):
        widgets.explore(draw, height=(0, 10, 1, 9), colour=["red"])
    assert not shown[1]
