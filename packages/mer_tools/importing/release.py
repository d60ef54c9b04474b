"""4DME as released: a spreadsheet and grey frames in folders, with the sheet's known faults mended
by a table.
"""

from pathlib import Path

from mer_tools.importing.common import check_source, describe
from mer_tools.importing.recordings import Layout, read_entries, write_recordings
from mer_tools.importing.tables import PUBLISHED, Row, find_table, need_columns, read_table
from mer_utils import LABELS, MerError

# columns of 4DME's release that are read
SHEET = ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs")
LAYOUT = Layout(
    folder="gray_micro/{sub_ID}/{fold_name}",
    columns={"subject": "person", "label": "Emotion"}
    | {"onset": "Onset", "apex": "Apex", "offset": "Offset", "aus": "AUs"},
    name="{fold_name}",
    numbers="onset",
    exclusive=False,
)
FIXED = {"fold", "sub_ID", "fold_name"}  # columns that say which folder a row is of
FIRST = 2  # a spreadsheet's number of the first row below the header


def import_release(source, data, sheet=None, copy=False, classes=None, faults=None):
    """Make a dataset of 4DME as released: a spreadsheet, and frames in
    gray_micro/{sub_ID}/{fold_name}/.

    ``sheet`` is the spreadsheet (default: the one in ``source`` that has its columns). A subject is
    what stands in sub_ID before the first "_": sessions of one person are one subject. ``faults``:
    see ``mend_rows``; ``classes``: see ``labels.regroup``. A row without a folder is an error.
    Returns sentences to print. Raises MerError.
    """
    source = check_source(source)
    path, rows = find_table(sheet or source, SHEET)
    rows, said = mend_rows(path, rows, faults)
    if not (source / "gray_micro").is_dir():
        what = "holds no folder gray_micro; give the folder that the release was unpacked to"
        raise MerError(source, what)
    sessions = {}
    for cells in rows.values():
        cells["person"] = cells["sub_ID"].split("_")[0]
        sessions.setdefault(cells["person"], set()).add(cells["sub_ID"])
    several = [
        f"{', '.join(sorted(names))} are {person}"
        for person, names in sessions.items()
        if len(names) > 1
    ]
    if several:
        said.append(f"Sessions of one person are one subject: {'; '.join(several)}.")

    entries, mended = read_entries(source, path, [Row(*row) for row in rows.items()], LAYOUT)
    info = describe("4DME", 1, LABELS, "mer import 4dme-release: spreadsheet and gray_micro frames")
    info["licence"] = "4DME: under its licence of the University of Oulu; not to be passed on"
    info["published"] = "4DME"
    written = write_recordings(source, data, info, entries, LAYOUT, classes, copy)
    return [written[0], *said, *mended, *written[1:]]


def mend_rows(path, rows, faults=None):
    """Mend a sheet's Rows by a table row, action, column, value, note; return ({number: cells},
    sentences).

    Rows are counted from 0 as in published lists of faults. Actions: "swap" (everything but the
    folder changes places with row ``value``), "set" and "clear" (of ``column``), "skip" (rows that
    have the ``value``, as of a folder without a label). ``faults`` is the table's path, "none", or
    None for the built-in one, which does nothing to a sheet too short for it.
    """
    cells = {row.number: dict(row.cells) for row in rows}
    untouched = {row.number: dict(row.cells) for row in rows}
    if faults == "none":
        return cells, []
    table, said = Path(faults or PUBLISHED / "4dme_faults.csv"), []
    wanted, columns = read_table(table), ["row", "action", "column", "value", "note"]
    need_columns(table, wanted, columns)
    for number, fault in wanted:
        try:
            said.append(_mend(path, cells, *(fault[name] for name in columns)))
        except MerError as error:
            if faults is None:  # another sheet, or a part of it
                return untouched, [f"No fault was mended: {error}."]
            raise MerError(f"{table}, row {number}", error) from None
    return cells, said


def _mend(sheet, cells, row, action, column, value, note):
    """Apply one row of a table of faults to ``cells``; return in words what was done."""

    def find(text):
        number = int(text) + FIRST if text.isdecimal() else None
        if number not in cells:
            raise MerError(f"it names row {text}, which {Path(sheet).name} does not have")
        return number

    if action == "skip":
        for number in [number for number in cells if cells[number].get(column) == value]:
            del cells[number]
        return f"Left out: {value} ({note})."
    number = find(row)
    mine = cells[number]
    if action == "swap":
        partner = cells[find(value)]
        for key in mine.keys() - FIXED:
            mine[key], partner[key] = partner[key], mine[key]
        change = f"rows {number} and {find(value)} swapped"
    elif action in ("set", "clear") and column in mine:
        old, mine[column] = mine[column] or "(empty)", value
        change = f"row {number} ({mine['fold_name']}), {column} {old} is now {value or '(empty)'}"
    else:
        raise MerError(f"{action} {column!r} is no swap, set, clear or skip of a column there is")
    return f"Mended: {change} ({note})."
