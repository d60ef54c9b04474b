import csv
import json
import os
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
from mer_tools.importing.tables import PUBLISHED
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
        (
            "names",
            (11, 17, 16),
            STEMS,
            r"apex is 17, but no frame of a has that number \(they go from 11 to 16\)",
        ),
        ("names", (1, 2, 3), ["x1_1", "x2_1", "x3_1"], "same last number"),
        ("onset", (None, 3, 5), STEMS, "onset is empty"),
        ("0", (None, None, None), ["0", "1"], "a holds 2 frames, but a clip needs at least 3"),
        ("0", (None, None, None), ["0"], "a holds 1 frame, but"),
    ],
)
def test_key_frames_that_point_nowhere_are_refused(numbers, keys, stems, message):
    entry = enter(onset=keys[0], apex=keys[1], offset=keys[2], numbers=numbers)
    with pytest.raises(MerError, match=f"^table.csv, row a: .*{message}"):
        find_keys(entry, stems)


def test_frames_are_referenced_from_wherever_the_dataset_lies(source, tmp_path):
    places = {"away": str(source), "source/inside": "..", "source": ".", "": "source"}
    for place, expected in places.items():
        root = tmp_path / place
        said = write_set(
            source, root, INFO, [enter("a"), enter("b", labels=None, apex=2, fps=29.97)]
        )
        dataset = open_dataset(root)
        assert said == [
            "2 clips of 1 subject: Negative 1, Positive 0, Repression 0, Surprise 0, Others 0; "
            "without labels: 1."
        ]
        assert dataset.info["frames"] == expected and [clip.labels for clip in dataset.clips] == [
            (1, 0, 0, 0, 0),
            None,
        ]
        assert dataset.clips[1].folder.resolve() == source / "b"
        assert (dataset.clips[1].apex, dataset.clips[1].fps, len(dataset.clips[1].names)) == (
            2,
            29.97,
            6,
        )
        (root / "manifest.csv").unlink()
        (root / "dataset.json").unlink()


def test_copied_frames_can_move(source, tmp_path):
    write_set(source, tmp_path / "copy", INFO, [enter("a"), enter("b")], make=copy_frames)
    shutil.move(tmp_path / "copy", tmp_path / "moved")
    shutil.rmtree(source)
    clip = open_dataset(tmp_path / "moved").clips[1]
    assert len(clip.frames) == 6 and all(path.is_file() for path in clip.frames)


def test_unicode_and_spaces_in_names_work(data, tmp_path):
    source = tmp_path / "größe 微 表情"
    plant(data, source / "Clip no 1, wütend", 0, "Bild {} ü.png", count=6)
    for k, make in enumerate((None, copy_frames)):
        write_set(
            source,
            tmp_path / f"däta {k}",
            INFO,
            [enter("Clip no 1, wütend", subject='S "1"')],
            make=make,
        )
        clip = open_dataset(tmp_path / f"däta {k}").clips[0]
        assert clip.subject == 'S "1"' and len(clip.frames) == 6 and clip.frames[0].is_file()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "no clip is left"),
        ([enter("a"), enter("a")], "row a: the path 'a' stands at table.csv, row a already"),
        ([enter("a"), enter("a", path="b")], "row a: the clip name 'a' stands at"),
        ([enter("a", subject="")], "row a: the subject is ''"),
        ([enter("a", name="x/y")], "row a: the clip name 'x/y'"),
        ([enter("a", name="a\n")], r"row a: the clip name 'a\\n'"),
        ([enter("a", path="../source/a")], "row a: the path '../source/a' must lead downwards"),
        ([enter("a", path="/etc")], "row a: the path '/etc' must lead downwards"),
        ([enter("a", path="C:/x")], "row a: the path 'C:/x' must lead downwards"),
        ([enter("a", path="")], "row a: the path '' must lead downwards"),
        ([enter("a", path="nowhere")], "row a: .*nowhere is missing"),
        ([enter("a", path="n" * 300)], "row a: .* is missing"),
        ([enter("a", path="empty")], "row a: .*empty: holds no frames"),
        ([enter("a", path="link")], "link: is a link that leads out"),
        ([enter("a", path="linked")], "row a: .*0000.png: is a link that leads out"),
        ([enter("a"), enter("b", apex=99)], "row b: onset .*apex 99"),
    ],
)
@pytest.mark.parametrize("make", [None, copy_frames])
def test_a_bad_entry_is_named_and_nothing_is_written(source, tmp_path, entries, message, make):
    (source / "empty").mkdir()
    (source / "linked").mkdir()
    (tmp_path / "secret").mkdir()
    shutil.copyfile(source / "a" / "0000.png", tmp_path / "secret" / "0000.png")
    os.symlink(tmp_path / "secret", source / "link")
    os.symlink(tmp_path / "secret" / "0000.png", source / "linked" / "0000.png")
    refuse(
        message,
        lambda root, data: write_set(root, data, INFO, entries, make=make),
        source,
        tmp_path / "new",
    )


