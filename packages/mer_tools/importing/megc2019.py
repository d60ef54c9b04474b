"""The composite of MEGC 2019: clips of CASME II, SAMM and SMIC, to which a list gives classes."""

import os
import re
from dataclasses import replace
from pathlib import Path

from mer_tools.importing.common import Entry, check_source, describe, name_some, write_set
from mer_tools.importing.presets import PRESETS
from mer_tools.importing.recordings import read_entries, read_preset
from mer_tools.importing.tables import read_table
from mer_utils import MerError

CLASSES = {"0": "Negative", "1": "Positive", "2": "Surprise"}


def import_megc2019(data, casme2, samm, smic, table):
    """Make a dataset of the clips that ``table`` lists: without a header, dataset (casme2, samm or
    smic), subject, clip, and class (0 Negative, 1 Positive, 2 Surprise).

    Each set is imported by its preset from the folder that holds it; of several kinds of frames the
    preset's first are taken. Returns sentences to print. Raises MerError, one for all rows that
    name no clip or no class.
    """
    folders = {"casme2": casme2, "samm": samm, "smic": smic}
    folders = {dataset: check_source(folder).resolve() for dataset, folder in folders.items()}
    source, clips, said = Path(os.path.commonpath(folders.values())), {}, []
    for dataset, folder in folders.items():
        preset, inner = PRESETS[dataset], folder.relative_to(source).as_posix()
        first = next(iter(preset.folders)).partition("/")[0]
        first = first if (folder / first).is_dir() else ""
        sheet, rows, layout = read_preset(preset, folder, folder=first)
        entries, mended = read_entries(folder, sheet, rows, layout)
        said.append(" ".join([f"{dataset}: {len(rows)} clips as {layout.folder}.", *mended]))
        for entry in (entry for entry in entries if isinstance(entry, Entry)):
            path = Path(entry.path)
            entry = replace(entry, path=f"{inner}/{path.as_posix()}", dataset=dataset)
            for name in (path.name, f"{path.parent.name}_{path.name}"):  # lists write either
                clips[_key(dataset, entry.subject, name)] = entry

    entries, faults = [], []
    for number, cells in read_table(table, header_row=0):
        dataset, subject, clip, kind = (*cells.values(), "", "", "")[:4]
        entry, where = clips.get(_key(dataset, subject, clip)), f"{table}, row {number}"
        if entry and kind in CLASSES:
            entries.append(replace(entry, labels=(CLASSES[kind],), where=where))
        else:
            faults.append(f"row {number} ({', '.join(cells.values())})")
    if faults:
        what = f"{len(faults)} rows name no usable clip of the three sets, or no class 0, 1 or 2"
        raise MerError(table, f"{what}: {name_some(faults, 20)}")
    about = "mer import megc2019: frames of CASME II, SAMM and SMIC"
    info = describe("megc2019", 1, CLASSES.values(), about, exclusive=True)
    return write_set(source, data, info | {"published": "MEGC2019"}, entries) + said


def _key(dataset, subject, clip):
    """Return what a clip is recognised by, whether its subject is called 1, 01 or sub01."""
    return dataset.lower(), re.sub("^[a-z]*0*", "", subject.lower()), clip.lower()
