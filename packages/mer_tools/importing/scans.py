"""Sequences of OBJ or PLY meshes, one folder per clip: filmed from two sides."""

from functools import partial

from mer_tools.importing.common import (
    ALONE,
    COLUMNS,
    Entry,
    check_source,
    describe,
    list_folders,
    read_flags,
    read_fps,
    read_keys,
    write_set,
)
from mer_tools.importing.meshes import film_meshes, list_meshes
from mer_tools.importing.tables import need_columns, read_table
from mer_utils import LABELS, MerError
from mer_utils.dataset import encode_png

import numpy as np


def import_obj(source, data, labels=None, size=448, yaw=25.0, fov=26.1, jobs=1):
    """Make a dataset of a folder of clip folders, each a sequence of OBJ or PLY meshes, filmed from
    two sides.

    ``size`` px, ``yaw`` and ``fov`` degrees: see ``meshes.film_meshes``. ``labels`` is a table
    clip, subject, one column of 0 and 1 per label, and optionally onset, apex, offset (meshes
    counted from 0) and fps; a folder without a row stays unlabelled. The frames depend on no other
    argument. Returns sentences to print. Raises MerError.
    """
    source = check_source(source)
    folders = list_folders(source, data)
    names, entries = _read_labels(labels, source, folders) if labels else (LABELS, {})
    bare = [folder for folder in folders if folder.name not in entries]
    for folder in bare:
        entries[folder.name] = Entry(folder.name, folder.name, None, folder.name, str(folder))
    camera = f"{size} px, yaw {yaw:g}, field of view {fov:g} degrees"
    about = f"mer import obj: mesh sequences filmed at {camera}"
    info = describe(source.resolve().name, 2, names, about)
    film = partial(film_clip, size=size, yaw=yaw, fov=fov)
    ordered = [entries[folder.name] for folder in folders]
    said = write_set(source, data, info, ordered, make=film, jobs=jobs)
    return said + ([ALONE.format(len(bare))] if bare else [])


def _read_labels(path, source, folders):
    """Return the label names of a table, and {clip: Entry} of its rows."""
    rows = read_table(path)
    need_columns(path, rows, ["clip", "subject"])
    names = [name for name in rows[0].cells if name not in COLUMNS]
    if not names:
        what = "has no column of a label besides clip and subject; add one per label (0 or 1)"
        raise MerError(path, what)
    entries, there = {}, {folder.name for folder in folders}
    for number, cells in rows:
        where, clip = f"{path}, row {number}", cells["clip"]
        if clip not in there:
            what = f"the clip {clip!r} has no folder in {source}; remove the row or add it"
            raise MerError(where, what)
        if clip in entries:
            raise MerError(where, f"the clip {clip!r} is listed twice; keep one row")
        flags, keys = read_flags(where, cells, names), read_keys(where, cells)
        fps = read_fps(where, cells, "fps")
        entries[clip] = Entry(clip, cells["subject"], flags, clip, where, **keys, fps=fps)
    return names, entries


def film_clip(source, entry, target, size, yaw, fov):
    """Film an Entry's meshes into the folder ``target``, two views side by side; return what
    ``write_set`` asks for.
    """
    stems, notes, boxes = [], [], []
    paths = list_meshes(source / entry.path)
    for pair in film_meshes(paths, size, yaw, fov, notes, boxes):
        stems.append(f"{len(stems):04d}")
        (target / f"{stems[-1]}.png").write_bytes(encode_png(np.hstack(list(pair))))
    return stems, None, notes, boxes
