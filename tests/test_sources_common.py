import shutil
from dataclasses import replace

from mer_tools.importing import common
from mer_tools.importing.common import (
    Entry,
    copy_frames,
    describe,
    find_keys,
    regroup,
    sort_labels,
    write_set,
)
from mer_tools.importing.tables import PUBLISHED, read_table
from mer_utils import LABELS, MerError
from mer_utils.dataset import open_dataset

import pytest
from foreign import contents, plant, refuse, write_rows

INFO = describe("test", 2, LABELS, "a test")
STEMS = ["img011", "img012", "img013", "img014", "img015", "img016"]


def enter(key="a", **more):
    return replace(Entry(key, "S1", ("Negative",), key, f"table.csv, row {key}"), **more)


@pytest.fixture
def source(data, tmp_path):
    """Three clips of frames in folders a, b, c."""
    for k, name in enumerate("abc"):
        plant(data, tmp_path / "source" / name, k, count=6)
    return tmp_path / "source"


def test_key_frames_are_counted_as_the_table_counts_them():
    for numbers, keys, expected in (
        ("0", (0, 2, 5), (0, 2, 5)),
        ("1", (1, 3, 6), (0, 2, 5)),
        ("names", (12, 13, 16), (1, 2, 5)),
        ("onset", (12, 14, 16), (1, 3, 5)),  # the names hold the numbers
        ("onset", (500, 503, 505), (0, 3, 5)),  # they do not: the first frame is the onset
        ("names", (None, 13, None), (None, 2, None)),
        ("onset", (None, None, None), (None, None, None)),
    ):
        entry = enter(onset=keys[0], apex=keys[1], offset=keys[2], numbers=numbers)
        assert find_keys(entry, STEMS) == expected, (numbers, keys)


@pytest.mark.parametrize(
    ("numbers", "keys", "stems", "message"),
    [
        ("0", (0, 2, 6), STEMS, "onset 0, apex 2, offset 6 do not fit the 6 frames of a"),
        ("1", (0, 2, 5), STEMS, "do not fit"),
        ("0", (2, 2, 5), STEMS, "onset < apex < offset"),
        ("0", (2, None, 3), STEMS, r"apex \(empty\)"),
        ("names", (11, 17, 16), STEMS, r"apex is 17, but no frame of a .* from 11 to 16\)"),
        ("names", (1, 2, 3), ["x1_1", "x2_1", "x3_1"], "same last number"),
        ("onset", (None, 3, 5), STEMS, "onset is empty"),
        ("0", (None, None, None), ["0"], "a holds 1 frame, but a clip needs at least 3"),
    ],
)
def test_key_frames_that_point_nowhere_are_refused(numbers, keys, stems, message):
    entry = enter(onset=keys[0], apex=keys[1], offset=keys[2], numbers=numbers)
    with pytest.raises(MerError, match=f"^table.csv, row a: .*{message}"):
        find_keys(entry, stems)


@pytest.mark.parametrize(
    ("place", "frames"), [("away", None), ("source/inside", ".."), ("source", "."), ("", "source")]
)
def test_frames_are_referenced_from_wherever_the_dataset_lies(source, tmp_path, place, frames):
    before, root = contents(source), tmp_path / place
    entries = [enter("a"), enter("b", labels=None, apex=2, fps=29.97)]
    said = write_set(source, root, INFO, entries)
    dataset = open_dataset(root)
    labels = "Negative 1, Positive 0, Repression 0, Surprise 0, Others 0; without labels: 1."
    assert said == [f"2 clips of 1 subject: {labels}"]
    assert dataset.info["frames"] == (frames or str(source)) and not dataset.synthetic
    assert [clip.labels for clip in dataset.clips] == [(1, 0, 0, 0, 0), None]
    clip = dataset.clips[1]
    assert clip.folder.resolve() == source / "b"
    assert (clip.apex, clip.fps, len(clip.names)) == (2, 29.97, 6)
    for name in ("manifest.csv", "dataset.json"):  # nothing else was written
        (root / name).unlink()
    if place == "source/inside":
        root.rmdir()
    assert contents(source) == before


def test_copied_frames_can_move(source, tmp_path):
    write_set(source, tmp_path / "copy", INFO, [enter("a"), enter("b")], make=copy_frames)
    shutil.move(tmp_path / "copy", tmp_path / "moved")
    shutil.rmtree(source)
    clip = open_dataset(tmp_path / "moved").clips[1]
    assert len(clip.frames) == 6 and all(path.is_file() for path in clip.frames)


