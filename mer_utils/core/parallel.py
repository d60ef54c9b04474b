"""Independent jobs, in processes of this machine or on a Dask cluster: the same jobs, the same
bits.
"""

import logging
import os
import re
from contextlib import contextmanager, suppress

from mer_utils import MerError
from mer_utils.core import provenance

from joblib import Parallel, delayed, parallel_config

# environment variable with a scheduler's address; `mer run --dask` sets it for the notebooks
DASK = "MER_DASK"
# the same for the device that trains: cpu, cuda or auto; `mer run --device` sets it
DEVICE = "MER_DEVICE"
PATIENCE = 20  # seconds in which a scheduler must answer


def run_jobs(function, arguments, jobs=1):
    """Return [function(*given) for given in arguments], computed in ``jobs`` processes (0: one a
    core) of one thread.

    If the environment variable MER_DASK holds the address of a Dask scheduler, its workers compute
    instead. Data go along by value: where a worker dies, the scheduler gives its jobs to another,
    which needs nothing from the dead one.
    """
    return list(stream_jobs(function, arguments, jobs))


def stream_jobs(function, arguments, jobs=1):
    """Yield what ``run_jobs`` returns, in its order, as soon as it is there: nothing piles up in
    memory.
    """
    given, code, here = list(arguments), provenance.fingerprint(function), os.getcwd()
    calls = (delayed(_call)(function, tuple(one), code, here) for one in given)
    address = os.environ.get(DASK, "")
    if not address or not given:
        yield from Parallel(n_jobs=jobs or -1, return_as="generator")(calls)
        return
    with _cluster(address):
        yield from Parallel(n_jobs=-1, return_as="generator")(calls)


def _call(function, given, code, folder):
    """Call it in the working ``folder`` of the one that asks, where relative paths lead, if this
    process has loaded its ``code``: results are named by that.

    A tuple has no weak references, so joblib's Dask backend does not park its arrays on one worker.
    """
    if (name := provenance.find_foreign(code)) is not None:
        path = name.replace(".", "/")
        raise MerError(
            f"{path}.py was edited after this process had loaded it; restart the kernel, the "
            "command or the Dask worker"
        )
    with suppress(OSError):  # another machine need not have it
        os.chdir(folder)
    return function(*given)


def describe_process():
    """Return what this process computes with: the whole package's code, versions of packages,
    kernels.
    """
    names = (
        path.relative_to(provenance.PACKAGE).with_suffix("")
        for path in provenance.PACKAGE.rglob("*.py")
    )
    return provenance.code_of(*(".".join(name.parts) for name in names))


def check_cluster(address):
    """Raise MerError if the Dask scheduler at ``address`` cannot be used; return the number of its
    workers.
    """
    with _cluster(address) as workers:
        return workers


@contextmanager
def _cluster(address):
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
                f"workers with several threads share one random state; start them by "
                "`mer worker "
                f"{address}` (--nthreads 1)",
            )
        found, here = client.run(describe_process, on_error="return").values(), describe_process()
        for there in found:
            if not isinstance(there, OSError):  # it left while it was asked
                _check_worker(address, here, there)
        with parallel_config("dask", client=client):
            yield len(threads)
    finally:
        # a closing client mourns workers that left
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        client.close()


def _check_worker(address, here, there):
    """Raise MerError if a worker computes with something else than this process: what is mixed
    would be no result.
    """
    if isinstance(there, Exception) or there["modules"] != here["modules"]:
        raise MerError(address, "workers have another version of mer_utils; install this one there")
    for name, version in here["packages"].items():
        if there["packages"].get(name) != version:
            raise MerError(
                address,
                f"workers have {name} {there['packages'].get(name)}, this process has "
                f"{version}; install "
                "requirements.lock on both",
            )
    if there["kernels"] != here["kernels"]:
        raise MerError(
            address,
            f"workers compute with other kernels ({there['kernels']}) than this process "
            f"({here['kernels']}), so their bits would not mix; start them by `mer worker "
            f"{address}`",
        )
