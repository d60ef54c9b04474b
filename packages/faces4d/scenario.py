"""Who shows what in a synthetic dataset: levels (presets), AU sets, labels, clips over subjects.

Every level stands in one frozen Preset, chosen for being plausible of a filmed seated person, never
for what a classifier makes of it.
"""

from dataclasses import dataclass, replace

from mer_utils import LABELS, MerError, checked

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
    (12, 17): 2, (12, 14): 1, (6, 12, 24): 1,
    # Negative+Repression 7, Repression+Surprise 3
    (4, 17): 3, (7, 17): 2, (4, 14): 1, (4, 7, 17): 1, (1, 2, 24): 2, (1, 2, 17): 1,
}  # fmt: skip


@checked
class Preset:
    """All levels of a generator. Ranges are (low, high), drawn evenly unless said.

    Lengths are in units (half a face height, about 11 cm on a grown-up); px are those of a face
    crop of crop_px rows that spans crop_units from chin to crown (128 px / 2.3 units = 55.7 px a
    unit at the depth of the head's centre).
    """

    fps: int = 60  # frames/s: 4DME's rate
    crop_px: float = 128.0  # px: height of the face crop that "px" refers to
    crop_units: float = 2.3  # units: what that crop spans
    length: tuple = (12, 30)  # frames from onset to offset = 0.2-0.5 s: what counts as "micro"
    margin: tuple = (2, 4)  # frames before onset and after offset: annotators cut clips tightly
    motion_px: tuple = (0.3, 2.0)  # px, log-evenly: 99th percentile of AU motion; hard to see
    most: float = 1.0  # no activation above a macro-expression's: lids alone cannot move 2 px
    rise: tuple = (0.30, 0.48)  # share of the length to the apex: faces rise faster than they relax
    au_delay: float = 0.12  # share of the length that AUs start later, end earlier: no synchrony
    au_apex: float = 0.06  # share of the length, +-: nor are their peaks
    residue: tuple = (0.0, 0.15)  # share of the peak that stays at offset: faces relax incompletely
    subject_gain: float = 0.25  # sd of log gain of each AU per subject: muscles differ in strength
    clip_gain: float = 0.20  # sd of log gain of each AU per clip: nobody repeats a face exactly
    subject_side: float = 0.15  # sd of relative left-right imbalance per subject and AU: habitual
    clip_side: float = 0.07  # sd of the same per clip
    intensity: float = 0.2  # +- a subject's shift in the log range of motion_px: some show more
    habit_share: float = 0.4  # share of clips with a subject's two habit AUs: personal mannerism
    habit_level: tuple = (0.08, 0.2)  # their gain, relative to labelled AUs: too weak to be coded
    pose_deg: float = 3.0  # degrees, sd per axis and subject: nobody sits quite straight
    clip_pose_deg: float = 1.0  # degrees, sd per axis and clip
    place: float = 0.035  # units (2 px), sd per axis and clip: where the head is held
    drift_deg: float = 0.8  # degrees/s, sd per axis: slow turning of a sitting person, ~0.3 px
    drift: float = 0.02  # units/s (2 mm/s), sd per axis: slow sway, ~0.4 px over a clip
    tremor_deg: float = 0.02  # degrees, sd per axis: physiological tremor
    tremor: float = 0.0008  # units (0.1 mm, 0.04 px), sd per axis: pulse and tremor
    tremor_hz: tuple = (4.0, 10.0)  # Hz: the band of physiological tremor
    blink_share: float = 0.15  # share of clips: 17 blinks per minute, clips of half a second
    blink: tuple = (9, 16)  # frames, 0.15-0.27 s: a spontaneous blink
    blink_depth: tuple = (0.85, 1.0)  # activation of AU45 at its peak: most blinks close the eye
    noise: tuple = (1.5, 2.0)  # grey levels, sd per pixel: a machine-vision camera indoors
    flicker: float = 0.005  # sd of relative exposure per frame: mains light, shutter jitter
    clips_spread: float = 0.35  # sd of log clips per subject: some leak more often (4-20 of 267)
    label_spread: float = 0.5  # sd of log liking of label sets per subject: people differ
    # -- what follows is off in bench-v1; its draws come from generators of their own --
    # mean and sd of the share of the length from onset to apex, a Beta distribution; empty: rise
    apex_share: tuple = ()
    hold_share: float = 0.0  # share of clips in which the peak is held (a plateau)
    hold: tuple = (0.1, 0.3)  # share of the length for which it is held
    second_share: float = 0.0  # share of clips whose AUs come up once more while they relax
    second: tuple = (0.25, 0.5)  # how far up, relative to the peak
    mark_error: int = 0  # frames, +-, evenly: how far annotated onset and offset are off
    noise_log: bool = False  # the range of noise is drawn from log-evenly
    # degrees of freedom of Student's t that pose, place, drift and tremor follow; 0: normal
    head_tail: float = 0.0
    head_most: float = 3.0  # factor by which a heavy tail can enlarge a normal draw, at most
    ramp_light: float = 0.0  # sd of the log exposure by which light ramps or swells within a clip
    ramp_key: float = 0.0  # sd of the log strength the key light loses on the way
    blur: tuple = (0.0, 0.0)  # px of a view 224 px high: sd of the lens's blur, per clip and view
    jpeg: tuple = ()  # JPEG quality, whole numbers, per clip and view; empty: not compressed
    # share of clips of which one view is covered in part or out of focus (one half each)
    degraded_share: float = 0.0
    defocus: tuple = (3.0, 5.0)  # px of a view 224 px high: sd of the blur of a view out of focus
    # px/s of a view 224 px high, sd per axis: how fast what covers a view moves
    cover_speed: float = 0.0
    # (units, sd of log, degrees), sd per subject and AU: how far the field of an AU lies from its
    # place, is wider, is turned
    variation: tuple = (0.0, 0.0, 0.0)
    # share of its light that skin loses in a furrow at activation 1, and sd of its log per subject
    # and AU
    furrows: tuple = (0.0, 0.0)
    background: float = 0.0  # grey levels, sd of what stands behind a person; 0: plain and bright
    # sd of the box a face detector finds, centre and log side, as a share of the side; boxes are
    # written where the background is not plain
    box_error: float = 0.0
    coding_noise: float = 0.0  # share of clips whose coded AUs are not those that move
    ambiguous_share: float = 0.0  # share of the Others clips that AMBIGUOUS describes


