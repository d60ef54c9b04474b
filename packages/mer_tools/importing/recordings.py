"""Frames in folders, or films, that a table lists: CASME II, SAMM, SMIC, your own."""

import re
from collections import Counter, defaultdict
from dataclasses import replace
from fnmatch import fnmatch
from itertools import chain, pairwise
from pathlib import Path
from typing import Literal

from mer_tools.importing import common
from mer_tools.importing.common import KEYS, Entry, Rate, Whole, tell_left_out
from mer_tools.importing.films import is_film, read_video, video_fps
from mer_tools.importing.labels import MISSING, parse_aus, sort_labels, split_labels
from mer_tools.importing.tables import PUBLISHED, Row, find_table, need_columns, read_table
from mer_utils import LABELS, MerError, checked
from mer_utils.dataset import FRAME_TYPES

Column = Literal["subject", "label", "onset", "apex", "offset", "fps", "aus"]


@checked
class Layout:
    """Where the clips of a set lie and what its table says of them; presets are made of these.

    ``folder`` is a clip's folder or film below the source, made of the table's own columns;
    ``name`` is the clip's name, by default made of its folder. ``columns`` maps subject, label
    ("a+b" for several), onset, apex, offset, fps and aus (action units) to the table's names
    (default: the same names); the subject may be a template, too: "{dataset}_{Subject}".
    ``numbers``: what key frames count, see ``common.find_keys``.

    Rows that share a folder or film become clips that are cut from onset to offset and named with
    the onset; with ``around`` every clip is cut, and so many frames more are kept on both sides.
    """

    folder: str = "{clip}"  # as "sub{Subject:0>2}/{Filename}"; a "*" stands for any letters
    columns: dict[Column, str] | None = None
    name: str = ""
    views: Literal[1, 2] = 1
    numbers: Literal["names", "0", "1", "onset"] = "names"
    exclusive: bool = True  # exactly one label a clip
    fps: Rate | None = None  # where the table says nothing
    cropped: bool | str = False  # frames, or those whose names begin so, are face crops: no box
    header_row: Whole | None = None  # see ``read_table``
    sheet: str = ""  # of an XLSX file; by default the first
    only: dict[str, str] | None = None  # {column: text}; rows with another text are left out
    around: Whole | None = None
    nearest_frame: bool = False  # take the nearest frame for a key frame that is lost
    skip_faulty: bool | None = None  # leave out rows that cannot be used; see ``write_set``
    published: str = ""  # name in published_counts.csv; by default a Preset's title


def import_frames(
    source, data, table=None, folder="", columns=None, classes=None, copy=False, jobs=1, **options
):
    """Make a dataset of folders of frames, or of films, that a CSV or XLSX ``table`` lists. Without
    a table they are the folders that fit the pattern ``folder``, which has {subject}, {clip} and
    perhaps {label}.

    ``folder``, ``columns`` and ``options`` are those of a Layout. ``copy``: frames are copied, not
    referenced; films are decoded in either case. ``classes``: see ``labels.regroup``. Returns
    sentences to print. Raises MerError.
    """
    layout, source = Layout(folder or "{clip}", columns, **options), common.check_source(source)
    where = layout.header_row, layout.sheet
    rows = read_table(table, *where) if table else list_rows(source, layout.folder)
    info = {"name": source.resolve().name, "source": "mer import frames: frames or films"}
    return import_rows(source, data, table, rows, layout, info, classes, copy, jobs)


def import_preset(preset, source, data, table=None, classes=None, copy=False, jobs=1, **options):
    """Make a dataset of a set that a Preset of ``presets.py`` describes; ``options`` are those of
    ``read_preset``. Returns one paragraph to print. Raises MerError.
    """
    source = common.check_source(source)
    table, rows, layout = read_preset(preset, source, table, **options)
    published = layout.published or preset.title
    counts = read_table(PUBLISHED / "published_counts.csv")
    counts = [f"{c['count']} {c['what']}" for _, c in counts if c["set"] == published]
    info = {"name": preset.title, "source": f"a preset of mer import: {preset.title}"}
    info |= {"published": published} if counts else {}
    said = import_rows(source, data, table, rows, layout, info, classes, copy, jobs)
    said[1:1] = [f"Published: {', '.join(counts)}."] if counts else []
    taken = [Path(table).name] if table else []
    said.append(f"Taken: {', '.join([*taken, f'folders as {layout.folder}'])}.")
    if preset.classes and not classes:
        said.append(f"Classes of published results: --classes {preset.classes}.")
    return [" ".join([*said, preset.note]).strip()]


