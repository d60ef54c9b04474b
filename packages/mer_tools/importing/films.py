"""Films: their frames, one by one."""

from itertools import chain
from pathlib import Path

from mer_utils import MerError
from mer_utils.dataset import PIXELS, _decode_jpeg

import cv2
import simplejpeg

LONGEST = 100_000  # frames of one film
EXACT = {".mp4", ".avi", ".mov"}  # films whose header counts the frames; others give their length
VIDEO_TYPES = {".mp4", ".avi", ".mov", ".mkv"}


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
