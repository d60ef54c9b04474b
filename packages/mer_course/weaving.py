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
    """Write the exercises of the solutions into the notebooks; return which notebooks changed."""
    folder, changed = Path(root or find_root()) / "notebooks", []
    for source in sorted((folder / "solutions").glob("*.ipynb")):
        (path,) = folder.glob(f"{source.stem[:2]}_*.ipynb")
        before = path.read_text(encoding="utf-8")
        woven = weave(nbformat.reads(before, as_version=4), nbformat.read(source, as_version=4))
        text = nbformat.writes(woven) + "\n"
        if text != before:
            write_text(path, text)
            changed.append(path.stem)
    return changed


def weave(notebook, solutions):
    """Return ``notebook`` with the exercises of ``solutions`` in place of its own; code that is the
    same keeps its outputs.
    """
    begin, end = (
        next(k for k, cell in enumerate(notebook.cells) if cell.source.startswith(words))
        for words in (BEGIN, END)
    )
    old = {(cell.id, cell.source): cell for cell in notebook.cells}
    exercises = []
    for cell in solutions.cells:
        if not {"exercise", "stub", "check"} & set(cell.metadata.get("tags", [])):
            continue
        cell.id = hashlib.sha256(cell.id.encode()).hexdigest()[:8]  # ids differ between notebooks
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        exercises.append(old.get((cell.id, cell.source), cell))
    notebook.cells[begin + 1 : end] = exercises
    return notebook


def keep_solutions(root=None):
    """Run the notebooks of solutions and store their outputs in them; yield the name of each.
    Raises nbclient's CellExecutionError where a cell fails.
    """
    for path in sorted((Path(root or find_root()) / "notebooks" / "solutions").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        about, place = deepcopy(notebook.metadata), {"metadata": {"path": str(path.parent)}}
        options = {"kernel_name": "python3", "record_timing": False, "resources": place}
        options["extra_arguments"] = ["--log-level=CRITICAL"]
        NotebookClient(notebook, **options).execute()
        notebook.metadata = about
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = strip_outputs(cell.outputs)
        write_text(path, nbformat.writes(notebook) + "\n")
        yield path.stem


def strip_outputs(outputs):
    """Return a cell's outputs as they are committed: no widgets, texts in one piece."""
    kept = [_still(output) for output in outputs]
    return _join_streams([output for output in kept if output is not None])


def _still(output):
    """Return an output without its widget, which is gone when the notebook is closed: the picture
    stored beside it is left, or None.
    """
    data = output.get("data", {})
    if "mer-still" in data.get("text/html", ""):  # HTML is for where the widget may be alive
        data.pop("text/html")
    if data.pop("application/vnd.jupyter.widget-view+json", None) is None:
        return output
    return output if any(kind.startswith("image/") for kind in data) else None


def _join_streams(outputs):
    """Join texts of one stream that follow each other: where a print is cut depends on the time."""
    joined = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            last["text"] += output.text
        else:
            joined.append(output)
    return joined
