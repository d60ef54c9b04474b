"""Jobs on a Dask cluster: a real scheduler and two real workers on this machine's loopback."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

from mer_utils import MerError
from mer_utils import jobs as parallel
from mer_utils.evaluation import run_loso
from mer_utils.jobs import DASK, _check_worker, check_cluster, describe_process, run_jobs
from mer_utils.training import Recipe

import numpy as np
import pytest
from test_kernels import clean, pinned
from toys import make_toy

LONG = Recipe(epochs=40, patience=40, inner=2)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def cluster(folder, threads=1, workers=2, mer=False, env=None):
    """Start a scheduler and workers (``mer``: by `mer worker`) as processes; give (address, the
    workers' processes).
    """
    address = f"tcp://127.0.0.1:{free_port()}"
    started = []

    def start(*words):
        command = [sys.executable, "-m", *map(str, words)]
        log = open(folder / f"log{len(started)}", "w")
        started.append(
            subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, start_new_session=True, env=env
            )
        )
        return started[-1]

    try:
        start(
            "distributed.cli.dask_scheduler",
            "--host",
            address,
            "--no-dashboard",
            "--port",
            address.split(":")[-1],
        )
        kept = ("--local-directory", folder, "--no-dashboard")
        flags = ("--no-nanny", "--host", "127.0.0.1", *kept)
        module = (
            ("distributed.cli.dask_worker", "--nthreads", threads)
            if not mer
            else ("mer_tools", "worker")
        )
        hands = [start(*module, address, *flags) for _ in range(workers)]
        wait_for_workers(address, workers)
        yield address, hands
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for_workers(address, count):
    from distributed import Client

    with Client(address, timeout=60, set_as_default=False) as client:
        if count:
            client.wait_for_workers(count, timeout=60)


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_bits_of_one_process(tmp_path, monkeypatch):
    data, cache = make_toy(clips=96, subjects=8, size=24), tmp_path / "cache"
    expected = run_loso(data, LONG)
    with cluster(tmp_path) as (address, (first, _)):
        monkeypatch.setenv(DASK, address)
        result = []
        run = threading.Thread(target=lambda: result.append(run_loso(data, LONG, cache)))
        run.start()
        end = time.monotonic() + 120
        while not cache.is_dir() or not list(cache.glob("fold-*")):
            assert run.is_alive() and time.monotonic() < end
            time.sleep(0.02)
        os.killpg(first.pid, signal.SIGKILL)
        alive = run.is_alive()
        run.join(240)
    assert alive, "the run had ended before the worker was killed"
    (outcome,) = result
    np.testing.assert_array_equal(outcome.scores, expected.scores)
    np.testing.assert_array_equal(outcome.thresholds, expected.thresholds)
    assert len(list(cache.glob("fold-*"))) == 8


@pytest.mark.slow
def test_what_cannot_be_used_as_a_cluster_is_one_sentence(tmp_path, monkeypatch):
    with cluster(tmp_path, threads=2, workers=1) as (address, _):
        with pytest.raises(MerError, match="--nthreads 1"):
            check_cluster(address)
    with cluster(tmp_path, workers=0) as (address, _):
        with pytest.raises(MerError, match="no workers"):
            check_cluster(address)
    monkeypatch.setattr("mer_utils.jobs.PATIENCE", 1)
    with pytest.raises(MerError, match="no Dask scheduler answers"):
        check_cluster(f"tcp://127.0.0.1:{free_port()}")


@pytest.mark.slow
@pinned
def test_workers_with_other_kernels_are_refused_and_mer_worker_starts_the_right_ones(
    tmp_path, monkeypatch
):
    """`dask worker` loads NumPy before anything can fix its kernels; `mer worker` fixes them
    first.
    """
    with cluster(tmp_path, workers=1, env=clean()) as (address, _):
        with pytest.raises(MerError, match=r"other kernels \(x86-64 native, .*\) .* `mer worker"):
            check_cluster(address)
    with cluster(tmp_path, workers=1, mer=True, env=clean()) as (address, _):
        assert check_cluster(address) == 1
        monkeypatch.setenv(DASK, address)
        assert run_jobs(describe_process, [()]) == [describe_process()]


@pytest.mark.slow
def test_a_worker_that_leaves_while_it_is_asked_is_done_without(tmp_path, monkeypatch):
    asked, here = tmp_path / "asked", describe_process()

    def linger():
        asked.touch()
        time.sleep(1)
        return here

    monkeypatch.setattr(parallel, "describe_process", linger)
    with cluster(tmp_path) as (address, workers):

        def kill_one():
            while not asked.exists():
                time.sleep(0.01)
            workers[0].send_signal(signal.SIGKILL)

        thread = threading.Thread(target=kill_one)
        thread.start()
        monkeypatch.setenv(DASK, address)
        assert run_jobs(divmod, [(7, 2), (9, 4)]) == [(3, 1), (2, 1)]
        thread.join()


def test_workers_of_another_version_are_refused(monkeypatch):
    here = describe_process()
    with pytest.raises(MerError, match="another version of mer_utils"):
        _check_worker("tcp://x", here, AttributeError("describe_process"))
    with pytest.raises(MerError, match="another version of mer_utils"):
        _check_worker("tcp://x", here, here | {"modules": {}})
    with pytest.raises(MerError, match=r"workers have torch 1\.0, this process has"):
        _check_worker("tcp://x", here, here | {"packages": here["packages"] | {"torch": "1.0"}})


def test_jobs_keep_their_order_and_errors_come_through():
    assert run_jobs(divmod, [(7, 2), (9, 4)], jobs=2) == [(3, 1), (2, 1)]
    with pytest.raises(ZeroDivisionError):
        run_jobs(divmod, [(1, 0)])


def test_workers_follow_to_another_working_folder(tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert run_jobs(os.path.abspath, [("x",)] * 4, 2) == [str(tmp_path / name / "x")] * 4
