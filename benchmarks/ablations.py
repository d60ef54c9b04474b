"""The README's table of ablations: notebook 06's whole grid on the benchmark set with several training seeds.

    python benchmarks/ablations.py [--seeds 3]

Writes benchmarks/ablations.json. About eight minutes for three seeds on two cores after `make figures`, whose folds
it reuses.
"""

import argparse
from pathlib import Path

from defaults import run_grid_on

from mer_utils.artifacts import write_json
from mer_utils.study import find_root


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    found = run_grid_on(find_root(Path(__file__).parent), 0, args.seeds)
    write_json(Path(__file__).with_suffix(".json"), {"seeds": args.seeds, "ablations": found})


if __name__ == "__main__":
    main()
