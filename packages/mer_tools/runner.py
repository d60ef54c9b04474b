"""The runner: executes the notebooks of a profile in order, skips those that are fresh, and keeps
for every figure where it came from.
"""

import ast
import functools
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from mer_tools.report import write_report
from mer_utils import MerError, explain
from mer_utils.cache import describe_process, hash_sources, key_of
from mer_utils.files import read_json, sha256, write_bytes, write_json, write_text
from mer_utils.kernels import PINNED
from mer_utils.study import (
    FORMATS,
    OUTPUTS,
    clear_outputs,
    find_place,
    find_root,
    list_pictures_and_numbers,
    merge,
    pick_profile,
    read_suite,
)

import joblib
import nbformat
import psutil
from filelock import FileLock, Timeout
from pydantic import ConfigDict, ValidationError, create_model

PARSING = threading.Lock()

PACKAGES = ("mer_utils", "faces4d", "mer_tools", "mer_course")
# parameters that `mer run` sets itself
BY_OPTION = {"profile": "--profile", "data": "--data", "jobs": "--jobs"}


@dataclass(frozen=True)
class Job:
    """One notebook to run."""

    number: str
    source: Path
    entry: dict  # what profiles.yml says of it
    parameters: dict  # the whole set, as the notebook will see it
    changed: dict  # those that differ from the notebook's own defaults
    data: str  # fingerprint of the dataset
    folder: Path  # artifacts/<profile>/<number>, see find_place

    @property
    def name(self):
        return self.source.stem

    def record(self):
        """Return what the last run kept, or {} if there was none."""
        path = self.folder / "run.json"
        return read_json(path) if path.is_file() else {}


def pick_number(suite, text):
    """Return the number of a notebook given as "05" or "05_training"."""
    for number, entry in suite["notebooks"].items():
        if text in (number, entry["file"]):
            return number
    raise MerError(f"there is no notebook {text!r}; choose from {', '.join(suite['notebooks'])}")


def count_workers(jobs):
    """Return the number of worker processes that ``--jobs`` means: 0 is one per core."""
    return jobs or joblib.cpu_count()


def plan_jobs(root, profile, data="", overrides=(), select=None, workers=0):
    """Return the Jobs of a profile, each parameter checked by name and type; MerError says what
    cannot be run.

    ``select`` are the wanted notebook numbers (default all), ``overrides`` texts like "07.seeds=3"
    or "all.seed=1", ``workers`` the number of processes (0: one a core).
    """
    root, suite = Path(root), read_suite(root)
    settings = pick_profile(suite, profile)
    if settings["needs_data"] and not data:
        raise MerError(
            f"the profile {profile} needs --data and the folder of a licensed dataset (see "
            "data/README.md)"
        )
    data = str(Path(data).resolve()) if data else ""
    paths = {n: root / "notebooks" / f"{e['file']}.ipynb" for n, e in suite["notebooks"].items()}
    defaults = {number: _read_defaults(path) for number, path in paths.items()}
    values = {number: {} for number in paths}
    for target, table in settings["parameters"].items():
        for name, value in table.items():
            for number in _find_targets(target, name, defaults, "notebooks/profiles.yml"):
                values[number][name] = value
    numbers = _choose(suite, select, data)
    for text in overrides:
        target, name, value = _split_override(text, suite)
        meant = {number: defaults[number] for number in numbers}
        for number in _find_targets(target, name, meant, f"-p {text}"):
            values[number][name] = _parse(value, defaults[number][name])
    fixed = {"profile": profile, "jobs": count_workers(workers)}
    fixed |= {"data": data} if data else {}
    jobs, fingerprints = [], {"": "synthetic"}  # synthetic faces follow from the parameters
    for number in numbers:
        own = defaults[number]
        values[number] |= {name: value for name, value in fixed.items() if name in own}
        parameters = _check_types(paths[number].name, own, values[number])
        changed = {name: value for name, value in parameters.items() if value != own[name]}
        place = parameters["data"]
        if place not in fingerprints:
            from mer_utils.dataset import open_dataset  # OpenCV: `mer status` starts faster so

            fingerprints[place] = open_dataset(root / place).fingerprint
        entry, folder = suite["notebooks"][number], find_place(root, profile, place) / number
        job = Job(number, paths[number], entry, parameters, changed, fingerprints[place], folder)
        jobs.append(job)
    return jobs


