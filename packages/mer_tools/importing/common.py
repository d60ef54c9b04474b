"""What all sources of import share: entries become a dataset after one set of checks."""

import os
import re
import shutil
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from mer_tools.importing.tables import PUBLISHED, need_columns, read_table, write_table
from mer_utils import LABELS, MerError
from mer_utils.dataset import find_inside, list_frames, read_size
from mer_utils.files import new_folder, write_json
from mer_utils.jobs import run_jobs
from mer_utils.preprocessing import format_boxes

ALONE = (
    "The subject of {} clips is not known, and each counts as its own: leave-one-subject-out "
    "becomes leave-one-sequence-out, one person may be in training and test, and results compare "
    "with no published ones."
)
KEYS = ("onset", "apex", "offset")
# columns of a manifest that are no labels
COLUMNS = ("clip", "subject", *KEYS, "fps", "aus", "box", "frames")
MISSING = ("", "/", "NaN")  # what stands in other people's tables where nothing is known

# in no name: other systems' separators, control characters, what is no UTF-8
UNSAFE = r"[\\:\0-\x1f\ud800-\udfff]"


def check_name(path):
    """Raise MerError for a path that no text file can hold."""
    if re.search("[\0-\x1f\ud800-\udfff]", str(Path(path).resolve())):
        what = "has letters in its path that are no UTF-8 text; rename the folder"
        raise MerError(f"{str(path)!r}", what)


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


class Facts(NamedTuple):
    """What a clip's frames add to its Entry."""

    keys: tuple  # onset, apex, offset: indices into the frames, or None
    fps: float | None
    notes: tuple  # sentences for the reader
    boxes: list  # one (x0, y0, x1, y1) px per view, or none


def write_set(source, data, info, entries, classes=None, make=None, jobs=1):
    """Write a dataset of Entries to the folder ``data``, all or nothing; return sentences that say
    what it holds.

    ``make(source, entry, target)`` fills a clip's folder and returns the file stems of its frames,
    fps (or None), notes, and the face's boxes (or None). Without it frames stay where they are, and
    ``data`` may be a folder that exists. ``classes``: see ``regroup``. Raises MerError.
    """
    data, said = Path(data), []
    if classes:
        entries, info, said = regroup(entries, info, classes)
    _check_entries(source, info, entries)
    if make:
        with new_folder(data) as part:
            tasks = [(make, source, info, entry, part / "clips") for entry in entries]
            facts = run_jobs(_make_clip, tasks, jobs)
            _write_files(part, info, entries, facts)
    else:
        facts = _look_up_all(source, info, entries)
        info = info | {"frames": _relate(source, data)}
        with nullcontext(data) if data.is_dir() else new_folder(data) as part:
            _write_files(part, info, entries, facts)
    notes = dict.fromkeys(note for clip in facts for note in clip.notes)
    return [_count(info, entries), *said, *notes]


def _write_files(folder, info, entries, facts):
    """Write manifest.csv and, last, dataset.json: both, or neither."""
    manifest, about = folder / "manifest.csv", folder / "dataset.json"
    for path in (manifest, about):
        if path.exists():
            raise MerError(path, "exists already; remove it or choose a new folder for the dataset")
    rows = [_make_row(info, *pair) for pair in zip(entries, facts, strict=True)]
    for key in ("aus", "box"):
        if not any(row[key] for row in rows):
            rows = [{name: row[name] for name in row if name != key} for row in rows]
    write_table(manifest, rows)
    try:
        write_json(about, info)
    except MerError:
        manifest.unlink()
        raise


def _make_row(info, entry, facts):
    row = {"clip": entry.name, "subject": entry.subject}
    for label in info["labels"]:
        row[label.lower()] = "" if entry.labels is None else int(label in entry.labels)
    for key, value in zip(KEYS, facts.keys, strict=True):
        row[key] = "" if value is None else value
    row["fps"] = "" if facts.fps is None else f"{facts.fps:g}"
    row |= {"aus": entry.aus, "box": format_boxes(facts.boxes)}
    return row | ({"frames": entry.path} if "frames" in info else {})


def _relate(source, data):
    """Return the source's path as dataset.json keeps it: relative where one folder lies in the
    other.
    """
    source, data = source.resolve(), data.resolve()
    near = source.is_relative_to(data) or data.is_relative_to(source)
    return Path(os.path.relpath(source, data) if near else source).as_posix()


def _make_clip(make, source, info, entry, clips):
    folder = clips / entry.name
    folder.mkdir(parents=True)
    stems, fps, notes, boxes = make(source, entry, folder)
    if boxes is None:
        boxes = _whole_views(info, entry, list_frames(folder))
    return Facts(find_keys(entry, stems), entry.fps or fps, tuple(notes), boxes)


