"""MicroAttNet: a stream each for u, v and magnitude, squeeze-and-excitation, fusion attention, and
one logit per label. Notebook 04 builds it step by step.

Letters in shapes: B samples, V views, P phases, K streams, M = K V P maps, S pixels a side,
C channels of a stream's features, L labels.
"""

import math

from mer_utils import STREAMS, MerError

import torch
from torch import nn

FUSIONS = ("attention", "concat", "mean")
SE_PLACES = ("magnitude", "all", "none")


class MicroAttNet(nn.Module):
    """The triple-stream network of the paper: maps (B, V, P, K, S, S) -> logits (B, L). The paper
    states its parts; layer sizes are our choice.

    ``fusion``: attention weighs the maps; concat and mean join unweighted streams. ``se`` names the
    streams with squeeze-and-excitation. ``streams`` = 2 leaves the magnitude out. Each part has a
    seed of its own: networks that differ in a switch start with equal shared weights.
    """

    def __init__(
        self,
        views,
        phases,
        labels,
        size,
        fusion="attention",
        se="magnitude",
        width=8,
        dropout=0.5,
        seed=0,
        streams=len(STREAMS),
    ):
        super().__init__()
        for value, choices in ((fusion, FUSIONS), (se, SE_PLACES)):
            if value not in choices:
                raise MerError(f"{value!r} is unknown; choose one of {', '.join(choices)}")
        self.fusion, self.count, self.shape = fusion, streams, (streams, views, phases)

        def seeded(part, make):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(1000 * seed + part)
                return make()

        channels = 2 * width
        self.streams = seeded(0, lambda: make_streams(views * phases, width, dropout / 2, streams))
        gated = {"magnitude": (2,), "all": (0, 1, 2), "none": ()}[se]
        self.gates = nn.ModuleList(
            seeded(1 + k, lambda: SqueezeExcitation(channels)) if k in gated else nn.Identity()
            for k in range(streams)
        )
        self.attention = None
        if fusion == "attention":
            self.attention = seeded(4, lambda: FusionAttention(streams * views * phases))
        side = (size + 3) // 4  # after two strides of 2
        cells = channels * side**2 * (1 if fusion == "mean" else streams)
        linear = seeded(5, lambda: nn.Linear(cells, labels))
        self.head = nn.Sequential(nn.Flatten(), Dropout(dropout), linear)

    def forward(self, x=None, weights=None, excitation=None, description=None, cells=None):
        """Return logits (B, L) of maps x, or of what ``look_ahead`` returns for them; ``weights``
        and ``excitation`` replace what ``weigh`` and ``excite`` return.
        """
        weights = self.weigh(x, description) if weights is None else weights
        features = self.extract(x, weights, cells)  # (B, K, C, S/4, S/4)
        excitation = self.excite(features) if excitation is None else excitation
        if excitation is not None:
            features = features * excitation[..., None, None]
        return self.head(features.mean(1) if self.fusion == "mean" else features)

    def stack_maps(self, x):
        """Return maps (B, V, P, K, S, S) as (B, M, S, S): all of u first, then all of v."""
        return x[:, :, :, : self.count].permute(0, 3, 1, 2, 4, 5).flatten(1, 3)

    def weigh(self, x, description=None):
        """Return fusion attention's weights (B, K, V, P), which sum to 1, for maps x or their
        ``description``; None without fusion attention.
        """
        if self.attention is None:
            return None
        description = describe_maps(self.stack_maps(x)) if description is None else description
        return self.attention(description).unflatten(1, self.shape)

    def extract(self, x, weights=None, cells=None):
        """Return the streams' features (B, K, C, S/4, S/4) of maps x, each map multiplied by its
        weight (B or 1, K, V, P). ``cells`` of the maps may stand in for x.
        """
        maps = None if x is None else self.stack_maps(x)
        if weights is not None:
            weights = math.prod(self.shape) * weights.flatten(1)  # 1 where all are equal
        first = self.streams[0](maps, weights, cells)
        return self.streams[1:](first).unflatten(1, (self.count, -1))

    def excite(self, features):
        """Return SE's gates (B, K, C) for features (B, K, C, H, W), 1 for streams without SE; None
        if no stream has SE.
        """
        gated = [k for k, gate in enumerate(self.gates) if isinstance(gate, SqueezeExcitation)]
        excitation = torch.ones_like(features[..., 0, 0])
        for k in gated:
            excitation[:, k] = self.gates[k](features[:, k])
        return excitation if gated else None

    def look_ahead(self, x):
        """Return by name what ``forward`` needs of maps x and no weight changes, so that training
        computes it once: ``network(**network.look_ahead(x))`` is ``network(x)``.
        """
        if self.attention is None:
            return {"x": x}
        maps = self.stack_maps(x)
        return {"description": describe_maps(maps), "cells": self.streams[0].cut_cells(maps)}


