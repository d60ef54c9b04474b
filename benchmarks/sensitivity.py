"""Where the method breaks, on more clips than a run of the notebooks can film again.

    python benchmarks/sensitivity.py [--clips 107]

Runs `mer run --profile full --only 07` with so many clips in its section 7.9 into artifacts/ and
keeps what it found there in benchmarks/sensitivity.json, with what made it. About six minutes on
two cores after `make figures`, whose networks it asks.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from faces4d.generate import describe_makers
from mer_utils.files import read_json, write_json
from mer_utils.study import find_root


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=107)
    args = parser.parse_args()
    if not 100 <= args.clips <= 267:
        parser.error("100 clips are needed for a measurement, and the set has 267")
    root = find_root(Path(__file__).parent)
    out = root / "artifacts" / "sensitivity"
    command = [sys.executable, "-m", "mer_tools", "run", "--profile", "full", "--only", "07"]
    settings = ["-p", f"07.probe={args.clips}", "--out", str(out)]
    subprocess.run([*command, *settings], cwd=root, check=True)
    found = read_json(out / "results.json")
    record = {"clips": found["sensitivity_clips"], "sensitivity": found["sensitivity"]}
    write_json(Path(__file__).with_suffix(".json"), {"provenance": describe_makers()} | record)


if __name__ == "__main__":
    main()
