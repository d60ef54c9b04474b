"""Tables of spreadsheet programs: read as text, or refused in one sentence that names the file."""

from mer_tools.importing.tables import find_table, need_columns, read_table

import pandas as pd
import pytest
from foreign import refuse, write_xlsx


@pytest.mark.parametrize(
    "text",
    ["a,b\n1, zwei \n\n,3\n", "\ufeffa;b\r\n1;zwei\r\n;\r\n;3\r\n", 'a\tb\n1\t"zwei"\n\n\t3'],
)
def test_csv_of_any_program_is_read(tmp_path, text):
    path = tmp_path / "t ü.csv"
    path.write_text(text, encoding="utf-8", newline="")
    rows = read_table(path)
    assert rows[0] == (2, {"a": "1", "b": "zwei"}) and rows[-1] == (4, {"a": "", "b": "3"})
    need_columns(path, rows, ["a", "b"])
    refuse("lacks the column 'c'; it has a, b", need_columns, path, rows, ["c"])
    # what stands within cells is not what stands between them
    path.write_text("clip;aus;seconds\na;1,2,4;0,5\nb;4,7,9;0,4\n")
    assert read_table(path)[1].cells == {"clip": "b", "aus": "4,7,9", "seconds": "0,4"}


def test_a_spreadsheet_is_read_as_text(tmp_path):
    rows = [["a", "b", "c"], [1, 2.5, "x"], [None, None, None], [12.0, None, "  y "]]
    path = write_xlsx(tmp_path / "t.xlsx", *rows)
    assert read_table(path, 2) == [(4, {"1": "12", "2.5": "", "x": "y"})]
    assert read_table(path) == [
        (2, {"a": "1", "b": "2.5", "c": "x"}),
        (4, {"a": "12", "b": "", "c": "y"}),
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.xlsx", b"PK\3\4 not a zip", "not readable as a table"),
        ("x.csv", b"a,b\n", "no rows"),
        ("x.csv", b"a,a\n1,2\n", "two columns have one name: a, a"),
        ("x.csv", b"a,b\n1,2,3\n", "row 2: has more cells than the header has names"),
        ("x.csv", b"\xff\xfe\x00", "not readable as a table"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    refuse(rf"{name}.*{words}", read_table, tmp_path / name)
    refuse(r"nothing\.csv: no such file", read_table, tmp_path / "nothing.csv")


def test_a_table_is_found_by_its_columns(tmp_path):
    with pd.ExcelWriter(tmp_path / "t.xlsx", engine="openpyxl") as writer:
        for sheet, head in (("notes", "read"), ("mine", "a"), ("more", "b")):
            pd.DataFrame({head: [1], "c": [5]}).to_excel(writer, sheet_name=sheet, index=False)
    (tmp_path / "o.csv").write_text("x;y\n1;2\n")
    path, rows = find_table(tmp_path, ["A", "c"])
    assert (path.name, rows) == ("t.xlsx", [(2, {"A": "1", "c": "5"})])
    refuse("has t.xlsx notes, t.xlsx mine, t.xlsx more; name it", find_table, tmp_path, ["c"])
    assert find_table(tmp_path, ["c"], sheet="more")[1] == [(2, {"b": "1", "c": "5"})]
