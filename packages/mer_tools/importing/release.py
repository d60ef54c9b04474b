"""4DME as released: a spreadsheet and grey frames in folders, with the sheet's known faults mended
by a table.
"""

import re
from pathlib import Path

from mer_tools.importing.common import (
    Entry,
    check_source,
    copy_frames,
    describe,
    list_folders,
    name_some,
    read_keys,
    read_whole,
    split_labels,
    tell_left_out,
    write_set,
)
from mer_tools.importing.tables import PUBLISHED, need_columns, read_table
from mer_utils import LABELS, MerError

# columns of 4DME's release that are read
SHEET = ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs")
FOLDER = {"fold", "sub_ID", "fold_name"}  # those that say which folder a row is of
FIRST = 2  # a spreadsheet's number of the first row below the header
GREY = "gray_micro"


def import_release(source, data, sheet=None, copy=False, classes=None, faults=None):
    """Make a dataset of 4DME as released: a spreadsheet, and frames in
    gray_micro/{sub_ID}/{fold_name}/.

    ``sheet`` is the spreadsheet (default: the one in ``source`` that has its columns). A subject is
    what stands in sub_ID before the first "_": sessions of one person are one subject. ``faults``:
    see ``mend_rows``; ``classes``: see ``common.regroup``. A row without a folder is an error.
    Returns sentences to print. Raises MerError.
    """
    source = check_source(source)
    path, rows = _find_sheet(source, sheet)
    rows, skipped, said = mend_rows(path, rows, faults)
    if not (source / GREY).is_dir():
        what = f"holds no folder {GREY}; give the folder that the release was unpacked to"
        raise MerError(source, what)
    entries, unread = [], []
    for number, cells in rows.items():
        where = f"{path}, row {number}"
        try:
            aus = parse_aus(cells["AUs"])
        except MerError:
            aus = ""
            unread.append(f"row {number} {cells['AUs']!r}")
        entries.append(
            Entry(
                name=cells["fold_name"],
                subject=cells["sub_ID"].split("_")[0],
                labels=_read_emotion(where, cells["Emotion"]),
                path=f"{GREY}/{cells['sub_ID']}/{cells['fold_name']}",
                where=where,
                **read_keys(where, cells, ("Onset", "Apex", "Offset")),
                numbers="onset",
                aus=aus,
            )
        )
    said += _tell_sessions(rows)
    if unread:
        said.append(f"AU cells that cannot be read were left empty: {name_some(unread)}.")
    what = f"folders of {GREY} that have no row in {path.name}"
    said += tell_left_out(what, _find_unlisted(source, entries, skipped))
    info = describe("4DME", 1, LABELS, f"mer import 4dme-release: spreadsheet and {GREY} frames")
    info["licence"] = "4DME: under its licence of the University of Oulu; not to be passed on"
    info["published"] = "4DME"
    return write_set(source, data, info, entries, classes, copy_frames if copy else None) + said


def _read_emotion(where, text):
    """Return the label names of an Emotion cell; only those of 4DME may stand there."""
    labels = split_labels(where, text)
    if labels is None:
        what = "Emotion is empty; fill it in, or skip the row by a table of faults"
        raise MerError(where, what)
    for label in labels:
        if label not in LABELS:
            what = f"Emotion names {label!r}, but knows only {', '.join(LABELS)}"
            raise MerError(where, what)
    return labels


def _tell_sessions(rows):
    """Return the sentence about subjects with several sessions, in a list, empty without any."""
    sessions = {}
    for cells in rows.values():
        sessions.setdefault(cells["sub_ID"].split("_")[0], set()).add(cells["sub_ID"])
    several = [
        f"{', '.join(sorted(names))} are {subject}"
        for subject, names in sessions.items()
        if len(names) > 1
    ]
    return [f"Sessions of one person are one subject: {'; '.join(several)}."] if several else []


def _find_unlisted(source, entries, skipped):
    """Return the clips' folders that no row names and no fault skips."""
    used = {entry.path for entry in entries}
    folders = [folder for person in list_folders(source / GREY) for folder in list_folders(person)]
    return [
        f"{folder.parent.name}/{folder.name}"
        for folder in folders
        if folder.relative_to(source).as_posix() not in used and folder.name not in skipped
    ]


