"""The dataset on disk: dataset.json, manifest.csv, frames in clips/<clip>/, and (synthetic only) truth/<clip>.npz."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from mer_utils import MerError
from mer_utils.artifacts import read_json, read_npz
from mer_utils.rendering import cameras
from mer_utils.synthetic import Motion

FRAME_TYPES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True)
class Clip:
    """One row of the manifest. Frame numbers count the clip's own frames from 0; ``apex``, ``fps`` and ``boxes`` may
    be None.
    """

    name: str
    subject: str
    labels: tuple[int, ...]
    frames: tuple[Path, ...]
    onset: int
    apex: int | None
    offset: int
    fps: float | None
    boxes: tuple[tuple[int, int, int, int], ...] | None  # one (x0, y0, x1, y1) a view, px


@dataclass(frozen=True)
class Dataset:
    """An opened dataset: ``info`` is dataset.json, ``clips`` the manifest's rows in its order."""

    root: Path
    info: dict
    clips: tuple[Clip, ...]

    def __len__(self):
        return len(self.clips)

    @property
    def name(self):
        return self.info["name"]

    @property
    def views(self):
        return self.info["views"]

    @property
    def labels(self):
        return tuple(self.info["labels"])

    @property
    def exclusive(self):
        """Whether each clip has exactly one label."""
        return bool(self.info["exclusive"])

    @property
    def synthetic(self):
        return bool(self.info["synthetic"])

    @property
    def subjects(self):
        return sorted({clip.subject for clip in self.clips})

    def label_matrix(self):
        """Return the labels as (N, L) uint8."""
        return np.array([clip.labels for clip in self.clips], np.uint8)

    def truth(self, clip):
        """Return the Motion that made a synthetic clip: AU curves, head motion and what recomputes the true flow."""
        if not self.synthetic:
            raise MerError(f"{self.root}: true motion is known for synthetic clips only")
        return Motion.load(read_npz(self.root / "truth" / f"{clip.name}.npz"))

    def cameras(self):
        """Return the two cameras that rendered a synthetic dataset."""
        return cameras(self.info["size"])

    @cached_property
    def fingerprint(self):
        """A hash of all that the steps read: dataset.json, manifest.csv, each frame's name, size, first and last 64
        KiB.
        """
        digest = hashlib.sha256()
        for name in ("dataset.json", "manifest.csv"):
            digest.update((self.root / name).read_bytes())
        for clip in self.clips:
            for path in clip.frames:
                with open(path, "rb") as file:
                    size = path.stat().st_size
                    digest.update(f"{clip.name}/{path.name}:{size}".encode())
                    digest.update(file.read(1 << 16))
                    if size > 1 << 16:
                        file.seek(max(1 << 16, size - (1 << 16)))
                        digest.update(file.read())
        return digest.hexdigest()


def list_frames(folder):
    """Return the image files of a folder, sorted by the first integer in their names (the challenge's order)."""
    folder = Path(folder)
    if not folder.is_dir():
        raise MerError(f"{folder}: no such folder of frames")
    frames = [path for path in folder.iterdir() if path.suffix.lower() in FRAME_TYPES]
    if not frames:
        raise MerError(f"{folder}: holds no frames (.png, .jpg or .jpeg)")

    def order(path):
        number = re.search(r"\d+", path.stem)
        if number is None:
            raise MerError(f"{path}: a frame's file name needs a number, by which frames are sorted")
        return int(number.group()), path.name

    return tuple(sorted(frames, key=order))


def read_frames(clip):
    """Read a clip's raw frames as they lie on disk, views still side by side: (T, H, W) uint8 grey.

    ``clip`` is a Clip or a list of paths. Raises MerError for a frame that cannot be decoded or differs in size from
    the first.
    """
    frames = []
    for path in clip.frames if isinstance(clip, Clip) else clip:
        try:
            image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
        except (OSError, cv2.error):
            image = None
        if image is None:
            raise MerError(f"{path}: not readable as an image; replace the file or remove the clip from the manifest")
        if frames and image.shape != frames[0].shape:
            raise MerError(
                f"{path}: {image.shape[1]} x {image.shape[0]} px, but the clip's first frame is "
                f"{frames[0].shape[1]} x {frames[0].shape[0]} px; all frames of a clip must have one size"
            )
        frames.append(image)
    return np.stack(frames)


