"""Exercises stand once, in notebooks/solutions: text, stub, solution, check. The notebooks take
theirs from there, without the solutions.
"""

import hashlib
from copy import deepcopy
from pathlib import Path

from mer_utils.files import write_text
from mer_utils.study import find_root

import nbformat
from nbclient import NotebookClient

BEGIN, END = "## Exercises", "Solutions: ["  # what stands around the exercises of a notebook


def weave_exercises(root=None):
    """Write the exercises of the solutions into the notebooks; return which notebooks changed. Code
    that is the same keeps its outputs.
    """
    folder, changed = Path(root or find_root()) / "notebooks", []
    for source in sorted(folder.glob("solutions/*.ipynb")):
        (path,) = folder.glob(f"{source.stem[:2]}_*.ipynb")
        notebook, before = nbformat.read(path, as_version=4), path.read_text(encoding="utf-8")
        old, exercises = {(cell.id, cell.source): cell for cell in notebook.cells}, []
        for cell in nbformat.read(source, as_version=4).cells:
            if {"exercise", "stub", "check"} & set(cell.metadata.get("tags", [])):
                # ids differ between notebooks
                cell.id, cell.metadata = hashlib.sha256(cell.id.encode()).hexdigest()[:8], {}
                if cell.cell_type == "code":
                    cell.outputs, cell.execution_count = [], None
                exercises.append(old.get((cell.id, cell.source), cell))
        replace_exercises(notebook, exercises)
        text = nbformat.writes(notebook) + "\n"
        if text != before:
            write_text(path, text)
            changed.append(path.stem)
    return changed


def replace_exercises(notebook, cells):
    """Put ``cells`` in the place of a notebook's exercises."""
    starts = [cell.source.startswith((BEGIN, END)) for cell in notebook.cells]
    begin, end = (k for k, start in enumerate(starts) if start)
    notebook.cells[begin + 1 : end] = cells


def keep_outputs(root=None):
    """Run the notebooks and those of solutions with their own parameters and store their outputs in
    them; yield the name of each. Raises nbclient's CellExecutionError where a cell fails.
    """
    folder = Path(root or find_root()) / "notebooks"
    for path in (*sorted(folder.glob("*.ipynb")), *sorted(folder.glob("solutions/*.ipynb"))):
        notebook = nbformat.read(path, as_version=4)
        about, place = deepcopy(notebook.metadata), {"metadata": {"path": str(path.parent)}}
        options = {"extra_arguments": ["--log-level=CRITICAL"], "record_timing": False}
        options["coalesce_streams"] = True  # where a print is cut depends on the time
        NotebookClient(notebook, kernel_name="python3", resources=place, **options).execute()
        notebook.metadata = about
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = strip_outputs(cell.outputs)
        write_text(path, nbformat.writes(notebook) + "\n")
        yield path.stem


def strip_outputs(outputs):
    """Return a cell's outputs as they are committed: instead of a widget, which is gone when the
    notebook is closed, the picture or slider stored beside it.
    """
    kept = []
    for output in outputs:
        data = output.get("data", {})
        html = data.get("text/html", "")
        if "mer-still" in html and "<input" not in html:  # only where the widget may be alive
            del data["text/html"]
        widget = data.pop("application/vnd.jupyter.widget-view+json", None)
        if widget is None or any(kind.startswith("image/") for kind in data):
            kept.append(output)
    return kept
