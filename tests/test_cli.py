"""The command `mer`, as a process of its own where that matters."""

import os
import shutil
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

from mer_tools.importing.tables import write_table

import numpy as np
import psutil
import pytest
from foreign import contents, write_film
from test_run import edit, make_suite


@pytest.fixture
def root(mer, tmp_path, monkeypatch):
    """A suite of two small notebooks, around the current folder."""
    root = make_suite(tmp_path / "suite")
    monkeypatch.chdir(root / "notebooks")
    return root


def test_run_ends_with_a_table_and_status_says_fresh(root, mer):
    code, out, err = mer("run", "--only", "02", "-p", "02.rate=0.25")
    assert (code, err) == (0, "")
    row = out.splitlines()[-1]
    assert row.startswith("02_second") and row.endswith("1  rate of 02")
    lines = mer("status")[1].splitlines()
    assert lines[0] == f"{'01_first':22} not yet run to its end"
    stale = "parameter rate: 0.25 → 0.5; fig02_a.png is missing in "
    assert lines[1].startswith(f"{'02_second':22} {stale}")
    said = mer()[1]  # alone it says the same
    assert all(line in said for line in lines)


def test_mer_alone_loads_nothing_slow(root):
    command = [sys.executable, "-X", "importtime", "-m", "mer_tools"]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    loaded = {line.split()[-1] for line in ended.stderr.splitlines()}
    assert "typer" in loaded and not {"torch", "matplotlib", "scipy"} & loaded
    assert "Next:" in ended.stdout


def test_what_a_library_raises_is_one_sentence(mer, tmp_path, monkeypatch):
    """A fault of the program keeps its trace; a disk that refuses is none."""
    errors = [OSError(28, "No space left on device", "a.png"), ZeroDivisionError("by\nzero")]
    monkeypatch.setattr("mer_tools.runner.read_status", Mock(side_effect=errors))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert mer("status") == (1, "", "mer: a.png: No space left on device\n")
    assert not list(tmp_path.glob("mer-*.log"))
    code, out, err = mer("status")
    (log,) = tmp_path.glob("mer-*.log")
    assert (code, out) == (70, "") and err.count("\n") == 1
    unknown = "an error that nobody foresaw (ZeroDivisionError: by zero)"
    assert err.startswith(f"mer: {unknown}; the trace is in {log}")
    assert "Traceback" in log.read_text() and "status" in log.read_text()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends no Ctrl-C to a single process")
def test_ctrl_c_ends_the_kernel_too(root, mer):
    sleep = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60); ("
    edit(root, "study.headline(", sleep)
    process = subprocess.Popen(
        [sys.executable, "-m", "mer_tools", "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background jobs ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    pid = root / "notebooks" / "pid"
    deadline = time.monotonic() + 40
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.1)
    kernel = psutil.Process(int(pid.read_text()))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    words = "mer: stopped; the notebooks that were finished stay\n"
    assert (process.returncode, errors) == (130, words)
    kernel.wait(5)  # it may take a moment to end
    assert "not yet run to its end" in mer("status")[1]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_signal_ends_workers_and_removes_what_is_unfinished(tmp_path):
    temporary, films = tmp_path / "temporary", range(16)
    temporary.mkdir()  # where libraries put what workers share
    grey = np.random.default_rng(0).integers(0, 255, (400, 800), np.uint8)
    frames = np.stack([np.roll(grey, t, 1) for t in range(60)])
    write_film(tmp_path / "films" / "F0.avi", frames, 60)
    for k in films[1:]:
        shutil.copy(tmp_path / "films" / "F0.avi", tmp_path / "films" / f"F{k}.avi")
    write_table(tmp_path / "table.csv", [{"clip": f"F{k}.avi", "subject": f"S{k}"} for k in films])
    before = contents(tmp_path)
    words = "import frames films new --table table.csv --numbers 0 --jobs 2".split()
    process = subprocess.Popen(
        [sys.executable, "-m", "mer_tools", *words],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(temporary), "JOBLIB_TEMP_FOLDER": str(temporary)},
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
    out, err = process.communicate(timeout=3)
    _, alive = psutil.wait_procs(children, timeout=2)
    # what nobody has cleared from the table of processes yet, a zombie, is at work no more
    listed = psutil.process_iter(["pid", "status"])
    working = {one.pid for one in listed if one.info["status"] != psutil.STATUS_ZOMBIE}
    assert not working & {child.pid for child in alive}
    assert (process.returncode, out) == (128 + signal.SIGTERM, "")
    assert "Traceback" not in err and "foresaw" not in err, err
    assert contents(tmp_path) == before
