"""Layouts that are known by their folders: the 4DMR challenge's, mesh sequences, ready-made flow images."""

import os
import re
from functools import partial
from pathlib import Path

from mer_utils import MerError
from mer_utils.adapters import (
    COLUMNS,
    Entry,
    check_source,
    copy_frames,
    describe,
    list_folders,
    read_fps,
    read_whole,
    sort_labels,
    write_set,
)
from mer_utils.images import encode_png, read_size
from mer_utils.meshes import film_meshes, list_meshes
from mer_utils.scenario import LABELS
from mer_utils.tables import need_columns, read_table

import numpy as np

ALONE = (
    "Of {} clips the subject is not known and each counts as its own: leave-one-subject-out is then leave-one-sequence-"
    "out; one person may be in training and test, and results compare with no published ones."
)


def import_challenge(source, data, labels=None, copy=False, subjects=None, classes=None):
    """Make a dataset of the 4DMR challenge's layout: ``seq<N>`` folders of frames that hold two views side by side.

    ``labels`` is a table Id, Negative, Positive, Repression, Surprise, Others (0 or 1) whose Id is the first integer
    of a folder's name; ``subjects`` one of Id, Subject (default: a column Subject of ``labels``). Folders without a
    row stay unlabelled. ``classes``: see ``regroup``. Returns sentences to print. Raises MerError.
    """
    source = check_source(source)
    known = _read_ids(labels, LABELS) if labels else {}
    people = _read_ids(subjects, ["Subject"]) if subjects else known
    folders, said = {}, []
    for folder in list_folders(source, data):
        number = re.search(r"\d+", folder.name)
        if number is None:
            said.append(f"Left out: the folder {folder.name} (no number in its name).")
        elif int(number.group()) in folders:
            raise MerError(f"{folder}: has the same number as {folders[int(number.group())].name}; rename one of them")
        else:
            folders[int(number.group())] = folder
    for number, (where, _) in (known | people).items():
        if number not in folders:
            raise MerError(
                f"{where}: Id {number} has no folder seq{number} in {source}; remove the row or add the folder"
            )
    entries, alone = [], 0
    for number, folder in sorted(folders.items()):
        where, cells = known.get(number, (str(folder), None))
        subject = people[number][1].get("Subject") if number in people else None
        if subject == "" or (subject is None and subjects):
            place = people[number][0] if number in people else f"{subjects}"
            raise MerError(f"{place}: the subject of Id {number} is missing; fill it in")
        alone += subject is None
        flags = read_flags(where, cells, LABELS) if cells else None
        entries.append(Entry(folder.name, subject or folder.name, flags, folder.name, where))
    if alone:
        said.append(ALONE.format(alone))
    info = describe("4DMR challenge", 2, LABELS, "mer import 4dme-challenge: seq folders of side-by-side frames")
    info["licence"] = "4DME: only under its licence of the University of Oulu; not to be passed on"
    return write_set(source, data, info, entries, classes, copy_frames if copy else None) + said


def _read_ids(path, columns):
    """Return {Id: (file and row, cells)} of a table that has ``columns``."""
    rows = read_table(path)
    need_columns(path, rows, ["Id", *columns])
    found = {}
    for number, cells in rows:
        where = f"{path}, row {number}"
        key = read_whole(where, cells, "Id", ())
        if key in found:
            raise MerError(f"{where}: Id {key} stands in {found[key][0].rpartition(', ')[2]} already; keep one of them")
        found[key] = where, cells
    return found


def read_flags(where, cells, labels):
    """Return the names of ``labels`` whose cell is 1, or None where all are empty; MerError for other than 0 and 1."""
    texts = {label: cells[label] for label in labels}
    if not any(texts.values()):
        return None
    for label, text in texts.items():
        if text not in ("0", "1"):
            raise MerError(f"{where}: {label} is {text!r}, but must be 0 or 1 (all empty: no labels)")
    return tuple(label for label, text in texts.items() if text == "1")


