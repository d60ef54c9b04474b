"""The estimate of how long the course takes."""

from pathlib import Path

from mer_tools.course import CELL, PACE, estimate_minutes, read_course, sum_route

import nbformat.v4 as v4
import pytest

ROOT = Path(__file__).parents[1]


def test_words_cells_and_stated_exercises_count(tmp_path):
    words = " ".join(["word"] * (PACE - 2))
    cells = [
        v4.new_markdown_cell("# 02 · A title\n## You will learn"),
        v4.new_code_cell("import this"),
        v4.new_markdown_cell(f"## 2.1 {words}"),
        v4.new_code_cell("pass"),
        v4.new_markdown_cell("## Exercises"),
        v4.new_markdown_cell("### Exercise 1 · One ★☆☆ · 5 minutes\nText."),
        v4.new_code_cell("stub = 0"),
        v4.new_markdown_cell("### Exercise 2 · Two ★★☆ · 10 minutes"),
        v4.new_markdown_cell("## You have seen"),
    ]
    path = tmp_path / "02_toy.ipynb"
    path.write_text(v4.writes(v4.new_notebook(cells=cells)))
    found = estimate_minutes(path)
    assert found == pytest.approx(
        {"start": 9 / PACE + CELL, "2.1": 1 + CELL, "exercises": 15, "end": 4 / PACE}
    )
    course = {"02": found}
    assert sum_route(course, {"02": ("2.1",)}) == pytest.approx(found["start"] + found["2.1"])
    assert sum_route(course, {"02": ()}) == pytest.approx(sum(found.values()) - 15)
    with pytest.raises(KeyError):
        sum_route(course, {"02": ("2.9",)})


def test_every_notebook_of_the_course_has_minutes():
    course = read_course(ROOT)
    assert len(course) == 11
    for minutes in course.values():
        assert minutes["start"] > 0 and sum(minutes.values()) > 15
