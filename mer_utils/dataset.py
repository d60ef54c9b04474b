"""The dataset on disk (the data contract): dataset.json, manifest.csv, and each clip's frames."""

import csv
import hashlib
import io
import os
import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Annotated

from mer_utils import MerError, explain
from mer_utils.files import read_json

import cv2
import numpy as np
import simplejpeg
from annotated_types import Ge, Gt, Le, Len, Lt
from PIL import ExifTags, Image
from pydantic import BaseModel, ValidationError, field_validator

FRAME_TYPES = {".png", ".jpg", ".jpeg", ".bmp"}
# what may differ in two spellings of a name; but S13_1 and S131 are two names
SPELLING = re.compile(r"(?<!\d)[\s_-]+|[\s_-]+(?!\d)|(?<!\d)0+(?=\d)")
SMALLEST = 16  # px, side of a face's box: half a pixel for each cell of its map
Text = Annotated[str, Len(1)]


class Info(BaseModel, strict=True):
    """What dataset.json says of a set; other keys are allowed."""

    name: Text
    views: Annotated[int, Ge(1), Le(2)]
    labels: Annotated[list[Text], Len(1)]
    exclusive: bool  # whether each clip has exactly one label
    synthetic: bool
    frames: Text = "clips"  # the folder that holds the clips, from here or absolute
    # of ready-made flow images: what red, green and blue hold
    channels: Annotated[list[Text], Len(3, 3)] | None = None
    centred: bool = False  # of flow images: whether u and v lose their median

    @field_validator("labels", "channels")
    def differ(cls, names):
        assert names is None or len(set(map(str.lower, names))) == len(names), "the same name twice"
        return names


class Row(BaseModel):
    """The filled cells of a manifest's row that are no labels."""

    clip: str
    subject: str
    onset: int = 0
    apex: int | None = None
    offset: int | None = None
    fps: Annotated[float, Gt(0), Lt(1e6)] | None = None
    box: str = ""
    frames: str = ""


def encode_png(image):
    """Return a grey (H, W) or BGR (H, W, 3) uint8 image as PNG bytes, compressed fast."""
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def number_key(path):
    """Return what frames are sorted by: all integers of the file's stem, then its name."""
    name = Path(path).name
    numbers = re.findall(r"\d+", Path(path).stem)
    if not numbers or re.search(r"[\ud800-\udfff]", name):
        raise MerError(path, "a frame's file name needs a number and must be UTF-8; rename it")
    return tuple(map(int, numbers)), name


def find_inside(root, text, where):
    """Return root / text; MerError, begun by ``where``, if it is missing or not below ``root``."""
    parts = Path(text).parts
    if not parts or Path(text).is_absolute() or ".." in parts:
        raise MerError(where, f"the path {text!r} must lead downwards from {root}")
    if not os.path.exists(path := Path(root) / text):
        raise MerError(where, f"{path} is missing; add it or remove the row")
    return path


def read_size(path):
    """Return a picture's (width, height) px, read from its header."""
    with _open_image(path, path) as image:
        return image.size


def read_image(path, colour=False, shrink=1):
    """Return a picture (H, W) or RGB (H, W, 3) uint8, ``shrink`` (1, 2, 4, 8) times smaller, sides
    rounded up. MerError for what is no whole, upright 8-bit grey or RGB PNG, JPEG or BMP.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MerError(path, f"cannot be read ({error.strerror})") from None
    header = _open_image(path, io.BytesIO(data))
    width, height = (-(-side // shrink) for side in header.size)
    try:
        if header.format == "JPEG":  # simplejpeg: libjpeg's warnings are errors
            limits = {} if shrink == 1 else {"min_height": height, "min_width": width}
            image = simplejpeg.decode_jpeg(data, "RGB" if colour else "GRAY", **limits)
            return image if colour else image[..., 0]
        header.verify()  # OpenCV fills what is missing with grey, but each PNG chunk has a checksum
        flags = cv2.IMREAD_COLOR_RGB if colour else cv2.IMREAD_GRAYSCALE
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    except Exception:  # PIL raises SyntaxError, OSError, struct.error; the others their own
        raise MerError(path, "is damaged or cut off before its end; copy the file again") from None


def _open_image(path, file):
    """Return the PIL Image of a file's header (not decoded); MerError for no usable frame."""
    try:
        image = Image.open(file, formats=("PNG", "JPEG", "BMP"))
        orientation = image.getexif().get(ExifTags.Base.Orientation) if "exif" in image.info else 1
    except Exception as error:  # PIL raises struct.error, SyntaxError, ValueError, OSError
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise MerError(path, f"not readable as an image ({reason}); replace the file") from None
    if orientation in range(2, 9):
        raise MerError(path, "lies turned (EXIF orientation); save all frames upright, without it")
    deep = any(re.search("1[56]", str(tile[3]).partition(",")[0]) for tile in image.tile)
    if deep or image.mode not in ("L", "RGB") or "transparency" in image.info:
        what = f"16 bits, a palette or transparency ({image.mode})"
        raise MerError(path, f"has {what}; save all frames alike as 8-bit grey or RGB")
    return image