def _find_sheet(source, sheet):
    """Return the path and Rows of the release's spreadsheet."""
    if sheet:
        rows = read_table(sheet)
        need_columns(sheet, rows, SHEET)
        return Path(sheet), rows
    sheets, unreadable = [], None
    for path in sorted(source.iterdir()):
        if path.suffix.lower() in (".xlsx", ".csv") and not path.name.startswith((".", "~")):
            try:
                rows = read_table(path)
            except MerError as error:
                unreadable = unreadable or error
                continue
            if set(SHEET) <= set(rows[0].cells):
                sheets.append((path, rows))
    if len(sheets) == 1:
        return sheets[0]
    if unreadable and not sheets:
        raise unreadable
    names = ", ".join(path.name for path, _ in sheets) or "none"
    what = f"wants one spreadsheet with {', '.join(SHEET)}, but has {names}; name it"
    raise MerError(source, what)


def mend_rows(path, rows, faults=None):
    """Mend a sheet's Rows by a table row, action, column, value, note; return ({number: cells},
    folders skipped, sentences).

    Rows are counted from 0 as in published lists of faults. Actions: "swap" (everything but the
    folder changes places with row ``value``), "set" and "clear" (of ``column``), "skip" (the row,
    or the ``value`` of fold_name). ``faults`` is the table's path, "none", or None for the built-in
    one, which does nothing to a sheet too short for it.
    """
    cells = {row.number: dict(row.cells) for row in rows}
    if faults == "none":
        return cells, set(), []
    table = PUBLISHED / "4dme_faults.csv" if faults is None else Path(faults)
    wanted = read_table(table)
    need_columns(table, wanted, ["row", "action", "column", "value", "note"])
    skipped, said = set(), []
    for number, fault in wanted:
        where = f"{table}, row {number}"
        place = read_whole(where, fault, "row")
        other = read_whole(where, fault, "value", missing=()) if fault["action"] == "swap" else None
        for row in (place, other):
            if row is None or row + FIRST in cells:
                continue
            if faults is not None:
                what = f"row {row} (counted from 0) is not in {path}; correct the number"
                raise MerError(where, what)
            note = f"it names row {row}, which {path.name} does not have"
            cells = {row.number: dict(row.cells) for row in rows}  # another sheet, or a part of it
            return cells, set(), [f"No fault was mended: {note}."]
        if fault["action"] == "skip":
            names = _skip(fault, cells, place)
            skipped |= names
            said.append(f"Left out: {', '.join(sorted(names))} ({fault['note']}).")
        else:
            said.append(f"Mended: {_mend(where, fault, cells, place, other)} ({fault['note']}).")
    return cells, skipped, said


def _skip(fault, cells, place):
    """Delete the row at ``place``, or those with the fault's value; return their folders' names."""
    column, value = fault["column"], fault["value"]
    if place is None:
        numbers = [number for number in cells if cells[number].get(column) == value]
    else:
        numbers = [place + FIRST]
    names = {cells.pop(number)["fold_name"] for number in numbers}
    return names | ({value} if column == "fold_name" else set())


def _mend(where, fault, cells, place, other):
    """Apply one row of a table of faults to ``cells``; return in words what was done."""
    action, column, value = fault["action"], fault["column"], fault["value"]
    if place is None:
        raise MerError(where, f"the action {action!r} needs a row; fill it in")
    row, number = cells[place + FIRST], place + FIRST
    if action == "swap":
        partner = cells[other + FIRST]
        for key in row.keys() - FOLDER:
            row[key], partner[key] = partner[key], row[key]
        names = f"{row['fold_name']}, {partner['fold_name']}"
        return f"rows {number} and {other + FIRST} ({names}) swapped"
    if action not in ("set", "clear") or (action == "clear" and value):
        what = f"the action {action!r} is not swap, set, clear (without a value) or skip"
        raise MerError(where, what)
    if column not in row:
        raise MerError(where, f"names the column {column!r}, which the sheet does not have")
    old, row[column] = row[column], value
    change = f"{column} {old or '(empty)'} is now {value or '(empty)'}"
    return f"row {number} ({row['fold_name']}), {change}"


def parse_aus(text):
    """Return the AUs of a string such as "AU4(k)+L7" as "L7": sides kept, static ones "(k)"
    dropped, spaces between.

    Raises MerError for what is no such string.
    """
    kept = []
    for part in text.replace(" ", "").split("+") if text.strip() else ():
        match = re.fullmatch(r"(?:AU)?([LR]?)([0-9]{1,2})(\([kK]\))?", part, re.IGNORECASE)
        if match is None:
            raise MerError(f"{text!r}", f"{part!r} is no action unit such as AU4, L7 or R12(k)")
        side, number, static = match.groups()
        if not static:
            kept.append(side.upper() + str(int(number)))
    return " ".join(kept)
