"""Dual-view optical flow for 4D micro-expression recognition: the code that the notebooks share.

Importing the package fixes the kernels of every maths library (see kernels.py), and one thread
each: torch, OpenCV's DIS flow and BLAS give bit-identical results so, and work is spread over
processes instead. Import it before NumPy.
"""

import functools
import os
import reprlib
import warnings

from mer_utils import kernels

KERNELS = kernels.pin()  # first of all: the libraries look once, when they load

# what cannot be read is said by us, in one sentence
os.environ.setdefault("OPENCV_LOG_LEVEL", "FATAL")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

# a worker that imports torch grows by hundreds of MB; joblib takes that for a leak, starts a new
# one, and says so
warnings.filterwarnings("ignore", message="A worker stopped while some jobs")

__version__ = "0.1.0"
# 4DME's, in the order used everywhere
LABELS = ("Negative", "Positive", "Repression", "Surprise", "Others")
SHORT = reprlib.Repr()  # of a value that is wrong
SHORT.maxstring = SHORT.maxother = 80
STREAMS = ("u", "v", "magnitude")  # what the three channels of a map hold, everywhere


class MerError(ValueError):
    """Input that cannot be used: ``where`` (a file, row, frame or clip; "" for no place), what is
    wrong there and what to do. It reads as one sentence, "where: what". ``kind`` is a word for code
    that treats one kind of fault otherwise ("subject"), mostly empty.
    """

    def __init__(self, *parts, kind=""):
        texts = map(str, parts if len(parts) == 2 else ("", *parts))
        # a file's name may be no UTF-8 text; no terminal and no JSON would take it
        texts = (text.encode("utf-8", "backslashreplace").decode() for text in texts)
        (self.where, self.what), self.kind = texts, kind
        super().__init__(self.where, self.what)

    def __str__(self):
        return f"{self.where}: {self.what}" if self.where else self.what

    def seen_from(self, where):
        """Return the error begun by ``where`` (a row, a folder), unless its own place begins so."""
        begins = self.where.startswith(str(where))
        return self if begins else MerError(where, self, kind=self.kind)


def checked(cls):
    """Make a class of annotated fields a frozen dataclass whose values pydantic checks: types,
    choices (Literal), bounds (Annotated), unknown names. What is wrong raises one MerError.
    """
    from pydantic import ValidationError
    from pydantic.dataclasses import dataclass

    options = dataclass(frozen=True, config={"extra": "forbid"})(cls)
    construct = options.__init__

    @functools.wraps(construct)
    def start(self, *values, **named):
        try:
            construct(self, *values, **named)
        except ValidationError as error:
            raise MerError(cls.__name__, explain(error)) from None

    options.__init__ = start
    return options


def explain(error):
    """Return in one sentence what a pydantic ValidationError says, long values cut."""
    parts = []
    for fault in error.errors(include_url=False):
        name = ".".join(str(part) for part in fault["loc"])
        value = "" if fault["type"] == "missing" else f" is {SHORT.repr(fault['input'])}"
        parts.append(f"{name}{value}: {fault['msg']}")
    return "; ".join(parts)


from mer_utils import cache  # noqa: E402 (needs MerError and KERNELS)

cache.remember_sources(__file__)
