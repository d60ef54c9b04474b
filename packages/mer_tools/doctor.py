"""The doctor: read all of a dataset once, and say what must be mended and what deserves a look."""

import re
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mer_tools.importing.tables import PUBLISHED, read_table
from mer_tools.inspection import CROP, Finding, explain, inspect_group
from mer_utils import MerError
from mer_utils.dataset import survey
from mer_utils.jobs import run_jobs

WIDTH = 100  # columns of a terminal
SHOWN = 5  # findings a check in the table; the JSON has all
GROUP = 8  # clips per job: each gives back a few numbers


@dataclass(frozen=True)
class Report:
    """What ``examine`` found: ``rows`` are (check, what was found) in the table's order, ``facts``
    plain numbers.
    """

    name: str
    rows: list
    facts: dict
    findings: list

    @property
    def sound(self):
        """Whether nothing must be mended."""
        return all(finding.level != "mend" for finding in self.findings)

    def verdict(self, check):
        """Return ok, or how many findings of the worse level a check has: "mend 2", "look 3"."""
        levels = Counter(finding.level for finding in self.findings if finding.check == check)
        return next(
            (f"{level} {levels[level]}" for level in ("mend", "look") if levels[level]), "ok"
        )

    def table(self):
        """Return one table as text, then the findings, at most five per check."""
        room = WIDTH - 30
        lines = [f"{self.name}\n", f"{'check':12}  {'found':{room}}  verdict", "-" * WIDTH]
        for check, found in self.rows:
            first, *more = textwrap.wrap(found, room) or [""]
            lines += [
                f"{check:12}  {first:{room}}  {self.verdict(check)}",
                *(" " * 14 + part for part in more),
            ]
        for level, heading in (("mend", "To be mended"), ("look", "To be looked at")):
            chosen = [finding for finding in self.findings if finding.level == level]
            lines += ["", f"{heading}:", *_list_findings(chosen)] if chosen else []
        lines += [
            "",
            "Sound: nothing must be mended."
            if self.sound
            else "Not sound: mend what is listed first.",
        ]
        return "\n".join(lines)

    def to_json(self):
        """Return the whole report as plain dicts and lists."""
        checks = [
            {"check": check, "found": found, "verdict": self.verdict(check)}
            for check, found in self.rows
        ]
        findings = [finding._asdict() for finding in self.findings]
        return {
            "name": self.name,
            "sound": self.sound,
            "checks": checks,
            "facts": self.facts,
            "findings": findings,
        }


def _list_findings(findings):
    """Return the findings of one level as lines: those that say the same are joined, five per check
    are shown.
    """
    lines = []
    for check in dict.fromkeys(finding.check for finding in findings):
        same = {}
        for finding in findings:
            if finding.check == check:
                same.setdefault(finding.what, []).append(finding.where)
        for what, places in list(same.items())[:SHOWN]:
            more = f" and {len(places) - 3} more" if len(places) > 3 else ""
            text = f"{check}: {', '.join(places[:3])}{more}: {what}"
            lines += textwrap.wrap(
                text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
            )
        rest = sum(len(places) for places in list(same.values())[SHOWN:])
        lines += [f"- {check}: and {rest} more"] if rest else []
    return lines


def examine(root, jobs=1):
    """Read all of the dataset in the folder ``root``, each frame once, in ``jobs`` processes (0:
    one per core); return a Report. Raises MerError only where dataset.json or the manifest as a
    whole cannot be used.
    """
    root = Path(root)
    info, rows = survey(root)
    clips = [clip for clip in rows if not isinstance(clip, MerError)]
    groups = [(root, info, clips[start : start + GROUP]) for start in range(0, len(clips), GROUP)]
    seen = [one for part in run_jobs(inspect_group, groups, jobs) for one in part]
    table = [("rows", f"{len(clips)} of {len(rows)} in the manifest can be used")]
    facts = {"rows": len(rows)}
    findings = [
        explain("mend", "rows", error, root) for error in rows if isinstance(error, MerError)
    ]
    findings += [finding for one in seen for finding in one.findings]
    shared = (_check_clips, _check_subjects, _check_labels, _check_sizes)
    own = (
        (_check_phases, _check_copies)
        if info.get("channels")
        else (_check_times, _check_copies, _check_faces)
    )
    # what seems to be missing in the set may stand in the rows that cannot be used
    absent = () if len(clips) < len(rows) else (_find_absent,)
    for check in (*shared, *own, *absent):
        lines, numbers, found = check(info, clips, seen)
        table, facts, findings = table + lines, facts | numbers, findings + found
    order = [check for check, _ in table]
    findings.sort(key=lambda finding: (finding.level != "mend", order.index(finding.check)))
    return Report(info["name"], table, facts, findings)


