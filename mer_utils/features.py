"""Clips to one array for learning: crop, apex and phase flow of every clip, computed in parallel
and kept clip by clip.
"""

import functools
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from mer_utils import MerError, checked
from mer_utils.apex import RULES, curve_of_flows, find_apex, joint_curve, onset_flows
from mer_utils.cache import key_of, name_result
from mer_utils.dataset import Clip, encode_png, hash_frames, read_image
from mer_utils.files import digest_arrays, recall, take_turns, write_arrays
from mer_utils.flow import BACKENDS, COMPENSATIONS, compensate, magnitude, phase_flow, strain
from mer_utils.jobs import stream_jobs
from mer_utils.preprocessing import crop_places, face_mask, find_box

import cv2
import numpy as np
from annotated_types import Ge, Gt, Le

THIRDS = {"magnitude": magnitude, "strain": strain}


@checked
class FrontEnd:
    """Every choice between frames and features; notebooks 01-03 measure what each one does."""

    crop: Annotated[int, Ge(32)] = 128  # px, side of the face crop in which motion is measured
    enlarge: Annotated[float, Gt(0)] = 1.0  # of the crop box about its centre
    backend: Literal[tuple(BACKENDS)] = "dis"  # flow of the phases
    mask: bool = True  # flow counts where there is a face with texture (see ``face_mask``)
    # frames on either side that are averaged into onset, apex and offset
    reach: Annotated[int, Ge(0)] = 1
    compensation: Literal[COMPENSATIONS] = "rigid"  # of head motion
    apex: Literal["auto", "manifest"] = "auto"  # manifest: the annotated or true apex
    rule: Literal[tuple(RULES)] = "mean"  # joins both views' motion curves
    smoothing: Annotated[float, Ge(0)] = 1.5  # frames, of the motion curve
    # the apex is the first frame that reaches this share of the curve's peak
    near: Annotated[float, Gt(0), Le(1)] = 0.95
    detrend: bool = True  # the motion curve without the drift that is left at offset
    phases: Literal[1, 2] = 2  # onset-apex and apex-offset, or onset-apex alone
    # the map beside u and v: magnitude (px, as the paper), strain (optical strain, as STSTNet)
    third: Literal[tuple(THIRDS)] = "magnitude"
    normalisation: Literal["none", "minmax"] = "none"  # of the maps: px, or each by its extremes
    size: Annotated[int, Ge(8)] = 20  # px, side of the maps the network sees


@dataclass(frozen=True)
class Features:
    """Of N clips: maps (N, V, P, 3, S, S) float32, labels (N, L) uint8, and what names them."""

    x: np.ndarray
    y: np.ndarray
    clips: np.ndarray
    subjects: np.ndarray
    apex: np.ndarray
    boxes: np.ndarray  # (N, V, 4)
    labels: tuple[str, ...]
    exclusive: bool = False  # exactly one label a clip
    channels: tuple[str, ...] | None = None  # of ready-made flow images; None: measured in px here
    onsets: list[str] | None = None  # of each clip the hash of its onset frame; None: not known

    @functools.cached_property
    def key(self):
        """A hash of all that learning sees: equal features have equal keys, whatever made them."""
        arrays = {"x": self.x, "y": self.y, "clips": self.clips, "subjects": self.subjects}
        return digest_arrays(arrays, f"exclusive {self.exclusive}")


def normalise(maps, method="none"):
    """Scale the maps (V, P, 3, H, W) of one clip: none keeps px; minmax brings u, v to [-1, 1] and
    the third map to [0, 1], each map by its own extremes.
    """
    if method == "none":
        return maps
    low, high = maps.min((-1, -2), keepdims=True), maps.max((-1, -2), keepdims=True)
    unit = (maps - low) / np.maximum(high - low, 1e-6)
    unit[:, :, :2] = 2 * unit[:, :, :2] - 1
    return unit


