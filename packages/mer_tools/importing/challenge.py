"""The 4DMR challenge's layout: folders ``seq<N>`` of frames that hold two views side by side, and a
table of labels.
"""

import re

from mer_tools.importing.common import (
    check_source,
    copy_frames,
    describe,
    read_folders,
    refer_frames,
    write_set,
)
from mer_utils import LABELS


def import_challenge(source, data, labels=None, copy=False, classes=None):
    """Make a dataset of the 4DMR challenge's layout: ``seq<N>`` folders of frames that hold two
    views side by side.

    ``labels`` is a table Id, Negative, Positive, Repression, Surprise, Others (0 or 1) and perhaps
    Subject, whose Id is the first integer of a folder's name. Folders without a row have no labels.
    ``classes``: see ``labels.regroup``. Returns sentences to print. Raises MerError.
    """
    source = check_source(source)
    columns = "Id", "Subject", LABELS
    entries, _, said = read_folders(source, data, labels, *columns, key=_first_number)
    about = "mer import 4dme-challenge: seq folders of side-by-side frames"
    info = describe("4DMR challenge", 2, LABELS, about)
    info["licence"] = "4DME: only under its licence of the University of Oulu; not to be passed on"
    make = copy_frames if copy else refer_frames
    return write_set(source, data, info, entries, classes, make) + said


def _first_number(name):
    number = re.search(r"\d+", name)
    return int(number.group()) if number else None
