"""The runner, on a suite of two tiny notebooks and a dataset of three tiny clips."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import mer_utils
from mer_course.weaving import keep_outputs
from mer_tools import runner
from mer_tools.runner import default_out, plan_jobs, read_status, run_suite
from mer_utils import KERNELS, MerError, cache, files

import cv2
import nbformat
import numpy as np
import papermill
import pytest
import yaml
from filelock import FileLock
from nbformat.v4 import new_code_cell, new_notebook

NEVER = "not yet run to its end"
LABELS = ["Negative", "Positive", "Repression", "Surprise", "Others"]
SECOND = {"file": "02_second", "reads": ["table.json"], "frames": False, "figures": ["fig02_a"]}
PROFILES = {
    "notebooks": {"01": {"file": "01_first", "figures": ["fig01_a", "fig01_b"]}, "02": SECOND},
    "profiles": {
        "course": {"parameters": {}},
        "full": {"out": "figures", "parameters": {"all": {"seed": 1}, "02": {"rate": 1}}},
        "paper": {"needs_data": True, "parameters": {}},
    },
}
PARAMETERS = """profile = "course"
data = "data/tiny"
seed = 0
jobs = 1
rate = 0.5
widths = [8, 16]
name = "x"
on = True"""
DRAW = """fig = Figure(figsize=(2, 1))
fig.add_subplot().plot([seed, rate])
study.figure(fig, "{0}", "caption {0}", "alt {0}")"""


def write_notebook(path, number, figures):
    imports = "from matplotlib.figure import Figure\nfrom mer_utils.study import open_study\n"
    opening = f'{imports}study = open_study("{number}", globals())'
    numbers = (
        f'study.result(uf1={{"n{number}": rate / 3}}, '
        f'last="{number}")\nstudy.headline("rate of {number}")'
    )
    sources = [PARAMETERS, opening, *map(DRAW.format, figures), numbers]
    cells = [new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def make_dataset(root, clips=3):
    """Write the smallest dataset there can be: 8 x 12 px frames, four a clip."""
    rows = ["clip,subject," + ",".join(LABELS).lower()]
    for number in range(clips):
        folder = root / "clips" / f"c{number}"
        folder.mkdir(parents=True)
        for t in range(4):
            cv2.imwrite(str(folder / f"{t}.png"), np.full((8, 12), 10 * number + t, np.uint8))
        rows.append(f"c{number},s{number % 2},1,0,0,0,0")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    info = {"name": root.name, "views": 2, "labels": LABELS, "exclusive": True, "synthetic": True}
    (root / "dataset.json").write_text(json.dumps(info))


def make_suite(root):
    (root / "notebooks").mkdir(parents=True)
    (root / "notebooks" / "profiles.yml").write_text(yaml.safe_dump(PROFILES))
    for number, entry in PROFILES["notebooks"].items():
        write_notebook(root / "notebooks" / f"{entry['file']}.ipynb", number, entry["figures"])
    make_dataset(root / "data" / "tiny")
    (root / "table.json").write_text("{}")
    return root


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A copy of the package, which the runner hashes in its place."""
    copy = shutil.copytree(Path(mer_utils.__file__).parent, tmp_path / "package")
    found = {"mer_utils": SimpleNamespace(origin=str(copy / "__init__.py"))}
    monkeypatch.setattr(runner, "find_spec", lambda name: found.get(name) or find_spec(name))
    return copy


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A suite that ran once, in a folder whose name has spaces."""
    root = make_suite(tmp_path_factory.mktemp("suite") / "with two spaces")
    lines = []
    rows = run_suite(root=root, echo=lines.append)
    return root, rows, lines


@pytest.fixture
def root(finished, tmp_path):
    """A copy of the finished suite, to be spoilt."""
    return shutil.copytree(finished[0], tmp_path / "copy")


@pytest.fixture
def quick(monkeypatch):
    """Let this process run the cells of notebooks: a kernel takes a second to start."""

    def execute(source, executed, parameters, **_):
        notebook, values = nbformat.read(source, as_version=4), {}
        first, *others = [cell.source for cell in notebook.cells]
        exec(first, values)
        values |= parameters
        for source in others:
            exec(source, values)
        nbformat.write(notebook, executed)

    monkeypatch.setattr(papermill, "execute_notebook", execute)


def run(root, **options):
    lines = []
    rows = run_suite(root=root, echo=lines.append, **options)
    return rows, "\n".join(lines)


def status(root, **options):
    return {name[:2]: " ".join(reasons) for name, reasons in read_status(root=root, **options)}


def outputs(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def edit(root, old, new, name="01_first"):
    path = root / "notebooks" / f"{name}.ipynb"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_run_collects_figures_and_numbers(finished):
    root, rows, lines = finished
    out = root / "artifacts" / "course" / "figures"
    pictures = ["fig01_a.png", "fig01_b.png", "fig02_a.png"]
    assert sorted(outputs(out)) == ["RESULTS.md", *pictures, "figures.json", "results.json"]
    assert cv2.imread(str(out / "fig01_a.png")).shape == (150, 300, 3)
    results = json.loads((out / "results.json").read_text())
    assert results["uf1"] == {"n01": 0.166667, "n02": 0.166667} and results["last"] == "02"
    data = [results["data"][key] for key in ("name", "clips", "subjects")]
    assert data == ["tiny", 3, 2]
    figure = json.loads((out / "figures.json").read_text())["fig02_a"]
    assert figure["notebook"] == "02_second.ipynb" and figure["caption"] == "caption fig02_a"
    assert figure["sha256"] == files.sha256(out / "fig02_a.png")
    parameters = {"seed": 0, "rate": 0.5, "widths": [8, 16], "name": "x", "on": True}
    assert figure["data"]["name"] == "tiny" and figure["parameters"] == parameters
    assert [row["headline"] for row in rows] == ["rate of 01", "rate of 02"]
    assert "2 of 2 notebooks to run" in lines and f"02_second: {NEVER}" in lines


@pytest.mark.slow
def test_a_run_from_nothing_gives_equal_bytes(root):
    before = outputs(root / "artifacts" / "course" / "figures")
    rows, text = run(root, jobs=7)  # the number of workers is no reason to run again
    assert all(row["fresh"] for row in rows) and "01_first: fresh" in text
    shutil.rmtree(root / "artifacts")
    run(root, jobs=2)
    assert outputs(root / "artifacts" / "course" / "figures") == before


@pytest.mark.slow
def test_outputs_are_kept_in_the_notebooks(root):
    assert [*keep_outputs(root)] == ["01_first", "02_second"]
    for path in (root / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        assert any("image/png" in o.get("data", {}) for cell in cells for o in cell.outputs)


def test_status_names_what_changed(root, monkeypatch, package):
    assert status(root) == {"01": "", "02": ""}
    assert status(root, profile="full") == {"01": NEVER, "02": NEVER}
    (root / "table.json").write_text("[]")
    assert status(root) == {"01": "", "02": "table.json changed"}
    (root / "table.json").write_text("{}")
    edit(root, "caption fig01_a", "another")
    assert status(root) == {"01": "notebooks/01_first.ipynb changed", "02": ""}
    edit(root, "rate = 0.5", "rate = 0.25", "02_second")
    assert "parameter rate: 0.5 → 0.25" in status(root)["02"]
    with open(package / "dataset.py", "a") as file:
        file.write("CHANGED = True\n")
    assert "mer_utils changed" in status(root)["01"]
    monkeypatch.setattr(mer_utils, "KERNELS", "another family")
    assert f"kernels: {KERNELS} → another family" in status(root)["01"]
    monkeypatch.setitem(cache.VERSIONS, "numpy", "0.0")
    assert "→ 0.0" in status(root)["01"]


def test_status_sees_data_and_outputs(root):
    folder = root / "artifacts" / "course"
    (folder / "figures" / "fig01_b.png").unlink()
    (folder / "02" / "results.json").write_text("{}")
    assert status(root)["01"].startswith("fig01_b.png is missing")
    assert status(root)["02"].startswith("results.json changed")
    # the notebook's own picture is there still: it is put back without a run
    rows, _ = run(root, only=["01"])
    assert rows[0]["fresh"] and status(root)["01"] == ""
    cv2.imwrite(str(root / "data" / "tiny" / "clips" / "c1" / "2.png"), np.zeros((8, 12), np.uint8))
    assert status(root)["01"] == "the data changed"


def test_only_runs_one_notebook_and_keeps_the_others_entries(root, monkeypatch, quick):
    """Also where the others never ran, as in a fresh clone, and with another family of kernels."""
    out = root / "artifacts" / "course" / "figures"
    before = outputs(out)
    for folder in ("01", "02"):
        shutil.rmtree(root / "artifacts" / "course" / folder)
    monkeypatch.setattr(mer_utils, "KERNELS", "another family")
    rows, text = run(root, only=["02"])
    assert [row["notebook"] for row in rows] == ["02_second"]
    assert text.count("kernels here: another family; last digits differ") == 1
    figures = json.loads((out / "figures.json").read_text())
    kernels = {name: entry["kernels"] for name, entry in figures.items()}
    assert kernels == dict.fromkeys(("fig01_a", "fig01_b"), KERNELS) | {"fig02_a": "another family"}
    assert outputs(out) | {"figures.json": b""} == before | {"figures.json": b""}
    # numbers of two datasets never stand in one file; data are named from the current folder
    make_dataset(root / "data" / "other", clips=2)
    monkeypatch.chdir(root / "notebooks")
    run(root, only=["01"], data="../data/other", out=out)
    results = json.loads((out / "results.json").read_text())
    assert results["uf1"] == {"n01": 0.166667} and results["data"]["clips"] == 2
    assert set(json.loads((out / "figures.json").read_text())) == {"fig01_a", "fig01_b"}
    assert len(list((root / "artifacts").glob("course-other-*"))) == 1


def test_changed_parameters_write_elsewhere(root, quick):
    committed = root / "artifacts" / "course" / "figures"
    before = outputs(committed)
    _, text = run(root, only=["02"], overrides=["02.rate=2", "all.name=1", "02.widths=[1]"])
    assert "parameter rate: 0.5 → 2.0" in text
    (out,) = committed.parent.glob("figures-*")
    assert json.loads((out / "results.json").read_text())["uf1"] == {"n02": 0.666667}
    assert outputs(committed) == before


def test_weights_are_an_output_and_code_edited_during_a_run_makes_it_stale(root, package, quick):
    weights = "write_arrays(study.path('weights.safetensors'), {})"
    lines = ["from mer_utils.files import write_arrays", weights]
    lines += [f"open({str(package / 'study.py')!r}, 'a').write('EDITED = 1\\\\n')"]
    edit(root, "study.headline(", "; ".join([*lines, "study.headline("]))
    run(root, only=["01"])
    assert "mer_utils changed" in status(root)["01"]
    with open(root / "artifacts" / "course" / "01" / "weights.safetensors", "ab") as file:
        file.write(b"x")
    assert "weights.safetensors changed" in status(root)["01"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"profile": "all"}, "there is no profile 'all'; choose from course, full, paper"),
        ({"profile": "paper"}, "the profile paper needs --data"),
        ({"data": "nowhere"}, "nowhere/dataset.json: no such file"),
        ({"only": ["7"]}, "there is no notebook '7'; choose from 01, 02"),
        ({"overrides": ["seed=1"]}, "must look like 07.seeds=3"),
        ({"overrides": ["01.sead=1"]}, "parameter 01.sead; 01 has profile, data, seed"),
        ({"overrides": ["01.seed=True"]}, "seed is True: Input should be a valid integer"),
        ({"overrides": ["02.seed=["]}, "seed is '[': Input should be a valid integer"),
        ({"overrides": ["01.widths=[8, 0.5]"]}, "widths.1 is 0.5: Input should be a valid integer"),
        ({"overrides": ["01.jobs=2"]}, "use --jobs instead"),
    ],
)
def test_bad_requests_are_refused_before_anything_runs(root, options, sentence):
    shutil.rmtree(root / "artifacts")
    with pytest.raises(MerError) as error:
        run(root, **options)
    assert sentence in str(error.value) and "\n" not in str(error.value)
    assert not (root / "artifacts").exists()


def test_what_the_doctor_would_mend_in_given_data_is_refused_before_anything_runs(root):
    data = root / "given"
    make_dataset(data, clips=3)
    info = json.loads((data / "dataset.json").read_text()) | {"synthetic": False}
    (data / "dataset.json").write_text(json.dumps(info | {"labels": LABELS[:2]}))
    (data / "manifest.csv").write_text("clip,subject,negative,positive\nc0,a,1,0\nc1,a,1,0\n")
    with pytest.raises(MerError, match=r"a: is the only subject.*Positive: no clip has this"):
        plan_jobs(root, "course", data)
    rows = "c0,a,1,0\nc1,b,0,1\nc2,b,0,1\n"
    (data / "manifest.csv").write_text(f"clip,subject,negative,positive\n{rows}")
    for k in range(4):  # a copy whose frames count from elsewhere
        (data / "clips" / "c2" / f"{k}.png").unlink()
        shutil.copy(data / "clips" / "c0" / f"{k}.png", data / "clips" / "c2" / f"{k + 7}.png")
    with pytest.raises(MerError, match=r"c2: has the same pictures as c0, and another subject"):
        run(root, data=data, only=["01"])
    cv2.imwrite(str(data / "clips" / "c2" / "9.png"), np.zeros((8, 12), np.uint8))
    assert len(plan_jobs(root, "course", data)) == 2
    assert not list((root / "artifacts").glob("*given*"))


def test_notebooks_that_need_frames_are_refused_for_flow_images(root):
    (root / "dataset.json").write_text('{"channels": ["u", "v"]}')
    with pytest.raises(MerError, match="holds flow images, no frames: run --only 02"):
        run(root, data=root, only=["01"])


def test_a_broken_notebook_or_list_is_one_sentence_and_blocks_no_other(root):
    edit(root, "seed = 0", "seed = max(1, 2)")
    with pytest.raises(MerError, match=r"01_first\.ipynb: .* lines 'name = literal' only"):
        run(root)
    path = root / "notebooks" / "01_first.ipynb"
    path.write_text("{")
    with pytest.raises(MerError, match=r"01_first\.ipynb: not readable as a notebook"):
        run(root)
    assert run(root, only=["02"])[0][0]["fresh"]
    (root / "notebooks" / "profiles.yml").write_text("notebooks: [")
    with pytest.raises(MerError, match=r"profiles\.yml: not readable as YAML"):
        run(root)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("rate / 3", "1 / 0", r"failed in cell \[\d\]: ZeroDivisionError: .* by zero; .*ipynb"),
        ("study.headline(", "import os; os.kill(os.getpid(), 9); (", "failed: its kernel died"),
        ('study.figure(fig, \\"fig01_b\\"', "print(fig, str()", "ran, but did not make fig01_b"),
    ],
)
def test_a_failing_notebook_leaves_earlier_figures_alone(root, old, new, sentence):
    out = root / "artifacts" / "course" / "figures"
    before = outputs(out)
    edit(root, "[seed, rate]", "[rate, seed]")
    edit(root, old, new)
    edit(root, "rate = 0.5", "rate = 0.25", "02_second")
    with pytest.raises(MerError, match=f"01_first {sentence}"):
        run(root, jobs=1)
    assert outputs(out) == before
    after = status(root)  # the second was not begun
    assert after["01"] == NEVER and "parameter rate: 0.5 → 0.25" in after["02"]


def test_a_profile_changes_parameters_and_pictures_of_given_data_stay_apart(root):
    job = plan_jobs(root, "full")[1]
    assert (job.parameters["seed"], job.parameters["rate"]) == (1, 1)
    places = ("full", ""), ("course", ""), ("full", "d"), ("paper", "d"), ("paper", "e/../d")
    names = [
        str(default_out(root, profile, data and str(root / data)).relative_to(root.resolve()))
        for profile, data in (*places, ("paper", "e/d"))
    ]
    assert names[:2] == ["figures", "artifacts/course/figures"]
    assert names[2].startswith("artifacts/full-d-") and names[3].startswith("artifacts/paper-d-")
    assert names[4] == names[3] and len(set(names)) == 5


def test_two_notebooks_run_at_a_time(root, monkeypatch):
    for number in ("01", "02"):
        (root / "artifacts" / "course" / number / "results.json").unlink()
    meeting = Barrier(2)  # passed by two who wait at the same time
    monkeypatch.setattr(runner, "_execute", lambda *_: meeting.wait(20))
    rows, _ = run(root, jobs=2)
    assert not any(row["fresh"] for row in rows)


def test_one_run_at_a_time(root):
    with (
        FileLock(root / "artifacts" / ".course.lock"),
        pytest.raises(MerError, match="another run of this profile"),
    ):
        run(root)
    assert all(row["fresh"] for row in run(root)[0])  # the lock file stays, the lock does not
