"""A trained ensemble on disk, and what it says of a clip that nobody has labelled: frames, a film,
or meshes.
"""

import sys
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path

from mer_utils import STREAMS, MerError
from mer_utils.core.files import read_arrays, write_arrays
from mer_utils.data.dataset import Clip, iterate_frames, list_frames
from mer_utils.data.images import VIDEO_TYPES, read_video
from mer_utils.data.meshes import film_meshes, holds_meshes, list_meshes
from mer_utils.learning.metrics import decide
from mer_utils.learning.recipe import Recipe, choose_maps, merge_views
from mer_utils.learning.trainer import NetworkMember, load_members
from mer_utils.method.apex import joint_curve
from mer_utils.method.features import FrontEnd, measure_crops
from mer_utils.method.preprocessing import FaceFinder, load_crops, locate, split_views

import numpy as np

WEIGHTS = "weights.safetensors"
LONGEST = 1000  # frames of one clip: many seconds, where a micro-expression lasts half of one


@dataclass(frozen=True)
class Ensemble:
    """The networks of all folds with what they were trained on: ``members`` score maps of ``shape``
    (V, P, 3, S, S).
    """

    members: tuple[NetworkMember, ...]
    labels: tuple[str, ...]
    shape: tuple[int, ...]
    thresholds: np.ndarray  # (L,) median over folds
    recipe: Recipe
    front_end: FrontEnd
    trained_on: str
    exclusive: bool = False

    def score(self, maps):
        """Return for maps (V, P, 3, S, S) each member's probabilities (M, L) and the weights (M, 3)
        that its attention gives to u, v and magnitude, over views and phases.
        """
        if maps.shape != self.shape:
            raise MerError(
                f"maps of shape {maps.shape} do not fit an ensemble trained on {self.shape} (V, "
                "P, 3, S, S)"
            )
        # a copy: torch wants to write
        x, count = choose_maps(np.array(maps, np.float32)[None], self.recipe)
        pairs = [member.score(x) for member in self.members]
        scores = [merge_views(score, count, self.recipe.merge)[0] for score, _ in pairs]
        return np.stack(scores), np.stack([look.mean(0).sum((0, 1)) for _, look in pairs])


@dataclass(frozen=True)
class Prediction:
    """What an ensemble says of one clip, with everything that led there."""

    name: str
    labels: tuple[str, ...]
    scores: np.ndarray  # (M, L) each member's probabilities
    thresholds: np.ndarray  # (L,)
    attention: np.ndarray  # (3,) mean weight of u, v, magnitude
    onset: int
    apex: int
    offset: int
    first: tuple[np.ndarray, ...]  # the first frame (H, W) of each view
    crops: np.ndarray  # (V, T, S, S)
    curve: np.ndarray  # (V, T) px
    joint: np.ndarray  # (T,) px, the curve of both views in which the apex was sought
    maps: np.ndarray  # (V, P, 3, S, S) px
    boxes: tuple[tuple[int, int, int, int], ...]  # px
    found: str  # how the boxes were found: manifest (given), mesh, silhouette, face model, fallback
    trained_on: str
    exclusive: bool = False

    @property
    def answers(self):
        """Yes or no to each label, (L,): the mean against the threshold, or the largest of
        exclusive labels.
        """
        return decide(self.scores.mean(0)[None], self.thresholds, self.exclusive)[0].astype(bool)

    def table(self):
        """Return {label: {probability, spread, threshold, answer}}; the spread is the standard
        deviation over members. Exclusive labels, and a label that no inner subject showed, have no
        threshold: None.
        """
        mean, spread, answers = self.scores.mean(0), self.scores.std(0), self.answers
        return {
            label: {
                "probability": round(float(mean[k]), 4),
                "spread": round(float(spread[k]), 4),
                "threshold": round(float(self.thresholds[k]), 4)
                if np.isfinite(self.thresholds[k])
                else None,
                "answer": bool(answers[k]),
            }
            for k, label in enumerate(self.labels)
        }

    def to_json(self):
        """Return everything but the pictures as JSON values."""
        return {
            "clip": self.name,
            "trained_on": self.trained_on,
            "networks": len(self.scores),
            "labels": self.table(),
            "attention": dict(
                zip(STREAMS, self.attention.astype(float).round(4).tolist(), strict=True)
            ),
            "onset": self.onset,
            "apex": self.apex,
            "offset": self.offset,
            "boxes": [list(map(int, box)) for box in self.boxes],
            "boxes_found_by": self.found,
            "motion_curve_px": self.curve.astype(float).round(4).tolist(),
        }


