"""What happens in a clip: key frames in order, motion and nuisances of the size stated."""

from dataclasses import fields, replace

from faces4d.head import AUS, make_face
from faces4d.motion import Motion, read_npz, simulate, true_motion
from faces4d.scenario import PRESETS, Plan, plan_clips
from mer_utils import MerError

import numpy as np
import pytest

EASY, HARD = PRESETS["bench-v1"], PRESETS["bench-v2"]
PX = EASY.crop_px / EASY.crop_units


@pytest.fixture(scope="module")
def motions():
    """The clips of bench-v1's first two subjects (one face takes half a second)."""
    return [(plan, simulate(plan)) for plan in plan_clips() if plan.subject in ("S01", "S02")]


@pytest.fixture(scope="module")
def hard():
    """Every other clip of a set of bench-v2, on one face."""
    plans = plan_clips(seed=1001, preset="bench-v2")[::2]
    return [(plan, simulate(replace(plan, face_seed=1))) for plan in plans]


def a_plan(*aus, clip_seed=0, face_seed=1):
    return Plan("S01_001", "S01", (0,) * 5, aus, face_seed, clip_seed, "bench-v1")


def measure(motion):
    """Return the mean and the 99th percentile of AU motion without blinks, (T,) px of the crop."""
    weights = motion.weights.copy()
    weights[:, AUS.index(45)] = 0
    face = make_face(motion.face_seed, motion.variation)
    moved = np.tensordot(weights, face.fields[:, :, face.front], 2)
    sizes = np.linalg.norm(moved, axis=-1) * PX
    return sizes.mean(1), np.percentile(sizes, 99, axis=1)


def test_key_frames_are_in_order_and_the_apex_is_the_peak(motions):
    for plan, motion in motions:
        peak = motion.weights[:, :-1].max((0, 2))
        assert AUS[peak.argmax()] in plan.aus
        after = len(motion.weights) - 1 - motion.offset
        assert all(EASY.margin[0] <= margin <= EASY.margin[1] for margin in (motion.onset, after))
        assert EASY.length[0] <= motion.offset - motion.onset + 1 <= EASY.length[1]
        assert motion.onset < motion.apex < motion.offset
        mean, peaks = measure(motion)
        assert mean[motion.apex] > 0.99 * mean.max()  # 1 %: the module looks at every fifth vertex
        # residue is 0.15 at most
        assert mean[: motion.onset + 1].max() == 0 and mean[motion.offset] < 0.35 * mean.max()
        low, high = EASY.motion_px
        capped = motion.weights[:, :-1].max() > 0.99 * EASY.most
        assert peaks.max() < high * 1.05 and (capped or peaks.max() > low * 0.95)


def test_nuisances_have_the_stated_size():
    """Over 100 seeds (one face): shares and spreads are near the preset's."""
    many = [simulate(a_plan(12, clip_seed=seed)) for seed in range(100)]
    blinks = np.mean([motion.weights[:, -1].max() > 0.05 for motion in many])
    assert blinks == pytest.approx(EASY.blink_share, abs=0.1)  # some lie outside the clip
    assert np.std(np.concatenate([m.gain for m in many])) == pytest.approx(EASY.flicker, rel=0.1)
    assert all(EASY.noise[0] <= motion.noise_sigma <= EASY.noise[1] for motion in many)
    place = np.array([motion.translation[0] for motion in many])
    assert place.std() == pytest.approx(EASY.place, rel=0.15)
    drift = np.array([np.ptp(motion.translation, axis=0).max() for motion in many]) * PX
    assert 0.1 < np.median(drift) < 2.0  # px: not above what the largest expressions do


def test_motion_survives_the_disk(hard, tmp_path):
    covered = next(motion for _, motion in hard if motion.cover_seed and not motion.coded)
    coded = next(motion for _, motion in hard if motion.coded)
    for motion in (simulate(a_plan(1, 2)), covered, coded):
        np.savez_compressed(tmp_path / "motion.npz", **motion.arrays())
        again = Motion.load(read_npz(tmp_path / "motion.npz"))
        for field in fields(Motion):
            was, now = getattr(motion, field.name), getattr(again, field.name)
            assert type(was) is type(now) and np.array_equal(was, now), field.name
    arrays = coded.arrays()
    arrays.pop("gain")
    with pytest.raises(MerError, match="lacks gain"):
        Motion.load(arrays)
    (tmp_path / "motion.npz").write_bytes(b"PK torn")
    with pytest.raises(MerError, match="not readable as npz"):
        read_npz(tmp_path / "motion.npz")


def test_weak_and_one_sided_clips_are_what_they_say(hard):
    low, high = HARD.motion_px
    for plan, motion in hard:
        if plan.reason == "weak":  # the lowest third of the log range
            assert measure(motion)[1].max() < low * (high / low) ** (1 / 3) * 1.1
        elif plan.reason == "one-sided" and plan.coded is None:
            pair = motion.weights[motion.apex, AUS.index(plan.aus[0])]
            assert max(pair) > 10 * min(pair)


def test_the_apex_lies_anywhere_and_is_the_true_peak(hard):
    shares, off = [], []
    for _, motion in hard:
        curve = true_motion(motion)
        assert motion.apex == np.argmax(curve[motion.onset : motion.offset + 1]) + motion.onset
        assert motion.onset + 1 < motion.apex < motion.offset  # two frames to rise
        first, last = motion.marked
        assert 0 <= first < motion.apex < last < len(motion.weights)
        shares.append((motion.apex - first) / (last - first))
        off.append((first - motion.onset, last - motion.offset))
    # key frames are annotated up to three frames early or late
    assert np.abs(off).max() == 3 and all(len(set(column)) == 7 for column in np.transpose(off))
    assert 0.3 <= np.mean(shares) <= 0.45 and 0.14 <= np.std(shares) <= 0.19


def test_clips_differ_in_quality(hard):
    """How many have how much of it: benchmarks/acceptance.json."""
    for _, motion in hard:
        soft = np.array(motion.blur) > HARD.blur[1]
        # a degraded view is covered or out of focus, never both
        assert soft.sum() == (motion.degraded >= 0 and not motion.cover_seed)
        assert not soft.any() or soft[motion.degraded]
        assert all(60 <= quality <= 95 for quality in motion.jpeg)
        assert motion.key.shape == motion.gain.shape and 0.7 < motion.key.min() <= 1
        assert np.abs(motion.translation).max() < 0.35  # of 0.9 units
    assert 1.6 < np.median([motion.noise_sigma for _, motion in hard]) < 2.2  # log-even
