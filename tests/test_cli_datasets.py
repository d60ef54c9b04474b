"""The commands about data, from a foreign folder to an answer."""

import csv
import json
import shutil
from pathlib import Path

from mer_tools.importing.tables import write_table

import cv2
import pytest
from foreign import plant


@pytest.mark.slow
def test_from_the_challenge_s_folders_to_its_answer_sheet(mer, data, trained, tmp_path):
    """Labels of the first four clips; the other two are the test part."""
    source, rows = tmp_path / "challenge", []
    for n, clip in enumerate(data.clips):
        plant(data, source / f"seq{n}", n)
        labels = dict(zip(data.labels, clip.labels, strict=True))
        rows.append({"Id": n, **labels, "Subject": clip.subject})
    write_table(source / "labels.csv", rows[:4])
    data, bare, out = tmp_path / "set", tmp_path / "bare", tmp_path / "out.csv"
    words = ("import", "4dme-challenge", source)
    code, text, err = mer(*words, data, "--labels", source / "labels.csv")
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


def test_one_clip_is_answered_with_a_picture_and_json(mer, data, trained, tmp_path):
    clip = data.clips[0]
    weights = ("--weights", trained[0])
    ends = ("--onset", clip.onset, "--offset", clip.offset)
    code, text, err = mer("predict", clip.folder, *weights, *ends)
    assert (code, err) == (0, "")
    words = "8 networks, trained on tiny synthetic faces", "2 views of 168 x 224 px"
    assert all(word in text for word in (*data.labels, *words, "found by the head's outline"))
    answer = Path(f"predictions/{clip.name}.json")
    record = json.loads(answer.read_text())
    assert record["source"] == str(clip.folder.resolve())
    assert set(record["labels"]) == set(data.labels)
    assert cv2.imread(f"predictions/{clip.name}.png").shape[1] > 1000
    twin = shutil.copytree(clip.folder, tmp_path / "another person" / clip.name)
    code, _, err = mer("predict", twin, *weights)
    assert code == 1 and "another clip of this name" in err and err.count("\n") == 1
    assert json.loads(answer.read_text())["source"] == record["source"]
    assert mer("predict", twin, *weights, "--overwrite")[0] == 0
    assert json.loads(answer.read_text())["source"] == str(twin)
