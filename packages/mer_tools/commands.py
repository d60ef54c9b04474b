"""The commands about data: import it, examine it, find faces in it, and answer clips of it."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

from mer_utils import MerError
from mer_utils.files import read_json, write_bytes, write_json
from mer_utils.study import draw_bytes, find_root

import typer

imports = typer.Typer(
    help="Turn a foreign layout into a dataset: manifest.csv and dataset.json; frames are "
    "referenced, not copied.",
    no_args_is_help=True,
)

Source = Annotated[
    Path,
    typer.Argument(metavar="SOURCE", help="The folder as you have it; no file in it is changed."),
]
Target = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="Where the dataset goes: a new folder; for folders of frames SOURCE itself, too, "
        "which then gets two text files.",
    ),
]
Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA", help="A dataset folder (`mer import` or `mer synth` makes one)."
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Table of labels (CSV or XLSX); none: not labelled."),
]
Copy = Annotated[
    bool, typer.Option("--copy", help="Copy the frames into DATA, so that it can be moved.")
]
Classes = Annotated[
    str,
    typer.Option(
        metavar="TABLE",
        help="Regroup labels to exclusive classes: `three`, or a table label,class.",
    ),
]
Figures = Annotated[
    bool, typer.Option("--figures", help="Then run all notebooks on it (mer run --profile paper).")
]
Jobs = Annotated[
    int, typer.Option(min=0, help="Worker processes; 0 is one per core. Changes no number.")
]
Yaw = Annotated[
    float, typer.Option(help="Meshes are filmed from this many degrees to the left and the right.")
]
Size = Annotated[int, typer.Option(help="Height of a view of filmed meshes in px.")]
Fov = Annotated[float, typer.Option(help="Vertical field of view of the mesh cameras in degrees.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Weights of notebook 05; default: those of your own set, else full's, else course's.",
    ),
]
Film = Annotated[
    Path, typer.Argument(metavar="CLIP", help="A folder of frames, a film, or a folder of meshes.")
]
Onset = Annotated[int, typer.Option(help="Frame where the expression starts, counted from 0.")]
Offset = Annotated[int, typer.Option(help="Frame where it ends; -1 is the last.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
FaceModel = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YuNet's model (.onnx), for backgrounds not plain."),
]


def _finish(report, data, figures):
    """Print an adapter's report and what to do next, or do it."""
    for sentence in report:
        typer.echo(sentence)
    if not figures:
        from mer_utils.dataset import open_dataset

        labels = [clip.labels for clip in open_dataset(data).clips]
        if None in labels and any(labels):
            typer.echo(
                "training wants a set in which every clip has labels: import the others as a set "
                "of their own"
            )
        then = (
            f"mer run --profile paper --data {data}"
            if any(labels)
            else f"mer submit {data} OUT.csv"
        )
        typer.echo(f"next: mer doctor {data}; then {then}")
        return
    from mer_tools.runner import run_suite

    for row in run_suite("paper", str(data.resolve()), echo=typer.echo):
        typer.echo(f"{row['notebook']:22} {row['headline']}".rstrip())


@imports.command("4dme-challenge")
def import_challenge(
    source: Source,
    data: Target,
    labels: Labels = None,
    copy: Copy = False,
    classes: Classes = "",
    figures: Figures = False,
):
    """Folders seq<N> of side-by-side frames; labels Id,Negative,Positive,Repression,Surprise,Others
    (and Subject).
    """
    from mer_tools.importing.challenge import import_challenge

    _finish(import_challenge(source, data, labels, copy, classes=classes or None), data, figures)


@imports.command("4dme-release")
def import_release(
    source: Source,
    data: Target,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The label sheet, if it is not in SOURCE.")
    ] = None,
    faults: Annotated[
        str,
        typer.Option(metavar="TABLE", help="Mends of the sheet: a table of your own, or `none`."),
    ] = "",
    copy: Copy = False,
    classes: Classes = "",
    figures: Figures = False,
):
    """The release's spreadsheet and gray_micro/<sub_ID>/<fold_name>/ (one view)."""
    from mer_tools.importing.release import import_release

    _finish(
        import_release(source, data, sheet, copy, classes or None, faults or None), data, figures
    )


