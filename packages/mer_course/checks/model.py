"""Exercises of 04: parameters, how far a cell sees, all weight on the magnitude, hidden cells."""

from mer_course.checks.answer import compare, judge
from mer_utils.model import count_parameters

import numpy as np
import torch


@judge
def check_1(convolution, head, network):
    """The parameters of the convolution and of the head must be two whole numbers."""
    first = sum(map(count_parameters, network.streams[0][:2]))
    expected = first, count_parameters(network.head)
    compare([convolution, head], expected, "Which maps does a kernel read, and who has a bias?")
    total = count_parameters(network)
    return f"{expected[0]:,} and {expected[1]:,} of {total:,}."


@judge
def check_2(mask, size):
    """The mask must be a map (S, S) of True and False."""
    expected = np.zeros((size, size), bool)
    expected[5:12, 5:12] = True  # cell (2, 2) stands on (8, 8) and sees 3 cells to either side
    compare(mask, expected, "Which cells have a gradient in any sample of the batch?")
    return f"7 x 7 of {size} x {size} cells."


@judge
@torch.no_grad()
def check_3(change, network, x, labels):
    """The change must be two rows of differences, one a label: (2, L)."""
    pushed, share = x.clone(), torch.tensor([[0.0, 0.0, 1.0]])
    pushed[:, :, :, 0] += 10
    own = network(pushed) - network(x)
    expected = torch.cat([own, network(pushed, share) - network(x, share)]).numpy()
    hint = "Weights (1, 3): 0 for u and v, 1 for the magnitude, in both calls."
    compare(change, expected, hint, 1e-5, 1e-3)
    most = np.abs(expected).max(1)
    return f"up to {most[0]:.2f}, and {most[1]:.2f} with all weight on the magnitude."


@judge
@torch.no_grad()
def check_4(fall, network, x, label, name):
    """The fall of the logit must be a map (S, S) of numbers, one for each hidden cell."""
    size = x.shape[-1]
    hidden = x.repeat(size * size, 1, 1, 1, 1, 1)
    for n, (row, column) in enumerate(np.ndindex(size, size)):
        rows, columns = (slice(max(0, k - 2), k + 3) for k in (row, column))
        hidden[n, ..., rows, columns] = 0
    logits = network.eval()(torch.cat([x, hidden]))[:, label]
    expected = (logits[0] - logits[1:]).reshape(size, size).numpy()
    hint = "Logit before minus logit after, square of 5 cells around each cell, 0 in all maps."
    compare(fall, expected, hint, 1e-3)
    row, column = np.unravel_index(expected.argmax(), expected.shape)
    return f"{name} falls most, by {expected.max():.2f}, around ({row}, {column})."
