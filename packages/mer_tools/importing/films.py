"""Films: their frames, one by one."""

from itertools import chain
from pathlib import Path

from mer_utils import MerError
from mer_utils.dataset import decode_jpeg

import cv2
import simplejpeg

EXACT = {".mp4", ".avi", ".mov"}  # films whose header counts the frames; others give their length
VIDEO_TYPES = {*EXACT, ".mkv"}


def read_video(path):
    """Yield the frames (H, W) uint8 grey of a film in turn. MerError if it cannot be read, lacks
    frames that its header counts, or (Motion JPEG) holds a damaged one; other codecs hide that.
    """
    film, count = _open_video(path), 0
    stated = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
    for image in _decode_film(path, film):
        count += 1
        yield image
    if count == 0 or count < stated - (Path(path).suffix.lower() not in EXACT):
        what = f"{count} of {stated} frames can be decoded; copy or convert the film again"
        raise MerError(path, what)


def video_fps(path):
    """Return a film's frames per second as its header says, or None."""
    fps = _open_video(path).get(cv2.CAP_PROP_FPS)
    return float(fps) if 0 < fps < 10_000 else None


def _open_video(path):
    if not Path(path).is_file():
        raise MerError(path, "no such film")
    # FFmpeg and a whole path: else a name may be taken for a pattern or an address
    film = cv2.VideoCapture(str(Path(path).resolve()), cv2.CAP_FFMPEG)
    if not film.isOpened():
        what = "not readable as a film (.mp4 or .avi); convert it, or give a folder of frames"
        raise MerError(path, what)
    return film


def _decode_film(path, film):
    """Yield the pictures (H, W) of an opened film."""
    if int(film.get(cv2.CAP_PROP_FOURCC)) == cv2.VideoWriter_fourcc(*"MJPG"):
        size = [int(film.get(k)) for k in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)]
        film.set(cv2.CAP_PROP_FORMAT, -1)  # what is read now is what the file holds
        packets = _read_all(film)
        first = next(packets, None)
        if first is not None and _is_jpeg(first.tobytes(), size):
            for number, packet in enumerate(chain([first], packets)):
                yield decode_jpeg(f"{path}, frame {number}", packet.tobytes())
            return
        film = _open_video(path)  # from its start again
    for picture in _read_all(film):
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)


def _read_all(film):
    while (packet := film.read())[0]:
        yield packet[1]


def _is_jpeg(data, size):
    """Return whether a packet of Motion JPEG is a whole JPEG of this (height, width). Some lack the
    tables, or hold two half pictures a frame: FFmpeg decodes those.
    """
    try:
        header = simplejpeg.decode_jpeg_header(data, strict=False)
    except ValueError:  # no header that libjpeg knows
        return False
    return list(header[:2]) == size and b"\xff\xc4" in data
