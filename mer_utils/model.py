"""MicroAttNet: a stream each for u, v and magnitude, squeeze-and-excitation, fusion attention, one
logit per label.
"""

import math

from mer_utils import STREAMS, MerError

import torch
from torch import nn

FUSIONS = ("attention", "concat", "mean")
SE_PLACES = ("magnitude", "all", "none")


class Dropout(nn.Module):
    """Dropout as everywhere (each value is zeroed with probability ``p``, the others grow by 1 / (1
    - p)), drawn by ``torch.rand``: on a CPU twice as fast as ``nn.Dropout``. ``whole`` drops whole
    channels (B, C, H, W).
    """

    def __init__(self, p, whole=False):
        super().__init__()
        self.p, self.whole = p, whole

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        shape = (*x.shape[:2], 1, 1) if self.whole else x.shape
        return x * torch.rand(shape).ge_(self.p).div_(1 - self.p)


class SqueezeExcitation(nn.Module):
    """Weight each channel by what all channels hold on average and at most (Hu et al. 2018, who
    take the average alone): (B, C, H, W) -> gates (B, C) between 0 and 2.

    The last layer starts small: the gates are near 1 at first, and differ from clip to clip. What
    closes gates for good is weight decay in the gradient (Adam's): ``trainer`` spares them.
    """

    def __init__(self, channels, reduction=2):
        super().__init__()
        self.down = nn.Linear(2 * channels, max(channels // reduction, 2))
        self.up = _small(nn.Linear(self.down.out_features, channels))

    def forward(self, x):
        squeezed = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)  # (B, 2 C)
        return 2 * torch.sigmoid(self.up(torch.tanh(self.down(squeezed))))


class FusionAttention(nn.Module):
    """One weight per map and sample, from three numbers of every map (``describe_maps``):
    (B, 3 M) -> weights (B, M) that sum to 1.

    The numbers are the logarithms of a map's mean size, largest size and roughness (mean distance
    of a cell from the mean of its 3x3 neighbours): how much moves, how strongly somewhere, and how
    noisy the flow is. The last layer starts small, so that every map weighs about 1 / M at first.
    """

    def __init__(self, maps, hidden=16):
        super().__init__()
        self.hidden = nn.Linear(3 * maps, hidden)
        self.score = _small(nn.Linear(hidden, maps))

    def forward(self, told):
        return torch.softmax(self.score(torch.tanh(self.hidden(told))), 1)


def describe_maps(x):
    """Return the logarithms (B, 3 M) of mean size, largest size and roughness of maps
    (B, M, S, S): see ``FusionAttention``.
    """
    size = x.abs()
    rough = (x - nn.functional.avg_pool2d(x, 3, 1, 1)).abs()
    told = torch.cat([size.mean((2, 3)), size.amax((2, 3)), rough.mean((2, 3))], 1)
    return torch.log(told + 0.05)


def _small(layer):
    """Return a layer with start values a third of the usual size, and no bias."""
    with torch.no_grad():
        layer.weight.mul_(0.3)
    nn.init.zeros_(layer.bias)
    return layer


class WeightedConv(nn.Conv2d):
    """A bias-free 3x3 convolution of stride 2 in groups, over maps that each sample weighs for
    itself: maps (B, M, S, S) and weights (B or 1, M) -> (B, C, S/2, S/2), what the convolution
    makes of ``maps * weights``.

    It is linear, so a sample's weights can be taken into its kernels, and these be multiplied, as
    matrices, with the ``cells`` of the maps that lie under them. The gradient then needs no way
    back to the maps, which nobody trains: benchmarks/training.py says what that saves.
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
        """Return what lies under the kernels at each of their places, (B, G, 9 M/G, S/2 * S/2), of
        maps (B, M, S, S): 2.25 times as many values.
        """
        side = (maps.shape[-1] + 1) // 2
        padded, reach = nn.functional.pad(maps, (1, 1, 1, 1)), 2 * side - 1
        places = [
            padded[..., row : row + reach : 2, column : column + reach : 2]
            for row in range(3)
            for column in range(3)
        ]
        cells = torch.stack(places, 2)  # (B, M, 9, S/2, S/2)
        return cells.reshape(len(maps), self.groups, -1, side * side)


def make_streams(channels, width, dropout, count=3):
    """Return ``count`` streams that never mix, (B, 3 C, S, S) -> (B, 3 * 2 width, S/4, S/4): two
    3x3 convolutions of stride 2, each with BN and ReLU.

    ``groups=3`` cuts the channels into thirds and convolves each by itself: the numbers of three
    separate networks (notebook 04 shows it).
    """
    return nn.Sequential(
        WeightedConv(count * channels, count * width, count),
        nn.BatchNorm2d(count * width),
        nn.ReLU(),
        Dropout(dropout, whole=True),
        nn.Conv2d(
            count * width, 2 * count * width, 3, stride=2, padding=1, groups=count, bias=False
        ),
        nn.BatchNorm2d(2 * count * width),
        nn.ReLU(),
    )


class MicroAttNet(nn.Module):
    """The triple-stream network of the paper; layer sizes are our choice (only the parts are stated
    there).

    Input (B, V, P, 3, S, S): views and phases are each stream's input channels. Output: logits (B,
    L). ``fusion`` is attention (maps weighted, then streams concatenated), concat (not weighted) or
    mean (streams averaged); ``se`` puts squeeze-and-excitation on the magnitude stream, on all, or
    on none. Weighting a map as it enters its stream is weighting what the kernels make of it: a
    convolution is linear. Every part draws its start values from its own seed: two networks of one
    seed that differ in a switch start with equal shared weights. ``streams`` 2 leaves the magnitude
    out.
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
        if fusion not in FUSIONS:
            raise MerError(f"fusion {fusion!r} is unknown; choose one of {', '.join(FUSIONS)}")
        if se not in SE_PLACES:
            raise MerError(f"SE place {se!r} is unknown; choose one of {', '.join(SE_PLACES)}")
        self.fusion, self.count, self.shape = fusion, streams, (streams, views, phases)
        channels = 2 * width
        part = iter(range(100))

        def seeded(make):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(1000 * seed + next(part))
                return make()

        # every part is made, used or not, so that the seeds of the later ones do not move
        self.streams = seeded(lambda: make_streams(views * phases, width, dropout / 2, streams))
        gates = [seeded(lambda: SqueezeExcitation(channels)) for _ in STREAMS]
        attention = seeded(lambda: FusionAttention(streams * views * phases))
        used = {"magnitude": (False, False, True), "all": (True,) * 3, "none": (False,) * 3}[se]
        kept = list(zip(gates, used, strict=True))[:streams]
        self.gates = nn.ModuleList(gate if on else nn.Identity() for gate, on in kept)
        self.attention = attention if fusion == "attention" else None
        side = (size + 3) // 4  # after two strides of 2
        cells = channels * side**2 * (1 if fusion == "mean" else streams)
        self.head = nn.Sequential(
            nn.Flatten(), Dropout(dropout), seeded(lambda: nn.Linear(cells, labels))
        )

    def forward(self, x=None, weights=None, excitation=None, **ahead):
        """Return logits (B, L). ``weights`` (B or 1, K, V, P) and ``excitation`` (B or 1, K, C)
        stand in for what fusion attention and SE would say (see ``weigh`` and ``excite``): so one
        can ask what the network does with other gates. ``ahead`` is what ``look_ahead`` says of x,
        in its place.
        """
        weights = self.weigh(x, ahead.get("told")) if weights is None else weights
        features = self.extract(x, weights, ahead.get("cells"))  # (B, K, C, S/4, S/4)
        excitation = self.excite(features) if excitation is None else excitation
        if excitation is not None:
            features = features * excitation[..., None, None]
        return self.head(features.mean(1) if self.fusion == "mean" else features)

    def look_ahead(self, x):
        """Return by name what follows from maps (B, V, P, 3, S, S) alone, whatever the weights, for
        who asks about the same maps many times: ``network(**network.look_ahead(x))`` is
        ``network(x)``. What the attention is told (B, 3 K V P) and the first convolution's cells;
        without attention the maps themselves.
        """
        if self.attention is None:
            return {"x": x}
        maps = self.stack_maps(x)
        return {"told": describe_maps(maps), "cells": self.streams[0].cut_cells(maps)}

    def stack_maps(self, x):
        """Return the maps (B, V, P, 3, S, S) as (B, K V P, S, S): all of u first, view by view and
        phase by phase.
        """
        return x[:, :, :, : self.count].permute(0, 3, 1, 2, 4, 5).flatten(1, 3)

    def weigh(self, x, told=None):
        """Return fusion attention's weights (B, K, V, P), which sum to 1, for maps (B, V, P, 3, S,
        S) or what the attention is ``told`` of them; without fusion attention None.
        """
        if self.attention is None:
            return None
        told = describe_maps(self.stack_maps(x)) if told is None else told
        return self.attention(told).unflatten(1, self.shape)

    def extract(self, x, weights=None, cells=None):
        """Return the streams' features (B, K, C, S/4, S/4) of maps (B, V, P, 3, S, S), or of their
        ``cells`` with ``weights`` (B or 1, K, V, P).
        """
        maps = None if x is None else self.stack_maps(x)
        if weights is not None:
            weights = math.prod(self.shape) * weights.flatten(1)  # 1 where all are equal
        first = self.streams[0](maps, weights, cells)
        return self.streams[1:](first).unflatten(1, (self.count, -1))

    def excite(self, features):
        """Return SE's gates (B, K, C) for features (B, K, C, H, W), 1 where a stream has none; None
        if no stream has any.
        """
        if not any(isinstance(gate, SqueezeExcitation) for gate in self.gates):
            return None
        rest = torch.ones_like(features[:, 0, :, 0, 0])
        said = [
            gate(features[:, k]) if isinstance(gate, SqueezeExcitation) else rest
            for k, gate in enumerate(self.gates)
        ]
        return torch.stack(said, 1)


def count_parameters(network):
    """Return the number of trained values in a network."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def count_macs(network, shape):
    """Return the multiply-accumulates of one sample of ``shape`` (without batch) in convolutions
    and linear layers.
    """
    total = 0

    def add(module, _, output):
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output[0].numel() * module.weight[0].numel()
        else:
            total += module.weight.numel()

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return total


def summarise(network, shape):
    """Return "name: N parameters, M MACs a sample" for a network that takes samples of
    ``shape``.
    """
    name, macs = type(network).__name__, count_macs(network, shape)
    return f"{name}: {count_parameters(network):,} parameters, {macs:,} MACs a sample"
