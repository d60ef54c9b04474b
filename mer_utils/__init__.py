"""Dual-view optical flow for 4D micro-expression recognition: the code that the notebooks share.

Importing the package fixes every maths library to one thread: torch, OpenCV's DIS flow and BLAS give bit-identical
results at a fixed thread count only, and work is spread over processes instead (one thread each).
"""

import os
import warnings

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, matrix products on a GPU vary from run to run
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # what cannot be read is said by us, in one sentence
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2  # noqa: E402 (reads the variables above)
import threadpoolctl  # noqa: E402

# a worker that imports torch grows by hundreds of MB; joblib takes that for a leak, starts a new one, and says so
warnings.filterwarnings("ignore", message="A worker stopped while some jobs")

cv2.setNumThreads(1)
threadpoolctl.threadpool_limits(1)

__version__ = "0.1.0"


class MerError(ValueError):
    """Input that cannot be used: one sentence that says which file, row or frame, what is wrong, and what to do."""


def check_choices(options, **allowed):
    """Raise MerError for a field of ``options`` (a dataclass) whose value is none of those ``allowed`` for it."""
    for name, values in allowed.items():
        given = getattr(options, name)
        if given not in values:
            listed = ", ".join(map(str, values))
            raise MerError(f"{name} {given!r} is unknown; choose one of {listed}")
