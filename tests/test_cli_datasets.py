"""The commands about data, from a foreign folder to an answer."""

import csv
import json
import shutil
from pathlib import Path

from mer_tools.importing.tables import write_table
from mer_utils.dataset import open_dataset

import cv2
import pytest
from yunet import write_model


@pytest.fixture
def sequences(data, tmp_path):
    """The challenge's layout: numbered folders; labels of the first four, the other two are the
    test part.
    """
    root = tmp_path / "challenge"
    rows = []
    for n, clip in enumerate(data.clips):
        shutil.copytree(clip.folder, root / f"seq{n}")
        labels = dict(zip(data.labels, clip.labels, strict=True))
        rows.append({"Id": n, **labels, "Subject": clip.subject})
    write_table(root / "labels.csv", rows[:4])
    return root


@pytest.mark.slow
def test_from_the_challenge_s_folders_to_its_answer_sheet(mer, sequences, trained, tmp_path):
    data, bare, out = tmp_path / "set", tmp_path / "bare", tmp_path / "out.csv"
    words = ("import", "4dme-challenge", sequences)
    code, text, err = mer(*words, data, "--labels", sequences / "labels.csv")
    assert (code, err) == (0, "") and text.startswith("6 clips of") and "without labels: 2" in text
    assert f"mer run --profile paper --data {data}" in text and not (data / "clips").exists()
    assert "import the others as a set of their own" in text
    text = mer(*words, bare)[1]
    assert f"then mer submit {bare} OUT.csv" in text and "mer run" not in text
    words = ("submit", data, out, "--weights", trained[0], "--exclude", "--jobs", 1)
    code, text, err = mer(*words)
    assert (code, err) == (0, "") and "2 clips answered" in text
    assert "trained on tiny synthetic faces" in text and "learnt from 2 of them" in text
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["Id"] for row in rows] == ["4", "5"]
    assert all("0" in (row["Positive"], row["Negative"]) for row in rows)


def test_the_doctor_ends_with_1_when_something_must_be_mended(mer, data, tmp_path):
    root = shutil.copytree(data.root, tmp_path / "set")
    assert mer("doctor", root, "--jobs", 1)[0] == 0
    frame = open_dataset(root).clips[2].frames[4]
    frame.write_bytes(frame.read_bytes()[:200])
    code, text, err = mer("doctor", root, "--jobs", 1)
    assert code == 1 and err == "" and "0004.png" in text
    report = json.loads(mer("doctor", root, "--json")[1])
    assert "0004.png" in json.dumps(report["findings"])


def test_one_clip_is_answered_with_a_picture_and_json(mer, data, trained, tmp_path):
    clip = data.clips[0]
    weights = ("--weights", trained[0])
    ends = ("--onset", clip.onset, "--offset", clip.offset)
    code, text, err = mer("predict", clip.folder, *weights, *ends)
    assert (code, err) == (0, "")
    networks = "8 networks, trained on tiny synthetic faces"
    views = ("views: 2 of 168 x 224 px", f"onset {clip.onset}", "found by the head's outline")
    for words in (*data.labels, networks, *views, "attention: u 0.3"):
        assert words in text
    answer = Path(f"predictions/{clip.name}.json")
    record = json.loads(answer.read_text())
    assert record["source"] == str(clip.folder.resolve())
    assert set(record["labels"]) == set(data.labels)
    assert cv2.imread(f"predictions/{clip.name}.png").shape[1] > 1000
    assert mer("predict", clip.folder, *weights)[0] == 0  # the same clip may be answered again
    twin = shutil.copytree(clip.folder, tmp_path / "another person" / clip.name)
    code, _, err = mer("predict", twin, *weights)
    assert code == 1 and "another clip of this name" in err and err.count("\n") == 1
    assert json.loads(answer.read_text())["source"] == record["source"]
    assert mer("predict", twin, *weights, "--overwrite")[0] == 0
    assert json.loads(answer.read_text())["source"] == str(twin)
    for name in ("S01.a", "S01.b"):  # a folder has no suffix
        folder = shutil.copytree(clip.folder, tmp_path / name)
        assert (
            mer("predict", folder, *weights)[0] == 0 and Path(f"predictions/{name}.json").is_file()
        )


@pytest.mark.parametrize("ends", [(0, -10), (0, 10**20), (5, 6), (-1, 4), (0, 1)])
def test_frame_numbers_that_cannot_be_are_one_sentence(mer, data, trained, ends):
    words = ("--onset", ends[0], "--offset", ends[1], "--weights", trained[0])
    code, out, err = mer("predict", data.clips[0].folder, *words)
    assert (code, out) == (1, "") and err.count("\n") == 1
    assert "(counted from 0), with a frame between them" in err


@pytest.mark.parametrize("options", [("--face-model", "none.onnx"), ("--box", "1 2 3")])
def test_what_predict_cannot_use_is_refused(mer, data, trained, options):
    """A face model that is not there is refused even where none is needed."""
    code, out, err = mer("predict", data.clips[0].folder, "--weights", trained[0], *options)
    assert (code, out) == (1, "") and err.count("\n") == 1 and options[1] in err


def test_answers_never_replace_what_is_there(mer, data, tmp_path):
    table, other = data.root / "manifest.csv", tmp_path / "out.csv"
    before = table.read_bytes()
    code, _, err = mer("submit", data.root, table, "--weights", "none")
    assert code == 1 and "lies inside the dataset" in err and table.read_bytes() == before
    other.write_text("mine")
    code, _, err = mer("submit", data.root, other, "--weights", "none")
    assert code == 1 and "is there already" in err and other.read_text() == "mine"


def test_boxes_are_filled_by_the_model_that_is_named(mer, data, tmp_path):
    root = shutil.copytree(data.root, tmp_path / "set")
    model = write_model(tmp_path / "stand-in.onnx")
    assert mer("boxes", root, "--face-model", model) == (0, "silhouette: 6 clips\n", "")


@pytest.mark.parametrize(
    "words",
    [
        "import 4dme-challenge nowhere new",
        "import 4dme-release nowhere new",
        "import obj nowhere new",
        "import frames nowhere new --table none.csv",
        "import flow-images nowhere new",
        "doctor nowhere",
        "boxes nowhere --face-model none.onnx",
        "predict nowhere --weights none.safetensors",
        "submit nowhere out.csv --weights none.safetensors",
    ],
)
def test_what_is_not_there_is_one_sentence(mer, words):
    code, out, err = mer(*words.split())
    assert (code, out) == (1, "") and err.startswith("mer: ") and err.count("\n") == 1
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("columns", ["subject", "subject=", "=Subject", "subject=A,label"])
def test_a_badly_written_option_is_named(mer, data, tmp_path, columns):
    words = (data.root, tmp_path / "new", "--table", "t.csv", "--columns", columns)
    code, _, err = mer("import", "frames", *words)
    assert code == 2 and "--columns" in err and "a=b,c=d" in err