@dataclass(frozen=True)
class Clip:
    """A row of the manifest; frame numbers count from 0, and flow images are one frame a phase."""

    name: str
    subject: str  # "dataset/subject" where the manifest joins several datasets
    labels: tuple[int, ...] | None  # None: not labelled
    folder: Path
    names: tuple[str, ...]  # of the frames' files in ``folder``
    onset: int
    apex: int | None
    offset: int
    fps: float | None = None
    boxes: tuple[tuple[int, int, int, int], ...] | None = None  # one (x0, y0, x1, y1) per view, px
    dataset: str = ""  # where there are several

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

    name = property(lambda self: self.info["name"])
    views = property(lambda self: self.info["views"])
    labels = property(lambda self: tuple(self.info["labels"]))
    exclusive = property(lambda self: self.info["exclusive"])  # exactly one label a clip
    synthetic = property(lambda self: self.info["synthetic"])
    subjects = property(lambda self: sorted({clip.subject for clip in self.clips}))

    @property
    def channels(self):
        """What flow images' red, green, blue hold, and "centred" if u and v shall be; else None."""
        names = self.info.get("channels")
        return names and names + ["centred"] * self.info.get("centred", False)

    def __len__(self):
        return len(self.clips)

    def label_matrix(self):
        """Return the labels as (N, L) uint8; MerError if a clip has none."""
        for clip in self.clips:
            if clip.labels is None:
                raise MerError(f"clip {clip.name}", "has no labels; training needs them")
        return np.array([clip.labels for clip in self.clips], np.uint8)

    @cached_property
    def fingerprint(self):
        """A hash of all that the steps read: dataset.json, manifest.csv, and each clip's frames."""
        digest = hashlib.sha256()
        for name in ("dataset.json", "manifest.csv"):
            digest.update((self.root / name).read_bytes())
        for clip in self.clips:
            digest.update(hash_frames(clip.frames).encode())
        return digest.hexdigest()


def hash_frames(paths):
    """Return a hash of frames: of each its file's name, size, first and last 64 KiB."""
    digest, part = hashlib.sha256(), 1 << 16
    for path in paths:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(f"{path.name}:{size}".encode() + file.read(part))
            file.seek(max(part, size - part))
            digest.update(file.read())
    return digest.hexdigest()


def list_frames(folder):
    """Return a folder's image files, sorted by the integers in their names (the challenge's order).
    MerError where there are none, or two have equal integers.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MerError(folder, "no such folder of frames")
    paths = (path for path in folder.iterdir() if path.suffix.lower() in FRAME_TYPES)
    frames = sorted((path for path in paths if not path.name.startswith(".")), key=number_key)
    for first, second in pairwise(frames):
        if number_key(first)[0] == number_key(second)[0]:
            names = f"{first.name} and {second.name}"
            raise MerError(folder, f"{names} have the same numbers; rename or remove one of them")
    if not frames:
        raise MerError(folder, "holds no frames (.png, .jpg, .jpeg or .bmp)")
    return tuple(frames)


def find_frames(root, text, where, listing=list_frames):
    """Return the frames of the folder root / text, or the range "folder/1.jpg;9.jpg" of them."""
    first, _, last = text.rpartition(";")
    if not first or Path(last).suffix.lower() not in FRAME_TYPES:
        return listing(find_inside(root, text, where))
    first = find_inside(root, first, where)
    frames, last = listing(first.parent), first.parent / last
    if not {first, last} <= {*frames} or number_key(last) < number_key(first):
        raise MerError(where, f"{text!r} does not name the first and last frame of a clip")
    return frames[frames.index(first) : frames.index(last) + 1]


def iterate_frames(clip, shrink=1):
    """Yield the raw frames (H, W) uint8 of a Clip or a list of paths, all of one size."""
    first = None
    for path in clip.frames if isinstance(clip, Clip) else clip:
        image = read_image(path, shrink=shrink)
        size = image.shape[::-1] if shrink == 1 else read_size(path)
        first = first or size
        if size != first:
            what = "{} x {} px, but the clip's first frame is {} x {} px".format(*size, *first)
            raise MerError(path, what)
        yield image


def read_frames(clip):
    """Read all raw frames of a Clip or of a list of paths: (T, H, W) uint8 grey."""
    return np.stack(list(iterate_frames(clip)))


def open_dataset(root):
    """Open a dataset folder and check its manifest; raise the first MerError of ``survey``."""
    info, clips = survey(root)
    for fault in (clip for clip in clips if isinstance(clip, MerError)):
        raise fault
    return Dataset(Path(root), info, tuple(clips))


def survey(root):
    """Return dataset.json's content and each row of the manifest as a Clip or as the MerError that
    says what is wrong with it. Faults of the two files, their keys and columns raise.
    """
    root = Path(root)
    info, path = read_json(root / "dataset.json"), root / "manifest.csv"
    try:
        Info.model_validate(info)
    except ValidationError as error:
        raise MerError(root / "dataset.json", explain(error).strip()) from None
    frames = root / info.get("frames", "clips")
    if not frames.is_dir():
        raise MerError(frames, f"no such folder; {root}/dataset.json says that frames lie there")
    rows = _read_manifest(path, ["clip", "subject", *info["labels"]])
    several = len({cells.get("dataset") for _, cells in rows}) > 1
    clips, first_rows, people, listing = [], {}, {}, cache(list_frames)  # clips may share a folder
    for number, cells in rows:
        where, name = f"{path}, row {number}", cells["clip"]
        first = first_rows.setdefault(name, number)
        try:
            if first != number:
                raise MerError(where, f"the clip {name!r} is listed twice (first in row {first})")
            clip = _read_row(where, info, frames, cells, listing)
            if several:  # subject 1 of one set is not subject 1 of the next
                dataset = cells["dataset"]
                if not dataset:
                    raise MerError(where, "dataset is empty where other rows name one; fill it in")
                clip = replace(clip, dataset=dataset, subject=f"{dataset}/{clip.subject}")
            _check_spelling(where, clip, people)
            clips.append(clip)
        except MerError as error:
            clips.append(error.seen_from(where))
    return info, clips


def _check_spelling(where, clip, people):
    """Raise MerError if ``people``, {name: first clip}, spells this clip's subject otherwise."""
    first = people.setdefault(SPELLING.sub("", clip.subject.casefold()), clip)
    if first.subject != clip.subject:
        names = f"the subject {clip.subject!r} and {first.subject!r} of the clip {first.name}"
        what = "differ by zeros, case or gaps alone; give one person one name, two people two"
        raise MerError(where, f"{names} {what}", kind="subject")