def _whole_views(info, entry, paths):
    """Return a box for each view of an Entry whose frames are face crops, else none."""
    if not entry.cropped:
        return []
    width, height = read_size(paths[0])
    return [(0, 0, width // info["views"], height)] * info["views"]


def _look_up_all(source, info, entries):
    """Return the Facts of clips whose frames stay where they are; one MerError for all faults."""
    facts, errors = [], []
    for entry in entries:
        try:
            facts.append(_look_up(source, info, entry))
        except MerError as error:
            errors.append((entry.where.rpartition(", ")[2], error))
    if len(errors) > 1:
        others = ", ".join(where for where, _ in errors[1:20]) + ", ..." * (len(errors) > 20)
        raise MerError(f"{errors[0][1]} (and {len(errors) - 1} more cannot be used: {others})")
    if errors:
        raise errors[0][1]
    return facts


def _look_up(source, info, entry):
    if "channels" in info:
        return Facts((None, None, None), None, (), [])
    paths = list_entry(source, entry)
    keys = find_keys(entry, [path.stem for path in paths])
    return Facts(keys, entry.fps, (), _whole_views(info, entry, paths))


def list_entry(source, entry):
    """Return the files of an Entry's frames, in order; MerError names its row or folder."""
    try:
        return list_frames(source / entry.path)
    except MerError as error:
        raise error.seen_from(entry.where) from None


def copy_frames(source, entry, target):
    """Copy an Entry's frames into the folder ``target``; return what ``write_set`` asks for."""
    paths = list_entry(source, entry)
    for path in paths:
        shutil.copyfile(path, target / path.name)
    return [path.stem for path in paths], None, (), None


def find_keys(entry, stems):
    """Return (onset, apex, offset) of an Entry as indices into its frames, None where it has none.

    ``entry.numbers`` says what its numbers count: "0" or "1": frames from there; "names": the last
    integer of the frames' file ``stems``; "onset": the same if the names hold onset and offset,
    else frames from the onset, the first frame. Raises MerError (row, column) for numbers that
    point at no frame or are not in order.
    """
    where, count = entry.where, len(stems)
    holds = f"{count} frame{'s' * (count > 1)}"
    if count < 3:
        what = f"{entry.path} holds {holds}, but a clip needs at least 3 (onset, apex, offset)"
        raise MerError(where, what)
    numbers = {key: getattr(entry, key) for key in KEYS}
    if all(number is None for number in numbers.values()):
        return None, None, None

    places = {int(re.findall(r"\d+", stem)[-1]): k for k, stem in enumerate(stems)}
    both_named = entry.onset in places and entry.offset in places
    if entry.numbers == "names" or (entry.numbers == "onset" and both_named):
        if len(places) < count:
            raise MerError(where, f"two frames of {entry.path} have the same last number")
        for key, number in numbers.items():
            if number is not None and number not in places:
                span = f"they go from {min(places)} to {max(places)}"
                what = f"{key} is {number}, but no frame of {entry.path} has that number ({span})"
                raise MerError(where, what)
        keys = [places.get(number) for number in numbers.values()]
    else:
        if entry.numbers == "onset" and entry.onset is None:
            raise MerError(where, "onset is empty, and the other numbers count from it; fill it in")
        first = entry.onset if entry.numbers == "onset" else int(entry.numbers)
        keys = [None if number is None else number - first for number in numbers.values()]

    if not are_key_frames(*keys, count):
        shown = [f"{key} {'(empty)' if n is None else n}" for key, n in numbers.items()]
        what = f"{', '.join(shown)} do not fit the {holds} of {entry.path}"
        rule = "onset < apex < offset must lie within them (an empty apex is found from the motion)"
        raise MerError(where, f"{what}; {rule}")
    return tuple(keys)


def are_key_frames(onset, apex, offset, count):
    """Return whether onset < apex < offset holds within ``count`` frames counted from 0; an onset
    or offset that is None is the first or last frame, an apex that is None needs room.
    """
    onset, offset = onset or 0, count - 1 if offset is None else offset
    apex = onset + 1 if apex is None else apex
    return 0 <= onset < apex < offset < count


def _check_entries(source, info, entries):
    """Raise MerError for what no dataset may have: no clips, unusable or equal names, paths that
    lead out.
    """
    if not entries:
        raise MerError(source, "no clip is left; see what the kind of import expects there")
    lower = [label.lower() for label in info["labels"]]
    for label in info["labels"]:
        if lower.count(label.lower()) > 1 or label.lower() in COLUMNS:
            raise MerError(source, f"a label cannot be called {label!r}; rename it")
    first_use = {}
    for entry in entries:
        if fault := _find_fault(info, entry):
            raise MerError(entry.where, fault)
        for what, name in (("path", entry.path), ("clip name", entry.name)):
            if before := first_use.get((what, name)):
                fault = f"the {what} {name!r} stands at {before} already; keep one of them"
                raise MerError(entry.where, fault)
            first_use[what, name] = entry.where
        for path in entry.path.split(";") if "channels" in info else [entry.path]:
            find_inside(source, path, entry.where)


def _find_fault(info, entry):
    """Return what is wrong with the names or labels of an Entry, or None."""
    name, subject, labels = entry.name, entry.subject, entry.labels
    if re.search(f"/|{UNSAFE}", name) or name.strip() != name or name in ("", ".", ".."):
        return f"the clip name {name!r} cannot be a folder's name everywhere; rename it"
    if not subject or re.search(UNSAFE, subject):
        return f"the subject is {subject!r}, but must be a name"
    if info["exclusive"] and labels is not None and len(labels) != 1:
        labels = "+".join(labels) or "none"
        return f"has the labels {labels}, but exactly one is wanted in an exclusive set"
    return None


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
    groups = {}
    for number, cells in rows:
        label = cells["label"]
        if label.lower() in groups:
            what = f"the label {label!r} stands there twice; keep one row"
            raise MerError(f"{path}, row {number}", what)
        groups[label.lower()] = cells["class"]
    names = [name for name in dict.fromkeys(groups.values()) if name]
    if len(names) < 2:
        raise MerError(path, f"names {len(names)} classes, but at least 2 are needed")

    kept = []
    for entry in entries:
        for label in entry.labels or ():
            if label.lower() not in groups:
                what = f"the label {label!r} has no row in {path.name}; add one there"
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
    return text + (f"; without labels: {bare}." if bare else ".")


def describe(name, views, labels, source, exclusive=False):
    """Return what dataset.json says of an imported set."""
    return {
        "name": name or "imported", "views": views, "labels": list(labels), "exclusive": exclusive,
        "synthetic": False,
        "licence": "that of the source; read it before passing anything on", "source": source,
    }  # fmt: skip


def check_source(source):
    """Return ``source`` as a Path; MerError if it is no folder, or has a name that no text file can
    hold.
    """
    source = Path(source)
    if not source.is_dir():
        raise MerError(source, "no such folder")
    check_name(source)
    return source


def name_some(names, most=5):
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def tell_left_out(what, names):
    """Return the sentence that counts and names what was left out, in a list; empty for nothing."""
    return [f"Left out: {len(names)} {what}: {name_some(names)}."] if names else []


def walk_folders(source, data=None):
    """Yield (folder, names of its files) below ``source``, sorted and links followed; hidden ones
    and the folder ``data`` do not count.
    """
    for folder, inner, names in os.walk(source, followlinks=True):
        folder = Path(folder)
        if data is not None and folder != source and folder.resolve() == Path(data).resolve():
            inner.clear()
            continue
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield folder, sorted(name for name in names if not name.startswith("."))


def list_folders(source, data=None):
    """Return the folders in ``source`` by number and name; hidden ones and ``data`` do not
    count.
    """
    folders = [path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")]
    if data is not None:
        folders = [path for path in folders if path.resolve() != Path(data).resolve()]

    def place(path):
        return [int(number) for number in re.findall(r"\d+", path.name)], path.name

    return sorted(folders, key=place)


def read_whole(where, cells, column, missing=MISSING):
    """Return a cell as a whole number, None where it is ``missing``; MerError names row and
    column.
    """
    text = cells.get(column, "")
    if text in missing:
        return None
    if not re.fullmatch(r"[0-9]{1,15}(\.0+)?", text):
        raise MerError(where, f"{column} is {text!r}, but must be a whole number, 0 or more")
    return int(text.split(".")[0])


def read_keys(where, cells, columns=KEYS, missing=MISSING):
    """Return {"onset": ..., "apex": ..., "offset": ...} as ``read_whole`` reads three columns."""
    numbers = [read_whole(where, cells, column, missing) for column in columns]
    return dict(zip(KEYS, numbers, strict=True))


def read_fps(where, cells, column, missing=MISSING):
    """Return a cell as frames per second, None where it is ``missing``; MerError names row and
    column.
    """
    text = cells.get(column, "")
    if text in missing:
        return None
    number = re.fullmatch(r"[0-9]{1,6}([.,][0-9]{1,6})?", text)
    if not number or not float(text.replace(",", ".")):
        raise MerError(where, f"{column} is {text!r}, but must be a number of frames per second")
    return float(text.replace(",", "."))


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
