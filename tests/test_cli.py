"""The command `mer`, as a process of its own where that matters."""

import logging
import os
import signal
import subprocess
import sys
import time

from faces4d import generate
from mer_tools import __main__ as cli

import pytest
from test_run import edit, make_suite
from typer.testing import CliRunner


@pytest.fixture
def root(tmp_path):
    return make_suite(tmp_path / "suite")


@pytest.fixture
def mer(monkeypatch, capsys):
    """Run the command in this process: returns (exit code, stdout, stderr)."""

    def call(*args, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["mer", *args])
        with pytest.raises(SystemExit) as ended:
            cli.app()
        return ended.value.code, *capsys.readouterr()

    yield call
    logging.disable(logging.NOTSET)


def test_run_ends_with_a_table_and_status_says_fresh(root, mer):
    code, out, err = mer(
        "run", "--only", "02", "-p", "02.rate=0.25", cwd=root / "notebooks"
    )  # any folder inside will do
    assert (code, err) == (0, "")
    table = out.splitlines()[-2:]
    assert table[0].split() == ["notebook", "seconds", "figures", "headline"]
    assert table[1].startswith("02_second") and table[1].endswith("1  rate of 02")
    lines = mer("status", cwd=root)[1].splitlines()
    assert lines[0] == f"{'01_first':22} never run"
    assert lines[1].startswith(
        f"{'02_second':22} stale: parameter rate: 0.25 → 0.5; fig02_a.png is missing in "
    )


def test_bad_input_is_one_sentence_on_stderr(root, mer, tmp_path):
    for args in (
        ("run", "--profile", "paper"),
        ("status", "--data", "nowhere"),
        ("run", "-p", "01.x=1"),
    ):
        code, out, err = mer(*args, cwd=root)
        assert (code, out) == (1, "") and err.startswith("mer: ") and err.count("\n") == 1
    code, _, err = mer("run", "--nonsense", cwd=root)
    assert code == 2 and "No such option" in err
    assert "go to the repository's folder first" in mer("status", cwd=tmp_path)[2]


