"""The committed notebooks: their anatomy, their stored outputs, and (nbval) that these outputs come
again.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from mer_course.weaving import weave_exercises
from mer_utils import KERNELS
from mer_utils.kernels import PINNED
from mer_utils.study import read_suite

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).parents[1]
SUITE = read_suite(ROOT)["notebooks"]
PATHS = [ROOT / "notebooks" / f"{entry['file']}.ipynb" for entry in SUITE.values()]
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
# 08 prints times: there only cells tagged nbval-check-output are compared. Everywhere else every
# output is, where the kernels are those that made the stored outputs; with others, notebooks are
# only run.
LAX = {"08"}
QUIET = ["--log-level=CRITICAL"]


def read(path):
    return nbformat.read(path, as_version=4)


def tagged(cell, tag):
    return tag in cell.metadata.get("tags", [])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
class TestAnatomy:
    def test_begins_with_its_number_and_has_the_common_sections(self, path):
        cells = read(path).cells
        number = path.stem[:2]
        assert re.match(rf"# {number} · ", cells[0].source)
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown").lower()
        for section in ("you will learn", "exercises", "you have seen", f"mer run --only {number}"):
            assert section in text, section

    def test_parameters_are_tagged_once_and_start_like_everywhere(self, path):
        (cell,) = [cell for cell in read(path).cells if tagged(cell, "parameters")]
        names = [line.split(" = ")[0] for line in cell.source.splitlines()]
        assert names[:6] == ["profile", "data", "subjects", "clips", "seed", "jobs"]
        # papermill drops any other line
        assert all(line.count("=") == 1 for line in cell.source.splitlines())

    def test_it_keeps_the_limits_of_a_lesson(self, path):
        cells = read(path).cells
        sources = [cell.source for cell in cells if cell.cell_type == "code"]
        texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
        filled = [line for source in sources for line in source.splitlines() if line.strip()]
        words = sum(len(text.split()) for text in texts)
        assert len(sources) <= 35 and len(filled) <= 300 and words <= 2200, (len(filled), words)
        for source in sources:
            assert len(source.splitlines()) <= 30, source
            assert not re.search(r"sys\.path|%?pip install|https?://", source), source
        assert sum(source.count("assert ") for source in sources) >= 3  # the checks cell

    def test_answers_fold(self, path):
        folded = r"^<details><summary>Answer</summary>\n\n.+?\n\n</details>$"
        for cell in read(path).cells:
            if cell.cell_type == "markdown":
                count = len(re.findall(folded, cell.source, re.M | re.S))
                assert cell.source.count("<details") == cell.source.count("</details") == count

    def test_outputs_are_stored_without_errors_warnings_or_private_paths(self, path):
        cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        pictures = 0
        for output in (output for cell in cells for output in cell.outputs):
            assert output.output_type != "error" and output.get("name") != "stderr", output
            data = output.get("data", {})
            text = output.get("text", "") + data.get("text/plain", "")
            assert not re.search(r"(^|[\s'\"(])/(work|root|home|tmp|Users)/", text), text
            for kind in {"image/png", "image/jpeg"} & data.keys():
                about, pictures = output.metadata[kind], pictures + 1
                assert about["alt"].strip() and about["width"] > 100
        assert pictures and path.stat().st_size < 800_000


def test_exercises_are_those_of_the_solutions(tmp_path):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    assert weave_exercises(tmp_path) == []
    path = tmp_path / "notebooks" / "solutions" / "05_solutions.ipynb"
    notebook = read(path)
    (first, *_) = [cell for cell in notebook.cells if tagged(cell, "exercise")]
    first.source += " Again."
    nbformat.write(notebook, path)
    (name,) = weave_exercises(tmp_path)
    assert name[:2] == path.stem[:2]
    assert "Again." in (tmp_path / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_each_exercise_is_solved_and_its_placeholder_is_not(path):
    for cell in read(path).cells:
        if tagged(cell, "check"):
            assert any(line.startswith("Right:") for line in lines_of(cell)), cell.source
    (notebook,) = [each for each in PATHS if each.stem[:2] == path.stem[:2]]
    checks = [cell for cell in read(notebook).cells if re.match(r"check_\d\(", cell.source)]
    assert 2 <= len(checks) <= 5
    for cell in checks:
        assert not any(line.startswith("Right:") for line in lines_of(cell)), cell.source


def lines_of(cell):
    """Return the lines that a code cell printed."""
    return "".join(output.get("text", "") for output in cell.outputs).splitlines()


def test_every_notebook_has_solutions():
    assert {path.stem[:2] for path in SOLUTIONS} == set(SUITE)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_outputs_come_again(path):
    """nbval runs the notebook and compares; what it trained, the solutions read from the cache."""
    mode = "--nbval-lax" if path.stem[:2] in LAX else "--nbval"
    cells = [cell for cell in read(path).cells if cell.cell_type == "code" and cell.outputs]
    assert any(mode == "--nbval" or tagged(cell, "nbval-check-output") for cell in cells)
    if KERNELS != PINNED:
        place = {"metadata": {"path": str(path.parent)}}
        NotebookClient(read(path), resources=place, extra_arguments=QUIET).execute()
        return
    command = [sys.executable, "-m", "pytest", mode, "--nbval-current-env"]
    command += ["--nbval-cell-timeout=600", "-p", "no:cacheprovider", path.name]
    ended = subprocess.run(command, cwd=path.parent, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert "passed" in ended.stdout


@pytest.fixture(scope="module")
def kernel():
    """One kernel for all solutions: libraries are loaded once."""
    place = ROOT / "notebooks" / "solutions"
    manager, client = start_new_kernel(kernel_name="python3", cwd=place, extra_arguments=QUIET)
    client.stop_channels()
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.slow
@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_solutions_are_right(path, kernel):
    notebook = read(path)
    notebook.cells.insert(0, new_code_cell("%reset -f"))  # it knows nothing of the one before
    for cell in NotebookClient(notebook, km=kernel).execute().cells:
        if tagged(cell, "check"):
            assert any(line.startswith("Right:") for line in lines_of(cell)), cell.source
