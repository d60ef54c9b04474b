"""Sources with a table: 4DME's release, and folders of frames or films that a table lists."""

from mer_tools.importing.recordings import import_frames
from mer_tools.importing.release import import_release, mend_rows
from mer_tools.importing.tables import read_table
from mer_utils.dataset import open_dataset, read_frames

import miniatures
import numpy as np
import pytest
from foreign import plant, refuse, write_film, write_rows, write_xlsx

COLUMNS = ("fold", "sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs", "AU1")
ROWS = (
    (1, "S13_1st", "S13_1st_001_01_1", "Positive+Surprise", 100, 103, 107, "AU4(k)+L7", None),
    (1, "S13_2nd", "S13_2nd_002_01_1", "Negative", 2040, 2044, 2047, "AUR2+12(k)+45", 1),
    (2, "S20", "S20_001_01_1", "negative + Repression", 5, 99, 12, "what?", None),
)
SHEET = "4DME_Labelling_Micro_release v1.xlsx"


@pytest.fixture
def release(data, tmp_path):
    """Three clips of 8 frames; the first one's names hold the recording's numbers."""
    root = tmp_path / "release"
    for k, (_, person, name, _, onset, *_) in enumerate(ROWS):
        folder, first = root / "gray_micro" / person / name, onset if k == 0 else 1
        plant(data, folder, k, "gray_{}.jpg.png", first, 8)
    write_xlsx(root / SHEET, COLUMNS, *ROWS)
    return root


def mend(tmp_path, *lines):
    return write_rows(tmp_path / "faults.csv", "row,action,column,value,note", *lines)


def test_the_release_is_imported(release, tmp_path, data):
    plant(data, release / "gray_micro" / "S20" / "S20_009_01_1", 0, count=3)
    faults = mend(tmp_path, "2,clear,Apex,,out of bounds")
    text = "\n".join(import_release(release, tmp_path / "set", faults=faults))
    dataset = open_dataset(tmp_path / "set")
    assert dataset.views == 1 and not dataset.exclusive and dataset.info["published"] == "4DME"
    rows = [(c.name, c.subject, c.labels, c.onset, c.apex, c.offset) for c in dataset.clips]
    assert rows == [
        (ROWS[0][2], "S13", (0, 1, 0, 1, 0), 0, 3, 7),
        (ROWS[1][2], "S13", (1, 0, 0, 0, 0), 0, 4, 7),
        (ROWS[2][2], "S20", (1, 0, 1, 0, 0), 0, None, 7),
    ]
    rows = read_table(tmp_path / "set" / "manifest.csv")
    assert [row.cells["aus"] for row in rows] == ["L7", "R2 45", ""]
    assert "S13_1st, S13_2nd are S13" in text and "row 4 'what?'" in text
    assert "Mended: S20_001_01_1, Apex 99 is now (empty) (out of bounds)." in text
    assert f"1 folders or films that have no row in {SHEET}: gray_micro/S20/S20_009_01_1" in text


def test_the_sheets_faults_are_mended_by_a_table(release, tmp_path):
    path = release / SHEET
    rows = read_table(path)
    lines = "0,swap,,1,why", "2,set,Emotion,Surprise+Positive,both", "2,clear,Apex,,far"
    mended, said = mend_rows(path, rows, mend(tmp_path, *lines))
    columns = ("fold_name", "Emotion", "Onset", "Apex", "AUs")
    assert [[row.cells[key] for key in columns] for row in mended] == [
        ["S13_1st_001_01_1", "Negative", "2040", "2044", "AUR2+12(k)+45"],
        ["S13_2nd_002_01_1", "Positive+Surprise", "100", "103", "AU4(k)+L7"],
        ["S20_001_01_1", "Surprise+Positive", "5", "", "what?"],
    ]
    assert len(said) == 3 and mend_rows(path, rows, "none") == (rows, [])
    # a sheet of three rows is not the one that the built-in table is of
    mended, said = mend_rows(path, rows)
    assert mended == rows and said[0].startswith("No fault was mended: '26' is no row")
    for line in ("9,clear,Apex,,", "0,drop,Apex,,", "0,set,Apfel,7,"):
        message = "faults.csv, row 2: '.*' is no row or column of 4DME"
        refuse(message, import_release, release, tmp_path / "x", faults=mend(tmp_path, line))


def test_the_built_in_faults_are_those_of_the_release(tmp_path):
    lines = [
        f"1,S{n % 24}_1,S{n % 24}_1_{n:03d},Negative,{100 + n},{105 + n},{110 + n},AU4"
        for n in range(267)
    ]
    path = write_rows(tmp_path / "sheet.csv", ",".join(COLUMNS[:-1]), *lines)
    mended, said = mend_rows(path, read_table(path))
    cells = {n - 2: list(cells.values()) for n, cells in mended}
    changed = [n for n in cells if ",".join(cells[n]) != lines[n]]
    assert changed == [26, 144, 145, 263] and len(said) == 4
    assert (cells[144][4], cells[26][5], cells[263][3]) == ("245", "", "Surprise+Positive")