def open_dataset(root):
    """Open a dataset folder and check its manifest; raise MerError (file, row, what to do) for anything that cannot
    be used.
    """
    root = Path(root)
    info = read_json(root / "dataset.json")
    missing = [key for key in ("name", "views", "labels", "exclusive", "synthetic") if key not in info]
    if missing:
        raise MerError(f"{root / 'dataset.json'}: lacks {', '.join(missing)}")
    if info["views"] not in (1, 2):
        raise MerError(f"{root / 'dataset.json'}: views is {info['views']!r}, but must be 1 or 2")
    path = root / "manifest.csv"
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise MerError(f"{path}: no such file") from None
    except (ValueError, OSError) as error:
        raise MerError(f"{path}: not readable as CSV ({error})") from None
    needed = ["clip", "subject", *(label.lower() for label in info["labels"])]
    absent = [name for name in needed if name not in table.columns]
    if absent:
        raise MerError(f"{path}: lacks the column {absent[0]!r}; it needs {', '.join(needed)}")
    if table.empty:
        raise MerError(f"{path}: has no rows")
    double = table["clip"][table["clip"].duplicated()]
    if len(double):
        raise MerError(f"{path}, row {double.index[0] + 2}: the clip {double.iloc[0]!r} is listed twice")
    rows = table.to_dict("records")
    return Dataset(root, info, tuple(_read_row(root, info, number, row) for number, row in enumerate(rows, 2)))


def _read_row(root, info, number, row):
    where = f"{root / 'manifest.csv'}, row {number}"

    def read(name, kind, default=None):
        text = row.get(name, "").strip()
        if not text:
            return default
        try:
            return kind(text)
        except ValueError:
            raise MerError(f"{where}: {name} is {text!r}, but must be a number") from None

    name, subject = row["clip"].strip(), row["subject"].strip()
    if not name or name in (".", "..") or re.search(r"[/\\:\0]", name):
        raise MerError(f"{where}: the clip name {name!r} must be a plain folder name")
    if not subject:
        raise MerError(f"{where}: the subject is empty")
    folder = root / "clips" / name
    if not folder.resolve().is_relative_to(root.resolve()):
        raise MerError(f"{where}: the clip {name!r} leads out of the data folder")
    labels = tuple(row[label.lower()].strip() for label in info["labels"])
    for label, value in zip(info["labels"], labels, strict=True):
        if value not in ("0", "1"):
            raise MerError(f"{where}: {label.lower()} is {value!r}, but must be 0 or 1")
    if info["exclusive"] and labels.count("1") != 1:
        raise MerError(f"{where}: exactly one label must be 1 in a set of exclusive labels")
    frames = list_frames(folder)
    onset, apex, offset = read("onset", int, 0), read("apex", int), read("offset", int, len(frames) - 1)
    if not 0 <= onset < offset - 1 or offset >= len(frames) or (apex is not None and not onset < apex < offset):
        raise MerError(
            f"{where}: onset {onset}, apex {apex if apex is not None else '(empty)'}, offset {offset} must satisfy "
            f"0 <= onset < apex < offset < {len(frames)} (the number of frames)"
        )
    boxes = _read_boxes(where, row.get("box", ""), info["views"])
    return Clip(name, subject, tuple(map(int, labels)), frames, onset, apex, offset, read("fps", float), boxes)


def _read_boxes(where, text, views):
    """Read the optional column ``box``: ``x0 y0 x1 y1`` for each view, separated by ``;``."""
    if not text.strip():
        return None
    try:
        boxes = tuple(tuple(int(value) for value in part.split()) for part in text.split(";"))
        if len(boxes) != views or any(len(box) != 4 or box[0] >= box[2] or box[1] >= box[3] for box in boxes):
            raise ValueError
    except ValueError:
        raise MerError(
            f"{where}: box is {text!r}, but must be 'x0 y0 x1 y1' for each of {views} views, separated by ';'"
        ) from None
    return boxes


def encode_png(image):
    """Return the bytes of a grey or BGR uint8 image as PNG (fast compression: noise hardly compresses)."""
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
