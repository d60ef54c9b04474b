"""Tables that people keep: CSV of any spreadsheet program, and XLSX, read as plain text cells."""

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
    Raises MerError for what is no such table, and for equal names.
    """
    import pandas as pd  # slow to import, and not every command reads a table

    path, options = Path(path), {"header": None, "dtype": str, "keep_default_na": False}
    if path.exists() and not path.is_file():
        raise MerError(path, "not readable as a table (a folder, pipe or device); save it as CSV UTF-8")
    try:
        if path.suffix.lower() == ".xlsx":
            cells, above = pd.read_excel(path, **options), 0
        else:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            filled = [
                k for k, line in enumerate(lines) if line.strip() and k + 1 >= (header_row or 1)
            ]
            above = min(filled, default=0)
            options["sep"] = max(",;\t", key=lines[above].count) if lines else ","
            options |= {"encoding": "utf-8-sig", "skiprows": above, "skip_blank_lines": False}
            cells = pd.read_csv(path, **options)
    except FileNotFoundError:
        raise MerError(path, "no such file") from None
    except Exception as error:  # zip, XML, openpyxl and pandas each raise their own
        what = f"not readable as a table ({' '.join(str(error).split())}); save it as CSV UTF-8"
        raise MerError(path, what) from None
    cells.index += 1 + above
    cells = cells.fillna("").map(str.strip).loc[header_row or 1 :]
    cells = cells[(cells != "").any(axis=1)]
    cells = cells.loc[:, (cells != "").any(axis=0)]
    if len(cells) < 2 or cells.index[0] != (header_row or cells.index[0]):
        raise MerError(
            path, f"has no rows below a header{f' in row {header_row}' * bool(header_row)}"
        )
    header = [name or f"column {k + 1}" for k, name in cells.iloc[0].items()]
    if len(set(header)) < len(header):
        raise MerError(path, f"two columns have one name: {', '.join(header)}")
    rows = zip(cells.index[1:], cells.values[1:].tolist(), strict=True)
    return [Row(number, dict(zip(header, row, strict=True))) for number, row in rows]


def need_columns(path, rows, names):
    """Raise MerError for the first of ``names`` that is no column of the Rows of ``path``."""
    for name in names:
        if name not in rows[0].cells:
            raise MerError(path, f"lacks the column {name!r}; it has {', '.join(rows[0].cells)}")


def write_table(path, rows):
    """Write ``rows`` (dicts with the same keys) atomically as CSV."""
    import pandas as pd

    write_text(path, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
