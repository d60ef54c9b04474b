"""Files that steps hand to one another: written atomically, named by what they depend on, readable without pickle."""

import hashlib
import io
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mer_utils import MerError

PACKAGE = Path(__file__).parent


def write_bytes(path, data):
    """Write ``data`` (bytes) to ``path`` so that a reader sees the old file or the whole new one, never a part."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise MerError(f"{path}: cannot be written ({error.strerror}); choose a folder you may write to") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner reads
        os.replace(temporary, path)
    except OSError as error:
        raise MerError(f"{path}: cannot be written ({error.strerror}); nothing was changed") from None
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


@contextmanager
def new_folder(root):
    """Give a hidden folder beside ``root`` that takes its place when the block ends: all of it is there, or nothing.

    Raises MerError if ``root`` exists and is not empty, or cannot be written.
    """
    root = Path(root)
    if root.is_symlink() or (root.exists() and (not root.is_dir() or any(root.iterdir()))):
        raise MerError(f"{root}: exists already; remove it or choose a new folder")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}."))
    except OSError as error:
        raise MerError(f"{root}: cannot be written ({error.strerror}); choose a folder you may write to") from None
    try:
        yield part
        part.chmod(0o755)
        if root.exists():
            root.rmdir()
        part.rename(root)
    except OSError as error:
        raise MerError(f"{root}: cannot be written ({error.strerror or error}); nothing was kept") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


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
        raise MerError(f"{path}: no such file") from None
    except (ValueError, OSError) as error:
        raise MerError(f"{path}: not readable as JSON ({error})") from None


def write_npz(path, **arrays):
    """Write named arrays atomically; the bytes depend on the arrays alone (no times inside)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_npz(path):
    """Read a file of ``write_npz`` as a dict; raise MerError naming the file if it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zip, zlib and numpy each raise their own
        raise MerError(f"{path}: not readable as npz ({error})") from None


def sha256(data):
    """Return the hex SHA-256 of bytes, or of a file when given a Path."""
    return hashlib.sha256(data.read_bytes() if isinstance(data, Path) else data).hexdigest()


def key_of(*parts):
    """Return a short name (16 hex digits) for JSON-like ``parts``: equal parts give equal names on every machine."""
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode())[:16]


def code_hash(*modules):
    """Return one hash of the sources of ``mer_utils`` modules given by name ("flow", "apex")."""
    return key_of(*(sha256(PACKAGE / f"{name}.py") for name in sorted(modules)))
