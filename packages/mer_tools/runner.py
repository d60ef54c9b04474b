"""The runner: executes the notebooks of a profile, skips those that are fresh, and keeps for every
figure where it came from.
"""

import ast
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, closing, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from mer_tools import end_children
from mer_tools.places import check_outside
from mer_tools.report import write_report
from mer_utils import MerError, explain
from mer_utils.cache import describe_process, hash_sources, key_of
from mer_utils.files import read_json, sha256, write_bytes, write_json, write_text
from mer_utils.kernels import PINNED
from mer_utils.study import OUTPUTS, clear_outputs, find_place, find_root, merge, pick, read_suite
from mer_utils.study import list_pictures_and_numbers as list_outputs

import joblib
import nbformat
import yaml
from filelock import FileLock, Timeout
from pydantic import ConfigDict, ValidationError, create_model

PACKAGES = ("mer_utils", "faces4d", "mer_tools", "mer_course")
# parameters that `mer run` sets itself; outputs depend on none of them, but on the data themselves
BY_OPTION = {"profile": "--profile", "data": "--data", "jobs": "--jobs"}
LANES = 2  # notebooks at a time: while one draws, the other has the idle cores


@dataclass(frozen=True)
class Job:
    """One notebook to run."""

    number: str
    source: Path
    entry: dict  # what profiles.yml says of it
    parameters: dict  # the whole set, as the notebook will see it
    data: str  # fingerprint of the dataset
    folder: Path  # artifacts/<profile>/<number>, see find_place

    @property
    def name(self):
        return self.source.stem

    def record(self):
        """Return what the last run kept, or {} if there was none."""
        path = self.folder / "run.json"
        return read_json(path) if path.is_file() else {}


def plan_jobs(root, profile, data="", overrides=(), only=(), jobs=0):
    """Return the Jobs of a profile, each parameter checked by name and type; MerError says what
    cannot be run.

    ``only`` are the numbers of the wanted notebooks (none: all), ``overrides`` texts like
    "07.seeds=3" or "all.seed=1", ``jobs`` the number of processes (0: one a core; it changes no
    number).
    """
    root, suite = Path(root), read_suite(root)
    settings = pick(suite, "profile", profile)
    if settings["needs_data"] and not data:
        what = f"the profile {profile} needs --data and the folder of a licensed dataset"
        raise MerError(f"{what} (see data/README.md)")
    fixed = {"profile": profile, "jobs": jobs or joblib.cpu_count()}
    if data:
        fixed["data"] = data = str(Path(data).resolve())
    notebooks = suite["notebooks"]
    for number in only:
        pick(suite, "notebook", number)
    chosen = sorted(set(only)) or list(notebooks)
    if data and "channels" in read_json(Path(data) / "dataset.json"):
        able = [number for number, entry in notebooks.items() if not entry["frames"]]
        chosen = chosen if only else able
        if not {*chosen} <= {*able}:
            raise MerError(data, f"holds flow images, no frames: run --only {', '.join(able)}")
    paths = {n: root / "notebooks" / f"{notebooks[n]['file']}.ipynb" for n in chosen}
    defaults = {n: _read_defaults(path) for n, path in paths.items()}
    changes = _list_changes(settings, overrides, suite, defaults)
    planned, fingerprint = [], cache(_fingerprint)
    for number, own in defaults.items():
        values = changes[number] | {name: fixed[name] for name in fixed if name in own}
        parameters = _check_types(paths[number], own, values)
        place = parameters["data"]
        described = paths[number], notebooks[number], parameters, fingerprint(root, place)
        planned.append(Job(number, *described, find_place(root, profile, place) / number))
    return planned


def _fingerprint(root, data):
    if not data:
        return "synthetic"  # these faces follow from the parameters
    from mer_tools.rules import open_sound  # OpenCV: `mer status` starts faster so

    return open_sound(root / data).fingerprint


