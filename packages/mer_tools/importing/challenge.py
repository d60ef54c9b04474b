"""The 4DMR challenge's layout: folders ``seq<N>`` of frames that hold two views side by side, and a
table of labels.
"""

import re

from mer_tools.importing.common import (
    ALONE,
    check_source,
    copy_frames,
    describe,
    read_folders,
    refer_frames,
    tell_left_out,
    write_set,
)
from mer_utils import LABELS


def import_challenge(source, data, labels=None, copy=False, classes=None):
    """Make a dataset of the 4DMR challenge's layout: ``seq<N>`` folders of frames that hold two
    views side by side.

    ``labels`` is a table Id, Negative, Positive, Repression, Surprise, Others (0 or 1) and perhaps
    Subject, whose Id is the first integer of a folder's name. Folders without a row have no labels.
    ``classes``: see ``regroup``. Returns sentences to print. Raises MerError.
    """
    source = check_source(source)
    entries, _, left_out = read_folders(
        source, data, labels, "Id", "Subject", LABELS, _first_number
    )
    about = "mer import 4dme-challenge: seq folders of side-by-side frames"
    info = describe("4DMR challenge", 2, LABELS, about)
    info["licence"] = "4DME: only under its licence of the University of Oulu; not to be passed on"
    said = write_set(source, data, info, entries, classes, copy_frames if copy else refer_frames)
    said += tell_left_out("folders without a number in their names", left_out)
    alone = sum(entry.subject == entry.name for entry in entries)
    return said + ([ALONE.format(alone)] if alone else [])


def _first_number(name):
    number = re.search(r"\d+", name)
    return int(number.group()) if number else None
