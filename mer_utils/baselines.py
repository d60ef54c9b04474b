"""Peers of MicroAttNet: four small networks (PEERS), and three models that are none (PLAIN): an
RBF-SVM on principal components, regions of the face and templates of the labels with logistic
regression.

Every network takes maps (B, V, P, 3, S, S) and returns logits (B, L). Layers are those that public
code shows for the published input size; views and phases become channels, and the last layers fit
the size of the maps at hand.

All are trained and asked as MicroAttNet is (``learning.folds``): the same folds, inner parts,
mirrored samples, number of members, mean of their scores, and rule for thresholds. What differs: a
network gets each sample or its mirror image, drawn anew every epoch, where a model of PLAIN gets
both; it has no epochs to stop and no loss to choose; its maps are not divided by ``fit_scale``;
and PCA+SVM scores by distances, all others by probabilities.

The maps and the Recipe with which each network is trained beside the others.

No fold is trained anew when a setting here changes: a fold's name holds the settings themselves.
"""

from dataclasses import replace

from mer_utils import MerError

import numpy as np
import torch
from torch import nn


class PcaSvm:
    """PCA(100) and one RBF-SVM (C = 3) per label on the flattened maps: the floor that any network
    must clear (see the README).
    """

    natural = 0.0  # threshold on a distance

    def __init__(self, components=100, cost=3.0):
        self.components, self.cost = components, cost

    def fit(self, x, y):
        """Fit on maps (N, ...) and labels (N, L) of training subjects; a label with one answer only
        gets a constant score.
        """
        from sklearn.decomposition import PCA  # a second to import, and only this peer needs it
        from sklearn.svm import SVC

        flat = x.reshape(len(x), -1)
        self.pca = PCA(min(self.components, *flat.shape), svd_solver="full").fit(flat)
        parts = self.pca.transform(flat)
        self.borders = [
            SVC(C=self.cost, gamma="scale").fit(parts, column)
            if np.ptp(column)
            else 2.0 * column[0] - 1
            for column in y.T
        ]
        return self

    def score(self, x):
        """Return the signed distances to the decision borders (N, L); above 0 means yes."""
        parts = self.pca.transform(x.reshape(len(x), -1))
        columns = [
            np.full(len(x), border)
            if isinstance(border, float)
            else border.decision_function(parts)
            for border in self.borders
        ]
        return np.stack(columns, 1)


