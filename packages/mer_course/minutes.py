"""How long the course takes: the one place where its minutes are counted."""

import re
from math import ceil
from pathlib import Path

from mer_utils.files import write_text
from mer_utils.study import find_root

import nbformat

TIME = re.compile(r"(?<=\*\*Time\*\* about )\d+(?= minutes)")
# a row of a table with a cell of notebooks, such as "03" or "03, 04", and minutes at its end
ROW = re.compile(r"^(\| (?:.* \| )??)(\d\d(?:, \d\d)*)( \| (?:.*\| )?)\d+ \|$", re.M)
EXERCISE = re.compile(r"^### Exercise .* (\d+) minutes$", re.M)
TOTAL = re.compile(r"(?<=about )\d+(?= hours in all)")
PAGES = ("README.md", "docs/lecturers.md")


def count_minutes(notebook):
    """Return the minutes to work through a notebook: 180 words a minute, 1.5 minutes for a cell of
    code, what each exercise says in its heading, rounded up to the next 5.
    """
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    words = sum(len(text.split()) for text in texts)
    exercises = sum(map(int, EXERCISE.findall("\n".join(texts))))
    cells = len(notebook.cells) - len(texts)
    return 5 * ceil((words / 180 + 1.5 * cells + exercises) / 5)


def read_minutes(root):
    """Return {"00": minutes, ...} of the notebooks below ``root``."""
    paths = sorted((Path(root) / "notebooks").glob("*.ipynb"))
    return {path.name[:2]: count_minutes(nbformat.read(path, as_version=4)) for path in paths}


def fill_minutes(text, minutes):
    """Return a page whose tables and total have these minutes."""

    def fill(row):
        total = sum(minutes.get(number, 0) for number in row[2].split(", "))
        return f"{row[1]}{row[2]}{row[3]}{total} |"

    return TOTAL.sub(str(round(sum(minutes.values()) / 60)), ROW.sub(fill, text))


def write_minutes(root=None):
    """Write the minutes into the notebooks, the README and the plans."""
    root = Path(root or find_root())
    minutes = read_minutes(root)
    for path in (root / "notebooks").glob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        write_text(path, TIME.sub(str(minutes[path.name[:2]]), text))
    for path in map(root.joinpath, PAGES):
        write_text(path, fill_minutes(path.read_text(encoding="utf-8"), minutes))
