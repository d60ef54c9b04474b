"""Pictures and films of other people, found and read with care: no path leads out of its folder,
and what a header shows is checked before anything is decoded.
"""

import io
import re
import warnings
from itertools import chain
from pathlib import Path

from mer_utils import MerError

import cv2
import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

FRAME_TYPES = {".png", ".jpg", ".jpeg"}
VIDEO_TYPES = {".mp4", ".avi", ".mov", ".mkv"}
PIXELS = 50_000_000  # in one picture; 4DME's raw frames have 4 million
BYTES = 256 << 20  # of one file
LONGEST = 100_000  # frames of one film
UNREADABLE = "not readable as an image; replace the file or remove the clip from the manifest"
# in no path: other systems' separators, control characters, no UTF-8
UNSAFE = r"[\\:\0-\x1f\ud800-\udfff]"
EXACT = {".mp4", ".avi", ".mov"}  # films whose header counts the frames; others give their length
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


def read_video(path):
    """Yield the frames (H, W) uint8 grey of a film in turn. MerError if it cannot be read, is
    longer than 100,000 frames, lacks frames that its header counts, or (Motion JPEG) holds a
    damaged one; other codecs hide that.
    """
    film = _open_video(path)
    try:
        count = 0
        for image in _decode_film(path, film):
            if image.shape[0] * image.shape[1] > PIXELS or count >= LONGEST:
                raise MerError(
                    path, f"larger than {PIXELS:,} pixels or longer than {LONGEST:,} frames"
                )
            yield image
            count += 1
        stated = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
        if count == 0 or count < stated - (Path(path).suffix.lower() not in EXACT):
            raise MerError(
                path, f"{count} of {stated} frames can be decoded; copy or convert the film again"
            )
    finally:
        film.release()


def _decode_film(path, film):
    """Yield the pictures (H, W) of an opened film."""
    if int(film.get(cv2.CAP_PROP_FOURCC)) == cv2.VideoWriter_fourcc(*"MJPG"):
        size = [int(film.get(k)) for k in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)]
        film.set(cv2.CAP_PROP_FORMAT, -1)  # what is read now is what the file holds
        packets = _read_all(film)
        first = next(packets, None)
        if first is not None and _is_jpeg(first.tobytes(), size):
            for number, packet in enumerate(chain([first], packets)):
                yield _decode_jpeg(f"{path}, frame {number}", packet.tobytes())
            return
        film.open(*_name_film(path))  # from its start again
    for picture in _read_all(film):
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)


def _read_all(film):
    while (packet := film.read())[0]:
        yield packet[1]


def _is_jpeg(data, size):
    """Return whether a packet of Motion JPEG is a whole JPEG of this (height, width). Some leave
    out the tables, or hold two half pictures a frame: that is FFmpeg's work.
    """
    try:
        header = simplejpeg.decode_jpeg_header(data, strict=False)
    except ValueError:  # no header that libjpeg knows
        return False
    return list(header[:2]) == size and b"\xff\xc4" in data


def video_fps(path):
    """Return a film's frames per second as its header says, or None."""
    film = _open_video(path)
    fps = film.get(cv2.CAP_PROP_FPS)
    film.release()
    return float(fps) if 0 < fps < 10_000 else None


def _open_video(path):
    path = Path(path)
    if not path.is_file():
        raise MerError(path, "no such film")
    film = cv2.VideoCapture(*_name_film(path))
    if not film.isOpened():
        raise MerError(
            path, "not readable as a film (.mp4 or .avi); convert it, or give a folder of frames"
        )
    return film


def _name_film(path):
    """Return what opens a film: its path must not be taken for a pattern or an address."""
    return str(Path(path).resolve()), cv2.CAP_FFMPEG
