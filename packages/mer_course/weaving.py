"""Exercises stand once, in notebooks/solutions: text, stub, solution, check. The notebooks
take theirs from there, without the solutions.
"""

import hashlib
from pathlib import Path

from mer_utils import MerError
from mer_utils.files import write_text
from mer_utils.study import find_root, read_suite

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

KINDS = ("exercise", "stub", "check", "solution")  # tags of the cells of a solutions notebook
BEGIN, END = "## Exercises", "Solutions: ["  # how the cells around a notebook's exercises begin


def weave_exercises(root=None):
    """Write the exercises of notebooks/solutions into the notebooks; return the names of those that
    changed. A cell that is new there has no outputs yet.
    """
    root, changed = Path(root or find_root()), []
    for entry in read_suite(root)["notebooks"].values():
        path = root / "notebooks" / f"{entry['file']}.ipynb"
        source = root / "notebooks" / "solutions" / f"{path.stem[:2]}_solutions.ipynb"
        if not source.is_file():
            continue
        notebook, solutions = (nbformat.read(each, as_version=4) for each in (path, source))
        if not any("exercise" in cell.metadata.get("tags", []) for cell in solutions.cells):
            continue
        woven = weave(notebook, solutions, path)
        if woven != nbformat.read(path, as_version=4):
            write_text(path, nbformat.writes(woven) + "\n")
            changed.append(path.stem)
    return changed


def weave(notebook, solutions, path):
    """Return ``notebook`` with the exercises of ``solutions`` between its heading of exercises and
    its line on solutions; MerError naming ``path`` where it has not one of each.
    """
    begin, end = (_find(notebook, words, path) for words in (BEGIN, END))
    old = {cell.id: cell for cell in notebook.cells}
    cells = []
    for cell in solutions.cells:
        kind = next((tag for tag in cell.metadata.get("tags", []) if tag in KINDS), None)
        if kind in (None, "solution"):
            continue
        tags = [tag for tag in cell.metadata["tags"] if tag not in KINDS]
        name = hashlib.sha256(cell.id.encode()).hexdigest()[:8]  # ids differ between notebooks
        copy = nbformat.from_dict({**cell, "id": name, "metadata": {"tags": tags} if tags else {}})
        if copy.cell_type == "code":  # outputs of the same code stay
            same = name in old and old[name].source == copy.source
            copy.outputs = old[name].outputs if same else []
            copy.execution_count = old[name].execution_count if same else None
        cells.append(copy)
    notebook.cells = notebook.cells[: begin + 1] + cells + notebook.cells[end:]
    return notebook


def _find(notebook, words, path):
    """Return the index of the one Markdown cell that begins with ``words``."""
    found = [
        index
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown" and cell.source.startswith(words)
    ]
    if len(found) != 1:
        raise MerError(path, f"needs exactly one cell that begins with {words!r}")
    return found[0]


def keep_solutions(root=None):
    """Run the notebooks of solutions and store their outputs in them, without widgets and times;
    yield the name of each. MerError where a cell fails.
    """
    folder = Path(root or find_root()) / "notebooks" / "solutions"
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        about = dict(notebook.metadata)
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            record_timing=False,
            extra_arguments=["--log-level=CRITICAL"],
            resources={"metadata": {"path": str(folder)}},
        )
        try:
            client.execute()
        except CellExecutionError as error:
            raise MerError(path, f"{error.ename}: {' '.join(error.evalue.split())}") from None
        notebook.metadata = nbformat.from_dict(about)
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
