"""The real notebooks run by the real command, on a copy of them, so that no artifact of this checkout is touched."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from mer_utils.generate import write_synthetic
from mer_utils.study import read_suite

ROOT = Path(__file__).parents[1]
DECLARED = [name for entry in read_suite(ROOT)["notebooks"].values() for name in entry["figures"]]


@pytest.fixture
def checkout(tmp_path):
    def make(name):
        ignore = shutil.ignore_patterns(".ipynb_checkpoints", "solutions")
        shutil.copytree(ROOT / "notebooks", tmp_path / name / "notebooks", ignore=ignore)
        return tmp_path / name

    return make


def run_mer(root, *words):
    ended = subprocess.run(
        [sys.executable, "-m", "mer_utils.cli", "run", *map(str, words)], cwd=root, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_licensed_folder_gives_every_figure_with_one_command(checkout, tmp_path):
    """Frames and a manifest, nothing else: no truth, no annotated apex, not synthetic."""
    data = write_synthetic(tmp_path / "licensed", 4, 20, seed=5, jobs=2)
    shutil.rmtree(data / "truth")
    info = json.loads((data / "dataset.json").read_text())
    info = {key: info[key] for key in ("views", "labels", "exclusive")} | {"name": "licensed", "synthetic": False}
    (data / "dataset.json").write_text(json.dumps(info))
    rows = [line.split(",") for line in (data / "manifest.csv").read_text().splitlines()]
    for row in rows[1:]:
        row[rows[0].index("apex")] = ""
    (data / "manifest.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    root = checkout("laboratory")
    printed = run_mer(root, "--profile", "paper", "--data", data, "-p", "03.pairs=2", "--jobs", 2)
    out = root / "artifacts" / "paper" / "figures"
    assert sorted(path.stem for path in out.glob("*.png")) == sorted(DECLARED)
    results = json.loads((out / "results.json").read_text())
    assert results["data"]["synthetic"] is False and results["data"]["clips"] == 20
    assert not results.get("flow_epe_px") and "median_abs_error_frames" not in results.get("apex", {})
    assert 0 <= results["uf1"]["MicroAttNet"]["macro"] <= 1
    assert "SYNTHETIC" not in printed and not (root / "figures").exists()


def test_a_set_of_one_view_and_exclusive_labels_runs_too(checkout, tmp_path):
    """One label a clip, one camera, three classes, as in MEGC 2019: softmax, argmax, UF1 and UAR."""
    data = write_synthetic(tmp_path / "single", 5, 18, seed=6, jobs=2)
    shutil.rmtree(data / "truth")
    for path in (data / "clips").rglob("*.png"):
        frame = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), frame[:, : frame.shape[1] // 2])
    info = {"name": "single", "views": 1, "labels": ["Negative", "Positive", "Surprise"]}
    (data / "dataset.json").write_text(json.dumps(info | {"exclusive": True, "synthetic": False}))
    table = pd.read_csv(data / "manifest.csv")
    names = ["negative", "positive", "surprise"]
    chosen = table[names].to_numpy().argmax(1)
    chosen[:3] = range(3)
    table[names] = np.eye(3, dtype=int)[chosen]
    table.drop(columns=["repression", "others", "apex"]).to_csv(data / "manifest.csv", index=False)
    root = checkout("single")
    words = [word for number in ("05", "06", "07", "08") for word in ("--only", number)]
    run_mer(root, "--profile", "paper", "--data", data, *words, "--jobs", 2)
    out = root / "artifacts" / "paper" / "figures"
    assert {path.stem for path in out.glob("*.png")} == {name for name in DECLARED if name[3:5] >= "05"}
    results = json.loads((out / "results.json").read_text())
    assert results["data"]["clips"] == 18 and "all_ones" not in results["uf1"]
    assert 0 <= results["uf1"]["MicroAttNet"]["uar"] <= 1
    ended = subprocess.run(
        [sys.executable, "-m", "mer_utils.cli", "predict", str(next((data / "clips").iterdir()))],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0 and ended.stdout.count(" yes") == 1, ended.stdout + ended.stderr


def test_two_runs_from_nothing_are_equal_to_the_byte_whatever_the_workers(checkout):
    outs = []
    for name, jobs in (("first", 1), ("second", 2)):
        root = checkout(name)
        words = ["--only", "02", "--only", "05", "-p", "all.subjects=4", "-p", "all.clips=14", "-p", "all.seed=2"]
        run_mer(root, *words, "--jobs", jobs)
        outs.append(root / "artifacts")
    names = [
        sorted(p.relative_to(out) for p in out.rglob("*") if p.suffix in (".png", ".npz", ".safetensors"))
        for out in outs
    ]
    assert names[0] == names[1]
    assert {path.suffix for path in names[0]} == {".png", ".npz", ".safetensors"}
    for path in [*names[0], Path("course/figures/results.json"), Path("course/figures/figures.json")]:
        assert (outs[0] / path).read_bytes() == (outs[1] / path).read_bytes(), path
