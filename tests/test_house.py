"""The house rules: one list of dependencies, rooms that import downwards, clean notebooks."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

from mer_tools.runner import plan_jobs
from mer_tools.suite import read_suite

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# from the ground up: package, its folder
HOUSE = {
    "mer_utils": ROOT / "mer_utils",
    "faces4d": ROOT / "packages" / "faces4d",
    "mer_course": ROOT / "packages" / "mer_course",
    "mer_tools": ROOT / "packages" / "mer_tools",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


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
    """Yield (line, module) for each import in a file, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module


def test_a_package_imports_only_packages_below_it():
    order, late = list(HOUSE), []
    for package, folder in HOUSE.items():
        for path in folder.rglob("*.py"):
            for _, name in list_imports(path):
                other = name.split(".")[0]
                if other in order and order.index(other) > order.index(package):
                    late.append((path.relative_to(ROOT).as_posix(), name))
    # a study without data asks for synthetic faces
    assert late == [("mer_utils/study.py", "faces4d.generate")]


def test_no_module_imports_itself_in_a_circle():
    """Imports at the top of a file; those inside functions run later."""
    needs = {}
    for package, folder in HOUSE.items():
        for path in folder.rglob("*.py"):
            name = ".".join((package, *path.relative_to(folder).with_suffix("").parts))
            top = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ImportFrom)]
            needs[name.removesuffix(".__init__")] = {node.module for node in top} - {"mer_utils"}
    list(TopologicalSorter(needs).static_order())


def test_every_module_says_what_it_is_for():
    for folder in HOUSE.values():
        for path in folder.rglob("*.py"):
            assert ast.get_docstring(ast.parse(path.read_text())), path


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
