"""The real notebooks run by the real command, on a copy of them, so that no artifact of this
checkout is touched.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from faces4d.generate import write_synthetic
from mer_tools.importing.tables import write_table
from mer_utils.dataset import open_dataset, read_frames
from mer_utils.features import FrontEnd, extract
from mer_utils.study import read_suite

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
DECLARED = [name for entry in read_suite(ROOT)["notebooks"].values() for name in entry["figures"]]


pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Four people and 14 clips, which the tests write in other people's layouts."""
    return open_dataset(write_synthetic(tmp_path_factory.mktemp("made") / "set", 4, 14, seed=5))


@pytest.fixture
def checkout(tmp_path):
    def make(name):
        ignore = shutil.ignore_patterns(".ipynb_checkpoints")
        shutil.copytree(ROOT / "notebooks", tmp_path / name / "notebooks", ignore=ignore)
        shutil.copy(ROOT / "requirements.lock", tmp_path / name)
        (tmp_path / name / "benchmarks").mkdir()
        for file in {
            file for e in read_suite(ROOT)["notebooks"].values() for file in e.get("reads", [])
        }:
            shutil.copy(ROOT / file, tmp_path / name / file)
        return tmp_path / name

    return make


def run_mer(root, *words):
    ended = subprocess.run(
        [sys.executable, "-m", "mer_tools", *map(str, words)],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_licensed_folder_gives_every_figure_with_one_command(made, checkout, tmp_path):
    """The challenge's layout as a laboratory has it: numbered folders and a label table; no truth,
    no apex.
    """
    source = tmp_path / "licensed set"
    rows = []
    for n, clip in enumerate(made.clips):
        shutil.copytree(clip.folder, source / f"seq{n}")
        rows.append(
            {"Id": n, **dict(zip(made.labels, clip.labels, strict=True)), "Subject": clip.subject}
        )
    write_table(source / "labels.csv", rows)
    root = checkout("laboratory")
    words = [
        "import",
        "4dme-challenge",
        source,
        root / "data" / "4dme",
        "--labels",
        source / "labels.csv",
        "--figures",
    ]
    printed = run_mer(root, *words)
    (out,) = (root / "artifacts").glob("paper-*/figures")
    assert sorted(path.stem for path in out.glob("*.png")) == sorted(DECLARED)
    results = json.loads((out / "results.json").read_text())
    assert results["data"]["synthetic"] is False and results["data"]["clips"] == 14
    assert not results.get("flow_epe_px") and "median_abs_error_frames" not in results.get(
        "apex", {}
    )
    assert 0 <= results["uf1"]["MicroAttNet"]["macro"] <= 1
    assert "SYNTHETIC" not in printed and not (root / "figures").exists()
    assert "doctor" not in printed and "14 clips of 4 subjects" in printed
    run_mer(root, "doctor", root / "data" / "4dme")


def test_a_set_of_one_view_and_exclusive_labels_runs_too(made, checkout, tmp_path):
    """One label a clip, one camera, three classes, key frames by the numbers in file names, as in
    CASME II.
    """
    source = tmp_path / "casme"
    emotions, rows = ["disgust", "happiness", "surprise"], []
    for n, clip in enumerate(made.clips):
        folder = source / f"sub{int(clip.subject[1:]):02d}" / f"EP{n:02d}"
        folder.mkdir(parents=True)
        for t, frame in enumerate(read_frames(clip)):
            cv2.imwrite(str(folder / f"reg_img{t + 40}.png"), frame[:, : frame.shape[1] // 2])
        emotion = (
            emotions[n]
            if n < 3
            else emotions[int(np.argmax([clip.labels[0], clip.labels[1], clip.labels[3]]))]
        )
        keys = {"OnsetFrame": clip.onset + 40, "ApexFrame": "/", "OffsetFrame": clip.offset + 40}
        rows.append(
            {"Subject": int(clip.subject[1:]), "Filename": f"EP{n:02d}", **keys, "Emotion": emotion}
        )
    write_table(tmp_path / "coding.csv", rows)
    classes = [
        {"label": label, "class": name}
        for label, name in zip(emotions, ("Negative", "Positive", "Surprise"), strict=True)
    ]
    write_table(tmp_path / "classes.csv", classes)
    columns = "subject=Subject,label=Emotion,onset=OnsetFrame,apex=ApexFrame,offset=OffsetFrame"
    root, data = checkout("single"), tmp_path / "single"
    words = [
        "--columns",
        columns,
        "--folder",
        "sub{Subject:0>2}/{Filename}",
        "--classes",
        tmp_path / "classes.csv",
    ]
    run_mer(root, "import", "frames", source, data, "--table", tmp_path / "coding.csv", *words)
    run_mer(
        root,
        "run",
        "--profile",
        "paper",
        "--data",
        data,
        "--only",
        "05",
        "--only",
        "06",
        "--only",
        "10",
        "--jobs",
        2,
    )
    (out,) = (root / "artifacts").glob("paper-*/figures")
    assert {path.stem for path in out.glob("*.png")} == {
        name for name in DECLARED if name[3:5] in ("05", "06", "10")
    }
    results = json.loads((out / "results.json").read_text())
    assert results["data"]["clips"] == 14 and "all_ones" not in results["uf1"]
    assert 0 <= results["uf1"]["MicroAttNet"]["uar"] <= 1
    printed = run_mer(root, "predict", source / "sub01" / "EP00")
    assert printed.count(" yes") == 1 and "trained on casme" in printed


def test_ready_made_flow_images_give_the_figures_that_need_no_frames(made, checkout, tmp_path):
    """The layout that published code starts from: a folder a left-out subject, a folder a class,
    PNGs of u, v, M.
    """
    features = extract(made, FrontEnd(size=28, phases=1), jobs=2)
    for n, maps in enumerate(features.x[:, 0, 0]):  # (3, S, S) of the left view
        kind = n if n < 3 else int(np.argmax(features.y[n, [0, 1, 3]]))
        folder = tmp_path / "flows" / features.subjects[n] / "u_test" / str(kind)
        folder.mkdir(parents=True, exist_ok=True)
        scaled = [maps[0] * 40 + 127.5, maps[1] * 40 + 127.5, maps[2] * 80]
        cv2.imwrite(
            str(folder / f"clip{n}.png"),
            np.clip(np.stack(scaled[::-1], -1), 0, 255).astype(np.uint8),
        )
    root = checkout("flows")
    words = ["--labels", "0=Negative,1=Positive,2=Surprise", "--figures"]
    printed = run_mer(root, "import", "flow-images", tmp_path / "flows", tmp_path / "set", *words)
    (out,) = (root / "artifacts").glob("paper-*/figures")
    wanted = {name for name in DECLARED if name[3:5] in ("05", "06", "07", "08")}
    assert {
        path.stem for path in out.glob("*.png")
    } == wanted and "14 clips of 4 subjects" in printed
    words = ["run", "--profile", "paper", "--data", str(tmp_path / "set"), "--only", "02"]
    ended = subprocess.run(
        [sys.executable, "-m", "mer_tools", *words], cwd=root, capture_output=True, text=True
    )
    assert ended.returncode == 1 and "notebook 02 needs frames" in ended.stderr


def test_two_runs_from_nothing_are_equal_to_the_byte_whatever_the_workers(checkout):
    outs = []
    for name, jobs in (("first", 1), ("second", 2)):
        root = checkout(name)
        small = "all.subjects=4 all.clips=10 all.seed=2".split()
        words = ["--only", "05", *(word for change in small for word in ("-p", change))]
        run_mer(root, "run", *words, "--jobs", jobs)
        outs.append(root / "artifacts")
    names = [
        sorted(p.relative_to(out) for p in out.rglob("*") if p.suffix in (".png", ".safetensors"))
        for out in outs
    ]
    assert names[0] == names[1]
    assert {path.suffix for path in names[0]} == {".png", ".safetensors"}
    (kept,) = (outs[0] / "course").glob("figures-*")  # changed parameters: in a folder of their own
    tables = [(kept / name).relative_to(outs[0]) for name in ("results.json", "figures.json")]
    for path in [*names[0], *tables]:
        assert (outs[0] / path).read_bytes() == (outs[1] / path).read_bytes(), path
