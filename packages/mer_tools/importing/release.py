"""4DME as released: a spreadsheet and grey frames in folders, with the sheet's known faults mended
by a table.
"""

from collections import defaultdict
from pathlib import Path

from mer_tools.importing.common import check_source
from mer_tools.importing.recordings import Layout, import_rows
from mer_tools.importing.tables import PUBLISHED, Row, find_table, read_table
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
ABOUT = {
    "name": "4DME",
    "labels": list(LABELS),
    "published": "4DME",
    "source": "mer import 4dme-release: spreadsheet and gray_micro frames",
    "licence": "4DME: under its licence of the University of Oulu; not to be passed on",
}
FIXED = {"fold", "sub_ID", "fold_name"}  # columns that say which folder a row is of


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
    sessions = defaultdict(set)
    for row in rows:
        row.cells["person"] = row.cells["sub_ID"].split("_")[0]
        sessions[row.cells["person"]].add(row.cells["sub_ID"])
    several = [f"{', '.join(sorted(s))} are {who}" for who, s in sessions.items() if len(s) > 1]
    if several:
        said.append(f"Sessions of one person are one subject: {'; '.join(several)}.")
    written = import_rows(source, data, path, rows, LAYOUT, ABOUT, classes, copy)
    return [written[0], *said, *written[1:]]


def mend_rows(path, rows, faults=None):
    """Mend a sheet's Rows by a table row, action, column, value, note; return (Rows, sentences).

    Rows are counted from 0 as in published lists of faults. Actions: "swap" (everything but the
    folder changes places with row ``value``), "set" and "clear" (of ``column``), "skip" (rows that
    have the ``value``, as of a folder without a label). ``faults`` is the table's path, "none", or
    None for the built-in one, which does nothing to a sheet too short for it.
    """
    if faults == "none":
        return rows, []
    table, said = Path(faults or PUBLISHED / "4dme_faults.csv"), []
    columns = ("row", "action", "column", "value", "note")
    cells = {str(k): dict(row.cells) for k, row in enumerate(rows)}
    for number, fault in read_table(table, columns=columns):
        row, action, column, value, note = (fault[name] for name in columns)
        try:
            if action == "skip":
                cells = {k: mine for k, mine in cells.items() if mine[column] != value}
                change = f"Left out: {value}"
            elif action == "swap":
                mine, partner = cells[row], cells[value]
                for key in mine.keys() - FIXED:
                    mine[key], partner[key] = partner[key], mine[key]
                names = f"{mine['fold_name']} and {partner['fold_name']}"
                change = f"Mended: the rows of {names} swapped"
            elif action in ("set", "clear"):
                mine = cells[row]
                place = f"{mine['fold_name']}, {column} {mine[column] or '(empty)'}"
                mine[column] = value
                change = f"Mended: {place} is now {value or '(empty)'}"
            else:
                raise KeyError(action)
            said.append(f"{change} ({note}).")
        except KeyError as error:
            what = f"{error} is no row or column of {Path(path).name}, or no swap, set, clear, skip"
            if faults is None:  # another sheet, or a part of it
                return rows, [f"No fault was mended: {what}."]
            raise MerError(f"{table}, row {number}", what) from None
    return [Row(row.number, cells[str(k)]) for k, row in enumerate(rows) if str(k) in cells], said
