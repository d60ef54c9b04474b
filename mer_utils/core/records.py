"""Arrays of records on disk that grow clip by clip; every record carries a checksum.

The records' dtype ends with the field ``check`` ("<u8"), which these functions fill and compare.
"""

import hashlib
import os

from mer_utils.core.files import say

import numpy as np


def _check_record(record, key, row):
    """Return the checksum of a record: of its bytes before ``check``, at this place of ``key``."""
    body = record.tobytes()[: -record.dtype["check"].itemsize]
    place = f"{key} {row}".encode()
    return int.from_bytes(hashlib.blake2b(body, digest_size=8, key=place).digest(), "little")


def _count_whole(records, key, first=0):
    """Return how many of ``records``, the rows of ``key`` from ``first`` on, are undamaged."""
    whole = 0
    for row, record in enumerate(records, first):
        if record["check"] != _check_record(record, key, row):
            break
        whole += 1
    return whole


class Growing:
    """Records that grow clip by clip. What is there is kept beside ``path``, block after block, and
    a stopped run goes on from it as far as it is undamaged; the whole takes the name ``path``.
    Without a ``path`` all stays in memory.
    """

    def __init__(self, path, dtype, key):
        self.path, self.dtype, self.key, self.blocks = path, dtype, key, []
        self.part = path and path.with_name(f".{path.name}.part")
        if path and self.part.exists():
            self._read_left()

    def _read_left(self):
        """Read the undamaged records that a stopped run left; a damaged one is said in one line."""
        with open(self.part, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            while file.tell() < size:
                try:
                    block = np.lib.format.read_array(file, allow_pickle=False)
                except (OSError, ValueError, EOFError, MemoryError):  # cut off, or no array at all
                    block = np.zeros(1, self.dtype)
                whole = _count_whole(block, self.key, self.rows) if block.dtype == self.dtype else 0
                self.blocks.append(block[:whole])
                if whole < len(block):
                    say(f"{self.part}: damaged from clip {self.rows + 1} on; it is made again")
                    break

    @property
    def rows(self):
        """How many records there are."""
        return sum(map(len, self.blocks))

    def start(self, rows):
        """Make ready to take the records from number ``rows`` on."""
        kept = np.concatenate([np.zeros(0, self.dtype), *self.blocks])[:rows]
        self.blocks = [kept]
        if self.path:
            self.file = open(self.part, "wb")
            np.save(self.file, kept)

    def append(self, records):
        """Take some records, tuples of the values of all fields before ``check``."""
        block = np.zeros(len(records), self.dtype)
        for row, (one, values) in enumerate(zip(block, records, strict=True), self.rows):
            for name, value in zip(self.dtype.names[:-1], values, strict=True):
                one[name] = value
            one["check"] = _check_record(one, self.key, row)
        self.blocks.append(block)
        if self.path:
            np.save(self.file, block)
            self.file.flush()

    def finish(self):
        """Return all records; a file of them now has its name."""
        whole = np.concatenate(self.blocks)
        if self.path:
            self.file.seek(0)
            np.save(self.file, whole)
            self.file.truncate()
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self.part, self.path)
        return whole


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