def read_preset(preset, source, table=None, folder="", columns=None, **options):
    """Return (path of the table or None, its Rows or those of ``list_rows``, Layout) of a set that
    a Preset describes.

    ``table``: by default the one in ``source`` that has the preset's columns. ``folder``: one of
    the preset's templates, or how it begins, or another. ``columns`` and ``options`` go before
    those of the preset's Layout. Raises MerError, also where the preset does not know something for
    certain and no option says it.
    """
    for option in preset.asks.keys() - options.keys():
        raise MerError(source, preset.asks[option])
    columns, rows = preset.columns | (columns or {}), []
    if columns:
        known = preset.options | options
        where = {key: known[key] for key in ("header_row", "sheet") if key in known}
        needed = [name for key, name in columns.items() if key != "aus"]
        needed = list_fields(*needed, next(iter(preset.folders)))
        table, rows = find_table(table or source, needed, **where)
        rows = preset.prepare(table, rows) if preset.prepare else rows
        columns = {key: name for key, name in columns.items() if key != "aus" or name in rows[0][1]}
    folder = _choose_folder(preset, source, table, rows, folder)
    options = preset.options | preset.folders.get(folder, {}) | options
    layout = Layout(folder, columns, **options)
    if layout.fps is None:
        raise MerError(source, "how many frames a second this part has is not known; say --fps")
    return table, rows or list_rows(source, folder), layout


def list_fields(*templates):
    """Return the columns that templates name in braces; of a text without braces, itself."""
    fields = (re.findall(r"\{([^:{}]+)", template) or [template] for template in templates)
    return list(dict.fromkeys(chain(*fields)))


def _choose_folder(preset, source, table, rows, wanted):
    """Return the one folder template of a Preset under which folders exist, or raise MerError."""

    def fits(folder):
        if not table:
            return bool(list_rows(source, folder))
        paths = (find_folder(source, _fill_in(table, folder, cells), table) for _, cells in rows)
        return any((source / path).is_dir() for path in paths)

    templates = [folder for folder in preset.folders if folder.startswith(wanted)] or [wanted]
    fitting = [folder for folder in templates if fits(folder)]
    if not fitting:
        what = f"has no folders of clips as {' or '.join(templates)}; give another, or --folder"
        raise MerError(source, what)
    if len(fitting) > 1:
        what = f"fits {' and '.join(fitting)}; choose one: --folder {fitting[0].partition('{')[0]}"
        raise MerError(source, what)
    return fitting[0]


def list_rows(source, pattern):
    """Return Rows of the folders with frames that fit a ``pattern`` such as
    "{subject}/{label}/{clip}": in the place of its number a row has its folder.
    """
    expression = common.compile_pattern(pattern)
    folders = (path for path in list_clips(source, source) if (source / path).is_dir())
    fits = {path: expression.fullmatch(path) for path in folders}
    return [Row(path, fit.groupdict()) for path, fit in fits.items() if fit]


def list_clips(source, start):
    """Return the paths below ``source`` of folders with frames, and of films, in ``start``."""
    paths = []
    for folder, names in common.walk_folders(start):
        if any(Path(name).suffix.lower() in FRAME_TYPES for name in names):
            paths.append(folder)
        paths += [folder / name for name in names if is_film(name)]
    return [path.relative_to(source).as_posix() for path in paths if path != source]


def import_rows(source, data, table, rows, layout, about, classes=None, copy=False, jobs=1):
    """Write the dataset of a table's Rows, or of those of ``list_rows``; return sentences.
    ``about`` are keys of dataset.json.
    """
    if not rows:
        raise MerError(source, f"has no folder of frames that fits the pattern {layout.folder!r}")
    need_columns(table, rows, layout.only or {})
    said, left_out = [], {"rows of text": [row for row in rows if _is_text(row.cells)]}
    for column, text in (layout.only or {}).items():
        others = [row for row in rows if row.cells[column].lower() != text.lower()]
        left_out[f"rows whose {column} is not {text}"] = others
    for what, out in left_out.items():
        said += tell_left_out(what, [f"row {row.number}" for row in out])
        rows = [row for row in rows if row not in out]
    entries, mended = read_entries(source, table, rows, layout)
    clips = [entry for entry in entries if isinstance(entry, Entry)]
    labels = sort_labels(label for entry in clips for label in entry.labels or ()) or LABELS
    info = common.describe(about["name"], layout.views, labels, "", layout.exclusive) | about

    skip = layout.skip_faulty
    written = common.write_set(source, data, info, entries, classes, copy, jobs, skip)
    paths = {entry.path for entry in clips}
    if films := sum(map(is_film, paths)):
        rest = "" if films == len(paths) else ", and the frames of the others copied"
        written.append(f"{films} films were decoded{rest}.")
    what = f"have no row in {Path(table).name}" if table else f"do not fit {layout.folder}"
    # only from where the template varies: another kind of frames may lie beside
    start = source / layout.folder.partition("{")[0].rpartition("/")[0]
    unlisted = sorted({*list_clips(source, start)} - paths)
    unlisted = tell_left_out(f"folders or films that {what}", unlisted)
    return [written[0], *said, *mended, *written[1:], *unlisted]


def _is_text(cells):
    """Return whether a row holds one text alone, such as a note below the table."""
    return len(cells) > 3 and sum(map(bool, cells.values())) == 1


