"""What clips are learnt by: AU strings as people write them, tables of classes, AUs as labels."""

from dataclasses import replace

from mer_tools.importing.common import Entry, describe
from mer_tools.importing.labels import find_classes, parse_aus, regroup, sort_labels
from mer_tools.importing.tables import PUBLISHED, read_table
from mer_utils import LABELS, MerError

import pytest
from foreign import write_rows

INFO = describe("test", 1, LABELS, "a test")
CASME2 = ("happiness", "disgust", "surprise", "repression", "others", "fear", "sadness")


def enter(k, labels=None, aus="", subject="S1"):
    aus = parse_aus(aus) if aus else None
    return Entry(str(k), subject, labels, str(k), f"table.csv, row {k + 2}", aus=aus)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4+L10", "4 L10"), ("4,B23", "4 B23"), ("4，7", "4 7"), ("1A+2C", "1 2"),
        ("AUR2+12(k)+45", "R2 45"), ("AU4 (K)", ""), ("AU 4, L 7b", "4 L7"),
        ("1;2、4＋5", "1 2 4 5"),
    ],
)  # fmt: skip
def test_au_strings_are_read(text, expected):
    assert " ".join(f"{side}{number}" for side, number in parse_aus(text)) == expected


@pytest.mark.parametrize("text", ["R14A or 17A", "blink", "AU123", "4F", "4+", ""])
def test_what_is_no_au_string_is_not_guessed(text):
    assert parse_aus(text) is None


def test_labels_stand_in_one_order():
    names = ["happiness", "Others", "negative", "Disgust", "Others"]
    assert sort_labels(names) == ["negative", "Others", "Disgust", "happiness"]


def test_labels_become_classes_by_a_table(tmp_path):
    sets = [
        ("Negative",), ("Negative", "Repression"), ("Positive", "Surprise"), ("Others",),
        ("Others", "Positive"), None,
    ]  # fmt: skip
    entries = [enter(k, labels) for k, labels in enumerate(sets)]
    kept, info, said = regroup(entries, INFO | {"published": "4DME"}, "three")
    assert [entry.labels for entry in kept] == [("Negative",), ("Negative",), ("Positive",), None]
    assert info["labels"] == ["Negative", "Positive", "Surprise"] and info["exclusive"]
    assert "published" not in info and said[0].startswith("2 of 6 clips left out")
    unlisted = r"no row for 'Repression' \(row 3\), 'Positive' \(row 4\), 'Surprise' \(row 4\)"
    for rows, message in (
        (["negative,bad", "others,good"], rf"own\.csv: has {unlisted}; add them"),
        (["negative,bad", "Negative,good"], "one row for each label, and 2 classes or more"),
    ):
        table = write_rows(tmp_path / "own.csv", "label,class", *rows)
        with pytest.raises(MerError, match=message):
            regroup(entries, INFO, table)


@pytest.mark.parametrize(
    ("name", "labels", "classes"),
    [
        ("five_casme2", CASME2, ["Happiness", "Disgust", "Surprise", "Repression", "Others"]),
        ("three_megc2019_casme2", CASME2, ["Positive", "Negative", "Surprise", "Negative"]),
        ("three_megc2019", ("Anger", "Fear", "Other", "positive"), 2 * ["Negative"] + ["Positive"]),
        ("five_samm", ("Anger", "Other", "Fear"), ["Anger", "Others"]),
    ],
)
def test_published_tables_are_found_by_name(name, labels, classes):
    kept, info, said = regroup([enter(k, (label,)) for k, label in enumerate(labels)], INFO, name)
    found = [entry.labels[0] for entry in kept]
    assert found == classes and set(classes) <= set(info["labels"])
    assert said[0].startswith(f"{len(labels) - len(classes)} of {len(labels)} clips left out")


def test_every_published_table_says_its_source():
    with pytest.raises(MerError, match="has this name: au, five") as no:
        find_classes("thre")
    for name in str(no.value).partition("name: ")[2].split(", ")[1:]:
        assert "source: " in find_classes(name).read_text("utf-8").partition("\n")[0], name
    rows = [row.cells for row in read_table(PUBLISHED / "published_counts.csv")]
    counts = {row["what"]: int(row["count"]) for row in rows if row["set"] == "4DME"}
    assert set(counts) == {"clips", "subjects", *LABELS} and counts["clips"] == 267
    assert sum(counts[label] for label in LABELS) == 306  # 1.146 labels a clip


def test_aus_become_labels_and_rare_ones_are_left_out_and_counted():
    texts = 3 * ["4 L7"] + 2 * ["R4 45"] + 5 * ["12"] + ["4", "", "4(k)+9"]
    people = 3 * ["S1"] + 2 * ["S2"] + 5 * ["S3"] + ["S1", "S1", "S1"]
    entries = [enter(k, ("x",), *pair) for k, pair in enumerate(zip(texts, people, strict=True))]
    kept, info, said = regroup(entries, INFO | {"exclusive": True, "published": "4DME"}, "au")
    assert (info["labels"], info["exclusive"], info["classes"]) == (["AU4"], False, "au")
    assert [len(entry.labels) for entry in kept] == [1] * 5 + [0] * 5 + [1, 0]
    assert "published" not in info
    assert said == [
        "1 of 13 clips left out: no AUs are known.",
        "AUs left out, in fewer than 5 clips or 2 people: AU7 (3), AU9 (1), AU12 (5), AU45 (2).",
    ]
    with pytest.raises(MerError, match=r"^au: no AU is left: 0 of 13 clips have AUs"):
        regroup([replace(entry, aus=None) for entry in entries], INFO, "au")
