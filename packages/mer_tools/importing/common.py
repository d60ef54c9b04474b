"""What all sources of import share: entries become a dataset after one set of checks."""

import os
import re
import shutil
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from mer_tools.importing.tables import PUBLISHED, need_columns, read_table, write_table
from mer_utils import LABELS, MerError, explain
from mer_utils.dataset import find_inside, list_frames, read_size, survey
from mer_utils.files import new_folder, write_json
from mer_utils.jobs import run_jobs
from mer_utils.preprocessing import format_boxes

from annotated_types import Ge, Gt, Lt
from pydantic import TypeAdapter, ValidationError

ALONE = (
    "The subject of {} clips is not known, and each counts as its own: leave-one-subject-out "
    "becomes leave-one-sequence-out, one person may be in training and test, and results compare "
    "with no published ones."
)
WHOLE = TypeAdapter(Annotated[int, Ge(0)])
NUMBERS = {
    "onset": WHOLE, "apex": WHOLE, "offset": WHOLE,
    "fps": TypeAdapter(Annotated[float, Gt(0), Lt(1e6)]),
}  # fmt: skip
KEYS = ("onset", "apex", "offset")
# columns of a manifest that are no labels
COLUMNS = ("clip", "subject", "dataset", *NUMBERS, "aus", "box", "frames")
MISSING = ("", "/", "NaN")  # what stands in other people's tables where nothing is known
# in no folder's name: separators of other systems, control characters, what is no UTF-8
UNSAFE = r"[/\\:\0-\x1f\ud800-\udfff]"


@dataclass(frozen=True)
class Entry:
    """One clip on its way into a manifest; ``labels`` are names, or None where none are known."""

    name: str
    subject: str
    labels: tuple[str, ...] | None
    path: str  # of its folder, film or flow images ("a.png;b.png") below the source
    where: str  # what errors name: file and row of the table, or the folder
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None
    numbers: str = "0"  # what these three count, see ``find_keys``
    fps: float | None = None
    aus: str = ""
    cropped: bool = False  # the frames are face crops: the box is the whole view
    dataset: str = ""  # where several are joined


def refer_frames(source, entry, target=None):
    """Return the paths of an Entry's frames where they lie; see ``write_set`` for the rest."""
    return list_frames(find_inside(source, entry.path, entry.where)), None, (), []


def copy_frames(source, entry, target):
    """Copy an Entry's frames into the folder ``target``; return what ``write_set`` asks for."""
    paths = refer_frames(source, entry)[0]
    return [Path(shutil.copyfile(path, target / path.name)) for path in paths], None, (), []


def write_set(source, data, info, entries, classes=None, make=refer_frames, jobs=1):
    """Write a dataset of Entries to the folder ``data``, all or nothing; return sentences that say
    what it holds.

    ``make(source, entry, target)`` fills a clip's folder and returns the paths of its frames, fps
    (or None), notes, and the face's boxes, one per view (or none). By default the frames stay where
    they are, and ``data`` may be a folder that exists. ``classes``: see ``regroup``. What was
    written is read as a dataset before it counts. Raises one MerError for all unusable clips.
    """
    data, said, refers = Path(data), [], make is refer_frames
    if classes:
        entries, info, said = regroup(entries, info, classes)
    _check_entries(source, info, entries)
    beside = refers and data.is_dir()
    if refers:
        info = info | {"frames": _relate(source, data)}
    with nullcontext(data) if beside else new_folder(data) as part:
        tasks = [(make, source, info, entry, part) for entry in entries]
        answers = run_jobs(_make_row, tasks, jobs)
        if faults := [answer for answer in answers if isinstance(answer, MerError)]:
            others = ", ".join(fault.where.rpartition(", ")[2] for fault in faults[1:20])
            more = f" (and {len(faults) - 1} more cannot be used: {others})" if others else ""
            raise MerError(f"{faults[0]}{more}")
        _write_files(part, info, entries, [row for row, _ in answers])
    notes = dict.fromkeys(note for _, notes in answers for note in notes)
    return [_count(info, entries), *said, *notes]