@pytest.mark.parametrize("make", [None, copy_frames])
def test_unicode_and_spaces_in_names_work(data, tmp_path, make):
    name = "Clip no 1, wütend"
    plant(data, tmp_path / "größe 微 表情" / name, 0, "Bild {} ü.png", count=6)
    entries = [enter(name, subject='S "1"')]
    write_set(tmp_path / "größe 微 表情", tmp_path / "däta", INFO, entries, make=make)
    clip = open_dataset(tmp_path / "däta").clips[0]
    assert clip.subject == 'S "1"' and len(clip.frames) == 6 and clip.frames[0].is_file()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "no clip is left"),
        ([enter("a"), enter("a")], "row a: the path 'a' stands at table.csv, row a already"),
        ([enter("a"), enter("a", path="b")], "row a: the clip name 'a' stands at"),
        ([enter("a", subject="")], "row a: the subject is ''"),
        ([enter("a", name="x/y")], "row a: the clip name 'x/y'"),
        ([enter("a", path="../source/a")], "row a: the path '../source/a' must lead downwards"),
        ([enter("a", path="")], "row a: the path '' must lead downwards"),
        ([enter("a", path="nowhere")], "row a: .*nowhere is missing"),
        ([enter("a", path="empty")], "row a: .*empty: holds no frames"),
        ([enter("a"), enter("b", apex=99)], "row b: onset .*apex 99"),
    ],
)
@pytest.mark.parametrize("make", [None, copy_frames])
def test_a_bad_entry_is_named_and_nothing_is_written(source, tmp_path, entries, message, make):
    (source / "empty").mkdir()
    (tmp_path / "elsewhere").mkdir()
    refuse(message, write_set, source, tmp_path / "new", INFO, entries, make=make)


def test_all_faults_of_a_table_are_told_at_once(source, tmp_path):
    entries = [enter("a", apex=99), enter("b"), enter("c", apex=98)]
    message = r"row a: .*apex 99.*\(and 1 more cannot be used: row c\)"
    refuse(message, write_set, source, tmp_path / "new", INFO, entries)


def test_labels_must_suit_the_set(source, tmp_path):
    entries, info = [enter("a", labels=("Negative", "Surprise"))], INFO | {"exclusive": True}
    message = "row a: has the labels Negative\\+Surprise"
    refuse(message, write_set, source, tmp_path / "x", info, entries)
    for labels in (["Clip"], ["a", "A"]):
        info, entries = INFO | {"labels": labels}, [enter("a", labels=None)]
        refuse("a label cannot be called", write_set, source, tmp_path / "x", info, entries)


def test_an_existing_dataset_is_never_overwritten(source):
    write_set(source, source, INFO, [enter("a")])
    for make in (None, copy_frames):
        refuse("exists already", write_set, source, source, INFO, [enter("b")], make=make)


def test_a_full_disk_leaves_nothing(source, tmp_path, monkeypatch):
    def fail(path, *_):
        raise MerError(path, "cannot be written (No space left on device)")

    def stop(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(common, "write_json", fail)
    for data in (source, tmp_path / "new"):
        refuse("No space left", write_set, source, data, INFO, [enter("a")])
    monkeypatch.setattr(common.shutil, "copyfile", stop)
    refuse("No space", write_set, source, tmp_path / "new", INFO, [enter("a")], make=copy_frames)


def test_a_place_that_cannot_be_written_is_named(source, tmp_path):
    (tmp_path / "file").write_text("")
    for data in (tmp_path / "file" / "new", tmp_path / "file"):
        refuse("file", write_set, source, data, INFO, [enter("a")])


def test_labels_become_classes_by_a_table(tmp_path):
    sets = [
        ("Negative",), ("Negative", "Repression"), ("Positive", "Surprise"), ("Others",),
        ("Others", "Positive"), None,
    ]  # fmt: skip
    entries = [enter(str(k), labels=labels) for k, labels in enumerate(sets)]
    kept, info, said = regroup(entries, INFO | {"published": "4DME"}, "three")
    assert [entry.labels for entry in kept] == [("Negative",), ("Negative",), ("Positive",), None]
    assert info["labels"] == ["Negative", "Positive", "Surprise"] and info["exclusive"]
    assert "published" not in info
    assert said == ["2 of 6 clips left out: not of exactly one class of three_classes.csv."]
    table = tmp_path / "own.csv"
    for rows, message in (
        (["negative,bad", "others,good"], r"row 1: the label 'Repression' has no row in own\.csv"),
        (["negative,bad", "Negative,good"], r"row 3: the label 'Negative' stands there twice"),
        (["negative,bad"], "names 1 classes"),
    ):
        with pytest.raises(MerError, match=message):
            regroup(entries, INFO, write_rows(table, "label,class", *rows))


def test_the_published_tables_agree_with_one_another():
    classes = {row.cells["label"] for row in read_table(PUBLISHED / "three_classes.csv")}
    assert classes == {*LABELS}
    rows = [row.cells for row in read_table(PUBLISHED / "published_counts.csv")]
    counts = {row["what"]: int(row["count"]) for row in rows if row["set"] == "4DME"}
    assert set(counts) == {"clips", "subjects", *LABELS}
    assert counts["clips"] == 267 and counts["subjects"] == 24
    assert sum(counts[label] for label in LABELS) == 306  # 1.146 labels a clip


def test_labels_stand_in_one_order():
    names = ["happiness", "Others", "negative", "Disgust", "Others"]
    assert sort_labels(names) == ["negative", "Others", "Disgust", "happiness"]
