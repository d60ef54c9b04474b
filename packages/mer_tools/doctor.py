"""The doctor: read all of a dataset once, and say what must be mended and what deserves a look."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from mer_tools.importing.common import name_some
from mer_tools.rules import Finding, apply_rules, label_clips, tabulate
from mer_utils import MerError
from mer_utils.dataset import Clip, number_key, read_image, survey
from mer_utils.flow import compute_flow, head_motion, magnitude
from mer_utils.jobs import run_jobs
from mer_utils.preprocessing import crop, locate, split_views

import numpy as np
import pandas as pd

CROP = 128  # px, side of the crop in which motion is measured


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
                lines.append(f"- {name_some(names, 3)}: {what}")
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
    findings = [finding for _, found in readings for finding in found]
    for row in rows:
        if isinstance(row, MerError):
            findings.append(_explain("subjects" if row.kind == "subject" else "rows", row, root))
    tables = tabulate(info, [values for values, _ in readings])
    table = {"rows": f"{len(usable)} of {len(rows)} in the manifest can be used"}
    table |= describe(info, tables)
    if len(usable) < len(rows):  # what is missing may stand in rows that cannot be used
        tables = {name: tables[name] for name in ("clips", "sessions")}
    findings += apply_rules(tables)
    order = list(table)
    findings.sort(key=lambda finding: (finding.level != "mend", order.index(finding.check)))
    return Report(info["name"], table, findings)


def _explain(check, error, root):
    """Return a MerError as a Finding to be mended, with paths relative to ``root``."""
    inner = rf"(?<![^\s'(]){re.escape(f'{root}{os.sep}')}"
    where, what = (re.sub(inner, "", text) for text in (error.where, error.what))
    return Finding("mend", check, where, what)


def read_pictures(root, info, clip):
    """Read a clip's pictures one by one; return its row of the table of clips, and Findings."""
    row = {"clip": clip.name, "subject": clip.subject, "dataset": clip.dataset}
    row |= {"labels": clip.labels, "frames": len(clip.names)}
    length, channels = clip.offset - clip.onset, info.get("channels")
    times = [clip.onset + round(length * k / 4) for k in range(5)]
    findings, digests, kept = [], [], {}
    for t, path in enumerate(clip.frames):
        try:
            picture = read_image(path, bool(channels))
            size = "{} x {} px".format(*picture.shape[1::-1])
            if size != row.setdefault("size", size):
                raise MerError(path, f"{size}, but the clip's first is {row['size']}")
        except MerError as error:
            findings.append(_explain("frames", error, root))
            continue
        digests.append(hashlib.sha256(picture).hexdigest())
        if t in (0, *times) or channels:
            kept[t] = picture
    whole = len(digests) == row["frames"]
    if whole:
        row["digest"] = f"{size} {digests}"
    if channels:
        plain = sum(picture.min() == picture.max() for picture in kept.values())
        grey = sum((picture == picture[..., :1]).all() for picture in kept.values())
        return row | {"phases": row["frames"], "plain": plain, "grey": grey - plain}, findings
    row |= {"fps": clip.fps or 0, "seconds": length / clip.fps if clip.fps else np.nan}
    if whole:
        row["repeats"] = sum(map(str.__eq__, digests[1:], digests))
        row["gap"] = find_gap(clip.names)
        row["odd"] = info["views"] == 2 and picture.shape[1] % 2 == 1
        try:
            row |= _measure_face(info["views"], clip, kept, times)
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
    shares = np.array([(t - times[0]) / (times[-1] - times[0]) for t in times[1:]])
    sizes, heads = [], []
    for view, box in enumerate(boxes):
        onset, *later = (crop(pictures[t][view], box, CROP) for t in times)
        flows = np.stack([compute_flow(onset, frame, "dis-half") for frame in later])
        rigid = np.stack([head_motion(flow) for flow in flows])
        moved = flows - rigid
        left = magnitude(moved - shares[:, None, None, None] * moved[-1])
        sizes.append(np.percentile(left, 95, axis=(1, 2)).max())
        heads.append(magnitude(rigid).mean((1, 2)).max())
    widths = [x1 - x0 for x0, _, x1, _ in boxes]
    face = {"how": how, "narrow": min(widths), "wide": max(widths)}
    return face | {"least": min(sizes), "most": max(sizes), "head": max(heads)}


def find_gap(names):
    """Return the first jump in the frame numbers, the last of each name, as "from 12 to 14"; None
    where there is none, or no usual step, as between times of day.
    """
    numbers = [number_key(name)[0][-1] for name in names]
    steps, usual = np.diff(numbers), np.median(np.diff(numbers))
    if not (steps > usual).any() or np.mean(steps == usual) <= 0.5:
        return None
    at = np.argmax(steps > usual)
    return f"from {numbers[at]} to {numbers[at + 1]}"


def describe(info, tables):
    """Return what the table says of the whole set, {check: text}."""

    def count(values, sign=" ", unit=""):
        return ", ".join(f"{value}{sign}{number}{unit}" for value, number in values.items())

    clips = tables["clips"]
    frames, seconds, people = clips["frames"], clips["seconds"].dropna(), clips["subject"].nunique()
    sets = clips.groupby("dataset")["subject"].nunique()
    rows = {
        "clips": f"{len(clips)}, {clips['labels'].isna().sum()} without labels",
        "subjects": f"{people}: {count(sets)}" if len(sets) > 1 else f"{people}",
        "labels": count(label_clips(info, clips).sum()),
        "frames": f"{frames.sum()}, {frames.min()} to {frames.max()} a clip",
        "sizes": count(clips["size"].value_counts()[:3], ": ", " clips"),
        "duplicates": f"{clips['twin'].notna().sum()}",
    }
    if name := info.get("published"):
        known = "compared if all rows can be used" if len(tables["published"]) else "none are known"
        rows["published"] = f"counts of {name}: {known}"
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