def import_obj(source, data, labels=None, size=448, yaw=25.0, fov=26.1, jobs=1):
    """Make a dataset of a folder of clip folders, each a sequence of OBJ or PLY meshes, filmed from two sides.

    ``size`` px, ``yaw`` and ``fov`` degrees: see ``meshes.film_meshes``. ``labels`` is a table clip, subject, one
    column of 0 and 1 a label, and optionally onset, apex, offset (meshes counted from 0) and fps; a folder without a
    row stays unlabelled. The frames depend on no other argument. Returns sentences to print. Raises MerError.
    """
    source, said = check_source(source), []
    folders = {folder.name: folder for folder in list_folders(source, data)}
    rows = read_table(labels) if labels else []
    names = LABELS
    if rows:
        need_columns(labels, rows, ["clip", "subject"])
        names = [name for name in rows[0].cells if name not in COLUMNS]
        if not names:
            raise MerError(f"{labels}: has no column of a label besides clip and subject; add one a label (0 or 1)")
    entries = {}
    for number, cells in rows:
        where = f"{labels}, row {number}"
        if cells["clip"] not in folders:
            raise MerError(f"{where}: the clip {cells['clip']!r} has no folder in {source}; remove the row or add it")
        if cells["clip"] in entries:
            raise MerError(f"{where}: the clip {cells['clip']!r} is listed twice; keep one row")
        keys = {key: read_whole(where, cells, key) for key in ("onset", "apex", "offset")}
        entries[cells["clip"]] = Entry(
            cells["clip"], cells["subject"], read_flags(where, cells, names), cells["clip"], where, **keys,
            fps=read_fps(where, cells, "fps"),
        )  # fmt: skip
    bare = [name for name in folders if name not in entries]
    for name in bare:
        entries[name] = Entry(name, name, None, name, str(folders[name]))
    if bare:
        said.append(ALONE.format(len(bare)))
    about = f"mer import obj: mesh sequences filmed at {size} px, yaw {yaw:g}, field of view {fov:g} degrees"
    film = partial(film_clip, size=size, yaw=yaw, fov=fov)
    ordered = [entries[name] for name in folders]
    return write_set(source, data, describe(source.resolve().name, 2, names, about), ordered, None, film, jobs) + said


def film_clip(source, entry, target, size, yaw, fov):
    """Film an Entry's meshes into the folder ``target``, two views side by side; return file stems, no fps, notes."""
    stems, notes = [], []
    for pair in film_meshes(list_meshes(source / entry.path, source), size, yaw, fov, notes):
        stems.append(f"{len(stems):04d}")
        (target / f"{stems[-1]}.png").write_bytes(encode_png(np.hstack(list(pair))))
    return stems, None, notes


def import_flow_images(
    source, data, pattern="{subject}/u_test/{label}/{clip}.png", channels=("u", "v", "magnitude"), phases=1, labels=None
):
    """Make a dataset of ready-made flow images: one PNG of three channels a clip and phase, referenced, never copied.

    ``pattern`` is a path below ``source`` with {subject}, {clip}, and optionally {label} and {phase}; each takes as
    few letters as it can, {clip} as many, none a "/". ``channels`` says what red, green and blue hold (the third may
    be called strain). ``labels`` renames, as {"0": "Negative"}. Returns sentences to print. Raises MerError.
    """
    source = check_source(source)
    if len(channels) != 3 or len(set(channels)) != 3 or set(channels) - {"magnitude", "strain"} != {"u", "v"}:
        raise MerError(f"channels are {', '.join(channels)}, but must be u, v and magnitude (or strain) in some order")
    fits, clips, other = _compile(pattern), {}, []
    for path in _walk(source):
        text = path.relative_to(source).as_posix()
        found = fits.fullmatch(text)
        if found is None:
            other.append(text)
        elif ";" in text:
            raise MerError(f"{path}: a flow image's path cannot hold ';'; rename it")
        else:
            parts = found.groupdict()
            clips.setdefault((parts["subject"], parts["clip"]), []).append(
                (parts.get("phase"), parts.get("label"), text)
            )
    if not clips:
        raise MerError(f"{source}: no PNG fits the pattern {pattern!r}{f'; the first is {other[0]}' if other else ''}")
    said = [f"Left out: {len(other)} PNG files that do not fit the pattern (first: {other[0]})."] if other else []
    twice = len({clip for _, clip in clips}) < len(clips)
    entries = [_read_flow(source, key, files, phases, labels, twice) for key, files in clips.items()]
    names = sort_labels(label for entry in entries for label in entry.labels or ())
    about = f"mer import flow-images: PNG flow images of {phases} phase{'s' * (phases > 1)}"
    info = describe(source.resolve().name, 1, names or LABELS, about, exclusive=True) | {"channels": list(channels)}
    _check_pictures(source, entries)
    return write_set(source, data, info, entries) + said


