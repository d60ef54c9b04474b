"""A clip of one's own, in no dataset: a folder of frames, a film or meshes, read and cropped."""

import sys
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from mer_tools.boxes import FaceFinder
from mer_tools.importing.films import VIDEO_TYPES, read_video
from mer_tools.importing.meshes import film_meshes, holds_meshes, list_meshes
from mer_utils import MerError
from mer_utils.dataset import Clip, check_name, find_datasets, iterate_frames, list_frames, survey
from mer_utils.features import FrontEnd
from mer_utils.files import read_json
from mer_utils.preprocessing import load_crops, locate, split_views

import numpy as np

READER = "a frame must hold"
LONGEST = 1000  # frames of one clip: many seconds, where a micro-expression lasts half of one


@dataclass(frozen=True)
class OwnClip:
    """One clip as the method sees it."""

    name: str
    first: tuple[np.ndarray, ...]  # the first frame (H, W) of each view
    crops: np.ndarray  # (V, T, S, S)
    boxes: tuple[tuple[int, int, int, int], ...]  # px
    found: str  # how the boxes were found: manifest (given), mesh, silhouette, face model, fallback
    onset: int
    offset: int


def open_film(source, views=2, size=448, yaw=25.0, fov=26.1, boxes=None, reader=READER):
    """Return the frames of ``source`` as an iterator of (V, H, W) uint8: a folder of numbered
    pictures or a film, both views side by side if ``views`` is 2, or a folder of OBJ or PLY meshes,
    filmed from -yaw and +yaw degrees with ``size`` px and ``fov`` degrees of height: then the
    list ``boxes`` gets the face's boxes with the first frame. Raises MerError for anything else;
    ``reader`` says in it who wants so many views.
    """
    source = Path(source)
    if source.is_file():
        if source.suffix.lower() not in VIDEO_TYPES:
            raise MerError(
                source, f"is neither a folder nor a film ({', '.join(sorted(VIDEO_TYPES))})"
            )
        return _split(source, read_video(source), views)
    if source.is_dir() and holds_meshes(source):
        if views != 2:
            raise MerError(source, f"meshes give two views, but {reader} {_tell_views(views)}")
        return film_meshes(list_meshes(source), size, yaw, fov, boxes=boxes)
    return _split(source, iterate_frames(list_frames(source)), views)


def known_views(source):
    """Return how many views a clip's frames hold side by side: two for meshes, what dataset.json
    says for a clip that lies in a dataset, else None: nobody has said it.
    """
    source = Path(source).resolve()
    if source.is_dir() and holds_meshes(source):
        return 2
    root = next(find_datasets(source), None) if source.is_dir() else None
    info = read_json(root / "dataset.json") if root else {}
    return info.get("views") if isinstance(info, dict) else None


def look_like_one(first):
    """Return whether two views (H, W) look like the halves of one picture: on both sides of the cut
    the same detail, well above noise, goes on.
    """
    left, right = (
        np.diff(view[:, k].astype(float)) for view, k in zip(first, (-1, 0), strict=True)
    )
    return min(left.std(), right.std()) > 3 and np.corrcoef(left, right)[0, 1] > 0.5


def _split(source, frames, views):
    """Yield frames parted into views (V, H, W); what is wrong with one is said of ``source``."""
    try:
        for frame in frames:
            yield split_views(frame, views)
    except MerError as error:
        raise error.seen_from(source) from None


def read_clip(
    source, views, onset=0, offset=None, boxes=None, face_model=None, options=FrontEnd(),
    reader=READER, **camera,
):  # fmt: skip
    """Read and crop what ``open_film`` opens (``reader``, ``camera`` go there); return an OwnClip.

    ``onset`` and ``offset`` are frame numbers counted from 0, by default the first and the last
    frame. The crop box is the one given in ``boxes`` (x0, y0, x1, y1) px, one per view, else the
    mesh's, else the silhouette's, else YuNet's where ``face_model`` names its file, else the
    fallback. Raises MerError for what cannot be used.
    """
    source = Path(source)
    check_name(source)
    if onset < 0 or (offset is not None and not onset + 1 < offset < sys.maxsize // 2):
        raise MerError(
            source,
            f"onset {onset} and offset {offset} must be frame numbers counted from 0, with a "
            "frame between them",
        )
    finder = None if face_model is None else FaceFinder(face_model)  # a wrong file, whoever asks
    # as far as the smoothing looks
    needed = None if offset is None else offset + 1 + round(4 * options.smoothing)
    known = []
    film = islice(open_film(source, views, boxes=known, reader=reader, **camera), needed)
    first = next(film, None)
    if first is None:
        raise MerError(source, "holds no frames")
    height, width = first[0].shape
    if width < height / 2:
        raise MerError(
            source,
            f"each of {views} views would be {width} x {height} px, too narrow for a face; "
            f"{reader} {_tell_views(views)}",
        )
    given = boxes or tuple(known) or None
    clip = Clip(
        source.name or source.resolve().name, "unknown", None, source, (), 0, None, 0, boxes=given
    )
    found, how = locate(first, clip, options.enlarge)
    if known and boxes is None:
        how = "mesh"
    if how == "fallback" and finder is not None:
        found, how = tuple(finder.find(view) for view in first), "face model"
        if None in found:
            raise MerError(
                source,
                f"YuNet finds no face in view {found.index(None) + 1} of the first "
                "frame; give a box",
            )
    film = _count(source, chain([first], film))
    crops, _ = load_crops(replace(clip, boxes=found), views, options.crop, options.enlarge, film)
    if crops.shape[1] < 3:
        raise MerError(
            source, f"has no more than {crops.shape[1]} frames; onset, apex and offset need three"
        )
    offset = crops.shape[1] - 1 if offset is None else offset
    if not 0 <= onset < offset - 1 or offset >= crops.shape[1]:
        raise MerError(
            source,
            f"onset {onset} and offset {offset} must lie in its {crops.shape[1]} "
            "frames (counted from 0), with a frame between them",
        )
    return OwnClip(clip.name, tuple(first), crops, found, how, onset, offset)


def check_apart(out):
    """Raise MerError if the folder ``out``, which is to be written into, holds or lies among the
    frames of a dataset: a picture there would become a frame.
    """
    out = Path(out).resolve()
    for root in find_datasets(out):
        clips = (clip for clip in survey(root)[1] if isinstance(clip, Clip))
        if any(out.is_relative_to(clip.folder.resolve()) for clip in clips):
            raise MerError(out, f"lies inside the dataset {root}; write somewhere else")


def say_found(how, remedy):
    """Return in words how the boxes of an OwnClip were found; ``remedy`` for the fallback."""
    return {
        "fallback": "the stated FALLBACK, as the background is not plain: look at the picture, "
        + remedy,
        "manifest": "as given",
        "silhouette": "found by the head's outline",
    }.get(how, f"found by the {how}")


def _tell_views(views):
    return "both views side by side" if views == 2 else "one view"


def _count(source, film):
    """Pass the frames on; MerError when there are too many for one expression."""
    for number, frame in enumerate(film):
        if number == LONGEST:
            raise MerError(
                source,
                f"has more than {LONGEST} frames; cut it to one expression, or give its offset",
            )
        yield frame
