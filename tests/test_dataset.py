import json
import shutil

from faces4d.motion import read_truth
from mer_utils import LABELS, MerError
from mer_utils.dataset import encode_png, list_frames, open_dataset, read_boxes, read_frames, survey
from mer_utils.preprocessing import format_boxes

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st


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
    assert (
        len(data) == 6
        and data.subjects == ["S01", "S02"]
        and data.views == 2
        and data.labels == LABELS
    )
    assert data.label_matrix().shape == (6, 5) and data.label_matrix().sum(1).min() >= 1
    for clip in data.clips:
        raw = read_frames(clip)
        assert raw.shape == (len(clip.frames), 224, 2 * 168) and raw.dtype == np.uint8
        assert 0 <= clip.onset < clip.apex < clip.offset < len(clip.frames)
        assert read_truth(data, clip).apex == clip.apex


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("negative", "2", "negative is '2', but must be 0 or 1"),
        ("clip", "../S01_001", "plain folder name"),
        ("clip", "/etc", "plain folder name"),
        ("clip", "nowhere", "nowhere is missing"),
        ("subject", "", "subject: Field required"),
        ("onset", "first", "onset is 'first': Input should be a valid integer"),
        ("offset", "999", "onset < apex < offset"),
        ("apex", "0", "onset < apex < offset"),
        ("clip", "S01_002", "listed twice"),
    ],
)
def test_a_bad_row_is_named(copy, column, value, message):
    edit(copy, 1, column, value)
    with pytest.raises(MerError, match=message) as caught:
        open_dataset(copy)
    assert (
        "nowhere" in str(caught.value)
        or "row 2" in str(caught.value)
        or "row 3" in str(caught.value)
    )
    assert "\n" not in str(caught.value)


def test_empty_apex_and_key_frames_have_defaults(copy):
    for column in ("apex", "fps", "onset", "offset"):
        edit(copy, 1, column, "")
    clip = open_dataset(copy).clips[0]
    assert clip.apex is None and clip.fps is None
    assert (clip.onset, clip.offset) == (0, len(clip.frames) - 1)


def test_missing_files_and_columns_are_named(copy):
    (copy / "manifest.csv").write_text("clip,subject\nS01_001,S01\n")
    with pytest.raises(MerError, match="needs one column 'negative'"):
        open_dataset(copy)
    (copy / "manifest.csv").unlink()
    with pytest.raises(MerError, match="no such file"):
        open_dataset(copy)
    (copy / "dataset.json").write_text("{}")
    with pytest.raises(MerError, match="name: Field required"):
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
    assert [path.name for path in list_frames(tmp_path)] == [
        "img9_7.png",
        "img10_2.png",
        "img100.jpg",
    ]
    (tmp_path / "cover.png").write_bytes(b"")
    with pytest.raises(MerError, match="needs a number"):
        list_frames(tmp_path)


def test_unreadable_and_unequal_frames_are_named(copy):
    clip = open_dataset(copy).clips[0]
    cv2.imwrite(str(clip.frames[3]), np.zeros((10, 12), np.uint8))
    with pytest.raises(
        MerError, match=r"0003\.png: 12 x 10 px, but the clip's first frame is 336 x 224"
    ):
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


def add_column(root, name, values):
    path = root / "manifest.csv"
    header, *lines = path.read_text().splitlines()
    rows = [f"{line},{value}" for line, value in zip(lines, values, strict=True)]
    path.write_text("\n".join([f"{header},{name}", *rows]) + "\n")


def tell(root, **facts):
    info = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(info | facts))


def refuse(root, words):
    with pytest.raises(MerError, match=words) as caught:
        open_dataset(root)
    assert str(root) in str(caught.value) and "\n" not in str(caught.value)


