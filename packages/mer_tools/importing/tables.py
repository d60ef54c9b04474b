"""Tables that people keep: CSV of any spreadsheet program, and XLSX, read as plain text cells."""

import csv
import io
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


def read_table(path, header_row=None):
    """Return the Rows of a CSV (commas, semicolons or tabs, UTF-8) or XLSX file (its first sheet);
    empty rows are left out.

    The header is the first filled row, or row ``header_row`` as a spreadsheet counts. A column
    without a name is called "column 3" by its place. Whole numbers of a spreadsheet come as "12".
    Raises MerError for what is no such table, for formulas, and for equal names.
    """
    path, first = Path(path), header_row or 1
    cells = _read_cells(path, first)
    cells = cells[(cells != "").any(axis=1) & (cells.index >= first)]
    if header_row and len(cells) and cells.index[0] != header_row:
        raise MerError(path, f"row {header_row}, where the header should be, is empty")
    if len(cells) < 2:
        raise MerError(path, "has no rows below a header")

    cells = cells.loc[:, (cells != "").any(axis=0)]
    header = [name or f"column {k + 1}" for k, name in cells.iloc[0].items()]
    if twice := [name for k, name in enumerate(header) if name in header[:k]]:
        raise MerError(path, f"two columns are named {twice[0]!r}; each needs a name of its own")
    body = zip(cells.index[1:], cells.values[1:].tolist(), strict=True)
    return [Row(number, dict(zip(header, row, strict=True))) for number, row in body]


def _read_cells(path, first):
    """Return a table's cells as texts; the index counts rows as a spreadsheet does."""
    import pandas as pd  # slow to import, and not every command reads a table

    options = {"header": None, "dtype": str, "keep_default_na": False}
    try:
        if path.suffix.lower() == ".xlsx":  # formulas come as text, not as the value last saved
            cells, skipped = pd.read_excel(path, **options, engine_kwargs={"data_only": False}), 0
        else:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            skipped = next(
                (k for k, line in enumerate(lines) if k + 1 >= first and line.strip()), 0
            )
            separator = max(",;\t", key=lines[skipped].count) if lines else ","
            options |= {"skip_blank_lines": False, "skiprows": skipped, "sep": separator}
            cells = pd.read_csv(path, **options, encoding="utf-8-sig")
    except FileNotFoundError:
        raise MerError(path, "no such file") from None
    except Exception as error:  # zip, XML, openpyxl and pandas each raise their own
        what = f"not readable as a table ({' '.join(str(error).split())}); save it as CSV UTF-8"
        raise MerError(path, what) from None
    cells.index += 1 + skipped
    cells = cells.fillna("").map(str.strip)
    if path.suffix.lower() == ".xlsx" and (cells.map(lambda cell: cell[:1]) == "=").any(axis=None):
        raise MerError(path, "holds a formula; save the sheet with values only")
    return cells


def need_columns(path, rows, names):
    """Raise MerError for the first of ``names`` that is no column of the table ``rows`` read from
    ``path``.
    """
    there = rows[0].cells
    for name in names:
        if name not in there:
            raise MerError(path, f"lacks the column {name!r}; it has {', '.join(there)}")


def write_table(path, rows):
    """Write ``rows`` (dicts with the same keys) atomically as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())
