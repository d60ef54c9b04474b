"""What clips are learnt by: labels in words or flags, action units (AUs), and tables of classes."""

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from mer_tools.importing.tables import PUBLISHED, need_columns, read_table
from mer_utils import LABELS, MerError

MISSING = ("", "/", "NaN", "nan")  # what stands in other people's tables where nothing is known
FEWEST, PEOPLE = 5, 2  # clips and people that an AU needs to be learnt
AU = re.compile(r"(?:AU)?([LRB]?)(0?[1-9][0-9]?)[A-E]?(\(k\))?", re.IGNORECASE)
# spaces that belong to one AU, as in "AU 4", "L 7" and "4 (k)"
INNER_SPACE = re.compile(r"(?<!\d)(AU|[LRB])\s+(?=[LRB\d])|\s+(?=\()", re.IGNORECASE)
BETWEEN = re.compile(r"\s*[+,;＋，；、]\s*|\s+")


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
    """Return the action units of a cell such as "AU4(k)+L7, 12B" as ((side, number), ...).

    A side is "L", "R", "B" (both) or "". Intensities, A to E, and static AUs, marked (k), are
    dropped. Raises MerError for what is no such text, and for "R14 or R17".
    """
    if re.search(r"\bor\b", text, re.IGNORECASE):
        raise MerError(f"{text!r}", "leaves open which action unit moved; keep one of them")
    joined, aus = INNER_SPACE.sub(r"\1", text.strip()), []
    for part in BETWEEN.split(joined) if joined else ():
        match = AU.fullmatch(part)
        if match is None:
            what = f"{part!r} is no action unit such as AU4, L7, 12B or R12(k)"
            raise MerError(f"{text!r}", what)
        side, number, static = match.groups()
        if not static:
            aus.append((side.upper(), int(number)))
    return tuple(aus)


def list_aus(aus):
    """Return the distinct numbers of AUs as ``parse_aus`` returns them, in order."""
    return sorted({number for _, number in aus or ()})


def find_classes(name):
    """Return the path of a table of classes: a published one's by its name, or a file's."""
    tables = {
        path.stem.removesuffix("_classes"): path
        for path in sorted(PUBLISHED.glob("*.csv"))
        if path.read_text(encoding="utf-8").startswith(("au,", "label,class"))
    }
    path = tables.get(str(name), Path(name))
    if not path.exists():
        names = ", ".join(["au", *tables])
        raise MerError(name, f"no such file, and no table of classes has this name: {names}")
    return path


def regroup(entries, info, classes):
    """Give Entries other labels: the classes of a table, or their AUs. Return (Entries, info,
    sentences).

    ``classes`` is "au", the name of a published table, or a table's path. A table label, class
    makes exclusive classes: a label of an empty class counts as none, and a clip whose labels are
    not of exactly one class is left out and counted. A table with a column au makes these AUs the
    labels, and "au" makes all of them: ``learn_aus``. Raises one MerError for all labels without a
    row.
    """
    info = {key: value for key, value in info.items() if key != "published"}
    if classes == "au":
        return learn_aus(entries, info, classes)
    path = find_classes(classes)
    rows = read_table(path)
    if "au" in rows[0].cells:
        try:
            wanted = list_aus(parse_aus("+".join(row.cells["au"] for row in rows)))
        except MerError as error:
            raise error.seen_from(path) from None
        return learn_aus(entries, info, path.name, wanted)
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
        where = "a copy of it" if path.parent == PUBLISHED else "it"
        what = f"has no row for {names}; add them to {where}, with an empty class to leave them out"
        raise MerError(path, what)
    left_out = f"{len(entries) - len(kept)} of {len(entries)} clips left out"
    info |= {"labels": names, "exclusive": True, "classes": path.name}
    return kept, info, [f"{left_out}: not of exactly one class of {path.name}."]


def learn_aus(entries, info, name, wanted=None):
    """Make the AUs ``wanted`` (default: all) the labels of Entries, any number of them a clip;
    return (Entries, info, sentences).

    Clips without known AUs, and AUs of fewer than 5 clips or 2 people, are left out and counted.
    ``name`` is what the user called this choice. MerError where no AU is left.
    """
    known = [entry for entry in entries if entry.aus is not None]
    people = defaultdict(list)
    for entry in known:
        for number in list_aus(entry.aus):
            people[number].append(entry.subject)
    numbers = sorted(people) if wanted is None else wanted
    learnt = [n for n in numbers if len(people[n]) >= FEWEST and len({*people[n]}) >= PEOPLE]
    if not learnt:
        have = f"{len(known)} of {len(entries)} clips have AUs"
        needs = f"each AU needs {FEWEST} clips and {PEOPLE} people"
        raise MerError(name, f"no AU is left: {have}, {needs}; is their column named (aus=AU)?")

    kept = [
        replace(entry, labels=tuple(f"AU{n}" for n in list_aus(entry.aus) if n in learnt))
        for entry in known
    ]
    info = info | {"exclusive": False, "classes": name, "labels": [f"AU{n}" for n in learnt]}
    said = [f"{len(entries) - len(kept)} of {len(entries)} clips left out: no AUs are known."]
    if rare := [f"AU{n} ({len(people[n])})" for n in numbers if n not in learnt]:
        few = f"in fewer than {FEWEST} clips or {PEOPLE} people"
        said.append(f"AUs left out, {few}: {', '.join(rare)}.")
    return kept, info, said
