"""What happens in a synthetic clip: which action units (AUs) move, when, how far, and everything
else that disturbs the picture. The levels come from the Preset (scenario.py).
"""

import functools
from dataclasses import MISSING, dataclass, fields, replace

from faces4d.head import AUS, STEADY, make_face
from faces4d.scenario import get_preset
from faces4d.truth import read_npz
from mer_utils import MerError

import numpy as np


@dataclass(frozen=True, eq=False)
class Motion:
    """One clip's ground truth, T frames: AU weights per side, rigid head motion, exposure, noise,
    key frames; and, where the preset has them, what else differs between people and clips.
    """

    face_seed: int
    # (T, A, 2) float32; AU order of faces.AUS, sides x < 0 and x > 0; blinks included
    weights: np.ndarray
    rotation: np.ndarray  # (T, 3) float32 rad, rotation vector about the neck's top
    translation: np.ndarray  # (T, 3) float32 units
    gain: np.ndarray  # (T,) float32 relative exposure
    noise_seed: int
    noise_sigma: float  # grey levels
    onset: int  # first frame of the expression
    apex: int  # frame where its motion, blinks apart, is largest
    offset: int  # last frame of the expression
    fps: int
    aus: tuple
    # what a preset may leave out; px are those of a view 224 px high
    coded: tuple = ()  # AUs that the coder wrote down, where these are not those that move
    marked: tuple = ()  # onset and offset as annotated, where these are not the true ones
    variation: tuple = STEADY  # how far this person's AU fields differ; see ``make_face``
    furrows: tuple = (0.0, 0.0)  # depth and its spread; see ``shade_furrows``
    key: np.ndarray | None = None  # (T,) float32 relative strength of the key light
    background: float = 0.0  # grey levels, sd of what stands behind; 0: plain
    blur: tuple = ()  # (V,) px, sd of each view's blur
    jpeg: tuple = ()  # (V,) JPEG quality of each view
    degraded: int = -1  # number of the view that is covered or out of focus; -1: none
    cover_seed: int = 0  # what stands before that view; 0: nothing
    cover_drift: tuple = ()  # px a frame, x and y: how it moves

    def arrays(self):
        """Return everything as a dict of arrays, ready for ``truth.write_npz``, without what the
        preset leaves out.
        """
        values = {field: getattr(self, field.name) for field in fields(self)}
        return {
            field.name: np.asarray(value)
            for field, value in values.items()
            if not _is_left_out(value, field.default)
        }

    @classmethod
    def load(cls, arrays):
        """Return the Motion of a dict that ``arrays`` made; raise MerError naming what is
        missing.
        """
        names = [field.name for field in fields(cls)]
        needed = [field.name for field in fields(cls) if field.default is MISSING]
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise MerError(f"the motion lacks {', '.join(missing)}; write the data set again")
        values = {name: np.asarray(arrays[name]) for name in names if name in arrays}
        whole = ("weights", "rotation", "translation", "gain", "key")
        values = {
            name: value if name in whole else value.tolist() for name, value in values.items()
        }
        return cls(
            **{n: tuple(value) if isinstance(value, list) else value for n, value in values.items()}
        )


def read_truth(dataset, clip):
    """Return the Motion that made a Clip of a synthetic Dataset: AU curves, head motion and all
    that the true flow follows from. Raises MerError for other sets.
    """
    if not dataset.synthetic:
        raise MerError(dataset.root, "true motion is known for synthetic clips only")
    return Motion.load(read_npz(dataset.root / "truth" / f"{clip.name}.npz"))


def _is_left_out(value, default):
    return type(value) is type(default) and value == default


@functools.lru_cache(maxsize=64)
def _style(face_seed, levels):
    """Return a subject's (log gains (A,), imbalances (A,), habit AUs' indices (2,), intensity
    shift, pose (3,) rad).
    """
    rng = np.random.default_rng([face_seed, 11])
    return (
        levels.subject_gain * rng.standard_normal(len(AUS)),
        levels.subject_side * rng.standard_normal(len(AUS)),
        rng.choice(len(AUS) - 1, 2, replace=False),  # any but the blink
        rng.uniform(-levels.intensity, levels.intensity),
        np.deg2rad(levels.pose_deg) * np.clip(rng.standard_normal(3), -2, 2),
    )


