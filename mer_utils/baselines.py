"""Peers of MicroAttNet on the same features: an RBF-SVM on principal components, and STSTNet."""

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.svm import SVC
from torch import nn


class PcaSvm:
    """PCA(100) and one RBF-SVM (C = 3) a label on the flattened maps: the floor that any network must clear (see the
    README).
    """

    def __init__(self, components=100, cost=3.0):
        self.components, self.cost = components, cost

    def fit(self, x, y):
        """Fit on maps (N, ...) and labels (N, L) of training subjects; a label with one answer only gets a constant
        score.
        """
        flat = x.reshape(len(x), -1)
        self.pca = PCA(min(self.components, *flat.shape), svd_solver="full").fit(flat)
        parts = self.pca.transform(flat)
        self.borders = [
            SVC(C=self.cost, gamma="scale").fit(parts, column) if np.ptp(column) else 2.0 * column[0] - 1
            for column in y.T
        ]
        return self

    def score(self, x):
        """Return the signed distances to the decision borders (N, L); above 0 means yes."""
        parts = self.pca.transform(x.reshape(len(x), -1))
        columns = [
            border.decision_function(parts) if isinstance(border, SVC) else np.full(len(x), border)
            for border in self.borders
        ]
        return np.stack(columns, 1)


class STSTNet(nn.Module):
    """Shallow triple-stream 3D CNN (Liong et al. 2019), 1,683 parameters for 3 channels of 28 x 28 and 3 classes.

    Every stream sees all channels: 3x3 convolutions of 3, 5 and 8 filters, ReLU, BN, max-pooling, dropout; then
    average pooling and a linear layer. Input (B, V, P, 3, S, S) with V * P * 3 channels; output logits (B, L).
    """

    def __init__(self, channels, labels, size, dropout=0.5, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.streams = nn.ModuleList(
                nn.Sequential(
                    nn.Conv2d(channels, filters, 3, padding=2),
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