def test_frames_may_be_counted_and_labels_missing(data, tmp_path):
    for k, name in enumerate(("a", "b", "unlisted")):
        plant(data, tmp_path / "s" / name, k, count=9)
    rows = "clip;subject;label;onset;apex;offset", "a;1;x+y;1;5;9", "b;1;NaN;;;"
    options = {"numbers": "1", "exclusive": False, "views": 2}
    table = write_rows(tmp_path / "t.csv", *rows)
    said = import_frames(tmp_path / "s", tmp_path / "set", table, **options)
    dataset = open_dataset(tmp_path / "set")
    assert dataset.labels == ("x", "y")
    rows = [(clip.labels, clip.onset, clip.apex, clip.offset) for clip in dataset.clips]
    assert rows == [((1, 1), 0, 4, 8), (None, 0, None, 8)]
    assert said[1] == "Left out: 1 folders or films that have no row in t.csv: unlisted."


def test_films_are_decoded_cut_and_mixed_with_frames(data, tmp_path):
    source, raw = tmp_path / "s", read_frames(data.clips[0])[:8]
    write_film(source / "P1" / "one clip.avi", raw, 50)
    write_film(source / "P1" / "two.mp4", raw, 30)
    plant(data, source / "P2" / "three", 1, count=7)
    rows = "P1,one clip.avi,a,1,,", "P1,two.mp4,b,,,200", "P2,three,a,2,,"
    head = "who,what,kind,first,last,rate"
    table = write_rows(tmp_path / "t.csv", head, *rows)
    columns = {"subject": "who", "label": "kind", "onset": "first", "offset": "last", "fps": "rate"}
    rest = table, "{who}/{what}", columns
    said = import_frames(source, tmp_path / "set", *rest, numbers="0", views=2)
    clips = open_dataset(tmp_path / "set").clips
    assert [(clip.name, clip.fps, clip.onset, len(clip.frames)) for clip in clips] == [
        ("P1_one clip", 50, 1, 8), ("P1_two", 200, 0, 8), ("P2_three", None, 2, 7),
    ]  # fmt: skip
    assert "2 films were decoded" in said[1]
    # compressed with loss
    assert np.abs(read_frames(clips[0]).astype(int) - raw).mean() < 4
    out, unnamed = tmp_path / "x", "row 2: the frames of the film P1/one clip.avi have no names"
    refuse(unnamed, import_frames, source, out, *rest)

    # two events of one film, which share a frame
    twice = write_rows(tmp_path / "t.csv", head, "P1,two.mp4,b,1,4,", "P1,two.mp4,a,4,7,")
    said = import_frames(source, tmp_path / "cut", twice, *rest[1:], numbers="0", views=2)
    assert "LOOK: 1 pairs of clips share frames: row 2 and row 3." in said
    clips = open_dataset(tmp_path / "cut").clips
    assert [(c.name, c.names[0], len(c.names), c.onset, c.offset) for c in clips] == [
        ("P1_two_1", "0001.png", 4, 0, 3), ("P1_two_4", "0004.png", 4, 0, 3),
    ]  # fmt: skip


def test_a_bad_label_of_the_release_is_named(release, tmp_path):
    words = "the label 'Anger' is none of Neg", r"the label 'Positive\+' has an"
    for label, message in zip(("Anger", "Positive+"), words, strict=True):
        rows = [list(cells) for cells in ROWS[:2]]
        rows[0][3] = label
        write_xlsx(release / SHEET, COLUMNS, *rows)
        source = release, tmp_path / "set"
        refuse(f"v1.xlsx, row 2: {message}", import_release, *source, faults="none")


THEIRS = {"subject": "Subject", "label": "Estimated Emotion", "onset": "OnsetFrame"}
FOLDER = "CASME2_RAW_selected/sub{Subject:0>2}/{Filename}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folder": "sub{Clip}"}, "cannot be read .'Clip'.; the table has Subject, Filename"),
        ({"folder": "*/sub{Subject:0>2}"}, "row 2: .*sub01: holds no .*; row 3: .*sub02: holds no"),
        ({"columns": THEIRS | {"apex": "Apex"}}, "lacks the column 'Apex'"),
        ({"columns": THEIRS | {"top": "ApexFrame"}}, "top.* is 'top': Input should be 'subject'"),
        ({"columns": {"label": "Estimated Emotion"}}, "lacks the column 'subject'; it has Subject"),
        ({"numbers": "1"}, "row 2: onset is 47, but no frame .* from 1 to 12"),
        ({"fps": float("nan")}, "fps is nan: "),
        ({"classes": "three"}, r"three_classes.csv: has no row for 'disgust' \(row 2\)"),
    ],
)
def test_bad_options_are_refused(tmp_path, options, message):
    """Of a set in the manner of CASME II, whose file names count from the recording's frames."""
    (tmp_path / "casme").mkdir()
    source = miniatures.write_casme2(tmp_path / "casme", miniatures.make_clips(2))
    table = source / "CASME2-coding-20140508.xlsx"
    options = {"folder": FOLDER, "columns": THEIRS} | options
    refuse(message, import_frames, source, tmp_path / "set", table, **options)