PRESETS = {
    "bench-v1": Preset(),
    "bench-v2": Preset(
        margin=(4, 7),  # our choice: room for key frames that are off by mark_error
        # CAS(ME)^3 (Li et al., TPAMI 2023), annotated apex frames: mean .31, sd .165, 5-95 % .04
        # to .58; ours rises somewhat later, as clips are no shorter than 12 frames
        apex_share=(0.36, 0.15),
        hold_share=0.35,  # our choice: a third of the peaks is held
        second_share=0.2,  # our choice: a fifth comes up again
        mark_error=3,  # our choice: 50 ms at 60 frames/s
        # camera noise between frames of two real sets is about 2 grey levels sd, narrowly spread
        # (measured on two licensed sets): our choice is half of that to twice
        noise=(0.9, 4.0),
        noise_log=True,  # our choice: as many clips between 1 and 2 as between 2 and 4
        subject_gain=0.35,  # our choice: people differ more than in bench-v1
        clip_gain=0.3,  # our choice: so do clips
        habit_share=0.5,  # our choice: half the clips show a mannerism, too
        habit_level=(0.1, 0.3),  # our choice: up to a third of what is coded
        drift_deg=1.6,  # our choice: twice bench-v1's, as nobody is told to keep still
        drift=0.04,  # our choice: 4 mm/s, as above
        head_tail=4.0,  # our choice: most people sit still, some do not
        ramp_light=0.03,  # our choice: a cloud, a screen: 3 % of the exposure, sd
        ramp_key=0.06,  # our choice: the same of one lamp
        blur=(0.3, 1.2),  # our choice: from sharp to slightly out of focus
        jpeg=(60, 95),  # our choice: qualities that cameras and video sites use
        degraded_share=0.2,  # our choice: a fifth of the clips
        cover_speed=20.0,  # our choice: 2.5 cm/s at the face, slow for a hand
        variation=(0.04, 0.2, 20.0),  # our choice: muscles lie (4 mm) and pull differently
        furrows=(0.35, 0.4),  # our choice: a macro-expression's takes a third of the light
        background=25.0,  # our choice: an office
        box_error=0.03,  # our choice: a few px of a face of 110
        coding_noise=0.09,  # our choice: some of what coders disagree about stays wrong
        ambiguous_share=0.85,  # our choice: most of what coders call Others is no clear AU
    ),
}

