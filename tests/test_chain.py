"""The real notebooks run by the real command on foreign sets, in a copy of the checkout."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from faces4d.generate import ensure_synthetic
from mer_tools.importing.tables import write_table
from mer_utils.dataset import open_dataset, read_frames
from mer_utils.features import FrontEnd, extract
from mer_utils.study import read_suite

import cv2
import miniatures
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[1]
SUITE = read_suite(ROOT)["notebooks"]

pytestmark = pytest.mark.slow


def declared(*numbers):
    return sorted(name for number in numbers for name in SUITE[number]["figures"])


def copy_checkout(root):
    """Copy the notebooks and what they read, with fewer folds than the paper's profile has; the
    code is the same, so what its probes answered is shared.
    """
    probes = ROOT / "artifacts" / "cache" / "probes"
    probes.mkdir(parents=True, exist_ok=True)
    (root / "artifacts" / "cache").mkdir(parents=True)
    (root / "artifacts" / "cache" / "probes").symlink_to(probes)
    ignore = shutil.ignore_patterns(".ipynb_checkpoints", "solutions")
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=ignore)
    shutil.copy(ROOT / "requirements.lock", root)
    (root / "benchmarks").mkdir()
    for name in {name for entry in SUITE.values() for name in entry["reads"]}:
        shutil.copy(ROOT / name, root / name)
    path = root / "notebooks" / "profiles.yml"
    suite = yaml.safe_load(path.read_text(encoding="utf-8"))
    small = {"02": {"compared": 1}, "03": {"pairs": 2}, "11": {"clips": 8}}
    suite["profiles"]["paper"]["parameters"] = small
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """One checkout for all sets: each has a folder of its own in artifacts/, the cache is one."""
    return copy_checkout(tmp_path_factory.mktemp("laboratory") / "checkout")


@pytest.fixture(scope="module")
def made(checkout):
    """Six people and eight clips, which the tests write in other people's layouts; notebook 11
    looks at them as they are.
    """
    cache = checkout / "artifacts" / "cache"
    return open_dataset(ensure_synthetic(checkout / "data", 6, 8, 0, cache=cache))


def run_mer(root, *words):
    command = [sys.executable, "-m", "mer_tools", *map(str, words)]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def read_figures(root, name):
    """Return the names of a set's figures, sorted, and its results."""
    (out,) = (root / "artifacts").glob(f"paper-{name}-*/figures")
    results = json.loads((out / "results.json").read_text())
    return sorted(path.stem for path in out.glob("*.png")), results


def test_a_licensed_folder_gives_every_figure_with_one_command(made, checkout, tmp_path):
    """The challenge's layout as a laboratory has it: numbered folders and a label table; no truth,
    no apex.
    """
    source, rows = tmp_path / "licensed set", []
    for n, clip in enumerate(made.clips):
        shutil.copytree(clip.folder, source / f"seq{n}")
        labels = dict(zip(made.labels, clip.labels, strict=True))
        rows.append({"Id": n, **labels, "Subject": clip.subject})
    write_table(source / "labels.csv", rows)
    data = checkout / "data" / "4dme"
    options = ["--labels", source / "labels.csv", "--figures"]
    printed = run_mer(checkout, "import", "4dme-challenge", source, data, *options)
    figures, results = read_figures(checkout, "4dme")
    assert figures == declared(*SUITE)
    assert results["data"]["synthetic"] is False and results["data"]["clips"] == 8
    assert not results.get("flow_epe_px")  # nothing is measured against a truth
    assert "median_abs_error_frames" not in results.get("apex", {})
    assert 0 <= results["uf1"]["MicroAttNet"]["macro"] <= 1
    assert "SYNTHETIC" not in printed and not (checkout / "figures").exists()
    assert "8 clips of 6 subjects" in printed


def test_a_miniature_of_a_published_set_runs_to_figures_and_answers(made, checkout, tmp_path):
    """CASME II: one camera, one label a clip, key frames by the numbers in file names."""
    clips = []
    for clip in made.clips:
        left = read_frames(clip)
        left = left[..., : left.shape[2] // 2]
        clips.append((int(clip.subject[1:]), left, clip.onset, clip.apex, clip.offset))
    source = miniatures.write_casme2(tmp_path / "casme2", clips)
    run_mer(checkout, "import", "casme2", source, tmp_path / "casme2-set")
    numbers = "01", "02", "03", "10"
    words = [word for number in numbers for word in ("--only", number)]
    run_mer(checkout, "run", "--profile", "paper", "--data", tmp_path / "casme2-set", *words)
    figures, results = read_figures(checkout, "casme2-set")
    assert figures == declared(*numbers) and results["data"]["clips"] == 8
    (weights,) = (checkout / "artifacts").glob("paper-casme2-set-*/10/weights.safetensors")
    own = source / "CASME2_RAW_selected" / "sub01" / "EP01_01f"
    printed = run_mer(checkout, "predict", own, "--weights", weights)
    assert printed.count(" yes") == 1 and "trained on CASME II" in printed


def test_ready_made_flow_images_give_the_figures_that_need_no_frames(made, checkout, tmp_path):
    """The layout that published code starts from: a folder a left-out subject, a folder a class,
    PNGs of u, v, M.
    """
    features = extract(made, FrontEnd(size=28, phases=1))
    # called as in the three sets that MEGC 2019 joins
    called = ("sub01", "006", "s1", "s2", "007", "sub02")
    people = dict(zip(made.subjects, called, strict=True))
    for n, maps in enumerate(features.x[:, 0, 0]):  # (3, S, S) of the left view
        folder = tmp_path / "flows" / people[features.subjects[n]] / "u_test" / str(n % 3)
        folder.mkdir(parents=True, exist_ok=True)
        u, v, magnitude = maps[0] * 40 + 127.5, maps[1] * 40 + 127.5, maps[2] * 80
        picture = np.clip(np.stack([magnitude, v, u], -1), 0, 255).astype(np.uint8)  # B, G, R
        cv2.imwrite(str(folder / f"clip{n} .png"), picture)
    data, options = tmp_path / "flowset", ["--labels", "0=Negative,1=Positive,2=Surprise"]
    words = ["import", "flow-images", tmp_path / "flows", data, *options, "--figures"]
    printed = run_mer(checkout, *words)
    assert "8 clips of 6 subjects" in printed
    figures, results = read_figures(checkout, "flowset")
    assert figures == declared("05", "06", "07", "08")
    assert "all_ones" not in results["uf1"]  # exclusive labels: one a clip
    assert 0 <= results["uf1"]["MicroAttNet"]["uar"] <= 1
    assert set(results["datasets"]) == {"MicroAttNet", "PCA+SVM", "majority"}
    assert "UAR smic" in results["datasets"]["PCA+SVM"] and len(results["published"]) == 11
