"""Ready-made flow images: one PNG per clip, referenced, never copied."""

import re
from dataclasses import replace

from mer_tools.importing import common
from mer_tools.importing.labels import sort_labels
from mer_utils import LABELS, MerError
from mer_utils.dataset import read_size

from PIL import Image

CHANNELS = (["magnitude", "u", "v"], ["strain", "u", "v"])
# how the three sets of MEGC 2019's composite call their people: sub01, 006, s1
PEOPLE = {"casme2": "sub[0-9]+", "samm": "[0-9]+", "smic": "s[0-9]+"}


def import_flow_images(
    source, data, pattern="{subject}/u_test/{label}/{clip}.png", channels=("u", "v", "magnitude"),
    labels=None, centred=True,
):  # fmt: skip
    """Make a dataset of ready-made flow images: one PNG of three channels per clip.

    ``pattern`` is a path below ``source`` with {subject}, {clip} and perhaps {label}; each takes as
    few letters as it can, {clip} as many, none a "/". ``channels`` says what red, green and blue
    hold (the third may be called strain). ``labels`` renames, as {"0": "Negative"}. ``centred``: u
    and v lose their median when they are read, because the value that stands for no motion differs
    from copy to copy. Returns sentences to print. Raises MerError.
    """
    source, expression = common.check_source(source), common.compile_pattern(pattern)
    if sorted(channels) not in CHANNELS:
        what = "but must be u, v and magnitude (or strain) in some order"
        raise MerError(f"channels are {', '.join(channels)}, {what}")
    clips, other = {}, []
    for folder, names in common.walk_folders(source):
        for path in ((folder / name).relative_to(source).as_posix() for name in names):
            if fit := expression.fullmatch(path):
                # in the common copy of MEGC 2019's, names end in a space: "006_006_1_2 .png"
                cells = {name: text.strip() for name, text in fit.groupdict().items()}
                entry = _read_clip(source, path, cells, labels)
                first = clips.setdefault((entry.subject, entry.name), entry)
                if first is not entry:
                    raise MerError(source / path, f"is the same clip as {first.path}; keep one")
            elif path.lower().endswith(".png"):
                other.append(path)
    if not clips:
        first = f"; the first is {other[0]}" if other else ""
        raise MerError(source, f"no PNG fits the pattern {pattern!r}{first}")

    entries = list(clips.values())
    if len({clip for _, clip in clips}) < len(clips):  # two subjects have a clip of one name
        entries = [replace(entry, name=f"{entry.subject}_{entry.name}") for entry in entries]
    names = sort_labels(label for entry in entries for label in entry.labels or ())
    about = "mer import flow-images: PNG flow images"
    info = common.describe(source.resolve().name, 1, names or LABELS, about, exclusive=True)
    info |= {"channels": list(channels), "centred": centred}
    said = common.tell_left_out("PNG files that do not fit the pattern", other)
    sets = [
        "".join(name for name, form in PEOPLE.items() if re.fullmatch(form, entry.subject))
        for entry in entries
    ]
    if {*sets} == {*PEOPLE}:
        entries = [replace(entry, dataset=name) for entry, name in zip(entries, sets, strict=True)]
        info["published"] = "MEGC2019"
        said.insert(0, "Datasets are told from the subjects' names: sub01, 006 and s1.")
    return common.write_set(source, data, info, entries) + said


def _read_clip(source, path, cells, names):
    """Return the Entry of a flow image; MerError unless it has three channels of 8 bits, as far as
    its header shows, and a label that is named.
    """
    label, names = cells.get("label"), names or {}
    if names and label not in (None, *names):
        what = f"the label {label!r} is none of those named ({', '.join(names)})"
        raise MerError(source / path, what)
    read_size(source / path)  # refuses 16 bits and damaged headers
    with Image.open(source / path) as picture:
        if picture.mode != "RGB":
            raise MerError(source / path, f"is {picture.mode}, but all must be RGB of 8 bits")
    labels = None if label is None else (names.get(label, label),)
    return common.Entry(cells["clip"], cells["subject"], labels, path, str(source / path))
