"""What is to run: the notebooks of a profile, their checked parameters, and all that their outputs
depend on.
"""

import ast
import functools
import re
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from mer_utils import MerError
from mer_utils.cache import describe_process, key_of
from mer_utils.files import read_json, sha256
from mer_utils.study import find_place, read_suite

import joblib
import nbformat
import yaml

PACKAGES = ("mer_utils", "faces4d", "mer_tools", "mer_course")
# parameters that `mer run` sets itself
BY_OPTION = {"profile": "--profile", "data": "--data", "jobs": "--jobs"}


@dataclass(frozen=True)
class Job:
    """One notebook to run: what goes in (``inputs``: all that its outputs depend on) and where it
    lies.
    """

    number: str
    source: Path
    figures: tuple[str, ...]
    parameters: dict  # the whole set, as the notebook will see it
    changed: dict  # those that differ from the notebook's own defaults
    inputs: dict
    synthetic: bool  # whether the faces are
    folder: Path  # artifacts/<profile>/<number>, see find_place

    @property
    def name(self):
        return self.source.stem

    def record(self):
        """Return what the last run kept, or {} if there was none."""
        path = self.folder / "run.json"
        return read_json(path) if path.is_file() else {}


class Layer(NamedTuple):
    """Parameters to set in one notebook (``target`` "05") or in all that have them ("all")."""

    target: str
    values: dict
    origin: str  # where they were written, for messages
    typed: bool = False  # on the command line: values are text


def plan_jobs(root, profile, data="", overrides=(), select=None, workers=0):
    """Return the Jobs of a profile, each parameter checked by name and type; MerError says what
    cannot be run.

    ``select`` are the wanted notebook numbers (default all), ``overrides`` texts like "07.seeds=3"
    or "all.seed=1".
    """
    suite = read_suite(root)
    settings = pick_profile(suite, profile)
    if settings.get("needs_data") and not data:
        raise MerError(
            f"the profile {profile} needs --data and the folder of a licensed dataset (see "
            "data/README.md)"
        )
    # as the command line means it: seen from the current folder
    data = Path(data).resolve() if data else None
    numbers = _choose(suite, select, data)
    notebooks = {number: _read_notebook(root, suite, number) for number in numbers}
    defaults = {number: parameters for number, (_, _, parameters) in notebooks.items()}
    layers = [
        Layer(target, table, "notebooks/profiles.yml")
        for target, table in settings.get("parameters", {}).items()
    ]
    if numbers != list(suite["notebooks"]):  # what a profile says of others need not be checked now
        layers = [layer for layer in layers if layer.target in numbers or _meant(layer, defaults)]
    values = _apply_layers(
        defaults, [*layers, *(_read_override(text, suite) for text in overrides)]
    )
    fixed = {"profile": profile, "jobs": count_workers(workers)}
    if data:
        fixed["data"] = str(data)
    prints, jobs = {"": (True, "synthetic")}, []
    for number, (path, cells, given) in notebooks.items():
        values[number].update((key, value) for key, value in fixed.items() if key in given)
        figures = suite["notebooks"][number]["figures"]
        reads = suite["notebooks"][number].get("reads", [])
        inputs = _read_inputs(root, figures, reads, cells, values[number], prints)
        synthetic = prints[values[number]["data"]][0]
        changed = {key: value for key, value in values[number].items() if value != given[key]}
        folder = find_place(root, profile, values[number]["data"]) / number
        jobs.append(
            Job(number, path, tuple(figures), values[number], changed, inputs, synthetic, folder)
        )
    return jobs


def look_again(job):
    """Return the Job with its inputs as they are by now: notebook or code may have been edited
    since it was planned.
    """
    cells = nbformat.read(job.source, as_version=4).cells
    known = {job.parameters["data"]: (job.synthetic, job.inputs["data"])}
    given = list(job.figures), list(job.inputs["files"]), cells, job.parameters, known
    inputs = _read_inputs(job.source.parents[1], *given)
    return replace(job, inputs=inputs)


