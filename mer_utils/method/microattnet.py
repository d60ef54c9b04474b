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
    """Weight each channel by what all channels hold on average (Hu et al. 2018): (B, C, H, W) ->
    same shape.

    The gate is 2 sigmoid(.) with a last layer of zeros, so that at the start it is 1 everywhere and
    changes nothing.
    """

    def __init__(self, channels, reduction=4):
        super().__init__()
        self.down = nn.Linear(channels, max(channels // reduction, 2))
        self.up = nn.Linear(self.down.out_features, channels)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x):
        squeezed = x.mean((2, 3))  # (B, C)
        gate = 2 * torch.sigmoid(self.up(torch.relu(self.down(squeezed))))  # (B, C)
        return x * gate[:, :, None, None]


class FusionAttention(nn.Module):
    """One weight per stream and sample, from the averages of all streams: (B, K, C, H, W) ->
    weights (B, K) that sum to 1.

    The last layer starts at zero: every stream weighs 1 / K at first.
    """

    def __init__(self, streams, channels):
        super().__init__()
        self.hidden = nn.Linear(streams * channels, channels)
        self.score = nn.Linear(channels, streams)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, x):
        squeezed = x.mean((3, 4)).flatten(1)  # (B, K * C)
        return torch.softmax(self.score(torch.tanh(self.hidden(squeezed))), 1)


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
    L). ``fusion`` is attention (streams weighted, then concatenated), concat (not weighted) or mean
    (averaged); ``se`` puts squeeze-and-excitation on the magnitude stream, on all, or on none.
    Every part draws its start values from its own seed, and attention and SE start as the identity:
    two networks of one seed that differ in a switch start with equal shared weights and, but for
    ``mean``, with equal outputs. ``streams`` 2 leaves the magnitude out.
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
        attention = seeded(lambda: FusionAttention(streams, channels))
        used = {"magnitude": (False, False, True), "all": (True,) * 3, "none": (False,) * 3}[se]
        kept = list(zip(gates, used, strict=True))[:streams]
        self.gates = nn.ModuleList(gate if on else nn.Identity() for gate, on in kept)
        self.attention = attention if fusion == "attention" else None
        side = (size + 3) // 4  # after two strides of 2
        cells = channels * side**2 * (1 if fusion == "mean" else streams)
        self.head = nn.Sequential(
            nn.Flatten(), Dropout(dropout), seeded(lambda: nn.Linear(cells, labels))
        )

    def forward(self, x, return_attention=False):
        """Return logits (B, L); with ``return_attention`` also the streams' weights (B, 3), all 1/3
        without fusion attention.
        """
        count = self.count
        # (B, 3 * V * P, S, S), all of u first
        x = x[:, :, :, :count].permute(0, 3, 1, 2, 4, 5).flatten(1, 3)
        features = self.streams(x).unflatten(1, (count, -1))  # (B, 3, C, S/4, S/4)
        if any(isinstance(gate, SqueezeExcitation) for gate in self.gates):
            features = torch.stack([gate(features[:, k]) for k, gate in enumerate(self.gates)], 1)
        if self.attention is None:
            weights = features.new_full((len(x), count), 1 / count)
        else:
            weights = self.attention(features)
            features = features * (count * weights)[:, :, None, None, None]
        logits = self.head(features.mean(1) if self.fusion == "mean" else features)
        return (logits, weights) if return_attention else logits


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
