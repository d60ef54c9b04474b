"""From raw frames to face crops: separate the two views, find one box a sequence and view, crop every frame with it."""

import cv2
import numpy as np

from mer_utils import MerError
from mer_utils.clips import read_frames

# The challenge entry's fallback box (0, 400, 1200, 1600) in its 1200 x 1600 px views, as fractions of width and height.
FALLBACK = (0.0, 0.25, 1.0, 1.0)
FACE_CENTRE = 0.88  # how far below the top of the hair a face has its centre, in widths of the head


def split_views(raw, views=2):
    """Cut raw frames (T, H, W) into views (V, T, H, W // V): left is [0, W // 2), right starts at W // 2; an odd last
    column is dropped.
    """
    width = raw.shape[-1] // views
    if width == 0:
        raise MerError(f"frames are {raw.shape[-1]} px wide and cannot hold {views} views side by side")
    return np.stack([raw[..., k * width : (k + 1) * width] for k in range(views)])


def silhouette(frame, tolerance=24):
    """Return a bool mask (H, W) of what differs from a plain background, or None where the border shows no plain
    background.

    The background level is the median of the top row and both side columns' upper halves; ``tolerance`` is in grey
    levels.
    """
    height = frame.shape[0] // 2
    border = np.concatenate([frame[0], frame[:height, 0], frame[:height, -1]]).astype(np.float32)
    level = np.median(border)
    if np.mean(np.abs(border - level) > tolerance) > 0.25:  # a head that touches one side covers less
        return None
    mask = (np.abs(frame.astype(np.float32) - level) > tolerance).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return parts == largest


def find_box(frame, enlarge=1.0):
    """Find the face's square box (x0, y0, x1, y1) in px on one frame (H, W) of one view, by its silhouette.

    The head's width gives the scale: a square of that width times ``enlarge``, centred on the head, which starts
    below the hair. Without a plain background or a plausible head the challenge's fallback box is returned. The box
    is clipped to the frame.
    """
    height, width = frame.shape
    mask = silhouette(frame)
    if mask is not None:
        rows = np.flatnonzero(mask.any(1))
        widths = mask[rows[0] : rows[0] + max(1, int(0.7 * len(rows)))].sum(1)
        side = float(np.percentile(widths, 90))
        if 0.2 * width <= side and len(rows) >= 0.8 * side:
            top = rows[0]
            columns = np.flatnonzero(mask[top : top + int(side)].any(0))
            x, y = (columns[0] + columns[-1] + 1) / 2, top + FACE_CENTRE * side
            half = side * enlarge / 2
            return _clip((x - half, y - half, x + half, y + half), width, height)
    return _clip(tuple(np.multiply(FALLBACK, (width, height, width, height))), width, height)


def _clip(box, width, height):
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    return max(0, x0), max(0, y0), min(width, x1), min(height, y1)


def crop(frames, box, size):
    """Cut ``box`` out of frames (..., H, W) and resize to (..., size, size) uint8; one box for all keeps motion
    comparable.
    """
    x0, y0, x1, y1 = box
    height, width = frames.shape[-2:]
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise MerError(f"the crop box {tuple(box)} does not lie inside the {width} x {height} px view")
    part = frames[..., y0:y1, x0:x1]
    mode = cv2.INTER_AREA if min(part.shape[-2:]) > size else cv2.INTER_CUBIC
    flat = [cv2.resize(frame, (size, size), interpolation=mode) for frame in part.reshape(-1, *part.shape[-2:])]
    return np.stack(flat).reshape(*frames.shape[:-2], size, size)


def crop_flow(flow, box, size):
    """Bring a flow field (2, H, W) in px of the view into the crop: (2, size, size) in px of the crop."""
    x0, y0, x1, y1 = box
    part = [cv2.resize(plane[y0:y1, x0:x1], (size, size), interpolation=cv2.INTER_LINEAR) for plane in flow]
    return np.stack(part) * np.array([size / (x1 - x0), size / (y1 - y0)], np.float32)[:, None, None]


def find_boxes(views, clip=None, enlarge=1.0):
    """Return one box a view for frames (V, T, H, W): the manifest's if ``clip`` has them, else found on each view's
    first frame.
    """
    if clip is not None and clip.boxes:
        return clip.boxes
    return tuple(find_box(view[0], enlarge) for view in views)


def load_crops(clip, views=2, size=128, enlarge=1.0, frames=None):
    """Read a clip and return its face crops (V, T, size, size) uint8 and the boxes used (x0, y0, x1, y1) px, one a
    view; ``frames`` (V, T, H, W) given are not read.
    """
    frames = split_views(read_frames(clip), views) if frames is None else frames
    boxes = find_boxes(frames, clip, enlarge)
    return np.stack([crop(view, box, size) for view, box in zip(frames, boxes, strict=True)]), boxes
