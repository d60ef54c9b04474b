"""Frames in folders, or films, that a table lists: CASME II, SAMM, SMIC, your own."""

from pathlib import Path
from typing import Annotated, Literal

from mer_tools.importing.common import (
    KEYS,
    MISSING,
    Entry,
    check_source,
    copy_frames,
    describe,
    read_numbers,
    refer_frames,
    tell_left_out,
    walk_folders,
    write_set,
)
from mer_tools.importing.films import VIDEO_TYPES, read_video, video_fps
from mer_tools.importing.labels import sort_labels, split_labels
from mer_tools.importing.tables import need_columns, read_table
from mer_utils import LABELS, MerError, checked
from mer_utils.dataset import FRAME_TYPES, encode_png, find_inside

from annotated_types import Gt, Lt


@checked
class Layout:
    """Where the clips of a set lie and what its table says of them; a set's preset is one of these.

    ``folder`` is a clip's folder or film below the source, made of the table's own columns;
    ``name`` is the clip's name, by default made of its folder. ``columns`` maps subject, label
    ("a+b" for several), onset, apex, offset, fps and aus (action units) to the table's names
    (default: the same names). ``numbers``: what key frames count, see ``common.find_keys``.
    """

    folder: str = "{clip}"  # as "sub{Subject:0>2}/{Filename}"
    columns: dict[Literal["subject", "label", *KEYS, "fps", "aus"], str] | None = None
    name: str = ""
    views: Literal[1, 2] = 1
    numbers: Literal["names", "0", "1", "onset"] = "names"
    exclusive: bool = True  # exactly one label a clip
    fps: Annotated[float, Gt(0), Lt(1e6)] | None = None  # where the table says nothing
    missing: tuple[str, ...] = MISSING  # cells that count as empty
    cropped: bool = False  # frames are face crops, and the box is the whole view
    header_row: int | None = None  # see ``read_table``


def import_frames(
    source, data, table, folder="{clip}", columns=None, classes=None, copy=False, jobs=1, **options
):
    """Make a dataset of folders of frames, or of films, that a CSV or XLSX ``table`` lists (CASME
    II, SAMM, SMIC).

    ``folder``, ``columns`` and ``options`` are those of a Layout. ``copy``: frames are copied, not
    referenced; films are decoded in either case. ``classes``: see ``labels.regroup``. Returns
    sentences to print. Raises MerError.
    """
    layout, source = Layout(folder, columns, **options), check_source(source)
    entries = read_entries(table, read_table(table, layout.header_row), layout)
    labels = sort_labels(label for entry in entries for label in entry.labels or ()) or LABELS
    about = "mer import frames: a table and frames or films"
    info = describe(source.resolve().name, layout.views, labels, about, layout.exclusive)
    return write_recordings(source, data, info, entries, layout, classes, copy, jobs)


def read_entries(table, rows, layout):
    """Return the Entries of a table's Rows. Raises MerError (file and row)."""
    columns = layout.columns or {}
    need_columns(table, rows, columns.values())
    columns = {key: key for key in ("subject", "label", *KEYS, "fps", "aus")} | columns
    if columns["subject"] not in rows[0].cells:
        what = f"has no column 'subject'; say which of {', '.join(rows[0].cells)} it is"
        raise MerError(table, what)
    entries, spelling = [], {}
    for number, cells in rows:
        where = f"{table}, row {number}"
        path = _fill_in(where, layout.folder, cells)
        labels = split_labels(where, cells.get(columns["label"], ""), layout.missing)
        labels = labels and tuple(spelling.setdefault(name.lower(), name) for name in labels)
        numbers = read_numbers(where, cells, columns, layout.missing)
        aus = cells.get(columns["aus"], "")
        name = str(Path(path).with_suffix("")) if _is_film(path) else path
        entry = Entry(
            name=_fill_in(where, layout.name, cells) or name.replace("/", "_"),
            subject=cells[columns["subject"]],
            labels=labels,
            path=path,
            where=where,
            numbers=layout.numbers,
            aus="" if aus in layout.missing else aus,
            cropped=layout.cropped,
            **numbers | {"fps": numbers["fps"] or layout.fps},
        )
        entries.append(entry)
    return entries


def write_recordings(source, data, info, entries, layout, classes=None, copy=False, jobs=1):
    """Write a dataset of Entries whose paths are folders of frames or films; return sentences, also
    about what no entry names.
    """
    films = sum(_is_film(entry.path) for entry in entries)
    make = _make_frames if films or copy else refer_frames
    said = write_set(source, data, info, entries, classes, make, jobs)
    if films:
        rest = "" if films == len(entries) else ", and the frames of the others copied"
        said.append(f"{films} films were decoded{rest}.")
    used, unlisted = {entry.path for entry in entries}, []
    top = source / layout.folder.partition("{")[0].rpartition("/")[0]
    for folder, names in walk_folders(top, data):
        if folder != source and any(Path(name).suffix.lower() in FRAME_TYPES for name in names):
            unlisted.append(folder)
        unlisted += [folder / name for name in names if _is_film(name)]
    unlisted = [path.relative_to(source).as_posix() for path in unlisted]
    table = Path(entries[0].where.rpartition(", row ")[0]).name
    what = f"folders or films that have no row in {table}"
    return said + tell_left_out(what, [path for path in unlisted if path not in used])


def _is_film(path):
    return Path(path).suffix.lower() in VIDEO_TYPES


def _fill_in(where, template, cells):
    """Return the path that a template such as "sub{Subject:0>2}/{Filename}" makes of a row."""
    try:
        return template.format_map(cells)
    except KeyError as error:
        what = f"names the column {error}, but the table has {', '.join(cells)}"
    except (ValueError, AttributeError, IndexError) as error:
        what = f"cannot be read ({error}); write as sub{{Subject:0>2}}/{{Filename}}"
    raise MerError(where, f"the folder {template!r} {what}")


def _make_frames(source, entry, target):
    """Fill the folder ``target`` with a clip's frames, copied or decoded; return what ``write_set``
    asks for.
    """
    if not _is_film(entry.path):
        return copy_frames(source, entry, target)
    if entry.numbers == "names" and (entry.onset, entry.apex, entry.offset) != (None, None, None):
        what = f"the frames of the film {entry.path} have no names; count them from 0 or 1"
        raise MerError(entry.where, what)
    film, paths = find_inside(source, entry.path, entry.where), []
    for image in read_video(film):
        paths.append(target / f"{len(paths):04d}.png")
        paths[-1].write_bytes(encode_png(image))
    return paths, video_fps(film), (), []
