"""A trained ensemble on disk, and what it predicts for a clip that has no labels."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from mer_utils import STREAMS, MerError
from mer_utils.apex import joint_curve
from mer_utils.dataset import hash_frames
from mer_utils.evaluation import decide
from mer_utils.features import FrontEnd, measure_crops
from mer_utils.files import read_arrays, write_arrays
from mer_utils.study import to_plain
from mer_utils.training import NetworkMember, Recipe, choose_maps, load_members, pick

import numpy as np

WEIGHTS = "weights.safetensors"
STILL = 1e-3  # px, or that share of what ready-made maps can show: below it nothing moves


@dataclass(frozen=True)
class Ensemble:
    """The networks of all folds, with what they were trained on."""

    members: tuple[NetworkMember, ...]  # fold by fold
    labels: tuple[str, ...]
    shape: tuple[int, ...]  # (V, P, 3, S, S)
    fold_thresholds: np.ndarray  # (F, L)
    recipe: Recipe
    front_end: FrontEnd
    trained_on: str
    exclusive: bool = False
    channels: list[str] | None = None  # of the flow images that were learnt; None: frames
    # {hash of a training clip's onset frame: (subject, fold that left them out)}; {}: not known
    learnt: dict[str, tuple[str, int]] = field(default_factory=dict)
    left_out: str | None = None  # a subject whom these networks never saw, but the others did

    @property
    def thresholds(self):
        """The median over folds, (L,)."""
        return np.median(self.fold_thresholds, 0).round(6)

    def leave_out(self, paths):
        """Return who may answer a clip of these frames' files: all networks or, where these learnt
        from one of them, the fold that left the clip's subject out.
        """
        known = [self.learnt.get(hash_frames([path])) for path in paths if self.learnt]
        if not any(known):
            return self
        subject, fold = next(filter(None, known))
        size = len(self.members) // len(self.fold_thresholds)
        members = self.members[fold * size : (fold + 1) * size]
        about = {"trained_on": f"{self.trained_on} without {subject}", "left_out": subject}
        return replace(self, members=members, fold_thresholds=self.fold_thresholds[[fold]], **about)

    def score(self, maps):
        """Return for maps (V, P, 3, S, S) each member's probabilities (M, L) and the weights (M, 3)
        that its attention gives to u, v and magnitude.
        """
        if maps.shape != self.shape:
            raise MerError(f"maps {maps.shape} do not fit an ensemble trained on {self.shape}")
        # a copy: torch wants to write
        x = choose_maps(np.array(maps, np.float32)[None], self.recipe)
        scores, weights = zip(*(member.score(x) for member in self.members), strict=True)
        return np.concatenate(scores), np.concatenate(weights)


@dataclass(frozen=True)
class OwnClip:
    """One clip as it was read: what the ensemble needs to answer it."""

    name: str
    first: tuple[np.ndarray, ...]  # the first frame (H, W) of each view
    crops: np.ndarray  # (V, T, S, S)
    boxes: tuple[tuple[int, int, int, int], ...]  # px
    found: str  # how the boxes were found: manifest (given), mesh, silhouette, face model, fallback
    onset: int
    offset: int


@dataclass(frozen=True)
class Prediction(OwnClip):
    """What an ensemble says of one clip, with everything that led there."""

    ensemble: Ensemble
    scores: np.ndarray  # (M, L) each member's probabilities
    attention: np.ndarray  # (3,) mean weight of u, v, magnitude
    apex: int
    curve: np.ndarray  # (V, T) px
    joint: np.ndarray  # (T,) px, the curve of all views in which the apex was sought
    maps: np.ndarray  # (V, P, 3, S, S) px

    labels = property(lambda self: self.ensemble.labels)
    thresholds = property(lambda self: self.ensemble.thresholds)
    exclusive = property(lambda self: self.ensemble.exclusive)

    @property
    def answers(self):
        """Yes or no to each label, (L,), by the mean probability."""
        return decide(self.scores.mean(0)[None], self.thresholds, self.exclusive)[0].astype(bool)

    def table(self):
        """Return {label: {probability, spread (sd over members), threshold, answer}}. Exclusive
        labels, and a label that no inner subject showed, have the threshold None.
        """
        limits = [limit if np.isfinite(limit) else None for limit in self.thresholds]
        columns = (self.scores.mean(0), self.scores.std(0), limits, self.answers)
        names = ("probability", "spread", "threshold", "answer")
        rows = zip(self.labels, *columns, strict=True)
        return {label: to_plain(dict(zip(names, row, strict=True))) for label, *row in rows}

    def to_json(self):
        """Return everything but the pictures as JSON values."""
        about = {"clip": self.name, "trained_on": self.ensemble.trained_on}
        about |= {"networks": len(self.scores), "labels": self.table()}
        about["attention"] = dict(zip(STREAMS, self.attention, strict=True))
        about |= {"onset": self.onset, "apex": self.apex, "offset": self.offset}
        about |= {"boxes": np.array(self.boxes, int), "boxes_found_by": self.found}
        return to_plain(about | {"motion_curve_px": self.curve})


def predict_crops(clip, ensemble):
    """Return the ensemble's Prediction of an OwnClip; MerError where nothing moves."""
    options = ensemble.front_end
    maps, apex, curve = measure_crops(clip.crops, clip.onset, clip.offset, options)
    check_motion(f"clip {clip.name}", maps)
    scores, attention = ensemble.score(maps)
    motion = apex, curve, joint_curve(curve, options.rule, options.smoothing), maps
    return Prediction(*vars(clip).values(), ensemble, scores, attention.mean(0), *motion)


