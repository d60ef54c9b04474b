"""Other people's layouts become datasets: what all sources of import share."""

import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from mer_tools.importing.tables import PUBLISHED, need_columns, read_table, write_table
from mer_utils import LABELS, MerError
from mer_utils.dataset import UNSAFE, check_name, find_inside, list_frames, read_size
from mer_utils.files import new_folder, write_json
from mer_utils.jobs import run_jobs
from mer_utils.preprocessing import format_boxes

ALONE = (
    "Of {} clips the subject is not known and each counts as its own: leave-one-subject-out is "
    "then leave-one-sequence-"
    "out; one person may be in training and test, and results compare with no published ones."
)
# of a manifest: no labels
COLUMNS = ("clip", "subject", "onset", "apex", "offset", "fps", "aus", "box", "frames")
LONGEST_NAME = 200  # bytes of a clip's name: a file's name may have 255, endings and all
MISSING = ("", "/", "NaN")  # what stands in other people's tables where nothing is known


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


def write_set(source, data, info, entries, classes=None, make=None, jobs=1):
    """Write a dataset of Entries to the folder ``data`` and return sentences that say what it
    holds.

    ``make(source, entry, target)`` fills a clip's folder and returns the frames' file stems, fps
    (or None), notes and, if it knows them, the face's boxes; without it frames stay where they are,
    and ``data`` may be a folder with files but no dataset. All, or nothing.
    """
    data, said = Path(data), []
    if classes:
        entries, info, said = regroup(entries, info, classes)
    _check_entries(source, info, entries)
    if make:
        with new_folder(data) as part:
            made = run_jobs(
                _make_clip, [(make, source, info, entry, part / "clips") for entry in entries], jobs
            )
            _write_files(
                part, info, [_make_row(info, *each) for each in zip(entries, made, strict=True)]
            )
    else:
        made = _look_up_all(source, info, entries)
        rows = [
            _make_row(info, *each) | {"frames": each[0].path}
            for each in zip(entries, made, strict=True)
        ]
        info = info | {"frames": _relate(source, data)}
        if data.is_dir():
            _write_files(data, info, rows)
        else:
            with new_folder(data) as part:
                _write_files(part, info, rows)
    return [
        _count(info, entries),
        *said,
        *dict.fromkeys(note for _, _, notes, _ in made for note in notes),
    ]


def _write_files(folder, info, rows):
    """Write manifest.csv and, last, dataset.json: both, or neither."""
    manifest, about = folder / "manifest.csv", folder / "dataset.json"
    for path in (manifest, about):
        if path.exists():
            raise MerError(path, "exists already; remove it or choose a new folder for the dataset")
    bare = [key for key in ("aus", "box") if not any(row[key] for row in rows)]
    rows = [{key: value for key, value in row.items() if key not in bare} for row in rows]
    write_table(manifest, rows)
    try:
        write_json(about, info)
    except MerError:
        manifest.unlink()
        raise


def _relate(source, data):
    """Return the source's path as dataset.json keeps it: relative where one folder lies in the
    other.
    """
    source, data = source.resolve(), data.resolve()
    near = source.is_relative_to(data) or data.is_relative_to(source)
    return Path(os.path.relpath(source, data) if near else source).as_posix()


def _make_row(info, entry, made):
    (onset, apex, offset), fps, _, boxes = made
    flags = ["" if entry.labels is None else int(label in entry.labels) for label in info["labels"]]
    keys = {
        "onset": onset,
        "apex": apex,
        "offset": offset,
        "fps": None if fps is None else f"{fps:g}",
    }
    keys = {key: "" if value is None else value for key, value in keys.items()}
    labels = dict(zip(map(str.lower, info["labels"]), flags, strict=True))
    return {
        "clip": entry.name,
        "subject": entry.subject,
        **labels,
        **keys,
        "aus": entry.aus,
        "box": format_boxes(boxes),
    }


def _make_clip(make, source, info, entry, clips):
    folder = clips / entry.name
    folder.mkdir(parents=True)
    stems, fps, notes, *known = make(source, entry, folder)
    boxes = known[0] if known else _whole_views(info, entry, list_frames(folder))
    return find_keys(entry, stems), fps if entry.fps is None else entry.fps, notes, boxes


