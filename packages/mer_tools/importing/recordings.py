"""Frames in folders, or films, that a table lists: CASME II, SAMM, SMIC, your own."""

from pathlib import Path

from mer_tools.importing.common import (
    KEYS,
    MISSING,
    Entry,
    check_source,
    copy_frames,
    describe,
    read_fps,
    read_keys,
    sort_labels,
    split_labels,
    tell_left_out,
    walk_folders,
    write_set,
)
from mer_tools.importing.films import VIDEO_TYPES, read_video, video_fps
from mer_tools.importing.tables import need_columns, read_table
from mer_utils import LABELS, MerError
from mer_utils.dataset import FRAME_TYPES, encode_png, find_inside

OURS = ("subject", "label", *KEYS, "fps")


def import_frames(
    source, data, table, folder="{clip}", columns=None, classes=None, views=1, numbers="names",
    copy=False,
    exclusive=True, fps=None, missing=MISSING, jobs=1, cropped=False, header_row=None,
):  # fmt: skip
    """Make a dataset of folders of frames, or of films, that a CSV or XLSX ``table`` lists (CASME
    II, SAMM, SMIC).

    ``columns`` maps subject, label ("a+b" for several), onset, apex, offset and fps to the table's
    names (default: the same names). ``folder`` is the clip's folder or film below ``source``, from
    the table's own columns, as "sub{Subject:0>2}/{Filename}"; the clip is named after it.
    ``numbers``: what key frames count, see ``common.find_keys``; films are decoded. Cells in
    ``missing`` are empty. ``cropped``: frames are face crops, and the box is the whole view.
    ``header_row``: see ``read_table``. Returns sentences. Raises MerError.
    """
    source, rows = check_source(source), read_table(table, header_row)
    if numbers not in ("names", "0", "1"):
        raise MerError(f"numbers is {numbers!r}, but must be names, 0 or 1")
    if views not in (1, 2):
        raise MerError(f"views is {views!r}, but must be 1 or 2")
    if fps is not None and not 0 < fps < 1e6:
        raise MerError(f"fps is {fps}, but must be above 0 and below a million")
    columns = _map_columns(table, rows, columns or {})
    entries, spelling = [], {}
    for number, cells in rows:
        where = f"{table}, row {number}"
        path = _fill_in(where, folder, cells)
        labels = split_labels(where, cells[columns["label"]], missing) if "label" in columns else ()
        labels = labels and tuple(spelling.setdefault(label.lower(), label) for label in labels)
        entry = Entry(
            name=(str(Path(path).with_suffix("")) if _is_film(path) else path).replace("/", "_"),
            subject=cells[columns["subject"]],
            labels=labels or None,
            path=path,
            where=where,
            **read_keys(where, cells, [columns.get(key) for key in KEYS], missing),
            numbers=numbers,
            fps=read_fps(where, cells, columns.get("fps"), missing) or fps,
            cropped=cropped,
        )
        entries.append(entry)
    name, about = source.resolve().name, "mer import frames: a table and frames or films"
    labels = sort_labels(spelling.values()) or LABELS
    info = describe(name, views, labels, about, exclusive)
    films = sum(_is_film(entry.path) for entry in entries)
    make = _make_frames if films or copy else None
    said = write_set(source, data, info, entries, classes, make, jobs)
    if films:
        rest = "" if films == len(entries) else ", and the frames of the others copied"
        said.append(f"{films} films were decoded{rest}.")
    what = f"folders or films that have no row in {Path(table).name}"
    return said + tell_left_out(what, _find_unlisted(source, entries, data))


def _find_unlisted(source, entries, data):
    """Return the folders of frames and the films that the table leaves out."""
    used, paths = {entry.path for entry in entries}, []
    for folder, names in walk_folders(source, data):
        if folder != source and any(Path(name).suffix.lower() in FRAME_TYPES for name in names):
            paths.append(folder)
        paths += [folder / name for name in names if _is_film(name)]
    paths = [path.relative_to(source).as_posix() for path in paths]
    return [path for path in paths if path not in used]


def _is_film(path):
    return Path(path).suffix.lower() in VIDEO_TYPES


def _map_columns(table, rows, columns):
    """Return {our name: the table's name} of the columns that are there; MerError for one that was
    named and is not.
    """
    for ours in columns:
        if ours not in OURS:
            raise MerError(f"the column {ours!r} is unknown; choose one of {', '.join(OURS)}")
    need_columns(table, rows, columns.values())
    columns = {name: name for name in OURS if name in rows[0].cells} | columns
    if "subject" not in columns:
        what = f"has no column 'subject'; say which of {', '.join(rows[0].cells)} it is"
        raise MerError(table, what)
    return columns


def _fill_in(where, folder, cells):
    """Return the path that a template such as "sub{Subject:0>2}/{Filename}" makes of a row."""
    try:
        return folder.format_map(cells)
    except KeyError as error:
        what = f"names the column {error}, but the table has {', '.join(cells)}"
    except (ValueError, AttributeError, IndexError) as error:
        what = f"cannot be read ({error}); write as sub{{Subject:0>2}}/{{Filename}}"
    raise MerError(where, f"the folder {folder!r} {what}")


def _make_frames(source, entry, target):
    """Fill the folder ``target`` with a clip's frames, copied or decoded; return what ``write_set``
    asks for.
    """
    if not _is_film(entry.path):
        return copy_frames(source, entry, target)
    if entry.numbers == "names" and (entry.onset, entry.apex, entry.offset) != (None, None, None):
        what = f"the frames of the film {entry.path} have no names; count them from 0 or 1"
        raise MerError(entry.where, what)
    path, stems = find_inside(source, entry.path, entry.where), []
    try:
        for image in read_video(path):
            stems.append(f"{len(stems):04d}")
            (target / f"{stems[-1]}.png").write_bytes(encode_png(image))
        return stems, video_fps(path), (), None
    except MerError as error:
        raise error.seen_from(entry.where) from None
