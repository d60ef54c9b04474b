"""Where a face is: the square box around it, as crops and the manifest have it."""

import numpy as np

FACE_CENTRE = 0.88  # how far below the top of the hair a face has its centre, in widths of the head


def square_box(x, y, side, width, height):
    """Return the square box (x0, y0, x1, y1) px about (x, y), moved and if need be made smaller so
    that it lies inside a view of ``width`` x ``height`` px: its aspect stays, whatever is cut.
    """
    side = max(1, min(round(float(side)), width, height))
    x0 = min(max(0, round(float(x - side / 2))), width - side)
    y0 = min(max(0, round(float(y - side / 2))), height - side)
    return x0, y0, x0 + side, y0 + side


def format_boxes(boxes):
    """Return boxes (x0, y0, x1, y1) px, one per view, as the manifest's column ``box`` holds
    them.
    """
    return "; ".join(" ".join(str(int(value)) for value in box) for box in boxes)


def frame_head(mask):
    """Return the square (x, y, side) px that frames the face of a head whose silhouette is ``mask``
    (H, W): as wide as the head, its centre FACE_CENTRE widths below the top of the hair.
    """
    rows = np.flatnonzero(mask.any(1))
    top = rows[0]
    side = float(np.percentile(mask[top : top + max(1, int(0.7 * len(rows)))].sum(1), 90))
    columns = np.flatnonzero(mask[top : top + max(1, int(side))].any(0))
    return (columns[0] + columns[-1] + 1) / 2, top + FACE_CENTRE * side, side
