"""The dataset on disk (the data contract): dataset.json, manifest.csv, and each clip's frames.

Whatever cannot be used is refused in one sentence that names the file or the row.
"""

import csv
import hashlib
import io
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from mer_utils import MerError, explain
from mer_utils.files import read_json

import cv2
import numpy as np
import simplejpeg
from annotated_types import Gt, Len, Lt
from PIL import Image
from pydantic import BaseModel, ValidationError

FRAME_TYPES = {".png", ".jpg", ".jpeg"}
UPRIGHT, ORIENTATION = (None, 1), 0x0112  # EXIF: how a camera was held
SMALLEST = 16  # px, side of a face's box: half a pixel for each cell of its map
Text = Annotated[str, Len(1)]


class Info(BaseModel, strict=True):
    """What dataset.json says of a set; other keys are allowed."""

    name: Text
    views: Literal[1, 2]
    labels: Annotated[list[Text], Len(1)]
    exclusive: bool  # whether each clip has exactly one label
    synthetic: bool
    frames: Text = "clips"  # the folder that holds the clips, from here or absolute
    # of ready-made flow images: what red, green and blue hold
    channels: Annotated[list[Text], Len(3, 3)] | None = None


class Cells(BaseModel):
    """The filled cells of a manifest's row that are no labels."""

    clip: str
    subject: str
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None
    fps: Annotated[float, Gt(0), Lt(1e6)] | None = None
    box: str = ""
    frames: str = ""


def encode_png(image):
    """Return a grey (H, W) or BGR (H, W, 3) uint8 image as PNG bytes, compressed fast."""
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def number_key(path):
    """Return what frames are sorted by: all integers of the file's stem, then its name. MerError
    for a name without a number, or that is no text.
    """
    numbers = re.findall(r"\d+", Path(path).stem)
    if not numbers:
        raise MerError(path, "a frame's file name needs a number, by which frames are sorted")
    if re.search(r"[\ud800-\udfff]", Path(path).name):
        raise MerError(path, "has a name that is no UTF-8 text; rename the file")
    return tuple(map(int, numbers)), Path(path).name


def find_inside(root, text, where):
    """Return root / text; MerError, begun by ``where``, if it is missing or no path below
    ``root``.
    """
    parts = text.split("/")
    if re.search(r"[\\:]", text) or any(part.strip() in ("", ".", "..") for part in parts):
        raise MerError(where, f"the path {text!r} must lead downwards from {root}")
    if not os.path.exists(path := Path(root) / text):
        raise MerError(where, f"{path} is missing; add it or remove the row")
    return path


def read_size(path):
    """Return a picture's (width, height) px, read from its header."""
    with _open_image(path, path) as image:
        return image.size


def read_image(path, colour=False, shrink=1):
    """Return a picture (H, W) uint8 grey, or (H, W, 3) uint8 RGB; or, each side rounded up, one
    that is ``shrink`` (1, 2, 4, 8) times smaller. A JPEG is made so while it is decoded, which
    saves a fifth of the time or more.

    Raises MerError for what is no PNG or JPEG, is cut off, has 16 bits or transparent pixels.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MerError(path, f"cannot be read ({error.strerror})") from None
    header = _open_image(path, io.BytesIO(data))
    if header.format == "JPEG" and header.mode in ("L", "RGB"):
        image = decode_jpeg(path, data, colour, header.size, shrink)
        if header.getexif().get(ORIENTATION) in UPRIGHT:
            return image

    see_through = "A" in header.getbands() or "transparency" in header.info
    mode = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
    try:
        # OpenCV fills what is missing with grey. In a PNG each chunk has a checksum.
        header.verify() if header.format == "PNG" else header.load()
        flags = cv2.IMREAD_UNCHANGED if see_through else mode
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except Exception:  # PIL raises SyntaxError, OSError, struct.error; OpenCV its own
        image = None
    if image is None:
        raise MerError(path, "is damaged or cut off before its end; copy the file again")
    if see_through:
        if image.ndim < 3 or image.shape[2] < 4 or (image[..., 3] < 255).any():
            what = "has transparent pixels; save it without transparency on a plain background"
            raise MerError(path, what)
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR if colour else cv2.COLOR_BGRA2GRAY)
    if shrink > 1:
        small = tuple(-(-side // shrink) for side in image.shape[1::-1])
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[..., ::-1]) if colour else image


def _open_image(path, file):
    """Return the PIL Image of a file's header (not decoded); MerError for no usable frame."""
    try:
        image = Image.open(file, formats=("PNG", "JPEG"))
    except Exception as error:  # PIL raises struct.error, SyntaxError, ValueError, OSError
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise MerError(path, f"not readable as an image ({reason}); replace the file") from None
    raw_modes = [tile[3] for tile in image.tile]
    if image.mode.startswith(("I", "F")) or any("16" in str(mode) for mode in raw_modes):
        what = "has 16 bits per pixel; save it with 8, all frames of a set scaled alike"
        raise MerError(path, what)
    return image


