"""Training one network: every choice in a Recipe, the loss, mirrored samples, early stopping."""

from typing import Annotated, Literal

from mer_utils import STREAMS, MerError, checked
from mer_utils.baselines import PEERS, PLAIN
from mer_utils.model import FusionAttention, MicroAttNet, SqueezeExcitation

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

NETWORKS = ("MicroAttNet", *PEERS, *PLAIN)


@checked
class Recipe:
    """Every choice between features and predictions; MerError for a value that is not allowed."""

    network: Literal[NETWORKS] = "MicroAttNet"
    attention: bool = True  # fusion attention over the streams
    se: bool = True  # squeeze-and-excitation on the magnitude's features
    width: Annotated[int, Ge(1)] = 8  # filters of a stream's first convolution
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5
    views: Literal["both", "left", "right"] = "both"
    phases: Annotated[int, Ge(0)] = 0  # how many phases are used; 0 = all there are
    # focal loss: how much sure answers are played down; 0 is cross-entropy
    gamma: Annotated[float, Ge(0)] = 2.0
    alpha: Literal["balanced", "none"] = "balanced"  # weight of positives; balanced: 1 - prevalence
    rate: Annotated[float, Gt(0)] = 5e-3  # AdamW's learning rate
    schedule: Literal["constant", "cosine"] = "constant"  # of the rate; cosine: down to 0
    # AdamW's weight decay (see split_parameters); the penalty of peers with logistic regression
    decay: Annotated[float, Ge(0)] = 0.05
    batch: Annotated[int, Ge(2)] = 32
    epochs: Annotated[int, Ge(1)] = 60  # at most
    patience: Annotated[int, Ge(1)] = 8  # epochs without anything better before stopping
    inner: Annotated[int, Ge(2)] = 3  # parts of the training subjects, each left out once
    members: Annotated[int, Ge(0)] = 0  # how many of these parts get a network; 0 = each
    # epoch kept: inner (stopped on inner subjects), last, test (best for the test subject: WRONG)
    stop: Literal["inner", "last", "test"] = "inner"
    thresholds: Literal["tuned", "fixed"] = "tuned"  # on the left-out inner subjects, or 0.5
    flip: bool = True  # each training sample is mirrored with probability 1/2
    seed: Annotated[int, Ge(0)] = 0


def choose_maps(x, recipe):
    """Return those of the maps (N, V, P, 3, S, S) that a Recipe uses, (N, V', P', 3, S, S)."""
    views = {"both": slice(None), "left": slice(1), "right": slice(-1, None)}[recipe.views]
    return x[:, views, : recipe.phases or x.shape[2]]


def fit_scale(x):
    """Return the root mean square (3,) of u, v and magnitude over maps (N, V, P, 3, S, S)."""
    squares = (np.asarray(x, np.float64) ** 2).mean((0, 1, 2, 4, 5))
    return np.sqrt(np.maximum(squares, 1e-12)).astype(np.float32)


def flip(x):
    """Mirror maps (N, V, P, 3, S, S): columns reversed, u negated, views exchanged."""
    sign = torch.tensor([-1.0, 1.0, 1.0])[:, None, None]
    return torch.flip(x, (1, -1)) * sign


def focal_loss(logits, target, gamma=2.0, alpha=None, exclusive=False):
    """Return the mean of -w (1 - p)^gamma log p over samples and labels (B, L), p the probability
    of the true answer (Lin et al. 2017); gamma 0 is binary cross-entropy.

    ``alpha`` (L,) weighs positives by alpha and negatives by 1 - alpha; None weighs both 1. Of
    ``exclusive`` labels p is the softmax at the one true label, and the mean is over samples.
    """
    if exclusive:
        entropy = -(torch.log_softmax(logits, 1) * target).sum(1)
        weight = 1.0 if alpha is None else (alpha * target).sum(1)
    else:
        entropy = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        weight = 1.0 if alpha is None else torch.where(target > 0.5, alpha, 1 - alpha)
    return (weight * (1 - torch.exp(-entropy)) ** gamma * entropy).mean()


