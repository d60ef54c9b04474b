"""The README's tables of peers and ablations: notebooks 06 and 07 on the benchmark set with several
training seeds.

    python benchmarks/comparisons.py [--seeds 3]

Writes benchmarks/comparisons.json. About 25 minutes for three seeds on two cores from nothing.
"""

import argparse
from pathlib import Path

from mer_utils.core.files import write_json
from mer_utils.suite.study import find_root

from defaults import run_notebooks


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    found = run_notebooks(find_root(Path(__file__).parent), ["06", "07"], 0, args.seeds)
    record = {"seeds": args.seeds, "peers": found["peers"], "ablations": found["ablations"]}
    write_json(Path(__file__).with_suffix(".json"), record)


if __name__ == "__main__":
    main()
