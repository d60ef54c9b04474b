"""What happens in a synthetic clip: which action units (AUs) move, when and how far, and all that
disturbs the picture. The levels come from the Preset (scenario.py).
"""

import functools
from dataclasses import MISSING, dataclass, fields, replace

from faces4d.head import AUS, STEADY, make_face
from faces4d.scenario import get_preset
from mer_utils import MerError

import numpy as np


@dataclass(frozen=True, eq=False)
class Motion:
    """One clip's ground truth, T frames, and in what else its person and filming differ."""

    face_seed: int
    weights: np.ndarray  # (T, A, 2) float32; A as in AUS, sides x < 0 and x > 0; with blinks
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
        """Return the fields as a dict of arrays, without those that the preset leaves out."""
        values = {field: getattr(self, field.name) for field in fields(self)}
        return {
            field.name: np.asarray(value)
            for field, value in values.items()
            if isinstance(value, np.ndarray) or value != field.default
        }

    @classmethod
    def load(cls, arrays):
        """Return the Motion of a dict that ``arrays`` made; MerError says what is missing."""
        values = {}
        for field in fields(cls):
            if field.name in arrays:
                value = np.asarray(arrays[field.name])
                whole = field.name in ("weights", "rotation", "translation", "gain", "key")
                few = tuple(value.tolist()) if value.ndim else value.item()
                values[field.name] = value if whole else few
            elif field.default is MISSING:
                raise MerError(f"the motion lacks {field.name}; write the data set again")
        return cls(**values)


def read_truth(dataset, clip):
    """Return the Motion that made a Clip of a synthetic Dataset. Raises MerError for other sets."""
    if not dataset.synthetic:
        raise MerError(dataset.root, "true motion is known for synthetic clips only")
    return Motion.load(read_npz(dataset.root / "truth" / f"{clip.name}.npz"))


