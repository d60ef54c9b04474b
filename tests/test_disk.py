"""Disks that are full or may not be written to: one sentence, and nothing half written stays."""

import shutil
from pathlib import Path

from mer_tools.importing.folders import import_challenge
from mer_utils.dataset import encode_png

import numpy as np
import pytest
from foreign import contents
from toys import full_disk
from yunet import write_model

pytest.importorskip("resource", reason="file sizes cannot be limited on Windows")
# the commands that write, with the bytes that a file may have on a disk that is full
ROOM = {"import": 4_000, "predict": 9_000, "submit": 20, "boxes": 60}


@pytest.fixture
def commands(data, trained, tmp_path):
    """Return {command: its words}, with sound input."""
    challenge, bare, wild = tmp_path / "challenge", tmp_path / "bare", tmp_path / "wild"
    for n, clip in enumerate(data.clips[:2]):
        shutil.copytree(clip.folder, challenge / f"seq{n}")
    import_challenge(challenge, bare)
    shutil.copytree(data.root, wild)
    frame = np.random.default_rng(0).integers(0, 120, (224, 336)).astype(np.uint8)
    frame[96:128, 64:96] = frame[96:128, 200:232] = 255
    for path in (wild / "clips" / data.clips[0].name).iterdir():
        path.write_bytes(encode_png(frame))
    model, weights = write_model(tmp_path / "stand-in.onnx"), ("--weights", trained[0])
    return {
        "import": ("import", "4dme-challenge", challenge, tmp_path / "set", "--copy"),
        "predict": ("predict", data.clips[0].folder, *weights, "--out", tmp_path / "out"),
        "submit": ("submit", bare, tmp_path / "out.csv", *weights, "--jobs", 1),
        "boxes": ("boxes", wild, "--face-model", model),
    }


@pytest.mark.parametrize("name", ROOM)
def test_a_full_disk_leaves_nothing_half_written(mer, commands, tmp_path, name):
    command, before = commands[name], contents(tmp_path)
    with full_disk(ROOM[name]):
        code, _, err = mer(*command)
    assert code == 1 and err.startswith("mer: ") and err.count("\n") == 1, err
    assert "cannot be written" in err
    after = contents(tmp_path)
    after.pop(Path("out"), None)  # an empty folder for answers may stay
    assert after == before