def _compile(pattern):
    """Return the regular expression of a path pattern."""
    expression, seen = "", set()
    for part in re.split(r"(\{[^{}]*\})", pattern):
        name = part[1:-1]
        if not part.startswith("{"):
            expression += re.escape(part)
        elif name not in ("subject", "label", "clip", "phase"):
            raise MerError(
                f"the pattern {pattern!r} has {part}, but knows only {{subject}} {{label}} {{clip}} {{phase}}"
            )
        elif name in seen:
            expression += f"(?P={name})"
        else:
            seen.add(name)
            expression += {"clip": "(?P<clip>[^/]+)", "phase": "(?P<phase>[0-9]+?)"}.get(name, f"(?P<{name}>[^/]+?)")
    if not {"subject", "clip"} <= seen or not pattern.lower().endswith(".png"):
        raise MerError(f"the pattern {pattern!r} must have {{subject}} and {{clip}} and end with .png")
    return re.compile(expression)


def _walk(source):
    """Return the PNG files at any depth, sorted; folders that are links are not entered."""
    found = []
    for folder, inner, names in os.walk(source):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        found += [Path(folder) / name for name in sorted(names) if name.lower().endswith(".png")]
    return found


def _read_flow(source, key, files, phases, labels, twice):
    """Return the Entry of one clip's flow images, given as (phase, label, path)."""
    subject, clip = key
    where = str(source / files[0][2])
    files = sorted(files, key=lambda file: int(file[0] or 0))
    if len({label for _, label, _ in files}) > 1:
        raise MerError(f"{where}: the clip {clip!r} of {subject} has two labels (see {files[-1][2]}); keep one")
    if len(files) != phases or len({int(phase or 0) for phase, _, _ in files}) != phases:
        raise MerError(
            f"{where}: the clip {clip!r} of {subject} has {len(files)} images, but {phases} phases are wanted"
        )
    label = files[0][1]
    if label is not None and labels is not None:
        if label not in labels:
            raise MerError(f"{where}: the label {label!r} is none of those named ({', '.join(labels)})")
        label = labels[label]
    name = f"{subject}_{clip}" if twice else clip
    return Entry(name, subject, None if label is None else (label,), ";".join(path for _, _, path in files), where)


def _check_pictures(source, entries):
    """Raise MerError unless all flow images have one size and three channels of 8 bits, as far as headers show."""
    first = None
    for text in (part for entry in entries for part in entry.path.split(";")):
        size = read_size(source / text)
        with open(source / text, "rb") as file:
            header = file.read(26)
        if header[:4] != b"\x89PNG" or header[25] != 2:
            raise MerError(f"{source / text}: is no PNG of three colour channels; save it as 8-bit RGB")
        first = first or (size, text)
        if size != first[0]:
            raise MerError(
                f"{source / text}: {size[0]} x {size[1]} px, but {first[1]} is {first[0][0]} x {first[0][1]} px; all "
                "flow images of a set must have one size"
            )
