"""Pictures as PNG bytes.

Pictures and films of other people, found and read with care: no path leads out of its folder,
and what a header shows is checked before anything is decoded.

The dataset on disk: dataset.json, manifest.csv, frames in clips/<clip>/, and (synthetic only)
truth/<clip>.npz.
"""

import hashlib
import io
import os
import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mer_tools.importing.tables import need_columns, read_table
from mer_utils import MerError
from mer_utils.files import read_json

import cv2
import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError


def encode_png(image):
    """Return a grey (H, W) or BGR (H, W, 3) uint8 image as PNG bytes (fast compression: noise
    hardly compresses).
    """
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


FRAME_TYPES = {".png", ".jpg", ".jpeg"}
PIXELS = 50_000_000  # in one picture; 4DME's raw frames have 4 million
BYTES = 256 << 20  # of one file
UNREADABLE = "not readable as an image; replace the file or remove the clip from the manifest"
# in no path: other systems' separators, control characters, no UTF-8
UNSAFE = r"[\\:\0-\x1f\ud800-\udfff]"
UPRIGHT, ORIENTATION = (None, 1), 0x0112  # EXIF: how a camera was held


def number_key(path):
    """Return what frames are sorted by: all integers of the file's stem, the first one first (the
    challenge's order), then the name. MerError for a name without a number, or that is no text.
    """
    numbers = re.findall(r"\d+", Path(path).stem)
    if not numbers:
        raise MerError(path, "a frame's file name needs a number, by which frames are sorted")
    if re.search(r"[\ud800-\udfff]", Path(path).name):
        raise MerError(path, "has a name that is no UTF-8 text; rename the file")
    return tuple(map(int, numbers)), Path(path).name


def check_inside(path, root, where=""):
    """Raise MerError if ``path``, links followed, is not there or does not lie in the folder
    ``root``; ``where`` (default: ``path``) begins it.
    """
    try:
        inside = path.resolve().is_relative_to(Path(root).resolve())
    except (OSError, RuntimeError):  # links that lead round in a circle
        inside = False
    what = f"is a link that leads out of {root}" if not inside else "is a link to nothing"
    if not inside or not path.exists():
        raise MerError(path, f"{what}; put the files themselves there").seen_from(where)


def check_name(path):
    """Raise MerError for a path that no text file can hold."""
    if re.search("[\0-\x1f\ud800-\udfff]", str(Path(path).resolve())):
        raise MerError(
            f"{str(path)!r}", "has letters in its path that are no UTF-8 text; rename the folder"
        )


def find_inside(root, text, where):
    """Return root / text; MerError, begun by ``where``, if it is missing or leads out of the folder
    ``root``.
    """
    parts = text.split("/")
    if re.search(UNSAFE, text) or any(
        part.strip() != part or part in ("", ".", "..") for part in parts
    ):
        raise MerError(where, f"the path {text!r} must lead downwards from {root}")
    found = Path(root) / text
    try:
        there = found.exists()
    except OSError:  # a name too long for the disk
        there = False
    if not there:
        raise MerError(where, f"{found} is missing; add it or remove the row")
    check_inside(found, root, where)
    return found


def read_size(path):
    """Return (width, height) px from the header alone; MerError for what ``read_image`` would
    refuse by it.
    """
    return _check_header(path, _read_bytes(path, 1 << 16), partial=True).size


