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
    read_whole,
    split_labels,
    write_set,
)
from mer_tools.importing.tables import PUBLISHED, need_columns, read_table
from mer_utils import LABELS, MerError

# columns of 4DME's release that are read
SHEET = ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs")
FOLDER = ("fold", "sub_ID", "fold_name")  # those that say which folder a row is of
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
            raise MerError(
                where, "Emotion is empty; fill it in, or skip the row by a table of faults"
            )
        unknown = set(labels) - set(LABELS)
        if unknown:
            raise MerError(
                where, f"Emotion names {min(unknown)!r}, but knows only {', '.join(LABELS)}"
            )
        entries.append(
            Entry(
                cells["fold_name"], subject, labels, folder, where, **keys, numbers="onset", aus=aus
            )
        )
    sessions = [
        f"{', '.join(sorted(names))} are {person}"
        for person, names in merged.items()
        if len(names) > 1
    ]
    if sessions:
        said.append(f"Sessions of one person are one subject: {'; '.join(sessions)}.")
    if unread:
        said.append(f"AU cells that cannot be read were left empty: {name_some(unread)}.")
    there = [
        f"{person.name}/{folder.name}"
        for person in _people(source)
        for folder in list_folders(person)
    ]
    used = {entry.path for entry in entries}
    bare = [
        name for name in there if f"{GREY}/{name}" not in used and name.split("/")[1] not in skipped
    ]
    if bare:
        said.append(
            f"Left out: {len(bare)} folders of {GREY} that have no row in {path.name}: "
            f"{name_some(bare)}."
        )
    info = describe("4DME", 1, LABELS, f"mer import 4dme-release: spreadsheet and {GREY} frames")
    info |= {
        "licence": "4DME: under its licence of the University of Oulu; not to be passed on",
        "published": "4DME",
    }
    return write_set(source, data, info, entries, classes, copy_frames if copy else None) + said


def _people(source):
    if not (source / GREY).is_dir():
        raise MerError(
            source, f"holds no folder {GREY}; give the folder that the release was unpacked to"
        )
    return list_folders(source / GREY)


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
    raise MerError(
        source, f"wants one spreadsheet with {', '.join(SHEET)}, but has {names}; name it"
    )


def mend_rows(path, rows, faults=None):
    """Mend a sheet's Rows by a table row, action, column, value, note; return ({number: cells},
    folders skipped, sentences).

    Rows are counted from 0 as in published lists of faults. Actions: "swap" (everything but the
    folder changes places with row ``value``), "set" and "clear" (of ``column``), "skip" (the row,
    or the ``value`` of fold_name). ``faults`` is the table's path, "none", or None for the built-in
    one, which a sheet too short for it is spared.
    """
    cells = {row.number: dict(row.cells) for row in rows}
    table = PUBLISHED / "4dme_faults.csv" if faults is None else Path(faults)
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
                    return (
                        {row.number: dict(row.cells) for row in rows},
                        set(),
                        [f"No fault was mended: {note}."],
                    )
                raise MerError(
                    where, f"row {row} (counted from 0) is not in {path}; correct the number"
                )
        said.append(
            _mend(where, fault, cells, None if place is None else place + 2, other, skipped)
        )
    return cells, skipped, said


def _mend(where, fault, cells, number, other, skipped):
    """Apply one row of a table of faults to ``cells``; return the sentence that says so."""
    action, column, value, note = (fault[key] for key in ("action", "column", "value", "note"))
    row = cells.get(number)
    if action == "skip":
        hit = [
            key
            for key in cells
            if key == number or (number is None and cells[key].get(column) == value)
        ]
        names = {cells[key]["fold_name"] for key in hit} | (
            {value} if column == "fold_name" else set()
        )
        skipped |= names
        for key in hit:
            del cells[key]
        return f"Left out: {', '.join(sorted(names))} ({note})."
    if row is None:
        raise MerError(where, f"the action {action!r} needs a row; fill it in")
    if action == "swap":
        partner = cells[other + 2]
        for key in row:
            if key not in FOLDER:
                row[key], partner[key] = partner[key], row[key]
        return (
            f"Mended: rows {number} and {other + 2} ({row['fold_name']}, "
            f"{partner['fold_name']}) swapped ({note})."
        )
    if action not in ("set", "clear") or (action == "clear" and value):
        raise MerError(
            where, f"the action {action!r} is not swap, set, clear (without a value) or skip"
        )
    if column not in row:
        raise MerError(where, f"names the column {column!r}, which the sheet does not have")
    old, row[column] = row[column], value
    return (
        f"Mended: row {number} ({row['fold_name']}), {column} {old or '(empty)'} is now "
        f"{value or '(empty)'} ({note})."
    )


def parse_aus(text):
    """Return the AUs of a string such as "AU4(k)+L7" as "L7": sides kept, static ones "(k)"
    dropped, spaces between.

    Raises MerError for what is no such string.
    """
    kept = []
    for part in text.replace(" ", "").split("+") if text.strip() else ():
        found = re.fullmatch(r"(?:AU)?([LR]?)([0-9]{1,2})(\([kK]\))?", part, re.IGNORECASE)
        if found is None:
            raise MerError(f"{text!r}", f"{part!r} is no action unit such as AU4, L7 or R12(k)")
        if not found[3]:
            kept.append(found[1].upper() + str(int(found[2])))
    return " ".join(kept)
