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
from mer_utils.fitting import Recipe
from mer_utils.parallel import DASK, check_cluster, run_jobs
from mer_utils.training import run_loso

import numpy as np
import pytest
from toys import make_toy

LONG = Recipe(epochs=40, patience=40, inner=2)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def cluster(folder, threads=1, workers=2):
    """Start a scheduler and workers as processes; give (address, processes of the workers)."""
    address = f"tcp://127.0.0.1:{free_port()}"
    started = []

    def start(*words):
        command = [sys.executable, "-m", *map(str, words)]
        log = open(folder / f"log{len(started)}", "w")
        started.append(subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True))
        return started[-1]

    try:
        start("distributed.cli.dask_scheduler", "--host", address, "--no-dashboard", "--port", address.split(":")[-1])
        kept = ("--local-directory", folder, "--no-dashboard")
        flags = ("--no-nanny", "--nthreads", threads, "--host", "127.0.0.1", *kept)
        hands = [start("distributed.cli.dask_worker", address, *flags) for _ in range(workers)]
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


def test_what_cannot_be_used_as_a_cluster_is_one_sentence(tmp_path, monkeypatch):
    with cluster(tmp_path, threads=2, workers=1) as (address, _):
        with pytest.raises(MerError, match="--nthreads 1"):
            check_cluster(address)
    with cluster(tmp_path, workers=0) as (address, _):
        with pytest.raises(MerError, match="no workers"):
            check_cluster(address)
    monkeypatch.setattr("mer_utils.parallel.PATIENCE", 1)
    with pytest.raises(MerError, match="no Dask scheduler answers"):
        check_cluster(f"tcp://127.0.0.1:{free_port()}")


def test_jobs_keep_their_order_and_errors_come_through():
    assert run_jobs(divmod, [(7, 2), (9, 4)], jobs=2) == [(3, 1), (2, 1)]
    with pytest.raises(ZeroDivisionError):
        run_jobs(divmod, [(1, 0)])
