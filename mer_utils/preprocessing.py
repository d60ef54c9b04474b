"""From raw frames to face crops: split the views, find a box for each, crop all frames with it."""

from itertools import chain

from mer_utils import MerError
from mer_utils.dataset import iterate_frames

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

FACE_CENTRE = 0.88  # the centre of a face below the top of the hair, in widths of the head
# The challenge entry's fallback box (0, 400, 1200, 1600) in its 1200 x 1600 px views: a square as
# wide as the view, its centre at these shares of width and height.
FALLBACK = (0.5, 0.625)
NECK = 0.5  # share of the head's width below which a silhouette ends in a chin, not in a neck
CUT_OUT = 1.6  # at most this many widths of a face without neck does its box span
# the oval of a face in its crop: centre x, centre y, half width, half height, shares of its side
OVAL = (0.5, 0.47, 0.485, 0.625)
STEPS = (8, 4, 2)  # times that a JPEG can be made smaller while it is decoded
OUTLINE = 256  # px of a view's shorter side that are enough to see the head's outline
FLAT = 0.3  # share of the median texture inside the oval below which there is nothing to follow


def square_box(x, y, side, width, height):
    """Return the square box (x0, y0, x1, y1) px about (x, y), moved or made smaller so that it lies
    inside a view of ``width`` x ``height`` px.
    """
    side = max(1, min(round(float(side)), width, height))
    x0 = min(max(0, round(float(x - side / 2))), width - side)
    y0 = min(max(0, round(float(y - side / 2))), height - side)
    return x0, y0, x0 + side, y0 + side


def format_boxes(boxes):
    """Return boxes (x0, y0, x1, y1) px, one per view, as the manifest's column ``box``."""
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


def split_views(raw, views=2):
    """Cut frames (T, H, W) into views (V, T, H, W // V); an odd last column is dropped."""
    width = raw.shape[-1] // views
    if width == 0:
        raise MerError(f"{raw.shape[-1]} px wide frames cannot hold {views} views side by side")
    side_by_side = raw[..., : views * width].reshape(*raw.shape[:-1], views, width)
    return np.moveaxis(side_by_side, -2, 0)


def silhouette(frame, tolerance=24):
    """Return a bool mask (H, W) of what differs by more than ``tolerance`` grey levels from a plain
    background, or None where the top row and the upper sides show none.
    """
    height = frame.shape[0] // 2
    border = np.concatenate([frame[0], frame[:height, 0], frame[:height, -1]]).astype(np.float32)
    level = np.median(border)
    # a head that touches one side covers less
    if np.mean(np.abs(border - level) > tolerance) > 0.25:
        return None
    mask = (np.abs(frame.astype(np.float32) - level) > tolerance).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return parts == largest


def find_box(frame, enlarge=1.0):
    """Return the face's square box (x0, y0, x1, y1) px on one frame (H, W) of one view: as wide as
    the head's silhouette times ``enlarge``, below the hair, inside the frame. Without a plain
    background or a plausible head it is the challenge's fallback box.
    """
    return locate([frame], enlarge=enlarge)[0][0]


