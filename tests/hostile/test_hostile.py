"""What people's data and fingers do to the command line: whatever it is, it is refused in
one sentence that names the place, nothing is lost and nothing is left behind.
"""

import json
import os
import shutil
import warnings
from pathlib import Path

from mer_tools.importing.tables import write_table

import numpy as np
import pytest
import spoil
from foreign import write_film
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CLIP = "S01_001"


@pytest.fixture
def own(data, tmp_path):
    """A copy of the small dataset in the folder "mine"."""
    return Path(shutil.copytree(data.root, tmp_path / "mine"))


def contents(root):
    """Return {path: what it holds} of all that lies below a folder, links as links."""
    found = {}
    for folder, inner, names in os.walk(root):
        for name in [*inner, *names]:
            path = Path(folder, name)
            link = path.is_symlink()
            found[path] = os.readlink(path) if link else path.is_file() and path.read_bytes()
    return found


def refuse(mer, place, *words, code=1):
    """Check that a command is refused in one sentence about ``place``, and changes nothing."""
    before = contents(Path.cwd().parent)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        ended, out, err = mer(*words)
    assert contents(Path.cwd().parent) == before
    assert ended == code, (ended, out, err)
    if code == 1:
        assert err.startswith("mer: ") and err.count("\n") == 1 and not out, (out, err)
    assert "foresaw" not in err and "Traceback" not in err and place in err, err
    return err


@pytest.mark.parametrize("name", [*spoil.PICTURES, *spoil.FOLDERS])
def test_a_spoilt_clip_gets_no_prediction_and_the_doctor_finds_it(name, own, trained, mer):
    folder = own / "clips" / CLIP
    (spoil.PICTURES | spoil.FOLDERS)[name](folder)
    refuse(mer, CLIP, "predict", folder, "--weights", trained[0])
    before = contents(own)
    code, out, err = mer("doctor", own, "--jobs", "1", "--json")
    report = json.loads(out)
    assert (code, err, report["sound"]) == (1, "", False) and contents(own) == before
    mends = [f"{mend['where']} {mend['what']}" for mend in report["findings"]
             if mend["level"] == "mend" and mend["check"] != "labels"]  # fmt: skip
    assert mends and all(CLIP in text or "row 2" in text for text in mends)
    assert int(report["checks"]["rows"].split()[0]) >= 5  # of six


@pytest.mark.parametrize("name", spoil.FOLDERS)
@pytest.mark.parametrize("copy", [(), ("--copy",)], ids=["referenced", "copied"])
def test_a_spoilt_clip_is_not_imported(name, copy, own, mer):
    spoil.FOLDERS[name](own / "clips" / CLIP)
    table = own.parent / "table.csv"
    write_table(table, [{"clip": CLIP, "subject": "S01"}])
    words = ("import", "frames", own / "clips", "new", "--table", table, *copy, "--jobs", "1")
    refuse(mer, CLIP, *words)


