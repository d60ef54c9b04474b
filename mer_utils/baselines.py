"""The baselines: three published networks (PEERS), and models that are not trained as networks
(PLAIN), with the maps and the settings that each is trained with.

A network takes maps (B, V, P, 3, S, S) and returns logits (B, L). Its layers follow public code for
the published input size; views and phases become channels. All share MicroAttNet's folds, mirrored
samples, ensembles and rule for thresholds. scikit-learn takes a second to import: where needed.
"""

from dataclasses import replace

from mer_utils import MerError

import numpy as np
import torch
from torch import nn


class OnePerLabel:
    """One scikit-learn model a label on ``describe(x)``; constant labels get their constant."""

    def fit(self, x, y):
        """Fit on maps (N, V, P, 3, S, S) and labels (N, L)."""
        values = self.describe(x)
        self.models = [
            self.make(len(x)).fit(values, column) if np.ptp(column) else self.constants[column[0]]
            for column in y.T
        ]
        return self

    def score(self, x):
        """Return scores (N, L): probabilities, or signed distances to the border."""
        values, columns = self.describe(x), []
        for model in self.models:
            fixed = isinstance(model, float)
            columns.append([model] * len(x) if fixed else getattr(model, self.method)(values))
        return np.stack([np.reshape(column, (len(x), -1))[:, -1] for column in columns], 1)


class PcaSvm(OnePerLabel):
    """PCA and one RBF-SVM (C = 3) per label on the flattened maps: the floor that any network must
    clear. Its scores are signed distances to the borders, above 0 for yes.
    """

    method, natural = "decision_function", 0.0  # threshold on a distance
    constants = (-1.0, 1.0)  # scores of a certain no and yes

    def __init__(self, components=100):
        self.components = components

    def fit(self, x, y):
        from sklearn.decomposition import PCA

        flat = x.reshape(len(x), -1)
        self.pca = PCA(min(self.components, *flat.shape), svd_solver="full").fit(flat)
        return super().fit(x, y)

    def describe(self, x):
        return self.pca.transform(x.reshape(len(x), -1))

    def make(self, clips):
        from sklearn.svm import SVC

        return SVC(C=3.0)


class RegionsLogistic(OnePerLabel):
    """Logistic regression on the mean of every map in each cell of a 4 by 4 grid on the face.
    Positives weigh as much as negatives; ``decay`` is the penalty on squared coefficients.
    """

    method, natural = "predict_proba", 0.5  # threshold on a probability
    constants = (0.0, 1.0)

    def __init__(self, decay=1e-3):
        self.decay = decay

    def describe(self, x):
        """Return the means (N, V * P * 3 * 16) of maps (N, V, P, 3, S, S)."""
        bands = np.array_split(x, 4, axis=-2)
        cells = [cell for band in bands for cell in np.array_split(band, 4, axis=-1)]
        return np.stack([cell.mean((-2, -1)) for cell in cells], -1).reshape(len(x), -1)

    def make(self, clips):
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        cost = 1 / (self.decay * clips) if self.decay else np.inf
        model = LogisticRegression(C=cost, class_weight="balanced", max_iter=1000)
        return make_pipeline(StandardScaler(), model)