def _find_head(frame):
    """Return a head's centre and width (x, y, side) px before a plain background, or None."""
    step = max(1, min(frame.shape) // OUTLINE)
    height, width = (side // step for side in frame.shape)
    if step > 1:
        part = frame[: height * step, : width * step]
        frame = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    mask = silhouette(frame)
    if mask is None:
        return None
    x, y, side = frame_head(mask)
    rows = np.flatnonzero(mask.any(1))
    if side < 0.2 * width or len(rows) < 0.8 * side:
        return None
    top, chin = rows[0], rows[-1] + 1
    if chin < height and mask[top + int(0.97 * len(rows))].sum() < NECK * side:
        columns = np.flatnonzero(mask.any(0))
        x, y = (columns[0] + columns[-1] + 1) / 2, (top + chin) / 2
        side = min(max(side, len(rows)), CUT_OUT * side)
    return step * x, step * y, step * side


def crop(frames, box, size):
    """Cut ``box`` out of frames (..., H, W) and resize to (..., size, size) uint8."""
    _check_box(box, *frames.shape[-2:])
    x0, y0, x1, y1 = box
    part = frames[..., y0:y1, x0:x1]
    mode = cv2.INTER_AREA if min(part.shape[-2:]) > size else cv2.INTER_CUBIC
    flat = part.reshape(-1, *part.shape[-2:])
    small = [cv2.resize(frame, (size, size), interpolation=mode) for frame in flat]
    return np.reshape(small, (*frames.shape[:-2], size, size))


def _check_box(box, height, width):
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise MerError(f"the crop box {tuple(box)} does not fit a view of {width} x {height} px")


def crop_flow(flow, box, size):
    """Bring flow (2, H, W) in px of the view into the crop: (2, size, size) in px of the crop."""
    x0, y0, x1, y1 = box
    planes = flow[:, y0:y1, x0:x1]
    small = [cv2.resize(plane, (size, size), interpolation=cv2.INTER_LINEAR) for plane in planes]
    scale = np.array([size / (x1 - x0), size / (y1 - y0)], np.float32)
    return np.stack(small) * scale[:, None, None]


def locate(first, clip=None, enlarge=1.0):
    """Return one box a view for the first frames (V, H, W) of a clip, and how they were found:
    manifest, silhouette, or fallback (if any view has no plain background).
    """
    if clip is not None and clip.boxes:
        return clip.boxes, "manifest"
    heads, boxes = [_find_head(view) for view in first], []
    for head, view in zip(heads, first, strict=True):
        height, width = view.shape
        fallback = FALLBACK[0] * width, FALLBACK[1] * height, width / enlarge  # as the view is wide
        x, y, side = head or fallback
        boxes.append(square_box(x, y, side * enlarge, width, height))
    return tuple(boxes), "fallback" if None in heads else "silhouette"


def load_crops(clip, views=2, size=128, enlarge=1.0, frames=None):
    """Return a clip's face crops (V, T, size, size) uint8 and each view's box (x0, y0, x1, y1) px;
    ``frames``, (V, T, H, W) or T times (V, H, W), stand in for those on disk.
    """
    return crop_places(clip, views, [(size, enlarge)], frames)[0]


def crop_places(clip, views, places, frames=None):
    """Return what ``load_crops`` returns for each (size, enlarge) in ``places``. Each frame is
    cropped as soon as it is decoded: a film never lies in memory as a whole. JPEGs much larger than
    a crop are made smaller while they are decoded, which depends on that place and clip alone.
    """
    on_disk = frames is None
    if on_disk:
        frames = (split_views(raw, views) for raw in iterate_frames(clip))
    elif isinstance(frames, np.ndarray):
        frames = np.moveaxis(frames, 1, 0)
    crops = [[] for _ in places]
    try:
        first = next(frames := iter(frames))
        boxes = [locate(first, clip, enlarge)[0] for _, enlarge in places]
        wanted = [(size, box) for (size, _), box in zip(places, boxes, strict=True)]
        steps = [_choose_step(clip, first, *pair) if on_disk else 1 for pair in wanted]
        for step in sorted(set(steps)):
            film = chain([first], frames)
            if step > 1:
                film = (split_views(raw, views) for raw in iterate_frames(clip, step))
            chosen = [k for k in range(len(places)) if steps[k] == step]
            for frame in film:
                for k in chosen:
                    # to round boxes moves all crops by the same half pixel at most
                    near = np.rint(np.divide(boxes[k], step)).astype(int).tolist()
                    pairs = zip(frame, near, strict=True)
                    crops[k].append([crop(view, box, places[k][0]) for view, box in pairs])
    except MerError as error:
        raise error.seen_from(f"clip {clip.name}") from None
    return [(np.stack(views, 1), box) for views, box in zip(crops, boxes, strict=True)]


def _choose_step(clip, first, size, boxes):
    """Return how many times smaller (1, 2, 4, 8) JPEGs may be decoded for boxes of ``size`` px."""
    for box in boxes:
        _check_box(box, *first.shape[1:])
    if not all(name.lower().endswith((".jpg", ".jpeg")) for name in clip.names):
        return 1
    smallest = min(min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes)
    fits = (k for k in STEPS if k * size <= smallest and not any(n % k for n in first.shape[1:]))
    return next(fits, 1)


def face_mask(crops):
    """Return where in crops (V, T, S, S) of a film flow can be believed, a bool mask (V, S, S): an
    oval that cuts the corners off, less what has no texture (our choice).

    Texture is the smaller eigenvalue of the structure tensor (Shi and Tomasi 1994) of the film's
    mean frame, Gaussian of S / 43; it has to reach FLAT times its median inside the oval.
    """
    side = crops.shape[-1]
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    oval = ((x - OVAL[0]) / OVAL[2]) ** 2 + ((y - OVAL[1]) / OVAL[3]) ** 2 <= 1
    masks = []
    for view in crops:
        dy, dx = np.gradient(view.mean(0, dtype=np.float64))
        xx, xy, yy = (gaussian_filter(a, side / 43) for a in (dx * dx, dx * dy, dy * dy))
        texture = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
        masks.append(oval & (texture > FLAT * np.median(texture[oval])))
    return np.stack(masks)