@imports.command("obj")
def import_obj(
    source: Source,
    data: Target,
    labels: Labels = None,
    yaw: Yaw = 25.0,
    size: Size = 448,
    fov: Fov = 26.1,
    jobs: Jobs = 0,
    figures: Figures = False,
):
    """One folder per clip of OBJ or PLY meshes, one per frame: filmed from two sides into DATA."""
    from mer_tools.importing.scans import import_obj
    from mer_tools.runner import count_workers

    _finish(import_obj(source, data, labels, size, yaw, fov, count_workers(jobs)), data, figures)


@imports.command("frames")
def import_frames(
    source: Source,
    data: Target,
    table: Annotated[Path, typer.Option(metavar="FILE", help="CSV or XLSX, one row per clip.")],
    columns: Annotated[
        str,
        typer.Option(
            metavar="OURS=THEIRS,...", help="As in subject=Subject,label=Emotion,onset=OnsetFrame."
        ),
    ] = "",
    folder: Annotated[
        str,
        typer.Option(
            metavar="TEMPLATE", help="Where a row's clip lies, as in sub{Subject:0>2}/{Filename}."
        ),
    ] = "{clip}",
    numbers: Annotated[
        str,
        typer.Option(
            help="Frame numbers of the table: `names` (as in the file names), or counted from 0 "
            "or 1."
        ),
    ] = "names",
    views: Annotated[
        int, typer.Option(min=1, max=2, help="2: each frame holds both views side by side.")
    ] = 1,
    fps: Annotated[
        float | None, typer.Option(help="Frames a second, where the table has no such column.")
    ] = None,
    cropped: Annotated[
        bool, typer.Option("--cropped", help="Frames are face crops already: use them whole.")
    ] = False,
    header_row: Annotated[
        int | None, typer.Option(min=1, help="Row of the table's header, if notes stand above.")
    ] = None,
    several: Annotated[
        bool, typer.Option("--several", help="A clip may have several labels.")
    ] = False,
    copy: Copy = False,
    classes: Classes = "",
    jobs: Jobs = 0,
    figures: Figures = False,
):
    """Frames in folders, or films (mp4, avi): CASME II, SAMM, SMIC, your own."""
    from mer_tools.importing.recordings import import_frames
    from mer_tools.runner import count_workers

    chosen = _read_pairs(columns, "--columns")
    rest = {"views": views, "numbers": numbers, "copy": copy, "exclusive": not several, "fps": fps}
    rest |= {"cropped": cropped, "header_row": header_row, "jobs": count_workers(jobs)}
    _finish(
        import_frames(source, data, table, folder, chosen, classes or None, **rest), data, figures
    )


@imports.command("flow-images")
def import_flow_images(
    source: Source,
    data: Target,
    pattern: Annotated[
        str,
        typer.Option(
            help="Path of a PNG, with {subject}, {label}, {clip} and for two phases {phase}."
        ),
    ] = "{subject}/u_test/{label}/{clip}.png",
    channels: Annotated[str, typer.Option(help="What red, green and blue hold.")] = "u,v,magnitude",
    phases: Annotated[int, typer.Option(min=1, max=2)] = 1,
    labels: Annotated[
        str, typer.Option(metavar="THEIRS=OURS,...", help="As in 0=Negative,1=Positive,2=Surprise.")
    ] = "",
    figures: Figures = False,
):
    """Ready-made flow pictures, exclusive labels, no frames: for notebooks 05 to 08."""
    from mer_tools.importing.flow_images import import_flow_images

    names = tuple(name.strip() for name in channels.split(","))
    _finish(
        import_flow_images(source, data, pattern, names, phases, _read_pairs(labels, "--labels")),
        data,
        figures,
    )


