"""Disks that are full or may not be written to: one sentence, and nothing half written stays."""

import os
import shutil
from contextlib import contextmanager

from mer_tools.importing.challenge import import_challenge
from mer_utils.dataset import encode_png

import numpy as np
import pytest
from yunet import write_model

resource = pytest.importorskip("resource", reason="file sizes cannot be limited on Windows")


@contextmanager
def full_disk(size):
    """No file may grow beyond ``size`` bytes: writing fails in the middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def commands(data, trained, tmp_path):
    """Every command that writes, as (words, what it writes into), with input that is fine."""
    challenge, bare = tmp_path / "challenge", tmp_path / "bare"
    for n, clip in enumerate(data.clips):
        shutil.copytree(clip.folder, challenge / f"seq{n}")
    import_challenge(challenge, bare)
    wild = shutil.copytree(data.root, tmp_path / "wild")
    frame = np.random.default_rng(0).integers(0, 120, (224, 336)).astype(np.uint8)
    frame[96:128, 64:96] = frame[96:128, 200:232] = 255
    for path in (wild / "clips" / data.clips[0].name).iterdir():
        path.write_bytes(encode_png(frame))
    model = write_model(tmp_path / "stand-in.onnx")

    def make(place):
        weights = ("--weights", trained[0])
        return {
            "import": (("import", "4dme-challenge", challenge, place / "set", "--copy"), 4_000),
            "import beside": (("import", "4dme-challenge", challenge, place / "away"), 100),
            "synth": (
                (
                    "synth",
                    place / "faces",
                    "--subjects",
                    1,
                    "--clips",
                    2,
                    "--size",
                    64,
                    "--jobs",
                    1,
                ),
                1_000,
            ),
            "predict": (("predict", data.clips[0].folder, *weights, "--out", place / "out"), 9_000),
            "submit": (("submit", bare, place / "out.csv", *weights, "--jobs", 1), 20),
            "boxes": (("boxes", wild, "--face-model", model), 60),
        }

    return make


NAMES = ["import", "import beside", "synth", "predict", "submit", "boxes"]


def list_all(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def check_refusal(code, err):
    """Check that a command was refused in one sentence that says what cannot be written."""
    assert code == 1 and err.startswith("mer: ") and err.count("\n") == 1, err
    assert "cannot be written" in err, err


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_leaves_nothing_half_written(mer, commands, tmp_path, name):
    words, room = commands(tmp_path)[name]
    before, manifest = list_all(tmp_path), (tmp_path / "wild" / "manifest.csv").read_bytes()
    with full_disk(room):
        code, _, err = mer(*words)
    check_refusal(code, err)
    # an empty folder for answers may stay
    after = [path for path in list_all(tmp_path) if path not in ("out",)]
    assert after == before and (tmp_path / "wild" / "manifest.csv").read_bytes() == manifest
    assert mer(*words)[0] == 0


@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_place_that_is_no_folder_is_one_sentence(mer, commands, tmp_path, name):
    (tmp_path / "file").write_text("not a folder")
    words, _ = commands(tmp_path / "file")[name]
    before = list_all(tmp_path)
    code, _, err = mer(*words)
    check_refusal(code, err)
    assert list_all(tmp_path) == before


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_read_only_folder_is_one_sentence(mer, commands, tmp_path, name):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    code, _, err = mer(*commands(locked)[name][0])
    check_refusal(code, err)
    assert not list(locked.iterdir())