def _choose(suite, select, data):
    """Return the numbers of the notebooks to run; on a set of flow images those that can do without
    frames.
    """
    numbers = list(suite["notebooks"]) if select is None else select
    if not data or "channels" not in read_json(Path(data) / "dataset.json"):
        return numbers
    able = [number for number in numbers if not suite["notebooks"][number]["frames"]]
    if select is not None and able != numbers:
        needy = next(number for number in numbers if number not in able)
        what = f"notebook {needy} needs frames, and {data} holds flow images"
        raise MerError(f"{what}; run it with --only 05, 06, 07 or 08")
    return able


def parse_code(code):
    """Return the syntax tree of Python code. Threads take turns: CPython 3.11 fails otherwise."""
    with PARSING:
        return ast.parse(code)


def _read_cells(path):
    """Return the code cells of a notebook as pairs (cell, Python syntax tree)."""
    where = f"notebooks/{path.name}"
    try:
        cells = nbformat.read(path, as_version=4).cells
    except Exception as error:  # nbformat raises its own, json's and jsonschema's
        what = f"not readable as a notebook ({str(error).splitlines()[0]})"
        raise MerError(where, what) from None
    try:  # lines for Jupyter alone begin with % or !
        return [
            (cell, parse_code(re.sub(r"(?m)^\s*[%!].*$", "", cell.source)))
            for cell in cells
            if cell.cell_type == "code"
        ]
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise MerError(where, f"a cell is not Python: {error.msg} in {line!r}") from None


def _read_defaults(path):
    """Return the parameters of a notebook with their defaults."""
    where, defaults = f"notebooks/{path.name}", {}
    trees = [t for cell, t in _read_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    try:
        for statement in trees[0].body if trees else []:
            (target,) = statement.targets
            defaults[target.id] = ast.literal_eval(statement.value)
    except (AttributeError, ValueError):
        what = "the parameters cell may hold lines 'name = literal' only"
        raise MerError(where, what) from None
    if not {"profile", "data"} <= defaults.keys():
        raise MerError(where, "the cell tagged 'parameters' must define profile and data")
    return defaults


def _find_targets(target, name, defaults, origin):
    """Return the notebooks that a parameter is meant for: one, or "all" that have it."""
    if target != "all" and target not in defaults:
        raise MerError(origin, f"notebook {target} is not among those of this run")
    meant = [n for n, own in defaults.items() if target in (n, "all") and name in own]
    if not meant:
        known = "" if target == "all" else f"; it has {', '.join(defaults[target])}"
        where = "any notebook of this run" if target == "all" else f"notebook {target}"
        raise MerError(origin, f"there is no parameter {name!r} in {where}{known}")
    return meant


def _split_override(text, suite):
    """Split "07.seeds=3" into (notebook number or "all", name, value)."""
    match = re.fullmatch(r"(\w+)\.(\w+)=(.*)", text, re.DOTALL)
    if match is None:
        raise MerError(f"-p {text}", "must look like 07.seeds=3 (notebook.name=value)")
    target, name, value = match.groups()
    if name in BY_OPTION:
        raise MerError(f"-p {text}", f"use {BY_OPTION[name]} instead")
    return target if target == "all" else pick_number(suite, target), name, value


def _parse(text, default):
    """Read a command-line value as a literal; it stays text where text is wanted."""
    if isinstance(default, str):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False}.get(text, text)


