"""Sliders around a drawing function: the same figure, drawn again when a control moves."""

import base64
import io

import ipywidgets
from IPython.display import display

FIT = {"description_width": "initial"}  # as wide as its words


def explore(draw, **choices):
    """Show one control a keyword of ``draw(**values) -> Figure`` and redraw on change.

    A list becomes a drop-down that starts at its first entry, a tuple (low, high, step) or (low,
    high, step, start) of numbers a slider. The figure is computed when a control is released, not
    while it moves. A line under the controls says what differs from the start, or what went wrong.
    The first picture is stored beside the widget: where no notebook runs, it is shown in its place.
    Returns None: the controls are shown, nothing is left to print.
    """
    controls = {name: _make_control(name, choice) for name, choice in choices.items()}
    start = {name: control.value for name, control in controls.items()}
    # a picture, not an Output: an Output talks to whoever runs the notebook, and headless runs can
    # hang on it; as large as it was drawn, or as the page allows
    picture = ipywidgets.Image(format="png", layout={"width": "auto", "max_width": "100%"})
    told = ipywidgets.Label()

    def redraw(_=None):
        values = {name: control.value for name, control in controls.items()}
        changed = [f"{name} {start[name]} → {values[name]}" for name in values
                   if values[name] != start[name]]  # fmt: skip
        told.value = "changed: " + ", ".join(changed) if changed else "as it starts"
        try:
            picture.value = _paint(draw(**values))
        except Exception as error:  # seen here, or nowhere: a callback has no cell to print to
            told.value = f"{type(error).__name__}: {error}"

    first = _paint(draw(**start))  # an error in the first picture is the cell's
    picture.value, told.value = first, "as it starts"
    for control in controls.values():
        control.observe(redraw, names="value")
    box = ipywidgets.VBox([*controls.values(), told, picture], layout={"align_items": "flex-start"})
    shown = box._repr_mimebundle_() | {
        "image/png": base64.b64encode(first).decode(),
        "text/plain": f"A demo with the controls {', '.join(controls)}",
    }
    display(shown, raw=True)


def _make_control(name, choice):
    """Return the drop-down or slider of one choice."""
    label = name.replace("_", " ")
    if not isinstance(choice, tuple):
        return ipywidgets.Dropdown(options=choice, description=label, style=FIT)
    low, high, step = choice[:3]
    whole = all(isinstance(number, int) for number in choice)
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    value = choice[3] if len(choice) > 3 else low
    given = {"description": label, "continuous_update": False, "style": FIT}
    return kind(value=value, min=low, max=high, step=step, **given)


def _paint(figure):
    """Return a figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
