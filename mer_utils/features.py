"""Clips to one array for learning: crop, apex and phase flow of every clip, computed in parallel and cached."""

from dataclasses import asdict, dataclass

import cv2
import numpy as np

from mer_utils import MerError, check_choices
from mer_utils.apex import RULES, curve_of_flows, find_apex, onset_flows
from mer_utils.artifacts import code_hash, key_of, read_npz, write_npz
from mer_utils.flow import BACKENDS, COMPENSATIONS, magnitude, phase_flow
from mer_utils.parallel import run_jobs
from mer_utils.preprocessing import load_crops

NORMALISATIONS = ("none", "minmax", "robust")


@dataclass(frozen=True)
class FrontEnd:
    """Every choice between frames and features; notebooks 01-03 measure what each one does."""

    crop: int = 128  # px, side of the face crop in which motion is measured
    enlarge: float = 1.0  # of the crop box about its centre
    backend: str = "dis"  # flow of the phases: dis, farneback, tvl1
    curve_backend: str = "dis"  # flow in which the apex is sought: as many fields as frames, so a slow one costs much
    compensation: str = "similarity"  # head motion: none, median, similarity
    apex: str = "auto"  # auto, or manifest (the annotated or true apex)
    rule: str = "mean"  # of both views' motion curves: mean, max, product
    smoothing: float = 1.5  # frames, of the motion curve
    detrend: bool = True  # the motion curve without the drift that is left at offset
    phases: int = 2  # onset-apex and apex-offset, or onset-apex alone
    normalisation: str = "none"  # of the maps: none (px), minmax per map, robust per clip
    size: int = 20  # px, side of the maps the network sees

    def __post_init__(self):
        backends = tuple(BACKENDS)
        check_choices(
            self,
            backend=backends,
            curve_backend=backends,
            compensation=COMPENSATIONS,
            apex=("auto", "manifest"),
            rule=tuple(RULES),
            phases=(1, 2),
            normalisation=NORMALISATIONS,
        )
        if not (self.crop >= 32 and 8 <= self.size <= self.crop and self.enlarge > 0 and self.smoothing >= 0):
            raise MerError("crop must be at least 32 px, size 8 px to crop, enlarge above 0, smoothing at least 0")


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
    exclusive: bool = False  # exactly one label a clip


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


def extract_clip(clip, views, options=FrontEnd(), frames=None):
    """Run the whole front end on one Clip; return its maps (V, P, 3, S, S), apex, motion curve (V, T) px and boxes
    (V, 4). ``frames`` (V, T, H, W) stand in for those on disk. Raises MerError where ``options`` ask for an annotated
    apex and there is none.
    """
    return next(_extract_variants(clip, views, [options], frames))


def _extract_variants(clip, views, variants, raw=None):
    """Yield what ``extract_clip`` returns for each FrontEnd in ``variants``; what they share is computed once."""
    crops, flows = {}, {}
    for options in variants:
        place = (options.crop, options.enlarge)
        if place not in crops:
            crops[place] = load_crops(clip, views, *place, raw)
        frames, boxes = crops[place]
        kind = (*place, options.curve_backend)
        if kind not in flows:
            flows[kind] = onset_flows(frames, clip.onset, options.curve_backend)
        curve = curve_of_flows(flows[kind], clip.onset, clip.offset, options.compensation, options.detrend)
        if options.apex == "auto":
            apex = find_apex(curve, clip.onset, clip.offset, options.rule, options.smoothing)
        elif clip.apex is not None:
            apex = clip.apex
        else:
            raise MerError(f"clip {clip.name}: the manifest gives no apex; use apex='auto'")
        yield flow_maps(frames, clip.onset, apex, clip.offset, options), apex, curve, np.array(boxes)


def _extract_part(clips, views, variants):
    """Return for some clips, for each variant, (maps, apex, boxes): the work of one job."""
    return [[(maps, apex, boxes) for maps, apex, _, boxes in _extract_variants(c, views, variants)] for c in clips]


def extract_variants(dataset, variants, cache=None, jobs=1):
    """Return the Features of a Dataset for each FrontEnd in ``variants``, read from the folder ``cache`` where this
    data, front end and code were seen before; frames are read, cropped and followed once for all that are missing.
    """
    code = code_hash("clips", "preprocessing", "flow", "apex", "features")
    keys = [key_of(dataset.fingerprint, asdict(options), code) for options in variants]
    paths = [None if cache is None else cache / f"features-{key}.npz" for key in keys]
    missing = [k for k, path in enumerate(paths) if path is None or not path.exists()]
    stored = [None if k in missing else read_npz(path) for k, path in enumerate(paths)]
    if missing:
        wanted = [variants[k] for k in missing]
        parts = [dataset.clips[start : start + 4] for start in range(0, len(dataset), 4)]
        done = run_jobs(_extract_part, [(part, dataset.views, wanted) for part in parts], jobs)
        for n, k in enumerate(missing):
            maps, apex, boxes = zip(*(clip[n] for part in done for clip in part), strict=True)
            stored[k] = {"x": np.stack(maps), "apex": np.array(apex), "boxes": np.stack(boxes)}
            if paths[k] is not None:
                write_npz(paths[k], **stored[k])
    common = {
        "y": dataset.label_matrix(),
        "clips": np.array([clip.name for clip in dataset.clips]),
        "subjects": np.array([clip.subject for clip in dataset.clips]),
        "labels": dataset.labels,
        "exclusive": dataset.exclusive,
    }
    return [Features(key=key, **common, **arrays) for key, arrays in zip(keys, stored, strict=True)]


def extract(dataset, options=FrontEnd(), cache=None, jobs=1):
    """Return the Features of a Dataset with one front end (see ``extract_variants``)."""
    return extract_variants(dataset, [options], cache, jobs)[0]
