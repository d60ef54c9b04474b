"""Every notebook in JupyterLab: it runs, its demos move, and they survive their kernel."""

from pathlib import Path

from mer_utils.study import read_suite

import pytest
from lab import CONTROLS, VISIBLE, Demo, Notebook

ROOT = Path(__file__).parents[2]
SUITE = [f"notebooks/{entry['file']}.ipynb" for entry in read_suite(ROOT)["notebooks"].values()]


@pytest.fixture(scope="module", params=SUITE, ids=lambda path: Path(path).stem)
def notebook(request, browser, lab, watch):
    """A notebook of the suite; the tests of this file follow one another in it."""
    opened = Notebook(browser, lab, request.param)
    yield opened
    opened.close()


def test_all_cells_run_without_an_error(notebook):
    assert not notebook.run()


def test_every_control_changes_its_picture(notebook):
    for cell in notebook.find_demos().values():
        demo = Demo(notebook.page, cell)
        assert not demo.move_all() + demo.look()


def test_a_reopened_notebook_shows_still_pictures(notebook):
    indices = list(notebook.find_demos())
    notebook.reopen()
    assert notebook.page.locator(", ".join(CONTROLS)).count() == 0
    for index in indices:
        cell = notebook.page.locator(".jp-Notebook .jp-Cell").nth(index)
        assert max(cell.evaluate(VISIBLE), default=0) > 100, f"no picture in cell {index}"
        assert "Error displaying widget" not in cell.inner_text(), f"cell {index}"
