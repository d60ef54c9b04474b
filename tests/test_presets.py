"""Presets on sets in miniature, and what goes wrong with such tables in people's hands."""

import shutil

from mer_tools.doctor import examine
from mer_tools.importing.presets import PRESETS
from mer_tools.importing.recordings import import_frames, import_preset
from mer_utils.dataset import open_dataset, read_frames

import miniatures
import numpy as np
import pytest
from foreign import refuse, write_rows

CLIPS = miniatures.make_clips()
FILM = CLIPS[0][1]  # 12 frames


def write(name, root):
    """Write the miniature of a preset into a new folder; return it."""
    root.mkdir(exist_ok=True)
    return getattr(miniatures, f"write_{name.replace('-', '_')}")(root, CLIPS)


# preset: options, clips, subjects; the second clip's name, onset, apex, offset, frames, fps; words
SETS = {
    "casme2": ((), 8, 4, ("sub02_EP02_01f", 1, 5, 10, 12, 200),
               "without an apex: 1. Published: 255 clips, 26 subjects"),
    "samm": ((), 8, 4, ("007_2_2", 1, None, 10, 12, 200), "Published: 159 clips"),
    "smic": ((), 8, 4, ("s1_po_05", 0, None, 11, 12, 100), "are face crops and are used whole"),
    "smic-e": ((), 8, 4, ("s2_po_02_36738", 0, None, 9, 10, 100), "Left out: 1 rows of text"),
    "casme": (("--numbers", "names"), 8, 4, ("sub02_EP02_4", 1, 5, 10, 12, 60), "195 clips"),
    "casme-sq": ((), 7, 4, ("s03_disgust1_1_2", 0, 5, 9, 10, 30),
                 "Left out: 1 rows whose Type is not micro-expression: row 1"),
    "casme3": ((), 8, 4, ("spNo.2_a_356", 0, 4, 9, 10, 30),
               "have no row in cas(me)3_part_A_ME_label.xlsx: spNO.1/a/depth"),
    "casme3c": ((), 8, 4, ("02_2_2", 0, None, 9, 10, 30), "described by one reader only"),
    "mmew": ((), 8, 4, ("S02-01-002", 1, 5, 10, 12, 90), "described by one reader only"),
}  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_a_published_set_is_imported_by_one_command(name, mer, tmp_path):
    options, count, people, second, words = SETS[name]
    source, data = write(name, tmp_path / "source"), tmp_path / "set"
    code, out, err = mer("import", name, source, data, *options)
    assert (code, err) == (0, "")
    report, following = out.splitlines()
    assert words in report and following.startswith("next: mer doctor")
    dataset = open_dataset(data)
    clip = dataset.clips[1]
    key_frames = clip.name, clip.onset, clip.apex, clip.offset, len(clip.frames), clip.fps
    assert (len(dataset), len(dataset.subjects), key_frames) == (count, people, second)
    assert not any(finding.level == "mend" for finding in examine(data).findings)


def bring(source, data, name, **options):
    return import_preset(PRESETS[name], source, data, **options)


def test_what_is_not_certain_is_asked_for(tmp_path):
    source, data = write("casme2", tmp_path / "source"), tmp_path / "set"
    rest = bring, source, data, "casme2"
    miniatures.write_casme2(source, CLIPS, cropped=True)  # and writes its table again
    refuse("fits CASME2_RAW_selected/.* and Cropped/.*; choose one: --folder CASME2_RAW", *rest)
    bring(source, tmp_path / "crops", "casme2", folder="Cropped")
    assert open_dataset(tmp_path / "crops").clips[0].boxes == ((0, 0, 48, 48),)
    table = source / "CASME2-coding-20140508.xlsx"
    shutil.copyfile(table, source / "second version.xlsx")
    refuse("has CASME2-coding.*xlsx Sheet, second version.xlsx Sheet; name it with --", *rest)
    bring(source, tmp_path / "named", "casme2", folder="CASME2_RAW", table=table)
    refuse("has no folders of clips as CASME2_RAW.* or", *rest[:1], tmp_path, data, "casme2",
           table=table)  # fmt: skip
    refuse("not certain how the frames of CASME are named; .* --numbers names", bring, source,
           data, "casme")  # fmt: skip
    inner = write("smic-e", tmp_path / "e") / "HS_long" / "SMIC-HS-E"
    refuse("frames a second .* say --fps", bring, inner, data, "smic-e",
           table=inner.parents[1] / "SMIC-HS-E_annotation.xlsx")  # fmt: skip


def test_events_of_a_recording_are_cut_and_it_is_not_copied(tmp_path):
    source = write("casme3", tmp_path / "source")
    bring(source, tmp_path / "set", "casme3")
    clip = open_dataset(tmp_path / "set").clips[4]  # the second of the first person
    assert (clip.name, clip.names[0], clip.names[-1]) == ("spNo.1_a_368", "368.jpg", "377.jpg")
    assert not (tmp_path / "set" / "clips").exists()
    difference = read_frames(clip).astype(int) - CLIPS[4][1][1:11]
    assert np.abs(difference).mean() < 3  # a JPEG's loss
    # frames around stay within the recording, here from 355 to 378
    bring(source, tmp_path / "around", "casme3", around=5)
    clip = open_dataset(tmp_path / "around").clips[4]
    assert (clip.names[0], clip.names[-1]) == ("363.jpg", "378.jpg")
    assert (clip.onset, clip.apex, clip.offset) == (5, 9, 14)
    # one row of the folder has no range
    head, rows = "clip,subject,label,onset,offset", ["a,1,x,1,4", "a,1,y,4,9"]
    miniatures.write_frames(tmp_path / "own" / "a", FILM, "{:02d}.png", 7)
    table = write_rows(tmp_path / "t.csv", head, *rows, "a,1,y,,")
    refuse("row 4: the clip is to be cut out of a and needs onset and offset", import_frames,
           tmp_path / "own", tmp_path / "x", table, numbers="1")  # fmt: skip