def _read_defaults(path):
    """Return the parameters of a notebook with their defaults, as papermill reads them."""
    from papermill import inspect_notebook

    where = f"notebooks/{path.name}"
    try:
        found = inspect_notebook(path)
    except Exception as error:  # nbformat raises its own, json's and jsonschema's
        what = f"not readable as a notebook ({str(error).splitlines()[0]})"
        raise MerError(where, what) from None
    try:
        defaults = {name: ast.literal_eval(about["default"]) for name, about in found.items()}
    except (ValueError, SyntaxError):
        what = "the parameters cell may hold lines 'name = literal' only"
        raise MerError(where, what) from None
    if not {"profile", "data"} <= defaults.keys():
        raise MerError(where, "the cell tagged 'parameters' must define profile and data")
    return defaults


def _list_changes(settings, overrides, suite, defaults):
    """Return {number: {name: value}}: what a profile and the command line change in notebooks."""
    origin = "notebooks/profiles.yml"
    wanted = [
        (origin, target, name, value)
        for target, table in settings["parameters"].items()
        for name, value in table.items()
        if target in ("all", *defaults)
    ]
    for override in overrides:
        match = re.fullmatch(r"(\w+)\.(\w+)=(.*)", override, re.DOTALL)
        if match is None:
            raise MerError(f"-p {override}", "must look like 07.seeds=3 (notebook.name=value)")
        target, name, value = match.groups()
        if name in BY_OPTION:
            raise MerError(f"-p {override}", f"use {BY_OPTION[name]} instead")
        if target != "all":
            pick(suite, "notebook", target)
        wanted.append((f"-p {override}", target, name, value))

    changes = {number: {} for number in defaults}
    for origin, target, name, value in wanted:
        meant = [n for n, own in defaults.items() if target in (n, "all") and name in own]
        if not meant:
            known = f"; {target} has {', '.join(defaults[target])}" if target in defaults else ""
            what = f"no notebook of this run has a parameter {target}.{name}{known}"
            raise MerError(origin, what)
        for number in meant:
            changes[number][name] = value
            if isinstance(value, str) and not isinstance(defaults[number][name], str):
                with suppress(ValueError, yaml.YAMLError):  # a text stays one, of the wrong type
                    changes[number][name] = yaml.safe_load(value)
    return changes


def _check_types(path, defaults, values):
    """Return the defaults with ``values`` laid over them, each of its default's type (an int may
    stand for a float); else raise MerError.
    """
    fields = {
        name: (list[type(value[0])] if isinstance(value, list) and value else type(value), value)
        for name, value in defaults.items()
    }
    model = create_model("Parameters", __config__=ConfigDict(strict=True), **fields)
    try:
        return model(**values).model_dump()
    except ValidationError as error:
        raise MerError(f"notebooks/{path.name}", explain(error)) from None