def test_frames_may_lie_elsewhere_under_other_names(copy, data, tmp_path):
    away = tmp_path / "my films ü"
    (copy / "clips").rename(away)
    names = [clip.name for clip in data.clips]
    (away / "deeper").mkdir()
    (away / names[0]).rename(away / "deeper" / "first clip")
    add_column(copy, "frames", ["deeper/first clip", *[""] * 5])
    refuse(copy, "clips: no such folder; .*dataset.json says that the frames lie there")
    for place in (str(away), "../my films ü"):
        tell(copy, frames=place)
        found = open_dataset(copy)
        np.testing.assert_array_equal(read_frames(found.clips[0]), read_frames(data.clips[0]))
        assert [clip.name for clip in found.clips] == names


@pytest.mark.parametrize("path", ["../copy/clips/S01_001", "/etc", "a/../../b", ".."])
def test_a_path_never_leads_out_of_the_folder(copy, path):
    add_column(copy, "frames", [path, *[""] * 5])
    refuse(copy, "row 2: the path .* must lead downwards")


def test_survey_names_every_bad_row_and_returns_the_good_ones(copy):
    edit(copy, 1, "negative", "2")
    edit(copy, 3, "offset", "999")
    edit(copy, 5, "fps", "0")
    _, rows = survey(copy)
    bad = {k: str(row) for k, row in enumerate(rows) if isinstance(row, MerError)}
    assert set(bad) == {0, 2, 4} and [rows[k].name for k in (1, 3, 5)]
    assert "row 2" in bad[0] and "row 4" in bad[2] and "row 6: fps is '0'" in bad[4]


def test_a_row_without_any_label_is_unlabelled(copy):
    for label in LABELS:
        edit(copy, 2, label.lower(), "")
    found = open_dataset(copy)
    assert [clip.labels is None for clip in found.clips] == [
        False,
        True,
        False,
        False,
        False,
        False,
    ]
    with pytest.raises(MerError, match="S01_002: has no labels"):
        found.label_matrix()
    edit(copy, 2, "negative", "1")
    refuse(copy, "row 3: positive is ''")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"views": 3}, "views is 3: Input should be 1 or 2"),
        ({"labels": "Negative"}, "labels is 'Negative': Input should be a valid list"),
        ({"labels": []}, "labels is .*at least 1 item"),
        ({"labels": ["Negative", "negative"]}, "labels is .*holds the same name twice"),
        ({"exclusive": "no"}, "exclusive is 'no': Input should be a valid boolean"),
        ({"frames": 3}, "frames is 3: Input should be a valid string"),
        ({"channels": ["u", "v"]}, "channels is .*at least 3 items"),
        ({"channels": ["u", "v", "u"]}, "channels is .*holds the same name twice"),
    ],
)
def test_a_bad_dataset_json_is_named(copy, facts, words):
    tell(copy, **facts)
    refuse(copy, words)


def test_one_frame_and_an_empty_folder_are_refused(copy, data):
    folder = copy / "clips" / data.clips[0].name
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    for column in ("onset", "apex", "offset"):
        edit(copy, 1, column, "")
    refuse(copy, "row 2: onset 0, apex None, offset 0 must satisfy")
    for path in folder.iterdir():
        path.unlink()
    refuse(copy, "row 2: .*holds no frames")


def test_boxes_are_written_as_they_are_read():
    boxes = ((1, 2, 30, 40), (5, 6, 70, 80))
    assert read_boxes("row 2", format_boxes(boxes), 2) == boxes
    assert read_boxes("row 2", " ", 2) is None


@pytest.mark.slow
@settings(
    max_examples=100, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=12), min_size=1, max_size=4),
    st.booleans(),
)
@example([["x" * 300, "S01", "1", "0", "0", "0", "0", "", "", ""]], True)
def test_any_manifest_is_a_dataset_or_one_sentence(copy, rows, header):
    labels = ",".join(LABELS).lower()
    lines = [f"clip,subject,{labels},onset,apex,offset,fps,box"] * header
    lines += [",".join(row) for row in rows]
    (copy / "manifest.csv").write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    try:
        assert all(clip.frames for clip in open_dataset(copy).clips)
    except MerError as error:
        assert str(copy) in str(error)