HEAD = "clip,subject,label,onset,apex,offset"
ROWS = ("a,1,x,2,5,9", "b,1,y,99,5,9", "nowhere,1,x,2,5,9", ",2,y,2,5,9", "c,1,x,1,x,9",
        "d,2,y,2,9,9",
        "e,2,y,2,5,12", "f,2,x,2,2,9", "g,2,y,2,0,9", "h,2,x,2,-1,9", "i,2,y,2,nan,9")  # fmt: skip


def test_all_faults_of_a_table_are_named_at_once_and_left_out_on_demand(tmp_path, mer):
    source, data = tmp_path / "s", tmp_path / "set"
    for name in "abcdefghi":
        miniatures.write_frames(source / name, FILM[1:], "{}.png", 1)
    table = write_rows(tmp_path / "t.csv", HEAD, *ROWS)
    words = (
        r"row 3: onset is 99, but no frame of b .*\(nearest: 11; they go from 1 to 11\); row 4: "
        r".*nowhere is missing.*; row 5: clip is empty.*; row 6: apex is 'x'.*; row 7: clip d: "
        r"onset 1, apex 8, .*; row 8: offset is 12, .* \(6 rows or clips cannot be used\); "
        r"--skip-faulty leaves"
    )
    for copy in (False, True):
        refuse(words, import_frames, source, data, table, copy=copy, skip_faulty=False)
    code, out, err = mer("import", "frames", source, tmp_path / "kept", "--table", table,
                         "--skip-faulty", "--copy")  # fmt: skip
    assert (code, err) == (0, "")
    assert "Left out: 6 rows that cannot be used: row 3: onset" in out
    # onset = apex, 0, -1 and nan are no apex
    assert out.startswith("5 clips of 2 subjects: x 3, y 2; without an apex: 4.")
    clips = open_dataset(tmp_path / "kept").clips
    assert [(clip.name, clip.apex) for clip in clips][:2] == [("a", 4), ("f", None)]
    assert sorted(path.name for path in (tmp_path / "kept" / "clips").iterdir()) == [*"afghi"]


def test_a_lost_frame_is_another_one_on_demand_only(tmp_path, mer):
    miniatures.write_frames(tmp_path / "s" / "a", FILM[:10], "{}.png", 1)
    table = write_rows(tmp_path / "t.csv", HEAD, "a,1,x,0,4,12")
    args = "import", "frames", tmp_path / "s", tmp_path / "set", "--table", table
    code, _, err = mer(*args)
    assert code == 1 and "onset is 0" in err and "--nearest-frame takes the nearest" in err
    code, out, _ = mer(*args, "--nearest-frame")
    assert "Lost: row 2, onset 0 is now 1" in out and "offset 12 is now 10" in out
    clip = open_dataset(tmp_path / "set").clips[0]
    assert (clip.onset, clip.apex, clip.offset) == (0, 3, 9)


def test_people_of_two_sets_in_one_table_are_told_apart(tmp_path, mer):
    for name in "abc":
        miniatures.write_frames(tmp_path / "s" / name, FILM, "{}.png")
    rows = "clip,dataset,Subject,label", "a,X,1,x", "b,Y,1,y", "c,X,01,y"
    table = write_rows(tmp_path / "t.csv", *rows)
    args = "import", "frames", tmp_path / "s", "--table", table
    code, out, _ = mer(*args, tmp_path / "set", "--subject", "{dataset}{Subject:0>2}")
    assert code == 0 and "One person in several spellings: X 01, X 1 are X01." in out
    assert open_dataset(tmp_path / "set").subjects == ["X01", "Y01"]
    rows = "clip,dataset,Subject,label", "a,X,1,x", "b,Y,1,y", "c,X,2,y"
    args = *args[:3], "--table", write_rows(tmp_path / "t.csv", *rows)
    code, out, _ = mer(*args, tmp_path / "plain", "--columns", "subject=Subject")
    assert code == 0 and "3 clips of 3 subjects" in out and "X 2, Y 1" in out
    assert open_dataset(tmp_path / "plain").subjects == ["X/1", "X/2", "Y/1"]
    write_rows(tmp_path / "t.csv", *rows[1:])
    names = "--columns", "subject=column 3,label=column 4", "--folder", "{column 1}"
    code, out, _ = mer(*args, tmp_path / "bare", "--no-header", *names)
    assert code == 0 and "3 clips of 2 subjects: x 1, y 2." in out


def test_without_a_table_folders_say_what_clips_are(tmp_path):
    for path in ("P1/joy/a", "P2/fear/b", "P2/notes"):
        miniatures.write_frames(tmp_path / "s" / path, FILM, "{}.png")
    said = import_frames(tmp_path / "s", tmp_path / "set", folder="{subject}/{label}/{clip}")
    assert said[0] == "2 clips of 2 subjects: fear 1, joy 1."
    assert said[1].endswith("do not fit {subject}/{label}/{clip}: P2/notes.")
    for folder, words in {
        "{subject}/x/{clip}": "has no folder of frames that fits",
        "{clip}": "must have {subject} and {clip}",
    }.items():
        refuse(words, import_frames, tmp_path / "s", tmp_path / "x", folder=folder)
