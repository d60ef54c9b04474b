"""The README quotes figures/results.json and nothing else; its pictures and commands exist."""

import json
import re
from pathlib import Path

from mer_utils.study import read_suite

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = json.loads((ROOT / "figures" / "results.json").read_text())
GRID = json.loads((ROOT / "benchmarks" / "comparisons.json").read_text())
NAMES = {  # how the README calls what results.json holds
    "MicroAttNet, three networks a fold": ("uf1", "MicroAttNet", "macro"),
    "all ones": ("uf1", "all_ones"),
    "majority": ("uf1", "majority"),
    "all zeros": ("uf1", "all_zeros"),
    "best on inner subjects": ("leakage", "inner", "macro"),
    "the last": ("leakage", "last", "macro"),
    "best for the test subject": ("leakage", "test", "macro"),
    "apex error, median": ("apex", "median_abs_error_frames"),
    "apex within 2 frames": ("apex", "within_2_frames"),
    "middle frame within 2 frames": ("apex", "middle_frame", "within_2_frames"),
    "best constant share within 2 frames": ("apex", "best_constant_share", "within_2_frames"),
    "flow error, DIS": ("flow_epe_px", "dis"),
    "flow error, Farnebäck": ("flow_epe_px", "farneback"),
    "flow error, TV-L1": ("flow_epe_px", "tvl1"),
    "flow error, no motion at all": ("flow_epe_px", "no_motion"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_quoted_number_is_the_measured_one(name):
    value = RESULTS
    for key in NAMES[name]:
        value = value[key]
    (row,) = re.findall(rf"^\| {re.escape(name)} \| ([^|]+) \|", README, re.M)
    number, decimals = re.match(r"(\d+(?:\.(\d+))?)", row).groups()
    assert float(number) == round(value, len(decimals or "")), (row, value)


def test_per_label_numbers_are_the_measured_ones():
    measured = RESULTS["uf1"]["MicroAttNet"]["per_label"]
    for label, value in measured.items():
        (quoted,) = re.findall(rf"{label} (\d\.\d\d)", README)
        assert float(quoted) == round(value, 2)


def number(text):
    return float(text.replace("−", "-"))


def test_ablations_are_the_measured_ones():
    pattern = r"^\| `([\w.]+)` \| [^|]+ \| ([\d.]+) \| ([+−][\d.]+) \| ([+−][\d.]+) to ([+−][\d.]+) \| ([\d.]+) \|"
    rows = re.findall(pattern, README, re.M)
    assert {name for name, *_ in rows} == set(GRID["ablations"]) - {"default"}
    keys = ("macro", "difference", "difference_low", "difference_high", "p_corrected")
    for name, *quoted in rows:
        assert [number(text) for text in quoted] == [round(GRID["ablations"][name][key], 3) for key in keys], name
    sure = {name for name, row in GRID["ablations"].items() if row["p_corrected"] < 0.05}
    (claim,) = re.findall(r"(?:Beyond noise here: (.+?)\.\s|None is beyond noise here)", README)
    assert set(re.findall(r"`([\w.]+)`", claim)) == sure


def test_what_peeking_brings_is_the_measured_difference():
    for name, rule in (("the last", "last"), ("best for the test subject", "test")):
        pattern = rf"^\| {name} \| [\d.]+ \| ([+−][\d.]+) \| ([+−][\d.]+) to ([+−][\d.]+) \| ([\d.]+) \|"
        (quoted,) = re.findall(pattern, README, re.M)
        keys = ("difference", "difference_low", "difference_high", "p_corrected")
        assert [number(text) for text in quoted] == [round(RESULTS["leakage"][rule][key], 3) for key in keys]


def test_peers_are_the_measured_ones():
    pattern = r"^\| [^|`]+ \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \| ([+−]?[\d.]*) \| ([\d.]*) \|"
    quoted = re.findall(pattern, README, re.M)
    rows = sorted(GRID["peers"].values(), key=lambda row: -row["macro"])
    assert len(quoted) == len(rows) >= 6
    for (macro, low, high, difference, p), row in zip(quoted, rows, strict=True):
        assert [number(text) for text in (macro, low, high)] == [round(row[k], 3) for k in ("macro", "low", "high")]
        if difference:
            assert (number(difference), number(p)) == (round(row["difference"], 3), round(row["p_corrected"], 3))


def test_speeds_are_those_of_the_benchmark():
    measured = json.loads((ROOT / "benchmarks" / "training.json").read_text())
    for name, value in measured["sample_passes_per_second"].items():
        assert f"| {name} | {value:,} |" in README
    one, two = measured["loso_seconds_by_workers"].values()
    few, many = measured["fold_seconds_by_clips"].values()
    assert f"{one / two:.2f} times as fast" in README and f"take {many / few:.1f} times as long" in README.replace(
        "\n", " "
    )


def test_sizes_are_those_of_the_benchmark():
    measured = json.loads((ROOT / "benchmarks" / "data.json").read_text())
    few, many = measured["clips"].values()
    for step, name in (("import", "`mer import`"), ("doctor", "`mer doctor`"), ("features", "features")):
        row = (
            f"| {name} | {few[step]['seconds']:.1f} s | {many[step]['seconds']:.1f} s | {many[step]['peak_mib']} MiB |"
        )
        assert row in README
        assert many[step]["peak_mib"] < 1536
    for kind, row in measured["large_frames"].items():
        rates = " | ".join(f"{rate:.2f} clips/s" for rate in row["clips_per_second"].values())
        assert f"| {kind.upper()} | {rates} |" in README
    assert measured["killed"]["same"] and list(measured["clips"]) == ["1000", "10000"]


def test_the_results_are_of_the_full_synthetic_set():
    assert RESULTS["data"]["clips"] == 267 and RESULTS["data"]["subjects"] == 24 and RESULTS["data"]["synthetic"]


def test_every_committed_figure_leads_to_its_notebook():
    figures = json.loads((ROOT / "figures" / "figures.json").read_text())
    declared = [name for entry in read_suite(ROOT)["notebooks"].values() for name in entry["figures"]]
    assert list(figures) == declared
    assert {path.stem for path in (ROOT / "figures").glob("*.png")} == set(declared)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r'src="([^"]+)"', README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