FILMS = {
    "cut": ("avi", lambda data: data[: int(0.93 * len(data))]),
    "cut in half": ("avi", lambda data: data[: len(data) // 2]),
    "bytes flipped": ("avi", spoil.flip),
    "mp4 cut": ("mp4", lambda data: data[: int(0.93 * len(data))]),
    "mkv cut": ("mkv", lambda data: data[: int(0.9 * len(data))]),
}


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("entry", ["predict", "import"])
def test_a_spoilt_film_is_refused(name, entry, trained, mer, tmp_path):
    ending, change = FILMS[name]
    film = tmp_path / "films" / f"F1.{ending}"
    grey = np.random.default_rng(0).integers(0, 255, (80, 160), np.uint8)
    write_film(film, np.stack([np.roll(grey, t, 1) for t in range(30)]), 60)
    film.write_bytes(change(film.read_bytes()))
    if entry == "predict":
        refuse(mer, film.name, "predict", film, "--weights", trained[0])
    else:
        table = tmp_path / "table.csv"
        write_table(table, [{"clip": film.name, "subject": "S01"}])
        words = ("import", "frames", film.parent, "new", "--table", table, "--jobs", "1")
        refuse(mer, "row 2", *words)


# tables ------------------------------------------------------------------------------------------


@pytest.fixture(params=["frames", "challenge", "classes", "manifest"])
def reading(request, own, mer):
    """A way to read a table: its sound text, and what reads it from a path."""
    names, kind = sorted(path.name for path in (own / "clips").iterdir()), request.param
    labels = "Negative,Positive,Repression,Surprise,Others"
    if kind == "manifest":
        return (own / "manifest.csv").read_text(), ("doctor", own, "--jobs", "1")
    if kind == "frames":
        text = "clip,subject\n" + "".join(f"{name},{name[:3]}\n" for name in names)
        return text, ("import", "frames", own / "clips", "new", "--table")
    for k, name in enumerate(names):
        (own / "clips" / name).rename(own / "clips" / f"seq{k + 1}")
    text = f"Id,Subject,{labels}\n" + "".join(f"{k + 1},S1,1,0,0,0,0\n" for k in range(len(names)))
    words = ["import", "4dme-challenge", own / "clips", "new", "--labels"]
    if kind == "challenge":
        return text, tuple(words)
    table = own.parent / "labels.csv"
    table.write_text(text)
    text = "label,class\nNegative,bad\nPositive,good\nRepression,bad\nSurprise,good\nOthers,\n"
    return text, (*words, table, "--classes")


@pytest.mark.parametrize("name", spoil.TABLES)
def test_a_spoilt_table_is_refused(name, reading, own, mer):
    (ending, change), (text, words) = spoil.TABLES[name], reading
    data = change(text)
    data = data if isinstance(data, bytes) else data.encode()
    if words[0] != "doctor":
        path = own.parent / f"spoilt{ending}"
        path.write_bytes(data)
        refuse(mer, "spoilt", *words, path)
    elif ending == ".csv":
        (own / "manifest.csv").write_bytes(data)
        code, out, err = mer(*words)
        assert code == 1 and "manifest.csv" in out + err and "foresaw" not in err
        assert (own / "manifest.csv").read_bytes() == data


# the command line --------------------------------------------------------------------------------


BOXES = [
    "1 2 3", "a b c d; a b c d", "10 10 11 11; 10 10 11 11", "50 50 10 10; 50 50 10 10",
    "-5 0 60 60; 0 0 60 60", "0 0 9999 9999; 0 0 9999 9999", ";", "0 0 60 60",
    "nan nan nan nan; nan nan nan nan",
]  # fmt: skip


@pytest.mark.parametrize("box", BOXES)
def test_boxes_that_hold_no_face(box, data, trained, mer):
    words = ("predict", data.clips[0].folder, "--weights", trained[0], "--box", box)
    refuse(mer, "box", *words)


@pytest.mark.parametrize("fps", ["0", "-5", "nan", "inf"])
def test_rates_that_no_camera_has(fps, own, mer):
    write_table(own.parent / "table.csv", [{"clip": CLIP, "subject": "S01"}])
    words = ("import", "frames", own / "clips", "new", "--table", own.parent / "table.csv")
    refuse(mer, "fps", *words, "--fps", fps)


OPTIONS = [
    ("synth", "new", "--clips", "0"), ("synth", "new", "--clips", "999999999999"),
    ("synth", "new", "--clips", "-1"), ("synth", "new", "--subjects", "0"),
    ("synth", "new", "--clips", "x"), ("synth", "new", "--jobs", "-1"),
    ("run", "--jobs", "-1"), ("run", "--jobs", "99999"), ("run", "--nothing"), ("nothing",),
    ("import", "x"),
    ("predict",), ("submit", "one"), ("import", "frames", "a"),
    ("import", "frames", "a", "b", "--table", "c", "--views", "3"),
]  # fmt: skip


@pytest.mark.parametrize("words", OPTIONS, ids=" ".join)
def test_wrong_usage_is_explained(words, mer):
    refuse(mer, "", *words, code=2)


SENTENCES = [
    ("synth", "new", "--preset", "none"), ("synth", "new", "--size", "3"),
    ("synth", "a" * 300, "--clips", "2"), ("synth", "new", "--subjects", "9", "--clips", "2"),
    ("doctor", "a" * 300), ("doctor", ""), ("predict", "a" * 300), ("demo", "nowhere"),
    ("book",), ("status",), ("run",), ("keep",), ("exercises",),
]  # fmt: skip


@pytest.mark.parametrize("words", SENTENCES, ids=lambda words: " ".join(words)[:40])
def test_what_is_not_there_is_said_in_a_sentence(words, mer):
    refuse(mer, "", *words)


RUNS = [
    ("-p", "x"), ("-p", "05.seeds"), ("-p", "99.seeds=1"), ("-p", "05.nothing=1"),
    ("-p", "05.members=many"), ("-p", "all.nothing=1"), ("-p", "05.jobs=3"), ("-p", "=1"),
    ("-p", "05.=1"), ("--only", "99"),
    ("--profile", "none"), ("--profile", "paper"), ("--format", "gif"),
    ("--dask", "nonsense"), ("--dask", "tcp://host"), ("--data", "none"),
]  # fmt: skip


@pytest.mark.parametrize("words", RUNS, ids=" ".join)
def test_a_run_that_makes_no_sense(words, mer, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setenv("MER_DASK", "")
    code, out, err = mer("run", *words)
    assert code == 1 and err.startswith("mer: ") and err.count("\n") == 1 and not out
    assert "foresaw" not in err


def test_nothing_is_written_into_a_dataset_or_over_another_file(own, trained, mer, tmp_path):
    clip = own / "clips" / CLIP
    weights = ("--weights", trained[0])
    refuse(mer, "inside the dataset", "submit", own, own / "manifest.csv", *weights, "--overwrite")
    refuse(mer, "inside the dataset", "predict", clip, *weights, "--out", clip)
    bare = Path(shutil.copytree(clip, tmp_path / "bare"))
    refuse(mer, "inside the clip", "predict", bare, *weights, "--out", bare / "answers")
    (Path.cwd() / "out.csv").write_text("mine")
    refuse(mer, "is there already", "submit", own, "out.csv", *weights)
    out = Path.cwd() / "predictions"
    out.mkdir()
    for name in ("bare.png", "bare.json"):
        (out / name).write_text("mine")
        refuse(mer, "bare", "predict", bare, *weights)
        (out / name).unlink()
    (Path.cwd() / "file").write_text("mine")
    refuse(mer, "file", "predict", bare, *weights, "--out", "file")
    refuse(mer, "file", "synth", "file", "--clips", "2", "--subjects", "2")


@given(text=st.text(max_size=40), onset=st.integers(), offset=st.integers())
@settings(max_examples=30, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
def test_any_box_and_any_frame_numbers_end_in_a_sentence_or_an_answer(
    text, onset, offset, data, trained, mer
):
    words = ("--box", text, "--onset", onset, "--offset", offset, "--weights", trained[0])
    code, _, err = mer("predict", data.clips[0].folder, *words, "--overwrite")
    assert code in (0, 1) and "foresaw" not in err and err.count("\n") == code
