"""The checks of 04: right answers, placeholders, plausible mistakes, anything else."""

from mer_course.checks import model as exercises
from mer_utils.model import MicroAttNet, count_parameters, make_streams

import numpy as np
import pytest
import torch
from toys import said

pytestmark = pytest.mark.usefixtures("shown")

VIEWS, PHASES, SIZE, LABELS = 2, 2, 12, ("Negative", "Positive", "Others")
NETWORK = MicroAttNet(VIEWS, PHASES, len(LABELS), SIZE, seed=1).eval()
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    X = torch.randn(1, VIEWS, PHASES, 3, SIZE, SIZE)
    STREAMS = make_streams(VIEWS * PHASES, 8, 0.25)


@pytest.mark.parametrize(("views", "phases", "size"), [(2, 2, 20), (1, 1, 14)])
def test_check_1(capsys, shown, views, phases, size):
    network = MicroAttNet(views, phases, 3, size)
    convolution = 3 * 8 * 9 * views * phases + 2 * 3 * 8
    head = 3 * (48 * ((size + 3) // 4) ** 2 + 1)
    exercises.check_1(convolution, head, network)
    assert f"of {count_parameters(network):,}." in said(capsys) and len(shown) == 1
    exercises.check_1(convolution + 24, head, network)  # as if the convolution had a bias
    assert said(capsys).startswith("Not yet: convolution 1: ")
    exercises.check_1(convolution, head - 3, network)  # biases forgotten
    assert said(capsys).startswith("Not yet: head: ")
    for wrong in ((24, 3), ("many", head), (None, None), ([convolution], head)):
        exercises.check_1(*wrong, network)
        assert said(capsys).startswith("Not yet: ")


def test_check_2(capsys, shown):
    channels = 3 * VIEWS * PHASES
    right = np.zeros((SIZE, SIZE), bool)
    right[5:12, 5:12] = True  # cell (2, 2) stands on (8, 8) and sees 3 cells to either side
    exercises.check_2(right, STREAMS, channels, SIZE)
    assert said(capsys).startswith("Right: 7 x 7 of 12 x 12") and len(shown) == 1
    exercises.check_2(torch.from_numpy(right), STREAMS, channels, SIZE)
    assert said(capsys).startswith("Right: ")
    smaller = right.copy()
    smaller[5] = False
    for wrong in (0 * right, smaller, right.T[:5], "all", None):
        exercises.check_2(wrong, STREAMS, channels, SIZE)
        assert said(capsys).startswith("Not yet: ")


def test_check_3(capsys, shown):
    right = exercises.ask_twice(NETWORK, X)
    assert np.abs(right[0]).max() > 0.01 and not right[1].any()
    exercises.check_3(torch.from_numpy(right), NETWORK, X, LABELS)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    for wrong in (np.zeros_like(right), right[::-1], -right, right[0], "zero", None):
        exercises.check_3(wrong, NETWORK, X, LABELS)
        assert said(capsys).startswith("Not yet: ")


def test_check_4(capsys, shown):
    right = exercises.hide_cells(NETWORK, X, 1)
    hidden = X.clone()
    hidden[..., 4:9, 0:3] = 0  # around (6, 0)
    with torch.no_grad():
        fall = NETWORK(X)[0, 1] - NETWORK(hidden)[0, 1]
    assert right[6, 0] == pytest.approx(float(fall), abs=1e-5)
    exercises.check_4(right, NETWORK, X, 1, "Positive")
    assert said(capsys).startswith("Right: the logit falls most") and len(shown) == 1
    exercises.check_4(-right, NETWORK, X, 1, "Positive")
    assert "mind the sign" in said(capsys)
    other = exercises.hide_cells(NETWORK, X, 0)
    for wrong in (np.zeros((SIZE, SIZE)), other, right[:3], "fall", None):
        exercises.check_4(wrong, NETWORK, X, 1, "Positive")
        assert said(capsys).startswith("Not yet: ")