def simulate(plan):
    """Return the Motion of a Plan: AU time courses scaled to a drawn size in px, head motion,
    blinks, exposure, and what else its preset has.
    """
    levels = get_preset(plan.preset)
    rng = np.random.default_rng([plan.clip_seed, 13])
    length = int(rng.integers(levels.length[0], levels.length[1] + 1))
    onset, after = (int(n) for n in rng.integers(levels.margin[0], levels.margin[1] + 1, 2))
    offset = onset + length - 1
    frames = offset + after + 1
    expression = _scale(rng, _expression(rng, plan, levels, frames, onset, offset), plan, levels)
    weights = expression.copy()
    weights[:, AUS.index(45)] += _blink(rng, levels, frames)[:, None]
    tails = _tails(plan.clip_seed, levels)
    rotation, translation = _head(rng, levels, frames, _style(plan.face_seed, levels)[4], tails)
    size = _sizes(expression, plan.face_seed, levels.variation, np.mean)
    apex = onset + 1 + int(np.argmax(size[onset + 1 : offset]))
    quality = _quality(plan.clip_seed, levels, frames)
    flicker = 1 + levels.flicker * rng.standard_normal(frames)
    return Motion(
        face_seed=plan.face_seed,
        weights=weights.astype(np.float32),
        rotation=rotation.astype(np.float32),
        translation=translation.astype(np.float32),
        gain=(flicker * quality.pop("exposure")).astype(np.float32),
        noise_seed=int(rng.integers(2**31)),
        noise_sigma=_spread_log(rng.uniform(*levels.noise), levels),
        onset=onset,
        apex=apex,
        offset=offset,
        fps=levels.fps,
        aus=tuple(plan.aus),
        coded=() if plan.coded is None else tuple(plan.coded),
        marked=_mark(plan.clip_seed, levels, onset, apex, offset, frames),
        variation=levels.variation,
        furrows=levels.furrows,
        background=levels.background,
        **quality,
    )


def _spread_log(noise, levels):
    """Return a draw from the range of noise, as it is or moved to where a log-even draw lies."""
    low, high = levels.noise
    return float(
        low * (high / low) ** ((noise - low) / (high - low)) if levels.noise_log else noise
    )


def _mark(clip_seed, levels, onset, apex, offset, frames):
    """Return onset and offset as an annotator marks them, with the apex strictly between; ()
    without any error.
    """
    if not levels.mark_error:
        return ()
    most = levels.mark_error
    early, late = np.random.default_rng([clip_seed, 23]).integers(-most, most + 1, 2)
    marked = min(onset + early, apex - 1), max(offset + late, apex + 1)
    return tuple(int(frame) for frame in np.clip(marked, 0, frames - 1))


def _tails(clip_seed, levels):
    """Return six factors that turn normal draws into Student's t: pose, place, and drift and tremor
    of each.
    """
    if not levels.head_tail:
        return np.ones(6)
    chi = np.random.default_rng([clip_seed, 29]).chisquare(levels.head_tail, 6)
    return np.minimum(np.sqrt(levels.head_tail / chi), levels.head_most)


def _quality(clip_seed, levels, frames):
    """Return {"exposure": (frames,)} and the fields of Motion that say how well this clip was
    filmed, as far as the preset has them.
    """
    rng = np.random.default_rng([clip_seed, 31])
    t = np.linspace(0, 1, frames)
    # ramps, half of them falling; swells
    shapes = [(t, 1 - t, np.sin(np.pi * t))[k] for k in rng.integers(3, size=2)]
    change, loss = np.clip(rng.standard_normal(2), -2.5, 2.5)
    found = {"exposure": np.exp(levels.ramp_light * change * shapes[0])}
    if levels.ramp_key:
        found["key"] = np.exp(-levels.ramp_key * abs(loss) * shapes[1]).astype(np.float32)
    blur = rng.uniform(*levels.blur, 2)
    if levels.jpeg:
        low, high = levels.jpeg
        found["jpeg"] = tuple(int(level) for level in rng.integers(low, high + 1, 2))
    if rng.random() < levels.degraded_share:
        found["degraded"] = view = int(rng.integers(2))
        if rng.random() < 0.5:
            blur[view] = rng.uniform(*levels.defocus)
        else:
            drift = levels.cover_speed / levels.fps * rng.standard_normal(2)
            found["cover_seed"] = int(rng.integers(1, 2**31))
            found["cover_drift"] = tuple(drift.tolist())
    return found | ({"blur": tuple(blur.tolist())} if levels.blur[1] else {})


