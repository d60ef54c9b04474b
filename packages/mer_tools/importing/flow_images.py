"""Ready-made flow images: one PNG per clip and phase, referenced, never copied."""

import re
from dataclasses import replace

from mer_tools.importing.common import (
    Entry,
    check_source,
    describe,
    sort_labels,
    tell_left_out,
    walk_folders,
    write_set,
)
from mer_utils import LABELS, MerError
from mer_utils.dataset import read_size

from PIL import Image


def import_flow_images(
    source,
    data,
    pattern="{subject}/u_test/{label}/{clip}.png",
    channels=("u", "v", "magnitude"),
    phases=1,
    labels=None,
):
    """Make a dataset of ready-made flow images: one PNG of three channels per clip and phase,
    referenced, never copied.

    ``pattern`` is a path below ``source`` with {subject}, {clip}, and optionally {label} and
    {phase}; each takes as few letters as it can, {clip} as many, none a "/". ``channels`` says what
    red, green and blue hold (the third may be called strain). ``labels`` renames, as {"0":
    "Negative"}. Returns sentences to print. Raises MerError.
    """
    source = check_source(source)
    if sorted(channels) not in (["magnitude", "u", "v"], ["strain", "u", "v"]):
        what = "but must be u, v and magnitude (or strain) in some order"
        raise MerError(f"channels are {', '.join(channels)}, {what}")
    expression, clips, other = _compile(pattern), {}, []
    for path in _list_pngs(source, data):
        fit = expression.fullmatch(path)
        if fit is None:
            other.append(path)
        elif ";" in path:
            raise MerError(source / path, "a flow image's path cannot hold ';'; rename it")
        else:
            parts = {"phase": "0", "label": None} | fit.groupdict()
            file = int(parts["phase"]), parts["label"], path
            clips.setdefault((parts["subject"], parts["clip"]), []).append(file)
    if not clips:
        first = f"; the first is {other[0]}" if other else ""
        raise MerError(source, f"no PNG fits the pattern {pattern!r}{first}")

    entries = [_read_clip(source, *key, files, phases, labels) for key, files in clips.items()]
    if len({clip for _, clip in clips}) < len(clips):  # two subjects have a clip of one name
        entries = [replace(entry, name=f"{entry.subject}_{entry.name}") for entry in entries]
    _check_pictures(source, entries)
    names = sort_labels(label for entry in entries for label in entry.labels or ())
    about = f"mer import flow-images: PNG flow images of {phases} phase{'s' * (phases > 1)}"
    info = describe(source.resolve().name, 1, names or LABELS, about, exclusive=True)
    said = write_set(source, data, info | {"channels": list(channels)}, entries)
    return said + tell_left_out("PNG files that do not fit the pattern", other)


def _list_pngs(source, data):
    """Return the paths of PNG files at any depth below ``source``, sorted within each folder."""
    paths = []
    for folder, names in walk_folders(source, data):
        pngs = [folder / name for name in names if name.lower().endswith(".png")]
        paths += [path.relative_to(source).as_posix() for path in pngs]
    return paths


def _compile(pattern):
    """Return the regular expression of a path pattern."""
    letters = {"subject": "[^/]+?", "label": "[^/]+?", "clip": "[^/]+", "phase": "[0-9]+?"}
    expression, used = "", set()
    for part in re.split(r"(\{[^{}]*\})", pattern):
        name = part[1:-1]
        if not part.startswith("{"):
            expression += re.escape(part)
        elif name not in letters:
            what = "but knows only {subject} {label} {clip} {phase}"
            raise MerError(f"the pattern {pattern!r} has {part}, {what}")
        else:
            expression += f"(?P={name})" if name in used else f"(?P<{name}>{letters[name]})"
            used.add(name)
    if not {"subject", "clip"} <= used or not pattern.lower().endswith(".png"):
        what = "must have {subject} and {clip} and end with .png"
        raise MerError(f"the pattern {pattern!r} {what}")
    return re.compile(expression)


def _read_clip(source, subject, clip, files, phases, labels):
    """Return the Entry of one clip's flow images, given as (phase, label, path)."""
    where, name = str(source / files[0][2]), f"the clip {clip!r} of {subject}"
    files = sorted(files, key=lambda file: file[0])
    label = files[0][1]
    if any(file[1] != label for file in files):
        raise MerError(where, f"{name} has two labels (see {files[-1][2]}); keep one")
    if len(files) != phases or len({phase for phase, _, _ in files}) != phases:
        raise MerError(where, f"{name} has {len(files)} images, but {phases} phases are wanted")
    if label is not None and labels is not None:
        if label not in labels:
            known = ", ".join(labels)
            raise MerError(where, f"the label {label!r} is none of those named ({known})")
        label = labels[label]
    paths = ";".join(path for _, _, path in files)
    return Entry(clip, subject, None if label is None else (label,), paths, where)


def _check_pictures(source, entries):
    """Raise MerError unless all flow images have one size and three channels of 8 bits, as far as
    their headers show.
    """
    paths = [path for entry in entries for path in entry.path.split(";")]
    width, height = read_size(source / paths[0])
    for path in paths:
        size = read_size(source / path)
        with Image.open(source / path) as picture:
            if picture.format != "PNG" or picture.mode != "RGB":
                what = "is no PNG of three colour channels; save it as 8-bit RGB"
                raise MerError(source / path, what)
        if size != (width, height):
            what = f"{size[0]} x {size[1]} px, but {paths[0]} is {width} x {height} px"
            raise MerError(source / path, f"{what}; all flow images of a set must have one size")
