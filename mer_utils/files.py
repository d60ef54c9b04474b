"""Files that steps hand to one another: written whole or not at all, readable without pickle."""

import glob
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from mer_utils import MerError

import numpy as np
import psutil
from filelock import FileLock
from safetensors import safe_open
from safetensors.numpy import save


def write_bytes(path, data, sync=True):
    """Write bytes: a reader sees the old file or the whole new one, with ``sync`` even where the
    power fails. MerError where it cannot be written.
    """
    path, temporary = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner reads
        os.replace(temporary, path)
    except OSError as error:
        what = f"cannot be written ({error.strerror}); choose a folder you may write to"
        raise MerError(path, what) from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def write_text(path, text):
    """Write ``text`` atomically as UTF-8 with Unix line ends."""
    write_bytes(path, text.encode())


def write_json(path, value):
    """Write ``value`` atomically as JSON: keys in the order given, two spaces, no NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path):
    """Return the content of a JSON file; MerError names a file that is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MerError(path, "no such file") from None
    except (ValueError, OSError) as error:
        raise MerError(path, f"not readable as JSON ({error})") from None


@contextmanager
def new_folder(root, replace=False):
    """Give a hidden folder beside ``root`` that takes its place, whole, when the block ends.
    MerError where ``root`` cannot be written, or holds something and is not to be replaced.
    """
    root = Path(root)
    full = root.is_dir() and any(root.iterdir())
    if root.is_symlink() or (root.exists() and not root.is_dir()) or (full and not replace):
        raise MerError(root, "exists already; remove it or choose a new folder")
    stem = f".{root.name}.making-{platform.node()}-"
    part, old = (root.with_name(f"{stem}{kind}-{os.getpid()}") for kind in ("new", "old"))
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        for left in root.parent.glob(f"{glob.escape(stem)}*"):
            if not psutil.pid_exists(int(left.name.rpartition("-")[2])):
                shutil.rmtree(left, ignore_errors=True)
        part.mkdir()
        yield part
        if root.exists():
            root.rename(old)
        part.rename(root)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error}); nothing was kept"
        raise MerError(root, what) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def take_turns(cache, step):
    """Let one process at a time make what a ``step`` keeps in the folder of its name in ``cache``:
    the next one finds it made. MerError where a file cannot be written, there or meanwhile.
    """
    try:
        Path(cache).mkdir(parents=True, exist_ok=True)
        with FileLock(Path(cache) / f".{step}.lock"):
            for half_written in Path(cache, step).rglob(".*"):  # by a process that was killed
                half_written.unlink()
            yield
    except OSError as error:
        what = f"cannot be written, or temporary files cannot ({error.strerror or error})"
        raise MerError(cache, what) from None


def sha256(data):
    """Return the hex SHA-256 of bytes, or of a file when given a Path."""
    return hashlib.sha256(data.read_bytes() if isinstance(data, Path) else data).hexdigest()


def say(text):
    """Print a line that is no error on stderr; `mer run` passes on what its notebooks say so."""
    print(f"mer: {text}", file=sys.stderr, flush=True)


def digest_arrays(arrays, about=""):
    """Return the hex SHA-256 of named arrays (names, types, shapes, values) and a text."""
    digest = hashlib.sha256(about.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"\0{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def write_arrays(path, arrays, about=None):
    """Write named arrays and the JSON value ``about`` atomically as safetensors with a checksum."""
    arrays = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    text = json.dumps(about)
    # one entry: safetensors writes several in any order
    meta = json.dumps([text, digest_arrays(arrays, text)])
    write_bytes(path, save(arrays, metadata={"mer": meta}), sync=False)  # the checksum would tell


def read_arrays(path):
    """Return (arrays, about) of a file of ``write_arrays``; MerError if missing or damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            text, checksum = json.loads((file.metadata() or {})["mer"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        if digest_arrays(arrays, text) != checksum:
            raise ValueError("its checksum does not fit its content")
        return arrays, json.loads(text)
    except FileNotFoundError:
        raise MerError(path, "no such file") from None
    except Exception as error:  # safetensors, json and numpy each raise their own
        what = f"damaged, or written by another program ({' '.join(str(error).split())})"
        raise MerError(path, what) from None


def recall(path):
    """Return the arrays of a kept file; None, with a word, where it is damaged, or is not there."""
    if Path(path).exists():
        try:
            return read_arrays(path)[0]
        except MerError as error:
            say(f"{error}; it is made again")
            Path(path).unlink(missing_ok=True)
    return None
