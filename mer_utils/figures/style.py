"""One style for all figures: fonts, colours, names of views and phases, and the grid that every
figure is drawn on.
"""

import matplotlib
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#3b6fb6", "#e08214", "#2e8b57", "#c0392b", "#8a8a8a"
VIEW_NAMES = ("left view", "right view")
PHASE_NAMES = ("onset-apex", "apex-offset")


def set_style():
    """Make every figure drawn from now on look alike; ``open_study`` and `mer` call it."""
    fonts = {"font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 9}
    matplotlib.rcParams.update(fonts | {"figure.dpi": 80})


def grid(rows, columns, width, height, **options):
    """Return a Figure of ``width`` x ``height`` inches and its axes (rows, columns), laid out
    without overlaps; ``options`` go to Figure.subplots.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)
