"""Ways in which people's files go wrong: what happens to a clip's folder, a table, dataset.json."""

import io
import os
import shutil

from mer_utils.dataset import encode_png

import cv2
import numpy as np
from PIL import Image


def frames_of(folder):
    return sorted(folder.glob("*.png"))


def _save(array, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def flip(data):
    """Return bytes of which some in the middle are spoilt."""
    spoilt = bytearray(data)
    for k in range(60):
        spoilt[len(data) // 2 + 3 * k] ^= 0xFF
    return bytes(spoilt)


def _with_frame(change):
    """Return what replaces the bytes of a clip's third frame by ``change(path, grey picture)``."""

    def spoil(folder):
        path = frames_of(folder)[2]
        path.write_bytes(change(path, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))

    return spoil


def _as_damaged_jpeg(folder):
    for path in frames_of(folder):
        data = _save(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), "JPEG", quality=95)
        damaged = flip(data) if path.stem.endswith("2") else data
        path.with_suffix(".jpg").write_bytes(damaged)
        path.unlink()


def _of_two_cameras(folder):
    for path in frames_of(folder):
        shutil.copyfile(path, path.with_name(f"right_{path.name}"))
        path.rename(path.with_name(f"left_{path.name}"))


def _two_frames(folder):
    for path in frames_of(folder)[2:]:
        path.unlink()


# what is wrong with the picture of a frame
PICTURES = {
    "jpeg flipped": _as_damaged_jpeg,
    "png flipped": _with_frame(lambda path, grey: flip(path.read_bytes())),
    "text": _with_frame(lambda path, grey: b"no picture\n" * 50),
    "16 bits": _with_frame(lambda path, grey: encode_png(grey.astype(np.uint16) * 257)),
    "transparent": _with_frame(
        lambda path, grey: _save(np.stack([grey] * 3 + [grey // 2], -1), "PNG")
    ),
    "smaller": _with_frame(lambda path, grey: encode_png(grey[:-2])),
}
# what is wrong with the files of a folder
FOLDERS = {
    "a number twice": lambda folder: shutil.copyfile(frames_of(folder)[2], folder / "2.jpg"),
    "two cameras": _of_two_cameras,
    "no number": lambda folder: shutil.copyfile(frames_of(folder)[2], folder / "cover.png"),
    "no text": lambda folder: frames_of(folder)[2].rename(
        os.fsdecode(os.fsencode(folder) + b"/77\xff.png")
    ),
    "two frames": _two_frames,
    "missing": shutil.rmtree,
}


def _line(text, number, change):
    lines = text.splitlines()
    lines[number] = change(lines[number])
    return "\n".join(lines) + "\n"


def _cut_column(text, column):
    rows = [line.split(",") for line in text.splitlines()]
    return "".join(",".join(row[:column] + row[column + 1 :]) + "\n" for row in rows)


def _replace_first(cell):
    """Return what replaces the first cell of a table's first row."""
    return lambda text: _line(text, 1, lambda line: f"{cell},{line.partition(',')[2]}")


# what a sound CSV with a header and two rows or more becomes, and as which kind of file
TABLES = {
    "empty": (".csv", lambda text: ""),
    "header alone": (".csv", lambda text: text.splitlines()[0] + "\n"),
    "a name twice": (".csv", lambda text: _line(text, 0, lambda line: line + "," + line)),
    "a cell too many": (".csv", lambda text: _line(text, 1, lambda line: line + ",x")),
    "first column missing": (".csv", lambda text: _cut_column(text, 0)),
    "not UTF-8": (".csv", lambda text: text.encode("utf-16")),
    "a quote left open": (".csv", lambda text: _line(text, 1, lambda line: '"' + line)),
    "a row twice": (".csv", lambda text: text + text.splitlines()[1] + "\n"),
    "first cell empty": (".csv", _replace_first("")),
    "unknown in the first cell": (".csv", _replace_first("8888")),
    "leads out": (".csv", _replace_first("../../etc")),
    "no spreadsheet": (".xlsx", lambda text: text),
}