class Logistic:
    """One logistic regression per label on standardised values, positives and negatives weighing
    alike. ``decay`` is what it is to a network: half of it times the sum of squared coefficients is
    added to the mean loss.
    """

    def __init__(self, decay):
        self.decay = decay

    def fit(self, values, y):
        """Fit on values (N, F) and labels (N, L) of training subjects; a label with one answer only
        gets a constant score.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        cost = 1 / (self.decay * len(values)) if self.decay else np.inf
        self.scaler = StandardScaler().fit(values)
        values = self.scaler.transform(values)
        self.models = [
            LogisticRegression(C=cost, class_weight="balanced", max_iter=1000).fit(values, column)
            if np.ptp(column)
            else float(column[0])
            for column in y.T
        ]
        return self

    def score(self, values):
        """Return probabilities (N, L) for values (N, F)."""
        values = self.scaler.transform(values)
        columns = [
            np.full(len(values), model)
            if isinstance(model, float)
            else model.predict_proba(values)[:, 1]
            for model in self.models
        ]
        return np.stack(columns, 1)


class RegionsLogistic:
    """Logistic regression on the mean of every map in every region of the face: what can be told
    without looking closely. The regions are the cells of a grid on the crop, ``grid`` by ``grid``.
    """

    natural = 0.5  # threshold on a probability

    def __init__(self, decay=1e-3, grid=4):
        self.grid, self.model = grid, Logistic(decay)

    def describe(self, x):
        """Return the means (N, V * P * 3 * grid * grid) of maps (N, V, P, 3, S, S)."""
        bands = np.array_split(x, self.grid, axis=-2)
        cells = [cell for band in bands for cell in np.array_split(band, self.grid, axis=-1)]
        return np.stack([cell.mean((-2, -1)) for cell in cells], -1).reshape(len(x), -1)

    def fit(self, x, y):
        """Fit on maps (N, V, P, 3, S, S) and labels (N, L) of training subjects."""
        self.model.fit(self.describe(x), y)
        return self

    def score(self, x):
        """Return probabilities (N, L)."""
        return self.model.score(self.describe(x))


class TemplatesLogistic:
    """A matched filter per label: its template is the mean of the maps with the label minus the
    mean of those without. How a clip correlates with it, whatever the strength of its motion, is
    made a probability by logistic regression on that one number.
    """

    natural = 0.5  # threshold on a probability

    def __init__(self, decay=1e-3):
        self.decay = decay

    def correlate(self, x):
        """Return the correlations (N, L) of maps (N, ...), less the training mean, with the
        templates; 0 where there is no motion or no template.
        """
        flat = x.reshape(len(x), -1) - self.mean
        lengths = np.linalg.norm(flat, axis=1)[:, None] * np.linalg.norm(self.templates, axis=1)
        return flat @ self.templates.T / np.maximum(lengths, 1e-12)

    def fit(self, x, y):
        """Fit on maps (N, ...) and labels (N, L) of training subjects; a label with one answer only
        has no template and gets a constant score.
        """
        flat = x.reshape(len(x), -1)
        self.mean = flat.mean(0)
        self.templates = np.stack(
            [
                flat[column > 0].mean(0) - flat[column == 0].mean(0)
                if np.ptp(column)
                else np.zeros_like(self.mean)
                for column in y.T
            ]
        )
        columns = zip(self.correlate(x).T, y.T, strict=True)
        self.models = [Logistic(self.decay).fit(c[:, None], own[:, None]) for c, own in columns]
        return self

    def score(self, x):
        """Return probabilities (N, L)."""
        columns = zip(self.models, self.correlate(x).T, strict=True)
        return np.concatenate([model.score(c[:, None]) for model, c in columns], 1)


class STSTNet(nn.Module):
    """Shallow triple-stream 3D CNN (Liong et al. 2019), 1,683 parameters for 3 channels of 28 x 28
    and 3 classes.

    Every stream sees all channels: 3x3 convolutions of 3, 5 and 8 filters, ReLU, BN, max-pooling,
    dropout; then average pooling and a linear layer.
    """

    def __init__(self, views, phases, labels, size, dropout=0.5, maps=3):
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(views * phases * maps, filters, 3, padding=2),
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
        return self.head(self.pool(torch.cat([layers(x) for layers in self.streams], 1)).flatten(1))


class OffApexNet(nn.Module):
    """OFF-ApexNet (Gan et al. 2019): u and v in a stream each, two 5x5 convolutions (6, 16 filters)
    with pooling, then two layers of 1,024; 2,664,475 parameters for one channel a stream of 28 x 28
    and 3 classes. The magnitude is not looked at.
    """

    def __init__(self, views, phases, labels, size, dropout=0.5, maps=3):
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(views * phases, 6, 5, padding=2),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(6, 16, 5, padding=2),
                nn.ReLU(),
                nn.MaxPool2d(2),
            )
            for _ in "uv"
        )
        self.head = nn.Sequential(
            nn.Linear(2 * 16 * (size // 4) ** 2, 1024),
            nn.ReLU(),
            nn.Linear(1024, 1024),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(1024, labels),
        )

    def forward(self, x):
        planes = [layers(x[:, :, :, k].flatten(1, 2)) for k, layers in enumerate(self.streams)]
        return self.head(torch.cat(planes, 1).flatten(1))


class SSSNet(nn.Module):
    """SSSNet (Varanka et al. 2021): one stream, 5x5 convolution of 32 and 3x3 of 64 filters, each
    with ReLU, pooling, BN and dropout of channels; 256 hidden values. 5,184 values reach them from
    3 channels of 64 x 64.

    Nothing is padded, so only maps of 16, 22, 28, ... 64, ... px are seen whole. MerError for other
    sizes: of 20 x 20, 36 % would have no influence.
    """

    def __init__(self, views, phases, labels, size, dropout=0.5, maps=3):
        super().__init__()
        side = ((size - 4) // 3 - 2) // 2
        if side < 1 or 6 * side + 10 != size:
            raise MerError(
                f"SSSNet would not see the last rows and columns of maps of {size} x {size}; give "
                "it 64 x 64 as published, or another size of 16, 22, 28, ..."
            )
        self.layers = nn.Sequential(
            nn.Conv2d(views * phases * maps, 32, 5),
            nn.ReLU(),
            nn.MaxPool2d(3),
            nn.BatchNorm2d(32),
            nn.Dropout2d(dropout),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(64),
            nn.Dropout2d(dropout),
            nn.Flatten(),
            nn.Linear(64 * side**2, 256),
            nn.ReLU(),
            nn.Linear(256, labels),
        )

    def forward(self, x):
        return self.layers(x.flatten(1, 3))


def encode_places(side, channels):
    """Return sinusoids (side * side, channels) that tell the places of a map apart, row by row:
    half of the channels for a place's row, half for its column (Vaswani et al. 2017, on two axes).
    """
    half = channels // 2
    phase = torch.arange(side)[:, None] / 10_000 ** (torch.arange(0, half, 2) / half)
    waves = torch.cat([phase.sin(), phase.cos()], 1)  # (side, half)
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    return torch.cat([rows, columns], 2).flatten(0, 1)


class CrossPhaseNet(nn.Module):
    """Two phases that look at each other, after the idea of DIANet (arXiv 2510.12219: a stream a
    phase, joined by cross-attention); of that paper only the idea is used, all sizes are ours.

    Each phase has its own two 3x3 convolutions of stride 2 (16, 32 filters). Every place is told
    where it is (``encode_places``) and asks those of the other phases (4 heads); the answer is
    added and normed, 2 x 2 places are averaged, and what is left of all phases is concatenated: a
    brow stays apart from a mouth. A phase that is alone asks itself.
    """

    def __init__(self, views, phases, labels, size, dropout=0.5, maps=3):
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(views * maps, 16, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(16),
                nn.ReLU(),
                nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(32),
                nn.ReLU(),
            )
            for _ in range(phases)
        )
        self.ask = nn.ModuleList(
            nn.MultiheadAttention(32, 4, batch_first=True) for _ in range(phases)
        )
        self.norm = nn.ModuleList(nn.LayerNorm(32) for _ in range(phases))
        side = (size + 3) // 4  # after two strides of 2
        self.register_buffer("where", encode_places(side, 32))
        self.pool = nn.AvgPool2d(2, ceil_mode=True)
        cells = ((side + 1) // 2) ** 2
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(32 * cells * phases, labels))

    def forward(self, x):
        # P x (B, 32, S/4, S/4)
        places = [layers(x[:, :, p].flatten(1, 2)) for p, layers in enumerate(self.streams)]
        shape = places[0].shape
        # P x (B, S/4 * S/4, 32)
        places = [plane.flatten(2).transpose(1, 2) + self.where for plane in places]
        seen = []
        for p, (own, ask, norm) in enumerate(zip(places, self.ask, self.norm, strict=True)):
            others = torch.cat([plane for q, plane in enumerate(places) if q != p] or [own], 1)
            answer = norm(own + ask(own, others, others, need_weights=False)[0])
            seen.append(self.pool(answer.transpose(1, 2).reshape(shape)).flatten(1))
        return self.head(torch.cat(seen, 1))


PEERS = {
    "STSTNet": STSTNet,
    "OFF-ApexNet": OffApexNet,
    "SSSNet": SSSNet,
    "CrossPhaseNet": CrossPhaseNet,
}
# each is made from a Recipe's decay; the SVM's settings are the published ones
PLAIN = {
    "PCA+SVM": lambda decay: PcaSvm(),
    "Regions+LR": RegionsLogistic,
    "Templates+LR": TemplatesLogistic,
}


def build_peer(name, shape, labels, dropout=0.5, seed=0):
    """Return the untrained network ``name`` (a key of PEERS) for samples of ``shape`` (V, P, maps,
    S, S).
    """
    views, phases, maps, size, _ = shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PEERS[name](views, phases, labels, size, dropout, maps)


# the fields of a FrontEnd that make the maps a network is made for: the published ones, and our
# choice where nothing is published; peers that are no networks get the maps of MicroAttNet, as the
# floor it has to clear
NATIVE = {
    "MicroAttNet": {"size": 20},  # ours
    "STSTNet": {"size": 28, "third": "strain"},  # Liong et al. 2019
    "OFF-ApexNet": {"size": 28},  # Gan et al. 2019
    # 64 px in Varanka et al. 2021; 28 are seen whole, too, in a sixth of the time and no worse on a
    # development set (benchmarks/tuning.json)
    "SSSNet": {"size": 28},
    "CrossPhaseNet": {"size": 28},  # ours
} | {network: {"size": 20} for network in PLAIN}

# the fields of a Recipe a network was published with, as public code has them; none of them stops
# early: how long to wait is our choice, and so are the epochs where none are known
PUBLISHED = {
    "STSTNet": {"rate": 5e-5, "decay": 0.0, "batch": 256, "epochs": 500, "patience": 100},
    "OFF-ApexNet": {"rate": 1e-4, "decay": 0.0, "epochs": 200, "patience": 40},
    "SSSNet": {"rate": 1e-4, "decay": 1e-3, "batch": 32, "epochs": 200, "patience": 40},
}
# what ``recipe_of`` uses: the winners of benchmarks/tuning.py, a dozen draws and the published
# settings for each on a development set (tests hold them to its record)
TUNED = {
    "MicroAttNet": {"rate": 8.3e-3, "decay": 0.045, "patience": 8, "dropout": 0.25, "epochs": 40},
    "STSTNet": {"rate": 4.6e-3, "decay": 1.5e-3, "patience": 20, "dropout": 0.5, "epochs": 20},
    "OFF-ApexNet": {"rate": 2.4e-3, "decay": 1.2e-4, "patience": 8, "dropout": 0.0, "epochs": 20},
    "SSSNet": {"rate": 2.4e-4, "decay": 4.9e-4, "patience": 20, "dropout": 0.25, "epochs": 20},
    "CrossPhaseNet": {"rate": 4.2e-4, "decay": 0.097, "patience": 20, "dropout": 0.5, "epochs": 60},
    "Regions+LR": {"rate": 4.2e-4, "decay": 0.097, "patience": 20, "dropout": 0.5, "epochs": 60},
}


def recipe_of(network, **changes):
    """Return the Recipe of a network with its own settings (TUNED) and ``changes``."""
    from mer_utils.training import Recipe  # which imports this file

    return Recipe(**{"network": network} | TUNED.get(network, {}) | changes)


def native_front_end(network, base, flow_images=False):
    """Return the FrontEnd ``base`` with the maps a network is made for (NATIVE): their size, and
    what the third one holds. Of ready-made ``flow_images`` the third map is what it is.
    """
    if network not in NATIVE:
        raise MerError(f"network {network!r} is unknown; choose one of {', '.join(NATIVE)}")
    own = NATIVE[network]
    return replace(base, **{k: v for k, v in own.items() if not (flow_images and k == "third")})
