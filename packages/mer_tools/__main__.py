"""The command `mer`: run the notebooks, see what is stale, make synthetic faces; datasets adds what
concerns data.
"""

import errno
import logging
import os
import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from mer_tools import commands as datasets
from mer_utils import MerError
from mer_utils.jobs import DASK, check_cluster

import psutil
import typer

# what a disk may refuse: no fault of the program
REFUSED = "EACCES EDQUOT EIO EISDIR ELOOP EMFILE ENAMETOOLONG ENOSPC ENOTDIR EPERM EROFS"
DISK = {getattr(errno, name, None) for name in REFUSED.split()}
commands = typer.Typer(
    help="Dual-view optical flow for 4D micro-expression recognition: runs the notebooks and "
    "what surrounds them.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Profile = Annotated[
    str,
    typer.Option(
        help="course (small, minutes), full (the README's figures) or paper (full on a set of "
        "your own)."
    ),
]
Data = Annotated[
    str, typer.Option(metavar="DIR", help="A dataset folder instead of synthetic faces.")
]
Jobs = Annotated[
    int, typer.Option(min=0, help="Worker processes; 0 is one per core. Changes no number.")
]


# each command imports what it needs: notebooks, networks and figures take seconds to load
@commands.callback(invoke_without_command=True)
def guide(context: typer.Context):
    """Say what to do next, where no command was given."""
    if context.invoked_subcommand is None:
        from mer_tools.guide import list_next

        typer.echo("\n".join(list_next()))


@commands.command()
def run(
    profile: Profile = "course",
    data: Data = "",
    only: Annotated[
        list[str], typer.Option(metavar="NN", help="Run this notebook alone (may be repeated).")
    ] = (),
    start: Annotated[
        str, typer.Option("--from", metavar="NN", help="Start at this notebook.")
    ] = "",
    jobs: Jobs = 0,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where figures and numbers go.")] = "",
    overrides: Annotated[
        list[str],
        typer.Option(
            "-p", metavar="NN.NAME=VALUE", help="Set a parameter, as in 07.seeds=3 or all.seed=1."
        ),
    ] = (),
    force: Annotated[
        bool, typer.Option("--force", help="Run notebooks that are fresh, too.")
    ] = False,
    kind: Annotated[
        str, typer.Option("--format", help="pdf or svg: such figures, too, beside the PNGs.")
    ] = "png",
    dask: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="A Dask scheduler whose workers compute (tcp://host:8786)."
        ),
    ] = "",
):
    """Run the notebooks of a profile in order; those that are fresh are skipped."""
    from mer_tools.runner import run_suite

    if dask:
        check_cluster(dask)
        os.environ[DASK] = dask  # notebooks inherit it
    # what fails is said in one sentence; libraries would add pages to a Ctrl-C
    logging.disable(logging.CRITICAL)
    try:
        words = (profile, data, only, start, jobs, out, overrides, typer.echo, force)
        _print_table(run_suite(*words, kind=kind))
    except KeyboardInterrupt:
        typer.echo("mer: stopped; the notebooks that were finished stay", err=True)
        raise typer.Exit(130) from None


@commands.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def worker(
    context: typer.Context,
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The scheduler's address (tcp://host:8786).")
    ],
):
    """Start a Dask worker that computes the same bits as `mer run`: one thread, the suite's
    kernels. Further options go to `dask worker`.
    """
    words = ["-m", "distributed.cli.dask_worker", address, "--nthreads", "1", *context.args]
    # this process has set what the new one inherits
    os.execv(sys.executable, [sys.executable, *words])


@commands.command()
def status(profile: Profile = "course", data: Data = ""):
    """Say of each notebook whether its outputs are fresh, and if not, what changed."""
    from mer_tools.runner import read_status

    for name, reasons in read_status(profile, data):
        if reasons in (["never run"], []):
            typer.echo(f"{name:22} {reasons[0] if reasons else 'fresh'}")
        else:
            typer.echo(f"{name:22} stale: {'; '.join(reasons)}")


