"""How long the course takes: an estimate a section, from what stands in the notebooks."""

import re
from pathlib import Path

from mer_utils.study import find_root, read_suite

import nbformat

PACE = 200  # words a minute, read with care
CELL = 1.5  # minutes to run a code cell, look and think


def estimate_minutes(path):
    """Return {section: minutes} of one notebook: "start" (up to its first section), each numbered
    section by its number ("2.3"), "exercises" as their headings say, and "end".
    """
    minutes, section = {"start": 0.0}, "start"
    for cell in nbformat.read(path, as_version=4).cells:
        heading = re.match(r"## (\S+)", cell.source) if cell.cell_type == "markdown" else None
        if heading:
            word, numbered = heading[1], re.fullmatch(r"\d+\.\d+", heading[1])
            if numbered or word == "Exercises":
                section = word.lower()
            elif section != "start":
                section = "end"
        if section == "exercises":
            stated = re.match(r"### .*· (\d+) minutes", cell.source)
            spent = int(stated[1]) if stated and cell.cell_type == "markdown" else 0
        else:
            spent = CELL if cell.cell_type == "code" else len(cell.source.split()) / PACE
        minutes[section] = minutes.get(section, 0.0) + spent
    return minutes


def read_course(root=None):
    """Return {number: {section: minutes}} of all notebooks, in their order."""
    root = Path(root or find_root())
    return {
        number: estimate_minutes(root / "notebooks" / f"{entry['file']}.ipynb")
        for number, entry in read_suite(root)["notebooks"].items()
    }


def sum_route(course, route):
    """Return the minutes of a ``route`` {number: (section, ...)} through the notebooks of
    ``course``, each with its start; no sections: the whole notebook without exercises. What a
    notebook no longer has raises KeyError.
    """
    total = 0.0
    for number, sections in route.items():
        minutes = course[number]
        chosen = (
            ("start", *sections) if sections else [name for name in minutes if name != "exercises"]
        )
        total += sum(minutes[section] for section in chosen)
    return total