def save_ensemble(path, outcome, features, recipe, front_end, trained_on):
    """Write the networks of an Outcome as one safetensors file that ``load_ensemble`` needs nothing
    else to read.
    """
    meta = {
        "labels": features.labels,
        "shape": features.x.shape[1:],
        "recipe": asdict(recipe),
        "front_end": asdict(front_end),
        "trained_on": trained_on,
        "folds": len(outcome.members),
        "exclusive": features.exclusive,
    }
    tensors = {
        f"{n}.{name}": value
        for n, fold in enumerate(outcome.members)
        for name, value in fold.items()
    }
    tensors["thresholds"] = np.median(outcome.fold_thresholds, 0).round(6)
    write_arrays(path, tensors, meta)


def find_weights(root):
    """Return the weights that notebook 05 kept under ``root``: of the paper profile (real data)
    first, then full, then course (synthetic faces).
    """
    paths = [
        Path(root) / "artifacts" / profile / "05" / WEIGHTS
        for profile in ("paper", "full", "course")
    ]
    return next((path for path in paths if path.is_file()), paths[-1])


def load_ensemble(path):
    """Read what ``save_ensemble`` wrote; raise MerError if the file is missing or is something
    else.
    """
    path = Path(path)
    if not path.is_file():
        raise MerError(
            path,
            "no trained weights; `mer run --only 05` trains them (add --profile full "
            "for all folds)",
        )
    try:
        tensors, meta = read_arrays(path)
    except MerError as error:
        raise MerError(f"{error}; train the weights anew with `mer run --only 05`") from None
    for name, value in tensors.items():
        if name != "thresholds" and not np.isfinite(value).all():
            raise MerError(
                path,
                f"{name} holds values that are no numbers; train anew with `mer run --only 05`",
            )
    try:
        recipe, front_end = Recipe(**meta["recipe"]), FrontEnd(**meta["front_end"])
        shape = tuple(meta["shape"])
        seen = choose_maps(np.zeros((1, *shape), np.float32), recipe)[0].shape[1:]
        thresholds, members = tensors.pop("thresholds"), []
        for n in range(meta["folds"]):
            fold = {
                name.removeprefix(f"{n}."): value
                for name, value in tensors.items()
                if name.startswith(f"{n}.")
            }
            members += load_members(fold, recipe, seen, len(meta["labels"]), meta["exclusive"])
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise MerError(
            path, "not weights that this version wrote; train them anew with `mer run --only 05`"
        ) from None
    about = (recipe, front_end, meta["trained_on"], meta["exclusive"])
    return Ensemble(tuple(members), tuple(meta["labels"]), shape, thresholds, *about)