def _read_manifest(path, columns):
    """Return [(row number as a spreadsheet counts, {column: text})] of a CSV."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [[text.strip() for text in line] for line in csv.reader(file, strict=True)]
    except FileNotFoundError:
        raise MerError(path, "no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MerError(path, f"not readable as CSV in UTF-8 ({error})") from None
    header = lines[0] if lines else []
    for name in map(str.lower, columns):
        if header.count(name) != 1:
            raise MerError(path, f"needs one column {name!r}; its header is {','.join(header)!r}")
    rows = [(number, line) for number, line in enumerate(lines, 1) if any(line)][1:]
    for number, line in rows:
        if len(line) > len(header):
            raise MerError(f"{path}, row {number}", "has more cells than the header has names")
    if not rows:
        raise MerError(path, "has no rows below its header")
    return [(number, dict(zip_longest(header, line, fillvalue=""))) for number, line in rows]


def _read_row(where, info, root, cells, listing):
    """Return the Clip of one row of the manifest; ``root`` is the folder that its frames lie in."""
    try:
        row = Row.model_validate({key: text for key, text in cells.items() if text})
    except ValidationError as error:
        raise MerError(where, explain(error)) from None
    if Path(row.clip).name != row.clip or row.clip == "..":
        raise MerError(where, f"the clip name {row.clip!r} must be a plain folder name")
    labels = read_labels(where, info, cells)
    if info.get("channels"):
        files = [find_inside(root, part.strip(), where) for part in row.frames.split(";")]
        names = tuple(file.relative_to(root).as_posix() for file in files)
        return Clip(row.clip, row.subject, labels, root, names, 0, None, 0)
    frames = find_frames(root, row.frames or row.clip, where, listing)
    folder, names = frames[0].parent, tuple(path.name for path in frames)
    onset, offset = row.onset, len(names) - 1 if row.offset is None else row.offset
    apex = onset + 1 if row.apex is None else row.apex
    if not 0 <= onset < apex < offset < len(names):
        what = f"must satisfy 0 <= onset < apex < offset < {len(names)} (the number of frames)"
        raise MerError(where, f"onset {onset}, apex {row.apex}, offset {offset} {what}")
    ends, boxes = (onset, row.apex, offset), read_boxes(where, row.box, info["views"])
    return Clip(row.clip, row.subject, labels, folder, names, *ends, row.fps, boxes)


def read_labels(where, info, cells):
    """Return the labels of a row as 0 and 1, or None where all cells {label in lower case: text}
    are empty. MerError, begun by ``where``, for other texts.
    """
    texts = {label.lower(): cells[label.lower()] for label in info["labels"]}
    if not any(texts.values()):
        return None
    for label, text in texts.items():
        if text not in ("0", "1"):
            what = f"is {text!r}, but must be 0 or 1 (all empty: not labelled)"
            raise MerError(where, f"{label} {what}")
    labels = tuple(map(int, texts.values()))
    if info["exclusive"] and sum(labels) != 1:
        raise MerError(where, "exactly one label must be 1 in this set")
    return labels


def read_boxes(where, text, views):
    """Return the boxes ``x0 y0 x1 y1; ...`` px, one a view, or None for an empty text."""
    if not text.strip():
        return None
    try:
        boxes = tuple(tuple(map(int, part.split())) for part in text.split(";"))
        sides = [min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes]
    except ValueError:
        boxes = sides = ()
    if len(boxes) != views or min(sides) < SMALLEST:
        what = f"'x0 y0 x1 y1' of at least {SMALLEST} px a side for each of {views} views, by ';'"
        raise MerError(where, f"box is {text!r}, but must be {what}")
    return boxes
