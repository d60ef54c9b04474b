"""What happens in a synthetic clip: which action units (AUs) move, when, how far, and everything
else that disturbs the picture. The levels come from the Preset (scenario.py).
"""

import functools
from dataclasses import dataclass, fields

from mer_utils import MerError
from mer_utils.faces.head import AUS, make_face
from mer_utils.faces.scenario import get_preset

import numpy as np


@dataclass(frozen=True, eq=False)
class Motion:
    """One clip's ground truth, T frames: AU weights per side, rigid head motion, exposure, noise,
    key frames.
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

    def arrays(self):
        """Return everything as a dict of arrays, ready for ``files.write_npz``."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def load(cls, arrays):
        """Return the Motion of a dict that ``arrays`` made; raise MerError naming what is
        missing.
        """
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise MerError(f"the motion lacks {', '.join(missing)}; write the data set again")
        values = {field.name: np.asarray(arrays[field.name]) for field in fields(cls)}
        whole = ("weights", "rotation", "translation", "gain")
        values = {
            name: value if name in whole else value.tolist() for name, value in values.items()
        }
        return cls(**values | {"aus": tuple(values["aus"])})


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
    blinks, exposure.
    """
    levels = get_preset(plan.preset)
    rng = np.random.default_rng([plan.clip_seed, 13])
    length = int(rng.integers(levels.length[0], levels.length[1] + 1))
    onset, after = (int(n) for n in rng.integers(levels.margin[0], levels.margin[1] + 1, 2))
    offset = onset + length - 1
    frames = offset + after + 1
    expression = _scale(
        rng, _expression(rng, plan, levels, frames, onset, offset), plan.face_seed, levels
    )
    weights = expression.copy()
    weights[:, AUS.index(45)] += _blink(rng, levels, frames)[:, None]
    rotation, translation = _head(rng, levels, frames, _style(plan.face_seed, levels)[4])
    size = _sizes(expression, plan.face_seed, np.mean)
    return Motion(
        face_seed=plan.face_seed,
        weights=weights.astype(np.float32),
        rotation=rotation.astype(np.float32),
        translation=translation.astype(np.float32),
        gain=(1 + levels.flicker * rng.standard_normal(frames)).astype(np.float32),
        noise_seed=int(rng.integers(2**31)),
        noise_sigma=float(rng.uniform(*levels.noise)),
        onset=onset,
        apex=onset + 1 + int(np.argmax(size[onset + 1 : offset])),
        offset=offset,
        fps=levels.fps,
        aus=tuple(plan.aus),
    )


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
    peak = onset + length * (rng.uniform(*levels.rise) + levels.au_apex * rng.uniform(-1, 1, n))
    # onset and offset are the first and the last AU's
    starts[np.argmin(starts)] = ends[np.argmin(ends)] = 0
    weights = np.zeros((frames, len(AUS), 2))
    for (a, height), start, end, top in zip(
        level.items(), onset + starts, offset - ends, peak, strict=True
    ):
        rest = rng.uniform(*levels.residue)
        course = np.where(
            t < top,
            _smooth((t - start) / (top - start)),
            rest + (1 - rest) * _smooth((end - t) / (end - top)),
        )
        tilt = np.clip(side[a] + levels.clip_side * rng.standard_normal(), -0.5, 0.5)
        height *= np.exp(gain[a] + levels.clip_gain * rng.standard_normal())
        weights[:, a] = height * course[:, None] * np.array([1 - tilt, 1 + tilt])
    return weights


def _sizes(weights, face_seed, summary):
    """Return ``summary`` over the front of the face of the AU motion's length (units), per frame
    (T,).
    """
    face = make_face(face_seed)
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
    return _sizes(weights, motion.face_seed, np.mean)


def _scale(rng, weights, face_seed, levels):
    """Scale weights so that the 99th percentile of motion at the peak is drawn from
    ``motion_px``.
    """
    place = rng.random() + _style(face_seed, levels)[3]
    # folded back into 0..1: a subject's share of small and large motion differs
    place = 1 - abs(1 - abs(place))
    low, high = np.log(levels.motion_px)
    wanted = np.exp(low + place * (high - low)) * levels.crop_units / levels.crop_px
    size = _sizes(weights, face_seed, functools.partial(np.percentile, q=99)).max()
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


def _head(rng, levels, frames, pose):
    """Return rotation (frames, 3) rad and translation (frames, 3) units: pose, place, slow drift,
    tremor.
    """
    t = (np.arange(frames) / levels.fps)[:, None]

    def wander(drift, tremor):
        hz, phase = rng.uniform(*levels.tremor_hz, 3), rng.uniform(0, 2 * np.pi, 3)
        # no drift is quite straight
        bend = 1 + 0.5 * rng.standard_normal(3) * np.sin(np.pi * t / t[-1])
        return drift * rng.standard_normal(3) * t * bend + tremor * np.sqrt(2) * np.sin(
            2 * np.pi * hz * t + phase
        )

    rotation = pose + np.deg2rad(levels.clip_pose_deg) * rng.standard_normal(3)
    rotation = rotation + np.deg2rad(1) * wander(levels.drift_deg, levels.tremor_deg)
    return rotation, levels.place * rng.standard_normal(3) + wander(levels.drift, levels.tremor)
