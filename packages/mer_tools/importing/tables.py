"""Tables that people keep: CSV of any spreadsheet program, and XLSX, read as plain text cells."""

import csv
import io
import zipfile
from pathlib import Path
from typing import NamedTuple

from mer_utils import MerError
from mer_utils.files import write_text

PUBLISHED = Path(__file__).parent / "published"  # what is known of published sets, as data
LARGEST = 100 << 20  # bytes of a table, unpacked
MOST_ROWS, MOST_COLUMNS = 1_000_000, 1_000  # of a spreadsheet


class Row(NamedTuple):
    """One row: its number as a spreadsheet shows it (the header is 1) and {column: text}, "" where
    a cell is empty.
    """

    number: int
    cells: dict


def read_table(path, header_row=None):
    """Return the Rows of a CSV (commas or semicolons, UTF-8) or XLSX file (its first sheet); empty
    rows are left out.

    The header is the first filled row, or row ``header_row`` as a spreadsheet counts. A column
    without a name is called "column 3" by its place. Whole numbers of a spreadsheet come as "12".
    Raises MerError (file, row or cell) for what is no such table, for formulas, and for a header
    with equal names.
    """
    path = Path(path)
    lines = _read_xlsx(path) if path.suffix.lower() == ".xlsx" else _read_csv(path, header_row or 0)
    filled = [
        (number, cells) for number, cells in lines if any(cells) and number >= (header_row or 0)
    ]
    if header_row and filled and filled[0][0] != header_row:
        raise MerError(path, f"row {header_row}, where the header should be, is empty")
    if len(filled) < 2:
        raise MerError(path, "has no rows below a header")
    (_, header), *body = filled
    while header and not header[-1]:
        header = header[:-1]
    header = [name or f"column {k}" for k, name in enumerate(header, 1)]
    for k, name in enumerate(header):
        if name in header[:k]:
            raise MerError(
                path, f"column {k + 1} is named {name!r}; each column needs a name of its own"
            )
    rows = []
    for number, cells in body:
        if any(cells[len(header) :]):
            raise MerError(
                f"{path}, row {number}", f"has more cells than the header has names ({len(header)})"
            )
        rows.append(Row(number, dict(zip(header, [*cells, *[""] * len(header)], strict=False))))
    return rows


def need_columns(path, rows, names):
    """Raise MerError for the first of ``names`` that is no column of the table ``rows`` read from
    ``path``.
    """
    there = rows[0].cells
    for name in names:
        if name not in there:
            raise MerError(path, f"lacks the column {name!r}; it has {', '.join(there)}")


def _read_bytes(path):
    try:
        if path.stat().st_size > LARGEST:
            raise MerError(path, f"larger than {LARGEST >> 20} MB; that is no table of clips")
        return path.read_bytes()
    except FileNotFoundError:
        raise MerError(path, "no such file") from None
    except OSError as error:
        raise MerError(path, f"cannot be read ({error.strerror})") from None


def _read_csv(path, header_row):
    """Return [(row number, cells)] of a CSV; the separator is the commonest of comma, semicolon and
    tab in the header.
    """
    try:
        text = _read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MerError(
            path, "is not UTF-8 text; save it as CSV UTF-8 (or give the .xlsx file)"
        ) from None
    filled = [k for k, line in enumerate(text.splitlines(), 1) if line.strip() and k >= header_row]
    first = text.splitlines()[filled[0] - 1] if filled else ""
    reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True)
    lines = []
    try:
        for cells in reader:
            lines.append((len(lines) + 1, [cell.strip() for cell in cells]))
    except csv.Error as error:
        raise MerError(f"{path}, row {len(lines) + 1}", f"not readable as CSV ({error})") from None
    return lines


def _read_xlsx(path):
    """Return [(row number, cells)] of the first sheet."""
    from openpyxl import load_workbook  # slow to import, and seldom needed

    data = _read_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:  # an XLSX file is a zip archive
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise MerError(
                    path, f"unpacks to more than {LARGEST >> 20} MB; that is no table of clips"
                )
        sheet = load_workbook(io.BytesIO(data), read_only=True).worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size need not be so
        lines = []
        for number, row in enumerate(sheet.iter_rows(), 1):
            filled = [cell for cell in row if cell.value is not None]
            if not filled:
                continue
            if number > MOST_ROWS or filled[-1].column > MOST_COLUMNS:
                raise MerError(
                    f"{path}, cell {filled[-1].coordinate}",
                    f"lies beyond {MOST_ROWS:,} rows or {MOST_COLUMNS:,} columns; empty it, for a "
                    "table of clips is smaller",
                )
            for cell in filled:
                if cell.data_type == "f":
                    raise MerError(
                        f"{path}, cell {cell.coordinate}",
                        "holds a formula; save the sheet with values only",
                    )
            lines.append((number, [_to_text(cell.value) for cell in row]))
        return lines
    except MerError:
        raise
    except Exception as error:  # zip, XML and openpyxl each raise their own
        raise MerError(path, f"not readable as a spreadsheet ({type(error).__name__})") from None


def _to_text(value):
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def write_table(path, rows):
    """Write ``rows`` (dicts with the same keys) atomically as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())
