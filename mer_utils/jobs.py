"""Independent jobs, in processes of this machine or on a Dask cluster: the same jobs, the same
bits.
"""

import logging
import os
import re
from contextlib import contextmanager, suppress

from mer_utils import MerError
from mer_utils.cache import SOURCES, describe_process

from joblib import Parallel, delayed, parallel_config

# environment variable with a scheduler's address; `mer run --dask` sets it for the notebooks
DASK = "MER_DASK"
PATIENCE = 20  # seconds in which a scheduler must answer


def run_jobs(function, arguments, jobs=1):
    """Return [function(*values) for values in arguments], computed in ``jobs`` processes (0: one a
    core) of one thread.

    If the environment variable MER_DASK holds the address of a Dask scheduler, its workers compute
    instead. Data travel by value: where a worker dies, the scheduler gives its jobs to another.
    """
    return list(stream_jobs(function, arguments, jobs))


def stream_jobs(function, arguments, jobs=1):
    """Yield what ``run_jobs`` returns, in its order, as soon as each is ready."""
    arguments, sources, folder = list(arguments), dict(SOURCES), os.getcwd()
    calls = (delayed(_call)(function, tuple(values), sources, folder) for values in arguments)
    address = os.environ.get(DASK, "")
    if not address or not arguments:
        yield from Parallel(n_jobs=jobs or -1, return_as="generator")(calls)
        return
    with open_cluster(address):
        yield from Parallel(n_jobs=-1, return_as="generator")(calls)


def _call(function, values, sources, folder):
    """Call a job in the working folder of the process that asks, if both have the same code: the
    result takes its name from that process.

    The values come as a tuple, which has no weak references, so that joblib's Dask backend does not
    keep its arrays on one worker.
    """
    for package, code in sources.items():
        if SOURCES.get(package, code) != code:
            raise MerError(
                f"{package} was edited after this process had loaded it; restart the kernel, the "
                "command or the Dask worker"
            )
    with suppress(OSError):  # another machine need not have the folder
        os.chdir(folder)
    return function(*values)


def check_cluster(address):
    """Return the number of workers of the Dask scheduler at ``address``; MerError if it cannot be
    used.
    """
    with open_cluster(address) as workers:
        return workers


def describe_worker():
    """Return what a worker computes with: code, packages, kernels."""
    return describe_process() | {"code": SOURCES["mer_utils"]}


@contextmanager
def open_cluster(address):
    """Give joblib the workers of the scheduler at ``address``; MerError if it cannot be used."""
    from distributed import Client

    if not re.fullmatch(r"[a-z]+://[^\s/]+:\d{1,5}", address):
        raise MerError(f"--dask {address}", "must look like tcp://host:8786")
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise MerError(
            address, f"no Dask scheduler answers there ({type(error).__name__})"
        ) from None
    try:
        threads = client.nthreads()
        if not threads:
            raise MerError(
                address, f"the Dask scheduler has no workers; start some: mer worker {address}"
            )
        if max(threads.values()) > 1:
            raise MerError(
                address,
                f"workers with several threads share one random state; start them by `mer worker "
                f"{address}` (--nthreads 1)",
            )
        answers, here = client.run(describe_worker, on_error="return").values(), describe_worker()
        for there in answers:
            if not isinstance(there, OSError):  # that worker left while it was asked
                _check_worker(address, here, there)
        with parallel_config("dask", client=client):
            yield len(threads)
    finally:
        # a client that closes complains about workers that have left
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        client.close()


def _check_worker(address, here, there):
    """Raise MerError if a worker computes with something else than this process: mixed bits would
    be no result.
    """
    if isinstance(there, Exception) or there["code"] != here["code"]:
        raise MerError(address, "workers have another version of mer_utils; install this one there")
    for name, version in here["packages"].items():
        if there["packages"].get(name) != version:
            raise MerError(
                address,
                f"workers have {name} {there['packages'].get(name)}, this process has {version}; "
                "install requirements.lock on both",
            )
    if there["kernels"] != here["kernels"]:
        raise MerError(
            address,
            f"workers compute with other kernels ({there['kernels']}) than this process "
            f"({here['kernels']}), so their bits would not mix; start them by `mer worker "
            f"{address}`",
        )
