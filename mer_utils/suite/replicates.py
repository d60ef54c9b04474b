"""The benchmark over several data sets (benchmarks/replicates.py), beside which a notebook shows
what its own run found.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mer_utils import MerError
from mer_utils.core.files import read_json
from mer_utils.core.provenance import code_of, key_of
from mer_utils.learning.comparison import compare_sets

import numpy as np

# table: the reference of its comparisons, and the hypotheses named before anything was measured:
# those of the paper's abstract
TABLES = {"ablations": ("default", ("no fusion attention", "no SE")), "peers": ("MicroAttNet", ())}
# what makes the numbers: frames, features, trained folds
MAKERS = ("faces.generate", "method.features", "learning.folds")


@dataclass(frozen=True)
class SetTable:
    """Scores of the variants of one table over the D data sets on which all of them were trained
    from K seeds: ``macro`` {name: (D, K)} and, mean over seeds, ``f1`` {name: (D, L)} of each
    label. Of each set also ``floors`` {constant answer: (D,)}.
    """

    reference: str
    primary: tuple[str, ...]
    sets: tuple[int, ...]
    macro: dict
    f1: dict
    floors: dict

    @cached_property
    def found(self):
        """{name: SetComparison} of each variant with the reference (see ``compare_sets``)."""
        return compare_sets(self.macro, self.reference, self.primary)

    @cached_property
    def gaps(self):
        """{name: (D,)}: macro-UF1 of each variant minus that of the reference, set by set, mean
        over training seeds.
        """
        base = self.macro[self.reference].mean(1)
        return {n: given.mean(1) - base for n, given in self.macro.items() if n != self.reference}


@dataclass(frozen=True)
class Replicates:
    """What the benchmark found: its settings, ``labels``, and SetTables by name ("ablations",
    "peers"). ``stale``: other code than the present one made it.
    """

    preset: str
    subjects: int
    clips: int
    seeds: int
    labels: tuple[str, ...]
    tables: dict
    stale: bool


def find_record(root, preset):
    """Return the path of the benchmark's file below the repository's folder ``root``."""
    return Path(root) / "benchmarks" / f"replicates-{preset}.json"


def describe_makers():
    """Return what frames, features and folds are made with, as JSON values: a key of each one's
    code, the packages' versions, the kernels.
    """
    found = {name: code_of(name) for name in MAKERS}
    packages = {
        name: version for made in found.values() for name, version in made["packages"].items()
    }
    return {
        "code": {name: key_of(made["modules"]) for name, made in found.items()},
        "packages": dict(sorted(packages.items())),
        "kernels": found[MAKERS[0]]["kernels"],
    }


def load_replicates(root, preset):
    """Return the Replicates of a generator ``preset`` kept in the repository's folder ``root``;
    MerError if the file is missing or damaged.
    """
    path = find_record(root, preset)
    if not path.is_file():
        raise MerError(path, f"no such file; make it: benchmarks/replicates.py --preset {preset}")
    return read_replicates(read_json(path), path)


def tell_sets(known, table):
    """Return in one sentence what the numbers of a SetTable of Replicates rest on."""
    stale = "; made by other code than the present one" if known.stale else ""
    return (
        f"{len(table.sets)} synthetic sets (preset {known.preset}) of {known.clips} clips and "
        f"{known.subjects} people, {known.seeds} training seeds each; loaded from "
        f"benchmarks/replicates-{known.preset}.json{stale}"
    )


def list_rows(table):
    """Return {variant: its numbers} of a SetTable, as results.json keeps them."""
    numbers = ("low", "high", "difference", "difference_low", "difference_high", "p")
    numbers += ("p_corrected", "detectable", "verdict")
    return {
        name: {"macro": row.mean} | {key: getattr(row, key) for key in numbers}
        for name, row in table.found.items()
    }


def read_replicates(record, path):
    """Return the Replicates of the JSON value ``record`` of the file ``path``."""
    try:
        tables = {name: _read_table(record, name) for name in record["tables"]}
        return Replicates(
            *(record[key] for key in ("preset", "subjects", "clips", "seeds")),
            tuple(record["labels"]),
            tables,
            record["provenance"]["code"] != describe_makers()["code"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MerError(
            path, f"damaged ({type(error).__name__}: {error}); take it from git or make it again"
        ) from None


def _read_table(record, name):
    """Return one SetTable; ValueError if a score is missing or no number."""
    reference, primary = TABLES[name]
    variants = record["tables"][name]
    # a run that was stopped has trained some variants on more sets than others
    sets = [key for key in record["sets"] if all(key in one["macro"] for one in variants.values())]
    shapes = {"macro": (len(sets), record["seeds"]), "f1": (len(sets), len(record["labels"]))}
    scores = {
        kind: {
            variant: np.array([one[kind][key] for key in sets], float).reshape(shape)
            for variant, one in variants.items()
        }
        for kind, shape in shapes.items()
    }
    if not all(np.isfinite(table).all() for kind in scores.values() for table in kind.values()):
        raise ValueError("a score is no number")
    floors = [record["sets"][key]["floors"] for key in sets]
    return SetTable(
        reference,
        primary,
        tuple(map(int, sets)),
        **scores,
        floors={n: np.array([one[n] for one in floors], float) for n in (floors or [{}])[0]},
    )
