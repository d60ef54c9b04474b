"""Independent jobs, in processes of this machine or on a Dask cluster, with the same bits."""

import logging
import os
from contextlib import contextmanager, nullcontext, suppress

from mer_utils import MerError
from mer_utils.cache import SOURCES, describe_process

from joblib import Parallel, delayed, parallel_config

# environment variable with a scheduler's address; `mer run --dask` sets it for the notebooks
DASK = "MER_DASK"
PATIENCE = 20  # seconds in which a scheduler must answer


def run_jobs(function, arguments, jobs=1):
    """Return [function(*values) for values in arguments], computed in ``jobs`` processes (0: one a
    core) of one thread, or by the workers of the Dask scheduler in MER_DASK.
    """
    return list(stream_jobs(function, arguments, jobs))


def stream_jobs(function, arguments, jobs=1):
    """Yield what ``run_jobs`` returns, in its order, as soon as each is ready."""
    arguments, address, process = list(arguments), os.environ.get(DASK, ""), _describe()
    # a tuple: of lists joblib's Dask backend keeps arrays on one worker
    calls = (delayed(_call)(function, tuple(v), process, os.getcwd()) for v in arguments)
    with open_cluster(address) if address and arguments else nullcontext():
        yield from Parallel(n_jobs=-1 if address else jobs or -1, return_as="generator")(calls)


def _describe():
    """Return what decides which numbers this process computes: versions, kernels, loaded code."""
    process, code = describe_process(), {f"code of {name}": key for name, key in SOURCES.items()}
    return process["packages"] | {"kernels": process["kernels"]} | code


def _call(function, values, process, folder):
    """Call a job in the folder of the process that asks, if both compute with the same code."""
    own = _describe()
    for name, value in process.items():
        if own.get(name, value) != value:
            what = f"a worker has {name} {own[name]}, this process has {value}; restart the kernel"
            raise MerError(f"{what}, install requirements.lock on both, start it by `mer worker`")
    with suppress(OSError):  # another machine need not have the folder
        os.chdir(folder)
    return function(*values)


def check_cluster(address):
    """Return the number of a scheduler's workers; MerError if they compute with something else."""
    with open_cluster(address) as client:
        return len(client.run(_call, os.getpid, (), _describe(), os.getcwd()))


@contextmanager
def open_cluster(address):
    """Give joblib the workers of the Dask scheduler at ``address``, and the block its client."""
    from distributed import Client

    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        what = f"no Dask scheduler answers there ({error}); it must look like tcp://host:8786"
        raise MerError(address, what) from None
    try:
        if set(client.nthreads().values()) != {1}:
            what = "the Dask scheduler needs workers of one thread each"
            raise MerError(address, f"{what}; start workers by `mer worker {address}`")
        with parallel_config("dask", client=client):
            yield client
    finally:
        # a client that closes complains about workers that have left
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        client.close()
