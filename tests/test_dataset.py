import json

from mer_utils import LABELS, MerError
from mer_utils.dataset import encode_png, list_frames, open_dataset, read_boxes, read_frames, survey
from mer_utils.preprocessing import format_boxes

import cv2
import numpy as np
import pytest


def edit(root, row, **cells):
    """Replace cells of a row (from 1) of the manifest; new columns are empty elsewhere."""
    path = root / "manifest.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    for column, value in cells.items():
        if column not in lines[0]:
            lines = [[*line, ""] for line in lines]
            lines[0][-1] = column
        lines[row][lines[0].index(column)] = value
    path.write_text("\n".join(map(",".join, lines)) + "\n")


def tell(root, **facts):
    info = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(info | facts))


def refuse(root, words):
    with pytest.raises(MerError, match=words) as caught:
        open_dataset(root)
    assert str(root) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("negative", "2", "row 2: negative is '2', but must be 0 or 1"),
        ("clip", "../S01_001", "row 2: .*plain folder name"),
        ("clip", "nowhere", "nowhere is missing"),
        ("clip", "S01_002", "row 3: .*listed twice .first in row 2"),
        ("subject", "", "row 2: subject: Field required"),
        ("onset", "first", "row 2: onset is 'first': Input should be a valid integer"),
        ("offset", "999", "row 2: .*onset < apex < offset"),
        ("fps", "0", "row 2: fps is '0'"),
        ("fps", "30,1", "row 2: has more cells"),
        ("box", "30 40 130 140", "row 2: box .* for each of 2 views"),
        ("frames", "../copy/clips/S01_001", "row 2: the path .* must lead downwards"),
    ],
)
def test_a_bad_row_is_named(copy, column, value, message):
    edit(copy, 1, **{column: value})
    refuse(copy, message)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"name": ""}, "name is ''"),
        ({"views": 3}, "views is 3: Input should be less than or equal to 2"),
        ({"labels": ["Negative", "negative"]}, "labels is .*the same name twice"),
        ({"labels": ["Fear"]}, "needs one column 'fear'"),
        ({"exclusive": True}, "exactly one label"),
        ({"frames": "nowhere"}, "nowhere: no such folder; .*dataset.json says"),
        ({"channels": ["u", "v"]}, "channels is .*at least 3 items"),
    ],
)
def test_a_bad_dataset_json_is_named(copy, facts, words):
    edit(copy, 1, negative="1", positive="1")
    tell(copy, **facts)
    refuse(copy, words)


def test_a_file_that_is_no_table_or_missing_is_named(copy):
    (copy / "manifest.csv").rename(copy / "table.csv")
    refuse(copy, r"manifest\.csv: no such file")
    for text, words in (("[[1]]", "is .*valid dictionary"), ("{", "not readable as JSON")):
        (copy / "dataset.json").write_text(text)
        refuse(copy, rf"dataset\.json: {words}")
    (copy / "dataset.json").unlink()
    refuse(copy, r"dataset\.json: no such file")


SPELLINGS = [("1", "01", True), ("P1", "p01", True), ("S 7", "s7", True), ("sub_2", "SUB2", True)]
SPELLINGS += [("S13_1", "S131", False), ("1", "10", False), ("P1", "P11", False)]


@pytest.mark.parametrize(("one", "other", "same"), SPELLINGS)
def test_a_person_in_two_spellings_is_refused(copy, data, one, other, same):
    edit(copy, 1, subject=one)
    edit(copy, 4, subject=other)
    words = f"row 5: the subject '{other}' and '{one}' of the clip {data.clips[0].name} differ"
    if same:
        refuse(copy, f"{words} by .* alone; give one person one name")
        bad = [row for row in survey(copy)[1] if isinstance(row, MerError)]
        assert len(bad) == 1
    else:
        assert {one, other} <= set(open_dataset(copy).subjects)


def test_a_person_is_named_by_the_set_where_sets_are_joined(copy):
    for row in range(1, 7):
        edit(copy, row, subject="01", dataset="A")
    assert open_dataset(copy).subjects == ["01"]
    for row in range(4, 7):
        edit(copy, row, subject="1", dataset="B")  # another spelling of another person
    dataset = open_dataset(copy)
    assert dataset.subjects == ["A/01", "B/1"] and dataset.clips[3].dataset == "B"
    edit(copy, 5, dataset="")
    refuse(copy, "row 6: dataset is empty")


def test_empty_cells_have_defaults_and_a_byte_order_mark_is_skipped(copy):
    edit(copy, 1, apex="", fps="", onset="", offset="", box="10 20 110 120;30 40 130 140")
    path = copy / "manifest.csv"
    path.write_text("\ufeff" + path.read_text(), encoding="utf-8")
    clip = open_dataset(copy).clips[0]
    assert clip.apex is None and clip.fps is None
    assert (clip.onset, clip.offset) == (0, len(clip.frames) - 1)
    assert clip.boxes == ((10, 20, 110, 120), (30, 40, 130, 140))
    assert read_boxes("row 2", format_boxes(clip.boxes), 2) == clip.boxes
    edit(copy, 2, **dict.fromkeys(map(str.lower, LABELS), ""))
    dataset = open_dataset(copy)
    assert [k for k, clip in enumerate(dataset.clips) if clip.labels is None] == [1]
    with pytest.raises(MerError, match="S01_002: has no labels"):
        dataset.label_matrix()


def test_frames_are_sorted_by_all_their_numbers(tmp_path):
    names = ["img6_1_100.png", "img006_1_05562.jpg", "img006_1_05563.png", "img10_2.png"]
    for name in (*names[::-1], "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_frames(tmp_path)] == names
    (tmp_path / "left6_1_100.png").write_bytes(b"")
    with pytest.raises(MerError, match="have the same numbers"):
        list_frames(tmp_path)
    (tmp_path / "cover.png").write_bytes(b"")
    with pytest.raises(MerError, match="needs a number"):
        list_frames(tmp_path)


def test_unusable_frames_are_named(copy, data):
    clip = open_dataset(copy).clips[0]
    cv2.imwrite(str(clip.frames[3]), np.zeros((10, 12), np.uint8))
    words = r"0003\.png: 12 x 10 px, but the clip's first frame is 336 x 224"
    with pytest.raises(MerError, match=words):
        read_frames(clip)
    edit(copy, 1, onset="", apex="", offset="")
    for path in clip.frames[1:]:
        path.unlink()
    refuse(copy, "row 2: onset 0, apex None, offset 0 must satisfy")
    clip.frames[0].unlink()
    refuse(copy, "row 2: .*holds no frames")


def test_the_fingerprint_sees_a_changed_pixel_and_a_changed_cell(copy, data):
    assert open_dataset(copy).fingerprint == data.fingerprint
    path = open_dataset(copy).clips[-1].frames[-1]
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    image[0, 0] ^= 1
    path.write_bytes(encode_png(image))
    changed = open_dataset(copy).fingerprint
    assert changed != data.fingerprint
    edit(copy, 1, fps="30")
    assert open_dataset(copy).fingerprint != changed
