"""What all kinds of import share: entries become a dataset, or one sentence."""

import shutil
from dataclasses import replace

from mer_tools.importing import common
from mer_tools.importing.common import Entry, describe, find_keys, write_set
from mer_utils import LABELS, MerError
from mer_utils.dataset import open_dataset

import pytest
from foreign import contents, plant, refuse

INFO = describe("test", 2, LABELS, "a test")
STEMS = ["img011", "img012", "img013", "img014", "img015", "img016"]


def enter(key="a", **more):
    return replace(Entry(key, "S1", ("Negative",), key, f"table.csv, row {key}"), **more)


@pytest.fixture
def source(data, tmp_path):
    """Three clips of frames in folders a, b, c, and one without frames."""
    for k, name in enumerate("abc"):
        plant(data, tmp_path / "source" / name, k, count=6)
    (tmp_path / "source" / "empty").mkdir()
    return tmp_path / "source"


@pytest.mark.parametrize(
    ("numbers", "keys", "expected"),
    [
        ("0", (0, 2, 5), (0, 2, 5)),
        ("1", (1, 3, 6), (0, 2, 5)),
        ("names", (12, 13, 16), (1, 2, 5)),
        ("onset", (12, 14, 16), (1, 3, 5)),  # the names hold the numbers
        ("onset", (500, 503, 505), (0, 3, 5)),  # they do not: the first frame is the onset
        ("names", (None, 13, None), (None, 2, None)),
        ("0", (0, 2, 6), "offset is 6, but no frame of a .* from 0 to 5"),
        ("names", (11, 17, 16), r"apex is 17, but no frame of a .* from 11 to 16\)"),
        ("onset", (None, 3, 5), "onset is empty"),
    ],
)
def test_key_frames_are_counted_as_the_table_counts_them(numbers, keys, expected):
    entry = enter(onset=keys[0], apex=keys[1], offset=keys[2], numbers=numbers)
    if isinstance(expected, tuple):
        keys, lost = find_keys(entry, STEMS)
        assert (*keys.values(),) == expected and not lost
    else:
        with pytest.raises(MerError, match=f"^table.csv, row a: {expected}"):
            find_keys(entry, STEMS)


@pytest.mark.parametrize(
    ("place", "frames"), [("away", None), ("source/inside", ".."), ("source", "."), ("", "source")]
)
def test_frames_are_referenced_from_wherever_the_dataset_lies(source, tmp_path, place, frames):
    before, root = contents(source), tmp_path / place
    said = write_set(source, root, INFO, [enter("a"), enter("b", labels=None, apex=2, fps=29.97)])
    dataset = open_dataset(root)
    labels = "Negative 1, Positive 0, Repression 0, Surprise 0, Others 0"
    missing = "without labels: 1; without an apex: 1."
    assert said == [f"2 clips of 1 subject: {labels}; {missing}"]
    assert dataset.info["frames"] == (frames or str(source)) and not dataset.synthetic
    clip = dataset.clips[1]
    assert clip.folder.resolve() == source / "b" and clip.labels is None
    assert (clip.apex, clip.fps, len(clip.names)) == (2, 29.97, 6)
    for name in ("manifest.csv", "dataset.json"):  # nothing else was written
        (root / name).unlink()
    assert {
        path: data for path, data in contents(source).items() if path.name != "inside"
    } == before


@pytest.mark.parametrize("copy", [False, True])
def test_names_may_be_in_any_script_and_copied_frames_can_move(data, tmp_path, copy):
    name, source = "Clip no 1, wütend", tmp_path / "größe 微 表情"
    plant(data, source / name, 0, "Bild {} ü.png", count=6)
    write_set(source, tmp_path / "däta", INFO, [enter(name, subject='S "1"')], copy=copy)
    if copy:
        shutil.rmtree(source)
    shutil.move(tmp_path / "däta", tmp_path / "moved")
    clip = open_dataset(tmp_path / "moved").clips[0]
    assert clip.subject == 'S "1"' and len(clip.frames) == 6 and clip.frames[0].is_file()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "no clip is left"),
        ([enter("a"), enter("a", path="b")], "row a: the clip 'a' stands at table.csv, row a"),
        ([enter("a", subject="")], "row a: clip a: subject: Field required"),
        ([enter("a", name="x/y")], "row a: the clip name 'x/y'"),
        ([enter("a", path="nowhere")], "row a: .*nowhere is missing"),
        ([enter("a", onset=3, offset=2)], "row a: clip a: onset 3, apex None, offset 2"),
        ([enter("a", apex=99), enter("b"), enter("c", apex=98)],
         r"row a: apex is 99, .*\); row c: apex is 98, .*\) \(2 rows or clips cannot be used\)"),
    ],
)  # fmt: skip
def test_bad_entries_are_named_all_at_once_and_nothing_is_written(
    source, tmp_path, entries, message
):
    for copy in (False, True):
        refuse(message, write_set, source, tmp_path / "new", INFO, entries, copy=copy)
    refuse(message, write_set, source, source, INFO, entries)


def test_labels_that_do_not_fit_are_refused(source, tmp_path):
    info, both = INFO | {"exclusive": True}, [enter("a", labels=("Negative", "Surprise"))]
    refuse("exactly one label must be 1", write_set, source, tmp_path / "x", info, both)
    info, unlabelled = INFO | {"labels": ["a", "A"]}, [enter("a", labels=None)]
    refuse("the same name twice", write_set, source, tmp_path / "x", info, unlabelled)


def test_an_existing_dataset_is_never_overwritten_and_no_part_of_one_stays(
    source, tmp_path, monkeypatch
):
    write_set(source, source, INFO, [enter("a")])
    for copy in (False, True):
        refuse("exists already", write_set, source, source, INFO, [enter("b")], copy=copy)
    (source / "manifest.csv").unlink()
    (source / "dataset.json").unlink()

    def fail(path, *_):
        raise MerError(path, "cannot be written (No space left on device)")

    monkeypatch.setattr(common, "write_json", fail)
    for data in (source, tmp_path / "new"):
        refuse("No space left", write_set, source, data, INFO, [enter("a")])
