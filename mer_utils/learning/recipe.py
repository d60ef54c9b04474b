"""Every choice between features and predictions, and what it makes of the maps before a network
gets them.
"""

from dataclasses import dataclass

from mer_utils import MerError, check_choices
from mer_utils.learning.peers import PEERS, PLAIN
from mer_utils.method.microattnet import FUSIONS, SE_PLACES

import numpy as np

NETWORKS = ("MicroAttNet", *PEERS, *PLAIN)


@dataclass(frozen=True)
class Recipe:
    """Every choice between features and predictions; an ablation is this with one field replaced.
    MerError for a value that is none.
    """

    # MicroAttNet, STSTNet, OFF-ApexNet, SSSNet, CrossPhaseNet, PCA+SVM, Regions+LR, Templates+LR
    network: str = "MicroAttNet"
    fusion: str = "attention"  # of the streams: attention, concat, mean
    se: str = "magnitude"  # squeeze-and-excitation on: magnitude, all, none
    magnitude: bool = True  # the magnitude is looked at; False: u and v alone
    width: int = 8  # filters of a stream's first convolution
    dropout: float = 0.5
    views: str = "channels"  # channels, samples (probabilities merged), left, right
    merge: str = "mean"  # of the views' probabilities: mean, or
    phases: int = 0  # how many phases are used; 0 = all there are
    loss: str = "focal"  # focal, bce (of exclusive labels: softmax cross-entropy)
    gamma: float = 2.0  # focal loss: how much sure answers are played down
    alpha: str = "balanced"  # weight of a label's positives: balanced (1 - prevalence), none
    rate: float = 5e-3  # AdamW's learning rate
    schedule: str = "constant"  # of the rate over the epochs: constant, cosine (down to 0)
    # AdamW's weight decay, gates, biases and normalisation excepted; of peers with logistic
    # regression: theirs
    decay: float = 0.05
    batch: int = 32
    epochs: int = 60  # at most
    # what stopping looks at: precision (mean average precision; of equals the loss), loss
    monitor: str = "precision"
    patience: int = 8  # epochs without anything better before stopping
    inner: int = 3  # parts of the training subjects, each left out once to stop on
    members: int = 0  # how many of these parts get a network of their own; 0 = each
    # epoch kept: inner (stopped on inner subjects), last, test (best for the test subject: WRONG)
    stop: str = "inner"
    thresholds: str = "tuned"  # on the left-out inner subjects: tuned, or fixed 0.5
    flip: bool = True  # each training sample mirrored with probability 1/2
    seed: int = 0

    def __post_init__(self):
        check_choices(
            self,
            network=NETWORKS,
            fusion=FUSIONS,
            se=SE_PLACES,
            views=("channels", "samples", "left", "right"),
            merge=("mean", "or"),
            loss=("focal", "bce"),
            alpha=("balanced", "none"),
            schedule=("constant", "cosine"),
            monitor=("precision", "loss"),
            stop=("inner", "last", "test"),
            thresholds=("tuned", "fixed"),
        )
        least = {
            "width": 1,
            "phases": 0,
            "batch": 2,
            "epochs": 1,
            "patience": 1,
            "inner": 2,
            "members": 0,
            "seed": 0,
        }
        for name, low in least.items():
            if getattr(self, name) < low:
                raise MerError(f"{name} is {getattr(self, name)}, but must be at least {low}")
        if not (self.rate > 0 and self.decay >= 0 and self.gamma >= 0 and 0 <= self.dropout < 1):
            raise MerError(
                "rate must be above 0, decay and gamma at least 0, dropout at least 0 and below 1"
            )
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