# Others clips that are no single AU, our choice: {reason: AU sets}. Weak: AUs of another emotion,
# too faint to name it. One-sided: the same on one side of the face. Mixed: sets that 4DME's rule
# would give an emotion, but whose AUs belong to several (1+4: sad or afraid; 2+4: attentive).
AMBIGUOUS = {
    "weak": ((4,), (7,), (12,), (1, 2), (14,), (17,), (24,)),
    "one-sided": ((12,), (2,), (4,), (10,), (14,), (15,), (24,)),
    "mixed": ((1, 4), (2, 4), (1, 7), (2, 7), (4, 14), (7, 12), (15, 17)),
}
# AUs that coders take for one another or overlook beside one another: neighbours on the face
NEIGHBOURS = {
    1: (2, 4), 2: (1, 5), 4: (7, 9), 5: (2, 7), 6: (7, 12), 7: (4, 6), 9: (4, 10), 10: (9, 12),
    12: (6, 14), 14: (12, 24), 15: (17, 14), 17: (15, 24), 24: (17, 14),
}  # fmt: skip
# AUs around the mouth that are small or rare: coders err about them this many times as often as
# about others (our choice)
SUBTLE, SUBTLE_WEIGHT = frozenset({10, 14, 15, 17, 24}), 4.0


@dataclass(frozen=True)
class Plan:
    """What a clip shows; ``simulate`` turns it into motion. ``labels`` follow LABELS as 0/1."""

    clip: str
    subject: str
    labels: tuple
    aus: tuple  # those that move
    face_seed: int
    clip_seed: int
    preset: str
    coded: tuple | None = None  # AUs that the coder wrote down; None: those that move
    reason: str = ""  # why the coder chose Others whatever the AUs: a key of AMBIGUOUS


def label_of(aus, reason=""):
    """Return the label names (in LABELS order) of a set of coded AUs, as 4DME combines them.

    AU15 alone is Negative, as in 4DME's generic pattern (Li et al., TAFFC 2022: AU4, 9, 10, 15);
    the CASME family counts AU15 and AU17 to repression or sadness. What a coder found ambiguous,
    for a ``reason`` in AMBIGUOUS, is Others.
    """
    if reason:
        return ("Others",)
    aus = set(aus)
    meanings = {
        "Negative": bool(aus & {4, 7, 9, 10, 15}) and 12 not in aus,
        "Positive": 12 in aus,
        "Repression": bool(aus & {14, 17, 24}),
        "Surprise": {1, 2} <= aus,
    }
    return tuple(name for name, yes in meanings.items() if yes) or ("Others",)


