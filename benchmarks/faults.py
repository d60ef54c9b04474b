"""What is lost when a run is killed, a disk fills, two runs meet or a Dask worker dies: each step
is disturbed at random moments, run again, and its results compared byte by byte with those of an
undisturbed run.

    python benchmarks/faults.py WORK [--kills 25] [--clips 10000] [--seed 0] [--only STEP ...]

Works in the new folder WORK, prints a table and writes benchmarks/faults.json. "Lost": a file that
was whole when the fault came and is not there, or has other bytes, once the step has been run
again; "changed": a result with other bytes than the undisturbed run's; "left": a file or folder in
the making that nobody removed. About half an hour on two cores. Exit code 1 unless all are 0.
"""

import argparse
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from data import FEATURES, MER  # beside this script
from faces4d.generate import write_synthetic
from mer_tools.importing.tables import write_table
from mer_utils import LABELS, MerError
from mer_utils.dataset import encode_png, open_dataset
from mer_utils.files import read_json, sha256, write_json

import numpy as np
import pandas as pd
import psutil

ROOT = Path(__file__).parents[1]
STEPS = ("import", "features", "folds", "dask", "figure", "clips")
RESULTS = "features/*/*.safetensors"  # of FEATURES
FOLDS = """
import sys
from pathlib import Path
from mer_utils.dataset import open_dataset
from mer_utils.evaluation import run_loso
from mer_utils.training import Recipe
from mer_utils.features import FrontEnd, extract
features = extract(open_dataset(sys.argv[1]), FrontEnd(crop=64), Path(sys.argv[2]), 2)
run_loso(features, Recipe(epochs=12, patience=12, inner=2), Path(sys.argv[3]), 2)
"""


@dataclass(frozen=True)
class Step:
    """One step: its command (of Python) for an output folder, in which it runs, the results in it,
    and what it needs there beforehand.
    """

    name: str
    words: object  # out -> words
    results: str  # glob of the results in the output folder
    prepare: object = lambda out: None  # out -> None


def start(step, out, **options):
    words = [sys.executable, *map(str, step.words(out))]
    said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(words, cwd=out, start_new_session=True, **said, **options)


def finish(step, out):
    """Run the step to its end."""
    process = start(step, out)
    said = process.communicate()[0].decode()
    if process.returncode:
        raise MerError(step.name, f"ended with {process.returncode} when run again: {said[-600:]}")


def run_again(step, out, wanted):
    """Return the results that a disturbed run left, and run the step again where some are missing:
    an import that is whole would refuse to begin again.
    """
    before = read_results(step, out)
    if before != wanted:
        finish(step, out)
    return before


def read_results(step, out):
    """Return {path: digest} of the results that are in their place: nothing hidden, which is in the
    making.
    """
    return {
        path.relative_to(out).as_posix(): sha256(path)
        for path in sorted(out.glob(step.results))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(out).parts)
    }


def find_left(out):
    """Return hidden files that a run left in the making; locks stay by intention."""
    return [path for path in out.rglob(".*") if not path.name.endswith(".lock")]


def end(process):
    """Kill a process and all of its children at once."""
    with suppress(psutil.NoSuchProcess):  # it was faster
        tree = psutil.Process(process.pid)
        for one in [*tree.children(recursive=True), tree]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
    process.communicate()


def compare(step, out, before, wanted):
    """Return how many results are lost, changed and left behind."""
    after = read_results(step, out)
    lost = sum(after.get(name) != digest for name, digest in before.items() if name in wanted)
    changed = sum(after.get(name) != digest for name, digest in wanted.items())
    return {"lost": lost, "changed": changed, "left": len(find_left(out))}


def kill_once(step, out, seconds, wanted, rng):
    """Kill the step after a random part of its time, run it again."""
    process, moment = start(step, out), rng.uniform(0.02, 1) * seconds
    deadline = time.perf_counter() + moment
    while process.poll() is None and time.perf_counter() < deadline:
        time.sleep(0.005)
    end(process)
    before = run_again(step, out, wanted)
    return compare(step, out, before, wanted)


def fill_once(step, out, seconds, wanted, rng):
    """Let no file grow beyond a random size, as on a full disk; then run again with room."""
    largest = max((out.parent / "whole" / name).stat().st_size for name in wanted)
    size = int(largest ** rng.uniform(0.3, 1))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error, not the end
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    process = start(step, out, preexec_fn=limit)
    said = process.communicate()[0].decode()
    before = run_again(step, out, wanted)
    silent = process.returncode == 0 and before != wanted
    found = compare(step, out, before, wanted)
    told = "Traceback" not in said or "mer_utils.MerError" in said
    return found | {"silent": int(silent), "untold": int(not told)}


def meet_once(step, out, seconds, wanted, rng):
    """Run the step twice at once: what one makes the other may refuse to make, in a sentence."""
    first = start(step, out)
    time.sleep(rng.uniform(0, 0.5) * seconds)
    second = start(step, out)
    said = [process.communicate()[0].decode() for process in (first, second)]
    codes = [first.returncode, second.returncode]
    before = read_results(step, out)
    found = compare(step, out, before, wanted)
    failed = int(0 not in codes or any("Traceback" in text for text in said))
    return found | {"failed": failed}