@pytest.mark.slow
@pytest.mark.skipif(
    os.name == "nt", reason="a console's Ctrl-C cannot be sent to one process on Windows"
)
@pytest.mark.parametrize(
    "name, code, said",
    [
        ("SIGINT", 130, "mer: stopped; the notebooks that were finished stay\n"),
        ("SIGTERM", 143, ""),
    ],
)
def test_a_signal_ends_the_kernel_too(name, code, said, root, mer):
    edit(
        root,
        "study.headline(",
        "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60); (",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "mer_tools", "run"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background jobs ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    pid = root / "notebooks" / "pid"
    deadline = time.monotonic() + 40
    while (
        not (pid.exists() and pid.read_text())
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.1)
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (code, said)
    for _ in range(50):  # the kernel has been told; it may take a moment
        try:
            os.kill(int(pid.read_text()), 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the kernel lives on")
    assert "its last run did not finish" in mer("status", cwd=root)[1]


def test_synth_passes_its_options_on(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(generate, "write_synthetic", lambda *args: calls.append(args))
    options = [
        "--subjects",
        "2",
        "--clips",
        "3",
        "--seed",
        "4",
        "--size",
        "96",
        "--meshes",
        "--jobs",
        "5",
    ]
    ended = CliRunner().invoke(cli.commands, ["synth", str(tmp_path / "new"), *options])
    assert ended.exit_code == 0 and "mer run --data" in ended.output
    assert calls == [(tmp_path / "new", 2, 3, 4, "bench-v1", 96, True, 5)]


@pytest.mark.parametrize("words", [("--clips", 10**12), ("--subjects", 10**9)])
def test_more_faces_than_anybody_wants_are_refused_at_once(mer, words, tmp_path):
    code, _, err = mer("synth", "new", *map(str, words), cwd=tmp_path)
    assert code == 2 and "100000" in err and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(2, "No such file", "a/b.png"), "a/b.png: No such file"),
        (
            ZeroDivisionError("by\nzero"),
            "an error that nobody foresaw (ZeroDivisionError: by zero)",
        ),
    ],
)
def test_what_nobody_foresaw_is_one_sentence_and_a_log(mer, tmp_path, monkeypatch, error, sentence):
    def fail(*_):
        raise error

    monkeypatch.setattr("mer_tools.runner.read_status", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, out, err = mer("status", cwd=tmp_path)
    assert (code, out) == (70, "") and err.count("\n") == 1
    assert err.startswith(f"mer: {sentence}; the trace is in ")
    (log,) = tmp_path.glob("mer-*.log")
    assert str(log) in err and "Traceback" in log.read_text() and "status" in log.read_text()


def test_a_disk_that_refuses_is_no_fault_of_the_program(mer, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device", "a/b.png")

    monkeypatch.setattr("mer_tools.runner.read_status", fail)
    assert mer("status", cwd=tmp_path) == (1, "", "mer: a/b.png: No space left on device\n")


def test_help_names_every_command():
    text = CliRunner().invoke(cli.commands, ["--help"]).output
    assert all(name in text for name in ("run", "status", "synth", "predict", "demo"))


def test_mer_alone_says_what_to_do_next(root, mer):
    code, out, err = mer(cwd=root)
    lines = out.splitlines()
    assert (code, err, lines[0]) == (0, "", "Nothing has run here yet.")
    assert "mer run " in out and "mer demo CLIP" in out and "mer predict" not in out
    assert "mer --help" in lines[-1]
    mer("run", "--only", "01", cwd=root)
    assert "Profile course: 1 of 2 notebooks have run." in mer(cwd=root / "notebooks")[1]
    mer("run", cwd=root)
    out = mer(cwd=root)[1]
    assert "Profile course: all 2 notebooks have run, and nothing was edited since." in out
    assert "mer run " not in out.replace("mer run --profile", "")
    edit(root, "study.headline(", "print(1); study.headline(")
    assert (
        "notebooks/01_first.ipynb was edited since; `mer status --profile course`"
        in (mer(cwd=root)[1])
    )


def test_mer_alone_knows_weights_and_data(root, mer):
    weights = root / "artifacts" / "full" / "05" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    for name, text in (("mine", '{"synthetic": false}'), ("bad", "{"), ("odd", "[]")):
        (root / "data" / name).mkdir()
        (root / "data" / name / "dataset.json").write_text(text)
    out = mer(cwd=root)[1]
    assert "mer predict CLIP" in out and "mer doctor data/mine" in out
    assert "mer run --profile paper --data data/mine" in out
    assert "data/bad" not in out and "data/odd" not in out


def test_mer_alone_says_where_to_go(mer, tmp_path):
    code, out, err = mer(cwd=tmp_path)
    assert (code, err) == (0, "") and "go to the repository's folder first" in out
    assert "mer --help" in out.splitlines()[-1]


def test_mer_alone_loads_nothing_slow(root):
    code = (
        "import sys\nfrom mer_tools.__main__ import app\ntry: app()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'nbformat', 'matplotlib', 'cv2', 'scipy'} & sys.modules.keys()))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]" and "Next:" in ended.stdout


def test_a_dask_scheduler_that_is_not_there_is_one_sentence(root, mer, monkeypatch):
    monkeypatch.setattr("mer_utils.jobs.PATIENCE", 1)
    code, _, err = mer("run", "--dask", "tcp://127.0.0.1:9", cwd=root)
    assert (
        code == 1
        and err.startswith("mer: tcp://127.0.0.1:9: no Dask scheduler answers")
        and err.count("\n") == 1
    )
    assert "MER_DASK" not in os.environ


@pytest.mark.slow
def test_jupyter_executes_a_notebook_from_any_folder(root, tmp_path):
    path = root / "notebooks" / "01_first.ipynb"
    for folder, name in ((root, "notebooks/01_first.ipynb"), (tmp_path, str(path))):
        words = [sys.executable, "-m", "jupyter", "execute", name]
        subprocess.run(words, cwd=folder, capture_output=True, check=True)
        record = root / "artifacts" / "course" / "01" / "headline.txt"
        assert record.is_file()
        record.unlink()