def _read_pairs(text, option):
    """Read "a=b,c=d" as a dict."""
    pairs = [part.partition("=") for part in text.split(",")] if text else []
    for left, sign, right in pairs:
        if not (left.strip() and sign and right.strip()):
            raise typer.BadParameter(
                f"{left}{sign}{right}: must look like a=b,c=d", param_hint=option
            )
    return {left.strip(): right.strip() for left, _, right in pairs} or None


def doctor(
    data: Data,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of the table.")
    ] = False,
    jobs: Jobs = 0,
):
    """Read a whole dataset and say what must be mended (then the exit code is 1) and what deserves
    a look.
    """
    from mer_tools.doctor import examine
    from mer_tools.runner import count_workers

    report = examine(data, count_workers(jobs))
    typer.echo(
        json.dumps(report.to_json(), indent=2, ensure_ascii=False) if as_json else report.table()
    )
    if not report.sound:
        raise typer.Exit(1)


def boxes(
    data: Data,
    face_model: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="YuNet's model (.onnx); data/README.md says where it is."
        ),
    ],
):
    """Fill the manifest's box column by OpenCV's YuNet, for clips whose background is not plain."""
    from mer_tools.boxes import fill_boxes

    done = list(fill_boxes(data, face_model).items())
    words = {
        "manifest": "have a box already",
        "silhouette": "stand before a plain background and need none",
        "found": "got a box",
        "not found": "show YuNet no face: give a box yourself, or the fallback is taken",
    }
    for how, word in words.items():
        names = [name for name, given in done if given == how]
        if names:
            typer.echo(
                f"{len(names)} clips {word}"
                + (f": {', '.join(names[:5])}" if how == "not found" else "")
            )


def predict(
    source: Film,
    onset: Onset = 0,
    offset: Offset = -1,
    weights: Weights = None,
    box: Annotated[
        str, typer.Option(metavar="'X0 Y0 X1 Y1; ...'", help="Face box in px, one per view.")
    ] = "",
    face_model: FaceModel = None,
    yaw: Yaw = 25.0,
    size: Size = 448,
    fov: Fov = 26.1,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where CLIP.png and CLIP.json go.")
    ] = Path("predictions"),
    overwrite: Overwrite = False,
):
    """Predict one clip: probability of each label, spread over the networks, threshold, answer; a
    picture and JSON.
    """
    from mer_tools.clips import look_like_one, predict_clip, say_found
    from mer_tools.importing.meshes import holds_meshes
    from mer_utils.dataset import check_outside, read_boxes
    from mer_utils.plots import draw_prediction, set_style
    from mer_utils.prediction import find_weights, load_ensemble

    whole = source.resolve()
    name = whole.name if whole.is_dir() else whole.stem
    picture, text = out / f"{name}.png", out / f"{name}.json"
    check_outside(out)
    if out.resolve().is_relative_to(whole):
        raise MerError(out, "lies inside the clip itself; choose another --out")
    if not overwrite and (text.exists() or picture.exists()):
        _check_same(text, whole)
    weights = weights or find_weights(find_root())
    ensemble = load_ensemble(weights)
    given = read_boxes("--box", box, ensemble.shape[0])
    end = None if offset == -1 else offset
    result = predict_clip(
        source, ensemble, onset, end, given, face_model, size=size, yaw=yaw, fov=fov
    )
    set_style()
    write_bytes(picture, draw_bytes(draw_prediction(result), dpi=110))
    write_json(text, {"source": str(source.resolve()), **result.to_json()})
    typer.echo(
        f"weights: {weights}: {len(ensemble.members)} networks, trained on {result.trained_on}"
    )
    height, width = result.first[0].shape
    meshes = source.is_dir() and holds_meshes(source)
    cut = " (frames cut at half their width)" if len(result.first) == 2 and not meshes else ""
    if cut and look_like_one(result.first):
        typer.echo(
            f"mer: {source}: LOOK: its halves seem to be one picture. The weights want two cameras "
            "side by side; a film of one camera, cut in half, gets an answer that means nothing",
            err=True,
        )
    typer.echo(
        f"views: {len(result.first)} of {width} x {height} px{cut}; crop box: "
        f"{say_found(result.found, 'give --box or --face-model')}"
    )
    typer.echo(f"onset {result.onset}, apex found {result.apex}, offset {result.offset}")
    typer.echo(f"{'label':12} {'probability':>11} {'spread':>8} {'threshold':>10}  answer")
    for label, row in result.table().items():
        threshold = (
            "largest"
            if result.exclusive
            else "never"
            if row["threshold"] is None
            else f"{row['threshold']:.2f}"
        )
        answer = "yes" if row["answer"] else "no"
        typer.echo(
            f"{label:12} {row['probability']:>11.2f} {row['spread']:>8.2f} {threshold:>10}  "
            f"{answer}"
        )
    weights_of = ", ".join(
        f"{name} {weight:.2f}" for name, weight in result.to_json()["attention"].items()
    )
    typer.echo(f"attention: {weights_of}\npicture: {picture}; JSON: {text}")


