"""Jobs in processes, and on a Dask cluster: a real scheduler and real workers on this machine's
loopback.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time

from mer_utils import MerError, jobs
from mer_utils.cache import describe_process
from mer_utils.evaluation import run_loso
from mer_utils.jobs import DASK, _call, check_cluster, run_jobs
from mer_utils.kernels import CHOICE
from mer_utils.training import Recipe

import numpy as np
import pytest
from distributed import LocalCluster
from test_kernels import clean, pinned
from toys import make_toy

RECIPE = Recipe(epochs=4, patience=4, inner=2)


def start_cluster(folder, workers, threads=1):
    """Return a scheduler with workers, each a process."""
    options = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    return LocalCluster(
        n_workers=workers, threads_per_worker=threads, local_directory=folder, **options
    )


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_bits_of_one_process(tmp_path, monkeypatch):
    data, folds = make_toy(subjects=6, size=16), tmp_path / "cache" / "folds"
    expected = run_loso(data, RECIPE)
    with start_cluster(tmp_path, 2) as cluster:
        monkeypatch.setenv(DASK, cluster.scheduler_address)
        result, cache = [], tmp_path / "cache"
        work = threading.Thread(target=lambda: result.append(run_loso(data, RECIPE, cache)))
        work.start()
        end = time.monotonic() + 120
        while not list(folds.glob("*.safetensors")):
            assert work.is_alive() and time.monotonic() < end
            time.sleep(0.02)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        alive = work.is_alive()
        work.join(240)
    assert alive, "the run had ended before the worker was killed"
    (outcome,) = result
    np.testing.assert_array_equal(outcome.scores, expected.scores)
    np.testing.assert_array_equal(outcome.thresholds, expected.thresholds)
    assert len(list(folds.glob("*.safetensors"))) == 6


def test_an_address_without_a_scheduler_is_one_sentence(monkeypatch):
    monkeypatch.setattr(jobs, "PATIENCE", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(MerError, match=r"no Dask scheduler answers .* like tcp://host:8786"):
            check_cluster(address)


@pytest.mark.slow
@pinned
@pytest.mark.parametrize(
    ("threads", "words"), [(1, "a worker has kernels x86-64 native, "), (2, "one thread each; ")]
)
def test_workers_with_other_kernels_or_threads_are_refused(tmp_path, monkeypatch, threads, words):
    monkeypatch.setenv(CHOICE, "native")  # of processes that start from here
    with start_cluster(tmp_path, 1, threads) as cluster:
        with pytest.raises(MerError, match=f"{words}.* by `mer worker"):
            check_cluster(cluster.scheduler_address)


@pytest.mark.slow
def test_mer_worker_starts_the_right_ones(tmp_path, monkeypatch):
    """From a shell that knows nothing of kernels."""
    with start_cluster(tmp_path, 0) as cluster:
        address = cluster.scheduler_address
        command = [sys.executable, "-m", "mer_tools", "worker", address, "--no-dashboard"]
        process = subprocess.Popen(command, env=clean(), cwd=tmp_path)
        try:
            cluster.wait_for_workers(1, timeout=60)
            assert check_cluster(address) == 1
            monkeypatch.setenv(DASK, address)
            assert run_jobs(describe_process, [()]) == [describe_process()]
        finally:
            process.terminate()
            process.wait()


def test_a_worker_with_other_code_packages_or_kernels_is_refused(tmp_path):
    assert _call(divmod, (7, 2), {"code of another package": "0"}, tmp_path) == (3, 1)
    for name, value in (("code of mer_utils", "x"), ("torch", "1.0"), ("kernels", "arm64 native")):
        with pytest.raises(MerError, match=f"a worker has {name} .*, this process has {value};"):
            _call(divmod, (7, 2), {name: value}, tmp_path)


def test_workers_follow_to_another_working_folder(tmp_path, monkeypatch):
    run_jobs(os.path.abspath, [("x",)] * 2, 2)
    monkeypatch.chdir(tmp_path)
    assert run_jobs(os.path.abspath, [("x",)] * 2, 2) == [str(tmp_path / "x")] * 2
