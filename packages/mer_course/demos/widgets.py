"""Demos: controls around a drawing function, which draws again when one of them moves."""

from mer_utils.plots import bundle, paint

import ipywidgets
from IPython.display import display

START = "at its defaults"
# of widget and still picture one is shown: where the widget lives, the widget; where it is gone
# (JupyterLab then says "model not found" in its place), the picture
ONE_OF_TWO = """<style>
.jp-OutputArea-child:has(.mer-demo) + .jp-OutputArea-child:has(.mer-still),
.jp-OutputArea-child:has(> .jupyter-widgets):has(+ .jp-OutputArea-child .mer-still) {
  display: none;
}
</style>"""


def explore(draw, clamp=None, play="", interval=300, **choices):
    """Show one control a keyword of ``draw(**values) -> Figure`` and redraw on change.

    A list becomes a drop-down that starts at its first entry, True or False a box to tick, a tuple
    (low, high, step) or (low, high, step, start) of numbers a slider. The figure is computed when a
    control is released, not while it moves. ``clamp(values, moved) -> values`` keeps controls
    consistent: it is given all of them and the name of the one that moved. ``play`` names a slider
    of whole numbers that gets a play button, a step every ``interval`` ms. A line under the
    controls says what differs from the start, or what went wrong. The first picture is stored
    beside the widget: where no notebook runs, it is shown in its place. Returns None.
    """
    wide = 1 + 0.55 * max(map(len, choices), default=0)  # em: all labels, none of them cut
    controls = {name: _make_control(name, choice, wide) for name, choice in choices.items()}
    start = {name: control.value for name, control in controls.items()}
    png, width = paint(draw(**start))  # an error in the first picture is the cell's
    # a picture, not an Output: an Output talks to whoever runs the notebook, and headless runs can
    # hang on it; never stretched, and no wider than the page
    layout = {"width": f"{width}px", "max_width": "100%", "height": "auto"}
    layout["align_self"] = "flex-start"
    picture = ipywidgets.Image(format="png", value=png, layout=layout)
    told = ipywidgets.Label(START)
    clamping = []

    def redraw(change):
        if clamping:
            return
        values = {name: control.value for name, control in controls.items()}
        if clamp is not None:
            moved = next(name for name in controls if controls[name] is change["owner"])
            clamping.append(moved)
            try:
                values = clamp(values, moved)
                for name, value in values.items():
                    controls[name].value = value
            finally:
                clamping.clear()
        changed = [
            f"{name.replace('_', ' ')} {_tell(start[name])} → {_tell(value)}"
            for name, value in values.items()
            if value != start[name]
        ]
        told.value = "changed: " + ", ".join(changed) if changed else START
        try:
            picture.value = paint(draw(**values))[0]
        except Exception as error:  # seen here, or nowhere: a callback has no cell to print to
            told.value = f"{type(error).__name__}: {error}"

    for control in controls.values():
        control.observe(redraw, names="value")
    rows = [
        _add_play(control, interval) if name == play else control
        for name, control in controls.items()
    ]
    box = ipywidgets.VBox([*rows, told, picture], layout={"align_items": "flex-start"})
    words = f"A demo with the controls {', '.join(controls).replace('_', ' ')}"
    box.add_class("mer-demo")
    display(box)
    data, metadata = bundle(png, width, words)
    kind = next(iter(metadata))
    still = f'<img class="mer-still" width="{width}" alt="{words}" src="data:{kind};base64,'
    data["text/html"] = f'{ONE_OF_TWO}{still}{data[kind]}">'
    display(data, metadata=metadata, raw=True)


def _tell(value):
    return f"{value:g}" if isinstance(value, float) else str(value)


def _make_control(name, choice, wide):
    """Return the drop-down, box or slider of one choice, its label ``wide`` em."""
    given = {"description": name.replace("_", " "), "style": {"description_width": f"{wide}em"}}
    if isinstance(choice, bool):
        return ipywidgets.Checkbox(choice, **given)
    given["layout"] = {"width": f"{wide + 20}em"}
    if not isinstance(choice, tuple):
        return ipywidgets.Dropdown(options=choice, **given)
    low, high, step = choice[:3]
    whole = all(isinstance(number, int) for number in choice)
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    value = choice[3] if len(choice) > 3 else low
    return kind(value=value, min=low, max=high, step=step, continuous_update=False, **given)


def _add_play(slider, interval):
    """Return a row of a play button and the slider that it moves."""
    given = {name: getattr(slider, name) for name in ("value", "min", "max", "step")}
    button = ipywidgets.Play(interval=interval, **given)
    ipywidgets.jslink((button, "value"), (slider, "value"))
    return ipywidgets.HBox([button, slider])