def open_film(source, views=2, size=448, yaw=25.0, fov=26.1, boxes=None):
    """Return the frames of ``source`` as an iterator of (V, H, W) uint8: a folder of numbered
    pictures or a film, both views side by side if ``views`` is 2, or a folder of OBJ or PLY meshes,
    filmed from -yaw and +yaw degrees with ``size`` px and ``fov`` degrees of height: then the
    list ``boxes`` gets the face's boxes with the first frame. Raises MerError for anything else.
    """
    source = Path(source)
    if source.is_file():
        if source.suffix.lower() not in VIDEO_TYPES:
            raise MerError(
                source, f"is neither a folder nor a film ({', '.join(sorted(VIDEO_TYPES))})"
            )
        return (split_views(frame, views) for frame in read_video(source))
    if source.is_dir() and holds_meshes(source):
        if views != 2:
            raise MerError(
                source, f"meshes give two views, but these weights were trained on {views}"
            )
        return film_meshes(list_meshes(source), size, yaw, fov, boxes=boxes)
    return (split_views(frame, views) for frame in iterate_frames(list_frames(source)))


def predict_clip(source, ensemble, onset=0, offset=None, boxes=None, face_model=None, **camera):
    """Run one clip through the whole pipeline: views, crop, apex, phase flow, every network; return
    a Prediction.

    ``source`` is what ``open_film`` reads (``camera`` goes there); ``onset`` and ``offset`` are
    frame numbers counted from 0, by default the first and the last frame. The crop box is the one
    given in ``boxes`` (x0, y0, x1, y1) px, one per view, else the mesh's, else the silhouette's,
    else YuNet's where ``face_model`` names its file, else the fallback. Raises MerError for what
    cannot be used.
    """
    source, options = Path(source), ensemble.front_end
    if onset < 0 or (offset is not None and not onset + 1 < offset < sys.maxsize // 2):
        raise MerError(
            source,
            f"onset {onset} and offset {offset} must be frame numbers counted from 0, with a "
            "frame between them",
        )
    finder = None if face_model is None else FaceFinder(face_model)  # a wrong file, whoever asks
    # as far as the smoothing looks
    needed = None if offset is None else offset + 1 + round(4 * options.smoothing)
    known = []
    film = islice(open_film(source, ensemble.shape[0], boxes=known, **camera), needed)
    first = next(film, None)
    if first is None:
        raise MerError(source, "holds no frames")
    height, width = first[0].shape
    if width < height / 2:
        wanted = "both views side by side in a frame" if len(first) == 2 else "one view per frame"
        raise MerError(
            source,
            f"each of {len(first)} views would be {width} x {height} px, too narrow "
            f"for a face; the weights want {wanted}",
        )
    given = boxes or tuple(known) or None
    clip = Clip(source.name, "unknown", None, source, (), 0, None, 0, boxes=given)
    found, how = locate(first, clip, options.enlarge)
    if known and boxes is None:
        how = "mesh"
    if how == "fallback" and finder is not None:
        found, how = tuple(finder.find(view) for view in first), "face model"
        if None in found:
            raise MerError(
                source,
                f"YuNet finds no face in view {found.index(None) + 1} of the first "
                "frame; give a box",
            )
    film = _count(source, chain([first], film))
    crops, _ = load_crops(
        replace(clip, boxes=found), ensemble.shape[0], options.crop, options.enlarge, film
    )
    offset = crops.shape[1] - 1 if offset is None else offset
    if not 0 <= onset < offset - 1 or offset >= crops.shape[1]:
        raise MerError(
            source,
            f"onset {onset} and offset {offset} must lie in its {crops.shape[1]} "
            "frames (counted from 0), "
            "with a frame between them",
        )
    maps, apex, curve = measure_crops(crops, onset, offset, options)
    scores, attention = ensemble.score(maps)
    joint = joint_curve(curve, options.rule, options.smoothing)
    return Prediction(
        source.name, ensemble.labels, scores, ensemble.thresholds, attention.mean(0), onset, apex,
        offset, tuple(first),
        crops, curve, joint, maps, found, how, ensemble.trained_on, ensemble.exclusive,
    )  # fmt: skip


def _count(source, film):
    """Pass the frames on; MerError when there are too many for one expression."""
    for number, frame in enumerate(film):
        if number == LONGEST:
            raise MerError(
                source,
                f"has more than {LONGEST} frames; cut it to one expression, or give its offset",
            )
        yield frame