def _check_types(notebook, defaults, values):
    """Return the defaults with ``values`` laid over them, each of its default's type (an int may
    stand for a float); else raise MerError.
    """
    kinds = {
        name: list[type(value[0])] if isinstance(value, list) and value else type(value)
        for name, value in defaults.items()
    }
    fields = {name: (kind, defaults[name]) for name, kind in kinds.items()}
    model = create_model("Parameters", __config__=ConfigDict(strict=True), **fields)
    try:
        return model(**values).model_dump()
    except ValidationError as error:
        raise MerError(f"notebooks/{notebook}", explain(error)) from None


def read_inputs(job):
    """Return all that a notebook's outputs depend on, as JSON values: code without comments,
    parameters, data, committed files, versions; no workers or paths.
    """
    root, cells = job.source.parents[1], _read_cells(job.source)
    text = "\n".join(cell.source for cell, _ in cells)
    packages = [name for name in PACKAGES if name in ("mer_utils", "faces4d") or name in text]
    files = {name: root / name for name in job.entry["reads"]}
    return {
        "notebook": key_of([[cell.id, ast.dump(tree)] for cell, tree in cells]),
        "figures": job.entry["figures"],
        "files": {n: sha256(p) if p.is_file() else "missing" for n, p in files.items()},
        "parameters": {n: v for n, v in job.parameters.items() if n not in BY_OPTION},
        "data": job.data,
        "code": {name: hash_code(name) for name in packages},
        **describe_process(),
    }


def hash_code(package):
    """Return a hash of a package's code without comments, as it lies on disk."""
    folder = Path(find_spec(package).origin).parent
    return _hash_code(folder, hash_sources(folder))


@functools.cache
def _hash_code(folder, sources):
    files = sorted(folder.rglob("*.py"))
    return key_of(
        [
            [p.relative_to(folder).as_posix(), ast.dump(parse_code(p.read_text("utf-8")))]
            for p in files
        ]
    )


def find_reasons(job, out=None):
    """Return why a notebook must run again, none if it is fresh. With ``out``, its pictures there
    count too.
    """
    record = job.record()
    if record.get("unfinished"):
        return ["its last run did not finish"]
    old, new, reasons = record.get("inputs", {}), read_inputs(job), []
    if old.keys() != new.keys():  # no run, or one of an older version
        return ["never run"]
    words = {
        "notebook": f"notebooks/{job.source.name} changed",
        "figures": "its figures in notebooks/profiles.yml changed",
        "kernels": "kernels: {before} → {after}",
        "parameters": "parameter {name}: {before} → {after}",
        "packages": "{name}: {before} → {after}",
        "code": "{name} changed",
        "files": "{name} changed",
        "data": "the data changed",
    }
    for kind, sentence in words.items():
        befores, afters = (
            inputs[kind] if isinstance(inputs[kind], dict) else {"": inputs[kind]}
            for inputs in (old, new)
        )
        for name in sorted(befores.keys() | afters.keys()):
            before, after = befores.get(name), afters.get(name)
            if before != after:
                reasons.append(sentence.format(name=name, before=before, after=after))
    for name, digest in record["outputs"].items():
        places = [job.folder / name]
        places += [Path(out) / Path(name).name] if out and name.endswith(".png") else []
        for path in places:
            if not path.is_file():
                reasons.append(f"{path.name} is missing in {path.parent}")
            elif sha256(path) != digest:
                reasons.append(f"{path.name} changed in {path.parent}")
    return reasons


def read_status(profile="course", data="", root=None):
    """Yield (notebook, reasons) for each notebook of a profile; no reasons means fresh."""
    root = Path(root or find_root())
    out = default_out(root, read_suite(root), profile, data)
    for job in plan_jobs(root, profile, data):
        yield job.name, find_reasons(job, out)


def default_out(root, suite, profile, data="", overrides=()):
    """Return where figures go: the profile's ``out`` (committed), but pictures of given data or of
    changed parameters stay in artifacts/.
    """
    committed = pick_profile(suite, profile)["out"]
    place = find_place(root, profile, data and str(Path(data).resolve()))
    if overrides:
        return place / f"figures-{key_of(sorted(overrides))[:8]}"
    return Path(root) / committed if committed and not data else place / "figures"


