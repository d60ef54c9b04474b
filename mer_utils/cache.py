"""What is kept between runs is named by what the code does, not by how it is written.

A name depends on a step's options and input, on the versions of the packages that compute, on the
kernels, and on a hash of what the step makes of a small fixed input, its probe, under these very
options. Renaming or speeding up code leaves that alone; a changed number does not. What a probe
cannot see is covered by the version of this package.
"""

import hashlib
import json
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from pathlib import Path

import mer_utils
from mer_utils.files import digest_arrays, read_json, write_json

# packages that compute what is kept, as pip calls them
COMPUTING = ("pillow", "opencv-python-headless", "numpy", "scipy", "simplejpeg", "scikit-image")
COMPUTING += ("scikit-learn", "torch")
SOURCES = {}  # package of this repository: hash of its files when Python loaded it
_ANSWERS = {}  # what probes answered in this process


# as they are when this process begins, without their builds (CPU or GPU): later installations
# change files, not what is loaded
VERSIONS = {name: version(name).split("+")[0] for name in COMPUTING}


def key_of(*parts):
    """Return a name (16 hex digits) for JSON-like ``parts``, the same on every machine."""
    plain = [asdict(part) if is_dataclass(part) else part for part in parts]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_sources(package):
    """Return a hash of the Python files and weights of a package's folder as they are now."""
    digest, package = hashlib.sha256(), Path(package)
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.safetensors")]):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def remember_sources(file):
    """Note the files of the package whose __init__ is ``file``, so that a later edit is noticed."""
    SOURCES[Path(file).parent.name] = hash_sources(Path(file).parent)


def describe_process():
    """Return what this process computes with, as JSON values: versions of packages, kernels."""
    packages = {"mer-utils": mer_utils.__version__, **VERSIONS}
    return {"packages": packages, "kernels": mer_utils.KERNELS}


def find_behaviour(probe, *options, cache=None):
    """Return a hash of the named arrays that the function ``probe`` returns for ``options``.

    Answers are remembered in this process, and in the folder ``cache`` for later ones. After an
    edit the probe runs again, with the code that is loaded, and is not kept: results never take the
    name of code that did not make them.
    """
    packages = {mer_utils.__name__, probe.__module__.partition(".")[0]} & SOURCES.keys()
    folders = {package: Path(__import__(package).__file__).parent for package in sorted(packages)}
    code = {package: hash_sources(folder) for package, folder in folders.items()}
    name = key_of(probe.__qualname__, *options, code, describe_process())
    edited = any(SOURCES[package] != value for package, value in code.items())
    path = None if cache is None or edited else Path(cache) / "probes" / f"{name}.json"
    if name not in _ANSWERS and path and path.is_file():
        _ANSWERS[name] = read_json(path)
    if name not in _ANSWERS:
        _ANSWERS[name] = digest_arrays(probe(*options))[:16]
        if path:
            write_json(path, _ANSWERS[name])
    return _ANSWERS[name]


def name_result(step, probe, *options, cache=None):
    """Return the name of what ``step`` makes under ``options``; callers add the input's."""
    behaviour = find_behaviour(probe, *options, cache=cache)
    return key_of(step, *options, behaviour, describe_process())
