"""Ways in which people's files go wrong: each function spoils the folder or file it is given."""

import io
import os
import shutil

from mer_utils.dataset import encode_png

import cv2
import numpy as np
from openpyxl import Workbook
from PIL import Image


def frames_of(folder):
    return sorted(path for path in folder.iterdir() if path.suffix == ".png")


def _save(array, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def _edit(path, place, change):
    data = bytearray(path.read_bytes())
    data[place] = change(data[place])
    path.write_bytes(bytes(data))


def _as_jpegs(folder):
    for path in frames_of(folder):
        jpeg = _save(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), "JPEG", quality=95)
        path.with_suffix(".jpg").write_bytes(jpeg)
        path.unlink()
    return sorted(folder.glob("*.jpg"))


def jpeg_flipped(folder):
    path = _as_jpegs(folder)[2]
    data = bytearray(path.read_bytes())
    for k in range(60):
        data[len(data) // 2 + 3 * k] ^= 0xFF
    path.write_bytes(bytes(data))


def jpeg_cut(folder):
    path = _as_jpegs(folder)[2]
    path.write_bytes(path.read_bytes()[:-300])


def png_cut(folder):
    path = frames_of(folder)[2]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def png_flipped(folder):
    path = frames_of(folder)[2]
    _edit(path, path.stat().st_size // 2, lambda byte: byte ^ 0xFF)


def png_text(folder):
    frames_of(folder)[2].write_text("no picture\n" * 50)


def png_of_16_bits(folder):
    path = frames_of(folder)[2]
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    path.write_bytes(encode_png(picture.astype(np.uint16) * 257))


def png_transparent(folder):
    path = frames_of(folder)[2]
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    path.write_bytes(_save(np.stack([grey] * 3 + [grey // 2], -1), "PNG"))


def frame_smaller(folder):
    path = frames_of(folder)[2]
    path.write_bytes(encode_png(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)[:-2]))


def frame_twice(folder):
    path = frames_of(folder)[2]
    path.with_suffix(".jpg").write_bytes(_save(cv2.imread(str(path), 0), "JPEG"))


def frame_of_two_cameras(folder):
    for path in frames_of(folder):
        shutil.copyfile(path, path.with_name(f"right_{path.name}"))
        path.rename(path.with_name(f"left_{path.name}"))


def frame_without_number(folder):
    shutil.copyfile(frames_of(folder)[2], folder / "cover.png")


def frame_of_no_text(folder):
    frames_of(folder)[2].rename(os.fsdecode(os.fsencode(folder) + b"/77\xff.png"))


def frame_linked_nowhere(folder):
    path = frames_of(folder)[2]
    path.unlink()
    path.symlink_to(path.with_name("0999.png"))


def frames_two(folder):
    for path in frames_of(folder)[2:]:
        path.unlink()


def frames_missing(folder):
    shutil.rmtree(folder)


def frames_thin(folder):
    for path in frames_of(folder):
        path.write_bytes(encode_png(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)[:, :1]))


FOLDERS = [
    jpeg_flipped, jpeg_cut, png_cut, png_flipped, png_text, png_of_16_bits, png_transparent,
    frame_smaller, frame_twice, frame_of_two_cameras, frame_without_number, frame_of_no_text,
    frame_linked_nowhere, frames_two, frames_missing, frames_thin,
]  # fmt: skip


# tables: (name, what a sound CSV of text becomes). A sound one has a header and two rows or more.


def _line(text, number, change):
    lines = text.splitlines()
    lines[number] = change(lines[number])
    return "\n".join(lines) + "\n"


def _cut_column(text, column):
    rows = [line.split(",") for line in text.splitlines()]
    return "".join(",".join(row[:column] + row[column + 1 :]) + "\n" for row in rows)


def _spoil_first(start):
    """Return what puts ``start`` before the first cell of a table's first row."""
    return lambda text: _line(text, 1, lambda line: start + line)


def _replace_first(cell):
    """Return what replaces the first cell of a table's first row."""
    return lambda text: _line(text, 1, lambda line: f"{cell},{line.partition(',')[2]}")


def _with_formula(text):
    """Return a table as the bytes of a spreadsheet with a formula."""
    book, buffer = Workbook(), io.BytesIO()
    for line in text.splitlines():
        book.active.append(line.split(","))
    book.active["B2"] = "=1+1"
    book.save(buffer)
    return buffer.getvalue()


TABLES = {
    "empty": (".csv", lambda text: ""),
    "header alone": (".csv", lambda text: text.splitlines()[0] + "\n"),
    "a name twice": (".csv", lambda text: _line(text, 0, lambda line: line + "," + line)),
    "a cell too many": (".csv", lambda text: _line(text, 1, lambda line: line + ",x")),
    "first column missing": (".csv", lambda text: _cut_column(text, 0)),
    "second column missing": (".csv", lambda text: _cut_column(text, 1)),
    "not UTF-8": (".csv", lambda text: text.encode("utf-16")),
    "Latin-1": (".csv", lambda text: _spoil_first("ä")(text).encode("latin-1")),
    "a quote left open": (".csv", _spoil_first('"')),
    "a row twice": (".csv", lambda text: text + text.splitlines()[1] + "\n"),
    "first cell empty": (".csv", _replace_first("")),
    "unknown in the first cell": (".csv", _replace_first("8888")),
    "leads out": (".csv", _replace_first("../../etc")),
    "no spreadsheet": (".xlsx", lambda text: text),
    "a formula": (".xlsx", _with_formula),
}


# dataset.json: what one key becomes; None: the key is left out
ABOUT = [
    ("name", None), ("name", ""), ("views", 3), ("views", "2"), ("labels", []),
    ("labels", "Negative"), ("labels", ["Negative", "negative"]), ("labels", ["Joy"]),
    ("exclusive", None), ("exclusive", "no"), ("synthetic", "yes"), ("frames", "nowhere"),
    ("frames", 5), ("channels", ["u", "v"]), ("channels", ["u", "u", "u"]),
]  # fmt: skip
