"""Arrays of records on disk that grow clip by clip: .npy files in which every record carries a
checksum.

The records' dtype ends with the field ``check`` ("<u8"), which these functions fill and compare.
"""

import hashlib
import io
import os

from mer_utils.core.files import say

import numpy as np


def _check_record(record, key, row):
    """Return the checksum of a record: of its bytes before ``check``, at this place of the file
    ``key``.
    """
    body = record.tobytes()[: -record.dtype["check"].itemsize]
    return int.from_bytes(
        hashlib.blake2b(body, digest_size=8, key=f"{key} {row}".encode()).digest(), "little"
    )


def _count_whole(records, key):
    """Return how many of ``records`` (an iterable), from the first on, are undamaged."""
    whole = 0
    for record in records:
        if record["check"] != _check_record(record, key, whole):
            break
        whole += 1
    return whole


class Growing:
    """A file of records that grows clip by clip and takes its name when it is whole; what a stopped
    run left in it is kept as far as it is undamaged. Without a ``path`` it is an array in memory.
    """

    def __init__(self, path, dtype, count, key):
        self.path, self.array, self.rows, self.key = (
            path,
            np.zeros(0 if path else count, dtype),
            0,
            key,
        )
        if path is None:
            return
        header = io.BytesIO()
        fields = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": (count,),
        }
        np.lib.format.write_array_header_1_0(header, fields)
        self.header, self.part = header.getvalue(), path.with_name(f".{path.name}.part")
        if self.part.exists():
            self.rows = self._count_left()

    def _count_left(self):
        """Return how many undamaged records a stopped run left; a damaged one is said in one
        line.
        """
        size, dtype = self.part.stat().st_size - len(self.header), self.array.dtype
        with open(self.part, "rb") as file:
            known = file.read(len(self.header)) == self.header
            left = (
                file.read(dtype.itemsize) for _ in range(size // dtype.itemsize if known else 0)
            )
            whole = _count_whole((np.frombuffer(data, dtype)[0] for data in left), self.key)
        if whole < size // dtype.itemsize:
            say(f"{self.part}: damaged from clip {whole + 1} on; the rest is made again")
        return whole

    def start(self, rows):
        """Make ready to take the records from number ``rows`` on."""
        self.rows = rows
        if self.path:
            self.file = open(self.part, "r+b" if self.part.exists() else "w+b")
            self.file.write(self.header)
            self.file.truncate(len(self.header) + rows * self.array.dtype.itemsize)
            self.file.seek(0, io.SEEK_END)

    def append(self, records):
        """Take some records, tuples of the values of all fields before ``check``."""
        block = np.zeros(len(records), self.array.dtype)
        for row, (one, values) in enumerate(zip(block, records, strict=True), self.rows):
            for name, value in zip(one.dtype.names[:-1], values, strict=True):
                one[name] = value
            one["check"] = _check_record(one, self.key, row)
        if self.path:
            self.file.write(block.tobytes())
            self.file.flush()
        else:
            self.array[self.rows : self.rows + len(block)] = block
        self.rows += len(block)

    def finish(self):
        """Give the whole file its name."""
        if self.path:
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self.part, self.path)


def open_records(path, dtype, count, key):
    """Return a finished file as a memory-mapped array, or None where there is none, or (said in one
    line) a damaged one.
    """
    if not path.exists():
        return None
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.dtype == dtype and array.shape == (count,) and _count_whole(array, key) == count:
            return array
    except PermissionError:
        raise
    except (OSError, ValueError, EOFError):
        pass
    say(f"{path}: damaged; it is made again")
    return None
