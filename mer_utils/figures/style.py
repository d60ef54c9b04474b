"""One style for all figures: fonts, colours, names of views and phases, and the grid that every
figure is drawn on.
"""

import seaborn
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#3b6fb6", "#e08214", "#2e8b57", "#c0392b", "#8a8a8a"
PALETTE = (BLUE, ORANGE, GREEN, RED, GREY)
VIEW_NAMES = ("left view", "right view")
PHASE_NAMES = ("onset-apex", "apex-offset")


def set_style():
    """Make every figure drawn from now on look alike; ``open_study`` and `mer` call it."""
    sizes = {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "figure.titlesize": 10}
    sizes |= dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 8.5)
    lines = {"axes.linewidth": 0.8, "xtick.major.width": 0.8, "ytick.major.width": 0.8}
    lines |= {"lines.linewidth": 1.5, "xtick.major.size": 3.5, "ytick.major.size": 3.5}
    open_box = {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    rc = sizes | lines | open_box | {"figure.dpi": 80}
    seaborn.set_theme(style="ticks", palette=PALETTE, font="DejaVu Sans", rc=rc)


def grid(rows, columns, width, height, **options):
    """Return a Figure of ``width`` x ``height`` inches and its axes (rows, columns), laid out
    without overlaps; ``options`` go to Figure.subplots.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)