class STSTNet(nn.Module):
    """Shallow triple-stream 3D CNN (Liong et al. 2019), 1,683 parameters for 3 channels of 28 x 28
    and 3 classes. Every stream sees all channels: 3x3 convolutions of 3, 5 and 8 filters.
    """

    def __init__(self, views, phases, labels, size, dropout=0.5):
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3 * views * phases, filters, 3, padding=2),
                nn.ReLU(),
                nn.BatchNorm2d(filters),
                nn.MaxPool2d(3, stride=3, padding=1),
                nn.Dropout(dropout),
            )
            for filters in (3, 5, 8)
        )
        side = ((size + 1) // 3 + 1) // 2  # after padding, max-pooling and average pooling
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(16 * side**2, labels)

    def forward(self, x):
        x = x.flatten(1, 3)  # (B, V * P * 3, S, S)
        features = torch.cat([stream(x) for stream in self.streams], 1)
        return self.head(self.pool(features).flatten(1))


class OffApexNet(nn.Module):
    """OFF-ApexNet (Gan et al. 2019), without magnitude: u and v in a stream each, two 5x5
    convolutions with pooling, then two layers of 1,024.
    """

    def __init__(self, views, phases, labels, size, dropout=0.5):
        super().__init__()
        self.streams = nn.ModuleList()
        for _ in "uv":
            first = nn.Conv2d(views * phases, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)
            second = nn.Conv2d(6, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)
            self.streams.append(nn.Sequential(*first, *second))
        first = nn.Linear(2 * 16 * (size // 4) ** 2, 1024), nn.ReLU()
        second = nn.Linear(1024, 1024), nn.ReLU(), nn.Dropout(dropout)
        self.head = nn.Sequential(*first, *second, nn.Linear(1024, labels))

    def forward(self, x):
        planes = [stream(x[:, :, :, k].flatten(1, 2)) for k, stream in enumerate(self.streams)]
        return self.head(torch.cat(planes, 1).flatten(1))


class SSSNet(nn.Module):
    """SSSNet (Varanka et al. 2021): one stream of a 5x5 and a 3x3 convolution. Nothing is padded,
    so only maps of 16, 22, 28, ... 64, ... px are seen whole; MerError for other sizes.
    """

    def __init__(self, views, phases, labels, size, dropout=0.5):
        super().__init__()
        side = ((size - 4) // 3 - 2) // 2
        if side < 1 or 6 * side + 10 != size:
            raise MerError(f"SSSNet does not see maps of {size} px whole; choose 16, 22, 28, ...")
        first = nn.Conv2d(3 * views * phases, 32, 5), nn.ReLU(), nn.MaxPool2d(3)
        second = nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)
        self.layers = nn.Sequential(
            *(*first, nn.BatchNorm2d(32), nn.Dropout2d(dropout)),
            *(*second, nn.BatchNorm2d(64), nn.Dropout2d(dropout)),
            *(nn.Flatten(), nn.Linear(64 * side**2, 256), nn.ReLU(), nn.Linear(256, labels)),
        )

    def forward(self, x):
        return self.layers(x.flatten(1, 3))


PEERS = {"STSTNet": STSTNet, "OFF-ApexNet": OffApexNet, "SSSNet": SSSNet}


def make_units_logistic(decay):
    """Return "AUs+LR", which starts from networks that learnt on other people; see start.py."""
    from mer_utils.start import UnitsLogistic  # which imports this file

    return UnitsLogistic(decay)


# each is made from a Recipe's decay; the SVM's settings are the published ones
PLAIN = {"PCA+SVM": lambda decay: PcaSvm(), "Regions+LR": RegionsLogistic}
PLAIN["AUs+LR"] = make_units_logistic

# what makes the maps of a network: fields of a FrontEnd, as published where anything is published
NATIVE = {
    "MicroAttNet": {"size": 20},  # ours
    "STSTNet": {"size": 28, "third": "strain"},  # Liong et al. 2019
    "OFF-ApexNet": {"size": 28},  # Gan et al. 2019
    "SSSNet": {"size": 28},  # 64 in Varanka et al. 2021: no better, six times slower (tuning.json)
} | {network: {"size": 20} for network in PLAIN}
# the only maps (V, P, 3, S, S) that a network takes, where it takes no others
ONLY = {"AUs+LR": (2, 2, 3, 20, 20)}

# fields of a Recipe as published, read in public code; how long to wait before stopping is ours
PUBLISHED = {
    "STSTNet": {"rate": 5e-5, "decay": 0.0, "batch": 256, "epochs": 500, "patience": 100},
    "OFF-ApexNet": {"rate": 1e-4, "decay": 0.0, "epochs": 200, "patience": 40},
    "SSSNet": {"rate": 1e-4, "decay": 1e-3, "batch": 32, "epochs": 200, "patience": 40},
}

# what we use: the winners in benchmarks/tuning.json (a test compares the two)
TUNED = {
    "MicroAttNet": {"rate": 5e-3, "decay": 0.05, "patience": 8, "dropout": 0.5, "epochs": 60},
    "STSTNet": {"rate": 4.6e-3, "decay": 1.5e-3, "patience": 20, "dropout": 0.5, "epochs": 20},
    "OFF-ApexNet": {"rate": 2.4e-3, "decay": 1.2e-4, "patience": 8, "dropout": 0.0, "epochs": 20},
    "SSSNet": {"rate": 2.4e-4, "decay": 4.9e-4, "patience": 20, "dropout": 0.25, "epochs": 20},
    "Regions+LR": {"rate": 4.2e-4, "decay": 0.097, "patience": 20, "dropout": 0.5, "epochs": 60},
    "AUs+LR": {"rate": 4.2e-4, "decay": 0.097, "patience": 20, "dropout": 0.5, "epochs": 60},
}


def recipe_of(network, **changes):
    """Return the Recipe of a network with its own settings (TUNED) and ``changes``."""
    from mer_utils.training import Recipe  # which imports this file

    return Recipe(**{"network": network} | TUNED.get(network, {}) | changes)


def native_front_end(network, base, flow_images=False):
    """Return ``base`` with a network's NATIVE maps; ``flow_images`` keep their third map."""
    own = NATIVE[network] | ({"third": base.third} if flow_images else {})
    return replace(base, **own)


def takes_maps(network, shape):
    """Return whether a network can be used on maps of ``shape`` (V, P, 3, S, S)."""
    return tuple(shape) == ONLY.get(network, tuple(shape))