def _whole_views(info, entry, paths):
    """Return a box for each view of an Entry whose frames are face crops, else none."""
    if not entry.cropped:
        return []
    width, height = read_size(paths[0])
    return [(0, 0, width // info["views"], height)] * info["views"]


def _look_up_all(source, info, entries):
    """Return key frames, fps and no notes of each clip, its frames left where they are; one
    MerError for all faults.
    """
    made, bad = [], []
    for entry in entries:
        try:
            made.append(_look_up(source, info, entry))
        except MerError as error:
            bad.append((entry.where.rpartition(", ")[2], error))
    if len(bad) > 1:
        others = ", ".join(where for where, _ in bad[1:20]) + ", ..." * (len(bad) > 20)
        raise MerError(f"{bad[0][1]} (and {len(bad) - 1} more cannot be used: {others})")
    if bad:
        raise bad[0][1]
    return made


def _look_up(source, info, entry):
    if "channels" in info:
        return (None, None, None), None, (), []
    paths = list_entry(source, entry)
    boxes = _whole_views(info, entry, paths)
    return find_keys(entry, [path.stem for path in paths]), entry.fps, (), boxes


def list_entry(source, entry):
    """Return the files of an Entry's frames, in order; MerError names its row or folder."""
    try:
        return list_frames(source / entry.path, source)
    except MerError as error:
        raise error.seen_from(entry.where) from None


def copy_frames(source, entry, target):
    """Copy an Entry's frames into the folder ``target``; return their stems, no fps, no notes."""
    paths = list_entry(source, entry)
    for path in paths:
        shutil.copyfile(path, target / path.name)
    return [path.stem for path in paths], None, ()


def find_keys(entry, stems):
    """Return (onset, apex, offset) of an Entry as indices into its frames, None where it has none.

    ``entry.numbers`` says what its numbers count: "0" or "1": frames from there; "names": the last
    integer of the frames' file ``stems``; "onset": the same if the names hold onset and offset,
    else frames from the onset, the first frame. Raises MerError (row, column) for numbers that
    point at no frame or are not in order.
    """
    if len(stems) < 3:
        raise MerError(
            entry.where,
            f"{entry.path} holds {len(stems)} frame{'s' * (len(stems) > 1)}, but "
            "a clip needs at least "
            "3 (onset, apex, offset)",
        )
    given = {"onset": entry.onset, "apex": entry.apex, "offset": entry.offset}
    if not any(value is not None for value in given.values()):
        return None, None, None
    places = {int(re.findall(r"\d+", stem)[-1]): k for k, stem in enumerate(stems)}
    if entry.numbers == "names" or (
        entry.numbers == "onset" and {entry.onset, entry.offset} <= set(places)
    ):
        if len(places) < len(stems):
            raise MerError(
                entry.where, f"two frames of {entry.path} have the same last number in their names"
            )
        low, high = min(places), max(places)
        for key, value in given.items():
            if value is not None and value not in places:
                raise MerError(
                    entry.where,
                    f"{key} is {value}, but no frame of {entry.path} has that "
                    "number (they go from "
                    f"{low} to {high})",
                )
        keys = [None if value is None else places[value] for value in given.values()]
    else:
        if entry.numbers == "onset" and entry.onset is None:
            raise MerError(
                entry.where, "onset is empty, and the other numbers count from it; fill it in"
            )
        first = entry.onset if entry.numbers == "onset" else int(entry.numbers)
        keys = [None if value is None else value - first for value in given.values()]
    onset, apex, offset = keys
    start, end = onset or 0, len(stems) - 1 if offset is None else offset
    if (
        not 0 <= start < end - 1
        or end >= len(stems)
        or (apex is not None and not start < apex < end)
    ):
        shown = ", ".join(
            f"{key} {'(empty)' if value is None else value}" for key, value in given.items()
        )
        raise MerError(
            entry.where,
            f"{shown} do not fit the {len(stems)} frames of {entry.path}; onset < "
            "apex < offset must "
            "lie within them (an empty apex is found from the motion)",
        )
    return onset, apex, offset


def _check_entries(source, info, entries):
    """Raise MerError for what no dataset may have: no clips, unusable or equal names, paths that
    lead out.
    """
    if not entries:
        raise MerError(source, "no clip is left; see what the kind of import expects there")
    lower = [label.lower() for label in info["labels"]]
    for k, label in enumerate(lower):
        if label in lower[:k] or label in COLUMNS:
            raise MerError(source, f"a label cannot be called {info['labels'][k]!r}; rename it")
    names, paths = {}, {}
    for entry in entries:
        name = entry.name
        if re.search(f"/|{UNSAFE}", name) or name.strip() != name or name in ("", ".", ".."):
            raise MerError(
                entry.where,
                f"the clip name {name!r} cannot be a folder's name everywhere; rename it",
            )
        if len(name.encode()) > LONGEST_NAME:
            raise MerError(
                entry.where,
                f"the clip name {name[:40]!r}... is over {LONGEST_NAME} bytes long; shorten it",
            )
        if not entry.subject or re.search(UNSAFE, entry.subject):
            raise MerError(entry.where, f"the subject is {entry.subject!r}, but must be a name")
        if info["exclusive"] and entry.labels is not None and len(entry.labels) != 1:
            shown = "+".join(entry.labels) or "none"
            raise MerError(
                entry.where,
                f"has the labels {shown}, but exactly one is wanted in an exclusive set",
            )
        for seen, key, what in ((paths, entry.path, "path"), (names, entry.name, "clip name")):
            if key in seen:
                raise MerError(
                    entry.where,
                    f"the {what} {key!r} stands at {seen[key]} already; keep one of them",
                )
            seen[key] = entry.where
        for part in entry.path.split(";") if "channels" in info else [entry.path]:
            find_inside(source, part, entry.where)


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
        if cells["label"].lower() in groups:
            raise MerError(
                f"{path}, row {number}",
                f"the label {cells['label']!r} stands there twice; keep one row",
            )
        groups[cells["label"].lower()] = cells["class"]
    names = [name for name in dict.fromkeys(groups.values()) if name]
    if len(names) < 2:
        raise MerError(path, f"names {len(names)} classes, but at least 2 are needed")
    kept = []
    for entry in entries:
        for label in entry.labels or ():
            if label.lower() not in groups:
                raise MerError(
                    entry.where, f"the label {label!r} has no row in {path.name}; add one there"
                )
        found = {groups[label.lower()] for label in entry.labels or ()} - {""}
        if entry.labels is None or len(found) == 1:
            kept.append(replace(entry, labels=None if entry.labels is None else tuple(found)))
    info = {key: value for key, value in info.items() if key != "published"}
    said = (
        f"{len(entries) - len(kept)} of {len(entries)} clips left out: not of exactly one "
        f"class of {path.name}."
    )
    return kept, info | {"labels": names, "exclusive": True, "classes": path.name}, [said]


def _count(info, entries):
    """Return the sentence that counts clips, subjects and labels."""
    bare = sum(entry.labels is None for entry in entries)
    counts = [
        f"{name} {sum(name in (entry.labels or ()) for entry in entries)}"
        for name in info["labels"]
    ]
    people = len({entry.subject for entry in entries})
    text = f"{len(entries)} clip{'s' * (len(entries) > 1)} of {people} subject{'s' * (people > 1)}"
    if bare < len(entries):
        text += f": {', '.join(counts)}"
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


def walk_folders(source, data=None):
    """Yield (folder, names of its files) below ``source``, sorted; hidden ones and ``data`` do not
    count. Links to folders are not followed, so that no path leads out: they come as (link, None).
    """
    for folder, inner, names in os.walk(source):
        folder = Path(folder)
        if data is not None and folder != source and folder.resolve() == Path(data).resolve():
            inner.clear()
            continue
        shown = sorted(name for name in inner if not name.startswith("."))
        inner[:] = [name for name in shown if not (folder / name).is_symlink()]
        yield folder, sorted(name for name in names if not name.startswith("."))
        for name in shown:
            if (folder / name).is_symlink():
                yield folder / name, None


def tell_links(source, links):
    """Return the sentence about links to folders, in a list, empty where there are none."""
    if not links:
        return []
    names = name_some([link.relative_to(source).as_posix() for link in links])
    return [f"Left out: {len(links)} links to folders ({names}); put the files themselves there."]


def list_folders(source, data=None):
    """Return the folders in ``source`` by number and name; hidden ones and ``data`` do not
    count.
    """
    found = [path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")]
    found = [path for path in found if data is None or path.resolve() != Path(data).resolve()]
    return sorted(
        found, key=lambda path: ([int(n) for n in re.findall(r"\d+", path.name)], path.name)
    )


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


def read_fps(where, cells, column, missing=MISSING):
    """Return a cell as frames per second, None where it is ``missing``; MerError names row and
    column.
    """
    text = cells.get(column, "")
    if text in missing:
        return None
    if not re.fullmatch(r"[0-9]{1,6}([.,][0-9]{1,6})?", text) or not (
        fps := float(text.replace(",", "."))
    ):
        raise MerError(where, f"{column} is {text!r}, but must be a number of frames per second")
    return fps


def sort_labels(names):
    """Return distinct label names in the house's order (that of 4DME's), others after them by
    name.
    """
    order = [label.lower() for label in LABELS]
    return sorted(
        set(names),
        key=lambda name: ((*order, name.lower()).index(name.lower()), name.lower(), name),
    )


def read_flags(where, cells, labels):
    """Return the names of ``labels`` whose cell is 1, or None where all are empty; MerError for
    other than 0 and 1.
    """
    texts = {label: cells[label] for label in labels}
    if not any(texts.values()):
        return None
    for label, text in texts.items():
        if text not in ("0", "1"):
            raise MerError(where, f"{label} is {text!r}, but must be 0 or 1 (all empty: no labels)")
    return tuple(label for label, text in texts.items() if text == "1")


def split_labels(where, text, missing=MISSING):
    """Return the label names of "Positive+Surprise" (4DME's in its own spelling), None for none."""
    if text in missing:
        return None
    house = {label.lower(): label for label in LABELS}
    names = [part.strip() for part in text.split("+")]
    if not all(names):
        raise MerError(
            where, f"the label {text!r} has an empty part; write names with + between them"
        )
    return tuple(dict.fromkeys(house.get(name.lower(), name) for name in names))
