"""The doctor: read all of a dataset once, and say what must be mended and what deserves a look."""

import re
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mer_utils import MerError
from mer_utils.clips import survey
from mer_utils.inspection import Finding, explain, inspect_group
from mer_utils.parallel import run_jobs
from mer_utils.tables import TABLES, read_table

WIDTH = 100  # columns of a terminal
SHOWN = 5  # findings a check in the table; the JSON has all
GROUP = 8  # clips a job: each gives back a few numbers


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
        return "\n".join(
            [*lines, "", "Sound: nothing must be mended." if self.sound else "Not sound: mend this first."]
        )

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
    """Read all of the dataset in the folder ``root``, each frame once, in ``jobs`` processes (0: one a core); return a
    Report. Raises MerError only where dataset.json or the manifest as a whole cannot be used.
    """
    root = Path(root)
    info, rows = survey(root)
    clips = [clip for clip in rows if not isinstance(clip, MerError)]
    findings = [explain("mend", "rows", error, root) for error in rows if isinstance(error, MerError)]
    groups = [(root, info, clips[start : start + GROUP]) for start in range(0, len(clips), GROUP)]
    seen = [one for part in run_jobs(inspect_group, groups, jobs) for one in part]
    findings += [finding for one in seen for finding in one.findings]
    table, facts = [("rows", f"{len(clips)} of {len(rows)} in the manifest can be used")], {"rows": len(rows)}
    for check in (_count_clips, _count_labels, _compare_published, _compare_subjects, _count_frames, _time_clips):
        found, numbers, odd = check(info, clips, seen)
        table, facts, findings = table + found, facts | numbers, findings + odd
    for check in (_find_copies, _sum_up_faces):
        found, numbers, odd = check(info, clips, seen)
        table, facts, findings = table + found, facts | numbers, findings + odd
    order = [check for check, _ in table]
    findings.sort(key=lambda finding: (finding.level != "mend", order.index(finding.check)))
    return Report(info["name"], table, facts, findings)


def _count_clips(info, clips, seen):
    subjects = Counter(clip.subject for clip in clips)
    unlabelled = [clip.name for clip in clips if clip.labels is None]
    odd = [
        Finding("look", "clips", name, "has no labels: `mer submit` answers it, training needs them")
        for name in unlabelled
    ]
    if len(subjects) == 1 and len(unlabelled) < len(clips):
        what = "is the only subject: leaving one subject out leaves nothing to learn from"
        odd.append(Finding("mend", "subjects", next(iter(subjects)), what))
    text = f"{len(clips)}" + (f", {len(unlabelled)} of them without labels" if unlabelled else "")
    many = f"{len(subjects)}, with {min(subjects.values())} to {max(subjects.values())} clips each" if subjects else "0"
    facts = {"clips": len(clips), "unlabelled": len(unlabelled), "subjects": len(subjects)}
    return [("clips", text), ("subjects", many)], facts, odd


def _count_labels(info, clips, seen):
    labelled = [clip for clip in clips if clip.labels is not None]
    counts, odd = {}, []
    for k, label in enumerate(info["labels"]):
        owners = [clip.subject for clip in labelled if clip.labels[k]]
        counts[label] = len(owners)
        if labelled and not owners:
            odd.append(
                Finding(
                    "mend",
                    "labels",
                    label,
                    "no clip has it, so that nothing can be learnt of it: add clips, or leave out the label",
                )
            )
        elif len(set(owners)) == 1:
            odd.append(
                Finding(
                    "look",
                    "labels",
                    label,
                    "only one subject shows it: when that one is left out, nothing is learnt of it",
                )
            )
    text = ", ".join(f"{label} {count}" for label, count in counts.items())
    return [("labels", text)], {"labels": counts}, odd


def _compare_published(info, clips, seen):
    """Compare clips, subjects and labels with the published counts of the set that dataset.json names."""
    name = info.get("published")
    if name is None:
        return [], {}, []
    table = [row.cells for row in read_table(TABLES / "published_counts.csv")]
    wanted = {row["what"]: int(row["count"]) for row in table if row["set"] == name}
    if not wanted:
        return [("published", f"no counts are known of {name}")], {}, []
    have = {"clips": len(clips), "subjects": len({clip.subject for clip in clips})} | {
        label: sum(clip.labels[k] for clip in clips if clip.labels) for k, label in enumerate(info["labels"])
    }
    differ = [what for what, count in wanted.items() if have.get(what) != count]
    odd = [Finding("look", "published", what, f"{have.get(what, 0)} here, {wanted[what]} published") for what in differ]
    text = f"{len(wanted) - len(differ)} of {len(wanted)} counts are those published of {name}"
    return [("published", text)], {"published": wanted}, odd


