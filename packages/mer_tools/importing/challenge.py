"""The 4DMR challenge's layout: folders ``seq<N>`` of frames that hold two views side by side, and a
table of labels.
"""

import re

from mer_tools.importing.common import (
    ALONE,
    Entry,
    check_source,
    copy_frames,
    describe,
    list_folders,
    read_flags,
    read_whole,
    tell_left_out,
    write_set,
)
from mer_tools.importing.tables import need_columns, read_table
from mer_utils import LABELS, MerError


def import_challenge(source, data, labels=None, copy=False, classes=None):
    """Make a dataset of the 4DMR challenge's layout: ``seq<N>`` folders of frames that hold two
    views side by side.

    ``labels`` is a table Id, Negative, Positive, Repression, Surprise, Others (0 or 1) and perhaps
    Subject, whose Id is the first integer of a folder's name. Folders without a row have no labels.
    ``classes``: see ``regroup``. Returns sentences to print. Raises MerError.
    """
    source = check_source(source)
    rows = _read_ids(labels) if labels else {}
    folders, unnumbered = {}, []
    for folder in list_folders(source, data):
        number = re.search(r"\d+", folder.name)
        if number is None:
            unnumbered.append(folder.name)
            continue
        other = folders.setdefault(int(number.group()), folder)
        if other != folder:
            raise MerError(folder, f"has the same number as {other.name}; rename one of them")
    for number, (where, _) in rows.items():
        if number not in folders:
            what = f"Id {number} has no folder seq{number} in {source}"
            raise MerError(where, f"{what}; remove the row or add the folder")

    entries, alone = [], 0
    for number, folder in sorted(folders.items()):
        where, cells = rows.get(number, (str(folder), None))
        subject = cells.get("Subject") if cells else None
        if subject == "":
            raise MerError(where, f"the subject of Id {number} is missing; fill it in")
        alone += subject is None
        flags = read_flags(where, cells, LABELS) if cells else None
        entries.append(Entry(folder.name, subject or folder.name, flags, folder.name, where))
    said = tell_left_out("folders without a number in their names", unnumbered)
    said += [ALONE.format(alone)] if alone else []
    about = "mer import 4dme-challenge: seq folders of side-by-side frames"
    info = describe("4DMR challenge", 2, LABELS, about)
    info["licence"] = "4DME: only under its licence of the University of Oulu; not to be passed on"
    return write_set(source, data, info, entries, classes, copy_frames if copy else None) + said


def _read_ids(path):
    """Return {Id: (file and row, cells)} of a table of labels."""
    table = read_table(path)
    need_columns(path, table, ["Id", *LABELS])
    rows = {}
    for number, cells in table:
        where = f"{path}, row {number}"
        key = read_whole(where, cells, "Id", missing=())
        if key in rows:
            row = rows[key][0].rpartition(", ")[2]
            raise MerError(where, f"Id {key} stands in {row} already; keep one of them")
        rows[key] = where, cells
    return rows
