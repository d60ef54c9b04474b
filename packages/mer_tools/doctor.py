"""The doctor: read all of a dataset once, and say what must be mended and what deserves a look."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mer_tools.importing.tables import PUBLISHED
from mer_utils import MerError
from mer_utils.apex import joint_curve
from mer_utils.dataset import Clip, number_key, read_image, survey
from mer_utils.features import extract_clip
from mer_utils.flow import compute_flow, head_motion, magnitude
from mer_utils.jobs import run_jobs
from mer_utils.preprocessing import crop, locate, split_views

import numpy as np
import pandas as pd
from scipy.signal import find_peaks

CROP = 128  # px, side of the crop in which motion is measured

# What is odd about one clip: level, check, condition, sentence. Both are about the columns of the
# table of clips that ``examine`` makes. None of 801 healthy synthetic clips passes a limit on
# motion (px of a crop); real faces and cameras may: such a finding stops nothing.
RULES = (
    ("look", "clips", "labels.isna()", "no labels: `mer submit` answers it, training cannot"),
    ("look", "fps", "fps == 0", "fps is not given: how long it lasts cannot be checked"),
    ("look", "fps", "0 < fps < 25 or fps > 1000", "{fps:g} fps: too few, or a misprint?"),
    ("look", "fps", "fps > 0 and fps != usual_fps",
     "{fps:g} fps, but most have {usual_fps:g}: curves are smoothed over frames, not seconds"),
    ("look", "duration", "seconds > 0.5", "{seconds:.2f} s: a micro-expression lasts 0.5 s"),
    ("look", "duration", "peaks > 1",
     "the face moves {peaks:g} times from onset to offset: cut it into one clip an expression"),
    ("look", "frames", "repeats > 0", "{repeats:g} frames repeat the one before exactly"),
    ("look", "frames", "gap.notna()", "the file names' numbers jump {gap}: are frames missing?"),
    ("look", "sizes", "size.notna() and size != usual_size", "{size}, but most have {usual_size}"),
    ("look", "sizes", "odd == True", "the width is an odd number: the last column is dropped"),
    ("mend", "channels", "phases.notna() and phases != usual_phases",
     "{phases:g} pictures, but most clips have {usual_phases:g}: one per phase"),
    ("mend", "channels", "grey > 0", "{grey:g} pictures are grey, where three channels belong"),
    ("look", "channels", "plain > 0", "{plain:g} pictures are of one colour: no motion at all"),
    ("look", "face box", "how == 'fallback'", "no plain background: run mer boxes, or give a box"),
    ("look", "face box", "wide > 1.5 * narrow", "boxes of {narrow:g} and {wide:g} px in two views"),
    ("look", "motion", "least < 0.12", "the face hardly moves ({least:.2f} px): a still?"),
    ("look", "motion", "most > 2.4", "the face moves much ({most:.1f} px): speech, a cut?"),
    ("look", "motion", "head > 8", "the head moves much ({head:.1f} px): the flow keeps a part"),
)  # fmt: skip
COLUMNS = (
    "clip", "subject", "labels", "frames", "size", "digest", "fps", "seconds", "repeats", "gap",
    "odd", "how", "narrow", "wide", "least", "most", "head", "phases", "grey", "plain", "peaks",
)  # fmt: skip


class Finding(NamedTuple):
    """One thing found: ``level`` is "mend" (a run would fail or be wrong) or "look" (odd, may be
    right), ``check`` a row of the report's table, ``where`` a clip, a file or a manifest's row.
    """

    level: str
    check: str
    where: str
    what: str


@dataclass(frozen=True)
class Report:
    """What ``examine`` found: ``rows`` of the table, {check: text}, and Findings in its order."""

    name: str
    rows: dict
    findings: list

    @property
    def sound(self):
        """Whether nothing must be mended."""
        return all(finding.level != "mend" for finding in self.findings)

    def table(self):
        """Return one table as text, then the findings, at most five a check; those that say the
        same are joined.
        """
        lines = [f"{self.name}\n", f"{'check':12}{'verdict':9}found", "-" * 79]
        verdicts = {finding.check: finding.level for finding in reversed(self.findings)}
        for check, text in self.rows.items():
            lines.append(f"{check:12}{verdicts.get(check, 'ok'):9}{text}")
        findings = pd.DataFrame(self.findings, columns=Finding._fields)
        for (level, check), rows in findings.groupby(["level", "check"], sort=False):
            lines.append(f"\n{level}: {check}")
            places = rows.groupby("what", sort=False)["where"].agg(list)
            for what, names in places[:5].items():
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                lines.append(f"- {', '.join(names[:3])}{more}: {what}")
            if len(places) > 5:
                lines.append(f"- and {places[5:].map(len).sum()} more; --json lists all")
        good, bad = "Sound: nothing must be mended.", "Not sound: mend what is listed first."
        return "\n".join([*lines, "", good if self.sound else bad])

    def to_json(self):
        """Return the whole report as plain dicts and lists."""
        findings = [finding._asdict() for finding in self.findings]
        return {"name": self.name, "sound": self.sound, "checks": self.rows, "findings": findings}


def examine(root, jobs=1):
    """Read all of the dataset in the folder ``root``, each frame once, in ``jobs`` processes (0:
    one per core); return a Report. Raises MerError only where dataset.json or the manifest as a
    whole cannot be used.
    """
    root = Path(root)
    info, rows = survey(root)
    usable = [row for row in rows if isinstance(row, Clip)]
    readings = run_jobs(read_pictures, [(root, info, clip) for clip in usable], jobs)
    clips = pd.DataFrame([values for values, _ in readings], columns=COLUMNS)
    findings = [_explain("rows", row, root) for row in rows if isinstance(row, MerError)]
    findings += [finding for _, found in readings for finding in found]
    for column in ("size", "phases", "fps"):
        clips[f"usual_{column}"] = next(iter(clips.loc[clips[column] != 0, column].mode()), None)
    findings += apply_rules(clips)
    findings += [*find_copies(clips), *find_names(clips)]
    if len(usable) == len(rows):  # else what is missing may stand in rows that cannot be used
        findings += [*find_missing(info, clips), *compare_published(info, clips)]
    table = {"rows": f"{len(usable)} of {len(rows)} in the manifest can be used"}
    table |= describe(info, clips)
    order = list(table)
    findings.sort(key=lambda finding: (finding.level != "mend", order.index(finding.check)))
    return Report(info["name"], table, findings)


def apply_rules(clips, wanted=None):
    """Return what RULES (those of one check, if ``wanted``) find in a table of clips: Findings."""
    return [
        Finding(level, check, row["clip"], sentence.format(**row))
        for level, check, condition, sentence in RULES
        if wanted in (None, check)
        for row in clips.query(condition, engine="python").to_dict("records")
    ]


def count_peaks(joint):
    """Return how many peaks of a motion curve (T,) stand out by a third of its maximum: never two
    in 120 synthetic clips of one expression, some of them held or coming up again.
    """
    return len(find_peaks(joint, prominence=joint.max() / 3)[0])


def _explain(check, error, root):
    """Return a MerError as a Finding to be mended, with paths relative to ``root``."""
    inner = rf"(?<![^\s'(]){re.escape(f'{root}{os.sep}')}"
    where, what = (re.sub(inner, "", text) for text in (error.where, error.what))
    return Finding("mend", check, where, what)


def read_pictures(root, info, clip):
    """Read a clip's pictures one by one; return its row of the table of clips, and Findings."""
    row = {"clip": clip.name, "subject": clip.subject, "labels": clip.labels}
    row["frames"] = len(clip.names)
    length, channels = clip.offset - clip.onset, info.get("channels")
    if not channels:
        row |= {"fps": clip.fps or 0, "seconds": length / clip.fps if clip.fps else np.nan}
    times = [clip.onset + round(length * k / 4) for k in range(5)]
    findings, digests, kept = [], [], {}
    for t, path in enumerate(clip.frames):
        try:
            picture = read_image(path, bool(channels))
            size = "{} x {} px".format(*picture.shape[1::-1])
            first = row.setdefault("size", size)
            if size != first:
                raise MerError(path, f"{size}, but the clip's first is {first}")
        except MerError as error:
            findings.append(_explain("frames", error, root))
            continue
        digests.append(hashlib.sha256(picture).hexdigest())
        if t in (0, *times) or channels:
            kept[t] = picture
    if channels:
        plain = [picture.min() == picture.max() for picture in kept.values()]
        grey = [(picture == picture[..., :1]).all() for picture in kept.values()]
        row |= {"phases": row["frames"], "plain": sum(plain), "grey": sum(grey) - sum(plain)}
    if len(digests) < row["frames"]:
        return row, findings
    row["digest"] = hashlib.sha256(f"{first} {digests}".encode()).hexdigest()
    if not channels:
        row["repeats"] = sum(map(str.__eq__, digests[1:], digests))
        row["gap"] = find_gap(clip.names)
        row["odd"] = info["views"] == 2 and picture.shape[1] % 2 == 1
        try:
            row |= _measure_face(info["views"], clip, kept, times)
            if row["seconds"] > 0.5:  # a shorter clip has no room for two expressions
                curve = joint_curve(extract_clip(clip, info["views"])[2])
                row["peaks"] = count_peaks(curve[clip.onset : clip.offset + 1])
        except MerError as error:
            findings.append(Finding("mend", "face box", clip.name, str(error)))
    return row, findings


