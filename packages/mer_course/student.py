"""The course for a class: notebooks without answers, or with points as nbgrader reads them."""

import re
from pathlib import Path

from mer_course.weaving import replace_exercises
from mer_utils.files import new_folder, write_text
from mer_utils.study import find_root

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

ANSWER = re.compile(r"<details><summary>Answer</summary>.*?</details>\s*", re.S)
LINK = re.compile(r"Solutions: \[.*?\]\(.*?\)\.\s*")
CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "micro-expressions"
c.ClearSolutions.code_stub = {"python": "# your answer"}  # the stub above runs as it is
c.ExecutePreprocessor.timeout = 600
"""
GRADE = """\
from IPython.utils.capture import capture_output

with capture_output(stderr=False, display=False) as said:
    {check}
print(said.stdout)
assert said.stdout.startswith("Right: "), "see the hint"
"""


def write_student(out, root=None, graded=False):
    """Write the notebooks into the new folder ``out`` without outputs, answers and solutions;
    ``graded`` writes a course of nbgrader, whose exercises have solutions between marks, and
    points. All is written or nothing; raises MerError where ``out`` holds something.
    """
    folder = Path(root or find_root()) / "notebooks"
    with new_folder(out) as part:
        for path in sorted(folder.glob("*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            if graded:
                (solutions,) = folder.glob(f"solutions/{path.name[:2]}_*.ipynb")
                add_points(notebook, nbformat.read(solutions, as_version=4))
            hide_answers(notebook)
            place = part / "source" / path.stem if graded else part
            write_text(place / path.name, nbformat.writes(notebook) + "\n")
        if graded:
            write_text(part / "nbgrader_config.py", CONFIG)


def hide_answers(notebook):
    """Take outputs, folded answers and the link to the solutions out of a notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = LINK.sub("", ANSWER.sub("", cell.source)).strip()
    notebook.cells = [cell for cell in notebook.cells if cell.source]


def add_points(notebook, solutions):
    """Put the exercises of ``solutions`` into a notebook: stub and solution in one cell, and the
    check as a test that is worth a point for each star. A text is graded by hand.
    """
    imports = next(cell.source for cell in solutions.cells if cell.cell_type == "code")
    cells = [mark(solve("# what your answers import", imports), "imports", solution=True)]
    for cell in solutions.cells:
        tags = set(cell.metadata.get("tags", []))
        if "exercise" in tags:
            number, points = re.match(r"### Exercise (\d+)", cell.source)[1], cell.source.count("★")
            cells.append(new_markdown_cell(cell.source))
            # what has no check is graded by hand
            cells.append(mark("Your answer:", f"text-{number}", solution=True, points=points))
        elif "stub" in tags:
            stub, solution = cell.source, []
            del cells[-1]
        elif "solution" in tags and cell.cell_type == "code":
            solution.append(cell.source)
        elif "check" in tags:
            cells.append(mark(solve(stub, *solution), f"answer-{number}", solution=True))
            check = cell.source.replace("\n", "\n    ")
            cells.append(mark(GRADE.format(check=check), f"check-{number}", points=points))
    replace_exercises(notebook, cells)


def solve(stub, *solution):
    """Return a stub, and below it the solution between nbgrader's marks."""
    return "\n".join([f"{stub}\n", "### BEGIN SOLUTION", *solution, "### END SOLUTION"])


def mark(source, name, solution=False, points=0):
    """Return a cell with nbgrader's metadata: an answer, a test that is worth points, or both in
    one, a text that the teacher grades.
    """
    kind = "markdown" if solution and points else "code"
    about = {"grade_id": name, "solution": solution, "grade": points > 0, "points": points}
    about |= {"locked": not solution, "task": False, "cell_type": kind, "schema_version": 3}
    new_cell = new_markdown_cell if kind == "markdown" else new_code_cell
    return new_cell(source, metadata={"nbgrader": about})