def _make_row(make, source, info, entry, part):
    """Fill a clip's folder; return its row of the manifest and notes, or the MerError instead."""
    row = {"clip": entry.name, "subject": entry.subject, "dataset": entry.dataset}
    for label in info["labels"]:
        row[label.lower()] = "" if entry.labels is None else int(label in entry.labels)
    keys, fps, notes, boxes = (None, None, None), None, (), []
    try:
        if "channels" not in info:
            folder = part / "clips" / entry.name
            if make is not refer_frames:
                folder.mkdir(parents=True)
            paths, fps, notes, boxes = make(source, entry, folder)
            keys = find_keys(entry, [path.stem for path in paths])
            if entry.cropped:
                width, height = read_size(paths[0])
                boxes = [(0, 0, width // info["views"], height)] * info["views"]
    except MerError as error:
        return error.seen_from(entry.where)
    row |= {key: "" if n is None else n for key, n in zip(KEYS, keys, strict=True)}
    fps = entry.fps or fps
    row |= {"fps": f"{fps:g}" if fps else "", "aus": entry.aus, "box": format_boxes(boxes)}
    return row | ({"frames": entry.path} if "frames" in info else {}), notes


def _write_files(folder, info, entries, rows):
    """Write manifest.csv and dataset.json, and read them as a dataset: both, or neither."""
    manifest, about = folder / "manifest.csv", folder / "dataset.json"
    for path in (manifest, about):
        if path.exists():
            raise MerError(path, "exists already; remove it or choose a new folder for the dataset")
    for key in ("dataset", "aus", "box"):
        if not any(row[key] for row in rows):
            rows = [{name: row[name] for name in row if name != key} for row in rows]
    try:
        write_table(manifest, rows)
        write_json(about, info)
        for entry, clip in zip(entries, survey(folder)[1], strict=True):
            if isinstance(clip, MerError):
                raise MerError(entry.where, f"clip {entry.name}: {clip.what}")
    except MerError:
        manifest.unlink(missing_ok=True)
        about.unlink(missing_ok=True)
        raise


def _relate(source, data):
    """Return the source's path for dataset.json: relative if one folder lies in the other."""
    source, data = source.resolve(), data.resolve()
    near = source.is_relative_to(data) or data.is_relative_to(source)
    return Path(os.path.relpath(source, data) if near else source).as_posix()


def find_keys(entry, stems):
    """Return (onset, apex, offset) of an Entry as indices into its frames, None where it has none.

    ``entry.numbers`` says what its numbers count: "0" or "1": frames from there; "names": the last
    integer of the frames' file ``stems``; "onset": the same if the names hold onset and offset,
    else frames from the onset, the first frame. Raises MerError (row) where they point at no frame.
    """
    numbers = {key: getattr(entry, key) for key in KEYS}
    if all(number is None for number in numbers.values()):
        return None, None, None
    places = {int(re.findall(r"\d+", stem)[-1]): k for k, stem in enumerate(stems)}
    by_name = entry.numbers == "names"
    if entry.numbers == "onset":
        by_name = entry.onset in places and entry.offset in places
        if entry.onset is None:
            what = "onset is empty, and the other numbers count from it; fill it in"
            raise MerError(entry.where, what)
    if by_name and len(places) < len(stems):
        raise MerError(entry.where, f"two frames of {entry.path} have the same last number")
    if not by_name:
        first = entry.onset if entry.numbers == "onset" else int(entry.numbers)
        places = {k + first: k for k in range(len(stems))}
    for key, number in numbers.items():
        if number is not None and number not in places:
            span = f"they go from {min(places)} to {max(places)}"
            what = f"{key} is {number}, but no frame of {entry.path} has that number ({span})"
            raise MerError(entry.where, what)
    return tuple(places.get(number) for number in numbers.values())


def _check_entries(source, info, entries):
    """Raise MerError for no clips, names of labels and clips that are unusable or equal, and labels
    that the set does not have.
    """
    if not entries:
        raise MerError(source, "no clip is left; see what the kind of import expects there")
    labels = [label.lower() for label in info["labels"]]
    for label in labels:
        if labels.count(label) > 1 or label in COLUMNS:
            raise MerError(source, f"a label cannot be called {label!r}; rename it")
    first_use = {}
    for entry in entries:
        name = entry.name
        if re.search(UNSAFE, name) or name.strip() != name or name in ("", ".", ".."):
            what = f"the clip name {name!r} cannot be a folder's name everywhere; rename it"
            raise MerError(entry.where, what)
        if name in first_use:
            what = f"the clip {name!r} stands at {first_use[name]} already; keep one of them"
            raise MerError(entry.where, what)
        first_use[name] = entry.where
        if unknown := set(entry.labels or ()) - {*info["labels"]}:
            what = f"the label {min(unknown)!r} is none of {', '.join(info['labels'])}"
            raise MerError(entry.where, what)


def regroup(entries, info, classes):
    """Give Entries the classes of a table label, class instead of labels; return (Entries, info,
    sentences).

    ``classes`` is the table's path, or "three" for the built-in one: Negative with Repression,
    Positive, Surprise, without Others. That is a choice of this package, not of 4DME. A label of an
    empty class counts as none, and a clip whose labels are not of exactly one class is left out and
    counted.
    """
    path = PUBLISHED / "three_classes.csv" if classes == "three" else Path(classes)
    rows = read_table(path)
    need_columns(path, rows, ["label", "class"])
    groups = {row.cells["label"].lower(): row.cells["class"] for row in rows}
    names = [name for name in dict.fromkeys(groups.values()) if name]
    if len(groups) < len(rows) or len(names) < 2:
        raise MerError(path, "needs one row for each label, and 2 classes or more")

    kept = []
    for entry in entries:
        unlisted = [label for label in entry.labels or () if label.lower() not in groups]
        if unlisted:
            what = f"the label {unlisted[0]!r} has no row in {path.name}; add one there"
            raise MerError(entry.where, what)
        if entry.labels is None:
            kept.append(entry)
            continue
        labels = {groups[label.lower()] for label in entry.labels} - {""}
        if len(labels) == 1:
            kept.append(replace(entry, labels=tuple(labels)))
    left_out = f"{len(entries) - len(kept)} of {len(entries)} clips left out"
    info = {key: value for key, value in info.items() if key != "published"}
    info |= {"labels": names, "exclusive": True, "classes": path.name}
    return kept, info, [f"{left_out}: not of exactly one class of {path.name}."]


def _count(info, entries):
    """Return the sentence that counts clips, subjects and labels."""
    bare = sum(entry.labels is None for entry in entries)
    people = len({entry.subject for entry in entries})
    text = f"{len(entries)} clip{'s' * (len(entries) > 1)} of {people} subject{'s' * (people > 1)}"
    if bare < len(entries):
        labels = [label for entry in entries for label in entry.labels or ()]
        text += ": " + ", ".join(f"{name} {labels.count(name)}" for name in info["labels"])
    datasets = Counter(entry.dataset for entry in entries if entry.dataset)
    text += "; " * bool(datasets) + ", ".join(f"{name} {n}" for name, n in sorted(datasets.items()))
    return text + (f"; without labels: {bare}." if bare else ".")


def describe(name, views, labels, source, exclusive=False):
    """Return what dataset.json says of an imported set."""
    return {
        "name": name or "imported", "views": views, "labels": list(labels), "exclusive": exclusive,
        "synthetic": False,
        "licence": "that of the source; read it before passing anything on", "source": source,
    }  # fmt: skip


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


def walk_folders(source, data):
    """Yield (folder, names of its files) below ``source``, sorted and links followed; hidden ones
    and the folder ``data`` do not count.
    """
    for folder, inner, names in os.walk(source, followlinks=True):
        folder, skip = Path(folder), Path(data).resolve()
        inner[:] = sorted(
            name for name in inner if name[0] != "." and (folder / name).resolve() != skip
        )
        yield folder, sorted(name for name in names if name[0] != ".")


def read_folders(source, data, table, clip, subject, names=None, key=str):
    """Return (Entries, label names, sentences) of the folders in ``source``, each a clip, in the
    order of the numbers in their names.

    ``table`` (or None) has a column ``clip``, perhaps one called ``subject``, one of 0 and 1 for
    each of the labels ``names`` (default: all that mean nothing else), and perhaps onset, apex,
    offset and fps. A row and a folder belong together if ``key`` makes the same of both; where it
    makes None of a folder's name, that is left out. Without a row a clip has no labels. Raises
    MerError.
    """
    folders, left_out, found = {}, [], []
    for path in source.iterdir():
        if path.is_dir() and path.name[0] != "." and path.resolve() != Path(data).resolve():
            found.append(path.name)
    for name in sorted(found, key=lambda name: ([int(n) for n in re.findall(r"\d+", name)], name)):
        if key(name) is None:
            left_out.append(name)
        elif (other := folders.setdefault(key(name), name)) != name:
            raise MerError(source / name, f"has the same number as {other}; rename one of them")

    rows = read_table(table) if table else []
    if rows:
        names = names or [name for name in rows[0].cells if name not in COLUMNS]
        need_columns(table, rows, [clip, *(names or ["one for each label"])])
    lines = {}
    for number, cells in rows:
        where, mark = f"{table}, row {number}", key(cells[clip])
        if mark not in folders:
            what = f"{clip} {cells[clip]!r} has no folder in {source}; remove the row or add it"
            raise MerError(where, what)
        if mark in lines:
            raise MerError(where, f"{clip} {cells[clip]!r} stands at {lines[mark][0]} already")
        lines[mark] = where, cells

    entries = []
    for mark, name in folders.items():
        where, cells = lines.get(mark, (str(source / name), {}))
        flags = read_flags(where, cells, names) if cells else None
        numbers = read_numbers(where, cells)
        entries.append(Entry(name, cells.get(subject, name), flags, name, where, **numbers))
    alone = sum(subject not in lines.get(mark, ("", ()))[1] for mark in folders)
    said = tell_left_out("folders without a number in their names", left_out)
    return entries, names or LABELS, said + ([ALONE.format(alone)] if alone else [])


def read_numbers(where, cells, columns=None, missing=MISSING):
    """Return {"onset": ..., "apex": ..., "offset": ..., "fps": ...} of a row, None where a cell is
    ``missing``; ``columns`` says what the table calls them. MerError names row and column.
    """
    values = {}
    for key, adapter in NUMBERS.items():
        column = key if columns is None else columns.get(key)
        text = cells.get(column, "")
        try:
            empty = text in missing
            values[key] = None if empty else adapter.validate_python(text.replace(",", "."))
        except ValidationError as error:
            raise MerError(where, f"{column}{explain(error)}") from None
    return values


def sort_labels(names):
    """Return distinct label names: those of 4DME in the order used everywhere, then the others."""
    order = {label.lower(): k for k, label in enumerate(LABELS)}

    def place(name):
        return order.get(name.lower(), len(LABELS)), name.lower(), name

    return sorted(set(names), key=place)


def read_flags(where, cells, labels):
    """Return the names of ``labels`` whose cell is 1, or None where all are empty; MerError for
    other than 0 and 1.
    """
    if not any(cells[label] for label in labels):
        return None
    for label in labels:
        if cells[label] not in ("0", "1"):
            what = f"{label} is {cells[label]!r}, but must be 0 or 1 (all empty: no labels)"
            raise MerError(where, what)
    return tuple(label for label in labels if cells[label] == "1")


def split_labels(where, text, missing=MISSING):
    """Return the label names of "Positive+Surprise" (4DME's in its own spelling), None for none."""
    if text in missing:
        return None
    spelling = {label.lower(): label for label in LABELS}
    names = [part.strip() for part in text.split("+")]
    if not all(names):
        what = f"the label {text!r} has an empty part; write names with + between them"
        raise MerError(where, what)
    return tuple(dict.fromkeys(spelling.get(name.lower(), name) for name in names))
