"""What all sources of import share: entries become a dataset after one set of checks."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Annotated

from mer_tools.importing.labels import MISSING, regroup
from mer_tools.importing.tables import write_table
from mer_utils import MerError, explain
from mer_utils.dataset import encode_png, find_frames, find_inside, list_frames, read_size, survey
from mer_utils.files import new_folder, write_json
from mer_utils.jobs import run_jobs
from mer_utils.preprocessing import format_boxes

from annotated_types import Ge, Gt, Lt
from pydantic import BaseModel, ValidationError

Whole = Annotated[int, Ge(0)]
Rate = Annotated[float, Gt(0), Lt(1e6)]
KEYS = ("onset", "apex", "offset")
# columns of a manifest that are no labels
COLUMNS = ("clip", "subject", "dataset", *KEYS, "fps", "aus", "box", "frames")
FILES = ("manifest.csv", "dataset.json")
# what each part of a path pattern may hold
PARTS = {"subject": "[^/]+?", "label": "[^/]+?", "clip": "[^/]+"}
HINT = "; --skip-faulty leaves such rows out, --nearest-frame takes the nearest for lost key frames"


class Numbers(BaseModel):
    """The numbers of a table's row."""

    onset: Whole | None = None
    apex: Whole | None = None
    offset: Whole | None = None
    fps: Rate | None = None


@dataclass(frozen=True)
class Entry:
    """One clip on its way into a manifest; ``labels`` are names, or None where none are known."""

    name: str
    subject: str
    labels: tuple[str, ...] | None
    # of its folder, film, frames ("a/1.jpg;9.jpg") or flow images ("a.png;b.png") below the source
    path: str
    where: str  # what errors name: file and row of the table, or the folder
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None
    numbers: str = "0"  # what these three count, see ``find_keys``
    fps: float | None = None
    aus: tuple | None = None  # action units, see ``labels.parse_aus``; None: not known
    # the frames, or those whose names begin so, are face crops: the box is the whole view
    cropped: bool | str = False
    around: int | None = None  # frames kept before onset and after offset; None: the whole folder
    nearest: bool = False  # take the nearest frame for a key frame that is lost
    dataset: str = ""  # where several are joined
    # what makes its frames, of a film or meshes: make(path, target) fills the folder ``target``,
    # returns their paths, fps (or None) and notes, and the face's boxes, one per view (or none)
    make: Callable | None = None


def write_set(source, data, info, entries, classes=None, copy=False, jobs=1, skip_faulty=None):
    """Write a dataset of Entries to the folder ``data``, all or nothing; return sentences that say
    what it holds. What was written is read as a dataset before it counts.

    Frames stay where they are, and ``data`` may be a folder that exists; with ``copy``, and where
    an Entry has frames to be made, all are written into ``data``. ``classes``: see
    ``labels.regroup``. ``entries`` may hold MerErrors in place of rows that cannot be used. Raises
    one MerError for these and all other unusable clips, unless ``skip_faulty`` leaves them out
    (None: the kind of import has no such option).
    """
    data, said = Path(data), []
    places = [entry.where for entry in entries]
    faults = {entry.where: entry for entry in entries if isinstance(entry, MerError)}
    entries = [entry for entry in entries if isinstance(entry, Entry)]
    if classes:
        entries, info, said = regroup(entries, info, classes)
    faults |= _check_entries(source, info, entries)
    if not entries and not faults:
        raise MerError(source, "no clip is left; see what the kind of import expects there")
    for path in (data / name for name in FILES):
        if path.exists():
            raise MerError(path, "exists already; remove it or choose a new folder for the dataset")
    copy = copy or any(entry.make for entry in entries)
    if not copy:  # a relative path if one folder lies in the other: both may be moved
        place, other = source.resolve(), data.resolve()
        near = place.is_relative_to(other) or other.is_relative_to(place)
        frames = Path(os.path.relpath(place, other)) if near else place
        info = info | {"frames": frames.as_posix()}

    entries = [entry for entry in entries if entry.where not in faults]
    with new_folder(data) if copy or not data.is_dir() else nullcontext(data) as part:
        tasks = [(source, info, entry, part / "clips" / entry.name) for entry in entries]
        if copy:
            answers = run_jobs(_make_clip, tasks, jobs)
        else:
            listing = cache(list_frames)  # clips may share a folder
            answers = [_make_clip(*task, listing) for task in tasks]
        answers = dict(zip(entries, answers, strict=True))
        faults |= {e.where: fault for e, fault in answers.items() if isinstance(fault, MerError)}
        try:
            rows = {e: answers[e][0] for e in entries if e.where not in faults}
            faults |= _write_files(part, info, rows)
            rows = {e: row for e, row in rows.items() if e.where not in faults}
            faulty = [faults[place] for place in places if place in faults]
            told = [f"{shorten(fault)}: {fault.what}" for fault in faulty]
            if faulty:
                if not skip_faulty or not rows:
                    texts = [str(faulty[0]), *told[1:20]]
                    count = f" ({len(told)} rows or clips cannot be used)" if told[1:] else ""
                    hint = "" if skip_faulty is None else HINT
                    raise MerError(f"{'; '.join(texts)}{count}{hint}")
                for entry in answers.keys() - rows.keys():
                    shutil.rmtree(part / "clips" / entry.name, ignore_errors=True)
                _write_files(part, info, rows)
        except BaseException:
            for name in FILES:
                (part / name).unlink(missing_ok=True)
            raise

    said += tell_left_out("rows that cannot be used", told)
    notes = dict.fromkeys(chain(*(answers[entry][1] for entry in rows)))
    return [_count(info, rows), *said, *notes]