def masks_of(crops, options=FrontEnd()):
    """Return where flow counts in crops (V, T, H, W): a bool mask (V, H, W)."""
    return face_mask(crops) if options.mask else np.ones((len(crops), *crops.shape[2:]), bool)


def _shrink(maps, size):
    """Bring maps (V, P, 3, H, W) to (V, P, 3, size, size)."""
    flat = maps.reshape(-1, *maps.shape[-2:])
    mode = cv2.INTER_AREA if min(maps.shape[-2:]) >= size else cv2.INTER_LINEAR
    planes = [cv2.resize(plane, (size, size), interpolation=mode) for plane in flat]
    return np.stack(planes).reshape(*maps.shape[:3], size, size)


def extract_clip(clip, views, options=FrontEnd(), frames=None):
    """Return what the whole front end makes of a Clip: maps (V, P, 3, S, S), apex, motion curve
    (V, T) px and boxes (V, 4). ``frames`` (V, T, H, W) stand in for those on disk. MerError where
    ``options`` ask for an annotated apex and there is none.
    """
    place = options.crop, options.enlarge
    crops = {place: crop_places(clip, views, [place], frames)[0]}
    return next(measure_variants(clip, [options], crops))


def measure_crops(crops, onset, offset, options=FrontEnd()):
    """Return maps, apex and motion curve (see extract_clip) of crops (V, T, H, W)."""
    clip = Clip("", "", None, Path(), (), onset, None, offset)
    crops = {(options.crop, options.enlarge): (crops, ())}
    return next(measure_variants(clip, [options], crops))[:3]


def measure_variants(clip, variants, crops):
    """Yield ``extract_clip`` of each FrontEnd; ``crops`` is {(crop, enlarge): (crops, boxes)}."""
    onset, offset = clip.onset, clip.offset
    find_masks = functools.cache(lambda p, mask: masks_of(crops[p][0], FrontEnd(mask=mask)))
    follow_onset = functools.cache(lambda place: onset_flows(crops[place][0], onset))

    @functools.cache
    def trace_motion(place, mask, *choices):
        masks = find_masks(place, mask)
        return curve_of_flows(follow_onset(place), onset, offset, *choices, masks)

    @functools.cache
    def follow_phases(place, reach, apex, backend, phases):
        keys, views = (onset, apex, offset), crops[place][0]
        return [phase_flow(v, *keys, backend, "none", phases, reach=reach) for v in views]

    @functools.cache
    def settle_phases(place, mask, compensation, *choices):
        pairs = zip(follow_phases(place, *choices), find_masks(place, mask), strict=True)
        return np.stack([[compensate(f, compensation, m) for f in flows] for flows, m in pairs])

    for options in variants:
        where = (options.crop, options.enlarge), options.mask
        curve, apex = trace_motion(*where, options.compensation, options.detrend), clip.apex
        if options.apex == "auto":
            rule = options.rule, options.smoothing, options.near
            apex = find_apex(curve, onset, offset, *rule)
        elif apex is None:
            raise MerError(f"clip {clip.name}", "the manifest gives no apex; use apex='auto'")
        choices = options.compensation, options.reach, apex, options.backend, options.phases
        flow = settle_phases(*where, *choices)
        maps = make_maps(flow, options, find_masks(*where))
        yield maps, apex, curve, np.array(crops[where[0]][1])


def make_maps(flow, options, masks):
    """Return the maps (V, P, 3, S, S) float32 of a flow (V, P, 2, H, W): u, v and the third map in
    px of the crop, 0 outside ``masks`` (V, H, W).
    """
    third = THIRDS[options.third](flow)[:, :, None]
    maps = np.concatenate([flow, third], 2) * masks[:, None, None]
    return _shrink(normalise(maps, options.normalisation), options.size)


