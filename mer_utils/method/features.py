"""Clips to one array for learning: crop, apex and phase flow of every clip, computed in parallel
and cached.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property

from mer_utils import MerError, check_choices
from mer_utils.core.files import digest_arrays
from mer_utils.core.parallel import stream_jobs
from mer_utils.core.provenance import code_of, key_of
from mer_utils.core.records import Growing, open_records
from mer_utils.data.images import read_image
from mer_utils.method.apex import RULES, curve_of_flows, find_apex, onset_flows
from mer_utils.method.flow import BACKENDS, COMPENSATIONS, magnitude, phase_flow, strain
from mer_utils.method.preprocessing import crop_places, face_mask

import cv2
import numpy as np
from filelock import FileLock

SHARED = 4  # clips that one of several processes takes at once: few, so that all end together
ALONE = 16  # clips that a single process takes at once: more, since it decodes the next one ahead
NORMALISATIONS = ("none", "minmax", "robust")
THIRDS = {"magnitude": magnitude, "strain": strain}


@dataclass(frozen=True)
class FrontEnd:
    """Every choice between frames and features; notebooks 01-03 measure what each one does."""

    crop: int = 128  # px, side of the face crop in which motion is measured
    enlarge: float = 1.0  # of the crop box about its centre
    backend: str = "dis"  # flow of the phases: dis, dis-half, farneback, tvl1
    mask: bool = True  # flow counts where there is a face with texture (see ``face_mask``)
    reach: int = 1  # frames on either side that are averaged into onset, apex and offset
    compensation: str = "rigid"  # head motion: none, median, similarity, rigid
    apex: str = "auto"  # auto, or manifest (the annotated or true apex)
    rule: str = "mean"  # of both views' motion curves: mean, max, product
    smoothing: float = 1.5  # frames, of the motion curve
    near: float = 0.95  # the apex is the first frame that reaches this share of the curve's peak
    detrend: bool = True  # the motion curve without the drift that is left at offset
    phases: int = 2  # onset-apex and apex-offset, or onset-apex alone
    # the map beside u and v: magnitude (px, as the paper), strain (optical strain, as STSTNet)
    third: str = "magnitude"
    normalisation: str = "none"  # of the maps: none (px), minmax per map, robust per clip
    size: int = 20  # px, side of the maps the network sees

    def __post_init__(self):
        backends = tuple(BACKENDS)
        check_choices(
            self,
            backend=backends,
            compensation=COMPENSATIONS,
            apex=("auto", "manifest"),
            rule=tuple(RULES),
            phases=(1, 2),
            third=tuple(THIRDS),
            normalisation=NORMALISATIONS,
        )
        if not (
            self.crop >= 32
            and 8 <= self.size <= self.crop
            and self.enlarge > 0
            and self.reach >= 0
            and self.smoothing >= 0
            and 0 < self.near <= 1
        ):
            raise MerError(
                "crop must be at least 32 px, size 8 px to crop, enlarge above 0, reach and "
                "smoothing at least 0, near above 0 and at most 1"
            )


@dataclass(frozen=True)
class Features:
    """What learning needs: x (N, V, P, 3, S, S) float32, y (N, L) uint8, and per clip its name,
    subject, apex and boxes (V, 4).
    """

    x: np.ndarray
    y: np.ndarray
    clips: np.ndarray
    subjects: np.ndarray
    apex: np.ndarray
    boxes: np.ndarray
    labels: tuple[str, ...]
    exclusive: bool = False  # exactly one label a clip
    channels: tuple[str, ...] | None = None  # of ready-made flow images; None: measured in px here

    @cached_property
    def key(self):
        """A hash of all that learning sees: equal features have equal keys, whatever made them."""
        arrays = {"x": self.x, "y": self.y, "clips": self.clips, "subjects": self.subjects}
        return digest_arrays(arrays, f"exclusive {self.exclusive}")


def normalise(maps, method="none"):
    """Scale the maps (V, P, 3, H, W) of one clip: none keeps px; minmax brings u, v to [-1, 1] and
    the third map to [0, 1], each map by its own extremes; robust divides the whole clip by the 99th
    percentile of its magnitude sqrt(u^2 + v^2).
    """
    if method == "none":
        return maps
    if method == "robust":
        return maps / max(float(np.percentile(magnitude(maps), 99)), 1e-6)
    if method != "minmax":
        raise MerError(
            f"normalisation {method!r} is unknown; choose one of {', '.join(NORMALISATIONS)}"
        )
    low, high = maps.min((-1, -2), keepdims=True), maps.max((-1, -2), keepdims=True)
    unit = (maps - low) / np.maximum(high - low, 1e-6)
    unit[:, :, :2] = 2 * unit[:, :, :2] - 1
    return unit


def flow_maps(frames, onset, apex, offset, options=FrontEnd(), masks=None):
    """Return the maps (V, P, 3, S, S) float32 of one clip's crops (V, T, H, W): u, v, magnitude in
    px of the crop for each phase, 0 outside ``masks`` (V, H, W; if None, those of ``masks_of``).
    The third map (magnitude or strain) is taken before the maps are made smaller.
    """
    masks = masks_of(frames, options) if masks is None else masks
    return _make_maps(_follow_phases(frames, onset, apex, offset, options, masks), options, masks)


def _follow_phases(frames, onset, apex, offset, options, masks):
    """Return the flow (V, P, 2, H, W) of each view and phase."""
    given = (onset, apex, offset, options.backend, options.compensation, options.phases)
    return np.stack(
        [
            phase_flow(view, *given, mask, options.reach)
            for view, mask in zip(frames, masks, strict=True)
        ]
    )


def _make_maps(flow, options, masks):
    """Return the maps (V, P, 3, S, S) of a flow (V, P, 2, H, W)."""
    third = THIRDS[options.third](flow)[:, :, None]
    maps = np.concatenate([flow, third], 2) * masks[:, None, None]
    return _shrink(normalise(maps, options.normalisation), options.size)


def masks_of(crops, options=FrontEnd()):
    """Return where flow counts in crops (V, T, H, W): a bool mask (V, H, W)."""
    return face_mask(crops) if options.mask else np.ones((len(crops), *crops.shape[2:]), bool)


def _shrink(maps, size):
    """Bring maps (V, P, 3, H, W) to (V, P, 3, size, size)."""
    flat = maps.reshape(-1, *maps.shape[-2:])
    mode = cv2.INTER_AREA if min(maps.shape[-2:]) >= size else cv2.INTER_LINEAR
    return np.stack(
        [cv2.resize(plane, (size, size), interpolation=mode) for plane in flat]
    ).reshape(*maps.shape[:3], size, size)


def extract_clip(clip, views, options=FrontEnd(), frames=None):
    """Run the whole front end on one Clip; return its maps (V, P, 3, S, S), apex, motion curve (V,
    T) px and boxes (V, 4). ``frames`` (V, T, H, W) stand in for those on disk. Raises MerError
    where ``options`` ask for an annotated apex and there is none.
    """
    return next(_extract_variants(clip, [options], _crop_variants(clip, views, [options], frames)))


def measure_crops(crops, onset, offset, options=FrontEnd()):
    """Return maps (V, P, 3, S, S), the apex found, and the motion curve (V, T) px of crops (V, T,
    H, W).
    """
    flows, masks = onset_flows(crops, onset), masks_of(crops, options)
    curve = curve_of_flows(flows, onset, offset, options.compensation, options.detrend, masks)
    apex = find_apex(curve, onset, offset, options.rule, options.smoothing, options.near)
    return flow_maps(crops, onset, apex, offset, options, masks), apex, curve


def _crop_variants(clip, views, variants, raw=None):
    """Return {(crop, enlarge): (crops, boxes)} of a clip for all of ``variants``."""
    places = list(dict.fromkeys((options.crop, options.enlarge) for options in variants))
    return dict(zip(places, crop_places(clip, views, places, raw), strict=True))


def _extract_variants(clip, variants, crops):
    """Yield what ``extract_clip`` returns for each FrontEnd in ``variants`` from the ``crops`` of
    ``_crop_variants``; what they share is computed once.
    """
    flows, curves, phases, believed = {}, {}, {}, {}
    for options in variants:
        kind = (options.crop, options.enlarge)
        frames, boxes = crops[kind]
        if kind not in flows:
            flows[kind] = onset_flows(frames, clip.onset)
        if (*kind, options.mask) not in believed:
            believed[*kind, options.mask] = masks_of(frames, options)
        masks = believed[*kind, options.mask]
        seen = (*kind, options.mask, options.compensation, options.detrend)
        if seen not in curves:
            curves[seen] = curve_of_flows(flows[kind], clip.onset, clip.offset, *seen[3:], masks)
        curve = curves[seen]
        if options.apex == "auto":
            apex = find_apex(
                curve, clip.onset, clip.offset, options.rule, options.smoothing, options.near
            )
        elif clip.apex is not None:
            apex = clip.apex
        else:
            raise MerError(f"clip {clip.name}", "the manifest gives no apex; use apex='auto'")
        followed = (*kind, options.mask, options.backend, options.compensation, options.phases)
        followed += (options.reach, apex)
        if followed not in phases:
            keys = (clip.onset, apex, clip.offset)
            phases[followed] = _follow_phases(frames, *keys, options, masks)
        yield _make_maps(phases[followed], options, masks), apex, curve, np.array(boxes)


def read_flow_images(clip, channels, options=FrontEnd()):
    """Return the maps (1, P, 3, S, S) float32 of a clip of ready-made flow images, one PNG per
    phase.

    ``channels`` says what red, green and blue hold: u, v, and magnitude or another third map. u and
    v come as (value - 127.5) / 127.5, the third as value / 255: how many px that is, only who made
    the pictures knows.
    """
    order = [channels.index("u"), channels.index("v")]
    order += [k for k in range(3) if k not in order]
    maps = []
    for path in clip.frames[: options.phases]:
        planes = read_image(path, colour=True).astype(np.float32).transpose(2, 0, 1)[order]
        maps.append(np.stack([planes[0] / 127.5 - 1, planes[1] / 127.5 - 1, planes[2] / 255]))
        if maps[-1].shape != maps[0].shape:
            raise MerError(path, "another size than the clip's first flow image; all must be alike")
    maps = normalise(np.stack(maps)[None], options.normalisation)
    return _shrink(maps, options.size)


def _extract_part(clips, views, channels, variants):
    """Return for some clips a list of records (maps, apex, boxes), one per variant: the work of one
    job.
    """
    if channels:
        return [
            [(read_flow_images(clip, channels, options), -1, 0) for options in variants]
            for clip in clips
        ]
    with ThreadPoolExecutor(1) as ahead:  # the next clip is decoded while this one's flow is found
        crops = (ahead.submit(_crop_variants, clip, views, variants) for clip in clips)
        coming, records = next(crops), []
        for clip in clips:
            here, coming = coming.result(), next(crops, None)
            found = _extract_variants(clip, variants, here)
            records.append([(maps, apex, boxes) for maps, apex, _, boxes in found])
    return records


def _describe_record(dataset, options):
    """Return the dtype of one clip's record; MerError for options that a set of flow images cannot
    follow.
    """
    phases = options.phases
    if dataset.channels:
        free = {"phases", "normalisation", "size"}
        for name, default in asdict(FrontEnd()).items():
            if name not in free and getattr(options, name) != default:
                raise MerError(
                    f"{dataset.name} holds flow images and no frames: {name} cannot be chosen "
                    "any more"
                )
        phases = min(phases, *(len(clip.names) for clip in dataset.clips))
    shape = (dataset.views, phases, 3, options.size, options.size)
    boxes = ("boxes", "<i8", (dataset.views, 4))
    return np.dtype([("x", "<f4", shape), ("apex", "<i8"), boxes, ("check", "<u8")])


def extract_records(dataset, variants, cache=None, jobs=1):
    """Return (key, records) for each FrontEnd in ``variants``: records (N,) with the fields x, apex
    and boxes, mapped from a file in the folder ``cache``, where this data, front end and code were
    seen before.

    For what is missing, frames are read, cropped and followed once for all variants. Finished clips
    are kept at once: an extraction that was stopped goes on where it was.
    """
    code = code_of("method.features")
    keys = [key_of(dataset.fingerprint, asdict(options), code) for options in variants]
    dtypes = [_describe_record(dataset, options) for options in variants]
    if cache is None:
        pairs = zip(dtypes, keys, strict=True)
        stores = [Growing(None, dtype, key, len(dataset)) for dtype, key in pairs]
        return list(zip(keys, _make_records(dataset, variants, stores, jobs), strict=True))
    paths = [cache / f"features-{key}.npy" for key in keys]
    given = list(zip(paths, dtypes, keys, strict=True))
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # two notebooks at once: the second reads what the first made
        with FileLock(cache / ".features.lock"):
            opened = [open_records(path, dtype, len(dataset), key) for path, dtype, key in given]
            missing = [k for k, records in enumerate(opened) if records is None]
            if missing:
                stores = [Growing(*given[k], len(dataset)) for k in missing]
                made = _make_records(dataset, [variants[k] for k in missing], stores, jobs)
                for k, records in zip(missing, made, strict=True):
                    opened[k] = records
    except OSError as error:
        what = f"cannot be written ({error.strerror or error}); what is done is kept"
        raise MerError(cache, what) from None
    return list(zip(keys, opened, strict=True))


def _make_records(dataset, variants, stores, jobs):
    """Extract what the stores, one per variant, lack; return all their records."""
    first = min(store.rows for store in stores)
    for store in stores:
        store.start(first)
    size = ALONE if jobs == 1 else SHARED
    parts = [dataset.clips[start : start + size] for start in range(first, len(dataset), size)]
    work = [(part, dataset.views, dataset.channels, variants) for part in parts]
    for done in stream_jobs(_extract_part, work, jobs):
        for store, records in zip(stores, zip(*done, strict=True), strict=True):
            store.append(records)
    return [store.finish() for store in stores]


def extract_variants(dataset, variants, cache=None, jobs=1):
    """Return the Features of a Dataset for each FrontEnd in ``variants`` (see
    ``extract_records``).
    """
    common = {
        "y": dataset.label_matrix(),
        "clips": np.array([clip.name for clip in dataset.clips]),
        "subjects": np.array([clip.subject for clip in dataset.clips]),
        "labels": dataset.labels,
        "exclusive": dataset.exclusive,
        "channels": None if dataset.channels is None else tuple(dataset.channels),
    }
    found = extract_records(dataset, variants, cache, jobs)
    fields = ("x", "apex", "boxes")
    return [
        Features(**common, **{name: np.asarray(rows[name]) for name in fields}) for _, rows in found
    ]


def extract(dataset, options=FrontEnd(), cache=None, jobs=1):
    """Return the Features of a Dataset with one front end (see ``extract_variants``)."""
    return extract_variants(dataset, [options], cache, jobs)[0]
