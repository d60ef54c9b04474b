"""What the pictures of all demos share.

Their axes are placed by hand: a layout engine would take longer than all the rest of a picture.
"""

import numpy as np
from matplotlib.figure import Figure
from skimage.util import montage


def start_figure(width, height, title, x=0.01, y=0.94, fontsize=10):
    """Return an empty Figure of ``width`` x ``height`` inches with its title at (``x``, ``y``)."""
    figure = Figure(figsize=(width, height))
    figure.text(x, y, title, fontsize=fontsize, weight="bold", va="center")
    return figure


def place(figure, left, bottom, width, height):
    """Return new axes of a Figure at a place given in inches."""
    wide, high = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / high, width / wide, height / high))


def tile(pictures, gap, fill):
    """Return pictures (R, C, H, W, ...) as one of R rows and C columns, ``gap`` px of ``fill``
    between them.
    """
    rows, columns, *shape = pictures.shape
    colours = {"channel_axis": -1, "fill": [fill] * 3} if len(shape) == 3 else {"fill": fill}
    shown = montage(
        pictures.reshape(-1, *shape), grid_shape=(rows, columns), padding_width=gap, **colours
    )
    return shown[gap:-gap, gap:-gap]


def add_tiles(figure, left, bottom, side, pictures, titles):
    """Draw pictures (R, C, S, S, 3) in [0, 1], ``side`` inches each, into one new axes (many would
    be slow) at a place in inches, with a title above each column; return the axes.
    """
    size = pictures.shape[2]
    gap = size // 28
    image = tile(pictures, gap, 1.0)
    height, width = np.array(image.shape[:2]) * side / size
    axis = place(figure, left, bottom, width, height)
    axis.imshow(image, interpolation="nearest", aspect="auto")
    axis.axis("off")
    for k, title in enumerate(titles):
        axis.text((k + 0.5) * size + gap * k, -4, title, ha="center", va="bottom")
    return axis
