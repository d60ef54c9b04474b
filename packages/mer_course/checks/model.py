"""Exercises of 04: parameters by formula, how far a cell sees, all weight on the magnitude, and
which cells an answer rests on.
"""

from mer_course.checks.answer import read_numbers, tell
from mer_utils.model import count_parameters
from mer_utils.plots import BLUE, GREY, draw_bars, draw_images, grid

import numpy as np
import torch
from IPython.display import display

CELL = (2, 2)  # row and column of the cell at a stream's end
PUSH = 10  # px added to u
HIDE = 5  # cells, side of the square that is hidden


def _read(answer, shape):
    """Return numbers or a tensor as ``read_numbers`` does."""
    try:
        return read_numbers(torch.as_tensor(answer).detach(), tuple(shape))
    except (TypeError, ValueError, RuntimeError):  # nothing of which there is a tensor
        return None


def check_1(convolution, head, network):
    """Check the number of parameters of the first convolution with its BN, and of the head; draw
    all parts' where both are right.
    """
    given = _read([convolution, head], (2,))
    if given is None:
        return tell(False, "", "my_convolution and my_head must be whole numbers")
    conv1, bn1, _, _, conv2, bn2, _ = network.streams
    parts = {"convolution 1": count_parameters(conv1) + count_parameters(bn1)}
    parts["convolution 2"] = count_parameters(conv2) + count_parameters(bn2)
    parts["gates"] = sum(map(count_parameters, (network.attention, network.gates)))
    parts["head"] = count_parameters(network.head)
    off = [name for name, mine in zip(("convolution 1", "head"), given, strict=True)
           if mine != parts[name]]  # fmt: skip
    hint = f"{' and '.join(off)}: which maps does one kernel read, and who has a bias?"
    praise = f"{parts['convolution 1']:,} and {parts['head']:,} of {sum(parts.values()):,}."
    tell(not off, praise, hint)
    if not off:
        total = sum(parts.values())
        shares = {f"{name} ({count:,})": count / total for name, count in parts.items()}
        title = f"{parts['head'] / total:.0%} of all parameters sit in the head"
        mine = [name for name in shares if name.startswith(("convolution 1", "head"))]
        display(draw_bars(shares, title, "share of all parameters", mine))


def find_field(streams, channels, size):
    """Return which cells (S, S) of ``channels`` input maps can change CELL at the end of the
    streams.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        signal = torch.randn(64, channels, size, size, requires_grad=True)
    streams.eval()(signal)[:, :, *CELL].sum().backward()
    return (signal.grad.abs().sum((0, 1)) > 0).numpy()


def check_2(mask, streams, channels, size):
    """Check which cells (S, S) of the input can change CELL; show them where they are right."""
    given = _read(mask, (size, size))
    if given is None:
        return tell(False, "", f"mask must be a map of {size} x {size} of True and False")
    expected = find_field(streams, channels, size)
    right = ((given > 0) == expected).all()
    missed, more = (expected & ~(given > 0)).sum(), ((given > 0) & ~expected).sum()
    hint = f"{missed} cells are missing, {more} are too many. Sum the gradient's size over a batch."
    high, wide = expected.any(1).sum(), expected.any(0).sum()
    tell(right, f"{high} x {wide} of {size} x {size} cells.", hint)
    if right:
        display(draw_images([255 * expected.astype(np.uint8)], [f"seen by cell {CELL}"], size=1.9))


def ask_twice(network, x):
    """Return by how much PUSH px on u move the logits (2, L) of maps x (1, V, P, 3, S, S): with the
    network's own weights, and with all weight on the magnitude.
    """
    pushed, share = x.clone(), torch.zeros_like(network.weigh(x))
    pushed[:, :, :, 0] += PUSH
    share[:, -1] = 1 / share[0, -1].numel()
    with torch.no_grad():
        own = network(pushed) - network(x)
        given = network(pushed, share) - network(x, share)
    return torch.cat([own, given]).numpy()


def check_3(change, network, x, labels):
    """Check by how much the logits move when u is pushed, (2, L): with the network's own weights
    and with all weight on the magnitude; draw both where they are right.
    """
    given = _read(change, (2, len(labels)))
    if given is None:
        return tell(False, "", f"change must be 2 rows of {len(labels)} differences of logits")
    expected = ask_twice(network, x)
    right = np.allclose(given, expected, rtol=1e-3, atol=1e-5)
    hint = "weights (1, K, V, P): 0 for u and v, equal shares of 1 for m, in both calls of a row."
    most = np.abs(expected).max(1)
    tell(right, f"up to {most[0]:.2f}, and {most[1]:.2f} with all weight on the magnitude.", hint)
    if right:
        figure, ((axis,),) = grid(1, 1, 5.5, 2.4)
        rows = np.arange(len(labels))
        axis.barh(rows - 0.2, given[0], 0.4, color=GREY, label=f"own weights: up to {most[0]:.2f}")
        axis.barh(
            rows + 0.2, given[1], 0.4, color=BLUE, label=f"all on the magnitude: {most[1]:.2f}"
        )
        axis.set_yticks(rows, labels)
        axis.invert_yaxis()
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set(xlabel="change of the logit", title=f"u + {PUSH} px in all maps")
        axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        display(figure)


def hide_cells(network, x, label):
    """Return by how much the logit of ``label`` falls (S, S) when a square of HIDE x HIDE cells
    around each cell is 0 in all maps x (1, V, P, 3, S, S).
    """
    size, reach = x.shape[-1], HIDE // 2
    hidden = x.repeat(size * size, 1, 1, 1, 1, 1)
    for n in range(size * size):
        row, column = divmod(n, size)
        rows = slice(max(0, row - reach), row + reach + 1)
        hidden[n, ..., rows, max(0, column - reach) : column + reach + 1] = 0
    with torch.no_grad():
        fall = network.eval()(x)[:, label] - network(hidden)[:, label]
    return fall.reshape(size, size).numpy()


def check_4(fall, network, x, label, name):
    """Check the map (S, S) of what hiding cells costs the logit of a label (its number and name);
    show it beside the magnitude where it is right.
    """
    size = x.shape[-1]
    given = _read(fall, (size, size))
    if given is None:
        return tell(False, "", f"fall must be a map of {size} x {size} numbers")
    expected = hide_cells(network, x, label)
    right = np.allclose(given, expected, atol=1e-3)
    hint = "logit before minus logit after, square of 5 cells around each cell, 0 in all maps."
    if np.allclose(given, -expected, atol=1e-3) and not right:
        hint = "mind the sign: a fall is positive."
    row, column = np.unravel_index(expected.argmax(), expected.shape)
    tell(right, f"the logit falls most, by {expected.max():.2f}, around ({row}, {column}).", hint)
    if right:
        figure, axes = grid(1, 2, 5.4, 2.5)
        moves, limit = x[0, :, :, 2].mean((0, 1)).numpy(), np.abs(expected).max()
        axes[0, 0].imshow(moves, cmap="Greens")
        axes[0, 0].set_title("magnitude, mean of all maps")
        shown = axes[0, 1].imshow(expected, cmap="PuOr_r", vmin=-limit, vmax=limit)
        axes[0, 1].set_title(f"fall of {name} when hidden")
        figure.colorbar(shown, ax=axes[0, 1], shrink=0.8, label="logit")
        for axis in axes[0]:
            axis.axis("off")
        display(figure)
