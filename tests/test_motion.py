"""What happens in a clip: key frames in order, motion and nuisances of the size stated, and what is
harder in bench-v2.
"""

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
    """All clips of a set of bench-v2 on one face."""
    plans = [replace(plan, face_seed=1) for plan in plan_clips(seed=1001, preset="bench-v2")]
    return [(plan, simulate(plan)) for plan in plans]


def a_plan(*aus, clip_seed=0, face_seed=1):
    return Plan("S01_001", "S01", (0,) * 5, aus, face_seed, clip_seed, "bench-v1")


def sizes(motion, summary):
    """Return AU motion without blinks, px of the crop, per frame, of every vertex."""
    weights = motion.weights.copy()
    weights[:, AUS.index(45)] = 0
    face = make_face(motion.face_seed, motion.variation)
    moved = np.tensordot(weights, face.fields[:, :, face.front], 2)
    return summary(np.linalg.norm(moved, axis=-1)) * PX


def test_a_plan_without_any_expression_is_refused():
    with pytest.raises(MerError, match="no AU that moves"):
        simulate(a_plan(45, clip_seed=2))


def test_key_frames_are_in_order_and_the_apex_is_the_peak(motions):
    for _, motion in motions:
        after = len(motion.weights) - 1 - motion.offset
        assert all(EASY.margin[0] <= margin <= EASY.margin[1] for margin in (motion.onset, after))
        assert EASY.length[0] <= motion.offset - motion.onset + 1 <= EASY.length[1]
        assert motion.onset < motion.apex < motion.offset
        mean = sizes(motion, lambda size: size.mean(1))
        assert mean[motion.apex] > 0.99 * mean.max()  # 1 %: the module looks at every fifth vertex
        # residue is 0.15 at most
        assert mean[: motion.onset + 1].max() == 0 and mean[motion.offset] < 0.35 * mean.max()


def test_peak_motion_is_within_the_drawn_range_and_spread_over_it(motions):
    highest = lambda size: np.percentile(size, 99, axis=1)  # noqa: E731
    peaks = np.array([sizes(motion, highest).max() for _, motion in motions])
    low, high = EASY.motion_px
    assert (peaks < high * 1.05).all()  # 5 %: the module looks at every fifth vertex
    capped = np.array([motion.weights[:, :-1].max() > 0.99 * EASY.most for _, motion in motions])
    assert (peaks[~capped] > low * 0.95).all()
    assert peaks.max() > 1 and peaks.min() < 0.6  # neither end of the range is empty


def test_labelled_aus_dominate_and_rise_faster_than_they_fall(motions):
    for plan, motion in motions:
        peak = motion.weights[:, :-1].max((0, 2))
        named = [AUS.index(au) for au in plan.aus]
        # habits: 0.2 times unlucky gains
        assert peak[named].min() > 0 and np.delete(peak, named).max() < 0.6 * peak[named].max()
        assert motion.apex - motion.onset < 0.6 * (motion.offset - motion.onset)
        assert motion.weights[:, :-1].max() <= EASY.most + 1e-6


@pytest.mark.slow
def test_nuisances_have_the_stated_size():
    """Over 300 seeds (one face): shares and spreads within four standard errors of the preset."""
    many = [simulate(a_plan(12, clip_seed=seed)) for seed in range(300)]
    blinks = np.mean([motion.weights[:, -1].max() > 0.05 for motion in many])
    # some blinks lie outside the clip
    assert abs(blinks - EASY.blink_share) < 4 * np.sqrt(0.15 * 0.85 / 300) + 0.03
    assert np.std(np.concatenate([m.gain for m in many])) == pytest.approx(EASY.flicker, rel=0.1)
    assert all(EASY.noise[0] <= motion.noise_sigma <= EASY.noise[1] for motion in many)
    place = np.array([motion.translation[0] for motion in many])
    assert place.std() == pytest.approx(EASY.place, rel=0.15)
    drift = np.array([np.ptp(motion.translation, axis=0).max() for motion in many]) * PX
    assert 0.1 < np.median(drift) < 2.0  # px: not above what the largest expressions do


def test_subjects_have_a_style_of_their_own():
    """The same AU on the same clip seeds is lopsided by habit, not by chance alone."""
    tilts = []
    for face_seed in (1, 2):
        clips = [simulate(a_plan(12, clip_seed=n, face_seed=face_seed)) for n in range(20)]
        left, right = np.transpose([clip.weights[:, AUS.index(12)].max(0) for clip in clips])
        tilts.append(np.mean((right - left) / (right + left)))
    # four standard errors of clip-to-clip chance
    assert abs(tilts[0] - tilts[1]) > 4 * EASY.clip_side / np.sqrt(20)


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
            peak = sizes(motion, lambda size: np.percentile(size, 99, axis=1)).max()
            assert peak < low * (high / low) ** (1 / 3) * 1.1
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


def test_some_peaks_are_held_and_some_come_again(hard):
    held, again = [], []
    for _, motion in hard:
        curve = true_motion(motion)[: motion.offset + 1] / true_motion(motion).max()
        held.append((curve > 0.93).sum() / (motion.offset - motion.onset))
        falling = curve[motion.apex :]
        again.append((falling - np.minimum.accumulate(falling)).max() > 0.05)
    # a plateau takes at least a tenth of the length more than a peak does
    assert np.percentile(held, 90) > np.percentile(held, 40) + 0.1
    assert 0.05 < np.mean(again) < 0.35


def test_clips_differ_in_quality(hard):
    clips = [motion for _, motion in hard]
    noise = np.array([motion.noise_sigma for motion in clips])
    assert noise.min() < 0.6 and noise.max() > 5 and 1.4 < np.median(noise) < 2.2  # log-even
    degraded = np.array([motion.degraded for motion in clips])
    assert 0.12 < (degraded >= 0).mean() < 0.28 and set(degraded) == {-1, 0, 1}  # a fifth
    for motion in clips:
        blur = np.array(motion.blur)
        sharp = (HARD.blur[0] <= blur) & (blur <= HARD.blur[1])
        assert sharp[np.arange(2) != motion.degraded].all()
        if motion.degraded >= 0:  # covered or out of focus, never both
            assert sharp[motion.degraded] == (motion.cover_seed > 0)
        assert all(60 <= quality <= 95 for quality in motion.jpeg)
        assert motion.key.shape == motion.gain.shape and 0.7 < motion.key.min() <= 1
    swing = [np.ptp(np.convolve(motion.gain, np.ones(5) / 5, "valid")) for motion in clips]
    assert 0.01 < np.median(swing) < 0.08


def test_heads_move_with_heavy_tails_and_stay_in_the_picture(hard):
    def tail(many):
        drift = np.array([np.abs(m.translation[-1] - m.translation[0]) for m in many])
        return np.percentile(drift, 98) / np.median(drift)

    clips = [motion for _, motion in hard]
    easy = [simulate(replace(plan, preset="bench-v1")) for plan, _ in hard[:120]]
    assert tail(clips) > 1.15 * tail(easy)
    assert max(np.abs(motion.translation).max() for motion in clips) < 0.35  # of 0.9 units
