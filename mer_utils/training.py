"""Every choice between features and predictions, and what it makes of the maps before a network
gets them.

One network from a Recipe: losses, mirrored samples, early stopping; and peers that are no
networks behind the same calls.
"""

from typing import Annotated, Literal

from mer_utils import STREAMS, MerError, checked
from mer_utils.baselines import PEERS, PLAIN, build_peer
from mer_utils.model import FUSIONS, SE_PLACES, FusionAttention, MicroAttNet, SqueezeExcitation

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

NETWORKS = ("MicroAttNet", *PEERS, *PLAIN)


@checked
class Recipe:
    """Every choice between features and predictions; an ablation is this with one field
    replaced. Raises MerError for a value that is not allowed.
    """

    network: Literal[NETWORKS] = "MicroAttNet"
    fusion: Literal[FUSIONS] = "attention"  # of the streams
    se: Literal[SE_PLACES] = "magnitude"  # the streams with squeeze-and-excitation
    magnitude: bool = True  # False: the network sees u and v alone
    width: Annotated[int, Ge(1)] = 8  # filters of a stream's first convolution
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5
    # samples: each view is a sample, and the probabilities of a clip's views are merged
    views: Literal["channels", "samples", "left", "right"] = "channels"
    merge: Literal["mean", "or"] = "mean"  # of the views' probabilities
    phases: Annotated[int, Ge(0)] = 0  # how many phases are used; 0 = all there are
    loss: Literal["focal", "bce"] = "focal"  # bce of exclusive labels: softmax cross-entropy
    gamma: Annotated[float, Ge(0)] = 2.0  # focal loss: how much sure answers are played down
    # weight of a label's positives; balanced: 1 - prevalence
    alpha: Literal["balanced", "none"] = "balanced"
    rate: Annotated[float, Gt(0)] = 5e-3  # AdamW's learning rate
    schedule: Literal["constant", "cosine"] = "constant"  # of the rate; cosine: down to 0
    # AdamW's weight decay, from which gates, biases and normalisation are spared; for peers with
    # logistic regression it is the penalty of that
    decay: Annotated[float, Ge(0)] = 0.05
    batch: Annotated[int, Ge(2)] = 32
    epochs: Annotated[int, Ge(1)] = 60  # at most
    # what stopping looks at: mean average precision (of equals, the loss), or the loss
    monitor: Literal["precision", "loss"] = "precision"
    patience: Annotated[int, Ge(1)] = 8  # epochs without anything better before stopping
    inner: Annotated[int, Ge(2)] = 3  # parts of the training subjects, each left out once
    members: Annotated[int, Ge(0)] = 0  # how many of these parts get a network; 0 = each
    # epoch kept: inner (stopped on inner subjects), last, test (best for the test subject: WRONG)
    stop: Literal["inner", "last", "test"] = "inner"
    thresholds: Literal["tuned", "fixed"] = "tuned"  # on the left-out inner subjects, or 0.5
    flip: bool = True  # each training sample is mirrored with probability 1/2
    seed: Annotated[int, Ge(0)] = 0

    def __post_init__(self):
        if self.members > self.inner:
            raise MerError(
                f"{self.members} members need as many inner parts, but inner is {self.inner}"
            )


def choose_maps(x, recipe):
    """Return the maps (N, V, P, 3, S, S) with the views, phases and channels a Recipe uses, and how
    many samples a clip has become: (N, V', P', 2 or 3, S, S) and 1, or (N * V, 1, P', ...) and V.
    """
    x = x[:, :, : recipe.phases or x.shape[2], : 3 if recipe.magnitude else 2]
    if recipe.views in ("left", "right"):
        side = 0 if recipe.views == "left" else x.shape[1] - 1
        return x[:, side : side + 1], 1
    if recipe.views == "samples":
        return x.reshape(-1, 1, *x.shape[2:]), x.shape[1]
    return x, 1


def merge_views(scores, count, merge="mean"):
    """Join the scores of ``count`` views per clip (N * count, ...) -> (N, ...): their mean, or the
    largest (a logical OR of the answers).
    """
    grouped = scores.reshape(-1, count, *scores.shape[1:])
    return grouped.max(1) if merge == "or" else grouped.mean(1)


def fit_scale(x):
    """Return the root mean square (3,) of u, v and magnitude over maps (N, V, P, 3, S, S): give it
    training clips alone.
    """
    return np.sqrt(
        np.maximum((np.asarray(x, np.float64) ** 2).mean((0, 1, 2, 4, 5)), 1e-12)
    ).astype(np.float32)


