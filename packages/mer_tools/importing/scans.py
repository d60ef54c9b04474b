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
    read_whole,
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
    source, said = check_source(source), []
    folders = {folder.name: folder for folder in list_folders(source, data)}
    rows = read_table(labels) if labels else []
    names = LABELS
    if rows:
        need_columns(labels, rows, ["clip", "subject"])
        names = [name for name in rows[0].cells if name not in COLUMNS]
        if not names:
            raise MerError(
                labels,
                "has no column of a label besides clip and subject; add one per label (0 or 1)",
            )
    entries = {}
    for number, cells in rows:
        where = f"{labels}, row {number}"
        if cells["clip"] not in folders:
            raise MerError(
                where,
                f"the clip {cells['clip']!r} has no folder in {source}; remove the row or add it",
            )
        if cells["clip"] in entries:
            raise MerError(where, f"the clip {cells['clip']!r} is listed twice; keep one row")
        keys = {key: read_whole(where, cells, key) for key in ("onset", "apex", "offset")}
        entries[cells["clip"]] = Entry(
            cells["clip"], cells["subject"], read_flags(where, cells, names), cells["clip"], where,
            **keys,
            fps=read_fps(where, cells, "fps"),
        )  # fmt: skip
    bare = [name for name in folders if name not in entries]
    for name in bare:
        entries[name] = Entry(name, name, None, name, str(folders[name]))
    if bare:
        said.append(ALONE.format(len(bare)))
    about = (
        f"mer import obj: mesh sequences filmed at {size} px, yaw {yaw:g}, field of view "
        f"{fov:g} degrees"
    )
    film = partial(film_clip, size=size, yaw=yaw, fov=fov)
    ordered = [entries[name] for name in folders]
    return (
        write_set(
            source,
            data,
            describe(source.resolve().name, 2, names, about),
            ordered,
            None,
            film,
            jobs,
        )
        + said
    )


def film_clip(source, entry, target, size, yaw, fov):
    """Film an Entry's meshes into the folder ``target``, two views side by side; return file stems,
    no fps, notes, and the face's box in each view.
    """
    stems, notes, boxes = [], [], []
    paths = list_meshes(source / entry.path, source)
    for pair in film_meshes(paths, size, yaw, fov, notes, boxes):
        stems.append(f"{len(stems):04d}")
        (target / f"{stems[-1]}.png").write_bytes(encode_png(np.hstack(list(pair))))
    return stems, None, notes, boxes
