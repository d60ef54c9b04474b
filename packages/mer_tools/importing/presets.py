"""Sets that laboratories hold, each as a short declaration over one importer (``recordings``). Add
your own to PRESETS, and `mer import` knows it.

Layouts and columns are those that public readers of these sets describe. Where they leave something
open, a preset asks for an option or says so in its note.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from mer_tools.importing.tables import Row, read_sheets
from mer_utils import MerError

ONE_READER = "This layout was described by one reader only: look at a few clips with `mer demo`."


@dataclass(frozen=True)
class Preset:
    """What is known of a set: ``folders`` are templates of a clip's folder below the set's, with
    options of a ``recordings.Layout`` that hold for this one only; ``options`` hold for all. The
    table is found by its ``columns`` (see Layout; {}: there is none).
    """

    title: str  # also the name in published_counts.csv
    folders: dict[str, dict]
    columns: dict[str, str] = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    prepare: Callable | None = None  # prepare(path, rows) may change a table's Rows
    asks: dict[str, str] = field(default_factory=dict)  # options a user has to give, and why
    classes: str = ""  # a table of classes that suits the labels (published/)
    note: str = ""  # ends the report


def join_naming_rules(path, rows):
    """Give the Rows of CAS(ME)^2's table names of columns and a Folder: from subject 1 and
    disgust1_1, by the sheets "naming rule1" (15, s15, 1) and "naming rule2" (0101, disgust1), to
    s15/15_0101.
    """
    sheets = read_sheets(path)
    if missing := {"naming rule1", "naming rule2"} - sheets.keys():
        raise MerError(path, f"has no sheet {min(missing)!r}, which leads from names to folders")
    people = {subject: (folder, number) for number, folder, subject, *_ in sheets["naming rule1"]}
    films = {film: code.zfill(4) for code, film, *_ in sheets["naming rule2"]}
    joined = []
    for number, cells in rows:
        cells = {EVENT_SHEET.get(name, name): text for name, text in cells.items()}
        folder, person = people.get(cells["Subject"], ("", ""))
        code = films.get(cells["Filename"].rpartition("_")[0])
        joined.append(Row(number, cells | {"Folder": f"{folder}/{person}_{code}" if code else ""}))
    return joined


# names of columns, as several sets have them; case, spaces and signs make no difference
CODED = {
    "label": "Estimated Emotion", "aus": "Action Units",
    "onset": "OnsetFrame", "apex": "ApexFrame", "offset": "OffsetFrame",
}  # fmt: skip
EVENT_SHEET = {  # of CAS(ME)^2, which has no header
    f"column {k}": name
    for k, name in enumerate("Subject Filename Onset Apex Offset AU Emotion Type Felt".split(), 1)
}
EVENTS = {"label": "Emotion", "aus": "AU", "onset": "Onset", "apex": "Apex", "offset": "Offset"}

PRESETS = {
    "casme2": Preset(
        "CASME II",
        folders={
            "CASME2_RAW_selected/sub{Subject:0>2}/{Filename}": {},
            "Cropped/sub{Subject:0>2}/{Filename}": {},
            "sub{Subject:0>2}/{Filename}": {},
        },
        columns={"subject": "sub{Subject:0>2}"} | CODED,
        options={"fps": 200, "cropped": "reg_", "name": "sub{Subject:0>2}_{Filename}"},
        classes="five_casme2",
    ),
    "samm": Preset(
        "SAMM",
        folders={"{Subject:0>3}/{Filename}": {}},
        columns={"subject": "{Subject:0>3}"} | CODED,
        options={"fps": 200, "name": "{Filename}"},
        classes="five_samm",
    ),
    "smic": Preset(
        "SMIC",
        folders={
            "HS/{subject}/micro/{label}/{clip}": {"fps": 100, "published": "SMIC HS"},
            "VIS/{subject}/micro/{label}/{clip}": {"fps": 25},
            "NIR/{subject}/micro/{label}/{clip}": {"fps": 25},
            "{subject}/micro/{label}/{clip}": {},
        },
        options={"cropped": "reg_", "name": "{clip}"},
    ),
    "smic-e": Preset(
        "SMIC-E",
        folders={
            "HS_long/SMIC-HS-E/s{Subject:0>2}/{Filename}": {"fps": 100},
            "SMIC-HS-E/s{Subject:0>2}/{Filename}": {"fps": 100},
            "s{Subject:0>2}/{Filename}": {},
        },
        columns={"subject": "s{Subject:0>2}", "label": "Emotion"}
        | {"onset": "OnsetF", "offset": "OffsetF"},
        options={"around": 0, "name": "{Filename}"},
        note=ONE_READER,
    ),
    "casme": Preset(
        "CASME",
        folders={"sub{Subject:0>2}/{Filename}": {}},
        columns=EVENTS
        | {"subject": "sub{Subject:0>2}"}
        | {"onset": "OnsetF", "apex": "ApexF1", "offset": "OffsetF"},
        options={"fps": 60},
        asks={
            "numbers": "it is not certain how the frames of CASME are named; look into a folder and"
            " say --numbers names if the names hold the numbers of the table, else --numbers 1"
        },
    ),
    "casme-sq": Preset(
        "CAS(ME)^2",
        folders={"rawpic/{Folder}*": {}, "{Folder}*": {}},
        columns={"subject": "s{Subject:0>2}"} | EVENTS,
        prepare=join_naming_rules,
        options={
            "fps": 30, "around": 0, "only": {"Type": "micro-expression"},
            "name": "s{Subject:0>2}_{Filename}", "sheet": "CASFEcode_final", "header_row": 0,
        },
    ),
    "casme3": Preset(
        "CAS(ME)^3 part A",
        folders={
            "{Subject}/{Filename}/color": {"around": 0, "name": "{Subject}_{Filename}"},
            "Part_A_ME_clip/frame/{Subject}_{Filename}_{Onset}": {"numbers": "onset"},
            "frame/{Subject}_{Filename}_{Onset}": {"numbers": "onset"},
        },
        columns={"subject": "{Subject}"} | EVENTS,
        options={"fps": 30},
    ),
    "casme3c": Preset(
        "CAS(ME)^3 part C",
        folders={"{sub:0>2}/{count}/color": {}},
        columns={"subject": "{sub:0>2}", "label": "emotion", "aus": "au"}
        | {"onset": "onset", "offset": "offset"},
        options={"fps": 30, "around": 0, "name": "{sub:0>2}_{count}"},
        note=ONE_READER,
    ),
    "mmew": Preset(
        "MMEW",
        folders={
            "Micro_Expression/{Estimated Emotion}/{Filename}": {},
            "{Estimated Emotion}/{Filename}": {},
        },
        columns={"subject": "S{Subject:0>2}"} | CODED,
        options={"fps": 90, "name": "{Filename}"},
        note=ONE_READER,
    ),
}  # fmt: skip
