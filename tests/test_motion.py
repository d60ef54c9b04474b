"""What happens in a clip: labels as in 4DME, key frames in order, motion and nuisances of the size
stated.
"""

import dataclasses
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

from faces4d import scenario
from faces4d.head import AUS, make_face
from faces4d.motion import Motion, simulate
from faces4d.scenario import PRESETS, Plan, label_of, plan_clips
from faces4d.truth import read_npz, write_npz
from mer_utils import LABELS, MerError

import numpy as np
import pytest

LEVELS = PRESETS["bench-v1"]
PX = LEVELS.crop_px / LEVELS.crop_units


@pytest.fixture(scope="module")
def plans():
    return plan_clips()


@pytest.fixture(scope="module")
def motions(plans):
    """The clips of the first two subjects (one face takes half a second)."""
    return [(plan, simulate(plan)) for plan in plans if plan.subject in ("S01", "S02")]


def a_plan(*aus, clip_seed=0, face_seed=1):
    return Plan("S01_001", "S01", (0,) * 5, aus, face_seed, clip_seed, "bench-v1")


@pytest.mark.parametrize("aus, names", [
    ({12}, ["Positive"]), ({4}, ["Negative"]), ({7, 45}, ["Negative"]), ({9}, ["Negative"]),
    ({10}, ["Negative"]),
    ({15}, ["Negative"]), ({4, 12}, ["Positive"]), ({1, 2}, ["Surprise"]),
    ({1, 2, 12}, ["Positive", "Surprise"]),
    ({1, 2, 4}, ["Negative", "Surprise"]), ({14}, ["Repression"]), ({17}, ["Repression"]),
    ({24}, ["Repression"]),
    ({4, 17}, ["Negative", "Repression"]), ({1, 2, 24}, ["Repression", "Surprise"]),
    ({6, 12, 24}, ["Positive", "Repression"]),
    ({1}, ["Others"]), ({2}, ["Others"]), ({5}, ["Others"]), ({6}, ["Others"]), ({45}, ["Others"]),
    ({99}, ["Others"]), (set(), ["Others"]),
])  # fmt: skip
def test_label_of(aus, names):
    assert list(label_of(aus)) == names


def test_default_plan_has_the_label_sets_and_aus_of_4dme(plans):
    """The published counts; AU totals to within what the rule forces (see RECIPES)."""
    assert (
        len(plans) == len({plan.clip for plan in plans}) == 267
        and len({plan.subject for plan in plans}) == 24
    )
    sets = Counter("+".join(label_of(plan.aus)) for plan in plans)
    assert sets == {
        "Negative": 127, "Positive": 34, "Others": 31, "Surprise": 30, "Repression": 6,
        "Positive+Surprise": 13,
        "Negative+Surprise": 8, "Positive+Repression": 8, "Negative+Repression": 7,
        "Repression+Surprise": 3,
    }  # fmt: skip
    wanted = {4: 102, 7: 89, 2: 54, 12: 53, 1: 46, 6: 25, 17: 11, 5: 8, 15: 6, 14: 4, 10: 2, 9: 1}
    found = Counter(au for plan in plans for au in plan.aus)
    assert all(abs(found[au] - n) <= 12 for au, n in wanted.items())
    assert sum(abs(found[au] - n) for au, n in wanted.items()) <= 25


@pytest.mark.parametrize(
    "subjects, clips", [(1, 1), (1, 5), (3, 6), (4, 24), (7, 60), (24, 267), (30, 400)]
)
def test_any_plan_keeps_the_rules(subjects, clips):
    plans = plan_clips(subjects, clips, seed=3)
    assert len(plans) == clips and len({plan.subject for plan in plans}) == subjects
    for plan in plans:
        assert [LABELS[i] for i in np.flatnonzero(plan.labels)] == list(label_of(plan.aus))
        assert not (plan.labels[0] and plan.labels[1])  # never Negative with Positive
        assert plan.clip.startswith(plan.subject + "_")
    assert (
        len({(plan.subject, plan.face_seed) for plan in plans})
        == len({plan.face_seed for plan in plans})
        == subjects
    )
    assert len({plan.clip_seed for plan in plans}) == clips
    if clips >= 5:
        assert np.sum([plan.labels for plan in plans], axis=0).min() >= 1


def test_clips_are_spread_unevenly_but_sanely(plans):
    sizes = Counter(plan.subject for plan in plans)
    assert (
        min(sizes.values()) >= 3 and max(sizes.values()) <= 25 and len(set(sizes.values())) > 4
    )  # about 4-20 of 267/24
    mixed = Counter((plan.subject, plan.labels) for plan in plans)
    # nobody shows one thing only
    assert max(n / sizes[subject] for (subject, _), n in mixed.items()) < 1


def test_plans_depend_on_the_seed_and_on_nothing_else(plans):
    assert plan_clips() == plans
    other = plan_clips(seed=1)
    assert not {plan.face_seed for plan in plans} & {plan.face_seed for plan in other}
    assert not {plan.clip_seed for plan in plans} & {plan.clip_seed for plan in other}


@pytest.mark.parametrize(
    "bad",
    [
        {"subjects": 0},
        {"subjects": 5, "clips": 4},
        {"preset": "no-such"},
        {"seed": -1},
        {"clips": 2.5},
    ],
)
def test_bad_arguments_are_refused(bad):
    with pytest.raises(MerError):
        plan_clips(**bad)


def test_a_plan_without_any_expression_is_refused():
    with pytest.raises(MerError, match="no AU that moves"):
        simulate(dataclasses.replace(a_plan(45), clip_seed=2))