def _measure_face(views, clip, pictures, times):
    """Return how the face was found on the first frame, and in px of the crop how far it moves, in
    the view where it is least and where it is most (95th percentile of the flow from onset to a
    quarter, half, three quarters of the way, the largest of the three), and its head. As in apex.py
    the head's motion and the drift that is left at offset are taken out.
    """
    pictures = {t: split_views(picture, views) for t, picture in pictures.items()}
    boxes, how = locate(pictures[0], clip)
    sizes, heads = [], []
    for view, box in enumerate(boxes):
        onset, *later = (crop(pictures[t][view], box, CROP) for t in times)
        flows = [compute_flow(onset, frame, "dis-half") for frame in later]
        rigid = [head_motion(flow) for flow in flows]
        *moved, drift = (flow - head for flow, head in zip(flows, rigid, strict=True))
        shares = [(t - times[0]) / (times[-1] - times[0]) for t in times[1:-1]]
        left = [flow - share * drift for flow, share in zip(moved, shares, strict=True)]
        sizes.append(max(float(np.percentile(magnitude(flow), 95)) for flow in left))
        heads.append(max(float(magnitude(flow).mean()) for flow in rigid))
    widths = [x1 - x0 for x0, _, x1, _ in boxes]
    face = {"how": how, "narrow": min(widths), "wide": max(widths)}
    return face | {"least": min(sizes), "most": max(sizes), "head": max(heads)}


