"""Independent jobs, in processes of this machine or on a Dask cluster: the same jobs, the same bits."""

import logging
import os
from contextlib import contextmanager

from joblib import Parallel, delayed, parallel_config

from mer_utils import MerError
from mer_utils.artifacts import PACKAGE, code_hash

DASK = "MER_DASK"  # environment variable with a scheduler's address; `mer run --dask` sets it for the notebooks
PATIENCE = 20  # seconds in which a scheduler must answer


def run_jobs(function, arguments, jobs=1):
    """Return [function(*given) for given in arguments], computed in ``jobs`` processes (0: one a core) of one thread.

    If the environment variable MER_DASK holds the address of a Dask scheduler, its workers compute instead. Data go
    along by value: where a worker dies, the scheduler gives its jobs to another, which needs nothing from the dead one.
    """
    return list(stream_jobs(function, arguments, jobs))


def stream_jobs(function, arguments, jobs=1):
    """Yield what ``run_jobs`` returns, in its order, as soon as it is there: nothing piles up in memory."""
    given = list(arguments)
    calls = (delayed(_call)(function, tuple(one)) for one in given)
    address = os.environ.get(DASK, "")
    if not address or not given:
        yield from Parallel(n_jobs=jobs or -1, return_as="generator")(calls)
        return
    with _cluster(address):
        yield from Parallel(n_jobs=-1, return_as="generator")(calls)


def _call(function, given):
    """Call it. A tuple has no weak references, so joblib's Dask backend does not park its arrays on one worker."""
    return function(*given)


def package_hash():
    """Return the hash of the whole package: workers elsewhere must run the same code."""
    return code_hash(*(path.stem for path in PACKAGE.glob("*.py")))


def check_cluster(address):
    """Raise MerError if the Dask scheduler at ``address`` cannot be used; return the number of its workers."""
    with _cluster(address) as workers:
        return workers


@contextmanager
def _cluster(address):
    """Give joblib the workers of the scheduler at ``address``; MerError if it cannot be used."""
    from distributed import Client

    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise MerError(f"{address}: no Dask scheduler answers there ({type(error).__name__})") from None
    try:
        threads = client.nthreads()
        if not threads:
            raise MerError(f"{address}: the Dask scheduler has no workers; start some: dask worker {address}")
        if max(threads.values()) > 1:
            raise MerError(
                f"{address}: workers with several threads share one random state; start them with --nthreads 1"
            )
        if set(client.run(package_hash).values()) != {package_hash()}:
            raise MerError(f"{address}: workers have another version of mer_utils; install this one there")
        with parallel_config("dask", client=client):
            yield len(threads)
    finally:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a closing client mourns workers that left
        client.close()