def test_an_exclusive_set_wants_one_label(source, tmp_path):
    entries = [enter("a", labels=("Negative", "Surprise"))]
    info = INFO | {"exclusive": True}
    refuse(
        "row a: has the labels Negative\\+Surprise",
        lambda *to: write_set(*to, info, entries),
        source,
        tmp_path / "x",
    )
    for labels in (["Clip"], ["a", "A"]):
        with pytest.raises(MerError, match="a label cannot be called"):
            write_set(source, tmp_path / "x", INFO | {"labels": labels}, [enter("a", labels=None)])


def test_an_existing_dataset_is_never_overwritten(source, tmp_path):
    write_set(source, source, INFO, [enter("a")])
    refuse(
        "manifest.csv: exists already",
        lambda *to: write_set(*to, INFO, [enter("b")]),
        source,
        source,
    )
    refuse(
        "exists already",
        lambda *to: write_set(*to, INFO, [enter("b")], make=copy_frames),
        source,
        source,
    )


def test_a_full_disk_leaves_nothing(source, tmp_path, monkeypatch):
    def fail(path, *_):
        raise MerError(f"{path}: cannot be written (No space left on device); nothing was changed")

    monkeypatch.setattr(common, "write_json", fail)
    for data in (source, tmp_path / "new"):
        refuse("No space left", lambda *to: write_set(*to, INFO, [enter("a")]), source, data)

    def stop(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(common.shutil, "copyfile", stop)
    refuse(
        "No space",
        lambda *to: write_set(*to, INFO, [enter("a")], make=copy_frames),
        source,
        tmp_path / "new",
    )


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="who may write everywhere cannot be refused"
)
def test_a_read_only_folder_is_named(source, tmp_path):
    tmp_path.chmod(0o500)
    try:
        refuse(
            "cannot be written",
            lambda *to: write_set(*to, INFO, [enter("a")]),
            source,
            tmp_path / "new",
        )
    finally:
        tmp_path.chmod(0o700)


def test_a_place_that_cannot_be_written_is_named(source, tmp_path):
    (tmp_path / "file").write_text("")
    for data in (tmp_path / "file" / "new", tmp_path / "file"):
        refuse("file", lambda *to: write_set(*to, INFO, [enter("a")]), source, data)


def test_labels_become_classes_by_a_table(tmp_path):
    sets = [
        ("Negative",),
        ("Negative", "Repression"),
        ("Positive", "Surprise"),
        ("Others",),
        ("Others", "Positive"),
        None,
    ]
    entries = [enter(str(k), labels=labels) for k, labels in enumerate(sets)]
    kept, info, said = regroup(entries, INFO | {"published": "4DME"}, "three")
    assert [entry.labels for entry in kept] == [("Negative",), ("Negative",), ("Positive",), None]
    assert (
        info["labels"] == ["Negative", "Positive", "Surprise"]
        and info["exclusive"]
        and "published" not in info
    )
    assert said == ["2 of 6 clips left out: not of exactly one class of three_classes.csv."]
    table = write_rows(tmp_path / "own.csv", "label,class", "negative,bad", "others,good")
    with pytest.raises(MerError, match=r"row 1: the label 'Repression' has no row in own\.csv"):
        regroup(entries, INFO, table)
    with pytest.raises(MerError, match=r"own\.csv, row 3: the label 'Negative' stands there twice"):
        regroup(entries, INFO, write_rows(table, "label,class", "negative,bad", "Negative,good"))
    with pytest.raises(MerError, match="names 1 classes"):
        regroup(entries, INFO, write_rows(table, "label,class", "negative,bad"))


def test_the_tables_agree_with_one_another():
    def read(name):
        return list(csv.DictReader((PUBLISHED / name).open(encoding="utf-8")))

    assert [row["label"] for row in read("three_classes.csv")] and {
        row["label"] for row in read("three_classes.csv")
    } == {*LABELS}
    counts = {
        row["what"]: int(row["count"])
        for row in read("published_counts.csv")
        if row["set"] == "4DME"
    }
    assert (
        counts["clips"] == 267
        and counts["subjects"] == 24
        and set(counts) == {"clips", "subjects", *LABELS}
    )
    assert sum(counts[label] for label in LABELS) == 306  # 1.146 labels a clip


def test_labels_stand_in_one_order():
    assert sort_labels(["happiness", "Others", "negative", "Disgust", "Others"]) == [
        "negative", "Others", "Disgust", "happiness",
    ]  # fmt: skip


def test_nothing_but_two_files_is_written(source, tmp_path):
    before = contents(source)
    write_set(source, tmp_path / "set", INFO, [enter("a")])
    assert {path.name for path in (tmp_path / "set").iterdir()} == {"manifest.csv", "dataset.json"}
    about = json.loads((tmp_path / "set" / "dataset.json").read_text(encoding="utf-8"))
    assert (
        about["synthetic"] is False and about["source"] == "a test" and contents(source) == before
    )
