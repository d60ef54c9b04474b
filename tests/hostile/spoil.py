"""Ways in which people's files go wrong: what happens to a frame and to a clip's folder."""

import os
import shutil

from mer_utils.dataset import encode_png

import cv2
import numpy as np


def frames_of(folder):
    return sorted(folder.glob("*.png"))


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
        jpeg = path.with_suffix(".jpg")
        cv2.imwrite(str(jpeg), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        if path.stem.endswith("2"):
            jpeg.write_bytes(flip(jpeg.read_bytes()))
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
    "transparent": _with_frame(lambda path, grey: encode_png(np.stack([grey] * 4, -1))),
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
