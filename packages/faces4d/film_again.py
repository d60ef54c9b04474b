"""The same clips filmed again with one thing changed, which only known truth allows.

The networks that judge them are those of a finished run, each asked only about people it never saw.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from faces4d.cameras import cameras
from faces4d.head import AUS
from faces4d.motion import read_truth, scale_head, simulate, true_motion
from faces4d.rendering import add_noise, expose_clip, find_head
from faces4d.scenario import get_preset, plan_clips
from faces4d.surroundings import compress
from mer_utils import checked
from mer_utils.ablations import score_with_interval
from mer_utils.cache import key_of, name_result
from mer_utils.dataset import Clip
from mer_utils.evaluation import decide, revisit_folds
from mer_utils.features import FrontEnd, extract_clip
from mer_utils.files import recall, write_arrays
from mer_utils.jobs import run_jobs
from mer_utils.preprocessing import square_box
from mer_utils.training import choose_maps

import numpy as np
from annotated_types import Ge, Le


@checked
class Condition:
    """How a clip is filmed again; the defaults film it as it was."""

    motion: Annotated[float, Ge(0)] = 1.0  # factor on the expression's motion; blinks stay
    noise: float = -1.0  # grey levels, sd of the camera's noise; below 0: the clip's own
    head: Annotated[float, Ge(0)] = 1.0  # factor on the head's motion from its first pose
    yaw: Annotated[float, Ge(0), Le(60)] = 25.0  # degrees, each camera's angle off the middle
    views: Literal[1, 2] = 2  # cameras that film; 1: the left one alone


def change_motion(motion, condition):
    """Return a clip's Motion as a Condition wants it (its view angle belongs to the cameras)."""
    weights = motion.weights * np.float32(condition.motion)
    weights[:, AUS.index(45)] = motion.weights[:, AUS.index(45)]
    noise = motion.noise_sigma if condition.noise < 0 else condition.noise
    moved = scale_head(motion, condition.head)
    if motion.degraded >= condition.views:  # a cover stands before a camera that does not film
        moved = replace(moved, degraded=-1, cover_seed=0)
    return replace(moved, weights=weights, noise_sigma=noise)


def measure_motion(dataset, rows):
    """Return the mean motion (R,) of the clips' faces at the apex, in px of a 128 px crop."""
    levels = get_preset(dataset.info["preset"])
    scale = levels.crop_px / levels.crop_units
    truths = [read_truth(dataset, dataset.clips[row]) for row in rows]
    return np.array([true_motion(truth).max() * scale for truth in truths])


def film_again(dataset, rows, conditions, options=FrontEnd(), cache=None, jobs=1):
    """Film the clips ``rows`` of a synthetic Dataset under each Condition and run the front end.

    Returns for each condition the maps (R, V, P, 3, S, S) and the apex found (R,). Finished
    conditions are kept in ``cache``.
    """
    rows, size = [int(row) for row in rows], dataset.info["size"]
    paths, films = {}, {}
    if cache:
        name = name_result("filmed", probe_filming, options, cache=cache)
        for condition in conditions:
            key = key_of(name, condition, dataset.fingerprint, rows)
            paths[condition] = cache / "filmed" / f"{key}.safetensors"
            films[condition] = recall(paths[condition])
    missing = [condition for condition in conditions if films.get(condition) is None]
    clips = [dataset.clips[row] for row in rows] if missing else []
    work = [(clip, read_truth(dataset, clip), size, missing, options) for clip in clips]
    results = run_jobs(_film_clip, work, jobs)
    for condition, answers in zip(missing, zip(*results, strict=True), strict=True):
        maps, apex = zip(*answers, strict=True)
        films[condition] = {"maps": np.stack(maps), "apex": np.array(apex)}
        if cache:
            write_arrays(paths[condition], films[condition])
    return [(films[condition]["maps"], films[condition]["apex"]) for condition in conditions]