def save_ensemble(path, outcome, features, recipe, front_end, trained_on):
    """Write the networks of an Outcome as one safetensors file for ``load_ensemble``."""
    meta = {name: getattr(features, name) for name in ("labels", "exclusive", "channels")}
    meta |= {"shape": features.x.shape[1:], "folds": len(outcome.members)}
    meta |= {"recipe": asdict(recipe), "front_end": asdict(front_end), "trained_on": trained_on}
    meta["learnt"] = {}
    folds = [f",{names}," for names in outcome.subjects]
    if features.onsets and len(folds) == len(outcome.members):
        for onset, name in zip(features.onsets, features.subjects.tolist(), strict=True):
            meta["learnt"][onset] = name, [f",{name}," in names for names in folds].index(True)
    tensors = {"thresholds": outcome.fold_thresholds}
    for n, fold in enumerate(outcome.members):
        tensors |= {f"{n}.{name}": value for name, value in fold.items()}
    write_arrays(path, tensors, meta)


def find_weights(root):
    """Return the weights that notebook 05 kept under ``root``: of your own dataset, else of
    synthetic faces; of the profile paper first, then full, then course. Raises MerError where
    several datasets have some.
    """
    kept = Path(root) / "artifacts"
    for place in ("paper-*", "full-*", "course-*", "paper", "full", "course"):
        paths = sorted(kept.glob(f"{place}/05/{WEIGHTS}"))
        if len(paths) > 1:
            what = f"has weights of {len(paths)} datasets; choose with --weights: "
            raise MerError(kept, what + ", ".join(map(str, paths)))
        if paths:
            return paths[0]
    return kept / "course" / "05" / WEIGHTS


def load_ensemble(path):
    """Read what ``save_ensemble`` wrote; MerError for a file that is missing or something else."""
    try:
        tensors, meta = read_arrays(path)
        recipe, front_end = Recipe(**meta["recipe"]), FrontEnd(**meta["front_end"])
        labels, shape, exclusive = tuple(meta["labels"]), tuple(meta["shape"]), meta["exclusive"]
        used = choose_maps(np.zeros((1, *shape), np.float32), recipe).shape[1:]
        members = []
        for n in range(meta["folds"]):
            members += load_members(pick(tensors, n), recipe, used, len(labels), exclusive)
        # older files hold the median of the thresholds, and do not say what was learnt
        thresholds, learnt = np.atleast_2d(tensors["thresholds"]), meta.get("learnt", {})
        about = recipe, front_end, meta["trained_on"], exclusive, meta["channels"], learnt
        return Ensemble(tuple(members), labels, shape, thresholds, *about)
    except (MerError, KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).removeprefix(f"{path}: ").split())
        retrain = "train the weights anew with `mer run --only 05`"
        raise MerError(path, f"no weights to predict with ({reason}); {retrain}") from None


def check_kind(where, ensemble, channels):
    """Raise MerError unless maps that come from ``channels`` (of flow images; None: from frames)
    are of the kind that the Ensemble learnt: px and the units of pictures are no match.
    """
    kinds = [", ".join(sorted(names or ())) for names in (ensemble.channels, channels)]
    if kinds[0] != kinds[1]:
        kinds = [f"ready-made flow images ({kind})" if kind else "frames" for kind in kinds]
        what = "the weights learnt from {} and cannot answer {}".format(*kinds)
        raise MerError(where, f"{what}; train on data of the same kind")


def check_motion(where, maps):
    """Raise MerError where maps (V, P, 3, S, S) show no motion: there is nothing to answer from."""
    if not np.ptp(maps, axis=(-2, -1)).max() > STILL:
        what = "nothing moves in the face box from onset to offset, so there is no answer"
        raise MerError(where, f"{what}; look at the frames and the box")
