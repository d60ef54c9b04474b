"""A clip of one's own, in no dataset: a folder of frames, a film or meshes, read and predicted."""

import json
from itertools import chain, islice
from pathlib import Path

from mer_tools.answers import OwnClip, check_kind, predict_crops
from mer_tools.boxes import FaceFinder
from mer_tools.importing.films import VIDEO_TYPES, is_film, read_video, video_fps
from mer_tools.importing.meshes import film_meshes, holds_meshes, list_meshes
from mer_tools.places import check_outside, find_dataset
from mer_tools.rules import apply_rules
from mer_utils import MerError
from mer_utils.dataset import Clip, iterate_frames, list_frames, survey
from mer_utils.features import FrontEnd
from mer_utils.files import say
from mer_utils.preprocessing import load_crops, locate, split_views

import numpy as np
import pandas as pd

LONGEST = 1000  # frames of one clip: many seconds, where a micro-expression lasts half of one


def open_film(source, views, **camera):
    """Return an iterator of frames (V, H, W) uint8 from a folder of pictures or a film, both views
    side by side if ``views`` is 2, or of meshes (see ``film_meshes``); and of meshes the face's box
    in each view. MerError for anything else.
    """
    source = Path(source)
    if holds_meshes(source):
        frames, _, boxes = film_meshes(list_meshes(source), **camera)
        return frames, boxes
    if source.is_file() and not is_film(source):
        kinds = ", ".join(sorted(VIDEO_TYPES))
        raise MerError(source, f"is neither a folder nor a film ({kinds})")
    frames = read_video(source) if source.is_file() else iterate_frames(list_frames(source))
    return (split_views(frame, views) for frame in frames), []


def look_up(source):
    """Return how many views a clip's frames hold and how many frames it has a second, None where
    neither its kind, nor a film's header, nor the dataset that it lies in says so.
    """
    source = Path(source).resolve()
    if source.is_file():
        return None, video_fps(source) if is_film(source) else None
    if holds_meshes(source):
        return 2, None
    if (root := find_dataset(source)) is None:
        return None, None
    info, rows = survey(root)
    clips = [row for row in rows if isinstance(row, Clip)]
    return info["views"], next((c.fps for c in clips if c.folder.resolve() == source), None)


def read_clip(
    source, views, onset=0, offset=None, boxes=None, face_model=None, options=FrontEnd(), **camera
):
    """Read and crop what ``open_film`` opens (``camera`` goes there); return an OwnClip.

    ``views`` is 1, 2 or None: what ``look_up`` says, else 1. ``onset`` and ``offset`` are frame
    numbers counted from 0, by default the first and the last frame. The crop box is the one given
    in ``boxes`` (x0, y0, x1, y1) px, one per view, else the mesh's, else the silhouette's, else
    YuNet's where ``face_model`` names its file, else the fallback. Raises MerError for what cannot
    be used.
    """
    source, (held, fps) = Path(source), look_up(source)
    views = views or held or 1
    if held not in (None, views):
        what = f"its frames hold {held} view{'s' * (held > 1)}, but {views} asked for"
        raise MerError(source, f"{what}; networks answer as many as they learnt from")
    finder = None if face_model is None else FaceFinder(face_model)
    try:
        frames, mesh_boxes = open_film(source, views, **camera)
        first = next(frames)
    except MerError as error:
        raise error.seen_from(source) from None
    height, width = first[0].shape
    if width < height / 2:
        what = f"each of {views} views would be {width} x {height} px, too narrow for a face"
        wanted = "both views side by side" if views == 2 else "one view"
        raise MerError(source, f"{what}; a frame must hold {wanted}")
    found, how = (boxes, "manifest") if boxes else (tuple(mesh_boxes), "mesh")
    if not found:
        found, how = locate(first, enlarge=options.enlarge)
    if how == "fallback" and finder is not None:
        found, how = tuple(finder.find(view) for view in first), "face model"
        if None in found:
            view = found.index(None) + 1
            raise MerError(source, f"YuNet finds no face in view {view}'s first frame; give a box")
    # the smoothing of the motion curve looks a little beyond the offset
    end = LONGEST if offset is None else min(LONGEST, offset + round(4 * options.smoothing))
    film, name = islice(chain([first], frames), max(3, end + 1)), source.resolve().name
    clip = Clip(name, "", None, source, (), 0, None, 0, boxes=found)
    crops, _ = load_crops(clip, views, options.crop, options.enlarge, film)
    count = crops.shape[1]
    if count > LONGEST:
        what = f"has more than {LONGEST} frames; cut it to one expression, or give its offset"
        raise MerError(source, what)
    offset = count - 1 if offset is None else offset
    if not 0 <= onset < offset - 1 < count - 1:
        what = f"onset {onset} and offset {offset} must lie in its {count} frames (counted from 0)"
        raise MerError(source, f"{what}, with a frame between them")
    return OwnClip(name, tuple(first), crops, found, how, onset, offset, fps)