def build_network(recipe, shape, labels, seed):
    """Return the untrained network of a Recipe for samples of ``shape`` (V, P, 3, S, S)."""
    views, phases, _, size, _ = shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if recipe.network == "MicroAttNet":
            switches = (recipe.attention, recipe.se, recipe.width, recipe.dropout)
            return MicroAttNet(views, phases, labels, size, *switches)
        return PEERS[recipe.network](views, phases, labels, size, recipe.dropout)


def split_parameters(network):
    """Return the parameters that decay; and those spared: biases, normalisation, gates."""
    gates = [m for m in network.modules() if isinstance(m, SqueezeExcitation | FusionAttention)]
    spared = {id(value) for gate in gates for value in gate.parameters()}
    spared |= {id(value) for value in network.parameters() if value.dim() == 1}
    decayed = [value for value in network.parameters() if id(value) not in spared]
    return decayed, [value for value in network.parameters() if id(value) in spared]


def settle_torch():
    """Let torch compute on one thread, always in the same order."""
    torch.set_num_threads(1)
    # does what use_deterministic_algorithms does, which takes a second to import
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # filling costs time


def draw_epoch(count, size, flips, generator):
    """Return the samples of one epoch in random order, in full batches (steps, B); with ``flips``
    half of them are mirrored: n + ``count`` is sample n mirrored.
    """
    size = min(size, count)
    order = torch.randperm(count, generator=generator)
    if flips:
        order = order + count * (torch.rand(count, generator=generator) < 0.5)
    return order[: count // size * size].view(-1, size)


def find_best(recipe, curve):
    """Return which epoch of a ``curve`` (E, 4) a Recipe keeps, -1 if no loss is a number; and
    whether training may end: ``patience`` epochs brought nothing better.
    """
    best, highest = -1, None
    for epoch, (_, loss, precision, right) in enumerate(curve):
        # stop="test": as in public code that looks at the test subject
        rating = (right if recipe.stop == "test" else precision, -loss)
        better = best < 0 or rating > highest or recipe.stop == "last"
        if better and np.isfinite(loss):
            best, highest = epoch, rating
    return best, recipe.stop == "inner" and len(curve) - 1 - best >= recipe.patience


def mean_precision(truth, scores):
    """Return scikit-learn's average_precision_score, mean over the labels that occur in ``truth``
    (N, L), 0 if none does: how far up a label's positives stand when clips are sorted by score.
    """
    truth, scores = np.asarray(truth, bool), np.asarray(scores)
    ahead = scores[None] >= scores[:, None]  # (N, N, L): who stands at least as high as whom
    precision = (ahead & truth[None]).sum(1) / np.maximum(ahead.sum(1), 1)
    occurs = truth.any(0)
    means = (precision * truth).sum(0)[occurs] / truth.sum(0)[occurs]
    return float(means.mean()) if occurs.any() else 0.0


class NetworkMember:
    """One network, and the ``scale`` (3,) that its inputs are divided by."""

    natural = 0.5  # threshold on a probability

    def __init__(self, recipe, shape, labels, seed, scale=(1.0, 1.0, 1.0), exclusive=False):
        settle_torch()
        self.recipe, self.seed, self.exclusive = recipe, seed, exclusive
        self.network = build_network(recipe, shape, labels, seed)
        self.scale = torch.tensor(np.asarray(scale, np.float32))

    def prepare(self, x):
        """Return maps as a float tensor, scaled."""
        return torch.as_tensor(np.asarray(x, np.float32)) / self.scale[:, None, None]

    def fit(self, x, y, x_stop, y_stop):
        """Train on (x, y), keep the weights of the best epoch on (x_stop, y_stop), and return a
        curve (epochs, 4), NaN after the end: training loss; stopping loss, mean precision, share of
        right answers.
        """
        recipe, network, count = self.recipe, self.network, len(x)
        x, x_stop = self.prepare(x), self.prepare(x_stop)
        y, y_stop = (torch.as_tensor(labels, dtype=torch.float32) for labels in (y, y_stop))
        alpha = 1 - y.mean(0).clamp(0.02, 0.98) if recipe.alpha == "balanced" else None
        weighing = (recipe.gamma, alpha, self.exclusive)
        if recipe.flip:
            x, y = torch.cat([x, flip(x)]), torch.cat([y, y])

        decayed, free = split_parameters(network)
        groups = [{"params": decayed}, {"params": free, "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, recipe.rate, weight_decay=recipe.decay, fused=True)
        order = torch.Generator().manual_seed(self.seed)  # of samples
        torch.manual_seed(self.seed)  # dropout
        curve = np.full((recipe.epochs, 4), np.nan, np.float32)
        for epoch in range(recipe.epochs):
            if recipe.schedule == "cosine":  # from 1 to nearly 0 (Loshchilov and Hutter 2017)
                factor = float(0.5 * (1 + np.cos(np.pi * epoch / recipe.epochs)))
                for group in optimiser.param_groups:
                    group["lr"] = recipe.rate * factor
            network.train()
            losses = []
            for rows in draw_epoch(count, recipe.batch, recipe.flip, order):
                loss = focal_loss(network(x[rows]), y[rows], *weighing)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(loss.detach())

            network.eval()
            with torch.no_grad():
                logits = network(x_stop)
            right = (logits >= 0) == (y_stop > 0.5)
            if self.exclusive:
                right = logits.argmax(1) == y_stop.argmax(1)
            curve[epoch, :2] = torch.stack(losses).mean(), focal_loss(logits, y_stop, *weighing)
            curve[epoch, 2:] = mean_precision(y_stop, logits), right.float().mean()
            best, done = find_best(recipe, curve[: epoch + 1])
            if best == epoch:
                kept = {name: value.clone() for name, value in network.state_dict().items()}
            if done:
                break
        if best < 0:
            raise MerError("training diverged: the loss is never a number; lower the rate")
        network.load_state_dict(kept)
        return curve

    @torch.no_grad()
    def score(self, x):
        """Return probabilities (N, L) and attention (N, 3): equal if off, NaN of a peer."""
        x, network = self.prepare(x), self.network.eval()
        attention = np.full((len(x), len(STREAMS)), np.nan, np.float32)
        if isinstance(network, MicroAttNet):
            features, weights, _ = network.fuse(x)
            logits = network.head(features)
            attention[:] = 1 / len(STREAMS) if weights is None else weights
        else:
            logits = network(x)
        probabilities = torch.softmax(logits, 1) if self.exclusive else torch.sigmoid(logits)
        return probabilities.numpy(), attention

    def state(self):
        """Return the weights and the input scale as named arrays (see ``load_members``)."""
        tensors = {"scale": self.scale, **self.network.state_dict()}
        return {name: value.numpy() for name, value in tensors.items()}


class PlainMember:
    """A model of PLAIN, asked as a NetworkMember is; its maps are not scaled."""

    def __init__(self, recipe, *others):
        settle_torch()
        self.flip, self.model = recipe.flip, PLAIN[recipe.network](recipe.decay)
        self.natural = self.model.natural  # threshold on its scores

    def fit(self, x, y, x_stop=None, y_stop=None):
        """Fit on (x, y), and on their mirror images if the Recipe says so."""
        if self.flip:
            x, y = np.concatenate([x, flip(torch.as_tensor(x)).numpy()]), np.concatenate([y, y])
        self.model.fit(x, y)
        return np.full((1, 4), np.nan, np.float32)

    def score(self, x):
        """Return scores (N, L), distances or probabilities, and NaN for attention."""
        return self.model.score(x), np.full((len(x), len(STREAMS)), np.nan, np.float32)


def load_members(state, recipe, shape, labels, exclusive=False):
    """Return the NetworkMembers of a fold from its named arrays ("0.scale", "1.head.2.weight")."""
    members = []
    for k in range(recipe.members or recipe.inner):
        own = {name: torch.from_numpy(array.copy()) for name, array in pick(state, k).items()}
        members.append(NetworkMember(recipe, shape, labels, 0, own.pop("scale"), exclusive))
        members[-1].network.load_state_dict(own)
    return members


def pick(arrays, number):
    """Return those of named arrays whose names begin with a number and a dot, without these."""
    start = f"{number}."
    return {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
