"""MicroAttNet: a stream each for u, v and magnitude, squeeze-and-excitation, fusion attention, and
one logit per label. Notebook 04 builds it step by step.

Letters in shapes: B samples, V views, P phases, S cells a side, C channels of a stream's features,
L labels.
"""

from mer_utils import STREAMS

import torch
from torch import nn


class MicroAttNet(nn.Module):
    """The triple-stream network of the paper: maps (B, V, P, 3, S, S) -> logits (B, L).

    Stated: three streams, attention that weights the streams' features adaptively, SE on the
    magnitude. Ours: layers, sizes, start values. ``attention`` and ``se`` switch a part off;
    networks that differ in these alone start with equal shared weights.
    """

    def __init__(self, views, phases, labels, size, attention=True, se=True, width=8, dropout=0.5):
        super().__init__()
        channels, side = 2 * width, (size + 3) // 4  # after two strides of 2
        self.streams = nn.ModuleList(
            make_stream(views * phases, width, dropout / 2) for _ in STREAMS
        )
        linear = nn.Linear(len(STREAMS) * channels * side**2, labels)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), linear)
        # both are made, used or not, so that variants draw the same random numbers
        gate, fusion = SqueezeExcitation(channels), FusionAttention(len(STREAMS), channels)
        self.se = gate if se else None
        self.attention = fusion if attention else None

    def forward(self, x, weights=None, gates=None):
        """Return the logits; ``weights`` and ``gates`` replace the network's own (see ``fuse``)."""
        return self.head(self.fuse(x, weights, gates)[0])

    def extract(self, x):
        """Return the features of u, v and magnitude, (B, C, S/4, S/4) each."""
        return [stream(x[:, :, :, k].flatten(1, 2)) for k, stream in enumerate(self.streams)]

    def fuse(self, x, weights=None, gates=None):
        """Return the weighted features (B, 3, C, S/4, S/4), attention's weights (B, 3) and SE's
        gates (B, C); None for a part that is switched off.
        """
        u, v, magnitude = self.extract(x)
        if self.se is not None and gates is None:
            gates = self.se(magnitude)
        if gates is not None:
            magnitude = gates[..., None, None] * magnitude
        features = torch.stack([u, v, magnitude], 1)
        if self.attention is not None and weights is None:
            weights = self.attention(features)
        if weights is not None:
            features = 3 * weights[..., None, None, None] * features  # times 1 where all are equal
        return features, weights, gates


def make_stream(maps, width, dropout):
    """Return a stream (B, V P, S, S) -> (B, 2 width, S/4, S/4): two convolutions of stride 2."""
    return nn.Sequential(
        nn.Conv2d(maps, width, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Dropout2d(dropout),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
    )


class SqueezeExcitation(nn.Module):
    """A gate for each channel from the means of all (Hu et al. 2018): (B, C, H, W) -> (B, C)."""

    def __init__(self, channels, reduction=2):
        super().__init__()
        self.down = nn.Linear(channels, channels // reduction)
        self.up = nn.Linear(channels // reduction, channels)

    def forward(self, features):
        squeezed = features.mean((2, 3))
        return torch.sigmoid(self.up(torch.relu(self.down(squeezed))))


class FusionAttention(nn.Module):
    """A weight for each stream from all streams' means: (B, K, C, H, W) -> softmax (B, K)."""

    def __init__(self, streams, channels):
        super().__init__()
        self.score = nn.Linear(streams * channels, streams)

    def forward(self, features):
        pooled = features.mean((3, 4)).flatten(1)  # (B, K C)
        return torch.softmax(self.score(pooled), 1)


def count_parameters(network):
    """Return the number of trained values in a network."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
