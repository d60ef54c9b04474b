"""Layouts that a spreadsheet describes: the release of 4DME, and single-view sets of frames or films."""

import re
from pathlib import Path
from string import Formatter

from mer_utils import MerError
from mer_utils.adapters import (
    MISSING,
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
from mer_utils.images import VIDEO_TYPES, encode_png, find_inside, read_video, video_fps
from mer_utils.scenario import LABELS
from mer_utils.tables import TABLES, need_columns, read_table

SHEET = ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs")  # columns of 4DME's release that are read
FOLDER = ("fold", "sub_ID", "fold_name")  # those that say which folder a row is of
GREY = "gray_micro"
OURS = ("subject", "label", "onset", "apex", "offset", "fps")
MANY = 5  # names that a sentence lists


def import_release(source, data, sheet=None, copy=False, classes=None, faults=None):
    """Make a dataset of 4DME as released: a spreadsheet, and frames in gray_micro/{sub_ID}/{fold_name}/.

    ``sheet`` is the spreadsheet (default: the one in ``source`` that has its columns). A subject is what stands in
    sub_ID before the first "_": sessions of one person are one subject. ``faults``: see ``mend_rows``; ``classes``:
    see ``adapters.regroup``. A row without a folder is an error. Returns sentences to print. Raises MerError.
    """
    source = check_source(source)
    path, rows = _find_sheet(source, sheet)
    rows, skipped, said = mend_rows(path, rows, faults)
    entries, merged, unread = [], {}, []
    for number, cells in rows.items():
        where = f"{path}, row {number}"
        subject = cells["sub_ID"].split("_")[0]
        merged.setdefault(subject, set()).add(cells["sub_ID"])
        try:
            aus = parse_aus(cells["AUs"])
        except MerError:
            aus = ""
            unread.append(f"row {number} {cells['AUs']!r}")
        keys = {key.lower(): read_whole(where, cells, key) for key in ("Onset", "Apex", "Offset")}
        folder = f"{GREY}/{cells['sub_ID']}/{cells['fold_name']}"
        labels = split_labels(where, cells["Emotion"])
        if labels is None:
            raise MerError(f"{where}: Emotion is empty; fill it in, or skip the row by a table of faults")
        unknown = set(labels) - set(LABELS)
        if unknown:
            raise MerError(f"{where}: Emotion names {min(unknown)!r}, but knows only {', '.join(LABELS)}")
        entries.append(Entry(cells["fold_name"], subject, labels, folder, where, **keys, numbers="onset", aus=aus))
    sessions = [f"{', '.join(sorted(names))} are {person}" for person, names in merged.items() if len(names) > 1]
    if sessions:
        said.append(f"Sessions of one person are one subject: {'; '.join(sessions)}.")
    if unread:
        said.append(f"AU cells that cannot be read were left empty: {_shorten(unread)}.")
    there = [f"{person.name}/{folder.name}" for person in _people(source) for folder in list_folders(person)]
    used = {entry.path for entry in entries}
    bare = [name for name in there if f"{GREY}/{name}" not in used and name.split("/")[1] not in skipped]
    if bare:
        said.append(f"Left out: {len(bare)} folders of {GREY} that have no row in {path.name}: {_shorten(bare)}.")
    info = describe("4DME", 1, LABELS, f"mer import 4dme-release: spreadsheet and {GREY} frames")
    info |= {"licence": "4DME: under its licence of the University of Oulu; not to be passed on", "published": "4DME"}
    return write_set(source, data, info, entries, classes, copy_frames if copy else None) + said


def _people(source):
    if not (source / GREY).is_dir():
        raise MerError(f"{source}: holds no folder {GREY}; give the folder that the release was unpacked to")
    return list_folders(source / GREY)


def _shorten(names):
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more


def _find_sheet(source, sheet):
    """Return the path and Rows of the release's spreadsheet."""
    if sheet:
        rows = read_table(sheet)
        need_columns(sheet, rows, SHEET)
        return Path(sheet), rows
    found, failed = [], None
    for path in sorted(source.iterdir()):
        if path.suffix.lower() in (".xlsx", ".csv") and not path.name.startswith((".", "~")):
            try:
                rows = read_table(path)
            except MerError as error:
                failed = failed or error
                continue
            if set(SHEET) <= set(rows[0].cells):
                found.append((path, rows))
    if len(found) == 1:
        return found[0]
    if failed and not found:
        raise failed
    names = ", ".join(path.name for path, _ in found) or "none"
    raise MerError(f"{source}: wants one spreadsheet with {', '.join(SHEET)}, but has {names}; name it")


def mend_rows(path, rows, faults=None):
    """Mend a sheet's Rows by a table row, action, column, value, note; return ({number: cells}, folders skipped,
    sentences).

    Rows are counted from 0 as in published lists of faults. Actions: "swap" (everything but the folder changes places
    with row ``value``), "set" and "clear" (of ``column``), "skip" (the row, or the ``value`` of fold_name). ``faults``
    is the table's path, "none", or None for the built-in one, which a sheet too short for it is spared.
    """
    cells = {row.number: dict(row.cells) for row in rows}
    table = TABLES / "4dme_faults.csv" if faults is None else Path(faults)
    if faults == "none":
        return cells, set(), []
    wanted = read_table(table)
    need_columns(table, wanted, ["row", "action", "column", "value", "note"])
    skipped, said = set(), []
    for number, fault in wanted:
        where = f"{table}, row {number}"
        place = read_whole(where, fault, "row")
        other = read_whole(where, fault, "value", ()) if fault["action"] == "swap" else place
        for row in (place, other):
            if row is not None and row + 2 not in cells:
                if faults is None:  # another sheet, or a part of it
                    note = f"it names row {row}, which {path.name} does not have"
                    return {row.number: dict(row.cells) for row in rows}, set(), [f"No fault was mended: {note}."]
                raise MerError(f"{where}: row {row} (counted from 0) is not in {path}; correct the number")
        said.append(_mend(where, fault, cells, None if place is None else place + 2, other, skipped))
    return cells, skipped, said


def _mend(where, fault, cells, number, other, skipped):
    """Apply one row of a table of faults to ``cells``; return the sentence that says so."""
    action, column, value, note = (fault[key] for key in ("action", "column", "value", "note"))
    row = cells.get(number)
    if action == "skip":
        hit = [key for key in cells if key == number or (number is None and cells[key].get(column) == value)]
        names = {cells[key]["fold_name"] for key in hit} | ({value} if column == "fold_name" else set())
        skipped |= names
        for key in hit:
            del cells[key]
        return f"Left out: {', '.join(sorted(names))} ({note})."
    if row is None:
        raise MerError(f"{where}: the action {action!r} needs a row; fill it in")
    if action == "swap":
        partner = cells[other + 2]
        for key in row:
            if key not in FOLDER:
                row[key], partner[key] = partner[key], row[key]
        return f"Mended: rows {number} and {other + 2} ({row['fold_name']}, {partner['fold_name']}) swapped ({note})."
    if action not in ("set", "clear") or (action == "clear" and value):
        raise MerError(f"{where}: the action {action!r} is not swap, set, clear (without a value) or skip")
    if column not in row:
        raise MerError(f"{where}: names the column {column!r}, which the sheet does not have")
    old, row[column] = row[column], value
    return (
        f"Mended: row {number} ({row['fold_name']}), {column} {old or '(empty)'} is now {value or '(empty)'} ({note})."
    )


def parse_aus(text):
    """Return the AUs of a string such as "AU4(k)+L7" as "L7": sides kept, static ones "(k)" dropped, spaces between.

    Raises MerError for what is no such string.
    """
    kept = []
    for part in text.replace(" ", "").split("+") if text.strip() else ():
        found = re.fullmatch(r"(?:AU)?([LR]?)([0-9]{1,2})(\([kK]\))?", part, re.IGNORECASE)
        if found is None:
            raise MerError(f"{text!r}: {part!r} is no action unit such as AU4, L7 or R12(k)")
        if not found[3]:
            kept.append(found[1].upper() + str(int(found[2])))
    return " ".join(kept)


def split_labels(where, text, missing=MISSING):
    """Return the label names of "Positive+Surprise" (4DME's in its own spelling), None for none."""
    if text in missing:
        return None
    house = {label.lower(): label for label in LABELS}
    names = [part.strip() for part in text.split("+")]
    if not all(names):
        raise MerError(f"{where}: the label {text!r} has an empty part; write names with + between them")
    return tuple(dict.fromkeys(house.get(name.lower(), name) for name in names))


def import_frames(
    source, data, table, folder="{clip}", columns=None, classes=None, views=1, numbers="names", copy=False,
    exclusive=True, fps=None, missing=MISSING, jobs=1, cropped=False, header_row=None,
):  # fmt: skip
    """Make a dataset of folders of frames, or of films, that a CSV or XLSX ``table`` lists (CASME II, SAMM, SMIC).

    ``columns`` maps subject, label ("a+b" for several), onset, apex, offset and fps to the table's names (default:
    the same names). ``folder`` is the clip's folder or film below ``source``, from the table's own columns, as
    "sub{Subject:0>2}/{Filename}"; the clip is named after it. ``numbers``: what key frames count, see
    ``adapters.find_keys``; films are decoded. Cells in ``missing`` are empty. ``cropped``: frames are face crops, and
    the box is the whole view. ``header_row``: see ``read_table``. Returns sentences. Raises MerError.
    """
    source, rows = check_source(source), read_table(table, header_row)
    if numbers not in ("names", "0", "1"):
        raise MerError(f"numbers is {numbers!r}, but must be names, 0 or 1")
    if views not in (1, 2):
        raise MerError(f"views is {views!r}, but must be 1 or 2")
    columns = _map_columns(table, rows, columns or {})
    parts, entries, spelling = _read_template(table, rows, folder), [], {}
    for number, cells in rows:
        where = f"{table}, row {number}"
        path = "".join(text + (format(cells[name], spec) if name else "") for text, name, spec in parts)
        labels = split_labels(where, cells[columns["label"]], missing) if "label" in columns else None
        labels = labels and tuple(spelling.setdefault(label.lower(), label) for label in labels)
        keys = {key: read_whole(where, cells, columns.get(key), missing) for key in ("onset", "apex", "offset")}
        rate = read_fps(where, cells, columns.get("fps"), missing) or fps
        film = Path(path).suffix.lower() in VIDEO_TYPES
        name = (path[: -len(Path(path).suffix)] if film else path).replace("/", "_")
        entries.append(
            Entry(
                name, cells[columns["subject"]], labels, path, where, **keys, numbers=numbers, fps=rate, cropped=cropped
            )
        )
    said = []
    films = sum(_is_film(entry) for entry in entries)
    if films:
        said.append(
            f"{films} films were decoded{'' if films == len(entries) else ', and the frames of the others copied'}."
        )
    info = describe(Path(source).resolve().name, views, [], "mer import frames: a table and frames or films", exclusive)
    info["labels"] = sort_labels(spelling.values()) or list(LABELS)
    return write_set(source, data, info, entries, classes, _fill if films or copy else None, jobs) + said


def _is_film(entry):
    return Path(entry.path).suffix.lower() in VIDEO_TYPES


def _map_columns(table, rows, columns):
    """Return {ours: the table's name} of the columns that are there; MerError for one that was named and is not."""
    for ours in columns:
        if ours not in OURS:
            raise MerError(f"the column {ours!r} is unknown; choose one of {', '.join(OURS)}")
    need_columns(table, rows, columns.values())
    same = {name: name for name in OURS if name in rows[0].cells}
    if "subject" not in same | columns:
        raise MerError(f"{table}: has no column 'subject'; say which of {', '.join(rows[0].cells)} it is")
    return same | columns


def _read_template(table, rows, template):
    """Return [(text, column or None, format)] of a folder template: only {Column} and {Column:0>2} may stand there."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise MerError(
            f"the folder {template!r} cannot be read ({error}); write as sub{{Subject}}/{{Filename}}"
        ) from None
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if conversion or not re.fullmatch(r"(.?[<>][0-9]{1,2})?", spec):
            raise MerError(
                f"the folder {template!r} formats {name!r} by {spec!r}; only such as {{Subject:0>2}} are known"
            )
        need_columns(table, rows, [name])
    return [(text, name, spec) for text, name, spec, _ in parts]


def _fill(source, entry, target):
    """Fill the folder ``target`` with a clip's frames, copied or decoded; return their stems, fps, no notes."""
    if not _is_film(entry):
        return copy_frames(source, entry, target)
    if entry.numbers == "names" and (entry.onset, entry.apex, entry.offset) != (None, None, None):
        raise MerError(f"{entry.where}: the frames of the film {entry.path} have no names; count them from 0 or 1")
    path, stems = find_inside(source, entry.path, entry.where), []
    try:
        for image in read_video(path):
            stems.append(f"{len(stems):04d}")
            (target / f"{stems[-1]}.png").write_bytes(encode_png(image))
        return stems, video_fps(path), ()
    except MerError as error:
        raise MerError(f"{entry.where}: {error}") from None
