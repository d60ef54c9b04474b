"""Peers of MicroAttNet on the same features: an RBF-SVM on principal components and four small
networks.

Every network takes maps (B, V, P, 3, S, S) and returns logits (B, L). Layers are those that public
code shows for the published input size; views and phases become channels, and the last layers fit
the size of the maps at hand.
"""

from mer_utils import MerError

import numpy as np
import torch
from torch import nn


class PcaSvm:
    """PCA(100) and one RBF-SVM (C = 3) per label on the flattened maps: the floor that any network
    must clear (see the README).
    """

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
    """

    def __init__(self, views, phases, labels, size, dropout=0.5, maps=3):
        super().__init__()
        side = ((size - 4) // 3 - 2) // 2
        if side < 1:
            raise MerError(f"SSSNet needs maps of at least 16 x 16, not {size} x {size}")
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


class CrossPhaseNet(nn.Module):
    """Two phases that look at each other, after the idea of DIANet (arXiv 2510.12219: a stream a
    phase, joined by cross-attention); of that paper only the idea is used, all sizes are ours.

    Each phase has its own two 3x3 convolutions of stride 2 (16, 32 filters). Its places then ask
    those of the other phases (4 heads), the answer is added, normed, averaged over places; the
    phases' 32 values each are concatenated. A phase that is alone asks itself.
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
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(32 * phases, labels))

    def forward(self, x):
        # P x (B, 32, S/4, S/4)
        places = [layers(x[:, :, p].flatten(1, 2)) for p, layers in enumerate(self.streams)]
        places = [plane.flatten(2).transpose(1, 2) for plane in places]  # P x (B, S/4 * S/4, 32)
        seen = []
        for p, (own, ask, norm) in enumerate(zip(places, self.ask, self.norm, strict=True)):
            others = torch.cat([plane for q, plane in enumerate(places) if q != p] or [own], 1)
            seen.append(norm(own + ask(own, others, others, need_weights=False)[0]).mean(1))
        return self.head(torch.cat(seen, 1))


PEERS = {
    "STSTNet": STSTNet,
    "OFF-ApexNet": OffApexNet,
    "SSSNet": SSSNet,
    "CrossPhaseNet": CrossPhaseNet,
}


def build_peer(name, shape, labels, dropout=0.5, seed=0):
    """Return the untrained network ``name`` (a key of PEERS) for samples of ``shape`` (V, P, maps,
    S, S).
    """
    views, phases, maps, size, _ = shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PEERS[name](views, phases, labels, size, dropout, maps)