def make_streams(channels, width, dropout, count=3):
    """Return ``count`` streams side by side, (B, 3 C, S, S) -> (B, 3 * 2 width, S/4, S/4): two 3x3
    convolutions of stride 2, each with batch normalisation and ReLU. ``groups`` keeps the streams
    apart (notebook 04 shows it).
    """
    first, second = count * width, 2 * count * width
    return nn.Sequential(
        WeightedConv(count * channels, first, count),
        nn.BatchNorm2d(first),
        nn.ReLU(),
        Dropout(dropout, whole=True),
        nn.Conv2d(first, second, 3, stride=2, padding=1, groups=count, bias=False),
        nn.BatchNorm2d(second),
        nn.ReLU(),
    )


class SqueezeExcitation(nn.Module):
    """Weight each channel by the mean and the maximum of all channels (Hu et al. 2018 take the mean
    alone): (B, C, H, W) -> gates (B, C) between 0 and 2, near 1 before training.
    """

    def __init__(self, channels):
        super().__init__()
        self.down = nn.Linear(2 * channels, max(channels // 2, 2))
        self.up = start_small(nn.Linear(self.down.out_features, channels))

    def forward(self, x):
        squeezed = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)  # (B, 2 C)
        return 2 * torch.sigmoid(self.up(torch.tanh(self.down(squeezed))))


class FusionAttention(nn.Module):
    """One weight per map and sample from the description of all maps (see ``describe_maps``):
    (B, 3 M) -> weights (B, M) that sum to 1, each about 1 / M before training.
    """

    def __init__(self, maps, hidden=16):
        super().__init__()
        self.hidden = nn.Linear(3 * maps, hidden)
        self.score = start_small(nn.Linear(hidden, maps))

    def forward(self, description):
        return torch.softmax(self.score(torch.tanh(self.hidden(description))), 1)


def describe_maps(x):
    """Return three numbers of each map, (B, M, S, S) -> (B, 3 M), as logarithms: mean size, largest
    size, and roughness (the mean distance of a cell from the mean of its 3x3 neighbourhood).
    """
    size = x.abs()
    rough = (x - nn.functional.avg_pool2d(x, 3, 1, 1)).abs()
    numbers = torch.cat([size.mean((2, 3)), size.amax((2, 3)), rough.mean((2, 3))], 1)
    return torch.log(numbers + 0.05)


def start_small(layer):
    """Return a layer with start weights a third of the usual size, and no bias."""
    with torch.no_grad():
        layer.weight.mul_(0.3)
    nn.init.zeros_(layer.bias)
    return layer


# Two layers written for speed


class Dropout(nn.Module):
    """nn.Dropout in half its time on a CPU. ``whole`` drops whole channels of (B, C, H, W)."""

    def __init__(self, p, whole=False):
        super().__init__()
        self.p, self.whole = p, whole

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        shape = (*x.shape[:2], 1, 1) if self.whole else x.shape
        return x * torch.rand(shape).ge_(self.p).div_(1 - self.p)


class WeightedConv(nn.Conv2d):
    """A 3x3 convolution of stride 2 in groups, without bias, of maps times weights: maps
    (B, M, S, S) and weights (B or 1, M) -> (B, C, S/2, S/2).

    A convolution is linear, so the weights can multiply its kernels instead of the maps. What lies
    under the kernels (``cells``) stays the same in every epoch, and the maps need no gradient.
    """

    def __init__(self, maps, channels, groups):
        super().__init__(maps, channels, 3, stride=2, padding=1, groups=groups, bias=False)

    def forward(self, maps, weights=None, cells=None):
        if weights is None:
            return super().forward(maps)
        cells = self.cut_cells(maps) if cells is None else cells
        count, groups, _, places = cells.shape
        kernels = self.weight.unflatten(0, (groups, -1)).flatten(3)  # (G, C/G, M/G, 9)
        own = kernels * weights.unflatten(1, (groups, 1, -1))[..., None]
        own = own.expand(count, *kernels.shape).flatten(3).flatten(0, 1)
        side = math.isqrt(places)
        return torch.bmm(own, cells.flatten(0, 1)).view(count, -1, side, side)

    def cut_cells(self, maps):
        """Return what lies under the kernels at each place, (B, G, 9 M/G, S/2 * S/2)."""
        cells = nn.functional.unfold(maps, 3, padding=1, stride=2)
        return cells.unflatten(1, (self.groups, -1))


def count_parameters(network):
    """Return the number of trained values in a network."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
