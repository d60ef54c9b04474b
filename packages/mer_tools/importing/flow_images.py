"""Ready-made flow images: one PNG per clip and phase, referenced, never copied."""

import re

from mer_tools.importing.common import (
    Entry,
    check_source,
    describe,
    sort_labels,
    tell_links,
    walk_folders,
    write_set,
)
from mer_utils import LABELS, MerError
from mer_utils.dataset import read_size


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
    if (
        len(channels) != 3
        or len(set(channels)) != 3
        or set(channels) - {"magnitude", "strain"} != {"u", "v"}
    ):
        raise MerError(
            f"channels are {', '.join(channels)}, but must be u, v and magnitude (or strain) in "
            "some order"
        )
    fits, clips, other = _compile(pattern), {}, []
    paths, links = _walk(source, data)
    for path in paths:
        text = path.relative_to(source).as_posix()
        found = fits.fullmatch(text)
        if found is None:
            other.append(text)
        elif ";" in text:
            raise MerError(path, "a flow image's path cannot hold ';'; rename it")
        else:
            parts = found.groupdict()
            clips.setdefault((parts["subject"], parts["clip"]), []).append(
                (parts.get("phase"), parts.get("label"), text)
            )
    if not clips:
        raise MerError(
            source,
            f"no PNG fits the pattern {pattern!r}{f'; the first is {other[0]}' if other else ''}",
        )
    said = (
        [f"Left out: {len(other)} PNG files that do not fit the pattern (first: {other[0]})."]
        if other
        else []
    )
    said += tell_links(source, links)
    twice = len({clip for _, clip in clips}) < len(clips)
    entries = [
        _read_flow(source, key, files, phases, labels, twice) for key, files in clips.items()
    ]
    names = sort_labels(label for entry in entries for label in entry.labels or ())
    about = f"mer import flow-images: PNG flow images of {phases} phase{'s' * (phases > 1)}"
    info = describe(source.resolve().name, 1, names or LABELS, about, exclusive=True) | {
        "channels": list(channels)
    }
    _check_pictures(source, entries)
    return write_set(source, data, info, entries) + said


def _compile(pattern):
    """Return the regular expression of a path pattern."""
    expression, seen = "", set()
    for part in re.split(r"(\{[^{}]*\})", pattern):
        name = part[1:-1]
        if not part.startswith("{"):
            expression += re.escape(part)
        elif name not in ("subject", "label", "clip", "phase"):
            raise MerError(
                f"the pattern {pattern!r} has {part}, but knows only {{subject}} {{label}} "
                f"{{clip}} {{phase}}"
            )
        elif name in seen:
            expression += f"(?P={name})"
        else:
            seen.add(name)
            expression += {"clip": "(?P<clip>[^/]+)", "phase": "(?P<phase>[0-9]+?)"}.get(
                name, f"(?P<{name}>[^/]+?)"
            )
    if not {"subject", "clip"} <= seen or not pattern.lower().endswith(".png"):
        raise MerError(
            f"the pattern {pattern!r} must have {{subject}} and {{clip}} and end with .png"
        )
    return re.compile(expression)


def _walk(source, data):
    """Return the PNG files at any depth, sorted, and the links to folders: not entered."""
    found, links = [], []
    for folder, names in walk_folders(source, data):
        if names is None:
            links.append(folder)
        else:
            found += [folder / name for name in names if name.lower().endswith(".png")]
    return found, links


def _read_flow(source, key, files, phases, labels, twice):
    """Return the Entry of one clip's flow images, given as (phase, label, path)."""
    subject, clip = key
    where = str(source / files[0][2])
    files = sorted(files, key=lambda file: int(file[0] or 0))
    if len({label for _, label, _ in files}) > 1:
        raise MerError(
            where, f"the clip {clip!r} of {subject} has two labels (see {files[-1][2]}); keep one"
        )
    if len(files) != phases or len({int(phase or 0) for phase, _, _ in files}) != phases:
        raise MerError(
            where,
            f"the clip {clip!r} of {subject} has {len(files)} images, but {phases} "
            "phases are wanted",
        )
    label = files[0][1]
    if label is not None and labels is not None:
        if label not in labels:
            raise MerError(
                where, f"the label {label!r} is none of those named ({', '.join(labels)})"
            )
        label = labels[label]
    name = f"{subject}_{clip}" if twice else clip
    return Entry(
        name,
        subject,
        None if label is None else (label,),
        ";".join(path for _, _, path in files),
        where,
    )


def _check_pictures(source, entries):
    """Raise MerError unless all flow images have one size and three channels of 8 bits, as far as
    headers show.
    """
    first = None
    for text in (part for entry in entries for part in entry.path.split(";")):
        size = read_size(source / text)
        with open(source / text, "rb") as file:
            header = file.read(26)
        if header[:4] != b"\x89PNG" or header[25] != 2:
            raise MerError(
                source / text, "is no PNG of three colour channels; save it as 8-bit RGB"
            )
        first = first or (size, text)
        if size != first[0]:
            raise MerError(
                source / text,
                f"{size[0]} x {size[1]} px, but {first[1]} is {first[0][0]} x "
                f"{first[0][1]} px; all "
                "flow images of a set must have one size",
            )
