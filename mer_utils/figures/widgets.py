"""Sliders around a drawing function: the same figure, drawn again when a control moves."""

import io

import ipywidgets
from IPython.display import display


def explore(draw, **choices):
    """Show one control a keyword of ``draw(**values) -> Figure`` and redraw on change.

    A list becomes a drop-down, a tuple (low, high, step) of numbers a slider. The figure is
    computed when a control is released, not while it moves. Returns None: the controls are shown,
    nothing is left to print.
    """
    controls = {}
    for name, choice in choices.items():
        label = name.replace("_", " ")
        if isinstance(choice, tuple):
            low, high, step = choice
            kind = (
                ipywidgets.IntSlider
                if all(isinstance(n, int) for n in choice)
                else ipywidgets.FloatSlider
            )
            controls[name] = kind(
                value=low, min=low, max=high, step=step, description=label, continuous_update=False
            )
        else:
            controls[name] = ipywidgets.Dropdown(options=choice, description=label)
    # a picture, not an Output: an Output talks to whoever runs the notebook, and headless runs can
    # hang on it
    picture = ipywidgets.Image(format="png")

    def redraw(_=None):
        buffer = io.BytesIO()
        draw(**{name: control.value for name, control in controls.items()}).savefig(
            buffer, format="png"
        )
        picture.value = buffer.getvalue()

    for control in controls.values():
        control.observe(redraw, names="value")
    redraw()
    display(ipywidgets.VBox([*controls.values(), picture]))
