"""Small samples of other people's layouts, written from the synthetic faces; no licensed data."""

import shutil
from pathlib import Path

from mer_utils import MerError

import pytest


def plant(data, folder, k, name="{:04d}.png", first=0, count=None):
    """Copy ``count`` frames (default: all) of clip ``k`` into ``folder``, named by numbers from
    ``first``.
    """
    folder.mkdir(parents=True)
    for t, path in enumerate(data.clips[k].frames[:count]):
        shutil.copyfile(path, folder / name.format(first + t))
    return folder


def contents(root):
    """Return {path: bytes} of all files below ``root``; a folder has None."""
    return {
        path.relative_to(root): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
    }


def refuse(match, call, source, data, *rest, **more):
    """Check that ``call(source, data, ...)`` is refused in one sentence and leaves nothing
    behind.
    """
    before = contents(Path(data).parent)
    with pytest.raises(MerError, match=match) as caught:
        call(source, data, *rest, **more)
    assert "\n" not in str(caught.value)
    assert contents(Path(data).parent) == before


def write_rows(path, *lines):
    """Write lines of cells as CSV."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
