"""Learning without peeking: focal loss, early stopping on inner subjects, leave-one-subject-out over all subjects."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from joblib import Parallel, delayed
from safetensors.numpy import load_file, save
from torch import nn

from mer_utils import MerError
from mer_utils.artifacts import code_hash, key_of, write_bytes
from mer_utils.baselines import PcaSvm, STSTNet
from mer_utils.metrics import label_f1, macro_uf1, tune_thresholds
from mer_utils.model import MicroAttNet

torch.use_deterministic_algorithms(True)

NETWORKS = ("MicroAttNet", "STSTNet", "PCA+SVM")
VIEWS = ("channels", "samples", "left", "right")
LOSSES = ("focal", "bce")


@dataclass(frozen=True)
class Recipe:
    """Every choice between features and predictions; an ablation is this with one field replaced."""

    network: str = "MicroAttNet"  # MicroAttNet, STSTNet, PCA+SVM
    fusion: str = "attention"  # of the streams: attention, concat, mean
    se: str = "magnitude"  # squeeze-and-excitation on: magnitude, all, none
    width: int = 8  # filters of a stream's first convolution
    dropout: float = 0.5
    views: str = "channels"  # channels, samples (probabilities merged), left, right
    merge: str = "mean"  # of the views' probabilities: mean, or
    phases: int = 0  # how many phases are used; 0 = all there are
    loss: str = "focal"  # focal, bce
    gamma: float = 2.0  # focal loss: how much sure answers are played down
    alpha: str = "balanced"  # weight of a label's positives: balanced (1 - prevalence), none
    rate: float = 5e-3  # Adam's learning rate
    decay: float = 1e-3  # Adam's weight decay
    batch: int = 32
    epochs: int = 60  # at most
    patience: int = 8  # epochs without a better inner loss before stopping
    inner: int = 3  # parts of the training subjects, each left out once to stop on
    thresholds: str = "tuned"  # on the left-out inner subjects: tuned, or fixed 0.5
    flip: bool = True  # each training sample mirrored with probability 1/2
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """Pooled answers of all folds: scores and answers (N, L), thresholds (N, L) as used, attention (N, 3), curves (F,
    inner, epochs, 2).
    """

    scores: np.ndarray
    answers: np.ndarray
    thresholds: np.ndarray
    attention: np.ndarray
    curves: np.ndarray
    subjects: tuple[str, ...]
    members: tuple[dict, ...]  # weights of each fold's networks

    def uf1(self, truth):
        """Return {"macro": ..., "per_label": [...]} of the answers against ``truth`` (N, L)."""
        return {"macro": macro_uf1(truth, self.answers), "per_label": [float(f) for f in label_f1(truth, self.answers)]}


def focal_loss(logits, target, gamma=2.0, alpha=None):
    """Return the mean of -w (1 - p)^gamma log p over samples and labels, p the probability given to the true answer
    (Lin et al. 2017).

    logits and target (B, L); ``alpha`` (L,) weighs positives by alpha and negatives by 1 - alpha; None weighs both 1.
    gamma 0 is plain binary cross-entropy.
    """
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = (1 - torch.exp(-entropy)) ** gamma * entropy
    if alpha is not None:
        loss = loss * torch.where(target > 0.5, alpha, 1 - alpha)
    return loss.mean()


def flip(x):
    """Mirror maps (N, V, P, 3, S, S): columns reversed, u negated, left and right view exchanged (the face's right is
    then its left).
    """
    mirrored = torch.flip(x, (1, -1))
    sign = torch.tensor([-1.0, 1.0, 1.0])[:, None, None]
    return mirrored * sign


def split_subjects(subjects, parts, seed):
    """Deal the names of ``subjects`` (N,) into ``parts`` groups of about equally many clips; return N group numbers."""
    names, counts = np.unique(subjects, return_counts=True)
    if parts < 2 or len(names) < parts:
        raise MerError(
            f"{len(names)} training subjects cannot be split into {parts} inner parts (2 or more, one subject each)"
        )
    load, group = np.zeros(parts), {}
    for index in np.random.default_rng(seed).permutation(len(names)):
        group[names[index]] = int(np.argmin(load))
        load[group[names[index]]] += counts[index]
    return np.array([group[name] for name in subjects])


def build_network(recipe, shape, labels, seed):
    """Return the untrained network of a Recipe for samples of ``shape`` (V, P, 3, S, S)."""
    views, phases, _, size, _ = shape
    if recipe.network == "MicroAttNet":
        return MicroAttNet(views, phases, labels, size, recipe.fusion, recipe.se, recipe.width, recipe.dropout, seed)
    if recipe.network == "STSTNet":
        return STSTNet(views * phases * 3, labels, size, recipe.dropout, seed)
    raise MerError(f"network {recipe.network!r} is unknown; choose one of {', '.join(NETWORKS)}")


class NetworkMember:
    """One trained network with the scale of its inputs; ``fit`` keeps the epoch with the lowest loss on the left-out
    inner subjects.
    """

    def __init__(self, recipe, shape, labels, seed):
        self.recipe, self.seed = recipe, seed
        self.network = build_network(recipe, shape, labels, seed)
        self.scale = torch.ones(3)

    def fit(self, x, y, x_stop, y_stop):
        """Train on (x, y), stop on (x_stop, y_stop); return the losses (epochs, 2), NaN after the last epoch."""
        recipe = self.recipe
        x, y, x_stop, y_stop = (torch.from_numpy(np.asarray(a, np.float32)) for a in (x, y, x_stop, y_stop))
        self.scale = x.pow(2).mean((0, 1, 2, 4, 5)).sqrt().clamp_min(1e-6)  # of the training part alone
        x, x_stop = self._scaled(x), self._scaled(x_stop)
        alpha = 1 - y.mean(0).clamp(0.02, 0.98) if recipe.alpha == "balanced" else None
        gamma = recipe.gamma if recipe.loss == "focal" else 0.0
        mirrored = flip(x) if recipe.flip else x
        optimiser = torch.optim.Adam(self.network.parameters(), recipe.rate, weight_decay=recipe.decay, fused=True)
        torch.manual_seed(self.seed)  # order of samples and dropout
        curve = np.full((recipe.epochs, 2), np.nan, np.float32)
        best, waited, kept = np.inf, 0, None
        for epoch in range(recipe.epochs):
            self.network.train()
            losses = []
            for rows in batches(len(x), recipe.batch):
                coin = (torch.rand(len(rows)) < 0.5)[:, None, None, None, None, None]
                loss = focal_loss(self.network(torch.where(coin, mirrored[rows], x[rows])), y[rows], gamma, alpha)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(float(loss.detach()))
            self.network.eval()
            with torch.no_grad():
                stop = float(focal_loss(self.network(x_stop), y_stop, gamma, alpha))
            curve[epoch] = np.mean(losses), stop
            if stop < best:
                best, waited, kept = stop, 0, {k: v.clone() for k, v in self.network.state_dict().items()}
            else:
                waited += 1
                if waited >= recipe.patience:
                    break
        self.network.load_state_dict(kept)
        return curve

    def _scaled(self, x):
        return x / self.scale[:, None, None]

    def score(self, x):
        """Return probabilities (N, L) and attention weights (N, 3) for maps (N, V, P, 3, S, S)."""
        self.network.eval()
        with torch.no_grad():
            x = self._scaled(torch.from_numpy(np.asarray(x, np.float32)))
            if not isinstance(self.network, MicroAttNet):
                return torch.sigmoid(self.network(x)).numpy(), np.full((len(x), 3), np.nan, np.float32)
            logits, weights = self.network(x, return_attention=True)
            return torch.sigmoid(logits).numpy(), weights.numpy()

    def state(self):
        """Return the weights and the input scale as named numpy arrays."""
        return {"scale": self.scale.numpy(), **{k: v.numpy() for k, v in self.network.state_dict().items()}}

    def load(self, state):
        """Take over what ``state`` returned."""
        self.scale = torch.from_numpy(state["scale"].copy())
        self.network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items() if k != "scale"})
        return self


def batches(count, size):
    """Yield a random order of ``count`` samples in batches; a last batch of one (BatchNorm cannot use it) joins the
    one before.
    """
    order = torch.randperm(count)
    cuts = list(range(0, count, size))
    if len(cuts) > 1 and count - cuts[-1] == 1:
        cuts.pop()
    for start, end in zip(cuts, [*cuts[1:], count], strict=True):
        yield order[start:end]


class SvmMember:
    """PCA+SVM behind the same calls; its scores are distances to the border, 0 the natural threshold."""

    def __init__(self):
        self.model = PcaSvm()

    def fit(self, x, y, x_stop, y_stop):
        """Fit on (x, y); nothing is stopped, so (x_stop, y_stop) go unused."""
        self.model.fit(x, y)
        return np.full((1, 2), np.nan, np.float32)

    def score(self, x):
        """Return distances (N, L) and no attention (NaN)."""
        return self.model.score(x), np.full((len(x), 3), np.nan, np.float32)

    def state(self):
        """Return nothing: an SVM is refitted, not stored."""
        return {}


def choose_views(x, recipe):
    """Return maps with the views and phases a Recipe uses, and whether views became samples: (N, V, P, ...) -> (N or
    N * V, ...).
    """
    phases = recipe.phases or x.shape[2]
    x = x[:, :, :phases]
    if recipe.views in ("left", "right"):
        side = 0 if recipe.views == "left" else x.shape[1] - 1
        return x[:, side : side + 1], 1
    if recipe.views == "samples":
        return x.reshape(-1, 1, *x.shape[2:]), x.shape[1]
    if recipe.views != "channels":
        raise MerError(f"views {recipe.views!r} is unknown; choose one of {', '.join(VIEWS)}")
    return x, 1


def merge_views(scores, count, merge="mean"):
    """Join the scores of ``count`` views a clip (N * count, L) -> (N, L): their mean, or the largest (a logical OR of
    the answers).
    """
    grouped = scores.reshape(-1, count, scores.shape[1])
    return grouped.max(1) if merge == "or" else grouped.mean(1)


def run_fold(x, y, subjects, test, recipe):
    """Train on all subjects but ``test`` and score the test subject's clips; return named arrays.

    The training subjects are dealt into ``recipe.inner`` parts. For each part one member is trained on the others and
    stopped on it; the part's scores, held out, choose the thresholds; the test subject is scored by the members' mean
    and touches nothing else.
    """
    seen, hidden = np.flatnonzero(subjects != test), np.flatnonzero(subjects == test)
    seed = int(key_of(recipe.seed, str(test)), 16) % 2**31
    part = split_subjects(subjects[seen], recipe.inner, seed)
    maps, count = choose_views(x, recipe)

    def take(rows):
        return maps[(rows[:, None] * count + np.arange(count)).ravel()]

    held = np.zeros((len(seen), y.shape[1]), np.float32)
    total, looks, curves, states = 0, 0, [], {}
    for k in range(recipe.inner):
        fit, stop = seen[part != k], seen[part == k]
        svm = recipe.network == "PCA+SVM"
        member = SvmMember() if svm else NetworkMember(recipe, maps.shape[1:], y.shape[1], seed + k)
        curves.append(member.fit(take(fit), y[fit].repeat(count, 0), take(stop), y[stop].repeat(count, 0)))
        held[part == k] = merge_views(member.score(take(stop))[0], count, recipe.merge)
        scores, attention = member.score(take(hidden))
        total = total + merge_views(scores, count, recipe.merge) / recipe.inner
        looks = looks + merge_views(attention, count) / recipe.inner
        states |= {f"{k}.{name}": value for name, value in member.state().items()}
    fixed = np.full(y.shape[1], 0.0 if recipe.network == "PCA+SVM" else 0.5)
    thresholds = tune_thresholds(y[seen], held) if recipe.thresholds == "tuned" else fixed
    out = {"scores": total, "thresholds": thresholds, "attention": looks, "curves": np.stack(curves)}
    return {name: np.asarray(value, np.float32) for name, value in out.items()} | states


def _cached_fold(x, y, subjects, test, recipe, path):
    if path is not None and path.exists():
        return load_file(path)
    fold = run_fold(x, y, subjects, test, recipe)
    if path is not None:
        write_bytes(path, save({name: np.ascontiguousarray(value) for name, value in fold.items()}))
    return fold


def run_loso(features, recipe=Recipe(), cache=None, jobs=1):
    """Leave each subject out once; return the pooled Outcome. Finished folds are kept in the folder ``cache`` and
    read back.

    Folds are independent jobs in ``jobs`` processes of one thread; their number changes no bit of the result.
    """
    names = np.unique(features.subjects)
    code = code_hash("training", "model", "baselines", "metrics")

    def path(test):
        return (
            None
            if cache is None
            else cache / f"fold-{key_of(features.key, asdict(recipe), code, str(test))}.safetensors"
        )

    folds = Parallel(n_jobs=jobs)(
        delayed(_cached_fold)(features.x, features.y, features.subjects, test, recipe, path(test)) for test in names
    )
    shape = features.y.shape
    scores, thresholds, attention = np.zeros(shape), np.zeros(shape), np.zeros((len(features.y), 3))
    for test, fold in zip(names, folds, strict=True):
        rows = features.subjects == test
        scores[rows], thresholds[rows], attention[rows] = fold["scores"], fold["thresholds"], fold["attention"]
    return Outcome(
        scores=scores,
        answers=(scores >= thresholds).astype(np.uint8),
        thresholds=thresholds,
        attention=attention,
        curves=np.stack([fold["curves"] for fold in folds]),
        subjects=tuple(map(str, names)),
        members=tuple({k: v for k, v in fold.items() if k[0].isdigit()} for fold in folds),
    )
