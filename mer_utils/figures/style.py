"""One style for all figures: fonts, colours, names of views and phases, and the grid that every
figure is drawn on.
"""

from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#3b6fb6", "#e08214", "#2e8b57", "#c0392b", "#8a8a8a"
VIEW_NAMES = ("left view", "right view")
PHASE_NAMES = ("onset-apex", "apex-offset")


def grid(rows, columns, width, height):
    """Return a Figure of ``width`` x ``height`` inches and its axes (rows, columns), laid out
    without overlaps.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)
