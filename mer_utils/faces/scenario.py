"""Who shows what in a synthetic dataset: the levels of everything (presets), AU sets, labels, clips
over subjects.

Every level stands in one frozen Preset, chosen for being plausible of a filmed seated person, never
for what a classifier makes of it.
"""

from dataclasses import dataclass

from mer_utils import LABELS, MerError

import numpy as np

# AU sets of 267 clips. Their label sets have 4DME's counts and their AUs come near its totals (Li
# et al., TAFFC 2022); which AUs go together is our choice. AU1, AU2, AU12 are 12, 7, 2 too many:
# the Surprise and Positive clips need them.
RECIPES = {
    # Negative 127
    (4,): 47, (7,): 33, (4, 7): 38, (15,): 3, (4, 15): 1, (7, 15): 1, (4, 7, 15): 1, (10,): 1,
    (4, 9): 1, (4, 7, 10): 1,
    # Positive 34
    (12,): 17, (6, 12): 6, (7, 12): 7, (6, 7, 12): 2, (4, 12): 2,
    # Others 31
    (6,): 15, (2,): 7, (5,): 4, (1,): 4, (5, 6): 1,
    # Surprise 30, Repression 6
    (1, 2): 28, (1, 2, 5): 2, (17,): 2, (14,): 2, (24,): 2,
    # Positive+Surprise 13, Negative+Surprise 8, Positive+Repression 8
    (1, 2, 12): 12, (1, 2, 5, 12): 1, (1, 2, 4): 5, (1, 2, 7): 2, (1, 2, 4, 7): 1, (12, 24): 4,
    (12, 17): 2,
    (12, 14): 1, (6, 12, 24): 1,
    # Negative+Repression 7, Repression+Surprise 3
    (4, 17): 3, (7, 17): 2, (4, 14): 1, (4, 7, 17): 1, (1, 2, 24): 2, (1, 2, 17): 1,
}  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """All levels of a generator. Ranges are (low, high), drawn evenly unless said; sd is a standard
    deviation.

    Lengths are in units (half a face height, about 11 cm on a grown-up); px are those of a face
    crop of crop_px rows that spans crop_units from chin to crown (128 px / 2.3 units = 55.7 px a
    unit at the depth of the head's centre).
    """

    name: str
    fps: int = 60  # frames/s: 4DME's rate
    crop_px: float = 128.0  # px: height of the face crop that "px" refers to
    crop_units: float = 2.3  # units: what that crop spans
    length: tuple = (12, 30)  # frames from onset to offset = 0.2-0.5 s: what counts as "micro"
    margin: tuple = (2, 4)  # frames before onset and after offset: annotators cut clips tightly
    # px, log-evenly: 99th percentile of AU motion at apex; seen, yet hard to see
    motion_px: tuple = (0.3, 2.0)
    # no AU goes beyond this activation, 1 = macro-expression: lids alone cannot move 2 px
    most: float = 1.0
    # share of the length from onset to apex: faces rise faster than they relax
    rise: tuple = (0.30, 0.48)
    # share of the length by which AUs start later or end earlier: they are not synchronous
    au_delay: float = 0.12
    au_apex: float = 0.06  # share of the length, +-: nor are their peaks
    residue: tuple = (0.0, 0.15)  # share of the peak that stays at offset: faces relax incompletely
    subject_gain: float = 0.25  # sd of log gain of each AU per subject: muscles differ in strength
    clip_gain: float = 0.20  # sd of log gain of each AU per clip: nobody repeats a face exactly
    # sd of left-right imbalance per subject and AU (0.15 = 15 % more on one side): habitual
    subject_side: float = 0.15
    clip_side: float = 0.07  # sd of the same per clip
    # +- shift of a subject's place in the log range of motion_px: some people show more
    intensity: float = 0.2
    # share of clips in which a subject's two habit AUs come along: personal mannerism
    habit_share: float = 0.4
    habit_level: tuple = (0.08, 0.2)  # their gain, relative to labelled AUs: too weak to be coded
    pose_deg: float = 3.0  # degrees, sd per axis and subject: nobody sits quite straight
    clip_pose_deg: float = 1.0  # degrees, sd per axis and clip
    place: float = 0.035  # units (2 px), sd per axis and clip: where the head is held
    # degrees/s, sd per axis: slow turning of a still-sitting person, ~0.3 px over a clip
    drift_deg: float = 0.8
    drift: float = 0.02  # units/s (2 mm/s), sd per axis: slow sway, ~0.4 px over a clip
    tremor_deg: float = 0.02  # degrees, sd per axis: physiological tremor
    tremor: float = 0.0008  # units (0.1 mm, 0.04 px), sd per axis: pulse and tremor
    tremor_hz: tuple = (4.0, 10.0)  # Hz: the band of physiological tremor
    # share of clips with a blink: 17 blinks per minute, clips of about half a second
    blink_share: float = 0.15
    blink: tuple = (9, 16)  # frames, 0.15-0.27 s: a spontaneous blink
    blink_depth: tuple = (0.85, 1.0)  # activation of AU45 at its peak: most blinks close the eye
    noise: tuple = (1.5, 2.0)  # grey levels, sd per pixel: a machine-vision camera indoors
    flicker: float = 0.005  # sd of relative exposure per frame: mains light, shutter jitter
    # sd of log clips per subject: some people leak more often (about 4-20 of 267/24)
    clips_spread: float = 0.35
    # sd of log liking of each label set per subject: people differ in what they show
    label_spread: float = 0.5


