import json
import shutil

import cv2
import numpy as np
import pytest

from mer_utils import MerError
from mer_utils.clips import list_frames, open_dataset, read_frames
from mer_utils.images import encode_png
from mer_utils.scenario import LABELS


@pytest.fixture
def copy(data, tmp_path):
    return shutil.copytree(data.root, tmp_path / "copy")


def edit(root, row, column, value):
    """Replace one cell of the manifest (row counted from 1, the header apart)."""
    path = root / "manifest.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[row][lines[0].index(column)] = value
    path.write_text("\n".join(map(",".join, lines)) + "\n")


def test_what_was_written_is_read_back(data):
    assert len(data) == 6 and data.subjects == ["S01", "S02"] and data.views == 2 and data.labels == LABELS
    assert data.label_matrix().shape == (6, 5) and data.label_matrix().sum(1).min() >= 1
    for clip in data.clips:
        raw = read_frames(clip)
        assert raw.shape == (len(clip.frames), 224, 2 * 168) and raw.dtype == np.uint8
        assert 0 <= clip.onset < clip.apex < clip.offset < len(clip.frames)
        assert data.truth(clip).apex == clip.apex


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("negative", "2", "negative is '2', but must be 0 or 1"),
        ("clip", "../S01_001", "plain folder name"),
        ("clip", "/etc", "plain folder name"),
        ("clip", "nowhere", "no such folder"),
        ("subject", "", "subject is empty"),
        ("onset", "first", "onset is 'first', but must be a whole number"),
        ("offset", "999", "onset < apex < offset"),
        ("apex", "0", "onset < apex < offset"),
        ("clip", "S01_002", "listed twice"),
    ],
)
def test_a_bad_row_is_named(copy, column, value, message):
    edit(copy, 1, column, value)
    with pytest.raises(MerError, match=message) as caught:
        open_dataset(copy)
    assert "nowhere" in str(caught.value) or "row 2" in str(caught.value) or "row 3" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_empty_apex_and_key_frames_have_defaults(copy):
    for column in ("apex", "fps", "onset", "offset"):
        edit(copy, 1, column, "")
    clip = open_dataset(copy).clips[0]
    assert clip.apex is None and clip.fps is None
    assert (clip.onset, clip.offset) == (0, len(clip.frames) - 1)


def test_missing_files_and_columns_are_named(copy):
    (copy / "manifest.csv").write_text("clip,subject\nS01_001,S01\n")
    with pytest.raises(MerError, match="lacks the column 'negative'"):
        open_dataset(copy)
    (copy / "manifest.csv").unlink()
    with pytest.raises(MerError, match="no such file"):
        open_dataset(copy)
    (copy / "dataset.json").write_text("{}")
    with pytest.raises(MerError, match="lacks name"):
        open_dataset(copy)


def test_exclusive_sets_want_one_label(copy):
    info = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps(info | {"exclusive": True}))
    edit(copy, 1, "negative", "1")
    edit(copy, 1, "positive", "1")
    with pytest.raises(MerError, match="exactly one label"):
        open_dataset(copy)


def test_a_manifest_with_a_byte_order_mark_and_boxes(copy):
    path = copy / "manifest.csv"
    lines = path.read_text().splitlines()
    boxed = [lines[0] + ",box", *(line + ",10 20 110 120;30 40 130 140" for line in lines[1:])]
    path.write_text("\ufeff" + "\n".join(boxed) + "\n", encoding="utf-8")
    assert open_dataset(copy).clips[0].boxes == ((10, 20, 110, 120), (30, 40, 130, 140))
    path.write_text(path.read_text(encoding="utf-8-sig").replace("10 20 110 120;", "", 1))
    with pytest.raises(MerError, match="for each of 2 views"):
        open_dataset(copy)


def test_frames_are_sorted_by_their_first_number(tmp_path):
    for name in ("img10_2.png", "img9_7.png", "img100.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(encode_png(np.zeros((4, 4), np.uint8)))
    assert [path.name for path in list_frames(tmp_path)] == ["img9_7.png", "img10_2.png", "img100.jpg"]
    (tmp_path / "cover.png").write_bytes(b"")
    with pytest.raises(MerError, match="needs a number"):
        list_frames(tmp_path)


def test_unreadable_and_unequal_frames_are_named(copy):
    clip = open_dataset(copy).clips[0]
    cv2.imwrite(str(clip.frames[3]), np.zeros((10, 12), np.uint8))
    with pytest.raises(MerError, match=r"0003\.png: 12 x 10 px, but the clip's first frame is 336 x 224"):
        read_frames(clip)
    clip.frames[3].write_text("not a picture")
    with pytest.raises(MerError, match=r"0003\.png: not readable as an image"):
        read_frames(clip)


def test_the_fingerprint_sees_a_changed_pixel_and_a_changed_label(copy, data):
    assert open_dataset(copy).fingerprint == data.fingerprint
    path = open_dataset(copy).clips[-1].frames[-1]
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    image[0, 0] ^= 1
    path.write_bytes(encode_png(image))
    changed = open_dataset(copy).fingerprint
    assert changed != data.fingerprint
    edit(copy, 1, "fps", "30")
    assert open_dataset(copy).fingerprint != changed