def get_preset(name):
    """Return the Preset called ``name``; raise MerError if there is none."""
    if name not in PRESETS:
        raise MerError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def plan_clips(subjects=24, clips=267, seed=0, preset="bench-v1"):
    """Return Plans sorted by subject: label sets in 4DME's proportions, spread unevenly.

    Raises MerError unless 1 <= subjects <= clips, seed >= 0 and the preset exists.
    """
    levels = get_preset(preset)
    if not 1 <= subjects <= clips or seed < 0:
        rule = "1 <= subjects <= clips, seed >= 0"
        raise MerError(f"{subjects} subjects with {clips} clips (seed {seed}) cannot be: {rule}")
    rng = np.random.default_rng([seed, 7])
    plans = []
    for number, owned in enumerate(_share_out(rng, _choose_aus(clips), subjects, levels), start=1):
        subject = f"S{number:02d}"
        for k, aus in enumerate(owned, start=1):
            names = label_of(aus)
            labels = tuple(int(label in names) for label in LABELS)
            keys = (seed, number), (seed, number, k)
            seeds = [int(np.random.SeedSequence(key).generate_state(1)[0]) for key in keys]
            plans.append(Plan(f"{subject}_{k:03d}", subject, labels, aus, *seeds, preset))
    return _miscode(_blur_others(plans, levels, seed), levels, seed)


def _blur_others(plans, levels, seed):
    """Give a share of the Others clips an ambiguous AU set, its reasons in turn; labels stay."""
    rng = np.random.default_rng([seed, 17])
    others = [k for k, plan in enumerate(plans) if label_of(plan.aus) == ("Others",)]
    chosen = rng.permutation(others)[: round(levels.ambiguous_share * len(others))]
    for n, k in enumerate(chosen):
        reason = tuple(AMBIGUOUS)[n % len(AMBIGUOUS)]
        aus = AMBIGUOUS[reason][rng.integers(len(AMBIGUOUS[reason]))]
        plans[k] = replace(plans[k], aus=aus, reason=reason)
    return plans


def _miscode(plans, levels, seed):
    """Let other AUs move than were coded in a share of the clips; codes and labels stay.

    One was overlooked, written down though it was not there, or taken for a neighbour.
    """
    rng = np.random.default_rng([seed, 19])
    weight = np.array([SUBTLE_WEIGHT if SUBTLE & {*plan.aus} else 1.0 for plan in plans])
    count = round(levels.coding_noise * len(plans))
    chosen = rng.choice(len(plans), count, replace=False, p=weight / weight.sum())
    for n, k in enumerate(chosen):
        coded = plans[k].aus
        doubtful = [au for au in coded if au in SUBTLE] or coded
        au = doubtful[rng.integers(len(doubtful))]
        near = [other for other in NEIGHBOURS[au] if other not in coded] or [5]
        kind = ("overlooked", "invented", "confused")[n % 3]
        kept = coded if kind == "overlooked" else tuple(other for other in coded if other != au)
        if kind != "invented" or not kept:  # something moves in every clip
            kept = tuple(sorted({*kept, near[rng.integers(len(near))]}))
        plans[k] = replace(plans[k], aus=kept, coded=coded)
    return plans


def _largest_remainder(counts, total):
    """Return whole numbers proportional to ``counts`` that sum to ``total``."""
    exact = np.array(counts, float) * total / sum(counts)
    whole = np.floor(exact).astype(int)
    whole[np.argsort(-(exact - whole), kind="stable")[: total - whole.sum()]] += 1
    return whole


def _choose_aus(clips):
    """Return one AU tuple per clip; from five clips on, every label occurs."""
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
                able = [i for i, name in enumerate(names) if label in name]
                share[max(able, key=sizes.__getitem__)] += 1
    chosen = []
    for name, n in zip(names, share, strict=True):
        per_recipe = _largest_remainder([RECIPES[aus] for aus in sets[name]], n)
        for aus, times in zip(sets[name], per_recipe, strict=True):
            chosen += [aus] * times
    return chosen


def _share_out(rng, chosen, subjects, levels):
    """Deal AU sets to subjects in uneven numbers; each subject likes some label sets more."""
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
