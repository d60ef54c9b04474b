import logging
import os
import shutil
import sys
from dataclasses import replace

from faces4d.generate import write_synthetic
from mer_tools import __main__ as cli
from mer_utils.dataset import open_dataset
from mer_utils.evaluation import run_loso
from mer_utils.features import FrontEnd, extract
from mer_utils.prediction import WEIGHTS, save_ensemble
from mer_utils.training import Recipe

import numpy as np
import pytest

# two workers of pytest fill two cores: where a test names no number of processes, it gets one
os.environ["LOKY_MAX_CPU_COUNT"] = "1"


# files whose tests film faces, train networks or start processes: seconds each
SLOW_FILES = """
    book cache cli commands demo demos disk doctor film_again generate hostile
    megc2019 motion prediction rendering run start submission
""".split()


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    """Mark what is slow. Deal the tests to two workers, who get a half each and begin with what is
    slow: one runs the notebooks in their order, so that none trains what another has trained; one
    all else.
    """
    for item in items:
        if item.path.stem.removeprefix("test_") in SLOW_FILES:
            item.add_marker("slow")
    slow = [item for item in items if item.get_closest_marker("slow")]
    notebooks = [item for item in slow if item.path.name == "test_notebooks.py"]
    notebooks.sort(key=lambda item: "solutions" in item.name)
    others = [item for item in slow if item not in notebooks]
    others.sort(key=lambda item: item.path.name != "test_chain.py")
    fast = [item for item in items if item not in slow]
    middle = max(0, len(items) // 2 - len(notebooks))
    items[:] = [*notebooks, *fast[:middle], *others, *fast[middle:]]


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A small synthetic dataset, made once: 2 subjects, 6 clips. Tests read it; who changes it
    works on a copy.
    """
    return open_dataset(write_synthetic(tmp_path_factory.mktemp("data") / "tiny", 2, 6, seed=3))


@pytest.fixture
def copy(data, tmp_path):
    """A copy of the small set, to be spoilt."""
    return shutil.copytree(data.root, tmp_path / "copy")


@pytest.fixture(scope="session")
def trained(data, tmp_path_factory):
    """Weights of folds of the small set, whose two subjects are dealt into four so that there is
    something to split: (path, features, outcome).
    """
    front, recipe = FrontEnd(crop=64, size=12), Recipe(epochs=2, inner=2, width=4)
    features = extract(data, front)
    subjects = np.array([f"P{n % 4}" for n in range(len(features.y))])
    features = replace(features, subjects=subjects)
    outcome = run_loso(features, recipe)
    path = tmp_path_factory.mktemp("weights") / WEIGHTS
    save_ensemble(path, outcome, features, recipe, front, "tiny synthetic faces")
    return path, features, outcome


@pytest.fixture
def mer(monkeypatch, capsys, tmp_path):
    """Run the command `mer` in this process, in an empty folder: returns (exit code, stdout,
    stderr).
    """
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["mer", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            cli.app()
        logging.disable(logging.NOTSET)  # `mer run` silences libraries; here the process goes on
        return ended.value.code or 0, *capsys.readouterr()

    return call
