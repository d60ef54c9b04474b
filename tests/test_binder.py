"""What Binder builds is what everybody else gets; Binder itself is not tested here."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def test_binder_installs_the_lock_with_the_cpus_torch():
    ours, binders = (
        yaml.safe_load((folder / "environment.yml").read_text())
        for folder in (ROOT, ROOT / ".binder")
    )
    *plain, pip = binders.pop("dependencies")
    assert plain == ours["dependencies"][:-1]
    index, lock, package = pip["pip"]
    # seen from its own folder, as conda and mamba do
    assert [lock, package] == ["-r ../requirements.lock", "-e .."]
    assert index == "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert ours.pop("dependencies")[-1] == {"pip": ["-r requirements.lock", "-e ."]}
    assert binders == ours


@pytest.mark.skipif(os.name == "nt", reason="Windows has no bash")
def test_binder_can_run_what_follows(tmp_path):
    script = ROOT / ".binder" / "postBuild"
    assert os.access(script, os.X_OK)
    calls = tmp_path / "calls"
    for name in ("python", "mer"):  # stand-ins that note how they are called
        stand_in = tmp_path / name
        stand_in.write_text(f'#!/bin/sh\necho "{name} $*" >> "{calls}"\n')
        stand_in.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([script], cwd=ROOT, env={**os.environ, "PATH": path}, check=True)
    kernel, course = calls.read_text().splitlines()
    assert kernel.startswith("python -m ipykernel install --sys-prefix --name python3")
    assert course == "mer run --only 00"
