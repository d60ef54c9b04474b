"""Where datasets lie, so that nothing is written among their frames."""

from pathlib import Path

from mer_utils import MerError


def find_dataset(path):
    """Return the nearest dataset's folder that ``path`` is or lies in, or None."""
    for folder in (path := Path(path).resolve(), *path.parents):
        if (folder / "dataset.json").is_file() and (folder / "manifest.csv").is_file():
            return folder
    return None


def check_outside(path):
    """Raise MerError if ``path``, which is to be written, lies in a dataset, where a picture might
    become a frame.
    """
    if root := find_dataset(path):
        raise MerError(path, f"lies inside the dataset {root}; write somewhere else")