def _film_clip(clip, truth, size, conditions, options):
    """Return (maps, apex) of a clip under each Condition."""
    exposed, result = {}, []
    for condition in conditions:
        motion = change_motion(truth, condition)
        views = cameras(size, condition.yaw)[: condition.views]
        geometry = replace(condition, noise=0.0)
        if geometry not in exposed:
            exposed[geometry] = expose_clip(motion, views)
        noisy = add_noise(exposed[geometry], motion.noise_seed, motion.noise_sigma)
        frames = compress(noisy, motion.jpeg)
        boxed = replace(clip, boxes=_move_boxes(clip.boxes, motion, cameras(size), views))
        maps, apex, _, _ = extract_clip(boxed, len(views), options, frames)
        result.append((maps, apex))
    return result


def probe_filming(options):
    """Return by name what three Conditions make of a small clip with a box: the probe of films."""
    truth = simulate(plan_clips(3, 30, 5)[1])
    boxes = ((10, 10, 60, 60), (12, 8, 62, 58))
    clip = Clip("", "", None, Path(), (), truth.onset, truth.apex, truth.offset, None, boxes)
    conditions = Condition(), Condition(0.5, 4.0, 2.0, 10.0), Condition(views=1)
    films = enumerate(_film_clip(clip, truth, 96, conditions, options))
    return {str(k): np.append(maps, apex) for k, (maps, apex) in films}


def _move_boxes(boxes, motion, before, after):
    """Return the manifest's boxes, if any, as far off the face as before, for cameras ``after``."""
    moved = []
    for (x0, y0, x1, y1), old, new in zip(boxes or (), before, after, strict=False):
        (x, y, side), (to_x, to_y, to_side) = find_head(motion, old), find_head(motion, new)
        scale = to_side / side
        centre = to_x + scale * ((x0 + x1) / 2 - x), to_y + scale * ((y0 + y1) / 2 - y)
        moved.append(square_box(*centre, scale * (x1 - x0), new.width, new.height))
    return tuple(moved) or None


def film_front(dataset, features, options=FrontEnd(), cache=None, jobs=1):
    """Return the Features of the same clips by one camera in front: a control for two views.

    Noise, light and covers are those of the left camera; the apex is found in this one view.
    """
    front = Condition(yaw=0.0, views=1)
    maps, apex = film_again(dataset, range(len(dataset)), [front], options, cache, jobs)[0]
    return replace(features, x=maps, apex=apex)


def answer_again(outcome, features, recipe, rows, maps):
    """Return the answers (R, L) to the maps (R, V, P, 3, S, S) of the clips ``rows``.

    Each comes from the networks and thresholds of the fold that left its subject out.
    """
    scores = np.zeros((len(rows), features.y.shape[1]))
    for test, members in revisit_folds(outcome, features, recipe):
        own = np.flatnonzero(np.isin(rows, test))
        if len(own):
            x = choose_maps(maps[own], recipe)
            scores[own] = np.mean([member.score(x)[0] for member in members], 0)
    return decide(scores, outcome.thresholds[rows], features.exclusive)


def turn_knobs(dataset, features, outcome, recipe, rows, knobs, cache=None, jobs=1, seed=0):
    """Film the clips ``rows`` again for each setting of ``knobs`` {knob: {setting: Condition}} and
    ask a finished run's networks about them.

    Returns {knob: {"settings": (K,), "macro_uf1": [(value, low, high)], "apex_error_frames":
    [(value, low, high)]}} with 95 % intervals, over people and over clips.
    """
    wanted = list(dict.fromkeys(c for settings in knobs.values() for c in settings.values()))
    films = film_again(dataset, rows, wanted, FrontEnd(), cache, jobs)
    truth, people = features.y[rows], features.subjects[rows]
    apex = np.array([dataset.clips[row].apex for row in rows])
    drawn = np.random.default_rng(seed).integers(len(rows), size=(500, len(rows)))
    measured = {}
    for condition, (maps, found) in zip(wanted, films, strict=True):
        answers = answer_again(outcome, features, recipe, rows, maps)
        error = np.abs(found - apex)
        ends = np.percentile(error[drawn].mean(1), [2.5, 97.5])
        score = score_with_interval(truth, answers, people, seed=seed)
        measured[condition] = score, (float(error.mean()), *map(float, ends))
    return {
        knob: {
            "settings": list(settings),
            "macro_uf1": [measured[condition][0] for condition in settings.values()],
            "apex_error_frames": [measured[condition][1] for condition in settings.values()],
        }
        for knob, settings in knobs.items()
    }