def run_suite(
    profile="course",
    data="",
    only=(),
    start="",
    jobs=0,
    out="",
    overrides=(),
    echo=print,
    force=False,
    root=None,
    kind="png",
):
    """Run a profile's notebooks, collect their figures in ``out`` and return one dict per notebook
    for the table.

    ``only`` and ``start`` choose notebooks by number, ``jobs`` is the number of workers (0: one a
    core; it changes no number), ``overrides`` are texts like "07.seeds=3", ``echo`` prints a line,
    ``force`` runs fresh notebooks too, ``kind`` "pdf" or "svg" puts such figures beside the PNGs.
    Everything is checked before anything runs. Raises MerError at the first notebook that fails;
    all made before stays.
    """
    root = Path(root or find_root())
    suite = read_suite(root)
    if kind not in FORMATS:
        raise MerError(f"there is no format {kind!r}; choose from {', '.join(FORMATS)}")
    if out:
        from mer_utils.dataset import check_outside  # OpenCV: `mer status` starts faster so

        check_outside(out)
    select = _select(suite, only, start)
    planned = plan_jobs(root, profile, data, overrides, select, jobs)
    out = Path(out).resolve() if out else default_out(root, suite, profile, data, overrides)
    with _one_run(root, profile, data):
        if (kernels := describe_process()["kernels"]) != PINNED:
            made = f"last digits differ from those of {PINNED}, which made the committed figures"
            echo(f"kernels here: {kernels}; {made}")
        reasons = {job.number: ["--force"] if force else find_reasons(job) for job in planned}
        stale = [job for job in planned if reasons[job.number]]
        done = [job for job in planned if not reasons[job.number]]
        for job in done:
            echo(f"{job.name}: fresh")
            publish(job, out, kind)
        echo(f"{len(stale)} of {len(planned)} notebooks to run")
        if done:
            collect(suite, done, out, whole=select is None and not stale)
        for job in _execute_all(stale, reasons, echo):
            done = [other for other in planned if other in (*done, job)]
            publish(job, out, kind)
            collect(suite, done, out, whole=select is None and len(done) == len(planned))
    echo(f"figures, figures.json, results.json and RESULTS.md: {out}")
    return [
        {
            "notebook": job.name,
            "figures": len(job.entry["figures"]),
            "fresh": job not in stale,
            **{key: job.record()[key] for key in ("seconds", "headline")},
        }
        for job in planned
    ]


def _select(suite, only, start):
    if not only and not start:
        return None
    wanted = {pick_number(suite, text) for text in only} or set(suite["notebooks"])
    first = pick_number(suite, start) if start else ""
    chosen = [number for number in suite["notebooks"] if number in wanted and number >= first]
    if not chosen:
        after = f"{start} comes after {', '.join(sorted(wanted))}"
        raise MerError(f"--only and --from leave no notebook to run: {after}")
    return chosen


def _one_run(root, profile, data):
    """Take the lock of a profile on a dataset, which the system frees when its holder ends in
    whatever way.
    """
    place = find_place(root, profile, data and str(Path(data).resolve()))
    path = place.with_name(f".{place.name}.lock")
    try:
        path.parent.mkdir(exist_ok=True)
        return FileLock(path).acquire(timeout=0)
    except Timeout:
        what = f"another run of the profile {profile} is at work in {root}"
        raise MerError(f"{what}; wait for it or stop it") from None
    except OSError as error:
        what = f"cannot be written ({error.strerror}); choose a checkout you may write to"
        raise MerError(path, what) from None


