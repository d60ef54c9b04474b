"""What Binder builds is what everybody else gets; Binder itself is not tested here."""

import os
from pathlib import Path

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


def test_binder_can_run_what_follows():
    script = ROOT / ".binder" / "postBuild"
    assert os.access(script, os.X_OK)
    kernel, course = script.read_text().splitlines()[-2:]
    assert kernel.startswith("python -m ipykernel install --sys-prefix --name python3")
    assert course == "mer run --only 00"
