"""The commands of `mer`. Each turns its options into one call and prints the result; what it needs
is imported inside, because notebooks, networks and figures take seconds to load.
"""

import json
import logging
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

from mer_tools.importing.presets import PRESETS
from mer_utils import MerError
from mer_utils.files import write_bytes, write_json
from mer_utils.study import draw_bytes, find_root

import typer
from typer import Argument, Option, echo

NEXT = """
Next: `jupyter lab notebooks/00_start_here.ipynb` opens the course, `mer run` runs it (minutes);
`mer run --profile full` makes every figure and number of the README; `mer demo CLIP` plays a clip
of your own, `mer predict CLIP` asks the trained networks about it, `mer import` brings your data.
`mer --help` lists all commands, `mer COMMAND --help` the options of one."""

mer = typer.Typer(
    help="Dual-view optical flow for 4D micro-expression recognition.",
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
imports = typer.Typer()
mer.add_typer(imports, name="import")
course = typer.Typer(help="The course for a class.")
mer.add_typer(course, name="course")


def _read_pairs(text):
    """Read "a=b,c=d" as a dict."""
    pairs = [part.partition("=") for part in text.split(",")]
    for left, _, right in pairs:
        if not (left.strip() and right.strip()):
            raise typer.BadParameter(f"{left}: must look like a=b,c=d")
    return {left.strip(): right.strip() for left, _, right in pairs}


Profile = Annotated[str, Option(help="course, full (the README's figures) or paper (your data).")]
Set = Annotated[str, Option(metavar="DIR", help="A dataset folder instead of synthetic faces.")]
MOST = max(64, os.cpu_count() or 1)  # processes
Jobs = Annotated[int, Option(min=0, max=MOST, help="0: one per core. Changes no number.")]
Out = Annotated[str, Option(metavar="DIR", help="Where the results go.")]
Source = Annotated[Path, Argument(metavar="SOURCE", help="Your folder; no file in it is changed.")]
Target = Annotated[Path, Argument(metavar="DATA", help="A new folder; for frames SOURCE, too.")]
Data = Annotated[Path, Argument(metavar="DATA", help="A dataset folder, as `mer import` makes it.")]
Labels = Annotated[Path | None, Option(metavar="FILE", help="Table of labels (CSV or XLSX).")]
Copy = Annotated[bool, Option("--copy", help="Copy the frames into DATA, so that it can be moved.")]
CLASSES = "`au`, a published table (`three`, `five_samm` ...), or a file of label,class."
Classes = Annotated[str | None, Option(metavar="TABLE", help=CLASSES)]
Pairs = Annotated[dict | None, Option(parser=_read_pairs, help="As in subject=Subject,label=Joy.")]
Home = Annotated[Path, Option(metavar="DIR", help="The set's own folder.")]
Centred = Annotated[bool, Option("--centred/--as-stored", help="Take their median from u and v.")]
Figures = Annotated[bool, Option("--figures", help="Then run all notebooks on the new dataset.")]
Yaw = Annotated[float, Option(help="Meshes are filmed from so many degrees left and right.")]
Size = Annotated[int, Option(help="Height of a view in px.")]
Fov = Annotated[float, Option(help="Vertical field of view of the mesh cameras in degrees.")]
Weights = Annotated[Path | None, Option(metavar="FILE", help="Default: what notebook 05 kept.")]
Clip = Annotated[Path, Argument(metavar="CLIP", help="A folder of frames or meshes, or a film.")]
Onset = Annotated[int, Option(help="Frame where the expression starts, counted from 0.")]
Offset = Annotated[int | None, Option(help="Frame where it ends. Default: the last.")]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace what is there.")]
FaceModel = Annotated[Path | None, Option(metavar="FILE", help="YuNet's model (.onnx).")]


@mer.callback(invoke_without_command=True)
def start(context: typer.Context):
    """Say what has run and what to do next, where no command was given."""
    if context.invoked_subcommand is None:
        status()
        echo(NEXT)


@mer.command()
def run(
    profile: Profile = "course", data: Set = "", jobs: Jobs = 0, out: Out = "",
    only: Annotated[list[str], Option(metavar="NN", help="Run this notebook (repeatable).")] = (),
    overrides: Annotated[list[str], Option("-p", help="As in 07.seeds=3 or all.seed=1.")] = (),
    dask: Annotated[str, Option(help="A Dask scheduler, as in tcp://host:8786.")] = "",
):  # fmt: skip
    """Run the notebooks of a profile, two at a time; those that are fresh are skipped."""
    if dask:
        from mer_utils.jobs import DASK, check_cluster

        check_cluster(dask)
        os.environ[DASK] = dask  # notebooks inherit it
    _run_notebooks(profile, data, out, only=only, jobs=jobs, overrides=overrides)


def _run_notebooks(*options, **named):
    """Run notebooks and print the table of what they found."""
    from mer_tools.runner import run_suite

    # what fails is said in one sentence; libraries would add pages to a Ctrl-C
    logging.disable(logging.CRITICAL)
    try:
        rows = run_suite(*options, echo=echo, **named)
    except KeyboardInterrupt:
        echo("mer: stopped; the notebooks that were finished stay", err=True)
        raise typer.Exit(130) from None
    echo(f"\n{'notebook':22} {'seconds':>8} {'figures':>8}  headline")
    for row in rows:
        seconds = "fresh" if row["fresh"] else f"{row['seconds']:.1f}"
        numbers = f"{row['notebook']:22} {seconds:>8} {len(row['figures']):>8}"
        echo(f"{numbers}  {row['headline']}".rstrip())


@mer.command()
def status(profile: Profile = "course", data: Set = ""):
    """Say of each notebook whether its outputs are fresh, and if not, what changed."""
    from mer_tools.runner import read_status

    for name, reasons in read_status(profile, data):
        words = "; ".join(reasons) or "fresh"
        echo(f"{name:22} {words}")


@mer.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def worker(context: typer.Context, address: str):
    """Start a Dask worker that computes the same bits; more options go to `dask worker`."""
    dask = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
    os.execv(sys.executable, [*dask, *context.args])  # it inherits the kernels


@mer.command()
def keep():
    """Run the notebooks and store their outputs in them (for those who edit them)."""
    from mer_course.weaving import keep_outputs

    for name in keep_outputs():
        echo(f"{name}: outputs kept")


@mer.command()
def exercises():
    """Copy the exercises of notebooks/solutions into the notebooks."""
    from mer_course.weaving import weave_exercises

    for name in weave_exercises():
        echo(f"{name}: exercises copied")
    echo("all exercises are up to date")


@course.command()
def student(
    out: Annotated[Path, Argument(metavar="OUT", help="A new folder inside the repository.")],
    nbgrader: Annotated[bool, Option("--nbgrader", help="As nbgrader reads them.")] = False,
):  # fmt: skip
    """Write the notebooks for a class: no outputs, no answers, no solutions."""
    from mer_course.student import write_student

    write_student(out, graded=nbgrader)
    echo(f"{out}: {'nbgrader generate_assignment does the rest' if nbgrader else 'notebooks'}")


@imports.command("4dme-challenge")
def import_challenge(
    source: Source, data: Target, labels: Labels = None, copy: Copy = False,
    classes: Classes = None, figures: Figures = False,
):  # fmt: skip
    """Folders seq<N> of side-by-side frames; labels Id, five emotions (and Subject)."""
    from mer_tools.importing.folders import import_challenge

    _finish(import_challenge(source, data, labels, copy, classes), data, figures)


@imports.command("4dme-release")
def import_release(
    source: Source, data: Target, copy: Copy = False, classes: Classes = None,
    sheet: Annotated[Path | None, Option(help="The label sheet, if it is not in SOURCE.")] = None,
    faults: Annotated[str | None, Option(help="A table of its mends, or `none`.")] = None,
    figures: Figures = False,
):  # fmt: skip
    """The release's spreadsheet and gray_micro/<sub_ID>/<fold_name>/ (one view)."""
    from mer_tools.importing.release import import_release

    _finish(import_release(source, data, sheet, copy, classes, faults), data, figures)


@imports.command("obj")
def import_obj(
    source: Source, data: Target, labels: Labels = None, yaw: Yaw = 25.0, size: Size = 448,
    fov: Fov = 26.1, jobs: Jobs = 0, figures: Figures = False,
):  # fmt: skip
    """One folder per clip of OBJ or PLY meshes, one per frame: filmed from two sides into DATA."""
    from mer_tools.importing.folders import import_obj

    _finish(import_obj(source, data, labels, size, yaw, fov, jobs), data, figures)


def import_recordings(
    context: typer.Context, source: Source, data: Target,
    table: Annotated[Path | None, Option(metavar="FILE", help="One row per clip.")] = None,
    columns: Pairs = None,
    folder: Annotated[str, Option(help="As in sub{Subject:0>2}/{Filename}.")] = "",
    subject: Annotated[str | None, Option(help="As in {dataset}_{Subject}.")] = None,
    numbers: Annotated[str | None, Option(help="Key frames: `names`, or from 0 or 1.")] = None,
    around: Annotated[int | None, Option(min=0, help="Cut to the range and N frames more.")] = None,
    views: Annotated[int | None, Option(min=1, max=2, help="2: views side by side.")] = None,
    fps: Annotated[float | None, Option(help="Frames a second, if not in the table.")] = None,
    cropped: Annotated[bool | None, Option("--cropped", help="Frames are face crops.")] = None,
    sheet: Annotated[str | None, Option(help="Of an XLSX file, if not its first.")] = None,
    header_row: Annotated[int | None, Option(min=1, help="Row of the table's header.")] = None,
    no_header: Annotated[bool, Option("--no-header", help="Columns are `column 1` ...")] = False,
    only: Annotated[dict | None, Option(parser=_read_pairs, help="Rows, as in Type=micro.")] = None,
    several: Annotated[bool, Option("--several", help="A clip may have several labels.")] = False,
    skip_faulty: Annotated[bool, Option("--skip-faulty", help="Leave out bad rows.")] = False,
    nearest_frame: Annotated[bool, Option("--nearest-frame", help="For lost key frames.")] = False,
    copy: Copy = False, classes: Classes = None, jobs: Jobs = 0, figures: Figures = False,
):  # fmt: skip
    """Frames in folders, or films (mp4, avi): CASME II, SAMM, SMIC, your own."""
    from mer_tools.importing.recordings import import_frames, import_preset

    # what is not said follows from the Layout or the preset
    options = {key: value for key, value in context.params.items() if value is not None}
    options["columns"] = (columns or {}) | ({"subject": subject} if subject else {})
    options |= {"header_row": 0} if no_header else {}
    options |= {"exclusive": False} if several else {}
    for name in ("subject", "no_header", "several", "figures"):
        options.pop(name, None)
    if preset := PRESETS.get(context.info_name):
        return _finish(import_preset(preset, **options), data, figures)
    _finish(import_frames(**options), data, figures)


imports.command("frames")(import_recordings)
for _name, _preset in PRESETS.items():
    imports.command(_name, help=f"{_preset.title}: a preset.")(import_recordings)


@imports.callback(invoke_without_command=True)
def list_imports(
    context: typer.Context,
    known: Annotated[bool, Option("--list", help="List the presets and their layouts.")] = False,
):
    """Turn a foreign layout into a dataset."""
    for name, preset in PRESETS.items() if known else ():
        echo(f"{name:9} {preset.title}: {', '.join(preset.folders)}")
    if context.invoked_subcommand is None and not known:
        echo(context.get_help())


@imports.command("flow-images")
def import_flow_images(
    source: Source, data: Target, labels: Pairs = None,
    pattern: Annotated[str, Option(help="A PNG's path.")] = "{subject}/u_test/{label}/{clip}.png",
    channels: Annotated[str, Option(help="What red, green and blue hold.")] = "u,v,magnitude",
    centred: Centred = True, figures: Figures = False,
):  # fmt: skip
    """Ready-made flow pictures, exclusive labels, no frames: for notebooks 05 to 08."""
    from mer_tools.importing.flow_images import import_flow_images

    names = tuple(name.strip() for name in channels.split(","))
    _finish(import_flow_images(source, data, pattern, names, labels, centred), data, figures)


@imports.command("megc2019")
def import_megc2019(
    data: Target, casme2: Home, samm: Home, smic: Home,
    table: Annotated[Path, Option("--list", metavar="FILE", help="As in samm,006,006_1_2,0.")],
    figures: Figures = False,
):  # fmt: skip
    """Clips of CASME II, SAMM and SMIC together; FILE lists set, subject, clip, class (0, 1, 2)."""
    from mer_tools.importing.megc2019 import import_megc2019

    _finish(import_megc2019(data, casme2, samm, smic, table), data, figures)


def _finish(report, data, figures):
    """Print an import's report; then run the notebooks on the new set, or say what to do next."""
    from mer_utils.dataset import open_dataset

    for sentence in report:
        echo(sentence)
    if figures:
        return _run_notebooks("paper", str(data.resolve()))
    labels = [clip.labels for clip in open_dataset(data).clips]
    if None in labels and any(labels):
        echo("training wants labels on every clip: import the others as a set of their own")
    run = f"mer run --profile paper --data {data}"
    echo(f"next: mer doctor {data}; then {run if any(labels) else f'mer submit {data} OUT.csv'}")


@mer.command()
def doctor(
    data: Data, jobs: Jobs = 0,
    as_json: Annotated[bool, Option("--json", help="Print JSON instead of the table.")] = False,
):  # fmt: skip
    """Read a whole dataset and say what must be mended (exit code 1) and what deserves a look."""
    from mer_tools.doctor import examine

    report = examine(data, jobs)
    echo(json.dumps(report.to_json(), indent=2) if as_json else report.table())
    raise typer.Exit(0 if report.sound else 1)


@mer.command()
def boxes(data: Data, face_model: Annotated[Path, Option(metavar="FILE", help="YuNet's .onnx.")]):
    """Fill the manifest's box column by OpenCV's YuNet, where no plain background is found."""
    from mer_tools.boxes import fill_boxes
    from mer_tools.importing.common import name_some

    ways = fill_boxes(data, face_model)
    for way, count in Counter(ways.values()).items():
        echo(f"{way}: {count} clips")
    if missing := [name for name, way in ways.items() if way == "not found"]:
        echo(f"give a box yourself, or the fallback is taken: {name_some(missing)}")


@mer.command()
def predict(
    source: Clip, onset: Onset = 0, offset: Offset = None, weights: Weights = None,
    box: Annotated[str, Option(metavar="'X0 Y0 X1 Y1; ...'", help="Face in px, by view.")] = "",
    face_model: FaceModel = None, yaw: Yaw = 25.0, size: Size = 448, fov: Fov = 26.1,
    out: Out = "predictions", overwrite: Overwrite = False,
):  # fmt: skip
    """Predict one clip: each label's probability, spread, threshold and answer; picture, JSON."""
    from mer_tools.answers import draw_prediction
    from mer_tools.clips import describe_prediction, name_answers, predict_clip
    from mer_utils.dataset import read_boxes
    from mer_utils.plots import set_style

    picture, text = name_answers(source, out, overwrite)
    ensemble, about = _load_networks(weights)
    given = read_boxes("--box", box, ensemble.shape[0])
    camera = {"size": size, "yaw": yaw, "fov": fov}
    result = predict_clip(source, ensemble, onset, offset, given, face_model, **camera)
    set_style()
    write_bytes(picture, draw_bytes(draw_prediction(result)))
    write_json(text, {"source": str(source.resolve()), **result.to_json()})
    echo("\n".join([about, *describe_prediction(source, result)]))
    echo(f"picture: {picture}; JSON: {text}")


def _load_networks(weights):
    """Return the Ensemble in a file (default: what notebook 05 kept) and a line about it."""
    from mer_tools.answers import find_weights
    from mer_utils.prediction import load_ensemble

    weights = weights or find_weights(find_root())
    ensemble = load_ensemble(weights)
    about = f"{len(ensemble.members)} networks, trained on {ensemble.trained_on}"
    if not ensemble.learnt:
        about += "; the file does not say whom they saw, so they may know the person they judge"
    return ensemble, f"weights: {weights}: {about}"


@mer.command()
def demo(
    source: Clip, onset: Onset = 0, offset: Offset = None, face_model: FaceModel = None,
    views: Annotated[int | None, Option(min=1, max=2, help="2: views side by side.")] = None,
    no_open: Annotated[bool, Option("--no-open", help="Write the notebook, no more.")] = False,
):  # fmt: skip
    """Open a clip player in JupyterLab: frames, motion curve, flow. Needs no trained weights."""
    from mer_tools.clips import describe_clip, read_clip
    from mer_tools.demo import REMEDY, write_demo

    root = find_root()
    # all of the clip is read: what is wrong with it is said here, not in the notebook
    clip = read_clip(source, views, onset, offset, face_model=face_model)
    echo(describe_clip(clip, REMEDY))
    path = write_demo(root, source, onset, offset, views, face_model)
    echo(f"notebook: {path}")
    if not no_open:
        lab = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}", str(path)]
        os.execv(sys.executable, lab)


