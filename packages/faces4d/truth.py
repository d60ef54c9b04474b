"""Files of true motion: named arrays as npz, without pickle."""

import io

from mer_utils import MerError
from mer_utils.files import write_bytes

import numpy as np


def write_npz(path, **arrays):
    """Write named arrays atomically; the bytes depend on the arrays alone (no times inside)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_npz(path):
    """Return the content of a file of ``write_npz`` as a dict; MerError naming the file if it
    cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zip, zlib and numpy each raise their own
        raise MerError(path, f"not readable as npz ({error})") from None
