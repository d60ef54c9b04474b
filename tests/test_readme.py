"""The README quotes figures/results.json and nothing else; its pictures and commands exist."""

import json
import re
from pathlib import Path

import pytest

from mer_utils.study import read_suite

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = json.loads((ROOT / "figures" / "results.json").read_text())
NAMES = {  # how the README calls what results.json holds
    "MicroAttNet": ("uf1", "MicroAttNet", "macro"),
    "PCA + RBF-SVM": ("uf1", "pca_svm"),
    "STSTNet": ("uf1", "ststnet"),
    "all ones": ("uf1", "all_ones"),
    "majority": ("uf1", "majority"),
    "all zeros": ("uf1", "all_zeros"),
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


def test_ablations_are_the_measured_ones():
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\d\.\d{3}) \| ([+−]\d\.\d{3}) \| (\d\.\d{3}) \|", README, re.M)
    assert {name for name, *_ in rows} == set(RESULTS["ablations"]) - {"default"}
    for name, macro, difference, noise in rows:
        measured = RESULTS["ablations"][name]
        assert float(macro) == round(measured["macro"], 3)
        assert float(difference.replace("−", "-")) == round(measured["difference"], 3)
        assert float(noise) == round(measured["noise"], 3)


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