def read_inputs(job):
    """Return all that a notebook's outputs depend on, by names to tell of: "contents" as hashes,
    "values" in plain (parameters, versions, kernels).
    """
    root, process = job.source.parents[1], describe_process()
    cells = nbformat.read(job.source, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    contents = {f"notebooks/{job.source.name}": key_of(code), "the data": job.data}
    contents["its list of figures in profiles.yml"] = key_of(job.entry["figures"])
    for name in job.entry["reads"]:
        contents[name] = sha256(root / name) if (root / name).is_file() else "missing"
    for name in PACKAGES:
        contents[name] = hash_sources(Path(find_spec(name).origin).parent)
    parameters = {n: value for n, value in job.parameters.items() if n not in BY_OPTION}
    values = {f"parameter {name}": value for name, value in parameters.items()}
    values |= process["packages"] | {"kernels": process["kernels"]}
    return {"contents": contents, "values": values}


def find_reasons(job, out=None):
    """Return why a notebook must run again, none if it is fresh. With ``out``, its pictures there
    count too.
    """
    record, new = job.record(), read_inputs(job)
    old, reasons = record.get("inputs", {}), []
    if old.keys() != new.keys():  # no run, one that failed, or one of an older version
        return ["not yet run to its end"]
    for kind in new:
        for name in old[kind] | new[kind]:
            before, after = old[kind].get(name), new[kind].get(name)
            if before != after:
                change = f": {before} → {after}" if kind == "values" else " changed"
                reasons.append(f"{name}{change}")
    for name, digest in record["outputs"].items():
        copy = [Path(out) / Path(name).name] if out and name.endswith(".png") else []
        for path in [job.folder / name, *copy]:
            if not path.is_file() or sha256(path) != digest:
                state = "changed" if path.is_file() else "is missing"
                reasons.append(f"{path.name} {state} in {path.parent}")
    return reasons


def read_status(profile="course", data="", root=None):
    """Yield (notebook, reasons) for each notebook of a profile; no reasons means fresh."""
    root = Path(root or find_root())
    out = default_out(root, profile, data)
    for job in plan_jobs(root, profile, data):
        yield job.name, find_reasons(job, out)


def default_out(root, profile, data="", overrides=()):
    """Return where figures go: the profile's ``out`` (committed), but pictures of given data or of
    changed parameters stay in artifacts/.
    """
    committed = pick(read_suite(root), "profile", profile)["out"]
    place = find_place(root, profile, data and str(Path(data).resolve()))
    if overrides:
        return place / f"figures-{key_of(sorted(overrides))[:8]}"
    return Path(root) / committed if committed and not data else place / "figures"


def run_suite(profile="course", data="", out="", echo=print, root=None, **choices):
    """Run a profile's notebooks, collect their figures in ``out`` and return one dict per notebook
    for the table.

    ``echo`` prints a line, ``choices`` are overrides, only and jobs, see ``plan_jobs``. Everything
    is checked before anything runs. LANES notebooks run at a time, one if ``jobs`` is 1; heavy
    steps wait for each other (``files.take_turns``). Raises MerError at the first notebook that
    fails; all made before stays.
    """
    root = Path(root or find_root()).resolve()
    if out:
        check_outside(out)
    planned, changed = plan_jobs(root, profile, data, **choices), choices.get("overrides")
    out = Path(out).resolve() if out else default_out(root, profile, data, changed)
    place = find_place(root, profile, data and str(Path(data).resolve()))
    lanes = min(LANES, choices.get("jobs") or joblib.cpu_count())
    place.parent.mkdir(exist_ok=True)
    try:  # the system frees the lock when its holder ends
        lock = FileLock(place.with_name(f".{place.name}.lock")).acquire(timeout=0)
    except Timeout:
        what = "another run of this profile is at work; wait for it or stop it"
        raise MerError(place, what) from None
    with lock:
        if (kernels := describe_process()["kernels"]) != PINNED:
            warning = f"last digits differ from those of {PINNED}, which made the committed figures"
            echo(f"kernels here: {kernels}; {warning}")
        reasons = {job.number: find_reasons(job) for job in planned}
        echo(f"{sum(map(bool, reasons.values()))} of {len(planned)} notebooks to run")
        # all lanes share one current folder, so papermill must not change it for each notebook
        with chdir(root / "notebooks"), closing(_run_lanes(planned, reasons, lanes, echo)) as done:
            for count, job in enumerate(done, 1):  # at once: a later one may fail
                for name in job.entry["figures"]:
                    source, target = job.folder / "figures" / f"{name}.png", out / f"{name}.png"
                    if not target.is_file() or sha256(target) != sha256(source):
                        write_bytes(target, source.read_bytes())
                whole = not choices.get("only") and count == len(planned)
                collect(root, planned[:count], out, whole)
    echo(f"figures, figures.json, results.json and RESULTS.md: {out}")
    return [
        job.record() | {"notebook": job.name, "fresh": not reasons[job.number]} for job in planned
    ]


def _run_lanes(jobs, reasons, lanes, echo):
    """Yield the jobs in their order, each as soon as it and all before it are fresh; those with
    reasons are executed, ``lanes`` at a time. A notebook that fails stops those that wait; Ctrl-C,
    or an error of the caller, also ends those that run.
    """
    pool, runs = ThreadPoolExecutor(lanes), {}

    def stop_others(ended):
        if not ended.cancelled() and ended.exception():
            pool.shutdown(wait=False, cancel_futures=True)
            if any(run.running() for run in runs.values()):
                echo("a notebook failed; waiting for the one that still runs")

    try:
        for job in jobs:
            if reasons[job.number]:
                runs[job.number] = pool.submit(_execute, job, reasons[job.number], echo)
        for run in runs.values():
            run.add_done_callback(stop_others)
        for job in jobs:
            if job.number in runs:
                runs[job.number].result()
            else:
                echo(f"{job.name}: fresh")
            yield job
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        pool.shutdown(wait=False, cancel_futures=True)
        end_children()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _execute(job, reasons, echo):
    """Execute one notebook by papermill into its folder and write its new record (run.json)."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    echo(f"{job.name}: {reasons[0]}")
    executed, path, inputs = job.folder / job.source.name, job.folder / "run.json", read_inputs(job)
    job.folder.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # a run that fails leaves no record
    clear_outputs(job.folder)
    options = {"kernel_name": "python3", "progress_bar": False}
    options["request_save_on_cell_execute"] = False  # a second or two: once at the end is enough
    options["extra_arguments"] = ["--log-level=CRITICAL"]  # what fails is an exception, not a log
    where, began = f"the executed notebook lies in {executed}", time.perf_counter()
    try:
        papermill.execute_notebook(job.source, executed, job.parameters, **options)
    except papermill.PapermillExecutionError as error:
        what = f"failed in cell [{error.exec_count}]: {error.ename}: {error.evalue}"
        raise MerError(" ".join(f"{job.name} {what}; {where}".split())) from None
    except DeadKernelError:
        what = "failed: its kernel died, perhaps for want of memory (try --jobs 1)"
        raise MerError(f"{job.name} {what}") from None
    seconds = round(time.perf_counter() - began, 1)
    paths = [*list_outputs(job.folder), *sorted(job.folder.glob("*.safetensors"))]
    figures, results, headline = (job.folder / name for name in OUTPUTS)
    record = {
        "inputs": inputs,  # from before: an edit during the run makes it stale
        "outputs": {path.relative_to(job.folder).as_posix(): sha256(path) for path in paths},
        "seconds": seconds,
        "figures": read_json(figures) if figures.is_file() else {},
        "results": read_json(results) if results.is_file() else {},
        "headline": headline.read_text("utf-8").strip() if headline.is_file() else "",
    }
    if missing := [name for name in job.entry["figures"] if name not in record["figures"]]:
        what = f"ran, but did not make {', '.join(missing)} listed in notebooks/profiles.yml"
        raise MerError(f"{job.name} {what}; {where}")
    write_json(path, record)
    echo(f"{job.name}: done in {seconds:.1f} s")


def collect(root, jobs, out, whole):
    """Write figures.json, results.json and RESULTS.md in ``out`` from the records of ``jobs``.

    figures.json leads from every picture to its notebook, parameters, data, and kernels;
    results.json merges the numbers in the notebooks' order. Entries of other notebooks stay, if
    they are of the same data, unless the jobs are the ``whole`` suite. No file holds a time or a
    path: equal runs give equal bytes.
    """
    records = [job.record() for job in jobs]
    datasets = [record["results"].pop("data") for record in records]
    figures, results = {}, {}
    if not whole and (out / "results.json").is_file():
        old = read_json(out / "results.json")
        keys = ("name", "given", *["fingerprint"] * datasets[0]["given"])
        if all(old.get("data", {}).get(key) == datasets[0][key] for key in keys):
            datasets.append(old["data"])
            figures, results = read_json(out / "figures.json"), old
    for job, record, dataset in zip(jobs, records, datasets, strict=False):
        merge(results, record["results"])
        about = {
            "notebook": job.source.name,
            "parameters": {n: value for n, value in job.parameters.items() if n not in BY_OPTION},
            "data": {key: dataset[key] for key in ("name", "fingerprint")},
            "kernels": record["inputs"]["values"]["kernels"],
        }
        for name, texts in record["figures"].items():
            figures[name] = {**texts, **about, "sha256": record["outputs"][f"figures/{name}.png"]}
    # a notebook may look at a few clips of its own; the numbers come from the largest set
    results.pop("data", None)
    results = {"data": max(datasets, key=lambda dataset: dataset["clips"]), **results}
    names = [n for entry in read_suite(root)["notebooks"].values() for n in entry["figures"]]
    figures = {name: figures[name] for name in names if name in figures}
    write_json(out / "figures.json", figures)
    write_json(out / "results.json", results)
    write_text(out / "RESULTS.md", write_report(results, figures))
