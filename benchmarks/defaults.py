"""How the defaults were chosen: notebook 07's grid on development sets, whose people no reported
number ever sees.

    python benchmarks/defaults.py [--sets 1001 1002] [--seeds 2]

Runs `mer run --profile full --only 07` with each set's seed into artifacts/, prints the table and
writes benchmarks/defaults.json. A choice is "better" (or "worse") here only where it is so beyond
chance, corrected for the number of variants, on every development set. About ten minutes a set on
two cores.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from mer_utils.files import read_json, write_json
from mer_utils.study import find_root

import numpy as np


def run_ablations(root, data_seed, seeds):
    """Run notebook 07 on the set of seed ``data_seed``, the whole grid; return its results."""
    out = root / "artifacts" / "defaults" / str(data_seed)
    settings = [f"all.seed={data_seed}", f"all.seeds={seeds}", "07.whole_grid=True"]
    words = [word for setting in settings for word in ("-p", setting)]
    command = [sys.executable, "-m", "mer_tools", "run", "--profile", "full", "--out", str(out)]
    subprocess.run([*command, *words, "--only", "07"], cwd=root, check=True)
    return read_json(out / "results.json")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, nargs="+", default=[1001, 1002])
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    root = find_root(Path(__file__).parent)
    found = [run_ablations(root, number, args.seeds)["ablations"] for number in args.sets]
    variants = {}
    for name in found[0]:
        rows = [ablations[name] for ablations in found]
        p = max(row["p_corrected"] for row in rows)
        signs, verdict = {bool(row["difference"] > 0) for row in rows}, "within noise"
        if p < 0.05 and len(signs) == 1:
            verdict = "better" if signs == {True} else "worse"
        variants[name] = {
            "macro": [row["macro"] for row in rows],
            "difference": round(float(np.mean([row["difference"] for row in rows])), 4),
            "p_corrected": p,
            "verdict": verdict,
        }
        print(f"{name:24} {variants[name]['difference']:+.3f}   corrected p {p:.3f}   {verdict}")
    record = {"sets": args.sets, "seeds": args.seeds, "variants": variants}
    write_json(Path(__file__).with_suffix(".json"), record)


if __name__ == "__main__":
    main()
