"""The doctor: read all of a dataset once, and say what must be mended and what deserves a look before anything learns.

"mend": a run would fail, or its numbers would be wrong. "look": odd, but it may be right. The limits below were measured
on healthy synthetic sets and on what was spoilt on purpose; real sets differ, so nothing that rests on one is a "mend".
"""

import hashlib
import re
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mer_utils import MerError
from mer_utils.clips import survey
from mer_utils.flow import compute_flow, head_motion, magnitude
from mer_utils.images import number_key, read_image
from mer_utils.parallel import run_jobs
from mer_utils.preprocessing import crop, locate, split_views
from mer_utils.tables import TABLES, read_table

WIDTH = 100  # columns of a terminal
SHOWN = 5  # findings a check in the table; the JSON has all
GROUP = 8  # clips a job
CROP = 128  # px, side of the crop in which motion is measured
SMALL = 48  # px, side of the crop in which the views' courses are compared
LONGEST = 600  # frames of a clip that are compared: ten seconds at 60 fps
LONG = 0.5  # s, onset to offset: what still counts as micro
STILL, LARGE, HEAD = 0.065, 0.6, 8.0  # px of the crop
LAGS, MARGIN = 5, 0.4


class Finding(NamedTuple):
    """One thing that was found: ``level`` is mend or look, ``check`` a row of the table, ``where`` a clip, file or
    row.
    """

    level: str
    check: str
    where: str
    what: str


@dataclass(frozen=True)
class Report:
    """What ``examine`` found: ``rows`` are (check, what was found) in the table's order, ``facts`` plain numbers."""

    name: str
    rows: list
    facts: dict
    findings: list

    @property
    def sound(self):
        """Whether nothing must be mended."""
        return all(finding.level != "mend" for finding in self.findings)

    def verdict(self, check):
        """Return ok, or how many findings a check has: "mend 2", "look 3"."""
        levels = Counter(finding.level for finding in self.findings if finding.check == check)
        return ", ".join(f"{level} {levels[level]}" for level in ("mend", "look") if levels[level]) or "ok"

    def table(self):
        """Return one table as text, then the findings, at most five a check."""
        room = WIDTH - 30
        lines = [f"{self.name}\n", f"{'check':12}  {'found':{room}}  verdict", "-" * WIDTH]
        for check, found in self.rows:
            first, *more = textwrap.wrap(found, room) or [""]
            lines += [f"{check:12}  {first:{room}}  {self.verdict(check)}", *(" " * 14 + part for part in more)]
        for level, heading in (("mend", "To be mended"), ("look", "To be looked at")):
            chosen = [finding for finding in self.findings if finding.level == level]
            lines += ["", f"{heading}:", *_list_findings(chosen)] if chosen else []
        return "\n".join([*lines, "", "Sound: nothing must be mended." if self.sound else "Not sound: mend this first."])

    def to_json(self):
        """Return the whole report as plain dicts and lists."""
        checks = [{"check": check, "found": found, "verdict": self.verdict(check)} for check, found in self.rows]
        findings = [finding._asdict() for finding in self.findings]
        return {"name": self.name, "sound": self.sound, "checks": checks, "facts": self.facts, "findings": findings}


def _list_findings(findings):
    """Return the findings of one level as lines: those that say the same are joined, five a check are shown."""
    lines = []
    for check in dict.fromkeys(finding.check for finding in findings):
        same = {}
        for finding in findings:
            if finding.check == check:
                same.setdefault(finding.what, []).append(finding.where)
        for what, places in list(same.items())[:SHOWN]:
            more = f" and {len(places) - 3} more" if len(places) > 3 else ""
            text = f"{check}: {', '.join(places[:3])}{more}: {what}"
            lines += textwrap.wrap(text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
        rest = sum(len(places) for places in list(same.values())[SHOWN:])
        lines += [f"- {check}: and {rest} more"] if rest else []
    return lines


def examine(root, jobs=1):
    """Read everything of the dataset in the folder ``root``, each frame once, in ``jobs`` processes; return a Report.

    Raises MerError only where dataset.json or the manifest as a whole cannot be read.
    """
    root = Path(root)
    info, rows = survey(root)
    clips = [clip for clip in rows if not isinstance(clip, MerError)]
    findings = [_explain("mend", "rows", error, root) for error in rows if isinstance(error, MerError)]
    groups = [clips[start : start + GROUP] for start in range(0, len(clips), GROUP)]
    seen = [one for part in run_jobs(_inspect_group, [(root, info, group) for group in groups], jobs) for one in part]
    findings += [finding for one in seen for finding in one.findings]
    facts = {"rows": len(rows), "clips": len(clips), "views": info["views"]}
    table = [("rows", f"{len(clips)} of {len(rows)} in the manifest can be used")]
    for check in (_check_subjects, _check_labels, _check_published, _check_frames, _check_rates, _check_copies):
        name, found, more, odd = check(info, clips, seen)
        table.append((name, found)) if found else None
        findings, facts = findings + odd, facts | more
    if not info.get("channels"):
        table += _describe_motion(info, seen)
        facts["boxes"] = dict(Counter(one.how for one in seen if one.how))
    order = [check for check, _ in table]
    findings.sort(key=lambda finding: (finding.level != "mend", order.index(finding.check)))
    return Report(info["name"], table, facts, findings)


def _explain(level, check, error, root):
    """Return the Finding of an error: what stands before its first colon says where."""
    where, _, what = str(error).replace(f"{root}/", "").partition(": ")
    return Finding(level, check, where, what)


class Seen(NamedTuple):
    """What remains of one clip once it was read."""

    findings: list
    size: tuple | None = None  # (width, height) px of its first frame
    digest: str | None = None  # of all its decoded frames
    how: str | None = None  # its boxes were found
    motion: float | None = None  # px, see _measure_motion
    lag: int | None = None  # frames by which the right view is behind
