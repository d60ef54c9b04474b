"""A trained ensemble on disk, and what it says of a folder of frames that nobody has labelled."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mer_utils import MerError
from mer_utils.artifacts import write_bytes
from mer_utils.clips import Clip, list_frames
from mer_utils.features import FrontEnd, extract_clip
from mer_utils.fitting import NetworkMember, Recipe, choose_maps, load_members, merge_views
from mer_utils.metrics import decide

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Ensemble:
    """The networks of all folds with what they were trained on: ``members`` score maps of ``shape`` (V, P, 3, S, S)."""

    members: tuple[NetworkMember, ...]
    labels: tuple[str, ...]
    shape: tuple[int, ...]
    thresholds: np.ndarray  # (L,) median over folds
    recipe: Recipe
    front_end: FrontEnd
    trained_on: str
    exclusive: bool = False

    def score(self, maps):
        """Return for maps (V, P, 3, S, S) each member's probabilities (M, L) and attention weights (M, 3)."""
        if maps.shape != self.shape:
            raise MerError(f"maps of shape {maps.shape} do not fit an ensemble trained on {self.shape} (V, P, 3, S, S)")
        x, count = choose_maps(maps[None], self.recipe)
        pairs = [member.score(x) for member in self.members]
        scores = [merge_views(score, count, self.recipe.merge)[0] for score, _ in pairs]
        return np.stack(scores), np.stack([look.mean(0) for _, look in pairs])


@dataclass(frozen=True)
class Prediction:
    """What an ensemble says of one clip, with everything that led there."""

    labels: tuple[str, ...]
    scores: np.ndarray  # (M, L) each member's probabilities
    thresholds: np.ndarray  # (L,)
    attention: np.ndarray  # (3,) mean weight of u, v, magnitude
    onset: int
    apex: int
    offset: int
    curve: np.ndarray  # (V, T) px
    maps: np.ndarray  # (V, P, 3, S, S) px
    boxes: np.ndarray  # (V, 4) px
    trained_on: str
    exclusive: bool = False

    @property
    def answers(self):
        """Yes or no to each label, (L,): the mean against the threshold, or the largest of exclusive labels."""
        return decide(self.scores.mean(0)[None], self.thresholds, self.exclusive)[0].astype(bool)

    def table(self):
        """Return {label: {probability, spread, threshold, answer}}; the spread is the standard deviation over
        members, the threshold of exclusive labels NaN.
        """
        mean, spread, answers = self.scores.mean(0), self.scores.std(0), self.answers
        return {
            label: {
                "probability": round(float(mean[k]), 4),
                "spread": round(float(spread[k]), 4),
                "threshold": round(float(self.thresholds[k]), 4),
                "answer": bool(answers[k]),
            }
            for k, label in enumerate(self.labels)
        }


def save_ensemble(path, outcome, features, recipe, front_end, trained_on):
    """Write the networks of an Outcome as one safetensors file that ``load_ensemble`` needs nothing else to read."""
    meta = {
        "labels": features.labels,
        "shape": features.x.shape[1:],
        "recipe": asdict(recipe),
        "front_end": asdict(front_end),
        "trained_on": trained_on,
        "folds": len(outcome.members),
        "exclusive": features.exclusive,
    }
    tensors = {f"{n}.{name}": value for n, fold in enumerate(outcome.members) for name, value in fold.items()}
    tensors["thresholds"] = np.median(outcome.thresholds, 0).round(6)
    write_bytes(path, save(tensors, metadata={"mer": json.dumps(meta)}))


def find_weights(root):
    """Return the weights that notebook 05 kept under ``root``: full profile first, then paper, then course."""
    paths = [Path(root) / "artifacts" / profile / "05" / WEIGHTS for profile in ("full", "paper", "course")]
    return next((path for path in paths if path.is_file()), paths[-1])


def load_ensemble(path):
    """Read what ``save_ensemble`` wrote; raise MerError if the file is missing or is something else."""
    path = Path(path)
    if not path.is_file():
        raise MerError(
            f"{path}: no trained weights; `mer run --only 05` trains them (add --profile full for all folds)"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            meta = json.loads((file.metadata() or {})["mer"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        recipe, front_end = Recipe(**meta["recipe"]), FrontEnd(**meta["front_end"])
        shape = tuple(meta["shape"])
        seen = choose_maps(np.zeros((1, *shape), np.float32), recipe)[0].shape[1:]
        thresholds, members = tensors.pop("thresholds"), []
        for n in range(meta["folds"]):
            fold = {name.removeprefix(f"{n}."): value for name, value in tensors.items() if name.startswith(f"{n}.")}
            members += load_members(fold, recipe, seen, len(meta["labels"]), meta["exclusive"])
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
        raise MerError(
            f"{path}: not weights that this version wrote; train them anew with `mer run --only 05`"
        ) from None
    about = (recipe, front_end, meta["trained_on"], meta["exclusive"])
    return Ensemble(tuple(members), tuple(meta["labels"]), shape, thresholds, *about)


def predict_folder(folder, ensemble, onset=0, offset=None):
    """Run frames of one clip through the whole pipeline: views, crop, apex, phase flow, every network; return a
    Prediction.

    ``folder`` holds numbered frames as ``ensemble`` was trained on (both views side by side if it has two); ``onset``
    and ``offset`` are frame numbers counted from 0, by default the first and the last frame.
    """
    frames = list_frames(folder)
    offset = len(frames) - 1 if offset is None else offset
    if not 0 <= onset < offset - 1 or offset >= len(frames):
        raise MerError(
            f"{folder}: onset {onset} and offset {offset} must lie in its {len(frames)} frames (counted from 0), "
            "with a frame between them"
        )
    clip = Clip(Path(folder).name, "unknown", (), frames, onset, None, offset, None, None)
    maps, apex, curve, boxes = extract_clip(clip, ensemble.shape[0], ensemble.front_end)
    scores, looks = ensemble.score(maps)
    about = (ensemble.trained_on, ensemble.exclusive)
    return Prediction(
        ensemble.labels, scores, ensemble.thresholds, looks.mean(0), onset, apex, offset, curve, maps, boxes, *about
    )