def _execute_all(jobs, reasons, echo):
    """Execute notebooks in their order and yield each Job as it ends. Neighbours that profiles.yml
    calls light run two at a time, on one worker each. What goes wrong with one ends the other.
    """
    before = set(psutil.Process().children())

    def execute(job, changed):
        echo(f"{job.name}: {reasons[job.number][0]}")
        _execute(job, changed, echo)
        return job

    for (_, several), group in groupby(jobs, key=_find_lane):
        batch = list(group)
        alone = {"jobs": 1} if several and len(batch) > 1 else {}
        with ThreadPoolExecutor(2 if several else 1) as pool:
            futures = [pool.submit(execute, job, job.changed | alone) for job in batch]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                for future in futures:
                    future.cancel()
                while not all(future.done() for future in futures):
                    _kill_children(before)  # again and again: a kernel may only now be starting
                    time.sleep(0.2)
                raise


def _find_lane(job):
    """Return a key that is the same for neighbours that run in one batch: light notebooks, unless
    the user wants one process.
    """
    several = job.entry["light"] and job.parameters.get("jobs", 1) > 1
    return ("" if several else job.number), several


def _kill_children(spared):
    """End this process's children (kernels) and all of theirs (workers), but not ``spared``."""
    for child in set(psutil.Process().children()) - spared:
        with suppress(psutil.NoSuchProcess):
            for process in [*child.children(recursive=True), child]:
                process.kill()


def _execute(job, changed, echo):
    """Execute one notebook by papermill into its folder and write its new record (run.json)."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    executed, path, inputs = job.folder / job.source.name, job.folder / "run.json", read_inputs(job)
    # figures and numbers of the last good run stay in the record until this run has better ones
    write_json(path, {**job.record(), "unfinished": True})
    clear_outputs(job.folder)
    where = f"the executed notebook lies in {executed}"
    began = time.perf_counter()
    try:
        papermill.execute_notebook(
            _escape(job.source),
            _escape(executed),
            changed,
            kernel_name="python3",
            cwd=job.source.parent,
            progress_bar=False,
            extra_arguments=["--log-level=CRITICAL"],  # what fails comes as an exception
        )
    except papermill.PapermillExecutionError as error:
        what = f"failed in cell [{error.exec_count}]: {error.ename}: {error.evalue}"
        raise MerError(" ".join(f"{job.name} {what}; {where}".split())) from None
    except OSError as error:
        what = f"cannot be written ({error.strerror or error}); what was made before stays"
        raise MerError(executed, what) from None
    except DeadKernelError:
        what = "failed: its kernel died, perhaps for want of memory (try --jobs 1)"
        raise MerError(f"{job.name} {what}; {where}") from None
    seconds = round(time.perf_counter() - began, 1)
    figures, results, headline = _read_outputs(job.folder)
    missing = ", ".join(name for name in job.entry["figures"] if name not in figures)
    if missing:
        what = f"ran, but did not make {missing} listed in notebooks/profiles.yml"
        raise MerError(f"{job.name} {what}; {where}")
    for line in _read_notices(executed):
        echo(f"{job.name}: {line}")
    paths = [*list_pictures_and_numbers(job.folder), *sorted(job.folder.glob("*.safetensors"))]
    outputs = {p.relative_to(job.folder).as_posix(): sha256(p) for p in paths}
    record = {"inputs": inputs, "outputs": outputs, "seconds": seconds, "headline": headline}
    if read_inputs(job) != inputs:
        echo(f"{job.name}: its code was edited while it ran: it will run again")
        record["unfinished"] = True
    write_json(path, {**record, "figures": figures, "results": results})
    echo(f"{job.name}: done in {seconds:.1f} s")


def _read_outputs(folder):
    """Return what a notebook left: (figures {name: {caption, alt}}, results dict, headline)."""
    figures, results, headline = (folder / name for name in OUTPUTS)
    text = headline.read_text(encoding="utf-8").strip() if headline.is_file() else ""
    return *(read_json(path) if path.is_file() else {} for path in (figures, results)), text


def _read_notices(executed):
    """Return the lines that the package said on stderr in an executed notebook (files.say)."""
    cells = nbformat.read(executed, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    said = [output["text"] for output in outputs if output.get("name") == "stderr"]
    return [line for text in said for line in text.splitlines() if line.startswith("mer: ")]


def _escape(path):
    # papermill fills in what stands in braces
    return str(path).replace("{", "{{").replace("}", "}}")


def publish(job, out, kind="png"):
    """Copy a notebook's figures to ``out``, leaving alone those that are the same already."""
    for name in (f"{name}.{end}" for name in job.entry["figures"] for end in {"png", kind}):
        target, source = Path(out) / name, job.folder / "figures" / name
        if not target.is_file() or sha256(target) != sha256(source):
            write_bytes(target, source.read_bytes())


