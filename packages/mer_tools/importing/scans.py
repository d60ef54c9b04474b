"""Sequences of OBJ or PLY meshes, one folder per clip: filmed from two sides."""

from functools import partial

from mer_tools.importing.common import check_source, describe, read_folders, write_set
from mer_tools.importing.meshes import film_meshes, list_meshes
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
    entries, names, said = read_folders(source, data, labels, "clip", "subject")
    camera = f"{size} px, yaw {yaw:g}, field of view {fov:g} degrees"
    about = f"mer import obj: mesh sequences filmed at {camera}"
    info = describe(source.resolve().name, 2, names, about)
    film = partial(film_clip, size=size, yaw=yaw, fov=fov)
    return write_set(source, data, info, entries, make=film, jobs=jobs) + said


def film_clip(source, entry, target, size, yaw, fov):
    """Film an Entry's meshes into the folder ``target``, two views side by side; return what
    ``write_set`` asks for.
    """
    paths, notes, boxes = [], [], []
    for pair in film_meshes(list_meshes(source / entry.path), size, yaw, fov, notes, boxes):
        paths.append(target / f"{len(paths):04d}.png")
        paths[-1].write_bytes(encode_png(np.hstack(list(pair))))
    return paths, None, notes, boxes