def shorten(item):
    """Return the row that an Entry or a MerError is of, without the file's name before it."""
    return item.where.rpartition(", ")[2]


def _make_clip(source, info, entry, target, listing=list_frames):
    """Find, copy or make a clip's frames; return its row of the manifest and notes, or the MerError
    instead.
    """
    row = {"clip": entry.name, "subject": entry.subject, "dataset": entry.dataset}
    for label in info["labels"]:
        row[label.lower()] = "" if entry.labels is None else int(label in entry.labels)
    path, paths, fps, notes, boxes, refers = entry.path, [], None, [], [], "frames" in info
    try:
        if entry.make:
            target.mkdir(parents=True)
            paths, fps, notes, boxes = entry.make(find_inside(source, path, entry.where), target)
        elif "channels" not in info:
            paths = find_frames(source, path, entry.where, listing)
        keys, lost = find_keys(entry, [path.stem for path in paths])
        if entry.around is not None:
            first = max(0, keys["onset"] - entry.around)
            last = keys["offset"] + entry.around + 1
            keys = {key: None if n is None else n - first for key, n in keys.items()}
            for path in (*paths[:first], *paths[last:]) if entry.make else ():
                path.unlink()
            paths = paths[first:last]
            path = f"{entry.path}/{paths[0].name};{paths[-1].name}"
        if not refers and not entry.make:
            target.mkdir(parents=True)
            paths = [Path(shutil.copyfile(path, target / path.name)) for path in paths]
        if entry.cropped is True or (entry.cropped and paths[0].name.startswith(entry.cropped)):
            width, height = read_size(paths[0])
            boxes = [(0, 0, width // info["views"], height)] * info["views"]
            notes = [*notes, "The frames are face crops and are used whole."]
    except MerError as error:
        return error.seen_from(entry.where)
    fps = entry.fps or fps
    row |= {key: "" if n is None else n for key, n in keys.items()}
    aus = " ".join(f"{side}{number}" for side, number in entry.aus or ())
    row |= {"fps": f"{fps:g}" if fps else "", "aus": aus, "box": format_boxes(boxes)}
    return row | ({"frames": path} if refers else {}), [*notes, *lost]


def _write_files(folder, info, rows):
    """Write manifest.csv and dataset.json of {Entry: row}, and read them as a dataset; return
    {entry.where: MerError} of the clips that cannot be used.
    """
    if not rows:
        return {}
    spare = [key for key in ("dataset", "aus", "box") if not any(row[key] for row in rows.values())]
    lines = [{key: row[key] for key in row if key not in spare} for row in rows.values()]
    write_table(folder / "manifest.csv", lines)
    write_json(folder / "dataset.json", info)
    return {
        entry.where: MerError(entry.where, f"clip {entry.name}: {clip.what}")
        for entry, clip in zip(rows, survey(folder)[1], strict=True)
        if isinstance(clip, MerError)
    }


def find_keys(entry, stems):
    """Return {"onset": ..., "apex": ..., "offset": ...} of an Entry as indices into its frames,
    None where it has none; and sentences about lost ones, whose nearest frames stand in for them.

    ``entry.numbers`` says what its numbers count: "0" or "1": frames from there; "names": the last
    integer of the frames' file ``stems``; "onset": the same if the names hold onset and offset,
    else frames from the onset, the first frame. No apex is one that is the onset, or a 0 that
    counts no frame. Raises MerError (row) for others that point at no frame.
    """
    keys = {key: number for key in KEYS if (number := getattr(entry, key)) is not None}
    if not keys:
        return dict.fromkeys(KEYS), []
    places, first = [int(re.findall(r"\d+", stem)[-1]) for stem in stems], entry.numbers
    if first == "onset":
        first = "names" if {entry.onset, entry.offset} <= {*places} else entry.onset
    if first is None:
        what = "onset is empty, and the other numbers count from it; fill it in"
        raise MerError(entry.where, what)
    if first != "names":
        places = list(range(int(first), int(first) + len(stems)))
    elif len({*places}) < len(places):
        raise MerError(entry.where, f"two frames of {entry.path} have the same last number")
    if entry.apex == entry.onset or (entry.apex == 0 and 0 not in places):
        keys.pop("apex", None)

    lost = []
    for key, number in keys.items():
        near = min(places, key=lambda place: abs(place - number))
        if near != number and not entry.nearest:
            span = f"nearest: {near}; they go from {min(places)} to {max(places)}"
            what = f"{key} is {number}, but no frame of {entry.path} has that number ({span})"
            raise MerError(entry.where, what)
        if near != number:
            lost.append(f"Lost: {shorten(entry)}, {key} {number} is now {near}, its nearest frame.")
        keys[key] = places.index(near)
    return {key: keys.get(key) for key in KEYS}, lost


def _check_entries(source, info, entries):
    """Return {entry.where: MerError} of Entries whose names cannot be used or are taken, or whose
    labels the set does not have. Raises MerError for names of labels that cannot be used.
    """
    first_use, faults = {}, {}
    if taken := {label.lower() for label in info["labels"]} & {*COLUMNS}:
        raise MerError(source, f"a label cannot be called {min(taken)!r}; rename it")
    for entry in entries:
        name, what = entry.name, ""
        if re.search(r"[/\\:]", name) or name.strip() != name or name in ("", ".", ".."):
            what = f"the clip name {name!r} cannot be a folder's name everywhere; rename it"
        elif first_use.setdefault(name, entry) is not entry:
            what = f"the clip {name!r} stands at {first_use[name].where} already; keep one of them"
        elif unknown := set(entry.labels or ()) - {*info["labels"]}:
            what = f"the label {min(unknown)!r} is none of {', '.join(info['labels'])}"
        if what:
            faults[entry.where] = MerError(entry.where, what)
    return faults


def _count(info, rows):
    """Return the sentence that counts clips, subjects, labels and apexes of {Entry: row}."""
    people = len({(entry.dataset, entry.subject) for entry in rows})
    text = f"{len(rows)} clip{'s' * (len(rows) > 1)} of {people} subject{'s' * (people > 1)}"
    labels = Counter(label for entry in rows for label in entry.labels or ())
    bare = sum(entry.labels is None for entry in rows)
    if bare < len(rows):
        text += ": " + ", ".join(f"{name} {labels[name]}" for name in info["labels"])
    datasets = Counter(entry.dataset for entry in rows if entry.dataset)
    text += "; " * bool(datasets) + ", ".join(f"{name} {n}" for name, n in sorted(datasets.items()))
    text += f"; without labels: {bare}" if bare else ""
    unknown = sum(row["apex"] == "" for row in rows.values())
    return text + (f"; without an apex: {unknown}." if 0 < unknown < len(rows) else ".")


def describe(name, views, labels, source, exclusive=False):
    """Return what dataset.json says of an imported set."""
    return {
        "name": name or "imported", "views": views, "labels": list(labels), "exclusive": exclusive,
        "synthetic": False,
        "licence": "that of the source; read it before passing anything on", "source": source,
    }  # fmt: skip


def write_frames(images, target):
    """Write images (H, W) into the folder ``target`` and return their paths; see ``Entry.make``."""
    paths = []
    for image in images:
        paths.append(target / f"{len(paths):04d}.png")
        paths[-1].write_bytes(encode_png(image))
    return paths


def check_source(source):
    """Return ``source`` as a Path; MerError if it is no folder."""
    if not Path(source).is_dir():
        raise MerError(source, "no such folder")
    return Path(source)


def name_some(names, most=5):
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def tell_left_out(what, names):
    """Return the sentence that counts and names what was left out, in a list; empty for nothing."""
    return [f"Left out: {len(names)} {what}: {name_some(names)}."] if names else []


def walk_folders(source):
    """Yield (folder, names of its files) below ``source``, sorted and links followed; hidden ones
    do not count.
    """
    for folder, inner, names in os.walk(source, followlinks=True):
        inner[:] = sorted(name for name in inner if name[0] != ".")
        yield Path(folder), sorted(name for name in names if name[0] != ".")


def compile_pattern(pattern):
    """Return the regular expression of a path pattern such as "{subject}/{label}/{clip}", in which
    {label} may be missing. MerError for others.
    """
    names = set(re.findall(r"\{(.*?)\}", pattern))
    if not {"subject", "clip"} <= names <= PARTS.keys():
        what = "must have {subject} and {clip}, and of others only {label}"
        raise MerError(f"the pattern {pattern!r} {what}")
    expression = re.escape(pattern)
    for name, form in PARTS.items():
        part = re.escape(f"{{{name}}}")
        expression = expression.replace(part, f"(?P<{name}>{form})", 1)
        expression = expression.replace(part, f"(?P={name})")
    return re.compile(expression)


def read_numbers(where, cells, columns=None):
    """Return {"onset": ..., "apex": ..., "offset": ..., "fps": ...} of a row, None where a cell is
    empty; ``columns`` says what the table calls them. MerError names row and number.
    """
    texts = {key: cells.get((columns or {}).get(key, key), "") for key in Numbers.model_fields}
    if texts["apex"] == "-1":  # as SAMM writes what is not known
        texts["apex"] = ""
    known = {key: text.replace(",", ".") for key, text in texts.items() if text not in MISSING}
    try:
        return Numbers(**known).model_dump()
    except ValidationError as error:
        raise MerError(where, explain(error)) from None