def _compare_subjects(info, clips, seen):
    """Find subjects that are split over names: spelt in two ways, or with sessions told apart."""
    names = sorted({clip.subject for clip in clips})
    alike, sessions, odd = {}, {}, []
    for name in names:
        plain = re.sub(r"\d+", lambda digits: str(int(digits[0])), re.sub(r"[\s_-]+", "", name.casefold()))
        alike.setdefault(plain, []).append(name)
        base = re.fullmatch(r"(.*\d)[\s_-]+(?:\d{1,2}(?:st|nd|rd|th)?|[a-z])", name, re.IGNORECASE)
        sessions.setdefault(base[1] if base else name, []).append(name)
    for group in alike.values():
        if len(group) > 1:
            odd.append(
                Finding(
                    "mend",
                    "subjects",
                    ", ".join(group),
                    "are one subject spelt in several ways? Each is left out on its own: use one spelling",
                )
            )
    for group in sessions.values():
        if 2 <= len(group) <= 4:  # more are a way of counting, not sessions
            odd.append(
                Finding(
                    "look",
                    "subjects",
                    ", ".join(group),
                    "look like sessions of one person, who is then learnt from and tested on",
                )
            )
    return [], {}, odd


def _count_frames(info, clips, seen):
    counts = [len(clip.names) for clip in clips] or [0]
    sizes = Counter(one.size for one in seen if one.size).most_common()
    odd = []
    for clip, one in zip(clips, seen, strict=True):
        if one.size and one.size != sizes[0][0]:
            what = "{} x {} px, but most clips of the set are {} x {} px".format(*one.size, *sizes[0][0])
            odd.append(Finding("look", "sizes", clip.name, what))
    text = ", ".join(f"{w} x {h} px" + (f" ({count})" if len(sizes) > 1 else "") for (w, h), count in sizes[:4])
    more = f" and {len(sizes) - 4} more sizes" if len(sizes) > 4 else ""
    views = f", {info['views']} views side by side" if info["views"] > 1 and not info.get("channels") else ""
    facts = {"frames": sum(counts), "sizes": {f"{w}x{h}": count for (w, h), count in sizes}}
    frames = f"{sum(counts)}, {min(counts)} to {max(counts)} a clip"
    table = [("frames", frames), ("sizes", text + more + views)]
    return table + ([("channels", ", ".join(info["channels"]))] if info.get("channels") else []), facts, odd


def _time_clips(info, clips, seen):
    if info.get("channels"):
        return [], {}, []
    rates = Counter(clip.fps for clip in clips)
    odd = []
    for clip in clips:
        if clip.fps is None:
            odd.append(Finding("look", "fps", clip.name, "no fps is given: how long it lasts is not known"))
        elif not 25 <= clip.fps <= 1000:
            odd.append(Finding("look", "fps", clip.name, f"{clip.fps:g} fps: a micro-expression wants 25 to 1000"))
    known = sorted(fps for fps in rates if fps)
    if len(known) > 1:
        odd.append(
            Finding(
                "look",
                "fps",
                f"{known[0]:g} to {known[-1]:g} fps",
                "several rates in one set: the apex rule smooths over frames, not over time",
            )
        )
    times = [(clip.offset - clip.onset) / clip.fps for clip in clips if clip.fps]
    lasting = f"{min(times):.2f} to {max(times):.2f} s from onset to offset" if times else "not known"
    text = ", ".join(f"{fps:g}" for fps in known[:6]) or "not known"
    return [("fps", text), ("duration", lasting)], {"fps": known}, odd


def _find_copies(info, clips, seen):
    """Find clips with the same decoded pictures."""
    first, odd = {}, []
    for clip, one in zip(clips, seen, strict=True):
        if one.digest is not None and one.digest in first:
            twin = first[one.digest]
            whose = (
                "" if clip.subject == twin.subject else f", and the subjects differ ({clip.subject}, {twin.subject})"
            )
            labels = "" if clip.labels == twin.labels else ", and the labels differ"
            odd.append(
                Finding(
                    "mend",
                    "duplicates",
                    clip.name,
                    f"shows the same pictures as {twin.name}{whose}{labels}: remove one of them",
                )
            )
        elif one.digest is not None:
            first[one.digest] = clip
    return [("duplicates", f"{len(odd)} clips repeat another" if odd else "none")], {"duplicates": len(odd)}, odd


def _sum_up_faces(info, clips, seen):
    if info.get("channels"):
        return [], {}, []
    how = Counter(one.how for one in seen if one.how)
    motion = [one.motion for one in seen if one.motion]
    late = sum(finding.check == "views" for one in seen for finding in one.findings)
    face = f"face {min(m[0] for m in motion):.2f} to {max(m[1] for m in motion):.2f} px" if motion else ""
    table = [
        ("face box", ", ".join(f"{kind} {how[kind]}" for kind in ("manifest", "silhouette", "fallback") if how[kind]))
    ]
    if info["views"] == 2:
        table.append(("views", f"{len(motion) - late} of {len(motion)} clips with both views in step"))
    if motion:
        face += f", head up to {max(m[2] for m in motion):.1f} px, in crops of 128 px"
    return [*table, ("motion", face or "not measured")], {"boxes": dict(how)}, []
