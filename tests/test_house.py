"""The house rules: one list of dependencies, rooms that import downwards, clean notebooks."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

from mer_tools.plan import plan_jobs
from mer_utils.provenance import locate
from mer_utils.study import read_suite

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# from the ground up
ROOMS = ("core", "faces", "data", "method", "learning", "figures", "exercises", "suite", "cli")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = sorted((ROOT / "mer_utils").rglob("*.py"))


def tracked_files():
    """Return the files that git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def read_lock():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_every_dependency_is_locked_within_its_bounds():
    lock = {canonicalize_name(line.name): line for line in read_lock()}
    for text in PROJECT["dependencies"]:
        wanted = Requirement(text)
        assert any(spec.operator == "<" for spec in wanted.specifier), f"{text} has no upper cap"
        (exact,) = lock[canonicalize_name(wanted.name)].specifier
        assert exact.operator == "==" and wanted.specifier.contains(exact.version), (
            f"{text} is locked at {exact}"
        )
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for text in build:  # `make` builds without isolation
        (exact,) = lock[canonicalize_name(Requirement(text).name)].specifier
        assert Requirement(text).specifier.contains(exact.version)


def test_the_lock_is_exact_and_portable():
    lock = read_lock()
    assert (
        len({canonicalize_name(line.name) for line in lock})
        == len(lock)
        > len(PROJECT["dependencies"])
    )
    for line in lock:
        (exact,) = line.specifier
        assert (
            exact.operator == "=="
            and "*" not in exact.version
            and "+" not in exact.version
            and not line.url
        ), line
    marked = {line.name: line.marker for line in lock if line.marker}
    assert not marked["pexpect"].evaluate({"sys_platform": "win32"}) and marked[
        "pywinpty"
    ].evaluate({"sys_platform": "win32"})


def test_conda_installs_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert packages == {"pip": ["-r requirements.lock", "-e ."]} and pip == "pip"
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python="))


def list_imports(path):
    """Yield (line, module of the package) for each import in a file, wherever in the file it
    stands.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield node.lineno, name if locate(name) else node.module


def name_of(path):
    """Return the full name of a module of the package: "mer_utils.flow",
    "mer_utils.method".
    """
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_a_room_imports_only_rooms_below_it():
    rooms = {path.relative_to(ROOT / "mer_utils").parts[0] for path in MODULES} - {"__init__.py"}
    assert rooms == set(ROOMS)
    for path in MODULES:
        own = path.relative_to(ROOT / "mer_utils").parts[0]
        for line, name in list_imports(path):
            room = name.split(".")[1] if name.startswith("mer_utils.") else None
            if own in ROOMS and room in ROOMS:
                assert ROOMS.index(room) <= ROOMS.index(own), (
                    f"{path}:{line} imports {name}, a room above"
                )


def test_no_module_imports_itself_in_a_circle():
    # the first loads the others
    root = {"mer_utils", "mer_utils.kernels", "mer_utils.provenance"}
    needs = {
        name_of(path): {name for _, name in list_imports(path) if locate(name)} - root
        for path in MODULES
    }
    list(
        TopologicalSorter(
            {name: found for name, found in needs.items() if name not in root}
        ).static_order()
    )


def test_every_room_says_what_comes_in_and_goes_out():
    for path in (ROOT / "mer_utils").rglob("*/__init__.py"):
        text = ast.get_docstring(ast.parse(path.read_text()))
        assert len(ast.parse(path.read_text()).body) == 1 and "In:" in text and "Out:" in text, path


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_is_content(command):
    ended = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_nothing_tracked_is_large_or_tells_of_one_machine():
    private = re.compile(r"(?<![\w./-])/" + r"(work|root|tmp/w|home/\w+|Users/\w+)/")
    files = tracked_files()
    assert ROOT / "pyproject.toml" in files
    for path in files:
        data = path.read_bytes()
        assert len(data) <= 1_000_000, f"{path} is {len(data)} bytes"
        found = None if b"\0" in data else private.search(data.decode(errors="replace"))
        assert not found, f"{path} names {found.group()}"


def test_every_notebook_is_there_and_clean():
    listed = {
        ROOT / "notebooks" / f"{entry['file']}.ipynb"
        for entry in read_suite(ROOT)["notebooks"].values()
    }
    paths = {
        path
        for path in (ROOT / "notebooks").rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    }
    assert listed and listed == {path for path in paths if path.parent == ROOT / "notebooks"}
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3", path
        assert not {"papermill", "widgets"} & set(notebook.metadata), path
        for cell in notebook.cells:
            assert "papermill" not in cell.metadata and cell.metadata.get("tags") != [], path


@pytest.mark.parametrize("profile", ["course", "full"])
def test_profiles_name_only_parameters_that_exist(profile):
    assert len(plan_jobs(ROOT, profile)) == len(read_suite(ROOT)["notebooks"])
