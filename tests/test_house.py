"""The house rules: one list of dependencies, one direction of imports, small files, clean notebooks."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from mer_utils.plan import plan_jobs
from mer_utils.study import read_suite

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ORDER = (
    "kernels provenance __init__ artifacts parallel tables images cameras anatomy faces scenario synthetic "
    "rendering meshfiles meshes clips generate adapters layouts sheets preprocessing flow apex records features "
    "inspection doctor metrics comparison model baselines fitting stacked training prediction submission "
    "sensitivity plots charts widgets study plan suite cli_data cli"
).split()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = sorted((ROOT / "mer_utils").glob("*.py"))


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
        assert exact.operator == "==" and wanted.specifier.contains(exact.version), f"{text} is locked at {exact}"
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for text in build:  # `make` builds without isolation
        (exact,) = lock[canonicalize_name(Requirement(text).name)].specifier
        assert Requirement(text).specifier.contains(exact.version)


def test_the_lock_is_exact_and_portable():
    lock = read_lock()
    assert len({canonicalize_name(line.name) for line in lock}) == len(lock) > len(PROJECT["dependencies"])
    for line in lock:
        (exact,) = line.specifier
        assert exact.operator == "==" and "*" not in exact.version and "+" not in exact.version and not line.url, line
    marked = {line.name: line.marker for line in lock if line.marker}
    assert not marked["pexpect"].evaluate({"sys_platform": "win32"}) and marked["pywinpty"].evaluate(
        {"sys_platform": "win32"}
    )


def test_conda_installs_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert packages == {"pip": ["-r requirements.lock", "-e ."]} and pip == "pip"
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python="))


def test_a_module_imports_only_those_above_it():
    assert {path.stem for path in MODULES} <= set(ORDER)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in (part.split(".")[1] for part in names if part.startswith("mer_utils.")):
                if name in ORDER:
                    assert ORDER.index(name) < ORDER.index(path.stem), f"{path.name}:{node.lineno} imports {name}"


def test_files_and_functions_are_short():
    for path in MODULES:
        text = path.read_text()
        assert text.count("\n") <= 320, f"{path.name} is too long"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path.name}: {node.name} is too long"


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_is_content(command):
    ended = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True)
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
    listed = {ROOT / "notebooks" / f"{entry['file']}.ipynb" for entry in read_suite(ROOT)["notebooks"].values()}
    paths = {path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts}
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
