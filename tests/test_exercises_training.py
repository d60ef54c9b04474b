"""The checks of 05: right answers, placeholders, plausible mistakes, anything else."""

from pathlib import Path

from mer_course.checks import training as exercises
from mer_utils.features import FrontEnd, extract
from mer_utils.training import Recipe, flip

import nbformat
import numpy as np
import pytest
import torch
from toys import make_toy, said

pytestmark = pytest.mark.usefixtures("shown")

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def test_check_1(capsys, shown):
    right = [exercises.share_of_easy(exercises.EASY, gamma) for gamma in exercises.GAMMAS]
    exercises.check_1(right)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    at_9 = [exercises.share_of_easy(0.9, gamma) for gamma in exercises.GAMMAS]
    for wrong in ([0.0, 0.0, 0.0], at_9, right[::-1], right[:2], "most", None):
        exercises.check_1(wrong)
        assert said(capsys).startswith("Not yet: ")


def make_curves():
    """Return the curves (1, 3, 9, 4) of three networks; what they were worth is known."""
    curves = np.full((1, 3, 9, 4), 0.5)
    curves[0, 0, :, 2] = [0.2, 0.4, 0.3, 0.3, 0.3, 0.9, 0.3, 0.3, 0.3]  # better after a long wait
    curves[0, 1, :, 2] = np.linspace(0.1, 0.9, 9)  # ever better
    curves[0, 2, :, 2] = 0.5  # of equal AP the loss decides
    curves[0, 2, :, 1] = [0.9, 0.8, 0.7, 0.8, 0.8, 0.8, 0.8, 0.6, 0.8]
    curves[0, 2, 8:] = np.nan
    return curves


def test_check_2(capsys, shown):
    curves, recipe = make_curves(), Recipe(patience=8)
    kept, last = exercises.find_kept(curves, recipe, 3)
    assert kept.tolist() == [2, 9, 3] and last.tolist() == [5, 9, 6]
    assert exercises.find_kept(curves, recipe, 8)[0].tolist() == [6, 9, 8]
    exercises.check_2([2, 9, 3], curves, recipe, 3)
    assert said(capsys).startswith("Right: 2 of 3 networks would be others") and len(shown) == 1
    for wrong in ([0, 0, 0], [6, 9, 8], [1, 8, 2], [2, 9], "two", None):
        exercises.check_2(wrong, curves, recipe, 3)
        assert said(capsys).startswith("Not yet: ")


class Linear(torch.nn.Module):
    """Logits (N, 3) of maps by one layer, or none where it was never fitted."""

    def __init__(self, x, y):
        super().__init__()
        flat = x.flatten(1)
        self.weight = torch.linalg.pinv(flat) @ (y - y.mean(0))

    def forward(self, x):
        return x.flatten(1) @ self.weight


def train(x, y, x_stop, y_stop, seed, mirror=flip):
    """Stand in for the notebook's loop."""
    return Linear(torch.cat([x, mirror(x)]), torch.cat([y, y])), 1


@pytest.fixture(scope="module")
def samples():
    toy = make_toy()
    x, y = torch.tensor(toy.x), torch.tensor(toy.y).float()
    return x[:20], y[:20], x[20:], y[20:]


def test_check_3(capsys, shown, samples):
    def forget(x):
        return x.flip(1, -1)

    maps = samples[0].numpy()
    film = flip(samples[0])[0].numpy()
    exercises.check_3(forget, maps, film, train, samples, 0)
    told = said(capsys)
    assert told.startswith("Right: ") and "+1.00 and" in told and len(shown) == 1
    exercises.check_3(forget, maps, None, train, samples, 0)  # no frames: nothing to show
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    for wrong in (lambda x: x, flip, lambda x: x.flip(-1), lambda x: x[:1], lambda x: 1 / 0, None):
        exercises.check_3(wrong, maps, film, train, samples, 0)
        assert said(capsys).startswith("Not yet: ")


def test_a_mirrored_film_has_mirrored_flow(data):
    front = FrontEnd(crop=64, size=12)
    features = extract(data, front)
    film = exercises.follow_mirrored(data, 0, features.apex[0], front)
    mirrored = flip(torch.tensor(features.x[:1]))[0].numpy()
    for channel in range(3):
        pair = film[:, 0, channel].ravel(), mirrored[:, 0, channel].ravel()
        assert np.corrcoef(*pair)[0, 1] > 0.8


def test_check_4(capsys, shown, samples):
    def deal(labels, k):
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(k))
        return labels[order]

    exercises.check_4(deal, train, samples, 0)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    wrong = (
        lambda labels, k: labels,
        lambda labels, k: deal(labels, 0),
        lambda labels, k: 1 - labels,
        lambda labels, k: labels[:3],
        lambda labels: labels,
        None,
    )
    for answer in wrong:
        exercises.check_4(answer, train, samples, 0)
        assert said(capsys).startswith("Not yet: ")


def test_the_solutions_train_with_the_loop_of_the_notebook():
    first = {
        name: [cell.source for cell in nbformat.read(path, as_version=4).cells]
        for name, path in (
            ("notebook", NOTEBOOKS / "05_training.ipynb"),
            ("solutions", NOTEBOOKS / "solutions" / "05_solutions.ipynb"),
        )
    }
    (loop,) = [source for source in first["notebook"] if source.startswith("def train_by_hand")]
    (mirror,) = [source for source in first["notebook"] if source.startswith("def mirror")]
    (both,) = [source for source in first["solutions"] if source.startswith("def mirror")]
    assert both == mirror.split("\n\n\n")[0] + "\n\n\n" + loop
