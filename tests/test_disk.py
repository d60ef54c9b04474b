"""Disks that are full or may not be written to: one sentence, and nothing half written stays."""

from mer_utils.dataset import encode_png, open_dataset

import numpy as np
import pytest
from foreign import contents, plant
from toys import full_disk
from yunet import write_model

pytest.importorskip("resource", reason="file sizes cannot be limited on Windows")


def test_a_full_disk_leaves_nothing_half_written(mer, data, copy, tmp_path):
    """Neither of a new folder, nor of a file that takes an old one's place."""
    plant(data, tmp_path / "challenge" / "seq0", 0)
    frame = np.random.default_rng(0).integers(0, 120, (224, 336)).astype(np.uint8)
    frame[96:128, 64:96] = frame[96:128, 200:232] = 255  # where the stand-in finds faces
    for path in open_dataset(copy).clips[0].frames:
        path.write_bytes(encode_png(frame))
    model = write_model(tmp_path / "stand-in.onnx")
    # the bytes that a file may have
    for room, *command in (
        (4_000, "import", "4dme-challenge", tmp_path / "challenge", tmp_path / "set", "--copy"),
        (60, "boxes", copy, "--face-model", model),
    ):
        before = contents(tmp_path)
        with full_disk(room):
            code, _, err = mer(*command)
        assert code == 1 and err.startswith("mer: ") and err.count("\n") == 1, err
        assert "cannot be written" in err and contents(tmp_path) == before
        assert mer(*command)[0] == 0
