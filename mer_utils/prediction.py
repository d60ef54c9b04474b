"""A trained ensemble, on disk and off it."""

from dataclasses import asdict, dataclass, field, replace

from mer_utils import MerError
from mer_utils.dataset import hash_frames
from mer_utils.features import FrontEnd
from mer_utils.files import read_arrays, write_arrays
from mer_utils.training import NetworkMember, Recipe, choose_maps, load_members, pick

import numpy as np

WEIGHTS = "weights.safetensors"


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
        """Return the Ensemble for these files: for a learnt clip, the fold without its subject."""
        known = [self.learnt.get(hash_frames([path])) for path in paths if self.learnt]
        if not any(known):
            return self
        subject, fold = next(filter(None, known))
        size = len(self.members) // len(self.fold_thresholds)
        members = self.members[fold * size : (fold + 1) * size]
        about = {"trained_on": f"{self.trained_on} without {subject}", "left_out": subject}
        return replace(self, members=members, fold_thresholds=self.fold_thresholds[[fold]], **about)

    def score(self, maps):
        """Return for maps (V, P, 3, S, S) each member's answer (M, L) and attention (M, 3)."""
        if maps.shape != self.shape:
            raise MerError(f"maps {maps.shape} do not fit an ensemble trained on {self.shape}")
        # a copy: torch wants to write
        x = choose_maps(np.array(maps, np.float32)[None], self.recipe)
        scores, weights = zip(*(member.score(x) for member in self.members), strict=True)
        return np.concatenate(scores), np.concatenate(weights)


def save_ensemble(path, outcome, features, recipe, front_end, trained_on):
    """Write the networks of an Outcome as one safetensors file for ``load_ensemble``."""
    meta = {name: getattr(features, name) for name in ("labels", "exclusive", "channels")}
    meta |= {"shape": features.x.shape[1:], "folds": len(outcome.members)}
    meta |= {"recipe": asdict(recipe), "front_end": asdict(front_end), "trained_on": trained_on}
    fold_of = {name: fold for fold, names in enumerate(outcome.subjects) for name in names}
    pairs = zip(features.onsets or [], features.subjects.tolist(), strict=False)
    known = len(outcome.subjects) == len(outcome.members)
    meta["learnt"] = {onset: (name, fold_of[name]) for onset, name in pairs if known}
    tensors = {"thresholds": outcome.fold_thresholds}
    for n, fold in enumerate(outcome.members):
        tensors |= {f"{n}.{name}": value for name, value in fold.items()}
    write_arrays(path, tensors, meta)


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
        about = recipe, front_end, meta["trained_on"], exclusive, meta["channels"], meta["learnt"]
        return Ensemble(tuple(members), labels, shape, tensors["thresholds"], *about)
    except (MerError, KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).removeprefix(f"{path}: ").split())
        retrain = "train the weights anew with `mer run --only 05`"
        raise MerError(path, f"no weights to predict with ({reason}); {retrain}") from None