def find_gap(names):
    """Return the first jump in the frame numbers, as "from 12 to 14", or None."""
    keys = [number_key(name)[0] for name in names]
    if len({len(key) for key in keys}) > 1:
        return None
    # one number counts the frames; the others, as the subject's, stay the same
    varying = [column for column in zip(*keys, strict=True) if len(set(column)) > 1]
    steps = np.diff(varying[0]) if len(varying) == 1 else np.array([])
    usual = pd.Series(steps).median()
    if not (steps > usual).any() or np.mean(steps == usual) <= 0.5:
        return None  # times of day have no usual step
    at = np.argmax(steps > usual)
    return f"from {varying[0][at]} to {varying[0][at + 1]}"


def describe(info, clips):
    """Return what the table says of the whole set, {check: text}."""

    def count(values, sign=" ", unit=""):
        return ", ".join(f"{value}{sign}{number}{unit}" for value, number in values.items())

    frames, seconds = clips["frames"], clips["seconds"].dropna()
    rows = {
        "clips": f"{len(clips)}, {clips['labels'].isna().sum()} without labels",
        "subjects": f"{clips['subject'].nunique()}",
        "labels": count(label_clips(info, clips).sum()),
        "frames": f"{frames.sum()}, {frames.min()} to {frames.max()} a clip",
        "sizes": count(clips["size"].value_counts()[:3], ": ", " clips"),
        "duplicates": f"{clips['digest'].dropna().duplicated().sum()}",
    }
    if info.get("published"):
        rows["published"] = f"counts of {info['published']}, compared if all rows can be used"
    if info.get("channels"):
        rows["channels"] = f"red, green, blue hold {', '.join(info['channels'])}"
        return rows
    least, most, head = clips["least"].min(), clips["most"].max(), clips["head"].max()
    rates = clips["fps"].map("{:g}".format).replace("0", "unknown").value_counts()
    rows["fps"] = count(rates, ": ", " clips")
    times = f"{seconds.min():.2f} to {seconds.max():.2f} s" if len(seconds) else "unknown"
    rows["duration"] = f"{times} from onset to offset"
    rows["face box"] = count(clips["how"].value_counts())
    rows["motion"] = f"face {least:.2f} to {most:.2f} px, head up to {head:.1f} px of {CROP} px"
    return rows


