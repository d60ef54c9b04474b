"""Clips to one array for learning: crop, apex and phase flow of every clip, computed in parallel and cached."""

from dataclasses import asdict, dataclass

import cv2
import numpy as np
from joblib import Parallel, delayed

from mer_utils import MerError
from mer_utils.apex import find_apex, motion_curve
from mer_utils.artifacts import code_hash, key_of, read_npz, write_npz
from mer_utils.flow import magnitude, phase_flow
from mer_utils.preprocessing import load_crops

CHANNELS = ("u", "v", "magnitude")
NORMALISATIONS = ("none", "minmax", "robust")


@dataclass(frozen=True)
class FrontEnd:
    """Every choice between frames and features; notebooks 01-03 measure what each one does."""

    crop: int = 128  # px, side of the face crop in which motion is measured
    enlarge: float = 1.0  # of the crop box about its centre
    backend: str = "dis"  # flow: dis, farneback, tvl1
    compensation: str = "similarity"  # head motion: none, median, similarity
    apex: str = "auto"  # auto, or manifest (the annotated or true apex)
    rule: str = "mean"  # of both views' motion curves: mean, max, product
    smoothing: float = 1.5  # frames, of the motion curve
    detrend: bool = True  # the motion curve without the drift that is left at offset
    phases: int = 2  # onset-apex and apex-offset, or onset-apex alone
    normalisation: str = "none"  # of the maps: none (px), minmax per map, robust per clip
    size: int = 20  # px, side of the maps the network sees


@dataclass(frozen=True)
class Features:
    """What learning needs: x (N, V, P, 3, S, S) float32, y (N, L) uint8, and per clip its name, subject, apex and
    boxes (V, 4).
    """

    x: np.ndarray
    y: np.ndarray
    clips: np.ndarray
    subjects: np.ndarray
    apex: np.ndarray
    boxes: np.ndarray
    labels: tuple[str, ...]
    key: str  # names the data, the front end and the code that made them


def normalise(maps, method="none"):
    """Scale the maps (V, P, 3, H, W) of one clip: none keeps px; minmax brings u, v to [-1, 1] and magnitude to [0,
    1], each map by its own extremes; robust divides the whole clip by the 99th percentile of its magnitude.
    """
    if method == "none":
        return maps
    if method == "robust":
        return maps / max(float(np.percentile(maps[:, :, 2], 99)), 1e-6)
    if method != "minmax":
        raise MerError(f"normalisation {method!r} is unknown; choose one of {', '.join(NORMALISATIONS)}")
    low, high = maps.min((-1, -2), keepdims=True), maps.max((-1, -2), keepdims=True)
    unit = (maps - low) / np.maximum(high - low, 1e-6)
    unit[:, :, :2] = 2 * unit[:, :, :2] - 1
    return unit


def flow_maps(frames, onset, apex, offset, options=FrontEnd()):
    """Return the maps (V, P, 3, S, S) float32 of one clip's crops (V, T, H, W): u, v, magnitude in px of the crop for
    each phase.
    """
    flow = np.stack(
        [
            phase_flow(view, onset, apex, offset, options.backend, options.compensation, options.phases)
            for view in frames
        ]
    )
    maps = normalise(np.concatenate([flow, magnitude(flow)[:, :, None]], 2), options.normalisation)
    flat = maps.reshape(-1, *maps.shape[-2:])
    small = [cv2.resize(plane, (options.size, options.size), interpolation=cv2.INTER_AREA) for plane in flat]
    return np.stack(small).reshape(*maps.shape[:3], options.size, options.size)


def extract_clip(clip, views, options=FrontEnd()):
    """Run the whole front end on one Clip; return its maps (V, P, 3, S, S), apex, motion curve (V, T) px and boxes
    (V, 4).
    """
    frames, boxes = load_crops(clip, views, options.crop, options.enlarge)
    curve = motion_curve(frames, clip.onset, clip.offset, options.backend, options.compensation, options.detrend)
    if options.apex == "auto":
        apex = find_apex(curve, clip.onset, clip.offset, options.rule, options.smoothing)
    elif options.apex == "manifest" and clip.apex is not None:
        apex = clip.apex
    else:
        raise MerError(f"clip {clip.name}: the manifest gives no apex; use apex='auto'")
    return flow_maps(frames, clip.onset, apex, clip.offset, options), apex, curve, np.array(boxes)


def extract(dataset, options=FrontEnd(), cache=None, jobs=1):
    """Return the Features of a Dataset, read from the folder ``cache`` where this data, front end and code were seen
    before.
    """
    code = code_hash("clips", "preprocessing", "flow", "apex", "features")
    key = key_of(dataset.fingerprint(), asdict(options), code)
    path = None if cache is None else cache / f"features-{key}.npz"
    if path is not None and path.exists():
        stored = read_npz(path)
    else:
        done = Parallel(n_jobs=jobs)(delayed(extract_clip)(clip, dataset.views, options) for clip in dataset.clips)
        maps, apex, _, boxes = zip(*done, strict=True)
        stored = {"x": np.stack(maps), "apex": np.array(apex), "boxes": np.stack(boxes)}
        if path is not None:
            write_npz(path, **stored)
    return Features(
        y=dataset.label_matrix(),
        clips=np.array([clip.name for clip in dataset.clips]),
        subjects=np.array([clip.subject for clip in dataset.clips]),
        labels=dataset.labels,
        key=key,
        **stored,
    )
