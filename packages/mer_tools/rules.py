"""What is odd about a dataset, as rules on tables of its clips, people, sessions and labels."""

from pathlib import Path
from typing import NamedTuple

from mer_tools.importing.tables import PUBLISHED
from mer_utils import MerError
from mer_utils.dataset import open_dataset
from mer_utils.files import sha256

import pandas as pd

SESSION = r"(?i)(\d)[\s_-]+\d{1,2}(?:st|nd|rd|th)?$"  # what follows a person's name
# Columns: table (of ``tabulate``), level, check; condition and sentence, both about the table's
# columns. None of 801 healthy synthetic clips passes a limit on motion (px of a crop); real faces
# and cameras may: such a finding stops nothing.
RULES = Path(__file__).with_name("rules.csv")
COLUMNS = (
    "clip subject dataset labels frames size digest fps seconds repeats gap odd how narrow wide "
    "least most head phases grey plain"
).split()


class Finding(NamedTuple):
    """One thing found: ``level`` is "mend" (a run would fail or be wrong) or "look" (odd, may be
    right), ``check`` a row of the report's table, ``where`` a clip, a file or a manifest's row.
    """

    level: str
    check: str
    where: str
    what: str


def open_sound(root):
    """Open a dataset to be run. Unless it is synthetic, what the doctor finds to mend without
    decoding a picture (people, labels, copied files) raises MerError.
    """
    dataset, rows = open_dataset(root), []
    for clip in () if dataset.synthetic else dataset.clips:
        some = clip.frames[:: max(1, len(clip.frames) // 4)]
        row = {"clip": clip.name, "subject": clip.subject, "labels": clip.labels}
        rows.append(row | {"digest": str([sha256(path) for path in some])})
    mends = [one for one in apply_rules(tabulate(dataset.info, rows)) if one.level == "mend"]
    if mends:
        texts = [f"{one.where}: {one.what}" for one in mends[:5]]
        more = f"; and {len(mends) - 5} more" if len(mends) > 5 else ""
        raise MerError(root, f"{'; '.join(texts)}{more} (`mer doctor` lists all)")
    return dataset


def tabulate(info, rows):
    """Return the tables that RULES are about, {name: table}, from a row of COLUMNS for each clip.
    Each has a column ``where``; that of clips apart, also a ``number`` of people or clips.
    """
    clips = pd.DataFrame(rows, columns=COLUMNS)
    clips["where"], clips["twin"] = clips["clip"], _find_twins(clips)
    for column in ("size", "phases", "fps"):
        clips[f"usual_{column}"] = next(iter(clips.loc[clips[column] != 0, column].mode()), None)
    names, labels = pd.Series(sorted(set(clips["subject"])), dtype=str), label_clips(info, clips)
    persons = names.groupby(names.str.replace(SESSION, r"\1", regex=True))
    shown = labels.groupby(level=0).max().sum()
    counts = pd.read_csv(PUBLISHED / "published_counts.csv")
    counts = counts[counts["set"] == info.get("published")].rename(columns={"what": "where"})
    here = labels.sum().to_dict() | {"clips": len(clips), "subjects": len(names)}
    tables = {
        "clips": clips,
        "sessions": persons.agg(where=", ".join, number="count"),
        "published": counts.assign(number=counts["where"].map(here).fillna(0)),
    }
    if len(labels):  # what has no labels is answered, not learnt from
        tables["people"] = pd.DataFrame({"where": [", ".join(names)], "number": [len(names)]})
        tables["labels"] = pd.DataFrame({"where": shown.index, "number": shown})
    return tables


def apply_rules(tables, check=None):
    """Return the Findings of RULES, or of those with this ``check``, about tables."""
    return [
        Finding(rule.level, rule.check, row["where"], rule.sentence.format(**row))
        for rule in pd.read_csv(RULES).itertuples()
        if len(tables.get(rule.table, ())) and check in (None, rule.check)
        for row in tables[rule.table].query(rule.condition, engine="python").to_dict("records")
    ]


def _find_twins(clips):
    """Return for each clip which one before it has the same pictures, and what else differs; None
    for no such clip.
    """
    first, twins = {}, []
    for clip in clips.itertuples():
        twin = first.setdefault(clip.digest, clip)
        what = twin.clip
        if clip.subject != twin.subject:
            what += f", and another subject ({clip.subject}, not {twin.subject})"
        if clip.labels != twin.labels:
            what += ", and other labels"
        twins.append(what if twin is not clip and isinstance(clip.digest, str) else None)
    return twins


def label_clips(info, clips):
    """Return a table (clips, labels) of 0 and 1 by subject, of the clips that have labels."""
    known = clips[clips["labels"].notna()]
    rows = known["labels"].tolist()
    return pd.DataFrame(rows, index=known["subject"], columns=info["labels"], dtype=int)
