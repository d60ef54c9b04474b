"""Small samples of other people's layouts, written from the synthetic faces; no licensed data."""

import shutil
from pathlib import Path

from mer_utils import MerError

import cv2
import numpy as np
import openpyxl
import pytest


def plant(data, folder, k, name="{:04d}.png", first=0, count=None):
    """Copy ``count`` frames (default: all) of clip ``k``, numbered from ``first``."""
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


def refuse(match, call, source, *rest, **more):
    """Check that a call is refused in one sentence and leaves nothing behind."""
    place = rest[0] if rest and isinstance(rest[0], Path) else source
    place = place[0] if isinstance(place, list) else place  # of meshes
    place = place if place.is_dir() else place.parent  # all of the session's files lie further up
    before = contents(place)
    with pytest.raises(MerError, match=match) as caught:
        call(source, *rest, **more)
    assert "\n" not in str(caught.value) and contents(place) == before


def write_rows(path, *lines):
    """Write lines of cells as CSV."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_xlsx(path, *rows):
    """Write rows of cells as a spreadsheet."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def write_film(path, frames, fps):
    """Write frames (T, H, W) as a film: Motion JPEG for .avi, lossless for .mkv, else MPEG-4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = cv2.VideoWriter_fourcc(*{".avi": "MJPG", ".mkv": "FFV1"}.get(path.suffix, "mp4v"))
    writer = cv2.VideoWriter(str(path), kind, fps, frames.shape[:0:-1], isColor=False)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def write_mesh(path, vertices, polygons, unit=1.0):
    """Write points (M, 3) and polygons (K, 3 or 4), counted from 0, as OBJ."""
    lines = ["v {!r} {!r} {!r}".format(*row) for row in (np.asarray(vertices) * unit).tolist()]
    lines += ["f " + " ".join(map(str, row)) for row in (np.asarray(polygons) + 1).tolist()]
    return write_rows(path, *lines)