def sizes(motion, summary):
    """AU motion without blinks, px of the crop, per frame: recomputed from the fields without the
    module's helper.
    """
    weights = motion.weights.copy()
    weights[:, AUS.index(45)] = 0
    face = make_face(motion.face_seed)
    moved = np.tensordot(weights, face.fields[:, :, face.front], 2)
    return summary(np.linalg.norm(moved, axis=-1)) * PX


def test_key_frames_are_in_order_and_the_apex_is_the_peak(motions):
    for _, motion in motions:
        frames = len(motion.weights)
        assert LEVELS.margin[0] <= motion.onset <= LEVELS.margin[1]
        assert LEVELS.margin[0] <= frames - 1 - motion.offset <= LEVELS.margin[1]
        assert LEVELS.length[0] <= motion.offset - motion.onset + 1 <= LEVELS.length[1]
        assert motion.onset < motion.apex < motion.offset
        mean = sizes(motion, lambda size: size.mean(1))
        assert mean[motion.apex] > 0.99 * mean.max()  # 1 %: the module looks at every fifth vertex
        assert (
            mean[: motion.onset + 1].max() == 0 and mean[motion.offset] < 0.35 * mean.max()
        )  # residue is 0.15 at most


def test_peak_motion_is_within_the_drawn_range_and_spread_over_it(motions):
    peaks = np.array(
        [sizes(motion, lambda size: np.percentile(size, 99, axis=1)).max() for _, motion in motions]
    )
    low, high = LEVELS.motion_px
    assert (peaks < high * 1.05).all()  # 5 %: the module looks at every fifth vertex
    capped = np.array([motion.weights[:, :-1].max() > 0.99 * LEVELS.most for _, motion in motions])
    assert (peaks[~capped] > low * 0.95).all()
    assert peaks.max() > 1 and peaks.min() < 0.6  # neither end of the range is empty


def test_labelled_aus_dominate_and_rise_faster_than_they_fall(motions):
    for plan, motion in motions:
        peak = motion.weights[:, :-1].max((0, 2))
        named = [AUS.index(au) for au in plan.aus]
        others = [a for a in range(len(AUS) - 1) if a not in named]
        # habits: 0.2 times unlucky gains
        assert peak[named].min() > 0 and peak[others].max() < 0.6 * peak[named].max()
        assert motion.apex - motion.onset < 0.6 * (motion.offset - motion.onset)
        assert motion.weights[:, :-1].max() <= LEVELS.most + 1e-6


@pytest.mark.slow
def test_nuisances_have_the_stated_size():
    """Over 300 seeds (one face): shares and spreads within four standard errors of the preset."""
    many = [simulate(a_plan(12, clip_seed=seed)) for seed in range(300)]
    blinks = np.mean([motion.weights[:, -1].max() > 0.05 for motion in many])
    # some blinks lie outside the clip
    assert abs(blinks - LEVELS.blink_share) < 4 * np.sqrt(0.15 * 0.85 / 300) + 0.03
    assert np.std(np.concatenate([m.gain for m in many])) == pytest.approx(LEVELS.flicker, rel=0.1)
    assert all(LEVELS.noise[0] <= motion.noise_sigma <= LEVELS.noise[1] for motion in many)
    place = np.array([motion.translation[0] for motion in many])
    assert place.std() == pytest.approx(LEVELS.place, rel=0.15)
    drift = np.array([np.ptp(motion.translation, axis=0).max() for motion in many]) * PX
    assert 0.1 < np.median(drift) < 2.0  # px: not above what the largest expressions do


def test_subjects_have_a_style_of_their_own():
    """The same AU on the same clip seeds is lopsided by the subject's habit, not by chance
    alone.
    """
    tilt = {seed: [] for seed in (1, 2)}
    for face_seed, found in tilt.items():
        for seed in range(20):
            peak = (
                simulate(a_plan(12, clip_seed=seed, face_seed=face_seed))
                .weights[:, AUS.index(12)]
                .max(0)
            )
            found.append((peak[1] - peak[0]) / peak.sum())
    between = abs(np.mean(tilt[1]) - np.mean(tilt[2]))
    # four standard errors of clip-to-clip chance
    assert between > 4 * LEVELS.clip_side / np.sqrt(20)


def test_motion_survives_the_disk(tmp_path):
    motion = simulate(a_plan(1, 2))
    write_npz(tmp_path / "motion.npz", **motion.arrays())
    again = Motion.load(read_npz(tmp_path / "motion.npz"))
    for field in dataclasses.fields(Motion):
        was, now = getattr(motion, field.name), getattr(again, field.name)
        assert type(was) is type(now) and np.array_equal(was, now)
    with pytest.raises(MerError, match="gain"):
        Motion.load({name: a for name, a in motion.arrays().items() if name != "gain"})


def test_same_plan_same_motion_other_seed_other_motion():
    first, again, other = (simulate(a_plan(4, clip_seed=seed)) for seed in (5, 5, 6))
    assert all(
        np.array_equal(a, b)
        for a, b in zip(first.arrays().values(), again.arrays().values(), strict=True)
    )
    assert first.noise_seed != other.noise_seed and not np.array_equal(
        first.translation[0], other.translation[0]
    )


def test_every_level_is_explained_in_the_source():
    """A frozen preset with units and reasons: each field of Preset has a comment."""
    source = Path(scenario.__file__).read_text()
    body = source[source.index("class Preset") : source.index("PRESETS =")]
    lines = body.splitlines()
    for above, line in pairwise(lines):
        if re.match(r"    \w+: .* = ", line):
            assert "#" in line or above.strip().startswith("#"), line
    assert scenario.get_preset("bench-v1").fps == 60
    with pytest.raises(dataclasses.FrozenInstanceError):
        LEVELS.noise = (0, 0)
