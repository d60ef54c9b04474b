"""Films: their frames, one by one."""

from pathlib import Path

from mer_utils import MerError

import cv2

EXACT = {".mp4", ".avi", ".mov"}  # films whose header counts the frames; others give their length
VIDEO_TYPES = {*EXACT, ".mkv"}


def is_film(path):
    """Return whether a path has the suffix of a film."""
    return Path(path).suffix.lower() in VIDEO_TYPES


def read_video(path):
    """Yield the frames (H, W) uint8 grey of a film in turn. MerError if it cannot be read, or lacks
    frames that its header counts; damage inside a frame is hidden by the decoder.
    """
    film, count = _open_video(path), 0
    stated = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
    while (frame := film.read())[0]:
        count += 1
        yield cv2.cvtColor(frame[1], cv2.COLOR_BGR2GRAY)
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
