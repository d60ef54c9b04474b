"""Controls around a drawing function, which draws again when one of them moves."""

from functools import partial

from mer_course.demos.still import choose_places, make_slider, show_with_still
from mer_utils.plots import paint

import ipywidgets


def explore(draw, clamp=None, play="", frames="", **choices):
    """Show one control for each keyword of ``draw(**values) -> Figure`` and redraw on change.

    A list becomes a drop-down that starts at its first entry, True or False a box to tick, a tuple
    (low, high, step) or (low, high, step, start) of numbers a slider, which redraws when it is
    released. ``clamp(values, moved) -> values`` keeps the controls consistent; ``moved`` is the
    name of the one that moved. ``play`` names a slider of whole numbers that gets a play button.
    A line under the controls says what went wrong. The first picture is stored beside the widget,
    for pages where no kernel runs; ``frames`` names a slider that moves there, too, over a few
    pictures drawn beforehand.
    """
    width = 1 + 0.55 * max(map(len, choices), default=0)  # em: no label is cut
    controls = {name: _make_control(name, choice, width) for name, choice in choices.items()}
    # an error in the first picture is the cell's
    start = {name: control.value for name, control in controls.items()}
    png, page_width = paint(draw(**start))
    # A picture, not an Output, which can hang headless runs; never stretched or wider than the page
    layout = {"width": f"{page_width}px", "max_width": "100%", "height": "auto"}
    layout["align_self"] = "flex-start"
    picture = ipywidgets.Image(format="png", value=png, layout=layout)
    status = ipywidgets.Label()
    clamping = []  # not empty while ``clamp`` moves the other controls

    def redraw(moved, change):
        if clamping:
            return
        values = {name: control.value for name, control in controls.items()}
        try:
            if clamp is not None:
                clamping.append(moved)
                values = clamp(values, moved)
                for name, value in values.items():
                    controls[name].value = value
            picture.value, status.value = paint(draw(**values))[0], ""
        except Exception as error:  # a callback has no cell to print to
            status.value = f"{type(error).__name__}: {error}"
        finally:
            clamping.clear()

    for name, control in controls.items():
        control.observe(partial(redraw, name), names="value")
    rows = list(controls.values())
    if play:
        slider = controls[play]
        options = {name: getattr(slider, name) for name in ("value", "min", "max", "step")}
        button = ipywidgets.Play(interval=300, **options)  # ms a step
        ipywidgets.jslink((button, "value"), (slider, "value"))
        rows[rows.index(slider)] = ipywidgets.HBox([button, slider])
    box = ipywidgets.VBox([*rows, status, picture], layout={"align_items": "flex-start"})
    alt, slider = f"A demo with the controls {', '.join(controls).replace('_', ' ')}", ""
    if frames:
        place = start[frames]
        places = choose_places(*choices[frames][:3], place)
        figures = {at: draw(**start | {frames: at}) for at in places}
        slider = make_slider(frames.replace("_", " "), figures, place, alt)
    show_with_still(box, png, page_width, alt, slider)


def _make_control(name, choice, width):
    """Return the drop-down, box or slider of one choice, its label ``width`` em."""
    start = choice[3:] if isinstance(choice, tuple) else ()
    control = ipywidgets.interactive.widget_from_abbrev(choice[:3] if start else choice)
    control.description = name.replace("_", " ")
    control.style.description_width = f"{width}em"
    if not isinstance(choice, bool):
        control.layout.width = f"{width + 20}em"
    if isinstance(choice, tuple):
        control.continuous_update = False
        control.value = start[0] if start else choice[0]
    return control
