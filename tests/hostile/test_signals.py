"""A command that is told to end takes its workers along and leaves no folder in the making."""

import os
import signal
import subprocess
import sys
import time

from mer_tools.importing.tables import write_table

import numpy as np
import psutil
import pytest
from foreign import write_film

SECONDS = 2  # in which all must have ended


def _write_films(folder, count):
    grey = np.random.default_rng(0).integers(0, 255, (400, 800), np.uint8)
    for k in range(count):
        write_film(folder / f"F{k}.avi", np.stack([np.roll(grey, t, 1) for t in range(60)]), 60)
    rows = [{"clip": f"F{k}.avi", "subject": f"S{k}"} for k in range(count)]
    write_table(folder.parent / "table.csv", rows)


def _is_at_work(process):
    """Return whether a process is more than an entry in the table that nobody has cleared yet."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_signal_ends_workers_and_removes_what_is_unfinished(tmp_path):
    home = tmp_path / "temporary"  # where libraries put what workers share
    home.mkdir()
    _write_films(tmp_path / "films", 16)
    words = ["import", "frames", "films", "new", "--table", "table.csv", "--numbers", "0"]
    before = sorted(path.name for path in tmp_path.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "mer_tools", *words, "--jobs", "2"],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(home), "JOBLIB_TEMP_FOLDER": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob(".new.*/clips/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2 and process.poll() is None
    process.terminate()
    began = time.monotonic()
    out, err = process.communicate(timeout=20)
    _, alive = psutil.wait_procs(children, timeout=max(0, began + SECONDS - time.monotonic()))
    alive = [one for one in alive if _is_at_work(one)]
    assert time.monotonic() - began < SECONDS + 1 and not alive
    assert (process.returncode, out) == (128 + signal.SIGTERM, "")
    assert "Traceback" not in err and "foresaw" not in err, err
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert not list(home.iterdir())