def decode_jpeg(path, data, colour=False, size=(0, 0), shrink=1):
    """Return a JPEG's picture (H, W) grey or (H, W, 3) RGB, ``shrink`` times smaller than its
    ``size``. libjpeg decodes on after a damaged place; here its warnings are errors.
    """
    width, height = (-(-side // shrink) for side in size)
    limits = {} if shrink == 1 else {"min_height": height, "min_width": width}
    try:
        image = simplejpeg.decode_jpeg(data, "RGB" if colour else "GRAY", **limits)
    except ValueError as error:
        raise MerError(path, f"is damaged or cut off ({error}); copy the file again") from None
    return image if colour else image[..., 0]


@dataclass(frozen=True)
class Clip:
    """One row of the manifest. Frame numbers count the clip's own frames from 0; ``labels`` (of an
    unlabelled clip), ``apex``, ``fps`` and ``boxes`` may be None. In a set of flow images the
    frames are these, one per phase.
    """

    name: str
    subject: str
    labels: tuple[int, ...] | None
    folder: Path
    names: tuple[str, ...]  # of the frames' files in ``folder``
    onset: int
    apex: int | None
    offset: int
    fps: float | None = None
    boxes: tuple[tuple[int, int, int, int], ...] | None = None  # one (x0, y0, x1, y1) per view, px

    @property
    def frames(self):
        """The frames' files, in order."""
        return tuple(self.folder / name for name in self.names)


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

    @property
    def channels(self):
        """What red, green and blue hold in a set of ready-made flow images; None where the set has
        frames.
        """
        return self.info.get("channels")

    def label_matrix(self):
        """Return the labels as (N, L) uint8; MerError if a clip has none."""
        for clip in self.clips:
            if clip.labels is None:
                what = "has no labels; training needs them (`mer submit` answers without)"
                raise MerError(f"clip {clip.name}", what)
        return np.array([clip.labels for clip in self.clips], np.uint8)

    @cached_property
    def fingerprint(self):
        """A hash of all that the steps read: dataset.json, manifest.csv, and each clip's frames."""
        digest = hashlib.sha256()
        for name in ("dataset.json", "manifest.csv"):
            digest.update((self.root / name).read_bytes())
        for clip in self.clips:
            digest.update(hash_frames(clip).encode())
        return digest.hexdigest()


def hash_frames(clip):
    """Return a hash of a clip's frames: of each its name, size, first and last 64 KiB. Raises
    MerError naming a frame that cannot be read.
    """
    digest = hashlib.sha256()
    for path in clip.frames:
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                digest.update(f"{path.name}:{size}".encode() + file.read(1 << 16))
                file.seek(max(1 << 16, size - (1 << 16)))
                digest.update(file.read())
        except OSError as error:
            raise MerError(path, f"cannot be read ({error.strerror})") from None
    return digest.hexdigest()


def list_frames(folder):
    """Return the image files of a folder, sorted by the integers in their names (the challenge's
    order); hidden ones do not count. MerError where there are none, or two have equal integers.
    """
    folder, frames = Path(folder), {}
    if not folder.is_dir():
        raise MerError(folder, "no such folder of frames")
    for name in sorted(os.listdir(folder)):
        if Path(name).suffix.lower() not in FRAME_TYPES or name.startswith("."):
            continue
        numbers, _ = number_key(folder / name)
        if numbers in frames:
            what = f"{frames[numbers]} and {name} have the same numbers, by which frames are sorted"
            raise MerError(folder, f"{what}; keep one of them, or rename")
        frames[numbers] = name
    if not frames:
        raise MerError(folder, "holds no frames (.png, .jpg or .jpeg)")
    return tuple(folder / frames[numbers] for numbers in sorted(frames))


def iterate_frames(clip, shrink=1):
    """Yield a clip's raw frames one by one as they lie on disk, views still side by side: (H, W)
    uint8 grey, or ``shrink`` times smaller (see ``read_image``).

    ``clip`` is a Clip or a list of paths. Raises MerError for a frame that cannot be read or
    differs in size from the first.
    """
    first = None
    for path in clip.frames if isinstance(clip, Clip) else clip:
        image = read_image(path, shrink=shrink)
        size = image.shape[::-1] if shrink == 1 else read_size(path)
        first = size if first is None else first
        if size != first:
            what = f"{size[0]} x {size[1]} px, but the clip's first frame is"
            what += f" {first[0]} x {first[1]} px; all frames of a clip must have one size"
            raise MerError(path, what)
        yield image


def read_frames(clip):
    """Read all raw frames of a Clip or of a list of paths: (T, H, W) uint8 grey (see
    ``iterate_frames``).
    """
    return np.stack(list(iterate_frames(clip)))


def open_dataset(root):
    """Open a dataset folder and check its manifest; raise MerError (file, row, what to do) for
    anything that cannot be used.
    """
    info, clips = survey(root)
    for clip in clips:
        if isinstance(clip, MerError):
            raise clip
    return Dataset(Path(root), info, tuple(clips))


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


def survey(root):
    """Return dataset.json's content and for each row of the manifest its Clip, or the MerError that
    says what is wrong with it. Raises MerError for what concerns the whole: the two files, their
    keys and columns.
    """
    root = Path(root)
    info, path = _read_info(root / "dataset.json"), root / "manifest.csv"
    rows = _read_manifest(path, ["clip", "subject", *map(str.lower, info["labels"])])
    frames = root / info.get("frames", "clips")
    if not frames.is_dir():
        what = f"no such folder; {root / 'dataset.json'} says that the frames lie there"
        raise MerError(frames, what)
    clips, first_rows = [], {}
    for number, cells in rows:
        where, name = f"{path}, row {number}", cells["clip"]
        first = first_rows.setdefault(name, number)
        try:
            if first != number:
                raise MerError(where, f"the clip {name!r} is listed twice (first in row {first})")
            clips.append(_read_row(where, info, frames, cells))
        except MerError as error:
            clips.append(error)
    return info, clips


def _read_info(path):
    """Read and check dataset.json."""
    info = read_json(path)
    try:
        Info.model_validate(info)
    except ValidationError as error:
        raise MerError(path, explain(error)) from None
    for key in ("labels", "channels"):
        names = [name.lower() for name in info.get(key) or ()]
        if len(set(names)) < len(names):
            raise MerError(path, f"{key} holds the same name twice: {', '.join(names)}")
    return info


def _read_manifest(path, columns):
    """Return [(row number as a spreadsheet counts, {column: text})]; MerError for what is no CSV
    with these ``columns``.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = list(enumerate(csv.reader(file, strict=True), 1))
    except FileNotFoundError:
        raise MerError(path, "no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MerError(path, f"not readable as CSV in UTF-8 ({error})") from None
    filled = [(number, [text.strip() for text in line]) for number, line in lines if any(line)]
    if len(filled) < 2:
        raise MerError(path, "has no rows below a header")
    (_, header), *body = filled
    for name in columns:
        if header.count(name) != 1:
            what = f"needs one column {name!r}; its header is {','.join(header)!r}"
            raise MerError(path, what)
    for number, line in body:
        if len(line) > len(header):
            what = f"has more cells than the header has names ({len(header)})"
            raise MerError(f"{path}, row {number}", what)
        line += [""] * (len(header) - len(line))
    return [(number, dict(zip(header, line, strict=True))) for number, line in body]


def _read_row(where, info, root, cells):
    """Return the Clip of one row of the manifest; ``root`` is the folder that its frames lie in."""
    try:
        row = Cells.model_validate({key: text for key, text in cells.items() if text})
    except ValidationError as error:
        raise MerError(where, explain(error)) from None
    if row.clip in (".", "..") or re.search(r"[/\\:\0]", row.clip):
        raise MerError(where, f"the clip name {row.clip!r} must be a plain folder name")
    labels = _read_labels(where, info, cells)
    if info.get("channels"):
        files = [find_inside(root, part.strip(), where) for part in row.frames.split(";")]
        names = tuple(file.relative_to(root).as_posix() for file in files)
        return Clip(row.clip, row.subject, labels, root, names, 0, None, 0)
    folder = find_inside(root, row.frames or row.clip, where)
    try:
        names = tuple(path.name for path in list_frames(folder))
    except MerError as error:
        raise error.seen_from(where) from None
    last = len(names) - 1
    onset, offset = row.onset or 0, last if row.offset is None else row.offset
    apex = onset + 1 if row.apex is None else row.apex
    if not 0 <= onset < apex < offset <= last:
        keys = f"onset {onset}, apex {row.apex}, offset {offset}"
        what = f"must satisfy 0 <= onset < apex < offset < {len(names)} (the number of frames)"
        raise MerError(where, f"{keys} {what}")
    boxes = read_boxes(where, row.box, info["views"])
    keys = onset, row.apex, offset
    return Clip(row.clip, row.subject, labels, folder, names, *keys, row.fps, boxes)


def _read_labels(where, info, cells):
    """Return the labels of a row as 0 and 1, or None where all cells are empty."""
    texts = [cells[label.lower()] for label in info["labels"]]
    if not any(texts):
        return None
    for label, text in zip(info["labels"], texts, strict=True):
        if text not in ("0", "1"):
            what = f"{label.lower()} is {text!r}, but must be 0 or 1 (all empty: not labelled)"
            raise MerError(where, what)
    if info["exclusive"] and texts.count("1") != 1:
        raise MerError(where, "exactly one label must be 1 in a set of exclusive labels")
    return tuple(map(int, texts))


def read_boxes(where, text, views):
    """Return boxes written as ``x0 y0 x1 y1`` px for each view, separated by ``;``; None for an
    empty text. ``where`` begins the MerError that a wrong one raises.
    """
    if not text.strip():
        return None
    try:
        boxes = tuple(tuple(int(value) for value in part.split()) for part in text.split(";"))
        sides = [min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes]
    except ValueError:
        boxes = sides = ()
    if len(boxes) != views or min(sides) < SMALLEST:
        what = f"must be 'x0 y0 x1 y1' for each of {views} views, separated by ';'"
        what += f", and no face is smaller than {SMALLEST} px"
        raise MerError(where, f"box is {text!r}, but {what}")
    return boxes