def read_flow_images(clip, channels, options=FrontEnd()):
    """Return the maps (1, P, 3, S, S) float32 of a clip of ready-made flow images, one PNG a phase.

    ``channels`` says what red, green and blue hold. u and v are (value - 127.5) / 127.5, less their
    median if ``channels`` end with "centred"; the third is value / 255: px are not known.
    """
    order = [channels.index("u"), channels.index("v")]
    order += [k for k in range(3) if k not in order]
    maps = []
    for path in clip.frames[: options.phases]:
        u, v, third = read_image(path, colour=True).astype(np.float32).transpose(2, 0, 1)[order]
        maps.append(np.stack([u / 127.5 - 1, v / 127.5 - 1, third / 255]))
        if maps[-1].shape != maps[0].shape:
            raise MerError(path, "another size than the clip's first flow image")
    maps = np.stack(maps)[None]
    if "centred" in channels:
        maps[:, :, :2] -= np.median(maps[:, :, :2], (-2, -1), keepdims=True)
    return _shrink(normalise(maps, options.normalisation), options.size)


def _extract_arrays(clip, views, channels, variants):
    """Return for each of ``variants`` the arrays {x, apex, boxes} of a clip: one job."""
    if channels:
        empty = -1, None, np.zeros((views, 4), int)
        results = [(read_flow_images(clip, channels, options), *empty) for options in variants]
    else:
        places = list(dict.fromkeys((options.crop, options.enlarge) for options in variants))
        crops = dict(zip(places, crop_places(clip, views, places), strict=True))
        results = measure_variants(clip, variants, crops)
    return [{"x": x, "apex": np.array(apex), "boxes": boxes} for x, apex, _, boxes in results]


def extract_arrays(dataset, variants, cache=None, jobs=1):
    """Return for each FrontEnd in ``variants`` the arrays x (N, V, P, 3, S, S), apex (N,) and boxes
    (N, V, 4) of a Dataset. A file a clip is kept in the folder ``cache``, so that a run that was
    stopped goes on where it was.
    """
    clips, about, variants = dataset.clips, (dataset.views, dataset.channels), list(variants)
    for options in variants if dataset.channels else ():
        chosen = {name: getattr(options, name) for name in ("phases", "normalisation", "size")}
        if options != FrontEnd(**chosen):
            what = f"holds flow images and no frames: only {', '.join(chosen)} can be chosen"
            raise MerError(dataset.name, what)
    stacks = [{} for _ in variants]
    if cache is None:
        work = [(clip, *about, variants) for clip in clips]
        for n, results in enumerate(stream_jobs(_extract_arrays, work, jobs)):
            for stack, arrays in zip(stacks, results, strict=True):
                _put(stack, n, len(clips), arrays)
        return stacks

    read = [(hash_frames(c.frames), (c.onset, c.apex, c.offset, c.boxes), *about) for c in clips]
    files = [f"{key_of(*parts)}.safetensors" for parts in read]
    with take_turns(cache, "features"):
        steps = [("features", probe_front_end, options, dataset.channels) for options in variants]
        folders = [cache / "features" / name_result(*step, cache=cache) for step in steps]
        todo = {}  # clip: variants that no file holds
        for (n, file), k in product(enumerate(files), range(len(variants))):
            arrays = recall(folders[k] / file)
            if arrays is None:
                todo.setdefault(n, []).append(k)
            else:
                _put(stacks[k], n, len(clips), arrays)
        work = [(clips[n], *about, [variants[k] for k in missing]) for n, missing in todo.items()]
        results = stream_jobs(_extract_arrays, work, jobs)
        for (n, missing), made in zip(todo.items(), results, strict=True):
            for k, arrays in zip(missing, made, strict=True):
                write_arrays(folders[k] / files[n], arrays)
                _put(stacks[k], n, len(clips), arrays)
    return stacks


def _put(stack, n, count, arrays):
    """Put the arrays of clip ``n`` of ``count`` into ``stack`` {name: (count, ...)}."""
    for name, array in arrays.items():
        if name not in stack:
            stack[name] = np.empty((count, *array.shape), array.dtype)
        stack[name][n] = array


