"""The composite of MEGC 2019: clips of CASME II, SAMM and SMIC, to which a list gives one of three
classes.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

from mer_tools.importing.common import (
    Entry,
    check_source,
    copy_frames,
    describe,
    name_some,
    refer_frames,
    write_set,
)
from mer_tools.importing.recordings import Layout, read_entries
from mer_tools.importing.tables import read_table
from mer_utils import MerError

CLASSES = {"0": "Negative", "1": "Positive", "2": "Surprise"}
COLUMNS = {
    "subject": "Subject",
    "onset": "OnsetFrame",
    "apex": "ApexFrame",
    "offset": "OffsetFrame",
}
SPACED = COLUMNS | {key: f"{key.title()} Frame" for key in ("onset", "apex", "offset")}
MISSING = ("", "/", "-1", "0")
LAYOUTS = {
    "casme2": Layout("sub{Subject:0>2}/{Filename}", COLUMNS, fps=200),
    "samm": Layout("{Subject:0>3}/{Filename}", SPACED, fps=200, missing=MISSING, header_row=14),
}


def import_megc2019(data, casme2, samm, smic, table, copy=False):
    """Make a dataset of the clips that ``table`` lists: without a header, dataset (casme2, samm or
    smic), subject, clip, and class (0 Negative, 1 Positive, 2 Surprise).

    ``casme2`` and ``samm`` hold a set's spreadsheet and its frames, or one folder of these;
    ``smic`` holds s1/micro, s2/micro, ... or HS. ``copy``: frames are copied, not referenced.
    Returns sentences to print. Raises MerError, one for all rows that name no clip or no class.
    """
    casme2, samm, smic = (check_source(folder).resolve() for folder in (casme2, samm, smic))
    source = Path(os.path.commonpath([casme2, samm, smic]))
    clips = {}
    for entry in (*_read_set("casme2", casme2), *_read_set("samm", samm), *_read_smic(smic)):
        path = Path(entry.path).relative_to(source)
        for name in (path.name, entry.name):  # lists write EP02_01f or sub01_EP02_01f
            key = _key(entry.dataset, entry.subject, name)
            clips[key] = replace(entry, path=path.as_posix())

    rows, entries, faults = read_table(table), [], []
    first = 1, [*rows[0].cells]  # no header
    for number, cells in [first, *((row.number, [*row.cells.values()]) for row in rows)]:
        dataset, subject, clip, kind = (*cells, "", "", "")[:4]
        entry, where = clips.get(_key(dataset, subject, clip)), f"{table}, row {number}"
        if entry and kind in CLASSES:
            entries.append(replace(entry, labels=(CLASSES[kind],), where=where))
        else:
            faults.append(f"row {number} ({', '.join(cells)})")
    if faults:
        what = f"{len(faults)} rows name no clip of the three sets, or no class 0, 1 or 2"
        raise MerError(table, f"{what}: {name_some(faults, 20)}")
    about = "mer import megc2019: frames of CASME II, SAMM and SMIC"
    info = describe("megc2019", 1, CLASSES.values(), about, exclusive=True)
    make = copy_frames if copy else refer_frames
    return write_set(source, data, info | {"published": "MEGC2019"}, entries, make=make)


def _key(dataset, subject, clip):
    """Return what a clip is recognised by, whether its subject is called 1, 01 or sub01."""
    return dataset.lower(), re.sub("^[a-z]*0*", "", subject.lower()), clip.lower()


def _read_set(dataset, folder):
    """Return the Entries of a set with a spreadsheet in ``folder``; their paths are whole."""
    layout = LAYOUTS[dataset]
    sheet = _find_one(folder, "spreadsheet (.xlsx)", folder.glob("[!.~]*.xlsx"))
    entries = read_entries(sheet, read_table(sheet, layout.header_row), layout)
    tops = [top for top in (folder, *folder.iterdir()) for e in entries if (top / e.path).is_dir()]
    top = _find_one(folder, f"folder of clips such as {entries[0].path}", tops)
    about = {"dataset": dataset, "cropped": "crop" in top.name.lower()}
    paths = [top / entry.path for entry in entries]
    return [
        replace(entry, path=str(path), subject=path.parent.name, **about)
        for entry, path in zip(entries, paths, strict=True)
    ]


def _find_one(folder, what, paths):
    """Return the only one of ``paths`` in ``folder``; MerError for several or none."""
    paths = sorted(set(paths))
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        raise MerError(folder, f"must hold one {what}, but has {names}")
    return paths[0]


def _read_smic(folder):
    """Return the Entries of SMIC, face crops from onset to offset; their paths are whole."""
    top = folder / "HS" if (folder / "HS").is_dir() else folder
    about = {"dataset": "smic", "fps": 100, "cropped": True}
    return [
        Entry(path.name, path.parts[-4], None, str(path), str(path), **about)
        for path in sorted(top.glob("s*/micro/*/*"))
    ]
