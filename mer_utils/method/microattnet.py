"""MicroAttNet: a stream each for u, v and magnitude, squeeze-and-excitation, fusion attention, one
logit per label.
"""

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
        return x * ((torch.rand(shape, device=x.device) >= self.p) / (1 - self.p))


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
    """One weight per map and sample, from three numbers of every map: (B, M, S, S) -> weights
    (B, M) that sum to 1.

    The numbers are the logarithms of a map's mean size, largest size and roughness (mean distance
    of a cell from the mean of its 3x3 neighbours): how much moves, how strongly somewhere, and how
    noisy the flow is. The last layer starts small, so that every map weighs about 1 / M at first.
    """

    def __init__(self, maps, hidden=16):
        super().__init__()
        self.hidden = nn.Linear(3 * maps, hidden)
        self.score = _small(nn.Linear(hidden, maps))

    def forward(self, x):
        return torch.softmax(self.score(torch.tanh(self.hidden(describe_maps(x)))), 1)


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


def make_streams(channels, width, dropout, count=3):
    """Return ``count`` streams that never mix, (B, 3 C, S, S) -> (B, 3 * 2 width, S/4, S/4): two
    3x3 convolutions of stride 2, each with BN and ReLU.

    ``groups=3`` cuts the channels into thirds and convolves each by itself: the numbers of three
    separate networks (notebook 04 shows it) in less time (benchmarks/training.py says how much).
    """
    return nn.Sequential(
        nn.Conv2d(
            count * channels, count * width, 3, stride=2, padding=1, groups=count, bias=False
        ),
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
        self.fusion, self.count = fusion, streams
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

    def forward(self, x, weights=None, excitation=None):
        """Return logits (B, L). ``weights`` (B or 1, K, V, P) and ``excitation`` (B or 1, K, C)
        stand in for what fusion attention and SE would say (see ``weigh`` and ``excite``): so one
        can ask what the network does with other gates.
        """
        weights = self.weigh(x) if weights is None else weights
        features = self.extract(x, weights)  # (B, K, C, S/4, S/4)
        excitation = self.excite(features) if excitation is None else excitation
        if excitation is not None:
            features = features * excitation[..., None, None]
        return self.head(features.mean(1) if self.fusion == "mean" else features)

    def stack_maps(self, x):
        """Return the maps (B, V, P, 3, S, S) as (B, K V P, S, S): all of u first, view by view and
        phase by phase.
        """
        return x[:, :, :, : self.count].permute(0, 3, 1, 2, 4, 5).flatten(1, 3)

    def weigh(self, x):
        """Return fusion attention's weights (B, K, V, P), which sum to 1, for maps (B, V, P, 3, S,
        S); without fusion attention None.
        """
        if self.attention is None:
            return None
        return self.attention(self.stack_maps(x)).unflatten(1, (self.count, *x.shape[1:3]))

    def extract(self, x, weights=None):
        """Return the streams' features (B, K, C, S/4, S/4) of maps (B, V, P, 3, S, S)."""
        maps = self.stack_maps(x)
        if weights is not None:
            maps = maps * (maps.shape[1] * weights.flatten(1))[:, :, None, None]
        return self.streams(maps).unflatten(1, (self.count, -1))

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
