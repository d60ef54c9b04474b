"""The runner: executes notebooks in order, skips what is fresh, and keeps for every figure where it
came from.
"""

import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mer_course.weaving import strip_outputs
from mer_tools.plan import find_reasons, look_again, pick_number, pick_profile, plan_jobs
from mer_tools.report import write_report
from mer_utils import MerError
from mer_utils.cache import key_of
from mer_utils.files import read_json, sha256, write_bytes, write_json, write_text
from mer_utils.kernels import PINNED
from mer_utils.study import (
    FORMATS,
    clear_outputs,
    find_place,
    find_root,
    list_outputs,
    merge,
    read_outputs,
    read_suite,
)

import nbformat
import psutil
from filelock import FileLock, Timeout


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
    Everything is checked before anything runs. Raises MerError
    at the first notebook that fails; all made before stays.
    """
    root = Path(root or find_root())
    suite = read_suite(root)
    if kind not in FORMATS:
        raise MerError(f"there is no format {kind!r}; choose from {', '.join(FORMATS)}")
    kinds = dict.fromkeys(("png", kind))
    select = _select(suite, only, start)
    data = data and str(Path(data).resolve())
    if out:
        from mer_utils.dataset import check_outside  # OpenCV: `mer status` starts faster so

        check_outside(out)
    planned = plan_jobs(root, profile, data, overrides, select, jobs)
    out = Path(out).resolve() if out else default_out(root, suite, profile, data, overrides)
    with _one_run(root, profile, data):
        if (kernels := planned[0].inputs["kernels"]) != PINNED:
            made = f"last digits differ from those of {PINNED}, which made the committed figures"
            echo(f"kernels here: {kernels}; {made}")
        reasons = {job.number: ["--force"] if force else find_reasons(job) for job in planned}
        stale = [job for job in planned if reasons[job.number]]
        done = {job.number: job.record() for job in planned if not reasons[job.number]}
        for job in planned:
            if job.number in done:
                echo(f"{job.name}: fresh")
                publish(job, done[job.number], out, kinds)
        if stale:
            echo(f"{len(stale)} of {len(planned)} notebooks to run{_estimate(stale)}")
        else:
            _collect_done(suite, planned, done, out, select)
        for job, record in _execute_all(suite, stale, root, reasons, echo):
            done[job.number] = record
            publish(job, record, out, kinds)
            _collect_done(suite, planned, done, out, select)
    echo(f"figures, figures.json, results.json and RESULTS.md: {out}")
    return [_make_row(job, done[job.number], not reasons[job.number]) for job in planned]


def _make_row(job, record, fresh):
    """Return what the table at the end says of a notebook."""
    row = {"notebook": job.name, "seconds": record["seconds"], "figures": len(job.figures)}
    return {**row, "fresh": fresh, "headline": record["headline"]}


def _collect_done(suite, planned, done, out, select):
    made = [job for job in planned if job.number in done]
    collect(suite, made, out, whole=select is None and len(made) == len(planned))


def _execute_all(suite, jobs, root, reasons, echo):
    """Execute notebooks and yield (Job, record) as they end: one at a time in their order, and
    beside it, on one worker, one of those that profiles.yml calls light, when those it comes
    ``after`` are done. What goes wrong with one ends the other at once.
    """
    entries, waiting, running = suite["notebooks"], list(jobs), {}
    alone = all(job.parameters.get("jobs") == 1 for job in jobs)  # as the user wants it
    before = set(psutil.Process().children())

    def lane(job):
        return bool(entries[job.number].get("light")) and not alone

    beside = len({lane(job) for job in jobs}) == 2
    with ThreadPoolExecutor(2) as pool:
        try:
            while waiting or running:
                left = {job.number for job in [*waiting, *running.values()]}
                for job in list(waiting):
                    busy = {lane(other) for other in running.values()}
                    if lane(job) in busy or left & set(entries[job.number].get("after", [])):
                        continue
                    echo(f"{job.name}: {reasons[job.number][0]}")
                    waiting.remove(job)
                    fresh = look_again(job)
                    if beside and lane(job) and "jobs" in job.parameters:
                        fresh = replace(fresh, changed=job.changed | {"jobs": 1})
                    running[pool.submit(_execute, fresh, root, echo)] = job
                for ended in wait(running, return_when=FIRST_COMPLETED).done:
                    job, record = running.pop(ended), ended.result()
                    echo(f"{job.name}: done in {record['seconds']:.1f} s")
                    yield job, record
        except BaseException:
            left = set(running)
            while left:  # a kernel may only now be starting
                _kill_children(before)
                left = wait(left, timeout=0.2).not_done
            raise


def _kill_children(spared):
    """End this process's children (kernels) and all of theirs (workers), but not ``spared``."""
    for child in set(psutil.Process().children()) - spared:
        with suppress(psutil.NoSuchProcess):
            for process in [*child.children(recursive=True), child]:
                process.kill()


def default_out(root, suite, profile, data, overrides=()):
    """Return where figures go: the profile's ``out`` (committed), but pictures of given data or of
    changed parameters stay in artifacts/.
    """
    committed, place = pick_profile(suite, profile).get("out"), find_place(root, profile, data)
    if overrides:
        return place / f"figures-{key_of(sorted(overrides))[:8]}"
    return Path(root) / committed if committed and not data else place / "figures"


def read_status(profile="course", data="", root=None):
    """Yield (notebook, reasons) for each notebook of a profile; no reasons means fresh."""
    root = Path(root or find_root())
    suite, data = read_suite(root), data and str(Path(data).resolve())
    out = default_out(root, suite, profile, data)
    for job in plan_jobs(root, profile, data):
        yield job.name, find_reasons(job, out)