def extract_variants(dataset, variants, cache=None, jobs=1):
    """Return the Features of a Dataset for each FrontEnd in ``variants`` (see extract_arrays)."""
    about = {
        "y": dataset.label_matrix(),
        "clips": np.array([clip.name for clip in dataset.clips]),
        "subjects": np.array([clip.subject for clip in dataset.clips]),
        "labels": dataset.labels,
        "exclusive": dataset.exclusive,
        "channels": dataset.channels and tuple(dataset.channels),
        "onsets": [hash_frames([clip.frames[clip.onset]]) for clip in dataset.clips],
    }
    return [Features(**about, **row) for row in extract_arrays(dataset, variants, cache, jobs)]


def extract(dataset, options=FrontEnd(), cache=None, jobs=1):
    """Return the Features of a Dataset with one front end (see ``extract_variants``)."""
    return extract_variants(dataset, [options], cache, jobs)[0]


def probe_front_end(options, channels=None):
    """The probe of cached features: by name what the front end makes of films and curves drawn
    here. It sees plain and patterned backgrounds, PNGs and larger JPEGs with boxes, necks of many
    widths.
    """
    rng, arrays = np.random.default_rng(0), {}
    with tempfile.TemporaryDirectory() as folder:
        if channels:
            path = Path(folder, "flow.png")
            path.write_bytes(encode_png(rng.integers(256, size=(40, 44, 3)).astype(np.uint8)))
            clip = Clip("", "", None, path.parent, (path.name,), 0, None, 0)
            return {"maps": read_flow_images(clip, channels, options)}
        for kind, side in ((".png", 144), (".jpg", 288)):
            names = tuple(f"{t}{kind}" for t in range(7))
            for t, name in enumerate(names):
                views = [_draw_head(side, sign * t / 6, 0.4) for sign in (1, -1)]
                encoded = cv2.imencode(kind, np.concatenate(views, 1))[1]
                Path(folder, name).write_bytes(encoded.tobytes())
            box = None if kind == ".png" else ((8, 12, side - 20, side - 16),) * 2
            clip = Clip("", "", None, Path(folder), names, 0, 3, 6, None, box)
            values = extract_clip(clip, 2, options)
            arrays |= {f"{name}{kind}": value for name, value in zip("xact", values, strict=True)}
    necks = [_draw_head(64, 0, width) for width in np.arange(0, 0.9, 0.02)]
    necks += [_draw_head(64, 0, 0, tall) for tall in np.arange(0.3, 0.5, 0.02)]
    necks += [_draw_head(520, 0, 0.4), rng.integers(256, size=(64, 48)).astype(np.uint8)]
    arrays["boxes"] = np.array([find_box(picture, options.enlarge) for picture in necks])
    curves = np.abs(rng.standard_normal((50, 2, 20)).cumsum(-1))
    rule = options.rule, options.smoothing
    arrays["joint"] = np.array([joint_curve(curve, *rule) for curve in curves])
    arrays["apexes"] = np.array([find_apex(curve, 2, 18, *rule, options.near) for curve in curves])
    return arrays


def _draw_head(side, moved, neck, tall=0.36):
    """Return a picture (side, side) uint8 of a textured oval with a smile of size ``moved`` and a
    small turn, on a ``neck`` as wide as that share of it.
    """
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    smile = 0.02 * moved * np.exp(-(((x - 0.4) / 0.1) ** 2) - ((y - 0.6) / 0.1) ** 2)
    u, v = x - smile - 0.004 * moved, y + smile
    waves = [
        np.sin(k * (u + 0.3 * v) + k) * np.cos(0.7 * k * v) / k**0.5 for k in (20, 47, 90, 170)
    ]
    skin = 130 + 60 * np.sum(waves, 0) * np.clip(1.4 - v, 0, 1) * np.clip(0.2 + x, 0, 1)
    head = ((x - 0.5) / 0.3) ** 2 + ((y - 0.5) / tall) ** 2 < 1
    head |= (np.abs(x - 0.5) < 0.3 * neck) & (y > 0.5) & (y < 0.95)
    return np.where(head, np.clip(skin, 60, 255), 20).astype(np.uint8)
