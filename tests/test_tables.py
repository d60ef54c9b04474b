"""Tables of spreadsheet programs: read as text, or refused in one sentence that names file and row
or cell.
"""

from mer_tools.importing.tables import PUBLISHED, need_columns, read_table, write_table
from mer_utils import MerError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook


def sheet(path, rows):
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def refuse(path, words):
    with pytest.raises(MerError, match=words) as caught:
        read_table(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


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
    with pytest.raises(MerError, match="lacks the column 'c'; it has a, b"):
        need_columns(path, rows, ["c"])


def test_a_spreadsheet_is_read_as_text(tmp_path):
    path = sheet(
        tmp_path / "t.xlsx",
        [["a", "b", "c"], [1, 2.5, "x"], [None, None, None], [12.0, None, "  y "]],
    )
    assert read_table(path) == [
        (2, {"a": "1", "b": "2.5", "c": "x"}),
        (4, {"a": "12", "b": "", "c": "y"}),
    ]


def test_the_header_may_stand_lower_and_lack_names(tmp_path):
    path = sheet(
        tmp_path / "t.xlsx",
        [["SAMM", None], [None], ["notes", "x"], ["Subject", None, "Emotion"], [6, 1, "joy"]],
    )
    assert read_table(path, 4) == [(5, {"Subject": "6", "column 2": "1", "Emotion": "joy"})]
    with pytest.raises(MerError, match="row 2, where the header should be, is empty"):
        read_table(path, 2)


def test_what_is_no_table_is_refused(tmp_path):
    refuse(sheet(tmp_path / "f.xlsx", [["a", "b"], [1, "=A2+1"]]), "holds a formula")
    refuse(sheet(tmp_path / "h.xlsx", [["a", "b"]]), "no rows below a header")
    refuse(tmp_path / "nothing.csv", "no such file")
    path = tmp_path / "x.xlsx"
    path.write_bytes(b"PK\3\4 not a zip")
    refuse(path, "not readable as a table")
    path.write_bytes(b"a,b\n1,2\n")
    refuse(path, "not readable as a table")
    path = tmp_path / "x.csv"
    for data, words in (
        (b"", "not readable as a table"),
        (b"a,b\n", "no rows"),
        (b"a,a\n1,2\n", "two columns are named 'a'"),
        (b"a,b\n1,2,3\n", "Expected 2 fields in line 2, saw 3"),
        (b"\xff\xfe\x00", "not readable as a table"),
        (b'a,b\n1,"2\n', "not readable as a table"),
    ):
        path.write_bytes(data)
        refuse(path, words)
    refuse(tmp_path, "not readable as a table")


def test_what_was_written_is_read_back(tmp_path):
    rows = [{"clip": "a, b", "subject": "ü"}, {"clip": 'say "x"', "subject": "2"}]
    write_table(tmp_path / "t.csv", rows)
    assert [row.cells for row in read_table(tmp_path / "t.csv")] == rows


def test_the_tables_that_come_along_can_be_read():
    names = {path.name for path in PUBLISHED.glob("*.csv")}
    assert names == {"4dme_faults.csv", "published_counts.csv", "three_classes.csv"}
    counts = {
        row.cells["what"]: int(row.cells["count"])
        for row in read_table(PUBLISHED / "published_counts.csv")
    }
    assert (
        counts["clips"] == 267
        and sum(counts[label] for label in ("Negative", "Positive", "Others")) == 228
    )


@settings(max_examples=200, deadline=2000)
@given(
    st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)),
    st.sampled_from(["csv", "xlsx"]),
)
def test_any_bytes_are_a_table_or_one_sentence(tmp_path_factory, data, kind):
    path = tmp_path_factory.mktemp("any") / f"t.{kind}"
    path.write_bytes(data)
    try:
        for number, cells in read_table(path):
            assert number > 1 and all(isinstance(text, str) for text in cells.values())
    except MerError as error:
        assert str(path) in str(error)
