"""Faults of people's data and fingers: one sentence that names the place, nothing is lost."""

import json
import os
import shutil
from pathlib import Path

from mer_tools.importing.tables import write_table

import pytest
from foreign import contents


def frames_of(folder):
    return sorted(folder.glob("*.png"))


def _of_two_cameras(folder):
    for path in frames_of(folder):
        shutil.copyfile(path, path.with_name(f"right_{path.name}"))
        path.rename(path.with_name(f"left_{path.name}"))


def _two_frames(folder):
    for path in frames_of(folder)[2:]:
        path.unlink()


# what is wrong with the files of a folder
FOLDERS = {
    "a number twice": lambda folder: shutil.copyfile(frames_of(folder)[2], folder / "2.jpg"),
    "two cameras": _of_two_cameras,
    "no number": lambda folder: shutil.copyfile(frames_of(folder)[2], folder / "cover.png"),
    "no text": lambda folder: frames_of(folder)[2].rename(
        os.fsdecode(os.fsencode(folder) + b"/77\xff.png")
    ),
    "two frames": _two_frames,
    "missing": shutil.rmtree,
}


def refuse(mer, place, *words):
    """Check that a command is refused in one sentence about ``place``, and changes nothing."""
    before = contents(Path.cwd().parent)
    code, out, err = mer(*words)
    assert contents(Path.cwd().parent) == before
    assert code == 1 and err.startswith("mer: ") and err.count("\n") == 1 and not out, (out, err)
    assert "foresaw" not in err and "Traceback" not in err and place in err, err
    return err


def test_spoilt_clips_are_refused_and_the_doctor_finds_them(copy, trained, mer):
    folders = sorted((copy / "clips").iterdir())
    for folder, change in zip(folders, FOLDERS.values(), strict=True):
        change(folder)
        refuse(mer, folder.name, "predict", folder, "--weights", trained[0])
    before = contents(copy)
    code, out, err = mer("doctor", copy, "--jobs", "1", "--json")
    report = json.loads(out)
    assert (code, err, report["sound"]) == (1, "", False) and contents(copy) == before
    wrong = [mend["where"] for mend in report["findings"] if mend["check"] == "rows"]
    assert wrong == [f"manifest.csv, row {row}" for row in range(2, 8)]
    table = copy.parent / "table.csv"
    write_table(table, [{"clip": path.name, "subject": path.name[:3]} for path in folders])
    words = ("import", "frames", copy / "clips", "new", "--table", table, "--jobs", "1")
    err = refuse(mer, folders[0].name, *words)
    assert all(f"row {row}" in err for row in range(2, 8)) and "(6 rows or clips" in err


@pytest.mark.parametrize(
    "words",
    [
        "doctor nowhere", "predict nowhere", "demo nowhere", "book", "status", "run", "keep",
        "exercises", "import 4dme-challenge nowhere new", "import obj nowhere new",
        "import 4dme-release nowhere new", "import flow-images nowhere new",
        "import frames nowhere new --table none.csv", "boxes nowhere --face-model none.onnx",
        "submit nowhere out.csv --weights none.safetensors",
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_in_a_sentence(words, mer):
    refuse(mer, "", *words.split())


def test_nothing_is_written_into_a_dataset_or_over_another_file(copy, trained, mer, tmp_path):
    clip, weights = copy / "clips" / "S01_001", ("--weights", trained[0])
    inside = ("submit", copy, copy / "manifest.csv", *weights, "--overwrite")
    refuse(mer, "inside the dataset", *inside)
    refuse(mer, "inside the dataset", "predict", clip, *weights, "--out", clip)
    bare = Path(shutil.copytree(clip, tmp_path / "bare"))
    refuse(mer, "inside the clip", "predict", bare, *weights, "--out", bare / "answers")
    (Path.cwd() / "out.csv").write_text("mine")
    refuse(mer, "is there already", "submit", copy, "out.csv", *weights)
    (Path.cwd() / "predictions").mkdir()
    answer = Path.cwd() / "predictions" / "bare.json"
    answer.write_text("mine")
    refuse(mer, "bare", "predict", bare, *weights)
    assert mer("predict", bare, *weights, "--overwrite")[0] == 0
    assert json.loads(answer.read_text())["source"] == str(bare)
    twin = shutil.copytree(bare, tmp_path / "another person" / "bare")
    refuse(mer, "another clip of this name", "predict", twin, *weights)
    (Path.cwd() / "file").write_text("mine")
    refuse(mer, "file", "predict", bare, *weights, "--out", "file")