def predict_clip(source, ensemble, onset=0, offset=None, boxes=None, face_model=None, **camera):
    """Run one clip (see ``read_clip``) through crop, apex, phase flow and every network, or, where
    they learnt from it, those that never saw its subject; return a Prediction.
    """
    check_kind(source, ensemble, None)
    source, views, options = Path(source), ensemble.shape[0], ensemble.front_end
    clip = read_clip(source, views, onset, offset, boxes, face_model, options, **camera)
    if source.is_dir() and not holds_meshes(source):
        ensemble = ensemble.leave_out(list_frames(source))
    return predict_crops(clip, ensemble)


def describe_clip(clip, remedy):
    """Return in a line what was read of an OwnClip, and how its face was found; ``remedy`` says
    what to do where it was not.
    """
    (views, frames), (height, width) = clip.crops.shape[:2], clip.first[0].shape
    fallback = f"the FALLBACK, as the background is not plain: look at the picture, {remedy}"
    words = {"manifest": "as given", "silhouette": "found by the head's outline"}
    box = words.get(clip.found, f"found by the {clip.found}")
    size = f"{views} view{'s' * (views > 1)} of {width} x {height} px, {frames} frames"
    return f"{size}; crop box: {fallback if clip.found == 'fallback' else box}"


def name_answers(source, out, overwrite):
    """Return the paths of a clip's picture and JSON in ``out``; MerError if something else would be
    overwritten, or the clip or a dataset's would be written into.
    """
    source, out = Path(source).resolve(), Path(out)
    name = source.name if source.is_dir() else source.stem
    picture, text = out / f"{name}.png", out / f"{name}.json"
    check_outside(out)
    if out.resolve().is_relative_to(source):
        raise MerError(out, "lies inside the clip itself; choose another --out")
    is_same = text.is_file() and f'"source": {json.dumps(str(source))}' in text.read_text("utf-8")
    if not (overwrite or is_same) and (text.exists() or picture.exists()):
        what = "another clip of this name, or something else, is kept in such a file"
        raise MerError(out / name, f"{what}; choose another --out, or say --overwrite")
    return picture, text


def describe_prediction(source, result):
    """Return lines about a Prediction: how the clip was read, and what the networks answer."""
    meshes = holds_meshes(source)
    if len(result.first) == 2 and not meshes and look_like_one(result.first):
        what = "its halves seem to be one picture. The weights want two cameras side by side"
        say(f"{source}: LOOK: {what}; a film of one camera gets an answer that means nothing")
    seconds = (result.offset - result.onset) / (result.fps or np.nan)
    clip = pd.DataFrame([{"where": result.name, "seconds": seconds}])
    for finding in apply_rules({"clips": clip}, "duration"):
        say(f"{source}: LOOK: {finding.what}")

    lines = []
    if result.ensemble.left_out:
        who = f"only the {len(result.scores)} that never saw {result.ensemble.left_out} answer"
        lines.append(f"the networks learnt from this clip: {who}")
    elif source.is_file() or meshes:
        lines.append("only folders of pictures are compared with what the networks learnt from")
    lines.append(describe_clip(result, "give --box or --face-model"))
    lines.append(f"onset {result.onset}, apex found {result.apex}, offset {result.offset}")
    lines.append(f"{'label':12} {'probability':>11} {'spread':>8} {'threshold':>10}  answer")
    for label, row in result.table().items():
        limit = "never" if row["threshold"] is None else f"{row['threshold']:.2f}"
        limit = "largest" if result.exclusive else limit
        numbers = f"{row['probability']:>11.2f} {row['spread']:>8.2f} {limit:>10}"
        lines.append(f"{label:12} {numbers}  {'yes' if row['answer'] else 'no'}")
    weights = result.to_json()["attention"].items()
    return [*lines, f"attention: {', '.join(f'{name} {value:.2f}' for name, value in weights)}"]


def look_like_one(first):
    """Return whether two views (H, W) look like the halves of one picture: on both sides of the cut
    the same detail, well above noise, goes on.
    """
    left, right = np.diff(first[0][:, -1].astype(float)), np.diff(first[1][:, 0].astype(float))
    return min(left.std(), right.std()) > 3 and np.corrcoef(left, right)[0, 1] > 0.5
