"""Every command that help, README, docs, notebooks or an error message shows can be given so."""

import ast
import itertools
import json
import re
import shlex
from pathlib import Path

from mer_utils.cli.__main__ import commands
from mer_utils.suite.plan import plan_jobs
from mer_utils.suite.study import read_suite

import pytest
import typer

ROOT = Path(__file__).parents[1]
MAKE = (ROOT / "Makefile").read_text()
# what stands for something of the reader's, and an example of it
MEANT = {
    "COMMAND": "run", "KIND": "obj", "SOURCE": "there", "DATA": "data/mine", "DIR": "folder",
    "CLIP": "clip", "OUT.csv": "out.csv", "OUT": "out.csv", "FILE": "file", "NN": "05",
    "TABLE": "table.csv", "ADDRESS": "tcp://host:8786", "...": "",
}  # fmt: skip


def _texts():
    """Yield (where, text) of all that people read."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), ROOT / "data" / "README.md",
             *ROOT.glob("binder/*"), ROOT / "notebooks" / "profiles.yml"]  # fmt: skip
    for path in pages:
        if path.is_file():
            yield path.name, path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/solutions/*.ipynb")]:
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "markdown":
                yield f"{path.name} [{number}]", "".join(cell["source"])
    for path in ROOT.glob("mer_utils/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.name, node.value


def list_commands():
    """Return {command: where it is shown first}: lines of code blocks that begin with mer or make,
    and those in `ticks`.
    """
    found = {}
    for where, whole in _texts():
        text = whole.replace("\\\n", " ")
        blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
        lines = [line.strip() for block in blocks for line in block.splitlines()]
        bare = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        ticks = [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", bare)]
        for line in lines + ticks:
            command = re.split(r"\s{2,}|\s#|;| \| ", line.removeprefix(".venv/bin/"))[0].strip()
            if re.match(r"(mer|make)( |$)", command):
                found.setdefault(command, where)
    return found


COMMANDS = list_commands()


def test_there_are_commands_to_look_at():
    assert len(COMMANDS) > 40 and any("07.seeds" in command for command in COMMANDS)


@pytest.fixture(scope="module")
def reader():
    """The command line without what its commands do: it reads words, and that is all."""

    def empty(command):
        command.callback = None
        for inner in getattr(command, "commands", {}).values():
            empty(inner)
        return command

    return empty(typer.main.get_command(commands))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_shown_can_be_given(command, reader):
    where = COMMANDS[command]
    first, *words = shlex.split(re.sub(r"[\[\]]", "", command))
    if first == "make":
        targets = [word for word in words if "=" not in word]
        assert all(re.search(rf"(?m)^{target}:", MAKE) for target in targets), where
        return
    words = [word for word in (MEANT.get(word, word) for word in words) if word]
    try:
        reader.main(words, "mer", standalone_mode=False)
    except Exception as error:  # typer's own copy of click's UsageError
        named = len(words) <= 2 and re.search("Missing|requires an argument|Usage:", str(error))
        if not named:  # a command that is only named needs no arguments
            pytest.fail(f"{where}: {command}: {error}")
    suite = read_suite(ROOT)
    for option, value in itertools.pairwise(words):
        if option == "-p":
            plan_jobs(ROOT, "course", overrides=[value])  # raises MerError for what there is not
        if option in ("--only", "--from"):
            assert value in suite["notebooks"], where
        if option == "--profile":
            assert value in suite["profiles"], where


def test_the_example_in_the_help_of_p_exists():
    """Examples that stand in help and in the error without ticks."""
    texts = [text for _, text in _texts() if re.search(r"\b(\d\d|all)\.\w+=\w+", text)]
    examples = {one[0] for text in texts for one in re.findall(r"\b((\d\d|all)\.\w+=\w+)", text)}
    assert "07.seeds=3" in examples
    for example in examples:
        plan_jobs(ROOT, "course", overrides=[example])
