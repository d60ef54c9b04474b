"""Sources that are folders: the challenge's sequences, scanned meshes, flow images."""

from mer_tools.importing.flow_images import import_flow_images
from mer_tools.importing.folders import import_challenge, import_obj
from mer_utils.dataset import open_dataset, read_frames

import cv2
import numpy as np
import pytest
from foreign import plant, refuse, write_mesh, write_rows

HEADER = "Id,Negative,Positive,Repression,Surprise,Others"


@pytest.fixture
def challenge(data, tmp_path):
    """Sequences 0, 2, 10 and a table of labels for 0 and 10, as Excel writes it."""
    for k, n in enumerate((0, 2, 10)):
        plant(data, tmp_path / "challenge" / f"seq{n}", k, "frame_{}.png", count=5)
    write_rows(tmp_path / "labels.csv", f"\ufeff{HEADER}", "10,1,0,0,1,0", "0,0,1,0,0,0")
    return tmp_path / "challenge"


def test_the_challenge_is_imported(challenge, tmp_path):
    (challenge / "notes").mkdir()
    said = import_challenge(challenge, tmp_path / "set", tmp_path / "labels.csv")
    dataset = open_dataset(tmp_path / "set")
    assert [clip.name for clip in dataset.clips] == ["seq0", "seq2", "seq10"]
    assert dataset.views == 2 and not dataset.exclusive
    assert [clip.labels for clip in dataset.clips] == [(0, 1, 0, 0, 0), None, (1, 0, 0, 1, 0)]
    assert dataset.subjects == ["seq0", "seq10", "seq2"] and dataset.info["licence"]
    assert said[0].startswith("3 clips of 3 subjects: Negative 1, Positive 1, Repression 0")
    assert "notes" in said[1] and "leave-one-sequence-out" in said[2] and "3 clips" in said[2]
    # a test folder without labels, beside its frames
    assert "without labels: 3" in import_challenge(challenge, challenge)[0]
    (challenge / "seq02").mkdir()
    refuse("has the same number as seq", import_challenge, challenge, tmp_path / "x")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, "0,2,0,0,0,0"], "row 2: negative is '2', but must be 0 or 1"),
        ([HEADER, "5,1,0,0,0,0", "0,x,0,0,0,0"], "row 2: .*; row 3: negative is 'x'.*2 rows or"),
        ([HEADER, "0,1,0,0,0,0", "0,1,0,0,0,0"], "row 3: Id '0' stands at .*row 2 already"),
        ([HEADER, "5,1,0,0,0,0"], "row 2: Id '5' has no folder"),
        (["Id,Negative", "0,1"], "lacks the column 'Positive'"),
    ],
)
def test_a_bad_table_of_the_challenge_is_named(challenge, tmp_path, lines, message):
    labels = write_rows(tmp_path / "labels.csv", *lines)
    refuse(rf"labels\.csv.*{message}", import_challenge, challenge, tmp_path / "set", labels)


def test_meshes_are_filmed(tmp_path):
    points = [[-1, -1, 0], [1, -1, 0], [1, 1, 1], [-1, 1, 1]]
    for name in ("c1", "c2"):
        (tmp_path / "meshes" / name).mkdir(parents=True)
        for t in range(3):
            path = tmp_path / "meshes" / name / f"{t}.obj"
            write_mesh(path, np.add(points, [0, 0.1 * t, 0]), [[0, 1, 2], [0, 2, 3]])
    labels = write_rows(tmp_path / "labels.csv", "clip,subject,Joy,Fear,apex,fps", "c2,P1,1,0,1,60")
    said = import_obj(tmp_path / "meshes", tmp_path / "set", labels, size=96)
    dataset = open_dataset(tmp_path / "set")
    assert dataset.labels == ("Joy", "Fear") and dataset.views == 2
    assert "yaw 25" in dataset.info["source"] and "1 clips" in said[-1]
    clips = [(clip.name, clip.subject, clip.labels) for clip in dataset.clips]
    assert clips == [("c1", "c1", None), ("c2", "P1", (1, 0))]
    clip = dataset.clips[1]
    assert (clip.apex, clip.fps) == (1, 60) and len(clip.boxes) == 2
    raw = read_frames(clip)
    assert raw.shape == (3, 96, 144) and raw.std() > 10
    assert not np.array_equal(raw[0], raw[1])  # it moves
    bare = write_rows(tmp_path / "labels.csv", "clip,subject", "c1,S1")
    message = "lacks the column 'one for each label'"
    refuse(message, import_obj, tmp_path / "meshes", tmp_path / "x", bare, size=64)


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((28, 28, 3), 9, np.uint8))


@pytest.fixture
def flow(tmp_path):
    """The layout of published code: a folder a subject, in it u_test, in this a folder a class."""
    clips = ("006", "0", "006_1_2"), ("006", "2", "006_1_3"), ("s15", "1", "s15_po_01")
    for subject, label, clip in clips:
        draw(tmp_path / "flow" / subject / "u_test" / label / f"{clip}.png")
    return tmp_path / "flow"


def test_names_that_two_people_share(tmp_path):
    for subject in "ab":
        draw(tmp_path / "flow" / f"{subject}_x_1.png")
    import_flow_images(tmp_path / "flow", tmp_path / "set", pattern="{subject}_{clip}.png")
    clips = open_dataset(tmp_path / "set").clips
    # x_1 would stand there twice
    assert [(clip.name, clip.subject) for clip in clips] == [("a_x_1", "a"), ("b_x_1", "b")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "{subject}/{who}/{clip}.png"}, "and of others only {label}"),
        ({"pattern": "{subject}_{clip}.png"}, "no PNG fits .* the first is 006/u_test/0/006_1_2"),
        ({"channels": ("u", "v", "w")}, "channels are u, v, w"),
        ({"labels": {"0": "Negative"}}, "006_1_3.png: the label '2' is none of those named"),
    ],
)
def test_options_that_do_not_fit_flow_images_are_named(flow, tmp_path, options, message):
    refuse(message, import_flow_images, flow, tmp_path / "set", **options)


def test_bad_flow_images_are_named(flow, tmp_path):
    path, other = (flow / "006" / "u_test" / label / "006_1_3.png" for label in "21")
    draw(other)
    rest = import_flow_images, flow, tmp_path / "set"
    refuse("2/006_1_3.png: is the same clip as 006/u_test/1/006_1_3.png", *rest)
    other.unlink()
    cv2.imwrite(str(path), np.zeros((28, 28), np.uint8))
    refuse("006_1_3.png: is L, but all must be RGB", *rest)