@mer.command()
def submit(
    data: Data, out: Annotated[Path, Argument(metavar="OUT.csv")], weights: Weights = None,
    exclude: Annotated[bool, Option("--exclude", help="Negative rules out Positive.")] = False,
    overwrite: Overwrite = False, jobs: Jobs = 0,
):  # fmt: skip
    """Answer a dataset's unlabelled clips as the challenge wants it: Id and 0 or 1 per label."""
    from mer_tools.importing.tables import write_table
    from mer_tools.places import check_outside
    from mer_tools.submission import answer_clips
    from mer_utils.dataset import open_dataset

    check_outside(out)
    if out.exists() and not overwrite:
        raise MerError(out, "is there already; choose another name, or say --overwrite")
    ensemble, about = _load_networks(weights)
    dataset = open_dataset(data)
    rows = answer_clips(dataset, ensemble, exclude, jobs=jobs)
    write_table(out, rows)
    counts = ", ".join(f"{label} {sum(row[label] for row in rows)}" for label in ensemble.labels)
    echo(f"{about}\n{out}: {len(rows)} clips answered: {counts}")
    asked = [clip for clip in dataset.clips if clip.labels is None]
    if met := sum(ensemble.leave_out(clip.frames) is not ensemble for clip in asked):
        echo(f"the networks learnt from {met} of them: only those that never saw the person answer")


@mer.command()
def book(
    out: Out = "",
    pdf: Annotated[bool, Option("--pdf", help="Print the notebooks, too; needs Chromium.")] = False,
):
    """Write a web site of the notebooks and docs that opens from disk, without a network."""
    from mer_tools.book import write_book

    echo(f"open {write_book(out, pdf=pdf)} in a browser")