def _select(suite, only, start):
    if not only and not start:
        return None
    wanted = {pick_number(suite, text) for text in only} or set(suite["notebooks"])
    first = pick_number(suite, start) if start else ""
    chosen = [number for number in suite["notebooks"] if number in wanted and number >= first]
    if not chosen:
        raise MerError(
            f"--only and --from leave no notebook to run: {start} comes after "
            f"{', '.join(sorted(wanted))}"
        )
    return chosen


def _one_run(root, profile, data):
    """Take the lock of a profile on a dataset, which the system frees when its holder ends in
    whatever way.
    """
    place = find_place(root, profile, data)
    path = place.with_name(f".{place.name}.lock")
    try:
        path.parent.mkdir(exist_ok=True)
        return FileLock(path).acquire(timeout=0)
    except Timeout:
        raise MerError(
            f"another run of the profile {profile} is at work in {root}; wait for it or stop it"
        ) from None
    except OSError as error:
        raise MerError(
            path, f"cannot be written ({error.strerror}); choose a checkout you may write to"
        ) from None


def _estimate(jobs):
    """Return the time left as text, from the seconds of earlier runs (their mean where there was
    none).
    """
    known = [seconds for seconds in (job.record().get("seconds") for job in jobs) if seconds]
    if not known:
        return ""
    left = sum(known) / len(known) * len(jobs)
    return f" (about {left:.0f} s left)" if left < 90 else f" (about {left / 60:.0f} min left)"


def _execute(job, root, echo):
    """Execute one notebook by papermill into its folder and return its new record (run.json)."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    executed = job.folder / job.source.name
    path = job.folder / "run.json"
    # figures and numbers of the last good run stay in the record until this run has better ones
    write_json(path, {**job.record(), "unfinished": True})
    clear_outputs(job.folder)
    where = f"the executed notebook lies in {executed.relative_to(root)}"
    began = time.perf_counter()
    try:
        papermill.execute_notebook(
            _escape(job.source),
            _escape(executed),
            job.changed,
            kernel_name="python3",
            cwd=job.source.parent,
            progress_bar=False,
            extra_arguments=["--log-level=CRITICAL"],  # what fails comes as an exception
        )
    except papermill.PapermillExecutionError as error:
        message = " ".join(str(error.evalue).split())
        raise MerError(
            f"{job.name} failed in cell [{error.exec_count}]: {error.ename}: {message}; {where}"
        ) from None
    except OSError as error:
        raise MerError(
            executed, f"cannot be written ({error.strerror or error}); what was made before stays"
        ) from None
    except DeadKernelError:
        raise MerError(
            f"{job.name} failed: its kernel died, perhaps for want of memory (try --jobs 1); "
            f"{where}"
        ) from None
    seconds = round(time.perf_counter() - began, 1)
    for line in _read_notices(executed):
        echo(f"{job.name}: {line}")
    figures, results, headline = read_outputs(job.folder)
    missing = [name for name in job.figures if name not in figures]
    if missing:
        raise MerError(
            f"{job.name} ran, but did not make {', '.join(missing)} listed in "
            f"notebooks/profiles.yml; {where}"
        )
    outputs = {
        path.relative_to(job.folder).as_posix(): sha256(path) for path in list_outputs(job.folder)
    }
    record = {"inputs": job.inputs, "outputs": outputs, "seconds": seconds, "headline": headline}
    if look_again(job).inputs != job.inputs:
        echo(f"{job.name}: its code was edited while it ran: it will run again")
        record["unfinished"] = True
    write_json(path, {**record, "figures": figures, "results": results})
    return read_json(path)


def _read_notices(executed):
    """Return the lines that the package said on stderr in an executed notebook (see
    ``files.say``).
    """
    outputs = [
        output
        for cell in nbformat.read(executed, as_version=4).cells
        for output in cell.get("outputs", [])
    ]
    lines = [
        line
        for output in outputs
        if output.get("name") == "stderr"
        for line in output["text"].splitlines()
    ]
    return [line for line in lines if line.startswith("mer: ")]


def _escape(path):
    # papermill fills in what stands in braces
    return str(path).replace("{", "{{").replace("}", "}}")


def publish(job, record, out, kinds=("png",)):
    """Copy a notebook's figures to ``out``, leaving alone those that are the same already."""
    for name in (f"{name}.{kind}" for name in job.figures for kind in kinds):
        target, digest = Path(out) / name, record["outputs"][f"figures/{name}"]
        if not target.is_file() or sha256(target) != digest:
            write_bytes(target, (job.folder / "figures" / name).read_bytes())


def collect(suite, jobs, out, whole):
    """Write figures.json, results.json and RESULTS.md in ``out`` from the records of ``jobs``.

    figures.json leads from every picture that lies in ``out`` to its notebook, parameters, data,
    and kernels; results.json merges the numbers in the notebooks' order. Entries of other
    notebooks stay, if they are of the same data, unless the jobs are the ``whole`` suite. Neither
    file holds a time or a path: equal runs give equal bytes.
    """
    paths = [Path(out) / f"{name}.json" for name in ("figures", "results")]
    figures, results, datasets = {}, {}, []
    for job in jobs:
        record = job.record()
        inputs, dataset = record["inputs"], record["results"].pop("data", None)
        source = {key: dataset[key] for key in ("name", "fingerprint")} if dataset else None
        datasets += [dataset] if dataset else []
        merge(results, record["results"])
        for name, texts in record["figures"].items():
            origin = {
                "notebook": job.source.name,
                "parameters": inputs["parameters"],
                "data": source,
            }
            figures[name] = {
                **texts,
                **origin,
                "kernels": inputs["kernels"],
                "sha256": record["outputs"][f"figures/{name}.png"],
            }
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
    root = Path(root or find_root())
    planned = plan_jobs(root, "course")
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