# Each check takes dataset.json's content, the clips and what was seen of each; it returns lines of
# the table, facts for the JSON, and Findings.


def _check_clips(info, clips, seen):
    missing = [clip.name for clip in clips if clip.labels is None]
    found = [
        Finding("look", "clips", name, "no labels: `mer submit` answers it, training cannot")
        for name in missing
    ]
    text = f"{len(clips)}, {len(missing)} without labels" if missing else str(len(clips))
    return [("clips", text)], {"clips": len(clips), "unlabelled": len(missing)}, found


def _check_subjects(info, clips, seen):
    """Find subjects that are split over names: spelt in two ways, or with their sessions told
    apart.
    """
    counts = Counter(clip.subject for clip in clips)
    alike, sessions, found = {}, {}, []
    for name in sorted(counts):
        # gaps and leading zeros do not count, but S13_1 and S131 are two names
        plain = re.sub(r"(?<!\d)[\s_-]+|[\s_-]+(?!\d)", "", name.casefold())
        alike.setdefault(re.sub(r"(?<!\d)0+(?=\d)", "", plain), []).append(name)
        base = re.fullmatch(r"(.*\d)[\s_-]+\d{1,2}(st|nd|rd|th)?", name, re.IGNORECASE)
        sessions.setdefault(base[1] if base else name, []).append(name)
    for group in alike.values():
        if len(group) > 1:
            what = (
                "are one subject in several spellings; use one, else it is learnt from and "
                "tested on at once"
            )
            found.append(Finding("mend", "subjects", ", ".join(group), what))
    for group in sessions.values():
        if 2 <= len(group) <= 4:  # more is a way of counting subjects
            what = "look like sessions of one person; if so, give them one name"
            found.append(Finding("look", "subjects", ", ".join(group), what))
    each = (
        " to ".join(map(str, sorted({min(counts.values()), max(counts.values())})))
        if counts
        else ""
    )
    text = f"{len(counts)}, with {each} clips each" if counts else "0"
    return [("subjects", text)], {"subjects": len(counts)}, found


def _check_labels(info, clips, seen):
    counts = _count_labels(info, clips)
    text = ", ".join(f"{label} {n}" for label, n in counts.items())
    return [("labels", text)], {"labels": counts}, []


def _find_absent(info, clips, seen):
    """Find what a set lacks as a whole: other subjects, a label, clips that were published."""
    lines, facts, found = _check_published(info, clips, seen)
    labelled = [clip for clip in clips if clip.labels]
    subjects = {clip.subject for clip in clips}
    if labelled and len(subjects) == 1:
        what = "is the only subject; leaving one subject out leaves nothing to learn from"
        found.append(Finding("mend", "subjects", *subjects, what))
    elif labelled and len(subjects) < 4:
        what = "are too few to train on; 4 or more are needed"
        found.append(Finding("look", "subjects", ", ".join(sorted(subjects)), what))
    for k, label in enumerate(info["labels"] if labelled else ()):
        subjects = {clip.subject for clip in labelled if clip.labels[k]}
        if not subjects:
            what = (
                "no clip has this label; add such clips, or take it out of dataset.json and "
                "the manifest"
            )
            found.append(Finding("mend", "labels", label, what))
        elif len(subjects) == 1:
            what = "a single subject shows it; where that one is left out, nothing of it is learnt"
            found.append(Finding("look", "labels", label, what))
    return lines, facts, found


def _count_labels(info, clips):
    return {
        label: sum(clip.labels[k] for clip in clips if clip.labels)
        for k, label in enumerate(info["labels"])
    }


def _check_published(info, clips, seen):
    """Compare with the published counts of the set that dataset.json names as "published"."""
    name = info.get("published")
    if not name:
        return [], {}, []
    table = [row.cells for row in read_table(PUBLISHED / "published_counts.csv")]
    wanted = {row["what"]: int(row["count"]) for row in table if row["set"] == name}
    have = _count_labels(info, clips) | {
        "clips": len(clips),
        "subjects": len({clip.subject for clip in clips}),
    }
    differ = [what for what in wanted if have.get(what, 0) != wanted[what]]
    found = [
        Finding("look", "published", what, f"{have.get(what, 0)} here, {wanted[what]} published")
        for what in differ
    ]
    text = f"{len(wanted) - len(differ)} of {len(wanted)} counts are as published of {name}"
    return (
        [("published", text if wanted else f"no counts are known of {name}")],
        {"published": wanted},
        found,
    )


