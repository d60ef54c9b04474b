"""Where datasets lie, so that nothing is written among their frames."""

from pathlib import Path

from mer_utils import MerError
from mer_utils.dataset import Clip, survey


def find_datasets(path):
    """Yield the datasets' folders that ``path`` is or lies in, the nearest first."""
    path = Path(path).resolve()
    for folder in (path, *path.parents):
        if (folder / "dataset.json").is_file() and (folder / "manifest.csv").is_file():
            yield folder


def check_outside(path):
    """Raise MerError if ``path``, which is to be written, is one of a dataset's two files or lies
    among its frames, where a picture would become a frame.
    """
    path = Path(path).resolve()
    for root in find_datasets(path):
        clips = (clip for clip in survey(root)[1] if isinstance(clip, Clip))
        places = [root / "dataset.json", root / "manifest.csv", *(clip.folder for clip in clips)]
        if any(path.is_relative_to(place.resolve()) for place in places):
            raise MerError(path, f"lies inside the dataset {root}; write somewhere else")