def read_npz(path):
    """Return the arrays of an npz file as a dict; MerError names a file that cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zip, zlib and numpy each raise their own
        raise MerError(path, f"not readable as npz ({error})") from None


@functools.lru_cache(maxsize=64)
def _style(face_seed, levels):
    """Return what a subject keeps in all clips: (log gains (A,), imbalances (A,), indices of the
    habit AUs (2,), shift of intensity, pose (3,) rad).
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
    """Return the Motion of a Plan: all that its preset draws for this clip and its person."""
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
    size = _sizes(expression, plan.face_seed, levels.variation).mean(-1)
    apex = onset + 1 + int(np.argmax(size[onset + 1 : offset]))
    quality = _quality(plan.clip_seed, levels, frames)
    flicker = 1 + levels.flicker * rng.standard_normal(frames)
    noise_seed = int(rng.integers(2**31))
    noise = rng.uniform(*levels.noise)
    if levels.noise_log:
        low, high = levels.noise
        noise = low * (high / low) ** ((noise - low) / (high - low))
    return Motion(
        face_seed=plan.face_seed,
        weights=weights.astype(np.float32),
        rotation=rotation.astype(np.float32),
        translation=translation.astype(np.float32),
        gain=(flicker * quality.pop("exposure")).astype(np.float32),
        noise_seed=noise_seed,
        noise_sigma=float(noise),
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


def _mark(clip_seed, levels, onset, apex, offset, frames):
    """Return onset and offset as an annotator marks them, round the apex; () without error."""
    most = levels.mark_error
    if not most:
        return ()
    early, late = np.random.default_rng([clip_seed, 23]).integers(-most, most + 1, 2)
    marked = min(onset + early, apex - 1), max(offset + late, apex + 1)
    return tuple(int(frame) for frame in np.clip(marked, 0, frames - 1))


def _tails(clip_seed, levels):
    """Return factors (6,) of pose, place, and drift and tremor of each: normal to Student's t."""
    if not levels.head_tail:
        return np.ones(6)
    chi = np.random.default_rng([clip_seed, 29]).chisquare(levels.head_tail, 6)
    return np.minimum(np.sqrt(levels.head_tail / chi), levels.head_most)


def _quality(clip_seed, levels, frames):
    """Return {"exposure": (frames,)} and the fields of Motion that say how it was filmed."""
    rng = np.random.default_rng([clip_seed, 31])
    t = np.linspace(0, 1, frames)
    # ramps, half of them falling; swells
    shapes = [(t, 1 - t, np.sin(np.pi * t))[k] for k in rng.integers(3, size=2)]
    change, loss = np.clip(rng.standard_normal(2), -2.5, 2.5)
    quality = {"exposure": np.exp(levels.ramp_light * change * shapes[0])}
    if levels.ramp_key:
        quality["key"] = np.exp(-levels.ramp_key * abs(loss) * shapes[1]).astype(np.float32)
    blur = rng.uniform(*levels.blur, 2)
    if levels.jpeg:
        low, high = levels.jpeg
        quality["jpeg"] = tuple(rng.integers(low, high + 1, 2).tolist())
    if rng.random() < levels.degraded_share:
        quality["degraded"] = view = int(rng.integers(2))
        if rng.random() < 0.5:
            blur[view] = rng.uniform(*levels.defocus)
        else:
            drift = levels.cover_speed / levels.fps * rng.standard_normal(2)
            quality["cover_seed"] = int(rng.integers(1, 2**31))
            quality["cover_drift"] = tuple(drift.tolist())
    if levels.blur[1]:
        quality["blur"] = tuple(blur.tolist())
    return quality


HOLD_LOSS = 0.05  # share of its height that a held peak loses while it is held
ONE_SIDED = 0.9  # imbalance of a movement of one side: the other side does a twentieth


def _smooth(t):
    """Rise from 0 to 1 with zero speed and acceleration at both ends (minimum-jerk)."""
    t = np.clip(t, 0, 1)
    return t**3 * (10 - 15 * t + 6 * t**2)


def _expression(rng, plan, levels, frames, onset, offset):
    """Return the weights (frames, A, 2) of labelled and habit AUs; ``_scale`` sets their size."""
    gain, side, habits, _, _ = _style(plan.face_seed, levels)
    level = {AUS.index(au): 1.0 for au in plan.aus if au in AUS and au != 45}
    if rng.random() < levels.habit_share:
        level |= {int(a): rng.uniform(*levels.habit_level) for a in habits if int(a) not in level}
    length, n, t = offset - onset, len(level), np.arange(frames)
    starts, ends = levels.au_delay * length * rng.random((2, n))
    extra = np.random.default_rng([plan.clip_seed, 37])
    share = rng.uniform(*levels.rise)
    if levels.apex_share:  # a Beta distribution of this mean and sd
        mean, sd = levels.apex_share
        both = mean * (1 - mean) / sd**2 - 1
        share = extra.beta(mean * both, (1 - mean) * both)
    rise = length * (share + levels.au_apex * rng.uniform(-1, 1, n))
    rise = np.clip(rise, 2, length - 2)  # frames
    # onset and offset are the first and the last AU's
    starts[np.argmin(starts)] = ends[np.argmin(ends)] = 0
    starts, ends = np.minimum(starts, rise / 2), np.minimum(ends, (length - rise) / 2)
    holds, twice = extra.random(2) < (levels.hold_share, levels.second_share)
    hold = holds * extra.uniform(*levels.hold) * length  # frames
    # where a second peak lies, as a share of the way down still to go, and how high it is
    place, much = extra.uniform(0.25, 0.4), extra.uniform(*levels.second)
    lonely = extra.choice([-1, 1]) if plan.reason == "one-sided" else 0
    weights = np.zeros((frames, len(AUS), 2))
    for (a, height), start, end, top in zip(
        level.items(), onset + starts, offset - ends, onset + rise, strict=True
    ):
        rest = rng.uniform(*levels.residue)
        held = min(hold, (end - top) / 2)  # frames
        fall = end - top - held
        up, down = _smooth((t - start) / (top - start)), _smooth((end - t) / fall)
        course = np.where(t < top, up, rest + (1 - rest) * down)
        if held:  # nobody holds quite still: the peak stays the peak
            course *= 1 - HOLD_LOSS * np.clip((t - top) / held, 0, 1)
        if twice and fall > 7:
            course += much * _smooth(1 - np.abs(t - (end - place * fall)) / (0.2 * fall))
        tilt = np.clip(side[a] + levels.clip_side * rng.standard_normal(), -0.5, 0.5)
        height *= np.exp(gain[a] + levels.clip_gain * rng.standard_normal())
        tilt = ONE_SIDED * lonely if lonely else tilt
        weights[:, a] = height * course[:, None] * np.array([1 - tilt, 1 + tilt])
    return weights


def _sizes(weights, face_seed, variation):
    """Return how far AUs move points of the face's front, in units: (T, points)."""
    face = make_face(face_seed, variation)
    fields = face.fields[:, :, face.front][:, :, ::5]
    moved = np.einsum("tas,asmk->tmk", weights, fields, optimize=True)
    return np.linalg.norm(moved, axis=-1)


def true_motion(motion):
    """Return how far the expression alone moves the face (T,), in units: its peak is the apex.

    This is the mean over the face's front; blinks (AU45) and head motion do not count.
    """
    weights = motion.weights.copy()
    weights[:, AUS.index(45)] = 0
    return _sizes(weights, motion.face_seed, motion.variation).mean(-1)


def scale_head(motion, factor, frame=0):
    """Return a Motion whose head moves ``factor`` times as far from its pose at ``frame``."""
    turned, moved = (
        course[[frame]] + np.float32(factor) * (course - course[[frame]])
        for course in (motion.rotation, motion.translation)
    )
    return replace(motion, rotation=turned, translation=moved)


def _scale(rng, weights, plan, levels):
    """Scale weights so that the 99th percentile of motion at the peak is drawn from ``motion_px``.

    That of a weak expression comes from the lowest third of this range.
    """
    place = rng.random() + _style(plan.face_seed, levels)[3]
    # folded back into 0..1: a subject's share of small and large motion differs
    place = 1 - abs(1 - abs(place))
    place = place / 3 if plan.reason == "weak" else place
    low, high = np.log(levels.motion_px)
    wanted = np.exp(low + place * (high - low)) * levels.crop_units / levels.crop_px
    sizes = _sizes(weights, plan.face_seed, levels.variation)
    size = np.percentile(sizes, 99, axis=-1).max()
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
    """Return rotation and translation (frames, 3) in rad and units: pose, place, drift, tremor.

    Each is drawn normally and multiplied by its factor of ``tails`` (6,).
    """
    t = (np.arange(frames) / levels.fps)[:, None]

    def wander(drift, tremor):
        hz, phase = rng.uniform(*levels.tremor_hz, 3), rng.uniform(0, 2 * np.pi, 3)
        # no drift is quite straight
        bend = 1 + 0.5 * rng.standard_normal(3) * np.sin(np.pi * t / t[-1])
        slow = drift * rng.standard_normal(3) * t * bend
        return slow + tremor * np.sqrt(2) * np.sin(2 * np.pi * hz * t + phase)

    rotation = pose + tails[0] * np.deg2rad(levels.clip_pose_deg) * rng.standard_normal(3)
    turning = wander(tails[2] * levels.drift_deg, tails[3] * levels.tremor_deg)
    place = tails[1] * levels.place * rng.standard_normal(3)
    # the face stays in the picture
    place = np.clip(place, -6 * levels.place, 6 * levels.place)
    swaying = wander(tails[4] * levels.drift, tails[5] * levels.tremor)
    return rotation + np.deg2rad(1) * turning, place + swaying
