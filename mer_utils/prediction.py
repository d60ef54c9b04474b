"""A trained ensemble on disk, and what it says of a clip that nobody has labelled: frames, a film,
or meshes.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from mer_tools.clips import known_views, read_clip
from mer_utils import STREAMS, MerError
from mer_utils.apex import joint_curve
from mer_utils.evaluation import decide
from mer_utils.features import FrontEnd, measure_crops
from mer_utils.files import read_arrays, write_arrays
from mer_utils.training import NetworkMember, Recipe, choose_maps, load_members, merge_views

import numpy as np

WEIGHTS = "weights.safetensors"
STILL = 1e-3  # px, or that share of what ready-made maps can show: below it nothing moves


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
    channels: tuple[str, ...] | None = None  # of the flow images that were learnt; None: frames

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
        "channels": features.channels,
    }
    tensors = {
        f"{n}.{name}": value
        for n, fold in enumerate(outcome.members)
        for name, value in fold.items()
    }
    tensors["thresholds"] = np.median(outcome.fold_thresholds, 0).round(6)
    write_arrays(path, tensors, meta)


def find_weights(root):
    """Return the weights that notebook 05 kept under ``root``: of a dataset that was given, else of
    synthetic faces; of the profile paper first, then full, then course. Raises MerError where
    several datasets have some.
    """
    kept, profiles = Path(root) / "artifacts", ("paper", "full", "course")
    for profile in profiles:
        own = sorted(kept.glob(f"{profile}-*/05/{WEIGHTS}"))
        if len(own) > 1:
            raise MerError(
                kept,
                f"weights of {len(own)} datasets lie there; choose with --weights: "
                f"{', '.join(map(str, own))}",
            )
        if own:
            return own[0]
    paths = [kept / profile / "05" / WEIGHTS for profile in profiles]
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
        shape, channels = tuple(meta["shape"]), meta["channels"] and tuple(meta["channels"])
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
    about = (recipe, front_end, meta["trained_on"], meta["exclusive"], channels)
    return Ensemble(tuple(members), tuple(meta["labels"]), shape, thresholds, *about)


def check_kind(where, ensemble, channels):
    """Raise MerError unless maps that come from ``channels`` (of flow images; None: from frames)
    are of the kind that the Ensemble learnt: px and the units of pictures are no match.
    """

    def tell(kind):
        return f"ready-made flow images ({', '.join(sorted(kind))})" if kind else "frames"

    if set(ensemble.channels or ()) != set(channels or ()):
        raise MerError(
            where,
            f"the weights learnt from {tell(ensemble.channels)} and cannot answer "
            f"{tell(channels)}; train on data of the same kind",
        )


def check_motion(where, maps):
    """Raise MerError where maps (V, P, 3, S, S) show no motion: there is nothing to answer from."""
    if not np.ptp(maps, axis=(-2, -1)).max() > STILL:
        raise MerError(
            where,
            "nothing moves in the face box from onset to offset, so there is no answer; look at "
            "the frames and the box",
        )


def predict_clip(source, ensemble, onset=0, offset=None, boxes=None, face_model=None, **camera):
    """Run one clip through the whole pipeline: views, crop, apex, phase flow, every network; return
    a Prediction.

    What is given besides the ``ensemble`` goes to ``read_clip``. Raises MerError for what cannot be
    used.
    """
    check_kind(source, ensemble, None)
    options, views = ensemble.front_end, ensemble.shape[0]
    if (known := known_views(source)) not in (None, views):
        raise MerError(
            source,
            f"its frames hold {known} view{'s' * (known > 1)}, the weights learnt from {views}; "
            "train on data of the same kind",
        )
    given = (onset, offset, boxes, face_model, options)
    clip = read_clip(source, views, *given, reader="the weights want", **camera)
    maps, apex, curve = measure_crops(clip.crops, clip.onset, clip.offset, options)
    check_motion(source, maps)
    scores, attention = ensemble.score(maps)
    joint = joint_curve(curve, options.rule, options.smoothing)
    return Prediction(
        clip.name, ensemble.labels, scores, ensemble.thresholds, attention.mean(0), clip.onset,
        apex, clip.offset, clip.first, clip.crops, curve, joint, maps, clip.boxes, clip.found,
        ensemble.trained_on, ensemble.exclusive,
    )  # fmt: skip
