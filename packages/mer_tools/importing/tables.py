"""Tables that people keep: CSV of any spreadsheet program, and XLSX, read as plain text cells."""

import re
from contextlib import suppress
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
    path, wanted = Path(path), {_simplify(name): name for name in columns}
    sheets = _read_sheets(path, header_row, wanted)
    if sheet and sheet not in sheets:
        raise MerError(path, f"has no sheet {sheet!r}; it has {', '.join(sheets)}")
    cells = sheets[sheet or next(iter(sheets))]
    if wanted and header_row is None:
        fits = [n for n, row in cells.iterrows() if wanted.keys() <= set(map(_simplify, row))]
        if not fits:
            raise MerError(path, f"has no row that holds all columns {', '.join(columns)}")
        header_row = fits[0]
    cells = cells.loc[header_row or 1 :]
    cells = cells[(cells != "").any(axis=1)]
    cells = cells.loc[:, (cells != "").any(axis=0)]
    header = [f"column {k + 1}" for k in cells.columns]
    if header_row != 0:
        if len(cells) < 2 or cells.index[0] != (header_row or cells.index[0]):
            place = f" in row {header_row}" if header_row else ""
            raise MerError(path, f"has no rows below a header{place}")
        named = zip(cells.iloc[0], header, strict=True)
        header = [wanted.get(_simplify(name), name) or place for name, place in named]
        cells = cells.iloc[1:]
    if len(set(header)) < len(header):
        raise MerError(path, f"two columns have one name: {', '.join(header)}{doubt(header)}")
    return [Row(number, dict(zip(header, row, strict=True))) for number, *row in cells.itertuples()]


def _simplify(name):
    """Return a column's name without what people write now so, now otherwise."""
    return "".join(filter(str.isalnum, name.lower()))


def _read_sheets(path, header_row=None, wanted=()):
    """Return {name of the sheet: cells as texts, numbered as a spreadsheet does} of a table; a CSV
    has one sheet, called "", and is read from its header on.
    """
    import pandas as pd  # slow to import, and not every command reads a table

    options, above = {"header": None, "dtype": str, "keep_default_na": False}, 0
    try:
        if path.exists() and not path.is_file():
            raise OSError("a folder, a pipe or a device")
        if path.suffix.lower() == ".xlsx":
            sheets = pd.read_excel(path, sheet_name=None, **options)
        else:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            filled = [
                k for k, line in enumerate(lines) if line.strip() and k + 1 >= (header_row or 1)
            ]
            named = [k for k in filled if all(name in _simplify(lines[k]) for name in wanted)]
            above = min(named or filled, default=0)
            options["sep"] = max(",;\t", key=lines[above].count) if lines else ","
            options |= {"encoding": "utf-8-sig", "skiprows": above, "skip_blank_lines": False}
            sheets = {"": pd.read_csv(path, **options)}
    except FileNotFoundError:
        raise MerError(path, "no such file") from None
    except Exception as error:  # zip, XML, openpyxl and pandas each raise their own
        what = f"not readable as a table ({' '.join(str(error).split())}); save it as CSV UTF-8"
        raise MerError(path, what) from None
    for cells in sheets.values():
        cells.index += 1 + above
    return {name: cells.fillna("").map(str.strip) for name, cells in sheets.items()}


def find_table(place, columns, header_row=None, sheet=""):
    """Return the path and the Rows of the one table in the folder ``place`` (or the file) that has
    all ``columns``, on whatever sheet and in whatever row their names stand. Raises MerError.
    """
    place, found, fault = Path(place), [], None
    paths = sorted(place.iterdir()) if place.is_dir() else [place]
    for path in paths:
        if path.suffix.lower() not in (".xlsx", ".csv") or path.name[0] in ".~":
            continue
        sheets = [sheet]
        with suppress(MerError):  # `read_table` says it better
            if path.suffix.lower() == ".xlsx" and not sheet:
                sheets = [*_read_sheets(path)]
        for name in sheets:
            try:
                found.append((path, name, read_table(path, header_row, name, columns)))
            except MerError as error:
                fault = error
    if not found and paths == [place] and fault:
        raise fault
    if len(found) != 1:
        names = ", ".join(f"{path.name} {name}".strip() for path, name, _ in found) or "none"
        what = f"should hold one table with {', '.join(columns)}, but has {names}; "
        raise MerError(place, what + "name it with --table, its --sheet or --columns")
    return found[0][0], found[0][2]


def doubt(header):
    """Return a remark on a header that looks like a row of data, else ""."""
    numbers = [name for name in header if re.fullmatch(r"-?\d+(\.\d+)?", name)]
    many = len(numbers) > 1
    return f"; its header holds numbers ({', '.join(numbers)}): has it none? --no-header" * many


def need_columns(path, rows, names):
    """Raise MerError for the first of ``names`` that is no column of the Rows of ``path``."""
    header = rows[0].cells
    for name in names:
        if name not in header:
            what = f"lacks the column {name!r}; it has {', '.join(header)}{doubt(header)}"
            raise MerError(path, what)


def write_table(path, rows):
    """Write ``rows`` (dicts with the same keys) atomically as CSV."""
    import pandas as pd

    write_text(path, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