HOLD_LOSS = 0.05  # share of its height that a held peak loses while it is held
ONE_SIDED = 0.9  # imbalance of a movement of one side: the other side does a twentieth


def _smooth(t):
    """Rise from 0 to 1 with zero speed and acceleration at both ends (minimum-jerk)."""
    t = np.clip(t, 0, 1)
    return t**3 * (10 - 15 * t + 6 * t**2)


def _expression(rng, plan, levels, frames, onset, offset):
    """Return the weights (frames, A, 2) of the labelled and habit AUs, their sizes relative to one
    another only.
    """
    gain, side, habits, _, _ = _style(plan.face_seed, levels)
    level = {AUS.index(au): 1.0 for au in plan.aus if au in AUS and au != 45}
    if not level:
        raise MerError(
            f"{plan.clip} names no AU that moves; name at least one of "
            f"{', '.join(map(str, AUS[:-1]))}"
        )
    if rng.random() < levels.habit_share:
        level |= {int(a): rng.uniform(*levels.habit_level) for a in habits if int(a) not in level}
    length, n, t = offset - onset, len(level), np.arange(frames)
    starts, ends = levels.au_delay * length * rng.random((2, n))
    extra = np.random.default_rng([plan.clip_seed, 37])
    share = rng.uniform(*levels.rise)
    if levels.apex_share:
        share = _draw_share(extra, *levels.apex_share)
    rise = length * (share + levels.au_apex * rng.uniform(-1, 1, n))
    rise = np.clip(rise, 2, length - 2)  # frames
    # onset and offset are the first and the last AU's
    starts[np.argmin(starts)] = ends[np.argmin(ends)] = 0
    starts, ends = np.minimum(starts, rise / 2), np.minimum(ends, (length - rise) / 2)
    hold, again = _draw_shape_of_course(extra, levels, length)
    lonely = extra.choice([-1, 1]) if plan.reason == "one-sided" else 0
    weights = np.zeros((frames, len(AUS), 2))
    for (a, height), start, end, top in zip(
        level.items(), onset + starts, offset - ends, onset + rise, strict=True
    ):
        rest = rng.uniform(*levels.residue)
        held = min(hold, (end - top) / 2)  # frames
        fall = end - top - held
        course = np.where(
            t < top,
            _smooth((t - start) / (top - start)),
            rest + (1 - rest) * _smooth((end - t) / fall),
        )
        if held:  # nobody holds quite still: the peak stays the peak
            course *= 1 - HOLD_LOSS * np.clip((t - top) / held, 0, 1)
        if again and fall > 7:
            place, much = again
            course += much * _smooth(1 - np.abs(t - (end - place * fall)) / (0.2 * fall))
        tilt = np.clip(side[a] + levels.clip_side * rng.standard_normal(), -0.5, 0.5)
        height *= np.exp(gain[a] + levels.clip_gain * rng.standard_normal())
        tilt = ONE_SIDED * lonely if lonely else tilt
        weights[:, a] = height * course[:, None] * np.array([1 - tilt, 1 + tilt])
    return weights


def _draw_share(rng, mean, sd):
    """Draw from the Beta distribution of a ``mean`` and ``sd``."""
    both = mean * (1 - mean) / sd**2 - 1
    return rng.beta(mean * both, (1 - mean) * both)


