"""The house rules: one list of dependencies, rooms that import downwards, clean notebooks."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from mer_utils.study import read_suite

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
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]


def test_the_lock_is_exact_and_portable_and_within_the_bounds():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    lines = [Requirement(line) for line in lines if line and not line.startswith("#")]
    lock = {canonicalize_name(line.name): line for line in lines}
    assert len(lock) == len(lines) > len(PROJECT["dependencies"])
    exact = {}
    for name, line in lock.items():
        (spec,) = line.specifier
        assert spec.operator == "==" and not {"*", "+"} & set(spec.version) and not line.url, line
        exact[name] = spec.version
    for wanted in map(Requirement, PROJECT["dependencies"]):
        assert any(spec.operator == "<" for spec in wanted.specifier), f"{wanted} has no upper cap"
        assert wanted.specifier.contains(exact[canonicalize_name(wanted.name)]), wanted
    for wanted in map(Requirement, BUILD["requires"]):  # `make` builds without isolation
        assert wanted.specifier.contains(exact[canonicalize_name(wanted.name)]), wanted
    windows = {"sys_platform": "win32"}
    assert not lock["pexpect"].marker.evaluate(windows)
    assert lock["pywinpty"].marker.evaluate(windows)


def test_conda_and_binder_install_the_lock():
    conda, binder = (
        yaml.safe_load((folder / "environment.yml").read_text())["dependencies"]
        for folder in (ROOT, ROOT / ".binder")
    )
    python, pip, packages = conda
    assert packages == {"pip": ["-r requirements.lock", "-e ."]} and pip == "pip"
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python="))
    *plain, packages = binder  # seen from its own folder, as conda and mamba do
    index = "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert plain == conda[:-1] and packages == {"pip": [index, "-r ../requirements.lock", "-e .."]}
    script = ROOT / ".binder" / "postBuild"
    assert os.access(script, os.X_OK) and script.read_text().endswith("\nmer run --only 00\n")


def test_a_module_says_what_it_is_for_and_imports_only_packages_below_it():
    order, late = list(HOUSE), []
    for package, folder in HOUSE.items():
        for path in folder.rglob("*.py"):
            tree = ast.parse(path.read_text())
            assert ast.get_docstring(tree), path
            nodes = list(ast.walk(tree))
            names = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
            names += [n.name for node in nodes if isinstance(node, ast.Import) for n in node.names]
            for name in names:
                other = name.split(".")[0]
                if other in order and order.index(other) > order.index(package):
                    late.append((path.relative_to(ROOT).as_posix(), name))
    # a study without data asks for synthetic faces
    assert late == [("mer_utils/study.py", "faces4d.generate")]


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff_is_content(command):
    words = [sys.executable, "-m", "ruff", *command.split(), "."]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_nothing_tracked_is_large_or_tells_of_one_machine():
    private = re.compile(r"(?<![\w./-])/" + r"(work|root|tmp/w|home/\w+|Users/\w+)/")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    if not files:
        pytest.skip("not a git checkout")
    for path in files:
        data = path.read_bytes()
        assert len(data) <= 1_000_000, f"{path} is {len(data)} bytes"
        found = None if b"\0" in data else private.search(data.decode(errors="replace"))
        assert not found, f"{path} names {found.group()}"


def test_every_notebook_is_there_and_clean():
    listed = {f"{entry['file']}.ipynb" for entry in read_suite(ROOT)["notebooks"].values()}
    folder = ROOT / "notebooks"
    assert listed == {path.name for path in folder.glob("*.ipynb")}
    for path in folder.rglob("[0-9]*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3", path
        assert not {"papermill", "widgets"} & set(notebook.metadata), path
        for cell in notebook.cells:
            assert "papermill" not in cell.metadata and cell.metadata.get("tags") != [], path