def _choose(suite, select, data):
    """Return the numbers of the notebooks to run; on a set of flow images those that can do without
    frames.
    """
    numbers = list(suite["notebooks"]) if select is None else select
    if data is None or "channels" not in read_json(data / "dataset.json"):
        return numbers
    able = [number for number in numbers if suite["notebooks"][number].get("frames") is False]
    if select is not None and able != numbers:
        needy = next(number for number in numbers if number not in able)
        raise MerError(
            f"notebook {needy} needs frames, and {data} holds flow images; run it with --only "
            "05, 06, 07 or 08"
        )
    return able


def count_workers(jobs):
    """Return the number of worker processes that ``--jobs`` means: 0 is one per core."""
    return jobs or joblib.cpu_count()


def pick_profile(suite, profile):
    """Return a profile's settings from profiles.yml, or raise MerError with the names there are."""
    if profile not in suite["profiles"]:
        raise MerError(
            f"there is no profile {profile!r}; choose from {', '.join(suite['profiles'])}"
        )
    return suite["profiles"][profile] or {}


def pick_number(suite, text):
    """Return the number of a notebook given as "05" or "05_training"."""
    for number, entry in suite["notebooks"].items():
        if text in (number, entry["file"]):
            return number
    raise MerError(f"there is no notebook {text!r}; choose from {', '.join(suite['notebooks'])}")


def _read_notebook(root, suite, number):
    """Return (path, cells, parameters with their defaults) of one notebook."""
    path = Path(root) / "notebooks" / f"{suite['notebooks'][number]['file']}.ipynb"
    if not path.is_file():
        raise MerError(
            f"notebooks/{path.name}", "no such notebook, though notebooks/profiles.yml lists it"
        )
    try:
        cells = nbformat.read(path, as_version=4).cells
    except Exception as error:  # nbformat raises its own, json's and jsonschema's
        raise MerError(
            f"notebooks/{path.name}", f"not readable as a notebook ({str(error).splitlines()[0]})"
        ) from None
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    parameters = {}
    try:
        for statement in ast.parse(tagged[0].source).body if tagged else []:
            (target,) = statement.targets
            parameters[target.id] = ast.literal_eval(statement.value)
    except (SyntaxError, AttributeError, ValueError):
        raise MerError(
            f"notebooks/{path.name}", "the parameters cell may hold lines 'name = literal' only"
        ) from None
    missing = [name for name in ("profile", "data") if name not in parameters]
    if missing:
        raise MerError(
            f"notebooks/{path.name}",
            f"the cell tagged 'parameters' must define {' and '.join(missing)}",
        )
    return path, cells, parameters


def _read_override(text, suite):
    """Read "07.seeds=3" as a Layer."""
    match = re.fullmatch(r"(\w+)\.(\w+)=(.*)", text, re.DOTALL)
    if match is None:
        raise MerError(f"-p {text}", "must look like 07.seeds=3 (notebook.name=value)")
    target, name, value = match.groups()
    if name in BY_OPTION:
        raise MerError(f"-p {text}", f"use {BY_OPTION[name]} instead")
    return Layer(
        "all" if target == "all" else pick_number(suite, target),
        {name: value},
        f"-p {text}",
        typed=True,
    )


def _meant(layer, defaults):
    return layer.target == "all" and any(
        name in given for name in layer.values for given in defaults.values()
    )


def _apply_layers(defaults, layers):
    """Return {number: parameters}: the notebooks' defaults with the layers laid over them, names
    and types checked.
    """
    result = {number: dict(given) for number, given in defaults.items()}
    for target, table, origin, typed in layers:
        if target != "all" and target not in result:
            raise MerError(origin, f"notebook {target} is not among those of this run")
        for name, value in (table or {}).items():
            meant = [n for n, given in defaults.items() if target in (n, "all") and name in given]
            if not meant:
                known = "" if target == "all" else f"; it has {', '.join(defaults[target])}"
                where = "any notebook of this run" if target == "all" else f"notebook {target}"
                raise MerError(origin, f"there is no parameter {name!r} in {where}{known}")
            for number in meant:
                default = defaults[number][name]
                given = _parse(value, default) if typed else value
                result[number][name] = _check(
                    given, default, f"{origin}: {name} of notebook {number}"
                )
    return result


