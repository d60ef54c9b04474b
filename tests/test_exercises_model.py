from mer_course.checks import model as exercises
from mer_utils.model import MicroAttNet, count_parameters, make_streams

import numpy as np
import pytest
import torch
from asking import accept, ask, reject

VIEWS, PHASES, SIZE, LABELS = 2, 2, 12, ("Negative", "Positive", "Others")
NETWORK = MicroAttNet(VIEWS, PHASES, len(LABELS), SIZE, seed=1).eval()
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    X = torch.randn(1, VIEWS, PHASES, 3, SIZE, SIZE)
    STREAMS = make_streams(VIEWS * PHASES, 8, 0.25)


@pytest.mark.parametrize(("views", "phases", "size"), [(2, 2, 20), (1, 1, 14)])
def test_check_1(views, phases, size):
    network = MicroAttNet(views, phases, 3, size)
    convolution = 3 * 8 * 9 * views * phases + 2 * 3 * 8
    head = 3 * (48 * ((size + 3) // 4) ** 2 + 1)
    says = f"of {count_parameters(network):,}"
    accept(exercises.check_1, convolution, head, network, says=says)
    wrong = [(convolution + 24, head), (convolution, head - 3), (24, 3)]
    reject(exercises.check_1, [*wrong, ([convolution], head)], network)


def test_check_2():
    rest = STREAMS, 3 * VIEWS * PHASES, SIZE
    right = np.zeros((SIZE, SIZE), bool)
    right[5:12, 5:12] = True  # cell (2, 2) stands on (8, 8) and sees 3 cells to either side
    accept(exercises.check_2, right, *rest, figures=1, says="7 x 7 of 12 x 12")
    accept(exercises.check_2, torch.from_numpy(right), *rest, figures=1)
    smaller = right.copy()
    smaller[5] = False
    text, _ = ask(exercises.check_2, smaller, *rest)
    assert "7 of 144 numbers are wrong" in text
    reject(exercises.check_2, [0 * right, smaller, right.T[:5]], *rest)


def test_check_3():
    pushed, share = X.clone(), torch.zeros(1, 3, VIEWS, PHASES)
    pushed[:, :, :, 0] += 10
    share[:, 2] = 1 / (VIEWS * PHASES)
    own = NETWORK(pushed) - NETWORK(X)
    right = torch.cat([own, NETWORK(pushed, share) - NETWORK(X, share)])
    assert own.abs().max() > 0.01 and not right[1].any()
    accept(exercises.check_3, right, NETWORK, X, LABELS)  # also with a gradient
    wrong = [torch.zeros_like(right), right.flip(0), -right, right[0]]
    reject(exercises.check_3, wrong, NETWORK, X, LABELS)


def hide(label):
    fall = np.zeros((SIZE, SIZE))
    with torch.no_grad():
        for row, column in np.ndindex(SIZE, SIZE):
            hidden = X.clone()
            hidden[..., max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = 0
            fall[row, column] = NETWORK(X)[0, label] - NETWORK(hidden)[0, label]
    return fall


def test_check_4():
    rest = NETWORK, X, 1, "Positive"
    right = hide(1)
    accept(exercises.check_4, right, *rest, figures=1, says="the logit falls most")
    reject(exercises.check_4, [-right, np.zeros((SIZE, SIZE)), hide(0), right[:3]], *rest)
