"""Arrays of records on disk that grow clip by clip; every record carries a checksum.

The records' dtype ends with the field ``check`` ("<u8"), which these functions fill and compare.
"""

import hashlib
import io
import os

from mer_utils.core.files import say

import numpy as np


def _check_record(record, key, row):
    """Return the checksum of a record: of its bytes before ``check``, at this place of ``key``."""
    body = record.tobytes()[: -record.dtype["check"].itemsize]
    place = f"{key} {row}".encode()
    return int.from_bytes(hashlib.blake2b(body, digest_size=8, key=place).digest(), "little")


def _count_whole(records, key):
    """Return how many of ``records``, the first rows of ``key``, are undamaged."""
    whole = 0
    for row, record in enumerate(records):
        if record["check"] != _check_record(record, key, row):
            break
        whole += 1
    return whole


class Growing:
    """Records of ``count`` clips that grow clip by clip. What is there is kept beside ``path``, not
    in memory, and a stopped run goes on from it as far as it is undamaged; the whole takes the name
    ``path``. Without a ``path`` all stays in memory.
    """

    def __init__(self, path, dtype, key, count):
        self.path, self.dtype, self.key, self.rows = path, dtype, key, 0
        if path is None:
            self.records = np.zeros(count, dtype)
            return
        self.part, self.head = path.with_name(f".{path.name}.part"), _write_head(dtype, count)
        if self.part.exists():
            self._count_left()

    def _count_left(self):
        """Count the undamaged records that a stopped run left; of damaged ones a line is said."""
        with open(self.part, "rb") as file:
            known = file.read(len(self.head)) == self.head
        there = (self.part.stat().st_size - len(self.head)) // self.dtype.itemsize if known else 0
        if there > 0:
            left = np.memmap(self.part, self.dtype, "r", len(self.head), there)
            self.rows = _count_whole(left, self.key)
        if not known or self.rows < there:
            say(f"{self.part}: damaged from clip {self.rows + 1} on; it is made again")

    def start(self, rows):
        """Make ready to take the records from number ``rows`` on."""
        self.rows = rows
        if self.path:
            self.part.touch()
            self.file = open(self.part, "r+b")
            self.file.write(self.head)
            self.file.seek(rows * self.dtype.itemsize, os.SEEK_CUR)
            self.file.truncate()

    def append(self, records):
        """Take some records, tuples of the values of all fields before ``check``."""
        block = np.zeros(len(records), self.dtype)
        for row, (one, values) in enumerate(zip(block, records, strict=True), self.rows):
            for name, value in zip(self.dtype.names[:-1], values, strict=True):
                one[name] = value
            one["check"] = _check_record(one, self.key, row)
        if self.path:
            self.file.write(block.tobytes())
            self.file.flush()
        else:
            self.records[self.rows : self.rows + len(block)] = block
        self.rows += len(block)

    def finish(self):
        """Return all records, mapped from the file that now has its name, or from memory."""
        if not self.path:
            return self.records
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(self.part, self.path)
        return np.load(self.path, mmap_mode="r", allow_pickle=False)


def _write_head(dtype, count):
    """Return the bytes with which a .npy file of so many records begins."""
    about = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (count,),
    }
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, about)
    return buffer.getvalue()


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