def label_clips(info, clips):
    """Return a table (clips, labels) of 0 and 1 by subject, of the clips that have labels."""
    known = clips[clips["labels"].notna()]
    rows = known["labels"].tolist()
    return pd.DataFrame(rows, index=known["subject"], columns=info["labels"], dtype=int)


def find_copies(clips):
    """Find clips whose decoded pictures are another's."""
    first = {}
    for clip in clips[clips["digest"].notna()].itertuples():
        twin = first.setdefault(clip.digest, clip)
        what = f"has the same pictures as {twin.clip}"
        if clip.subject != twin.subject:
            what += f", and another subject ({clip.subject}, not {twin.subject})"
        if clip.labels != twin.labels:
            what += ", and other labels"
        if twin is not clip:
            yield Finding("mend", "duplicates", clip.clip, f"{what}; keep one of them")


def find_names(clips):
    """Find one person under several names: spelt in two ways, or with the sessions told apart."""
    spellings, persons = {}, {}
    for name in sorted(set(clips["subject"])):
        # gaps and leading zeros do not count, but S13_1 and S131 are two names
        plain = re.sub(r"(?<!\d)[\s_-]+|[\s_-]+(?!\d)", "", name.casefold())
        spellings.setdefault(re.sub(r"(?<!\d)0+(?=\d)", "", plain), []).append(name)
        session = re.fullmatch(r"(.*\d)[\s_-]+\d{1,2}(st|nd|rd|th)?", name, re.IGNORECASE)
        persons.setdefault(session[1] if session else name, []).append(name)
    for names in spellings.values():
        if len(names) > 1:
            what = "are one subject in several spellings; use one, else training meets the tested"
            yield Finding("mend", "subjects", ", ".join(names), what)
    for names in persons.values():
        if 2 <= len(names) <= 4:  # more is a way of counting subjects
            what = "look like sessions of one person; if so, give them one name"
            yield Finding("look", "subjects", ", ".join(names), what)


def find_missing(info, clips):
    """Find what a labelled set lacks as a whole: subjects, or several of them for a label."""
    labels, names = label_clips(info, clips), sorted(set(clips["subject"]))
    if labels.empty:
        return
    if len(names) == 1:
        what = "is the only subject; leaving one subject out leaves nothing to learn from"
        yield Finding("mend", "subjects", *names, what)
    elif len(names) < 4:
        what = "are too few to train on; 4 or more are needed"
        yield Finding("look", "subjects", ", ".join(names), what)
    for label, count in labels.groupby(level=0).max().sum().items():
        if count == 0:
            what = "no clip has this label; add some, or remove it from dataset.json and manifest"
            yield Finding("mend", "labels", label, what)
        elif count == 1:
            what = "a single subject shows it; with that one left out, nothing of it is learnt"
            yield Finding("look", "labels", label, what)


def compare_published(info, clips):
    """Compare with the published counts of the set that dataset.json names as "published"."""
    table, name = pd.read_csv(PUBLISHED / "published_counts.csv"), info.get("published")
    wanted = table[table["set"] == name].set_index("what")["count"]
    if name and wanted.empty:
        yield Finding("look", "published", name, "no counts of this set are known")
    have = label_clips(info, clips).sum().to_dict()
    have |= {"clips": len(clips), "subjects": clips["subject"].nunique()}
    for what, count in wanted.items():
        if have.get(what, 0) != count:
            yield Finding("look", "published", what, f"{have.get(what, 0)} here, {count} published")
