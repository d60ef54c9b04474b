"""The composite of MEGC 2019: clips of CASME II, SAMM and SMIC, to which a list gives classes."""

import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from mer_tools.importing.common import Entry, describe, name_some, write_set
from mer_tools.importing.presets import PRESETS
from mer_tools.importing.recordings import import_preset
from mer_tools.importing.tables import read_table
from mer_utils import MerError
from mer_utils.dataset import open_dataset

CLASSES = {"0": "Negative", "1": "Positive", "2": "Surprise"}


def import_megc2019(data, casme2, samm, smic, table):
    """Make a dataset of the clips that ``table`` lists: without a header, dataset (casme2, samm or
    smic), subject, clip, and class (0 Negative, 1 Positive, 2 Surprise).

    Each set is imported by its preset from the folder that holds it; of several kinds of frames the
    preset's first are taken. Returns sentences to print. Raises MerError, one for all rows that
    name no clip or no class.
    """
    folders = {"casme2": casme2, "samm": samm, "smic": smic}
    folders = {dataset: Path(folder).resolve() for dataset, folder in folders.items()}
    source, clips, said = Path(os.path.commonpath(folders.values())), {}, []
    for dataset, folder in folders.items():
        paragraph, entries = _import_alone(dataset, folder, source)
        said.append(f"{dataset}: {paragraph}")
        for entry in entries:
            path = Path(entry.path)
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


def _import_alone(dataset, folder, source):
    """Return what the import of one set says, and its clips as Entries below ``source``."""
    preset = replace(PRESETS[dataset], classes="")  # the list's classes count
    first = next(iter(preset.folders)).partition("/")[0]
    options = {"folder": first if (folder / first).is_dir() else "", "skip_faulty": True}
    with tempfile.TemporaryDirectory() as place:
        said = import_preset(preset, folder, Path(place, "new"), **options)
        clips, entries = open_dataset(Path(place, "new")).clips, []
    for clip in clips:
        path = clip.folder.relative_to(source).as_posix()
        about = {name: getattr(clip, name) for name in ("onset", "apex", "offset", "fps")}
        about |= {"cropped": clip.boxes is not None, "dataset": dataset}
        entries.append(Entry(clip.name, clip.subject, None, path, "", **about))
    return said[0], entries


def _key(dataset, subject, clip):
    """Return what a clip is recognised by, whether its subject is called 1, 01 or sub01."""
    return dataset.lower(), re.sub("^[a-z]*0*", "", subject.lower()), clip.lower()