def _check_same(text, source):
    """Raise MerError unless the answer in the file ``text`` is about ``source``."""
    try:
        same = read_json(text)["source"] == str(source)
    except (MerError, KeyError, TypeError):
        same = False
    if not same:
        raise MerError(
            text.with_suffix(""),
            "another clip of this name, or something else, is kept in such a file; choose another "
            "--out, or say --overwrite",
        )


def demo(
    source: Film,
    onset: Onset = 0,
    offset: Offset = -1,
    views: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2,
            help="2: each frame holds both views side by side. Default: 2 for meshes and where the "
            "clip's dataset says so, else 1.",
        ),
    ] = None,
    face_model: FaceModel = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Write the notebook and print its path, no more.")
    ] = False,
):
    """Open a clip player in JupyterLab: frames, motion curve and flow of a clip, motion magnified.
    Needs no trained weights.
    """
    from mer_tools.clips import known_views, read_clip
    from mer_tools.demo import describe, write_demo

    root = find_root()
    views = views or known_views(source) or 1
    end = None if offset == -1 else offset
    # all of it: what is wrong with a clip is said here, not in the notebook
    typer.echo(describe(read_clip(source, views, onset, end, face_model=face_model)))
    path = write_demo(root, source, onset, end, views, face_model)
    typer.echo(f"notebook: {path}")
    if not no_open:
        words = ["-m", "jupyterlab", f"--ServerApp.root_dir={root}", str(path)]
        os.execv(sys.executable, [sys.executable, *words])


def submit(
    data: Data,
    out: Annotated[Path, typer.Argument(metavar="OUT.csv")],
    weights: Weights = None,
    overwrite: Overwrite = False,
    exclude: Annotated[
        bool, typer.Option("--exclude", help="Where Negative is answered, Positive is not.")
    ] = False,
    jobs: Jobs = 0,
):
    """Answer a dataset's unlabelled clips as the challenge wants it: Id and 0 or 1 per label."""
    from mer_tools.runner import count_workers
    from mer_tools.submission import answer_clips, write_answers
    from mer_utils.dataset import check_outside, open_dataset
    from mer_utils.prediction import find_weights, load_ensemble

    check_outside(out)
    if out.exists() and not overwrite:
        raise MerError(out, "is there already; choose another name, or say --overwrite")
    weights = weights or find_weights(find_root())
    ensemble = load_ensemble(weights)
    try:
        cache = find_root() / "artifacts" / "cache"
    except MerError:  # outside of the repository: nothing is kept
        cache = None
    rows = answer_clips(open_dataset(data), ensemble, exclude, cache, count_workers(jobs))
    write_answers(out, rows)
    typer.echo(
        f"weights: {weights}: {len(ensemble.members)} networks, trained on {ensemble.trained_on}"
    )
    counts = ", ".join(f"{label} {sum(row[label] for row in rows)}" for label in ensemble.labels)
    typer.echo(f"{out}: {len(rows)} clips answered: {counts}")
