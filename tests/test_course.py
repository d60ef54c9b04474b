"""How long the course takes: notebook 00's table says what README and the exercises say."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def read_cells(path):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text("utf-8"))["cells"]]


def test_minutes_are_those_of_the_readme_and_of_the_exercises():
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    text = "\n".join(read_cells(notebooks[0]))
    reading, exercises = (
        [int(cell) for cell in re.search(rf"^\| {row} \|(.*) \|$", text, re.M)[1].split("|")]
        for row in ("read and try", "exercises")
    )
    readme = (ROOT / "README.md").read_text("utf-8")
    assert reading == [int(row) for row in re.findall(r"^\| \d\d \| .* \| (\d+) \|$", readme, re.M)]
    stated = r"^### .* · (\d+) minutes"
    for path, minutes in zip(notebooks, exercises, strict=True):
        assert minutes == sum(map(int, re.findall(stated, "\n".join(read_cells(path)), re.M)))
    hours = round(sum(reading + exercises) / 60)
    assert f"{hours} hours" in text
