"""Tables that people keep: CSV of any spreadsheet program, and XLSX, read as plain text cells."""

import csv
import io
from contextlib import suppress
from itertools import dropwhile, zip_longest
from pathlib import Path
from typing import NamedTuple

from mer_utils import MerError
from mer_utils.files import write_text

PUBLISHED = Path(__file__).parent / "published"  # what is known of published sets, as data


class Row(NamedTuple):
    """One row: its number as a spreadsheet shows it (the header is 1) and {column: text}, "" where
    a cell is empty.
    """

    number: int
    cells: dict


def read_table(path, header_row=None, sheet="", columns=()):
    """Return the Rows of a CSV (commas, semicolons or tabs, UTF-8) or a sheet of an XLSX file (by
    default its first); empty rows are left out.

    The header is row ``header_row`` as a spreadsheet counts (0: there is none); else the first row
    that holds all names in ``columns``, whatever their case, spaces and signs, and these names are
    used; else the first filled row. A column without a name is called "column 3" by its place.
    Whole numbers of a spreadsheet come as "12". Raises MerError for what is no such table, and for
    equal names.
    """
    sheets = read_sheets(path)
    if sheet and sheet not in sheets:
        raise MerError(path, f"has no sheet {sheet!r}; it has {', '.join(sheets)}")
    return _find_rows(path, sheets[sheet or next(iter(sheets))], header_row, columns)


def read_sheets(path):
    """Return {name of the sheet: lines of texts} of a table; a CSV has one sheet, called ""."""
    path = Path(path)
    try:
        if path.suffix.lower() != ".xlsx":
            text = path.read_text(encoding="utf-8-sig")
            lines = text.splitlines()
            # what stands in the most lines, the header among them, stands between cells
            separator = max("\t;,", key=lambda sign: sum(sign in line for line in lines))
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
            return {"": [[cell.strip() for cell in row] for row in rows]}

        import pandas as pd  # slow to import, and not every command reads a spreadsheet

        sheets = pd.read_excel(path, None, header=None, dtype=str, keep_default_na=False)
        return {
            name: cells.fillna("").map(str.strip).to_numpy().tolist()
            for name, cells in sheets.items()
        }
    except FileNotFoundError:
        raise MerError(path, "no such file") from None
    except Exception as error:  # zip, XML, openpyxl, pandas and csv each raise their own
        what = f"not readable as a table ({' '.join(str(error).split())}); save it as CSV UTF-8"
        raise MerError(path, what) from None


def _find_rows(path, lines, header_row, columns):
    """Return the Rows of a sheet's lines below its header; see ``read_table``."""
    wanted = {_simplify(name): name for name in columns}
    lines = [(n, line) for n, line in enumerate(lines, 1) if any(line) and n >= (header_row or 1)]
    if wanted and header_row is None:
        below = dropwhile(lambda row: not wanted.keys() <= {*map(_simplify, row[1])}, lines)
        lines = list(below)
        if not lines:
            raise MerError(path, f"has no row that holds all columns {', '.join(columns)}")
    header = lines.pop(0)[1] if lines and header_row != 0 else []
    if not lines:
        raise MerError(path, "has no rows below a header")

    filled = [any(column) for column in zip_longest(header, *(line for _, line in lines))]
    names = {}
    for k, (name, used) in enumerate(zip_longest(header, filled, fillvalue="")):
        name = wanted.get(_simplify(name), name) or f"column {k + 1}"
        if used and names.setdefault(name, k) != k:
            raise MerError(path, f"two columns have one name: {', '.join(header)}")
    for number, line in lines:
        if header and any(line[len(header) :]):
            raise MerError(f"{path}, row {number}", "has more cells than the header has names")
    return [
        Row(n, {name: "".join(line[k : k + 1]) for name, k in names.items()}) for n, line in lines
    ]


def _simplify(name):
    """Return a column's name without what people write now so, now otherwise."""
    return "".join(filter(str.isalnum, name.lower()))


def find_table(place, columns, header_row=None, sheet=""):
    """Return the path and the Rows of the one table in the folder ``place`` (or the file) that has
    all ``columns``, on whatever sheet and in whatever row their names stand. Raises MerError.
    """
    place, tables = Path(place), []
    for path in sorted(place.iterdir()) if place.is_dir() else [place]:
        if path.suffix.lower() not in (".xlsx", ".csv") or path.name[0] in ".~":
            continue
        try:
            sheets = read_sheets(path)
        except MerError:
            if path == place:
                raise
            continue
        for name in [sheet] if sheet in sheets else [] if sheet else sheets:
            with suppress(MerError):  # a sheet without these columns
                rows = _find_rows(path, sheets[name], header_row, columns)
                tables.append((path, name, rows))
    if len(tables) != 1:
        names = ", ".join(f"{path.name} {name}".strip() for path, name, _ in tables) or "none"
        what = f"should hold one table with {', '.join(columns)}, but has {names}; "
        raise MerError(place, what + "name it with --table, its --sheet or --columns")
    return tables[0][0], tables[0][2]


def need_columns(path, rows, names):
    """Raise MerError for the first of ``names`` that is no column of the Rows of ``path``."""
    for name in names:
        if name not in rows[0].cells:
            raise MerError(path, f"lacks the column {name!r}; it has {', '.join(rows[0].cells)}")


def write_table(path, rows):
    """Write ``rows`` (dicts with the same keys) atomically as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
