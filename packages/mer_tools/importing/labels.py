"""What clips are learnt by: labels in words, action units (AUs), and tables of classes."""

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from mer_tools.importing.tables import PUBLISHED, need_columns, read_table
from mer_utils import LABELS, MerError

MISSING = ("", "/", "NaN", "nan")  # what stands in other people's tables where nothing is known
FEWEST, PEOPLE = 5, 2  # clips and people that an AU needs to be learnt
# such as AU4, L7, 12B and R12 (k): side, number, and whether it is static
AU = r"(?:AU)?\s*([LRB]?)\s*0?([1-9]\d?)[A-E]?\s*(\(k\))?"
AUS = re.compile(rf"\s*{AU}(?:\s*[+,;＋，；、\s]\s*{AU})*\s*", re.IGNORECASE)


def sort_labels(names):
    """Return distinct label names: those of 4DME in the order used everywhere, then the others."""
    order = {label.lower(): k for k, label in enumerate(LABELS)}

    def place(name):
        return order.get(name.lower(), len(LABELS)), name.lower(), name

    return sorted(set(names), key=place)


def split_labels(where, text):
    """Return the label names of "Positive+Surprise" (4DME's in its own spelling), None for none."""
    if text in MISSING:
        return None
    spelling = {label.lower(): label for label in LABELS}
    names = [part.strip() for part in text.split("+")]
    if not all(names):
        what = f"the label {text!r} has an empty part; write names with + between them"
        raise MerError(where, what)
    return tuple(dict.fromkeys(spelling.get(name.lower(), name) for name in names))


def parse_aus(text):
    """Return the action units of a cell such as "AU4(k)+L7, 12B" as ((side, number), ...); None for
    what is no such text, and for "R14 or R17".

    A side is "L", "R", "B" (both) or "". Intensities, A to E, and static AUs, marked (k), are
    dropped.
    """
    if not AUS.fullmatch(text):
        return None
    units = re.findall(AU, text, re.IGNORECASE)
    return tuple((side.upper(), int(number)) for side, number, static in units if not static)


def find_classes(name):
    """Return the path of a table of classes: a published one's by its name, or a file's."""
    tables = {
        path.stem.removesuffix("_classes"): path
        for path in sorted(PUBLISHED.glob("*.csv"))
        if path.read_text(encoding="utf-8").startswith("label,class")
    }
    path = tables.get(str(name), Path(name))
    if not path.exists():
        names = ", ".join(["au", *tables])
        raise MerError(name, f"no such file, and no table of classes has this name: {names}")
    return path


def regroup(entries, info, classes):
    """Give Entries other labels: the classes of a table, or their AUs. Return (Entries, info,
    sentences).

    ``classes`` is "au" (see ``learn_aus``), a published table's name, or a path. A table (label,
    class) makes exclusive classes: a label of an empty class counts as none, and a clip whose
    labels are not of exactly one class is left out and counted. Raises one MerError for all labels
    without a row.
    """
    info = {key: value for key, value in info.items() if key != "published"}
    if classes == "au":
        return learn_aus(entries, info)
    path = find_classes(classes)
    rows = read_table(path)
    need_columns(path, rows, ["label", "class"])
    groups = {row.cells["label"].lower(): row.cells["class"] for row in rows}
    names = [name for name in dict.fromkeys(groups.values()) if name]
    if len(groups) < len(rows) or len(names) < 2:
        raise MerError(path, "needs one row for each label, and 2 classes or more")

    kept, unlisted = [], {}
    for entry in entries:
        for label in entry.labels or ():
            if label.lower() not in groups:
                unlisted.setdefault(label, entry.where.rpartition(", ")[2])
        classes = {groups.get(label.lower()) for label in entry.labels or ()} - {""}
        if entry.labels is None or len(classes) == 1:
            kept.append(replace(entry, labels=entry.labels and tuple(classes)))
    if unlisted:
        names = ", ".join(f"{label!r} ({row})" for label, row in unlisted.items())
        what = f"has no row for {names}; add them to a copy of it, with an empty class to leave"
        raise MerError(path, f"{what} them out")
    left_out = f"{len(entries) - len(kept)} of {len(entries)} clips left out"
    info |= {"labels": names, "exclusive": True, "classes": path.name}
    return kept, info, [f"{left_out}: not of exactly one class of {path.name}."]


def learn_aus(entries, info):
    """Make their AUs the labels of Entries, any number of them a clip; return (Entries, info,
    sentences).

    Clips without known AUs, and AUs of fewer than 5 clips or 2 people, are left out and counted.
    MerError where no AU is left.
    """
    known, people = [entry for entry in entries if entry.aus is not None], defaultdict(list)
    for entry in known:
        for number in {number for _, number in entry.aus}:
            people[number].append(entry.subject)
    people = {f"AU{number}": who for number, who in sorted(people.items())}
    labels = [au for au, who in people.items() if len(who) >= FEWEST and len({*who}) >= PEOPLE]
    rare = [f"{au} ({len(who)})" for au, who in people.items() if au not in labels]
    if not labels:
        have = f"{len(known)} of {len(entries)} clips have AUs"
        needs = f"each AU needs {FEWEST} clips and {PEOPLE} people"
        raise MerError("au", f"no AU is left: {have}, {needs}; is their column named (aus=AU)?")

    kept = []
    for entry in known:
        numbers = {f"AU{number}" for _, number in entry.aus}
        kept.append(replace(entry, labels=tuple(au for au in labels if au in numbers)))
    said = [f"{len(entries) - len(kept)} of {len(entries)} clips left out: no AUs are known."]
    if rare:
        few = f"in fewer than {FEWEST} clips or {PEOPLE} people"
        said.append(f"AUs left out, {few}: {', '.join(rare)}.")
    return kept, info | {"exclusive": False, "classes": "au", "labels": labels}, said
