from pathlib import Path

from mer_course.checks import training as exercises
from mer_utils.training import Recipe, flip

import nbformat
import numpy as np
import pytest
import torch
from asking import accept, reject
from toys import make_toy

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def test_check_1():
    right, at_9 = ([exercises.share_of_easy(p, gamma) for gamma in (0, 1, 2)] for p in (0.6, 0.9))
    accept(exercises.check_1, right, says="at 0.9 it was 44%, 10%, 2%")
    reject(exercises.check_1, [[0.0, 0.0, 0.0], at_9, right[::-1], right[:2]])


def test_check_2():
    curves, recipe = np.full((1, 3, 9, 4), 0.5), Recipe(patience=8)
    curves[0, 0, :, 2] = [0.2, 0.4, 0.3, 0.3, 0.3, 0.9, 0.3, 0.3, 0.3]  # better after a long wait
    curves[0, 1, :, 2] = np.linspace(0.1, 0.9, 9)  # ever better
    curves[0, 2, :, 2] = 0.5  # of equal AP the loss decides
    curves[0, 2, :, 1] = [0.9, 0.8, 0.7, 0.8, 0.8, 0.8, 0.8, 0.6, 0.8]
    curves[0, 2, 8:] = np.nan
    assert [exercises.find_kept(run, recipe, 8) for run in curves[0]] == [6, 9, 8]
    says = "2 of 3 networks would be others"
    accept(exercises.check_2, [2, 9, 3], curves, recipe, 3, says=says)
    reject(exercises.check_2, [[0, 0, 0], [6, 9, 8], [1, 8, 2], [2, 9]], curves, recipe, 3)


class Linear(torch.nn.Module):
    """Logits (N, 3) of maps by one layer, fitted at once."""

    def __init__(self, x, y):
        super().__init__()
        self.weight = torch.linalg.pinv(x.flatten(1)) @ (y - y.mean(0))

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


def test_check_3(samples):
    def forget(x):
        return x.flip(1, -1)

    maps, film = samples[0].numpy(), flip(samples[0])[0].numpy()
    accept(exercises.check_3, forget, maps, film, train, samples, 0, says="by -1.00")
    accept(exercises.check_3, forget, maps, None, train, samples, 0)  # no frames: no film
    wrong = [lambda x: x, flip, lambda x: x.flip(-1), lambda x: x[:1], lambda x: 1 / 0]
    reject(exercises.check_3, wrong, maps, film, train, samples, 0)


def test_a_mirrored_film_has_mirrored_flow(data):
    cells = nbformat.read(NOTEBOOKS / "05_training.ipynb", as_version=4).cells
    (imports,) = [cell.source for cell in cells if "extract, extract_clip" in cell.source]
    (stub,) = [cell.source for cell in cells if "def mirror_film" in cell.source]
    scope = {"dataset": data, "x": torch.zeros(1)}
    exec(imports + "\n" + stub, scope)
    maps = scope["extract_clip"](data.clips[0], data.views)[0]
    film, mirrored = scope["mirror_film"](data.clips[0]), flip(torch.tensor(maps[None]))[0].numpy()
    for channel in range(3):
        pair = film[:, 0, channel].ravel(), mirrored[:, 0, channel].ravel()
        assert np.corrcoef(*pair)[0, 1] > 0.8


def test_check_4(samples):
    def deal(labels, k):
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(k))
        return labels[order]

    accept(exercises.check_4, deal, train, samples, 0, says="by chance")
    one_order, other_rows = (lambda y, k: deal(y, 0)), (lambda y, k: 1 - y)
    wrong = [lambda y, k: y, one_order, other_rows, lambda y, k: y[:3], lambda y: y]
    reject(exercises.check_4, wrong, train, samples, 0)


def test_the_solutions_train_with_the_loop_of_the_notebook():
    notebook, solutions = (
        [cell.source for cell in nbformat.read(NOTEBOOKS / name, as_version=4).cells]
        for name in ("05_training.ipynb", "solutions/05_solutions.ipynb")
    )
    (loop,) = [source for source in notebook if source.startswith("def train_by_hand")]
    (mirror,) = [source for source in notebook if source.startswith("def mirror")]
    (both,) = [source for source in solutions if source.startswith("def mirror")]
    assert both == mirror.split("\n\n\n")[0] + "\n\n\n" + loop
