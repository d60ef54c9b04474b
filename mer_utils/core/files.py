"""Files that steps hand to one another: written atomically, named by what they depend on, readable
without pickle.
"""

import glob
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from mer_utils import MerError

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

MAKING = ".making-"  # in the name of a hidden folder that is to take another's place


def write_bytes(path, data):
    """Write ``data`` (bytes) to ``path`` so that a reader sees the old file or the whole new one,
    never a part.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise MerError(
            path, f"cannot be written ({error.strerror}); choose a folder you may write to"
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner reads
        os.replace(temporary, path)
    except OSError as error:
        raise MerError(path, f"cannot be written ({error.strerror}); nothing was changed") from None
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


@contextmanager
def new_folder(root, replace=False):
    """Give a hidden folder beside ``root`` that takes its place when the block ends: all of it is
    there, or nothing.

    With ``replace`` a folder that is there stays until then; without, raises MerError if it is
    there and not empty. Raises MerError, too, if ``root`` is no folder or cannot be written. Hidden
    folders that killed processes left there are removed.
    """
    root = Path(root)
    full = root.is_dir() and any(root.iterdir())
    if root.is_symlink() or (root.exists() and not root.is_dir()) or (full and not replace):
        raise MerError(root, "exists already; remove it or choose a new folder")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        for left in root.parent.glob(f".{glob.escape(root.name)}{MAKING}*"):
            if (lock := _lock_folder(left)) is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)
        part = Path(tempfile.mkdtemp(dir=root.parent, prefix=".new-"))
        lock = _lock_folder(part)  # before it has the name by which others would remove it
        part = part.rename(root.parent / f".{root.name}{MAKING}{part.name.removeprefix('.new-')}")
    except OSError as error:
        raise MerError(
            root, f"cannot be written ({error.strerror}); choose a folder you may write to"
        ) from None
    try:
        yield part
        part.chmod(0o755)
        if full:
            old = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}{MAKING}old-"))
            root.rename(old / "set")
            part.rename(root)
            shutil.rmtree(old, ignore_errors=True)
        else:
            if root.exists():
                root.rmdir()
            part.rename(root)
    except OSError as error:
        raise MerError(
            root, f"cannot be written ({error.strerror or error}); nothing was kept"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _lock_folder(path):
    """Return the handle of a folder's lock, which ends with its process; None where another process
    holds it or there are no such locks.
    """
    handle = None
    try:
        import fcntl  # not on Windows

        handle = os.open(path, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        if handle is not None:
            os.close(handle)
        return None
    return handle


def write_text(path, text):
    """Write ``text`` atomically as UTF-8 with Unix line ends."""
    write_bytes(path, text.encode())


def write_json(path, value):
    """Write ``value`` atomically as JSON: keys in the order given, two spaces, no NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path):
    """Read a JSON file; raise MerError naming the file if it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MerError(path, "no such file") from None
    except (ValueError, OSError) as error:
        raise MerError(path, f"not readable as JSON ({error})") from None


def write_npz(path, **arrays):
    """Write named arrays atomically; the bytes depend on the arrays alone (no times inside)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_npz(path):
    """Read a file of ``write_npz`` as a dict; raise MerError naming the file if it cannot be
    read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zip, zlib and numpy each raise their own
        raise MerError(path, f"not readable as npz ({error})") from None


def sha256(data):
    """Return the hex SHA-256 of bytes, or of a file when given a Path."""
    return hashlib.sha256(data.read_bytes() if isinstance(data, Path) else data).hexdigest()


def say(text):
    """Tell the user something that is no error, on stderr: one line, which `mer run` hands on from
    its notebooks.
    """
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
    """Write named arrays and the JSON value ``about`` atomically as safetensors, with a checksum of
    both.
    """
    arrays = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    text = json.dumps(about)
    # one entry: safetensors writes several in any order
    meta = json.dumps([text, digest_arrays(arrays, text)])
    write_bytes(path, save(arrays, metadata={"mer": meta}))


def read_arrays(path):
    """Read a file of ``write_arrays``: (arrays, about). Raises MerError naming the file if it is
    missing, cannot be read, or does not match its checksum.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            text, checksum = json.loads((file.metadata() or {})["mer"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        if digest_arrays(arrays, text) != checksum:
            raise MerError(path, "damaged, its checksum does not fit what it holds")
        return arrays, json.loads(text)
    except (FileNotFoundError, MerError) as error:
        raise error if isinstance(error, MerError) else MerError(path, "no such file") from None
    except KeyError:
        raise MerError(path, "has no checksum, so another program or version wrote it") from None
    except Exception as error:  # safetensors, json and numpy each raise their own
        raise MerError(path, f"damaged ({' '.join(str(error).split())})") from None


def recall(path):
    """Return the arrays of a kept file, or None where there is none, or (said in one line) a
    damaged one: what is kept can be made again.
    """
    if not Path(path).exists():
        return None
    try:
        return read_arrays(path)[0]
    except MerError as error:
        say(f"{error}; it is made again")
        Path(path).unlink(missing_ok=True)
        return None