def _check_sizes(info, clips, seen):
    counts = [len(clip.names) for clip in clips] or [0]
    sizes = Counter(one.size for one in seen if one.size).most_common()
    found = []
    for clip, one in zip(clips, seen, strict=True):
        if one.size and one.size != sizes[0][0]:
            what = "{} x {} px, but most clips of the set have {} x {} px".format(
                *one.size, *sizes[0][0]
            )
            found.append(Finding("look", "sizes", clip.name, what))
    text = ", ".join(
        f"{w} x {h} px" + (f" ({n} clips)" if len(sizes) > 1 else "") for (w, h), n in sizes[:4]
    )
    text += f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""
    text += (
        ", two views side by side"
        if info["views"] == 2 and sizes and not info.get("channels")
        else ""
    )
    facts = {"frames": sum(counts), "sizes": {f"{w} x {h}": n for (w, h), n in sizes}}
    return (
        [
            ("frames", f"{sum(counts)}, {min(counts)} to {max(counts)} a clip"),
            ("sizes", text or "none"),
        ],
        facts,
        found,
    )


def _check_phases(info, clips, seen):
    counts = Counter(len(clip.names) for clip in clips)
    usual = counts.most_common(1)[0][0] if counts else 0
    found = [
        Finding(
            "mend",
            "channels",
            clip.name,
            f"{len(clip.names)} pictures, but most clips have {usual}: one per phase",
        )
        for clip in clips
        if len(clip.names) != usual
    ]
    text = f"red, green, blue hold {', '.join(info['channels'])}; {usual} phase{'s' * (usual != 1)}"
    return [("channels", text)], {"channels": info["channels"], "phases": usual}, found


def _check_times(info, clips, seen):
    rates, found = sorted({clip.fps for clip in clips if clip.fps}), []
    for clip in clips:
        if clip.fps is None:
            found.append(
                Finding(
                    "look",
                    "fps",
                    clip.name,
                    "fps is not given: how long it lasts cannot be checked",
                )
            )
        elif not 25 <= clip.fps <= 1000:
            found.append(
                Finding("look", "fps", clip.name, f"{clip.fps:g} fps: too few, or a misprint?")
            )
    if len(rates) > 1:
        what = (
            "several rates in one set: the apex is sought in a curve smoothed over frames, "
            "not over seconds"
        )
        found.append(Finding("look", "fps", f"{rates[0]:g} to {rates[-1]:g} fps", what))
    times = [(clip.offset - clip.onset) / clip.fps for clip in clips if clip.fps]
    text = f"{min(times):.2f} to {max(times):.2f} s from onset to offset" if times else "not known"
    known = ", ".join(f"{fps:g}" for fps in rates[:6]) + (
        f" and {len(rates) - 6} more" if len(rates) > 6 else ""
    )
    return [("fps", known or "not known"), ("duration", text)], {"fps": rates}, found


def _check_copies(info, clips, seen):
    """Find clips whose decoded pictures are another's."""
    first, found = {}, []
    for clip, one in zip(clips, seen, strict=True):
        twin = first.setdefault((one.size, one.digest), clip)
        if one.digest and twin is not clip:
            what = f"has the same pictures as {twin.name}"
            if clip.subject != twin.subject:
                what += f", and another subject ({clip.subject}, not {twin.subject})"
            if clip.labels != twin.labels:
                what += ", and other labels"
            found.append(Finding("mend", "duplicates", clip.name, f"{what}; keep one of them"))
    return [("duplicates", str(len(found)) if found else "none")], {"duplicates": len(found)}, found


def _check_faces(info, clips, seen):
    """Sum up how face boxes were found and what moved."""
    kinds = Counter(one.how for one in seen if one.how)
    moved = [one.motion for one in seen if one.motion]
    lines = [("face box", ", ".join(f"{kind} {kinds[kind]}" for kind in sorted(kinds)) or "none")]
    if info["views"] == 2:
        odd = len(
            {finding.where for one in seen for finding in one.findings if finding.check == "views"}
        )
        lines.append(("views", f"alike and in step in {len(moved) - odd} of {len(moved)} clips"))
    text = "not measured"
    if moved:
        least, most, head = (
            pick(column)
            for pick, column in zip((min, max, max), zip(*moved, strict=True), strict=True)
        )
        text = f"face {least:.2f} to {most:.2f} px, head up to {head:.1f} px, in crops of {CROP} px"
    return [*lines, ("motion", text)], {"boxes": dict(kinds)}, []