PRESETS = {"bench-v1": Preset("bench-v1")}


@dataclass(frozen=True)
class Plan:
    """What a clip shows; ``simulate`` turns it into motion. ``labels`` follow LABELS as 0/1."""

    clip: str
    subject: str
    labels: tuple
    aus: tuple
    face_seed: int
    clip_seed: int
    preset: str


def label_of(aus):
    """Return the label names (in LABELS order) of a set of AUs, as 4DME combines them; others do
    not count.
    """
    aus = set(aus)
    found = {
        "Negative": bool(aus & {4, 7, 9, 10, 15}) and 12 not in aus,
        "Positive": 12 in aus,
        "Repression": bool(aus & {14, 17, 24}),
        "Surprise": {1, 2} <= aus,
    }
    return tuple(name for name, yes in found.items() if yes) or ("Others",)


def get_preset(name):
    """Return the Preset called ``name``; raise MerError if there is none."""
    if name not in PRESETS:
        raise MerError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def plan_clips(subjects=24, clips=267, seed=0, preset="bench-v1"):
    """Return a list of Plans, sorted by subject: label sets in 4DME's proportions, spread unevenly
    over subjects.

    Raises MerError unless 1 <= subjects <= clips and the preset exists.
    """
    levels = get_preset(preset)
    for name, value in (("subjects", subjects), ("clips", clips), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise MerError(f"{name} is {value!r}; a whole number is needed")
    if subjects < 1 or clips < subjects or seed < 0:
        raise MerError(
            f"{subjects} subjects with {clips} clips (seed {seed}) cannot be: 1 <= subjects <= "
            "clips, seed >= 0"
        )
    rng = np.random.default_rng([seed, 7])
    plans = []
    for number, owned in enumerate(_share_out(rng, _choose_aus(clips), subjects, levels), start=1):
        subject = f"S{number:02d}"
        for k, aus in enumerate(owned, start=1):
            names = label_of(aus)
            labels = tuple(int(label in names) for label in LABELS)
            seeds = [
                int(np.random.SeedSequence(key).generate_state(1)[0])
                for key in ((seed, number), (seed, number, k))
            ]
            plans.append(Plan(f"{subject}_{k:03d}", subject, labels, aus, *seeds, preset))
    return plans


def _largest_remainder(counts, total):
    """Return whole numbers proportional to ``counts`` that sum to ``total``."""
    exact = np.array(counts, float) * total / sum(counts)
    whole = np.floor(exact).astype(int)
    whole[np.argsort(-(exact - whole), kind="stable")[: total - whole.sum()]] += 1
    return whole


def _choose_aus(clips):
    """Return one AU tuple per clip: label sets by largest remainder, every label at least once from
    five clips on.
    """
    sets = {}
    for aus in RECIPES:
        sets.setdefault(label_of(aus), []).append(aus)
    names = list(sets)
    sizes = [sum(RECIPES[aus] for aus in sets[name]) for name in names]
    share = _largest_remainder(sizes, clips)
    if clips >= len(LABELS):
        for label in LABELS:
            if not any(label in name and n for name, n in zip(names, share, strict=True)):
                share[np.argmax(share)] -= 1
                share[
                    max((i for i, name in enumerate(names) if label in name), key=sizes.__getitem__)
                ] += 1
    chosen = []
    for name, n in zip(names, share, strict=True):
        per_recipe = _largest_remainder([RECIPES[aus] for aus in sets[name]], n)
        chosen += [
            aus for aus, times in zip(sets[name], per_recipe, strict=True) for _ in range(times)
        ]
    return chosen


def _share_out(rng, chosen, subjects, levels):
    """Deal AU sets to subjects: uneven numbers, each subject with a liking of its own for some
    label sets.
    """
    size = np.exp(levels.clips_spread * np.clip(rng.standard_normal(subjects), -2, 1.6))
    room = 1 + _largest_remainder(size, len(chosen) - subjects)  # everybody has a clip
    liking = {
        name: np.exp(levels.label_spread * rng.standard_normal(subjects))
        for name in map(label_of, RECIPES)
    }
    owned = [[] for _ in range(subjects)]
    for i in rng.permutation(len(chosen)):
        chance = room * liking[label_of(chosen[i])]
        subject = rng.choice(subjects, p=chance / chance.sum())
        owned[subject].append(chosen[i])
        room[subject] -= 1
    return owned
