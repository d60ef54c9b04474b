"""Exercises of 04: parameters by formula, how far a cell sees, all weight on the magnitude, and
which cells an answer rests on.
"""

from mer_course.checks.answer import compare, judge
from mer_utils.model import count_parameters
from mer_utils.plots import draw_images

import numpy as np
import torch

HIDE = 2  # cells hidden to each side of a cell


@judge
def check_1(convolution, head, network):
    """The parameters of the convolution and of the head must be two whole numbers."""
    expected = sum(map(count_parameters, network.streams[:2])), count_parameters(network.head)
    compare([convolution, head], expected, "Which maps does a kernel read, and who has a bias?")
    total = count_parameters(network)
    share = expected[1] / total
    return f"{expected[0]:,} and {expected[1]:,} of {total:,}, {share:.0%} in the head.", None


@judge
def check_2(mask, streams, channels, size):
    """The mask must be a map (S, S) of True and False."""
    signal = torch.randn(64, channels, size, size, generator=torch.Generator().manual_seed(0))
    streams.eval()(signal.requires_grad_())[:, :, 2, 2].sum().backward()
    expected = (signal.grad.abs().sum((0, 1)) > 0).numpy()
    compare(mask, expected, "Which cells have a gradient in any sample of the batch?")
    figure = draw_images([255 * np.uint8(expected)], ["seen by cell (2, 2)"])
    return f"{expected.any(1).sum()} x {expected.any(0).sum()} of {size} x {size} cells.", figure


@judge
@torch.no_grad()
def check_3(change, network, x, labels):
    """The change must be two rows of differences, one a label: (2, L)."""
    pushed, share = x.clone(), torch.zeros_like(network.weigh(x))
    pushed[:, :, :, 0] += 10
    share[:, -1] = 1 / share[0, -1].numel()
    own = network(pushed) - network(x)
    expected = torch.cat([own, network(pushed, share) - network(x, share)]).numpy()
    hint = "Weights (1, K, V, P): 0 for u and v, equal shares of 1 for m, in both calls."
    compare(change, expected, hint, 1e-5, 1e-3)
    most = np.abs(expected).max(1)
    return f"up to {most[0]:.2f}, and {most[1]:.2f} with all weight on the magnitude.", None


@judge
@torch.no_grad()
def check_4(fall, network, x, label, name):
    """The fall of the logit must be a map (S, S) of numbers, one for each hidden cell."""
    size = x.shape[-1]
    hidden = x.repeat(size * size, 1, 1, 1, 1, 1)
    for n, (row, column) in enumerate(np.ndindex(size, size)):
        rows, columns = (slice(max(0, k - HIDE), k + HIDE + 1) for k in (row, column))
        hidden[n, ..., rows, columns] = 0
    logits = network.eval()(torch.cat([x, hidden]))[:, label]
    expected = (logits[0] - logits[1:]).reshape(size, size).numpy()
    hint = "Logit before minus logit after, square of 5 cells around each cell, 0 in all maps."
    compare(fall, expected, hint, 1e-3)
    maps = {"magnitude": x[0, :, :, 2].mean((0, 1)).numpy(), f"fall of {name}": expected}
    figure = draw_images([255 * m.clip(0) / m.max() for m in maps.values()], list(maps))
    row, column = np.unravel_index(expected.argmax(), expected.shape)
    return f"the logit falls most, by {expected.max():.2f}, around ({row}, {column}).", figure