def lose_worker(step, out, seconds, wanted, rng):
    """Run the step on a Dask cluster of two workers, one of which is killed on the way."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, quiet = f"tcp://127.0.0.1:{port}", {"stdout": subprocess.DEVNULL}
    quiet |= {"stderr": subprocess.DEVNULL, "cwd": out.parent, "start_new_session": True}
    scheduler = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard",
                 "--port", str(port))  # fmt: skip
    hand = ("mer_tools", "worker", address, "--no-nanny", "--no-dashboard")
    cluster = [subprocess.Popen([sys.executable, "-m", *words], **quiet)
               for words in (scheduler, hand, hand)]  # fmt: skip
    try:
        time.sleep(8)  # they have to find one another
        process = start(step, out, env=os.environ | {"MER_DASK": address})
        time.sleep(rng.uniform(0.3, 1.2) * seconds)
        end(cluster[1])
        said = process.communicate()[0].decode()
        failed = int(process.returncode != 0)
        if failed:
            print(said[-500:], flush=True)
        return compare(step, out, {}, wanted) | {"failed": failed}
    finally:
        for process in cluster:
            if process.poll() is None:
                end(process)


def disturb(step, work, fault, count, rng):
    """Return the sums over ``count`` disturbed runs of a step."""
    place, totals = work / step.name, Counter()
    for whole in (place / "whole", place / "clock"):  # undisturbed; the second has warm caches
        shutil.rmtree(whole, ignore_errors=True)
        clock = time.perf_counter()
        whole.mkdir(parents=True)
        step.prepare(whole)
        finish(step, whole)
        seconds = time.perf_counter() - clock
    wanted = read_results(step, whole)
    same = read_results(step, place / "whole") == wanted != {}
    assert same, f"{step.name}: two undisturbed runs differ, or have no results"
    for _ in range(count):
        out = place / "out"
        out.mkdir(parents=True)
        step.prepare(out)
        totals.update(fault(step, out, seconds, wanted, rng))
        shutil.rmtree(out)
    return {"runs": count, "results": len(wanted), **totals}


def list_steps(work):
    """Make a small set in WORK and return the steps that work on it."""
    data = work / "set"
    write_synthetic(data, 4, 16, seed=3, size=96, jobs=2)
    source = work / "source"
    for n, clip in enumerate(open_dataset(data).clips):
        shutil.copytree(clip.folder, source / f"seq{n}")
    cache = work / "features"
    subprocess.run([sys.executable, "-c", FEATURES, data, cache, "2"], check=True)

    def check_out(out):
        shutil.copytree(ROOT / "notebooks", out / "notebooks")
        shutil.copy(ROOT / "requirements.lock", out)
        shutil.copytree(ROOT / "benchmarks", out / "benchmarks")
        shutil.copytree(data, out / "data" / "small")

    figure = ("run", "--only", "01", "--data", "data/small", "--jobs", "2")
    return [
        Step("import", lambda out: (*MER, "import", "4dme-challenge", source, out / "new",
                                    "--copy"), "new/**/*"),
        Step("features", lambda out: ("-c", FEATURES, data, out, 2), RESULTS),
        Step("folds", lambda out: ("-c", FOLDS, data, cache, out), "folds/*.safetensors"),
        Step("figure", lambda out: (*MER, *figure), "artifacts/course-*/figures/*.png", check_out),
    ]  # fmt: skip


def write_many(work, count):
    """Write a set of ``count`` small clips and return the step that extracts its features."""
    data, rng = work / "many", np.random.default_rng(0)
    frames = rng.integers(0, 255, (8, 3, 48, 96), np.uint8)
    rows = []
    for n in range(count):
        folder = data / "clips" / f"c{n}"
        folder.mkdir(parents=True)
        for t in range(3):
            picture = np.roll(frames[n % 8, t], n // 8, 1)
            (folder / f"{t}.png").write_bytes(encode_png(picture))
        labels = {label.lower(): int(label == LABELS[n % 5]) for label in LABELS}
        rows.append({"clip": f"c{n}", "subject": f"S{n % 50}"} | labels)
    write_table(data / "manifest.csv", rows)
    about = {"name": "many", "views": 2, "labels": list(LABELS), "exclusive": False}
    write_json(data / "dataset.json", about | {"synthetic": False})
    return Step("many", lambda out: ("-c", FEATURES, data, out, 2), RESULTS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=25, help="of each of four steps")
    parser.add_argument("--clips", type=int, default=10_000, help="of a large set; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", nargs="+", default=STEPS, choices=STEPS, help="what else faults.json says stays"
    )
    args = parser.parse_args()
    if args.work.exists():
        raise MerError(args.work, "is there already; name a new folder")
    args.work.mkdir(parents=True)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))
    work, rng = args.work.resolve(), np.random.default_rng(args.seed)
    faults = {"kill -9": (kill_once, args.kills), "full disk": (fill_once, args.kills // 2),
              "two at once": (meet_once, max(1, args.kills // 5))}  # fmt: skip
    jobs = []
    for step in list_steps(work):
        for name, (fault, count) in faults.items() if step.name in args.only else ():
            jobs.append((f"{name}, {step.name}", step, fault, count))
        if step.name == "folds" and "dask" in args.only:
            count = max(1, args.kills // 8)
            jobs.append(("a Dask worker killed, folds", step, lose_worker, count))
    if args.clips and "clips" in args.only:
        title = f"kill -9, features of {args.clips:,} clips"
        jobs.append((title, write_many(work, args.clips), kill_once, 1))
    path = Path(__file__).with_suffix(".json")
    table = read_json(path)["faults"] if len(args.only) < len(STEPS) else {}
    for title, step, fault, count in jobs:
        table[title] = disturb(step, work, fault, count, rng)
        print(f"{title:36}", table[title], flush=True)
    write_json(path, {"seed": args.seed, "faults": table})
    rows = pd.DataFrame(table.values()).drop(columns="results").sum()
    bad = int(rows.drop("runs").sum())
    print(f"lost, changed, left behind or silent in {rows['runs']:.0f} disturbed runs: {bad}")
    raise SystemExit(int(bad > 0))


if __name__ == "__main__":
    try:
        main()
    except MerError as error:
        raise SystemExit(f"faults: {error}") from None