def _draw_shape_of_course(rng, levels, length):
    """Return for how many frames a clip's peak is held, and (place, height) of its second peak, or
    () if it has none; the place is the share of the way down that is still to go.
    """
    held, twice = rng.random(2) < (levels.hold_share, levels.second_share)
    hold = rng.uniform(*levels.hold) * length
    again = rng.uniform(0.25, 0.4), rng.uniform(*levels.second)
    return hold * held, again if twice else ()


def _sizes(weights, face_seed, variation, summary):
    """Return ``summary`` over the front of the face of the AU motion's length (units), per frame
    (T,).
    """
    face = make_face(face_seed, variation)
    moved = np.einsum(
        "tas,asmk->tmk", weights, face.fields[:, :, face.front][:, :, ::5], optimize=True
    )
    return summary(np.linalg.norm(moved, axis=-1), axis=-1)


def true_motion(motion):
    """Return how far the skin of the face is moved by the expression alone (T,), in units: the
    curve whose peak is the apex.

    The mean length of displacement over the face's front; blinks (AU45) and head motion do not
    count.
    """
    weights = motion.weights.copy()
    weights[:, AUS.index(45)] = 0
    return _sizes(weights, motion.face_seed, motion.variation, np.mean)


def scale_head(motion, factor, frame=0):
    """Return a Motion whose head moves ``factor`` times as far from its pose at ``frame``: with 0
    it keeps that pose, and the expression alone is left.
    """
    turned, moved = (
        course[[frame]] + np.float32(factor) * (course - course[[frame]])
        for course in (motion.rotation, motion.translation)
    )
    return replace(motion, rotation=turned, translation=moved)


def _scale(rng, weights, plan, levels):
    """Scale weights so that the 99th percentile of motion at the peak is drawn from ``motion_px``,
    of a weak expression from the lowest third of it.
    """
    place = rng.random() + _style(plan.face_seed, levels)[3]
    # folded back into 0..1: a subject's share of small and large motion differs
    place = 1 - abs(1 - abs(place))
    place = place / 3 if plan.reason == "weak" else place
    low, high = np.log(levels.motion_px)
    wanted = np.exp(low + place * (high - low)) * levels.crop_units / levels.crop_px
    summary = functools.partial(np.percentile, q=99)
    size = _sizes(weights, plan.face_seed, levels.variation, summary).max()
    return weights * min(wanted / size, levels.most / weights.max())


def _blink(rng, levels, frames):
    """Return AU45's activation (frames,): a blink at any time, cut by the clip's ends, or none."""
    happens = rng.random() < levels.blink_share
    length = rng.integers(*levels.blink)
    depth = rng.uniform(*levels.blink_depth)
    top = rng.uniform(-0.3 * length, frames + 0.3 * length)
    t = np.arange(frames) - top
    closing, opening = 0.35 * length, 0.65 * length  # lids fall about twice as fast as they rise
    return happens * depth * np.where(t < 0, _smooth(1 + t / closing), _smooth(1 - t / opening))


def _head(rng, levels, frames, pose, tails):
    """Return rotation (frames, 3) rad and translation (frames, 3) units: pose, place, slow drift,
    tremor, each drawn normally times its factor of ``tails`` (6,).
    """
    t = (np.arange(frames) / levels.fps)[:, None]

    def wander(drift, tremor):
        hz, phase = rng.uniform(*levels.tremor_hz, 3), rng.uniform(0, 2 * np.pi, 3)
        # no drift is quite straight
        bend = 1 + 0.5 * rng.standard_normal(3) * np.sin(np.pi * t / t[-1])
        return drift * rng.standard_normal(3) * t * bend + tremor * np.sqrt(2) * np.sin(
            2 * np.pi * hz * t + phase
        )

    rotation = pose + tails[0] * np.deg2rad(levels.clip_pose_deg) * rng.standard_normal(3)
    turning = wander(tails[2] * levels.drift_deg, tails[3] * levels.tremor_deg)
    place = tails[1] * levels.place * rng.standard_normal(3)
    # the face stays in the picture
    place = np.clip(place, -6 * levels.place, 6 * levels.place)
    swaying = wander(tails[4] * levels.drift, tails[5] * levels.tremor)
    return rotation + np.deg2rad(1) * turning, place + swaying
