"""Jobs in processes, and on a Dask cluster: a real scheduler and two real workers on this machine's
loopback.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

from mer_utils import MerError, jobs
from mer_utils.cache import describe_process
from mer_utils.evaluation import run_loso
from mer_utils.jobs import DASK, _call, check_cluster, run_jobs
from mer_utils.training import Recipe

import numpy as np
import pytest
from test_kernels import clean, pinned
from toys import make_toy

RECIPE = Recipe(epochs=4, patience=4, inner=2)
DASK_WORKER = ("distributed.cli.dask_worker", "--nthreads")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def cluster(folder, workers=1, module=("mer_tools", "worker")):
    """Start a scheduler and workers by ``python -m module``, as from a shell that knows nothing of
    kernels; give (address, the workers' processes).
    """
    from distributed import Client

    port, started = free_port(), []
    address = f"tcp://127.0.0.1:{port}"

    def start(*words):
        with open(folder / "log", "a") as log:
            options = {"cwd": folder, "stdout": log, "stderr": log, "env": clean()}
            command = [sys.executable, "-m", *map(str, words)]
            started.append(subprocess.Popen(command, start_new_session=True, **options))
        return started[-1]

    try:
        flags = ("--host", "127.0.0.1", "--no-dashboard")
        start("distributed.cli.dask_scheduler", "--port", port, *flags)
        flags = (address, *flags, "--no-nanny", "--local-directory", folder)
        hands = [start(*module, *flags) for _ in range(workers)]
        with Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield address, hands
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_bits_of_one_process(tmp_path, monkeypatch):
    data, folds = make_toy(clips=72, subjects=6, size=24), tmp_path / "cache" / "folds"
    expected = run_loso(data, RECIPE)
    with cluster(tmp_path, workers=2) as (address, (first, _)):
        monkeypatch.setenv(DASK, address)
        result = []
        cache = tmp_path / "cache"
        work = threading.Thread(target=lambda: result.append(run_loso(data, RECIPE, cache)))
        work.start()
        end = time.monotonic() + 120
        while not list(folds.glob("*.safetensors")):
            assert work.is_alive() and time.monotonic() < end
            time.sleep(0.02)
        os.killpg(first.pid, signal.SIGKILL)
        alive = work.is_alive()
        work.join(240)
    assert alive, "the run had ended before the worker was killed"
    (outcome,) = result
    np.testing.assert_array_equal(outcome.scores, expected.scores)
    np.testing.assert_array_equal(outcome.thresholds, expected.thresholds)
    assert len(list(folds.glob("*.safetensors"))) == 6


def test_an_address_without_a_scheduler_is_one_sentence(monkeypatch):
    monkeypatch.setattr(jobs, "PATIENCE", 1)
    for address in (f"tcp://127.0.0.1:{free_port()}", "nonsense"):
        with pytest.raises(MerError, match=r"no Dask scheduler answers .* like tcp://host:8786"):
            check_cluster(address)


@pytest.mark.slow
@pinned
@pytest.mark.parametrize(
    ("threads", "words"), [(1, "a worker has kernels x86-64 native, "), (2, "one thread each; ")]
)
def test_workers_that_dask_started_are_refused(tmp_path, threads, words):
    """`dask worker` loads NumPy before anything can fix its kernels, and takes all threads."""
    with cluster(tmp_path, module=(*DASK_WORKER, threads)) as (address, _):
        with pytest.raises(MerError, match=f"{words}.* by `mer worker"):
            check_cluster(address)


@pytest.mark.slow
def test_mer_worker_starts_the_right_ones(tmp_path, monkeypatch):
    with cluster(tmp_path) as (address, _):
        assert check_cluster(address) == 1
        monkeypatch.setenv(DASK, address)
        assert run_jobs(describe_process, [()]) == [describe_process()]


@pytest.mark.parametrize(
    ("name", "value"),
    [("code of mer_utils", "other"), ("torch", "1.0"), ("kernels", "arm64 native")],
)
def test_a_worker_with_other_code_packages_or_kernels_is_refused(tmp_path, name, value):
    assert _call(divmod, (7, 2), {"code of another package": "0"}, tmp_path) == (3, 1)
    with pytest.raises(MerError, match=f"a worker has {name} .*, this process has {value};"):
        _call(divmod, (7, 2), {name: value}, tmp_path)


def test_workers_follow_to_another_working_folder(tmp_path, monkeypatch):
    run_jobs(os.path.abspath, [("x",)] * 2, 2)
    monkeypatch.chdir(tmp_path)
    assert run_jobs(os.path.abspath, [("x",)] * 2, 2) == [str(tmp_path / "x")] * 2