@commands.command()
def keep():
    """Write the outputs of the last course run into notebooks/, and run the solutions for theirs
    (for those who edit and commit them).
    """
    from mer_course.weaving import keep_solutions
    from mer_tools.runner import keep_outputs

    for name in (*keep_outputs(), *keep_solutions()):
        typer.echo(f"{name}: outputs kept")


@commands.command()
def exercises():
    """Copy the exercises of notebooks/solutions into the notebooks, without the solutions."""
    from mer_course.weaving import weave_exercises

    for name in weave_exercises():
        typer.echo(f"{name}: exercises copied")


@commands.command()
def book(
    out: Annotated[
        str, typer.Option(metavar="DIR", help="A new folder, or an older book; artifacts/book.")
    ] = "",
):
    """Write a web site of the notebooks and docs that opens from disk, without a network."""
    from mer_tools.book import write_book

    typer.echo(f"open {write_book(out)} in a browser")


@commands.command()
def synth(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    subjects: Annotated[int, typer.Option(min=1, max=100_000)] = 24,
    clips: Annotated[int, typer.Option(min=1, max=100_000)] = 267,
    seed: int = 0,
    preset: Annotated[
        str, typer.Option(help="bench-v1, or bench-v2, which is harder.")
    ] = "bench-v1",
    size: Annotated[int, typer.Option(help="Height of one view in px.")] = 224,
    meshes: Annotated[
        bool, typer.Option("--meshes", help="Write each frame's textured OBJ, too.")
    ] = False,
    jobs: Jobs = 0,
):
    """Make a dataset of synthetic 4D faces."""
    from faces4d.generate import write_synthetic
    from mer_tools.runner import count_workers

    write_synthetic(folder, subjects, clips, seed, preset, size, meshes, count_workers(jobs))
    typer.echo(
        f"{folder}: {clips} clips of {subjects} subjects; use it with `mer run --data {folder}`"
    )


commands.add_typer(datasets.imports, name="import")
for command in (datasets.doctor, datasets.boxes, datasets.predict, datasets.demo, datasets.submit):
    commands.command()(command)


def _print_table(rows):
    width = max(len(row["headline"]) for row in rows)
    typer.echo(f"\n{'notebook':22} {'seconds':>8} {'figures':>8}  headline")
    for row in rows:
        seconds = "fresh" if row["fresh"] else f"{row['seconds']:.1f}"
        typer.echo(
            f"{row['notebook']:22} {seconds:>8} {row['figures']:>8}  "
            f"{row['headline']:{width}}".rstrip()
        )


def app():
    """Run the command line: bad input is one sentence on stderr and exit code 1, Ctrl-C exit code
    130, a signal to end 128 and its number; of what nobody foresaw a trace is kept, exit code 70.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a file's name need not be text
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _stop)
    try:
        commands()
    except MerError as error:
        print(f"mer: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        known = error.errno in DISK and error.filename is not None
        print(f"mer: {_describe(error)}" + ("" if known else _log(error)), file=sys.stderr)
        sys.exit(1 if known else 70)
    except Exception as error:
        print(f"mer: {_describe(error)}{_log(error)}", file=sys.stderr)
        sys.exit(70)


def _stop(number, frame):
    """End with all that was started; folders in the making are removed on the way out."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # gone already; the tracker tidies up behind the others
            if not any("resource_tracker" in word for word in child.cmdline()):
                child.kill()
    sys.exit(128 + number)


def _describe(error):
    """Return in a sentence what nobody foresaw."""
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return f"{', '.join(names) or 'a file'}: {error.strerror}"
    said = " ".join(str(error).split())[:300]
    return f"an error that nobody foresaw ({type(error).__name__}: {said})"


def _log(error):
    """Write an error's trace into a new file; return where it is, as the end of a sentence."""
    text = "".join(traceback.format_exception(error))
    try:
        handle, name = tempfile.mkstemp(prefix="mer-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{' '.join(sys.argv)}\n{text}")
    except OSError:
        return "; no trace can be written"
    return f"; the trace is in {name}"


if __name__ == "__main__":
    app()
