"""Folders that are clips, with a table of labels or without: the 4DMR challenge's sequences, and
scanned meshes.
"""

import re
from functools import partial
from itertools import compress

from mer_tools.importing import common
from mer_tools.importing.common import COLUMNS, Entry
from mer_tools.importing.meshes import film_meshes, list_meshes
from mer_tools.importing.tables import need_columns, read_table
from mer_utils import LABELS, MerError
from mer_utils.dataset import read_labels

import numpy as np

ALONE = (
    "The subject of {} clips is not known, and each counts as its own: leave-one-subject-out "
    "becomes leave-one-sequence-out, one person may be in training and test, and results compare "
    "with no published ones."
)


def import_challenge(source, data, labels=None, copy=False, classes=None):
    """Make a dataset of the 4DMR challenge's layout: ``seq<N>`` folders of frames that hold two
    views side by side.

    ``labels`` is a table Id, Negative, Positive, Repression, Surprise, Others (0 or 1) and perhaps
    Subject, whose Id is the first integer of a folder's name. Folders without a row have no labels.
    ``classes``: see ``labels.regroup``. Returns sentences to print. Raises MerError.
    """

    source = common.check_source(source)
    entries, _, said = read_folders(source, labels, "Id", "Subject", LABELS, _first_number)
    about = "mer import 4dme-challenge: seq folders of side-by-side frames"
    info = common.describe("4DMR challenge", 2, LABELS, about)
    info["licence"] = "4DME: only under its licence of the University of Oulu; not to be passed on"
    return common.write_set(source, data, info, entries, classes, copy) + said


def _first_number(name):
    return next(map(int, re.findall(r"\d+", name)), None)


def import_obj(source, data, labels=None, size=448, yaw=25.0, fov=26.1, jobs=1):
    """Make a dataset of a folder of clip folders, each a sequence of OBJ or PLY meshes, filmed from
    two sides.

    ``size`` px, ``yaw`` and ``fov`` degrees: see ``meshes.film_meshes``. ``labels`` is a table
    clip, subject, one column of 0 and 1 per label, and optionally onset, apex, offset (meshes
    counted from 0) and fps; a folder without a row stays unlabelled. The frames depend on no other
    argument. Returns sentences to print. Raises MerError.
    """
    source = common.check_source(source)
    make = partial(film_clip, size=size, yaw=yaw, fov=fov)
    entries, names, said = read_folders(source, labels, "clip", "subject", make=make)
    camera = f"{size} px, yaw {yaw:g}, field of view {fov:g} degrees"
    about = f"mer import obj: mesh sequences filmed at {camera}"
    info = common.describe(source.resolve().name, 2, names, about)
    return common.write_set(source, data, info, entries, jobs=jobs) + said


def film_clip(folder, target, **camera):
    """Film a folder of meshes into the folder ``target``, two views side by side; see
    ``common.Entry.make``.
    """
    pairs, notes, boxes = film_meshes(list_meshes(folder), **camera)
    return common.write_frames(map(np.hstack, pairs), target), None, notes, boxes


def read_folders(source, table, clip, subject, names=None, key=str, make=None):
    """Return (Entries, label names, sentences) of the folders in ``source``, each a clip, in the
    order of the numbers in their names; a MerError for each row or folder that cannot be used.

    ``table`` (or None) has a column ``clip``, perhaps one called ``subject``, one of 0 and 1 for
    each of the labels ``names`` (default: all that mean nothing else), and perhaps onset, apex,
    offset and fps. A row and a folder belong together if ``key`` makes the same of both; where it
    makes None of a folder's name, that is left out. Without a row a clip has no labels. ``make``:
    see Entry. Raises MerError.
    """

    def place(name):
        return [int(n) for n in re.findall(r"\d+", name)], name

    found = [path.name for path in source.iterdir() if path.is_dir() and path.name[0] != "."]
    folders, lines, nameless = {}, {}, []
    for name in sorted(found, key=place):
        if key(name) is None:
            nameless.append(name)
        elif (other := folders.setdefault(key(name), name)) != name:
            raise MerError(source / name, f"has the same number as {other}; rename one of them")
    said = common.tell_left_out("folders without a number in their names", nameless)

    rows = read_table(table) if table else []
    if rows:
        names = names or [name for name in rows[0].cells if name not in COLUMNS]
        need_columns(table, rows, [clip, *(names or ["one for each label"])])
    entries = []
    for number, cells in rows:
        where, mark = f"{table}, row {number}", key(cells[clip])
        if mark not in folders:
            what = f"{clip} {cells[clip]!r} has no folder in {source}; remove the row or add it"
            entries.append(MerError(where, what))
        elif lines.setdefault(mark, (where, cells))[0] != where:
            what = f"{clip} {cells[clip]!r} stands at {lines[mark][0]} already"
            entries.append(MerError(where, what))

    names = names or LABELS
    for mark, name in folders.items():
        where, cells = lines.get(mark, (str(source / name), {}))
        texts = {label.lower(): cells.get(label, "") for label in names}
        try:
            flags = read_labels(where, {"labels": names, "exclusive": False}, texts)
            numbers = common.read_numbers(where, cells)
        except MerError as error:
            entries.append(error)
            continue
        labels = flags and tuple(compress(names, flags))
        person = cells.get(subject, name)
        entries.append(Entry(name, person, labels, name, where, **numbers, make=make))
    alone = sum(subject not in lines.get(mark, ("", ()))[1] for mark in folders)
    return entries, names, said + ([ALONE.format(alone)] if alone else [])
