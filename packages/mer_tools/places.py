"""Where datasets lie, so that nothing is written among their frames."""

from pathlib import Path

from mer_utils import MerError


def find_datasets(path):
    """Yield the datasets' folders that ``path`` is or lies in, the nearest first."""
    path = Path(path).resolve()
    for folder in (path, *path.parents):
        if (folder / "dataset.json").is_file() and (folder / "manifest.csv").is_file():
            yield folder


def check_outside(path):
    """Raise MerError if ``path``, which is to be written, lies in a dataset, where a picture might
    become a frame.
    """
    for root in find_datasets(path):
        raise MerError(path, f"lies inside the dataset {root}; write somewhere else")