def read_entries(source, table, rows, layout):
    """Return the Entries of a table's Rows, each an Entry or the MerError (file and row) that says
    why it is none; and sentences about what was mended. Raises MerError for what concerns all rows.
    """
    columns = {"subject": "subject"} | (layout.columns or {})
    need_columns(table, rows, [name for name in columns.values() if "{" not in name])
    columns = {key: key for key in ("label", *KEYS, "fps", "aus")} | columns
    subject = columns["subject"]
    fields = list_fields(layout.folder, layout.name, subject)
    # 1 of one set is not 1 of the next; a template may say so itself
    joined = [] if "{" in subject else [key for key in rows[0].cells if key.lower() == "dataset"]

    entries, spelling, people, unread = [], {}, defaultdict(set), []
    for number, cells in rows:
        where = f"{table}, row {number}" if table else str(source / number)
        path, name = (_fill_in(where, text, cells) for text in (layout.folder, layout.name))
        person = _fill_in(where, subject, cells) if "{" in subject else cells[subject]
        try:
            if empty := [field for field in fields if cells.get(field) == ""]:
                what = "is empty; fill it in (a merged cell counts for its first row only)"
                raise MerError(where, f"{empty[0]} {what}")
            found = find_folder(source, path, where)
            film = is_film(found)
            labels = split_labels(where, cells.get(columns["label"], ""))
            numbers = common.read_numbers(where, cells, columns)
            if film and layout.numbers == "names" and any(numbers[key] for key in KEYS):
                what = f"the frames of the film {found} have no names; count them from 0 or 1"
                raise MerError(where, what)
        except MerError as error:
            entries.append(error)
            continue
        people[person].add(" ".join(map(cells.get, list_fields(subject))))
        text = cells.get(columns["aus"], "")
        aus = parse_aus(text)
        entry = Entry(
            name=name or found.removesuffix(Path(found).suffix * film).replace("/", "_"),
            subject=person,
            labels=labels and tuple(spelling.setdefault(name.lower(), name) for name in labels),
            path=found,
            where=where,
            numbers=layout.numbers,
            aus=aus,
            cropped=layout.cropped,
            nearest=layout.nearest_frame,
            dataset="".join(cells[key] for key in joined),
            make=decode_film if film else None,
            **numbers | {"fps": numbers["fps"] or layout.fps},
        )
        entries.append(entry)
        if aus is None and text not in MISSING:
            unread.append(f"{common.shorten(entry)} {text!r}")
    several = {who: ", ".join(sorted(ways)) for who, ways in people.items() if len(ways) > 1}
    alike = common.name_some([f"{ways} are {who}" for who, ways in several.items()])
    said = [f"One person in several spellings: {alike}."] if several else []
    said += tell_left_out("cells of AUs that cannot be read", unread)
    entries, overlaps = _cut_clips(entries, layout.around)
    return entries, said + overlaps


def _cut_clips(entries, around):
    """Return Entries, of which those that are parts of a recording are to be cut and are named with
    their onsets: all if ``around`` is given, else those that share a folder or film; and a sentence
    about those that share frames.
    """
    shared = Counter(entry.path for entry in entries if isinstance(entry, Entry))
    cut, parts = [], []
    for entry in entries:
        if isinstance(entry, Entry) and (around is not None or shared[entry.path] > 1):
            if entry.onset is None or entry.offset is None:
                what = f"is to be cut out of {entry.path} and needs onset and offset; fill them in"
                entry = MerError(entry.where, f"the clip {what}")
            else:
                name = f"{entry.name}_{entry.onset}"
                entry = replace(entry, around=around or 0, name=name)
                parts.append((entry.path, entry.onset, entry.offset, common.shorten(entry)))
        cut.append(entry)
    pairs = pairwise(sorted(parts))
    twice = [f"{a[3]} and {b[3]}" for a, b in pairs if a[0] == b[0] and b[1] <= a[2]]
    said = f"LOOK: {len(twice)} pairs of clips share frames: {common.name_some(twice)}."
    return cut, [said] * bool(twice)


def find_folder(source, text, where):
    """Return ``text``, or the only path below ``source`` that differs from it in case alone or fits
    its "*"; ``text`` again where there is none. MerError (``where``) if there are several.
    """
    if (source / text).exists():
        return text
    found = [source]
    for part in text.lower().split("/"):
        inner = [path for folder in found if folder.is_dir() for path in folder.iterdir()]
        found = [path for path in inner if fnmatch(path.name.lower(), part)]
    names = sorted(path.relative_to(source).as_posix() for path in found)
    if len(names) > 1:
        raise MerError(where, f"{text} may be {' or '.join(names[:3])}; rename all but one")
    return names[0] if names else text


def _fill_in(where, template, cells):
    """Return the path that a template such as "sub{Subject:0>2}/{Filename}" makes of a row."""
    try:
        return template.format_map(cells)
    except (KeyError, ValueError, AttributeError, IndexError) as error:
        what = f"cannot be read ({error}); the table has {', '.join(cells)}"
        what = f"the template {template!r} {what}; write as sub{{Subject:0>2}}/{{Filename}}"
        raise MerError(where, what) from None


def decode_film(path, target):
    """Write a film's frames into the folder ``target``; see ``Entry.make``."""
    return common.write_frames(read_video(path), target), video_fps(path), [], []
