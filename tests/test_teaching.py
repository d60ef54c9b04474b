"""What a lecturer hands out: notebooks without answers, exercises with points, sums of minutes."""

import csv
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from mer_course import student

import nbformat
import nbformat.v4 as v4
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def test_the_student_edition_has_no_outputs_no_answers_and_no_solutions(tmp_path, mer, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert mer("course", "student", tmp_path / "class")[0] == 0
    code, _, err = mer("course", "student", tmp_path / "class")
    assert code == 1 and "exists already" in err
    written = sorted((tmp_path / "class").iterdir())
    assert [path.name for path in written] == [path.name for path in NOTEBOOKS]
    for path, original in zip(written, NOTEBOOKS, strict=True):
        notebook = read(path)
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert not any(cell.outputs or cell.execution_count for cell in code)
        kept = [cell.source for cell in read(original).cells if cell.cell_type == "code"]
        assert [cell.source for cell in code] == kept
        text = "\n".join(cell.source for cell in notebook.cells)
        assert "<details>" not in text and "Solutions: [" not in text


def test_a_folded_answer_goes_and_what_stands_around_it_stays():
    fold = "<details><summary>Answer</summary>\n\nBlue.\n\n</details>"
    cells = [v4.new_markdown_cell(text) for text in (f"Before.\n\n{fold}\n\nAfter.", fold)]
    notebook = v4.new_notebook(cells=cells)
    student.hide_answers(notebook)
    assert [cell.source for cell in notebook.cells] == ["Before.\n\nAfter."]


@pytest.fixture(scope="module")
def graded():
    """A course of nbgrader in the repository, where the notebooks find their data."""
    folder = ROOT / "artifacts" / f"nbgrader-{os.getpid()}"
    student.write_student(folder, ROOT, graded=True)
    yield folder
    shutil.rmtree(folder)


def test_each_exercise_is_worth_its_stars(graded):
    for path in NOTEBOOKS:
        stars = re.findall(
            r"^### Exercise .*?(★+)", "\n".join(c.source for c in read(path).cells), re.M
        )
        (source,) = graded.glob(f"source/*/{path.name}")
        about = [cell.metadata.get("nbgrader") for cell in read(source).cells]
        points = [cell["points"] for cell in about if cell and cell["grade"]]
        assert points == [len(star) for star in stars] and points


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("nbgrader"), reason="`make test-nbgrader` installs nbgrader")
def test_nbgrader_makes_the_assignments_and_gives_the_points(graded):
    def nbgrader(*words):
        command = [sys.executable, "-m", "nbgrader", *words]
        ended = subprocess.run(command, cwd=graded, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr[-2000:]

    name = "09_your_own_data"  # it trains nothing
    nbgrader("generate_assignment", name)
    from nbgrader.apps import NbGraderAPI  # the same command for the others, in one process
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", str(graded)).load_config()
    config.CourseDirectory.root = str(graded)
    maker = NbGraderAPI(config=config)
    for path in NOTEBOOKS:
        assert path.stem == name or maker.generate_assignment(path.stem)["success"], path
        released = (graded / "release" / path.stem / path.name).read_text("utf-8")
        assert "SOLUTION" not in released and "# your answer" in released
    for person, folder in (("idle", "release"), ("able", "source")):
        shutil.copytree(graded / folder / name, graded / "submitted" / person / name)
    nbgrader("autograde", name)
    nbgrader("export", "--to", "grades.csv")
    with open(graded / "grades.csv", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file) if row["assignment"] == name}
    assert float(rows["idle"]["score"]) == 0
    assert float(rows["able"]["score"]) == float(rows["able"]["max_score"]) == 4


def test_slides_and_plans_quote_the_record_and_the_bibliography_holds_what_is_cited():
    docs = {path.stem: path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")}
    record = (ROOT / "README.md").read_text("utf-8") + docs["benchmarks"] + docs["paper"]
    quoted = re.findall(r"\b0\.\d{3}\b", docs["slides"] + docs["lecturers"])
    assert quoted and all(number in record for number in quoted)
    cited = re.compile(r"https://(?:arxiv\.org/abs|doi\.org|www\.jstor\.org)/[^)\s\"\\]+")
    for path in NOTEBOOKS:
        assert all(link in docs["bibliography"] for link in cited.findall(path.read_text("utf-8")))


def test_tables_state_the_minutes_of_the_notebooks_that_they_name():
    stated = re.compile(r"\*\*Time\*\* about (\d+) minutes")
    minutes = {path.name[:2]: int(stated.search(path.read_text("utf-8"))[1]) for path in NOTEBOOKS}
    hours = round(sum(minutes.values()) / 60)
    for name in ("README.md", "docs/lecturers.md"):
        text = (ROOT / name).read_text("utf-8")
        rows = re.findall(r"^\| (?:.* \| )?(\d\d(?:, \d\d)*) \| .* (\d+) \|$", text, re.M)
        assert {number for numbers, _ in rows for number in numbers.split(", ")} == set(minutes)
        for numbers, total in rows:
            assert int(total) == sum(minutes[number] for number in numbers.split(", ")), numbers
        assert f"about {hours} hours in all" in text