def settle_torch():
    """Let torch compute in one order on one thread; whatever makes a member calls it."""
    torch.set_num_threads(1)
    # as use_deterministic_algorithms, which takes a second to import
    torch.set_deterministic_debug_mode("error")
    # else every new tensor is filled, too, before it is written
    torch.utils.deterministic.fill_uninitialized_memory = False


def focal_loss(logits, target, gamma=2.0, alpha=None, exclusive=False):
    """Return the mean of -w (1 - p)^gamma log p over samples and labels, p the probability given to
    the true answer (Lin et al. 2017).

    logits and target (B, L); ``alpha`` (L,) weighs positives by alpha and negatives by 1 - alpha;
    None weighs both 1. gamma 0 is plain binary cross-entropy. Of ``exclusive`` labels p is the
    softmax at the one true label, the mean is over samples, and w is its alpha.
    """
    if exclusive:
        entropy = -(torch.log_softmax(logits, 1) * target).sum(1)
        weight = 1.0 if alpha is None else (alpha * target).sum(1)
    else:
        entropy = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        weight = 1.0 if alpha is None else torch.where(target > 0.5, alpha, 1 - alpha)
    return (weight * (1 - torch.exp(-entropy)) ** gamma * entropy).mean()


def flip(x):
    """Mirror maps (N, V, P, 2 or 3, S, S): columns reversed, u negated, left and right view
    exchanged (the face's right is then its left).
    """
    sign = torch.tensor([-1.0, 1.0, 1.0])[: x.shape[3], None, None]
    return torch.flip(x, (1, -1)) * sign


def build_network(recipe, shape, labels, seed):
    """Return the untrained network of a Recipe for samples of ``shape`` (V, P, 3, S, S)."""
    views, phases, maps, size, _ = shape
    if recipe.network == "MicroAttNet":
        switches = (recipe.fusion, recipe.se, recipe.width, recipe.dropout)
        return MicroAttNet(views, phases, labels, size, *switches, seed, maps)
    return build_peer(recipe.network, shape, labels, recipe.dropout, seed)


def split_parameters(network):
    """Return the parameters that weight decay shrinks (the weights of convolutions and linear
    layers), and those it leaves alone: biases, normalisation, and the gates, which it would close.
    """
    gates = [m for m in network.modules() if isinstance(m, SqueezeExcitation | FusionAttention)]
    spared = {id(value) for gate in gates for value in gate.parameters()}
    decayed, free = [], []
    for value in network.parameters():
        (free if value.dim() == 1 or id(value) in spared else decayed).append(value)
    return decayed, free


