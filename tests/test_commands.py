"""Every command that help, README, docs, notebooks or an error message shows is run, on small
stand-ins for what the reader has.
"""

import ast
import itertools
import json
import os
import re
import shlex
import shutil
from pathlib import Path

from faces4d.motion import read_truth
from faces4d.rendering import write_obj
from mer_tools import book
from mer_tools.importing.folders import import_challenge
from mer_tools.importing.presets import PRESETS
from mer_utils import jobs
from mer_utils.dataset import read_frames
from mer_utils.files import write_bytes, write_json
from mer_utils.study import read_suite

import cv2
import miniatures
import numpy as np
import papermill
import pytest
from foreign import plant, write_film, write_rows, write_xlsx
from test_sources_tables import COLUMNS
from yunet import write_model

ROOT = Path(__file__).parents[1]
MAKE = (ROOT / "Makefile").read_text()


def read_texts():
    """Yield (where, text) of all that people read."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), ROOT / "data" / "README.md",
             *ROOT.glob(".binder/*"), ROOT / "notebooks" / "profiles.yml"]  # fmt: skip
    for path in pages:
        yield path.name, path.read_text(encoding="utf-8")
    for path in ROOT.glob("notebooks/**/*.ipynb"):
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "markdown":
                yield f"{path.name} [{number}]", "".join(cell["source"])
    for path in [*ROOT.glob("mer_utils/*.py"), *ROOT.glob("packages/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.name, node.value


def list_commands():
    """Return {command: where it is shown first}: lines of code blocks that begin with mer or make,
    and those in `ticks`.
    """
    commands = {}
    for where, text in read_texts():
        text = re.sub(r"\s*\\\n\s*", " ", text)
        blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
        lines = [line.strip() for block in blocks for line in block.splitlines()]
        bare = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        ticks = [" ".join(words.split()) for words in re.findall(r"`([^`]+)`", bare)]
        for line in lines + ticks:
            command = re.split(r"\s{2,}|\s#|;| \| ", line.removeprefix(".venv/bin/"))[0].strip()
            if re.match(r"(mer|make)( |$)", command):
                commands.setdefault(command, where)
    return commands


COMMANDS = list_commands()


def test_there_are_commands_to_look_at():
    assert len(COMMANDS) > 40 and any("07.seeds" in command for command in COMMANDS)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_a_target_of_make_that_is_shown_exists(command):
    targets = [word for word in command.split()[1:] if "=" not in word]
    assert all(re.search(rf"(?m)^{target}:", MAKE) for target in targets), COMMANDS[command]


@pytest.fixture(scope="module")
def stand_in(data, trained, tmp_path_factory):
    """A checkout with weights, and around it what commands speak of: sources of each kind, tables,
    datasets with and without labels, a clip as folder and as film, a face model.
    """
    root = tmp_path_factory.mktemp("reader")
    absent = (".git", ".venv", "artifacts", "data", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*absent), dirs_exist_ok=True)
    weights = root / "artifacts" / "course" / "05" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    shutil.copyfile(trained[0], weights)
    row = "Id,Negative,Positive,Repression,Surprise,Others,Subject"
    for name in ("TRAIN", "TEST", "4dme-challenge"):
        for k in range(6):
            plant(data, root / name / f"seq{k}", k, count=5)
    flags = ["1,0,0,0,0", "0,1,0,0,0", "0,0,1,0,0", "0,0,0,1,0", "0,0,0,0,1", "1,0,0,1,0"]
    write_rows(root / "LABELS.csv", row, *(f"{k},{flags[k]},P{k}" for k in range(6)))
    felt = ["Positive", "Negative+Surprise", "Repression", "Others"]
    sheet = [(1, f"S0{k}", f"S0{k}_001_01_1", felt[k], 1, 4, 8, "", None) for k in range(4)]
    for k, (_, person, name, *_) in enumerate(sheet):
        plant(data, root / "4dme-release" / "gray_micro" / person / name, k, first=1, count=8)
    write_xlsx(root / "4dme-release" / "4DME_Labelling_Micro_release v1.xlsx", COLUMNS, *sheet)
    for t in range(3):
        write_obj(root / "obj" / "laugh", read_truth(data, data.clips[0]), 4 * t)
    write_rows(root / "clips.csv", "clip,subject,Joy", "laugh,P1,1")
    head = ["Subject", "Filename", "Emotion", "Estimated Emotion",
            "OnsetFrame", "ApexFrame", "OffsetFrame"]  # fmt: skip
    rows = [[k + 1, f"EP{k}", word, word, 0, 2, 4] for k, word in enumerate(["joy", "fear"] * 2)]
    for k, (person, name, *_) in enumerate(rows):
        plant(data, root / "frames" / f"sub{person:02}" / name, k, count=5)
    write_xlsx(root / "coding.xlsx", head, *rows)
    write_rows(root / "t.csv", ",".join(head), *(",".join(map(str, row)) for row in rows))
    write_rows(root / "my_classes.csv", "label,class", "joy,good", "fear,bad")
    for k in range(4):
        picture = root / "flow-images" / f"s{k}" / "u_test" / str(k % 2) / f"{k}.png"
        picture.parent.mkdir(parents=True)
        cv2.imwrite(str(picture), np.full((28, 28, 3), 9, np.uint8))
    for name in PRESETS:
        write_set = getattr(miniatures, f"write_{name.replace('-', '_')}")
        write_set(root / name, miniatures.make_clips(4, frames=10))
    write_rows(root / "list.csv", "casme2,sub01,EP01_01f,0", "smic,s2,s2_po_02,1")
    shutil.copytree(data.root, root / "data" / "mine")
    shutil.copyfile(ROOT / "data" / "README.md", root / "data" / "README.md")
    import_challenge(root / "TEST", root / "data" / "test")
    plant(data, root / "clip", 0)
    write_film(root / "film.mp4", read_frames(data.clips[0]), 60)
    write_model(root / "yunet.onnx")
    return root


def complete(command):
    """Return a command's words, with what ``stand_in`` has for what is the reader's."""
    words = shlex.split(command)[1:]
    kind = words[1] if words[:1] == ["import"] and len(words) > 1 else ""
    kind = "obj" if kind == "KIND" else kind
    table = {"4dme-challenge": "LABELS.csv", "obj": "clips.csv"}.get(kind, "t.csv")
    known = {"KIND": kind, "SOURCE": kind, "FOLDER": kind or "data/mine", "DIR": "data/mine",
             "DATA": "data/test" if words[:1] == ["submit"] else "data/mine", "CLIP": "clip",
             "COMMAND": "run", "40": "20",  # the clip is short
             "FILE": "yunet.onnx" if words[:1] == ["boxes"] else table}  # fmt: skip
    return tuple(known.get(word, word) for word in words)


# each once, however it is written
RUNS = {complete(command): command for command in COMMANDS if command.startswith("mer")}


@pytest.mark.parametrize("words", RUNS, ids=RUNS.get)
def test_a_command_that_is_shown_runs(words, stand_in, mer, monkeypatch):
    """All of it but what a notebook computes, the book (test_book.py makes it), other processes and
    other machines.
    """
    root = shutil.copytree(stand_in, Path.cwd(), copy_function=os.link, dirs_exist_ok=True)
    started, ran, suite = [], [], read_suite(ROOT)

    def execute(source, executed, parameters, **options):
        number, folder = Path(source).name[:2], Path(executed).parent
        ran.append((number, parameters))
        names = suite["notebooks"][number]["figures"]
        for name in names:
            write_bytes(folder / "figures" / f"{name}.png", b"a picture")
        write_json(folder / "figures.json", {name: {"caption": "", "alt": ""} for name in names})
        about = {"name": "stand-in", "given": False, "clips": 1, "subjects": 1, "fingerprint": ""}
        write_json(folder / "results.json", {"data": about, "headline": {number: 0.5}})
        (folder / "headline.txt").write_text(f"{number} ran")
        shutil.copyfile(source, executed)

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    monkeypatch.setattr(book, "write_book", lambda out, pdf: out)
    monkeypatch.setattr(os, "execv", lambda program, words: started.append(words))
    monkeypatch.setattr(jobs, "check_cluster", started.append)
    monkeypatch.setenv(jobs.DASK, "")
    if words[:1] == ("import",) and len(words) > 3:
        shutil.rmtree(root / words[3], ignore_errors=True)  # an import makes a new folder
    before = {path: path.read_bytes() for path in root.rglob("dataset.json")}
    code, out, err = mer(*words)
    if code == 2:  # only named
        assert len(words) <= 2 and re.search("Missing|requires an argument|Usage:", out + err)
        return
    assert (code, err) == (0, ""), (COMMANDS[RUNS[words]], RUNS[words], out)
    assert out or started
    assert all(path.read_bytes() == content for path, content in before.items())
    if "--help" not in words and (words[:1] == ("run",) or "--figures" in words):
        pairs = list(itertools.pairwise(words))
        only = [value for key, value in pairs if key == "--only"]
        assert sorted(number for number, _ in ran) == (only or sorted(suite["notebooks"]))
        options = dict(value.split("=") for key, value in pairs if key == "-p")
        for number, parameters in ran:
            assert bool(parameters.get("data")) == ("--data" in words or "import" in words)
            for key, value in options.items():
                assert key[:2] != number or str(parameters[key[3:]]) == value
    assert bool(started) == ("--dask" in words or words[:1] in (("demo",), ("worker",)))
