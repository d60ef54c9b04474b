"""What a result depends on: the code as it was loaded, its data tables, the packages that compute,
and the kernels.

``code_of("method.features")`` follows the imports of a module through the package and describes all
that it finds: each file by its syntax tree without comments and docstrings, so that a comment costs
nothing and a lip's colour touches only what draws lips. Whatever is kept between runs is named by
such a description.
"""

import ast
import functools
import hashlib
import json
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import NamedTuple

import mer_utils

PACKAGE = Path(__file__).parents[1]
NAME = PACKAGE.name
TABLES = "data/published"  # the folder of data tables
# packages whose versions may change a number or a picture: what is imported, and what pip calls it
COMPUTING = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "scipy": "scipy",
    "seaborn": "seaborn",
    "simplejpeg": "simplejpeg",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "torch": "torch",
}
# what these compute with in turn
BRINGS = {
    "matplotlib": ("PIL",),
    "seaborn": ("matplotlib",),
    "skimage": ("scipy",),
    "sklearn": ("scipy",),
}
# module name: its source, as it was when Python loaded it (loaded anew: the old source and the new)
LOADED = {}


class _Witness:
    """A finder that finds nothing, but keeps the source of each module of the package that is about
    to be loaded.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Called by Python before it loads (or reloads) a module; None leaves that to the finders
        behind this one.
        """
        file = locate(name)
        if file is None:
            return
        source, old = file.read_bytes(), LOADED.get(name, b"")
        try:
            ast.parse(source)
        except SyntaxError:  # it will not be loaded
            return
        # who imported from a module that is now loaded anew goes on with the old names: no fresh
        # process is like that
        LOADED[name] = old if old.endswith(source) else old + b"\n" + source if old else source


class Source(NamedTuple):
    """What matters of one file: a hash of its syntax tree, the package's modules it may import,
    other packages, and its texts, among which the names of data tables are found.
    """

    tree: str
    modules: frozenset[str]
    packages: frozenset[str]
    texts: frozenset[str]


def locate(name):
    """Return the file of the module ``name`` ("mer_utils.method.flow"), or None if it is no module
    of this package.
    """
    first, *rest = name.split(".")
    if first != NAME:
        return None
    path = PACKAGE.joinpath(*rest)
    candidates = (path / "__init__.py", path.with_name(f"{path.name}.py"))
    return next((file for file in candidates if file.is_file()), None)


def hash_text(text):
    """Return 16 hex digits that stand for ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def key_of(*parts):
    """Return a short name (16 hex digits) for JSON-like ``parts``: equal parts give equal names on
    every machine.
    """
    return hash_text(json.dumps(parts, sort_keys=True, default=str))


@functools.cache
def read_source(text):
    """Return the Source of Python code (text or bytes); SyntaxError if it is none."""
    tree = ast.parse(text)
    modules, packages, texts = set(), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):  # the package itself imports by full names
            modules.update(
                {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
    packages = {name.split(".")[0] for name in modules} & COMPUTING.keys()
    return Source(
        hash_text(_plain(tree)), frozenset(modules), frozenset(packages), frozenset(texts)
    )


def _plain(node):
    """Return a syntax tree as text, alike in every Python version: no places, no docstrings, no
    empty fields.
    """
    if isinstance(node, list):
        return f"[{','.join(map(_plain, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    body = fields.get("body")
    if (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and body
    ):
        first = body[0].value if isinstance(body[0], ast.Expr) else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            fields["body"] = body[1:]
    kept = (
        f"{name}={_plain(value)}"
        for name, value in fields.items()
        if value not in (None, []) and name != "kind"
    )
    return f"{type(node).__name__}({','.join(kept)})"


def source_of(name, loaded=True):
    """Return the source of a module as it was loaded, else (or with ``loaded`` False) as it lies on
    disk.
    """
    return LOADED[name] if loaded and name in LOADED else locate(name).read_bytes()


def find_modules(roots, loaded=True):
    """Return {module: Source} of the modules ``roots`` and of all that they import within the
    package.
    """
    found, todo = {}, {NAME, *roots}
    while todo:
        name = todo.pop()
        if name not in found and locate(name) is not None:
            found[name] = read_source(source_of(name, loaded))
            # Python runs a package's __init__, too
            todo |= found[name].modules | {name.rpartition(".")[0]}
    return dict(sorted(found.items()))


def code_of(*modules, cells=(), loaded=True):
    """Describe what the modules given by name ("method.features") and Python ``cells`` compute
    with, as JSON values: files and data tables of this package with their hashes, versions of
    packages, and the family of kernels.

    ``loaded`` describes the code that this process runs; without it, the code that a new process
    would run.
    """
    given = [read_source(cell) for cell in cells]
    roots = {f"{NAME}.{name}" for name in modules}.union(*(source.modules for source in given))
    found = find_modules(roots, loaded)
    sources = [*given, *found.values()]
    tables = {text for source in sources for text in source.texts if "." in text} & _list_tables()
    packages = {name for source in sources for name in source.packages}
    packages |= {other for name in packages for other in BRINGS.get(name, ())}
    files = {
        locate(name).relative_to(PACKAGE).as_posix(): source.tree for name, source in found.items()
    }
    files |= {f"{TABLES}/{name}": _hash_table(name) for name in tables}
    return {
        "modules": dict(sorted(files.items())),
        "packages": {COMPUTING[name]: find_version(name) for name in sorted(packages)},
        "kernels": mer_utils.KERNELS,
    }


def _list_tables():
    return {path.name for path in (PACKAGE / TABLES).glob("*")}


def _hash_table(name):
    return hash_text((PACKAGE / TABLES / name).read_text(encoding="utf-8"))


def find_version(name):
    """Return the version of a package given by its import name: of the one that is loaded, else of
    the one installed. What follows a "+" (the build for a CPU or a GPU) is left out.
    """
    loaded = str(getattr(sys.modules.get(name), "__version__", "")).split("+")[0]
    try:
        installed = version(COMPUTING[name])
    except PackageNotFoundError:  # OpenCV goes by several names
        names = packages_distributions().get(name)
        installed = version(names[0]) if names else "unknown"
    installed = installed.split("+")[0]
    return installed if not loaded or f"{installed}.".startswith(f"{loaded}.") else loaded


def fingerprint(function):
    """Return {module: (hash of its bytes, hash of its tree)} of all that a function of this package
    runs: what a worker process must have loaded, too. Empty for functions from elsewhere.
    """
    if locate(function.__module__) is None:
        return {}
    found = find_modules([function.__module__])
    return {
        name: (hashlib.sha256(source_of(name)).hexdigest(), source.tree)
        for name, source in found.items()
    }


def find_foreign(wanted):
    """Return the first module whose code in this process is not what ``fingerprint`` found
    elsewhere, or None.
    """
    for name, (exact, tree) in wanted.items():
        source = source_of(name) if locate(name) else b""
        if hashlib.sha256(source).hexdigest() != exact and read_source(source).tree != tree:
            return name
    return None


# loaded before there was a witness
for _name in (NAME, f"{NAME}.core", f"{NAME}.core.kernels", __name__):
    LOADED[_name] = locate(_name).read_bytes()
sys.meta_path.insert(0, _Witness)