def read_image(path, colour=False, shrink=1):
    """Return a picture (H, W) uint8 grey, or (H, W, 3) uint8 RGB; or, each side rounded up, one
    that is ``shrink`` (1, 2, 4, 8) times smaller. A JPEG is made so while it is decoded, which
    saves a fifth of the time or more.

    Raises MerError for what is no PNG or JPEG, is cut off, has 16 bits, transparent pixels, or is
    too large to be a frame.
    """
    data = _read_bytes(path)
    header = _check_header(path, data)
    if header.format == "JPEG" and header.mode in ("L", "RGB"):
        image = _decode_jpeg(path, data, colour, header.size, shrink)
        if header.getexif().get(ORIENTATION) in UPRIGHT:
            return image
    _check_whole(path, header, data)
    see_through = "A" in header.getbands() or "transparency" in header.info
    mode = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
    try:
        image = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED if see_through else mode
        )
    except cv2.error:
        image = None
    if image is None:
        raise MerError(path, UNREADABLE)
    if see_through:
        if image.ndim < 3 or image.shape[2] < 4 or (image[..., 3] < 255).any():
            raise MerError(
                path,
                "has transparent pixels; save it without transparency, on the background you want",
            )
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR if colour else cv2.COLOR_BGRA2GRAY)
    if shrink > 1:
        small = tuple(-(-side // shrink) for side in image.shape[1::-1])
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[..., ::-1]) if colour else image


def _decode_jpeg(path, data, colour=False, size=(0, 0), shrink=1):
    """Return a JPEG's picture (H, W) grey or (H, W, 3) RGB, ``shrink`` times smaller than its
    ``size``. libjpeg goes on behind a damaged place with whatever comes out; here its warnings are
    errors.
    """
    width, height = (-(-side // shrink) for side in size)
    given = {} if shrink == 1 else {"min_height": height, "min_width": width}
    try:
        image = simplejpeg.decode_jpeg(data, "RGB" if colour else "GRAY", **given)
    except ValueError as error:
        raise MerError(path, f"is damaged or cut off ({error}); copy the file again") from None
    return image if colour else image[..., 0]


def _read_bytes(path, limit=None):
    try:
        size = Path(path).stat().st_size
        if size > BYTES:
            raise MerError(
                path, f"{size >> 20} MB; a frame of more than {BYTES >> 20} MB is not read"
            )
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError as error:
        raise MerError(path, f"cannot be read ({error.strerror})") from None


def _check_header(path, data, partial=False):
    """Return the PIL Image of a header (not decoded), or raise MerError for what is no usable
    frame.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
    except Image.DecompressionBombError:
        raise MerError(path, f"claims more than {PIXELS:,} pixels, too many for a frame") from None
    except UnidentifiedImageError:
        if partial and len(data) == 1 << 16:  # much text before the picture: read it all
            return _check_header(path, _read_bytes(path))
        raise MerError(path, UNREADABLE) from None
    # a broken header: PIL raises struct.error, SyntaxError, ValueError, OSError
    except Exception as error:
        raise MerError(path, f"not readable as an image ({type(error).__name__})") from None
    width, height = image.size
    if width * height > PIXELS:
        raise MerError(
            path, f"{width} x {height} px, more than {PIXELS:,} pixels, too many for a frame"
        )
    if image.mode.startswith(("I", "F")) or (image.format == "PNG" and data[24:25] == b"\x10"):
        raise MerError(
            path,
            "has 16 bits per pixel; save it with 8, scaled as you want it (all frames of "
            "a set alike)",
        )
    return image


def _check_whole(path, image, data):
    """Raise MerError if a part of a picture is missing or damaged, as far as its format tells:
    OpenCV would fill it with grey.
    """
    if image.format == "PNG":
        try:
            image.verify()  # each chunk has a check sum; IEND must be there
            whole = b"IEND" in data
        except Exception:  # PIL raises SyntaxError, OSError, struct.error
            whole = False
    else:  # the end mark stands after the last start of a scan
        whole = data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda") >= 0
    if not whole:
        raise MerError(path, "is damaged or cut off before its end; copy the file again")


SMALLEST = 16  # px, side of a face's box: half a pixel for each of its map's cells


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
                raise MerError(
                    f"clip {clip.name}",
                    "has no labels; training needs them (`mer submit` answers without)",
                )
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
                if size > 1 << 16:
                    file.seek(max(1 << 16, size - (1 << 16)))
                    digest.update(file.read())
        except OSError as error:
            raise MerError(path, f"cannot be read ({error.strerror})") from None
    return digest.hexdigest()


def list_frames(folder, root=None):
    """Return the image files of a folder, sorted by the integers in their names (first the first:
    the challenge's order); hidden ones do not count. Raises MerError where there are none, where
    two have the same integers, or where one is a link that leaves ``root`` (default: ``folder``).
    """
    folder, frames = Path(folder), {}
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = Path(entry.path)
                if path.suffix.lower() not in FRAME_TYPES or entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    check_inside(path, root or folder)
                numbers, name = number_key(path)
                if numbers in frames:
                    raise MerError(
                        folder,
                        f"{frames[numbers]} and {name} have the same numbers, by which frames are "
                        "sorted; keep one of them, or rename",
                    )
                frames[numbers] = name
    except (FileNotFoundError, NotADirectoryError):
        raise MerError(folder, "no such folder of frames") from None
    except OSError as error:
        raise MerError(folder, f"cannot be read ({error.strerror})") from None
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
            raise MerError(
                path,
                f"{size[0]} x {size[1]} px, but the clip's first frame is "
                f"{first[0]} x {first[1]} px; all frames of a clip must have one size",
            )
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
    """Raise MerError if ``path``, which is to be written, lies in a dataset: nothing of it may be
    lost, and a picture would become a frame.
    """
    for folder in find_datasets(path):
        raise MerError(path, f"lies inside the dataset {folder}; write somewhere else")


def survey(root):
    """Return dataset.json's content and for each row of the manifest its Clip, or the MerError that
    says what is wrong with it. Raises MerError for what concerns the whole: the two files, their
    keys and columns.
    """
    root = Path(root)
    info, path = _read_info(root / "dataset.json"), root / "manifest.csv"
    rows = read_table(path)
    need_columns(path, rows, ["clip", "subject", *(label.lower() for label in info["labels"])])
    frames = root / info.get("frames", "clips")
    if not frames.is_dir():
        raise MerError(
            frames, f"no such folder; {root / 'dataset.json'} says that the frames lie there"
        )
    clips, seen = [], {}
    for number, cells in rows:
        try:
            name = cells["clip"]
            if name in seen:
                raise MerError(
                    f"{path}, row {number}",
                    f"the clip {name!r} is listed twice (first in row {seen[name]})",
                )
            seen[name] = number
            clips.append(_read_row(f"{path}, row {number}", info, frames, cells))
        except MerError as error:
            clips.append(error)
    return info, clips


def _read_info(path):
    """Read and check dataset.json."""
    info = read_json(path)
    keys = ("name", "views", "labels", "exclusive", "synthetic")
    missing = [key for key in keys if key not in info] if isinstance(info, dict) else keys
    if missing:
        raise MerError(path, f"lacks {', '.join(missing)}")
    if info["views"] not in (1, 2):
        raise MerError(path, f"views is {info['views']!r}, but must be 1 or 2")
    labels, texts = info["labels"], [info["name"], info.get("frames", "clips")]
    if (
        not isinstance(labels, list)
        or not labels
        or not all(isinstance(text, str) and text for text in labels + texts)
    ):
        raise MerError(path, "labels must be a list of names, and name and frames texts")
    if len({label.lower() for label in labels}) < len(labels):
        raise MerError(path, "two labels have the same name")
    if not isinstance(info["exclusive"], bool) or not isinstance(info["synthetic"], bool):
        raise MerError(path, "exclusive and synthetic must be true or false")
    if "channels" in info and (
        not isinstance(info["channels"], list) or len(set(info["channels"])) != 3
    ):
        raise MerError(
            path, "channels must name what red, green and blue hold, as in ['u', 'v', 'magnitude']"
        )
    return info


def _read_row(where, info, root, cells):
    """Return the Clip of one row of the manifest; ``root`` is the folder that its frames lie in."""
    name, subject = cells["clip"], cells["subject"]
    if not name or name in (".", "..") or re.search(r"[/\\:\0]", name):
        raise MerError(where, f"the clip name {name!r} must be a plain folder name")
    if not subject:
        raise MerError(where, "the subject is empty")
    labels = _read_labels(where, info, cells)
    if "channels" in info:
        parts = cells.get("frames", "").split(";")
        files = [find_inside(root, part.strip(), where) for part in parts]
        names = tuple(file.relative_to(root).as_posix() for file in files)
        return Clip(name, subject, labels, root, names, 0, None, 0)
    folder = find_inside(root, cells.get("frames") or name, where)
    try:
        names = tuple(path.name for path in list_frames(folder, root))
    except MerError as error:
        raise error.seen_from(where) from None
    onset, apex, offset = (
        _read_number(where, cells, key, int) for key in ("onset", "apex", "offset")
    )
    onset, offset = 0 if onset is None else onset, len(names) - 1 if offset is None else offset
    if (
        not 0 <= onset < offset - 1
        or offset >= len(names)
        or (apex is not None and not onset < apex < offset)
    ):
        raise MerError(
            where,
            f"onset {onset}, apex {apex if apex is not None else '(empty)'}, offset "
            f"{offset} must satisfy "
            f"0 <= onset < apex < offset < {len(names)} (the number of frames)",
        )
    boxes = read_boxes(where, cells.get("box", ""), info["views"])
    fps = _read_number(where, cells, "fps", float)
    if fps is not None and not 0 < fps < 1e6:
        raise MerError(
            where, f"fps is {fps}, but must be above 0 (leave it empty if it is not known)"
        )
    return Clip(name, subject, labels, folder, names, onset, apex, offset, fps, boxes)


def _read_labels(where, info, cells):
    """Return the labels of a row as 0 and 1, or None where all cells are empty."""
    texts = [cells[label.lower()] for label in info["labels"]]
    if not any(texts):
        return None
    for label, text in zip(info["labels"], texts, strict=True):
        if text not in ("0", "1"):
            raise MerError(
                where, f"{label.lower()} is {text!r}, but must be 0 or 1 (all empty: not labelled)"
            )
    if info["exclusive"] and texts.count("1") != 1:
        raise MerError(where, "exactly one label must be 1 in a set of exclusive labels")
    return tuple(map(int, texts))


def _read_number(where, cells, name, kind):
    """Return a cell as a number, or None where it is empty."""
    text = cells.get(name, "")
    try:
        return kind(text) if text else None
    except ValueError:
        raise MerError(
            where, f"{name} is {text!r}, but must be a {'whole ' * (kind is int)}number"
        ) from None


def read_boxes(where, text, views):
    """Return boxes written as ``x0 y0 x1 y1`` px for each view, separated by ``;``; None for an
    empty text. ``where`` begins the MerError that a wrong one raises.
    """
    if not text.strip():
        return None
    try:
        boxes = tuple(tuple(int(value) for value in part.split()) for part in text.split(";"))
        if len(boxes) != views or any(
            len(box) != 4 or box[0] >= box[2] or box[1] >= box[3] for box in boxes
        ):
            raise ValueError
    except ValueError:
        raise MerError(
            where,
            f"box is {text!r}, but must be 'x0 y0 x1 y1' for each of {views} views, "
            "separated by ';'",
        ) from None
    for x0, y0, x1, y1 in boxes:
        if min(x1 - x0, y1 - y0) < SMALLEST:
            raise MerError(
                where,
                f"box is {text!r}, {x1 - x0} x {y1 - y0} px, but no face is smaller than "
                f"{SMALLEST} px",
            )
    return boxes