def collect(suite, jobs, out, whole):
    """Write figures.json, results.json and RESULTS.md in ``out`` from the records of ``jobs``.

    figures.json leads from every picture that lies in ``out`` to its notebook, parameters, data,
    and kernels; results.json merges the numbers in the notebooks' order. Entries of other
    notebooks stay, if they are of the same data, unless the jobs are the ``whole`` suite. Neither
    file holds a time or a path: equal runs give equal bytes.
    """
    figures, results, datasets = {}, {}, []
    for job in jobs:
        record = job.record()
        inputs, dataset = record["inputs"], record["results"].pop("data", None)
        datasets += [dataset] if dataset else []
        merge(results, record["results"])
        for name, texts in record["figures"].items():
            figures[name] = {
                **texts,
                "notebook": job.source.name,
                "parameters": inputs["parameters"],
                "data": dataset and {key: dataset[key] for key in ("name", "fingerprint")},
                "kernels": inputs["kernels"],
                "sha256": record["outputs"][f"figures/{name}.png"],
            }
    paths = [Path(out) / f"{name}.json" for name in ("figures", "results")]
    old_figures, old_results = (
        {} if whole or not path.is_file() else read_json(path) for path in paths
    )
    if datasets and _same_set(old_results.get("data"), datasets[0]):
        datasets.append(old_results["data"])
        merge(old_results, results)
        results, figures = old_results, old_figures | figures
    # a notebook may look at a few clips of its own; the numbers come from the largest set
    if datasets:
        results.pop("data", None)
        results = {"data": max(datasets, key=lambda dataset: dataset["clips"]), **results}
    names = [name for entry in suite["notebooks"].values() for name in entry["figures"]]
    figures = {name: figures[name] for name in names if name in figures}
    write_json(paths[0], figures)
    write_json(paths[1], results)
    write_text(Path(out) / "RESULTS.md", write_report(results, figures))


def _same_set(old, new):
    """Return whether two notebooks' numbers may stand in one file: both of faces made here, or both
    of one folder.
    """
    keys = ("name", "given") + ("fingerprint",) * new["given"]
    return old is not None and all(old.get(key) == new[key] for key in keys)


def keep_outputs(root=None):
    """Write the outputs of the last course run into notebooks/, as they are committed; return the
    notebooks' names.

    Widgets, time stamps and whatever papermill adds stay behind. Raises MerError unless every
    course notebook is fresh.
    """
    from mer_course.weaving import strip_outputs

    planned = plan_jobs(root or find_root(), "course")
    stale = [job.name for job in planned if find_reasons(job)]
    if stale:
        raise MerError(", ".join(stale), "not fresh in the course profile; `mer run` first")
    for job in planned:
        notebook = nbformat.read(job.source, as_version=4)
        executed = nbformat.read(job.folder / job.source.name, as_version=4)
        done = {cell.id: cell for cell in executed.cells}
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for number, cell in enumerate(code, 1):  # papermill may have run a cell of parameters, too
            cell.execution_count, cell.outputs = number, strip_outputs(done[cell.id].outputs)
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = number
        write_text(job.source, nbformat.writes(notebook) + "\n")
    return [job.name for job in planned]