def draw_epoch(count, size, flips, generator):
    """Return which samples make up one epoch (steps, B) in random order: all full batches of
    ``size`` (what is left over has its turn in another epoch), or one smaller batch. With
    ``flips``, index n + ``count`` is n mirrored.
    """
    size = min(size, count)
    order = torch.randperm(count, generator=generator)
    if flips:
        order = order + count * (torch.rand(count, generator=generator) < 0.5)
    return order[: count // size * size].view(-1, size)


def slow_down(recipe, epoch):
    """Return by what the rate of ``epoch`` (counted from 0) is multiplied: 1, or of the cosine
    schedule (Loshchilov and Hutter 2017) from 1 at first to nearly 0 in the last of all epochs.
    """
    if recipe.schedule == "constant":
        return 1.0
    return float(0.5 * (1 + np.cos(np.pi * epoch / recipe.epochs)))


def rate_epoch(recipe, loss, precision, right):
    """Return what makes an epoch better than another, a tuple: what ``monitor`` says; of
    ``stop="test"`` the share of right answers, as in the published code that looks at the test
    subject's accuracy, then the loss.
    """
    if recipe.stop == "test":
        return right, -loss
    return (precision, -loss) if recipe.monitor == "precision" else (-loss,)


class Stopping:
    """The one rule for the best epoch: ``take`` says of each whether its weights are to be kept,
    ``done`` when nothing better has come for ``patience`` epochs. An epoch whose loss is no number
    is never the best.
    """

    def __init__(self, recipe):
        self.recipe, self.best, self.waited = recipe, None, 0

    def take(self, loss, precision, right):
        """Return whether this epoch's weights are the best so far (with ``stop="last"``: the last
        usable ones).
        """
        rating = rate_epoch(self.recipe, loss, precision, right)
        better = np.isfinite(loss) and (
            self.best is None or rating > self.best or self.recipe.stop == "last"
        )
        if better:
            self.best = rating
        self.waited = 0 if better else self.waited + 1
        return bool(better)

    @property
    def done(self):
        """Whether training may end."""
        return self.recipe.stop == "inner" and self.waited >= self.recipe.patience

    def check(self):
        """Raise MerError if no epoch was usable."""
        if self.best is None:
            raise MerError(
                "training diverged: the loss is not a number from the first epoch on; lower "
                "the rate"
            )


def share_right(logits, target, exclusive=False):
    """Return the share of right answers at the natural threshold: of labels, or of clips if labels
    are exclusive.
    """
    if exclusive:
        return float((logits.argmax(1) == target.argmax(1)).float().mean())
    return float(((logits >= 0) == (target > 0.5)).float().mean())


class NetworkMember:
    """One network with the ``scale`` (3,) its inputs are divided by; ``fit`` trains it, ``score``
    asks it.
    """

    natural = 0.5  # threshold on a probability

    def __init__(self, recipe, shape, labels, seed, scale=(1.0, 1.0, 1.0), exclusive=False):
        settle_torch()
        self.recipe, self.seed, self.exclusive = recipe, seed, exclusive
        self.network = build_network(recipe, shape, labels, seed)
        self.scale = torch.tensor(np.asarray(scale, np.float32))

    def losses(self, y):
        """Return the loss function (logits, target) for training labels y (N, L): alpha is counted
        in them.
        """
        alpha = 1 - y.mean(0).clamp(0.02, 0.98) if self.recipe.alpha == "balanced" else None
        gamma = self.recipe.gamma if self.recipe.loss == "focal" else 0.0
        return lambda logits, target: focal_loss(logits, target, gamma, alpha, self.exclusive)

    def prepare(self, x):
        """Return maps as a float tensor, scaled."""
        return torch.as_tensor(np.asarray(x, np.float32)) / self.scale[: x.shape[3], None, None]

    def fit(self, x, y, x_stop, y_stop):
        """Train on (x, y), stop on (x_stop, y_stop) and keep the epoch that ``rate_epoch`` likes
        best there (with ``stop="last"`` the last one). Return for each epoch the loss on the first,
        and on the second the loss, the mean precision and the share of right answers: (epochs, 4),
        NaN after the end.

        Everything lies in memory as two tensors: the samples, and the samples mirrored.
        """
        recipe, network = self.recipe, self.network
        count = len(x)
        y = torch.as_tensor(y, dtype=torch.float32)
        y_stop = torch.as_tensor(y_stop, dtype=torch.float32)
        x, x_stop, loss_of = self.prepare(x), self.prepare(x_stop), self.losses(y)
        if recipe.flip:
            x, y = torch.cat([x, flip(x)]), torch.cat([y, y])
        # what follows from the maps alone is worked out once
        if isinstance(network, MicroAttNet):
            given, given_stop = network.look_ahead(x), network.look_ahead(x_stop)
        else:
            given, given_stop = {"x": x}, {"x": x_stop}
        decayed, free = split_parameters(network)
        groups = [{"params": decayed}, {"params": free, "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, recipe.rate, weight_decay=recipe.decay, fused=True)
        order = torch.Generator().manual_seed(self.seed)  # of samples
        torch.manual_seed(self.seed)  # dropout
        curve = np.full((recipe.epochs, 4), np.nan, np.float32)
        stopping = Stopping(recipe)
        for epoch in range(recipe.epochs):
            network.train()
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * slow_down(recipe, epoch)
            losses = []
            for rows in draw_epoch(count, recipe.batch, recipe.flip, order):
                batch = {name: value.index_select(0, rows) for name, value in given.items()}
                loss = loss_of(network(**batch), y.index_select(0, rows))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(loss.detach())
            network.eval()
            with torch.no_grad():
                answer = network(**given_stop)
            loss = float(loss_of(answer, y_stop))
            right = share_right(answer, y_stop, self.exclusive)
            curve[epoch] = torch.stack(losses).mean(), loss, mean_precision(y_stop, answer), right
            if stopping.take(*map(float, curve[epoch, 1:])):
                kept = {k: v.clone() for k, v in network.state_dict().items()}
            if stopping.done:
                break
        stopping.check()
        network.load_state_dict(kept)
        return curve

    def score(self, x):
        """Return probabilities (N, L) and attention weights (N, V, P, 3) for maps (N, V, P, 3, S,
        S): they sum to 1, are equal without fusion attention, and NaN of a peer.
        """
        self.network.eval()
        attention = np.full((*x.shape[:3], len(STREAMS)), np.nan, np.float32)
        with torch.no_grad():
            x = self.prepare(x)
            if isinstance(self.network, MicroAttNet):
                weights = self.network.weigh(x)
                logits = self.network(x, weights)
                attention[..., : x.shape[3]] = (
                    1 / np.prod(x.shape[1:4])
                    if weights is None
                    else weights.permute(0, 2, 3, 1).numpy()
                )
                attention[..., x.shape[3] :] = 0  # a stream that is not looked at
            else:
                logits = self.network(x)
            return (
                torch.softmax(logits, 1) if self.exclusive else torch.sigmoid(logits)
            ).numpy(), attention

    def state(self):
        """Return MicroAttNet's weights and the input scale as named arrays; peers are scored, not
        kept.
        """
        if self.recipe.network != "MicroAttNet":
            return {}
        return {
            "scale": self.scale.numpy(),
            **{k: v.numpy() for k, v in self.network.state_dict().items()},
        }

    def load(self, state):
        """Take over what ``state`` returned."""
        self.scale = torch.from_numpy(state["scale"].copy())
        self.network.load_state_dict(
            {k: torch.from_numpy(v.copy()) for k, v in state.items() if k != "scale"}
        )
        return self


class PlainMember:
    """A peer that is no network (a key of PLAIN) behind the same calls; the maps keep their px, and
    with ``recipe.flip`` each is there as it is and mirrored.
    """

    def __init__(self, recipe):
        settle_torch()
        self.recipe, self.model = recipe, PLAIN[recipe.network](recipe.decay)
        self.natural = self.model.natural  # threshold on its scores

    def fit(self, x, y, x_stop, y_stop):
        """Fit on (x, y); nothing is stopped, so (x_stop, y_stop) go unused."""
        if self.recipe.flip:
            x, y = np.concatenate([x, flip(torch.as_tensor(x)).numpy()]), np.concatenate([y, y])
        self.model.fit(x, y)
        return np.full((1, 4), np.nan, np.float32)

    def score(self, x):
        """Return scores (N, L), distances or probabilities, and no attention (NaN)."""
        return self.model.score(x), np.full((*x.shape[:3], len(STREAMS)), np.nan, np.float32)

    def state(self):
        """Return nothing: such a peer is refitted, not stored."""
        return {}


def make_member(recipe, shape, labels, seed, scale, exclusive=False):
    """Return the untrained member of a Recipe: a network, or a peer that is none."""
    if recipe.network in PLAIN:
        return PlainMember(recipe)
    return NetworkMember(recipe, shape, labels, seed, scale, exclusive)


def load_members(state, recipe, shape, labels, exclusive=False):
    """Return the NetworkMembers of one fold from their named arrays ("0.scale", "1.head.2.weight",
    ...).
    """
    members = []
    for k in range(recipe.members or recipe.inner):
        own = {
            name.removeprefix(f"{k}."): value
            for name, value in state.items()
            if name.startswith(f"{k}.")
        }
        members.append(NetworkMember(recipe, shape, labels, 0, exclusive=exclusive).load(own))
    return members


def mean_precision(truth, scores):
    """Return mean average precision of ``scores`` (N, L): how far up a label's positives stand when
    clips are sorted by its score, mean over the labels that occur; 0 if none does. It needs no
    threshold, and clips with equal scores have no order.

    It is scikit-learn's average_precision_score (a test holds it to that), which takes 3 ms where
    this takes a tenth of one: training asks after every epoch, and epochs of few clips last 4 ms.
    """
    truth, scores = np.asarray(truth, bool), np.asarray(scores)
    order = np.argsort(-scores, axis=0, kind="stable")
    hit, ranked = (np.take_along_axis(array, order, 0) for array in (truth, scores))
    rank = np.arange(1, len(hit) + 1)[:, None]
    last = np.ones(hit.shape, bool)  # of those with equal scores
    last[:-1] = ranked[1:] != ranked[:-1]
    end = np.minimum.accumulate(np.where(last, rank, len(hit))[::-1], 0)[::-1]  # its rank
    precision = np.take_along_axis(hit.cumsum(0) / rank, end - 1, 0)  # among those ranked so far
    positives = truth.sum(0)
    there = positives > 0
    return (
        float(((precision * hit).sum(0)[there] / positives[there]).mean()) if there.any() else 0.0
    )