def _parse(text, default):
    """Read a command-line value as a Python or YAML literal; it stays text where text is wanted."""
    if isinstance(default, str):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text


def _check(value, default, what):
    """Return ``value`` if it has the type of ``default`` (an int may stand for a float), else raise
    MerError.
    """
    if type(value) is int and type(default) is float:
        return float(value)
    if default is not None and type(value) is not type(default):
        raise MerError(
            f"{what} is {value!r}, but must be of type {type(default).__name__} like {default!r}"
        )
    if isinstance(value, list) and default:
        return [_check(item, default[0], f"an element of {what}") for item in value]
    return value


def _read_inputs(root, figures, reads, cells, parameters, prints):
    """Return all that a notebook's outputs depend on, as JSON values: of its text the code, of the
    committed files that it ``reads`` the content; no workers or paths.
    """
    code = {cell.id: _read_cell(cell.source) for cell in cells if cell.cell_type == "code"}
    folder = parameters["data"]
    if folder not in prints:
        from mer_utils.dataset import open_dataset

        dataset = open_dataset(Path(root) / folder)
        prints[folder] = dataset.synthetic, dataset.fingerprint
    _, fingerprint = prints[folder]
    text = "\n".join(code.values())
    packages = [name for name in PACKAGES if name in ("mer_utils", "faces4d") or name in text]
    return {
        "notebook": key_of([[name, _plain(cell)] for name, cell in code.items()]),
        "figures": figures,
        "files": {name: _hash_file(Path(root) / name) for name in reads},
        "parameters": {key: value for key, value in parameters.items() if key not in BY_OPTION},
        # synthetic faces that are made here follow from the parameters and from the generator
        "data": fingerprint,
        "code": {name: hash_code(name) for name in packages},
        **describe_process(),
    }


def _plain(source):
    """Return Python code without comments and layout."""
    return ast.dump(ast.parse(source))


@functools.cache
def hash_code(package):
    """Return a hash of a package's code without comments, as it lies on disk."""
    folder = Path(find_spec(package).origin).parent
    files = sorted(folder.rglob("*.py"))
    return key_of([[p.relative_to(folder).as_posix(), _plain(p.read_text("utf-8"))] for p in files])


def _hash_file(path):
    return sha256(path) if path.is_file() else "missing"


def _read_cell(source):
    """Return a code cell without lines for Jupyter alone; MerError if the rest is not Python."""
    code = re.sub(r"(?m)^\s*[%!].*$", "", source)
    try:
        ast.parse(code)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise MerError(f"a notebook cell is not Python: {error.msg} in {line!r}") from None
    return code


def find_reasons(job, out=None):
    """Return why a notebook must run again, none if it is fresh. With ``out``, its pictures there
    count too.
    """
    record = job.record()
    # none, or one of an older version
    if not record or "kernels" not in record.get("inputs", {"kernels": ""}):
        return ["never run"]
    if record.get("unfinished"):
        return ["its last run did not finish"]
    old, new, reasons = record["inputs"], job.inputs, []
    if old["notebook"] != new["notebook"]:
        reasons.append(f"notebooks/{job.source.name} changed")
    if old["figures"] != new["figures"]:
        reasons.append("its figures in notebooks/profiles.yml changed")
    if old["kernels"] != new["kernels"]:
        reasons.append(f"kernels: {old['kernels']} → {new['kernels']}")
    words = {
        "parameters": "parameter {}: {} → {}",
        "packages": "{}: {} → {}",
        "code": "{} changed",
        "files": "{} changed",
    }
    for kind, word in words.items():
        given = old.get(kind, {})
        for name in sorted(given.keys() | new[kind].keys()):
            if (before := given.get(name)) != (after := new[kind].get(name)):
                reasons.append(word.format(name, before, after))
    if old["data"] != new["data"]:
        reasons.append("the data changed")
    for name, digest in record["outputs"].items():
        places = [job.folder / name] + (
            [Path(out) / Path(name).name] if out and name.endswith(".png") else []
        )
        for path in places:
            if not path.is_file() or sha256(path) != digest:
                reasons.append(
                    f"{path.name} {'changed' if path.is_file() else 'is missing'} in {path.parent}"
                )
    return reasons
