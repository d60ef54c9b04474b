"""Every notebook in JupyterLab: it runs, its demos move, and they survive their kernel."""

from pathlib import Path

from mer_utils.study import read_suite

import pytest
from lab import CONTROLS, VISIBLE, Notebook
from nbconvert import HTMLExporter

ROOT = Path(__file__).parents[2]
SUITE = [f"notebooks/{entry['file']}.ipynb" for entry in read_suite(ROOT)["notebooks"].values()]
SOLUTIONS = sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("notebooks/solutions/*.ipynb"))


@pytest.fixture(scope="module", params=SUITE, ids=lambda path: Path(path).stem)
def notebook(request, browser, lab, watch):
    """A notebook of the suite; the tests of this file follow one another in it."""
    opened = Notebook(browser, lab, request.param)
    yield opened
    opened.close()


def test_all_cells_run_without_an_error(notebook):
    assert not notebook.run()


def test_every_control_changes_its_picture(notebook, pictures):
    wrong = []
    for demo in notebook.demos():
        demo.box.screenshot(path=pictures / f"{notebook.name}-{demo.number}-start.png")
        wrong += demo.move_all() + demo.look()
        demo.box.screenshot(path=pictures / f"{notebook.name}-{demo.number}-moved.png")
    assert not wrong, "\n".join(wrong)


def test_a_reopened_notebook_shows_still_pictures(notebook, pictures):
    demos = notebook.find_demos()
    notebook.reopen()
    assert notebook.page.locator(", ".join(CONTROLS)).count() == 0
    for n, index in enumerate(demos, 1):
        cell = notebook.cell(index)
        cell.screenshot(path=pictures / f"{notebook.name}-{n}-reopened.png")
        assert max(cell.evaluate(VISIBLE), default=0) > 100, f"no picture in cell {index}"
        assert "Error displaying widget" not in cell.inner_text(), f"cell {index}"


def test_the_committed_notebook_shows_still_pictures(notebook, browser, tmp_path, watch):
    html, _ = HTMLExporter(template_name="lab").from_filename(ROOT / notebook.path)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    cells = page.locator(".jp-Cell")
    shown = {n: cells.nth(n).evaluate(VISIBLE) for n in notebook.find_demos()}
    page.close()
    watch.take()  # nbconvert's pages ask the web for MathJax; those of the book do not
    without = [n for n, widths in shown.items() if max(widths, default=0) <= 100]
    assert not without, f"cells without a picture: {without}"


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: Path(path).stem)
def test_solutions_run(path, browser, lab, watch):
    solutions = Notebook(browser, lab, path)
    assert not solutions.run()
    solutions.close()
