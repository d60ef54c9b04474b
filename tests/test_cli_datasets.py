"""The commands about data, from a foreign folder to an answer."""

import csv
import json
import shutil
from pathlib import Path

from mer_tools import __main__ as cli
from mer_tools.importing.tables import write_table
from mer_utils.dataset import open_dataset

import cv2
import pytest
from typer.testing import CliRunner
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
        if n < 4:
            rows.append(
                {
                    "Id": n,
                    **dict(zip(data.labels, clip.labels, strict=True)),
                    "Subject": clip.subject,
                }
            )
    write_table(root / "labels.csv", rows)
    return root


@pytest.mark.slow
def test_from_the_challenge_s_folders_to_its_answer_sheet(mer, sequences, trained, tmp_path):
    data, out = tmp_path / "set", tmp_path / "out.csv"
    code, text, err = mer(
        "import", "4dme-challenge", sequences, data, "--labels", sequences / "labels.csv"
    )
    assert (code, err) == (0, "") and text.startswith("6 clips of") and "without labels: 2" in text
    assert f"mer run --profile paper --data {data}" in text and not (data / "clips").exists()
    assert "import the others as a set of their own" in text
    bare = mer("import", "4dme-challenge", sequences, tmp_path / "bare")[1]
    assert f"then mer submit {tmp_path / 'bare'} OUT.csv" in bare and "mer run" not in bare
    code, text, err = mer("doctor", data, "--jobs", 1)
    assert err == "" and "6" in text
    told = json.loads(mer("doctor", data, "--json")[1])
    assert isinstance(told, dict)
    code, text, err = mer("submit", data, out, "--weights", trained[0], "--exclude", "--jobs", 1)
    assert (
        (code, err) == (0, "")
        and "trained on tiny synthetic faces" in text
        and "2 clips answered" in text
    )
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["Id"] for row in rows] == ["4", "5"] and all(
        row["Positive"] == "0" or row["Negative"] == "0" for row in rows
    )


def test_the_doctor_ends_with_1_when_something_must_be_mended(mer, data, tmp_path):
    root = shutil.copytree(data.root, tmp_path / "set")
    frame = open_dataset(root).clips[2].frames[4]
    frame.write_bytes(frame.read_bytes()[:200])
    code, text, err = mer("doctor", root, "--jobs", 1)
    assert code == 1 and err == "" and "0004.png" in text
    told = json.loads(mer("doctor", root, "--json")[1])
    assert "0004.png" in json.dumps(told)


def test_one_clip_is_answered_with_a_picture_and_json(mer, data, trained, tmp_path):
    clip = data.clips[0]
    code, text, err = mer(
        "predict",
        clip.folder,
        "--weights",
        trained[0],
        "--onset",
        clip.onset,
        "--offset",
        clip.offset,
    )
    assert (code, err) == (0, "")
    assert (
        "8 networks, trained on tiny synthetic faces" in text and "views: 2 of 168 x 224 px" in text
    )
    for word in (
        *data.labels,
        "attention: u 0.3",
        f"onset {clip.onset}",
        "found by the head's outline",
    ):
        assert word in text
    told = json.loads(Path(f"predictions/{clip.name}.json").read_text())
    assert told["source"] == str(clip.folder.resolve()) and set(told["labels"]) == set(data.labels)
    assert cv2.imread(f"predictions/{clip.name}.png").shape[1] > 1000
    again = ("predict", clip.folder, "--weights", trained[0], "--onset", clip.onset)
    assert mer(*again)[0] == 0  # the same clip may be answered again
    twin = shutil.copytree(clip.folder, tmp_path / "another person" / clip.name)
    code, _, err = mer("predict", twin, "--weights", trained[0])
    assert code == 1 and "another clip of this name" in err and err.count("\n") == 1
    assert json.loads(Path(f"predictions/{clip.name}.json").read_text())["source"] != str(twin)
    assert mer("predict", twin, "--weights", trained[0], "--overwrite")[0] == 0


@pytest.mark.parametrize("ends", [(0, -10), (0, -8), (0, 10**20), (5, 6), (-1, 4), (0, 1)])
def test_frame_numbers_that_cannot_be_are_refused_before_anything_is_read(mer, data, trained, ends):
    words = ("--onset", ends[0], "--offset", ends[1], "--weights", trained[0])
    code, out, err = mer("predict", data.clips[0].folder, *words)
    assert (code, out) == (1, "") and err.count("\n") == 1
    assert "(counted from 0), with a frame between them" in err


def test_folders_whose_names_end_alike_keep_their_own_answers(mer, data, trained, tmp_path):
    for name in ("S01.a", "S01.b"):
        folder = shutil.copytree(data.clips[0].folder, tmp_path / name)
        assert mer("predict", folder, "--weights", trained[0])[0] == 0
    assert {path.name for path in Path("predictions").glob("*.json")} == {
        "S01.a.json",
        "S01.b.json",
    }


def test_a_wrong_face_model_is_refused_even_where_none_is_needed(mer, data, trained):
    words = ("--weights", trained[0], "--face-model", "none.onnx")
    code, _, err = mer("predict", data.clips[0].folder, *words)
    assert code == 1 and "no such model file" in err


def test_answers_never_replace_what_is_there(mer, data, tmp_path):
    table = data.root / "manifest.csv"
    before = table.read_bytes()
    code, _, err = mer("submit", data.root, table, "--weights", "none")
    assert code == 1 and "lies inside the dataset" in err and table.read_bytes() == before
    (tmp_path / "out.csv").write_text("mine")
    code, _, err = mer("submit", data.root, tmp_path / "out.csv", "--weights", "none")
    assert code == 1 and "is there already" in err
    assert (tmp_path / "out.csv").read_text() == "mine"


def test_boxes_are_filled_by_the_model_that_is_named(mer, data, tmp_path):
    root = shutil.copytree(data.root, tmp_path / "set")
    code, text, err = mer("boxes", root, "--face-model", write_model(tmp_path / "stand-in.onnx"))
    assert (code, err) == (
        0,
        "",
    ) and text == "6 clips stand before a plain background and need none\n"


@pytest.mark.parametrize(
    "words",
    [
        ("import", "4dme-challenge", "nowhere", "new"),
        ("import", "4dme-release", "nowhere", "new"),
        ("import", "obj", "nowhere", "new"),
        ("import", "frames", "nowhere", "new", "--table", "none.csv"),
        ("import", "flow-images", "nowhere", "new"),
        ("doctor", "nowhere"),
        ("boxes", "nowhere", "--face-model", "none.onnx"),
        ("predict", "nowhere", "--weights", "none.safetensors"),
        ("submit", "nowhere", "out.csv", "--weights", "none.safetensors"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_one_sentence(mer, words, tmp_path):
    code, out, err = mer(*words)
    assert (code, out) == (1, "") and err.startswith("mer: ") and err.count("\n") == 1
    assert not list((tmp_path / "here").iterdir())


def test_a_badly_written_option_is_named(mer, data, tmp_path):
    code, _, err = mer(
        "import", "frames", data.root, tmp_path / "new", "--table", "t.csv", "--columns", "subject"
    )
    assert code == 2 and "--columns" in err
    code, _, err = mer("predict", data.clips[0].folder, "--weights", "none", "--box", "1 2 3")
    assert code == 1


def test_help_tells_each_kind_of_import():
    text = CliRunner().invoke(cli.commands, ["import", "--help"]).output
    assert all(
        kind in text for kind in ("4dme-challenge", "4dme-release", "obj", "frames", "flow-images")
    )
