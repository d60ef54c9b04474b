"""The benchmark over several sets on tiny ones, what is kept of it, and what a notebook reads."""

import ast
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

from faces4d.generate import write_synthetic
from mer_utils import MerError
from mer_utils import ablations as reader
from mer_utils.ablations import compare_sets, load_replicates
from mer_utils.baselines import NATIVE, recipe_of
from mer_utils.features import FrontEnd
from mer_utils.training import NETWORKS

import nbformat
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
TINY = ("--preset", "bench-v1", "--subjects", "4", "--clips", "8", "--seeds", "2", "--jobs", "1")


@pytest.fixture(scope="module")
def benchmark():
    """The script as a module, with small frames and training cut short."""
    spec = importlib.util.spec_from_file_location(
        "benchmark_replicates", ROOT / "benchmarks" / "replicates.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.BASE = replace(module.BASE, epochs=2, inner=2, width=2)

    def make_small(parent, subjects, clips, seed, jobs, preset):
        root = parent / f"synthetic-{preset}-{subjects}x{clips}-seed{seed}"
        return write_synthetic(root, subjects, clips, seed, preset, size=64, jobs=jobs)

    module.ensure_synthetic = make_small
    return module


@pytest.fixture(scope="module")
def measured(benchmark, tmp_path_factory):
    """A folder in which two tiny sets were measured, the second one with the first one's file."""
    root = tmp_path_factory.mktemp("root")
    for sets in (["1"], ["1", "2"]):
        benchmark.main([*TINY, "--groups", "primary", "--sets", *sets], root)
    return root


def read_record(root):
    return json.loads(reader.find_record(root, "bench-v1").read_text())


def test_every_peer_gets_its_own_maps_and_settings(benchmark):
    variants = benchmark.list_variants(("peers",))
    assert [name for _, name in variants] == [*NETWORKS, "PCA+SVM, threshold 0"]
    for network in NETWORKS:
        front, recipe = variants["peers", network]
        assert front == replace(FrontEnd(), **NATIVE[network])
        assert recipe == recipe_of(network, members=1)


@pytest.mark.slow
def test_every_score_is_kept_and_the_frames_are_not(measured, benchmark):
    record = read_record(measured)
    assert list(record["sets"]) == ["1", "2"] and list(record["tables"]) == ["ablations"]
    entries = record["tables"]["ablations"]
    assert list(entries) == list(benchmark.PRIMARY)
    assert entries["no SE"]["recipe"] == {"se": "none"} and entries["no SE"]["front"] == {}
    for entry in entries.values():
        assert np.shape([entry["macro"][key] for key in "12"]) == (2, 2)
        assert np.shape([entry["f1"][key] for key in "12"]) == (2, 5)
        for key in "12":  # both are means over training seeds
            assert np.mean(entry["macro"][key]) == pytest.approx(
                np.mean(entry["f1"][key]), abs=1e-3
            )
    assert sum(record["sets"]["1"]["clips_per_label"]) >= 8
    assert not list((measured / "data").glob("synthetic-*"))
    assert list((measured / "artifacts" / "cache" / "folds").glob("*"))


@pytest.mark.slow
def test_what_was_measured_is_not_measured_again(measured, benchmark, monkeypatch, capsys):
    path = reader.find_record(measured, "bench-v1")
    before = path.read_bytes()

    def refuse(*given):
        raise AssertionError("made again")

    monkeypatch.setattr(benchmark, "ensure_synthetic", refuse)
    benchmark.main([*TINY, "--groups", "primary", "--sets", "1", "2"], measured)
    assert path.read_bytes() == before
    first = capsys.readouterr().out
    benchmark.main(["--preset", "bench-v1", "--report"], measured)
    assert path.read_bytes() == before and capsys.readouterr().out == first
    assert "2 sets x 2 training seeds" in first
    # 2 hypotheses, and no p below 2 / 2**2
    assert "2 sets can give: primary 1.0000, exploratory 0.5000" in first
    with pytest.raises(AssertionError, match="made again"):  # another set is not there yet
        benchmark.main([*TINY, "--groups", "primary", "--sets", "1", "3"], measured)
    with pytest.raises(MerError, match="was made with another seeds: move it away"):
        benchmark.main([*TINY, "--groups", "primary", "--sets", "1", "--seeds", "1"], measured)
    monkeypatch.setattr(benchmark, "describe_makers", lambda: {"code": {}})
    with pytest.raises(MerError, match="was made with another provenance"):
        benchmark.main([*TINY, "--groups", "primary", "--sets", "1"], measured)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_notebook_reads_the_tables_and_their_comparisons(measured):
    kept = load_replicates(measured, "bench-v1")
    table, record = kept.tables["ablations"], read_record(measured)
    assert (kept.subjects, kept.clips, kept.seeds) == (4, 8, 2)
    assert table.sets == (1, 2) and table.macro["default"].shape == (2, 2)
    assert len(kept.labels) == table.f1["default"].shape[1] == 5
    assert set(table.floors) == {"all_ones", "all_zeros", "majority"}
    assert table.found == compare_sets(table.macro, "default", ("no fusion attention", "no SE"))
    assert table.found["neither"].family == "exploratory"
    for name, row in table.found.items():
        assert record["comparisons"]["ablations"][name]["words"] == row.words
        assert name == "default" or table.gaps[name].mean() == pytest.approx(row.difference)


@pytest.mark.slow
def test_a_stopped_run_compares_only_whole_sets_and_goes_on(
    measured, benchmark, monkeypatch, tmp_path
):
    path = reader.find_record(tmp_path, "bench-v1")
    record = read_record(measured)
    for kind in ("macro", "f1"):  # as if it had been added later, and stopped after the first set
        del record["tables"]["ablations"]["neither"][kind]["2"]
    path.parent.mkdir()
    path.write_text(json.dumps(record))
    assert load_replicates(tmp_path, "bench-v1").tables["ablations"].sets == (1,)
    made = []
    grid = benchmark.run_grid
    monkeypatch.setattr(benchmark, "run_grid", lambda *args: made.append(args) or grid(*args))
    (tmp_path / "artifacts").symlink_to(measured / "artifacts")
    words = [*TINY, "--groups", "primary", "--sets", "1", "2", "--keep-data"]
    benchmark.main(words, tmp_path)
    ((tasks, _, _),) = made  # one variant on one set
    assert [(recipe.seed, recipe.se) for _, recipe in tasks] == [(0, "none"), (1, "none")]
    assert list((tmp_path / "data").glob("synthetic-bench-v1-4x8-seed2"))
    again, first = read_record(tmp_path), read_record(measured)
    assert again["tables"] == first["tables"] and again["comparisons"] == first["comparisons"]


def test_missing_and_damaged_files_are_one_sentence(tmp_path):
    with pytest.raises(MerError, match="no such file; make it: benchmarks/replicates"):
        load_replicates(tmp_path, "bench-v1")
    path = reader.find_record(tmp_path, "bench-v1")
    path.parent.mkdir()
    entry = {"macro": {"1": [0.5]}, "f1": {"1": [0.5]}}
    good = {
        "preset": "p", "subjects": 4, "clips": 16, "seeds": 1, "labels": ["A"],
        "sets": {"1": {"floors": {"all_ones": 0.2}}},
        "tables": {"ablations": {"default": entry}},
    }  # fmt: skip
    path.write_text(json.dumps(good))
    kept = load_replicates(tmp_path, "bench-v1")
    assert kept.tables["ablations"].floors["all_ones"].tolist() == [0.2]
    for change in (
        {"seeds": 2},
        {"sets": None},
        {"tables": {"other": {"default": entry}}},
        {"tables": {"ablations": {"default": {"macro": {"1": [None]}, "f1": {"1": [0.5]}}}}},
    ):
        path.write_text(json.dumps(good | change))
        with pytest.raises(MerError, match=r"replicates-bench-v1\.json: damaged"):
            load_replicates(tmp_path, "bench-v1")
    path.write_text("{")
    with pytest.raises(MerError, match="not readable as JSON"):
        load_replicates(tmp_path, "bench-v1")


def test_sets_that_are_no_evidence_are_refused(benchmark, tmp_path):
    for words, message in (
        (["--sets", "1", "1001"], "set 1001 is no evidence"),
        (["--sets", "0"], "set 0 is no evidence: 0 is the notebooks'"),
        (["--sets", "3", "3"], "each set can be named once"),
        (["--preset", "bench-v0"], "there is no preset 'bench-v0'"),
    ):
        with pytest.raises(MerError, match=message):
            benchmark.main(["--preset", "bench-v1", *words], tmp_path)


def test_the_grid_is_that_of_notebook_07(benchmark):
    notebook = nbformat.read(ROOT / "notebooks" / "07_ablations.ipynb", as_version=4)
    (cell,) = [c.source for c in notebook.cells if c.source.startswith("grid = {")]
    grid = ast.literal_eval(ast.parse(cell).body[0].value)
    # another camera: the benchmark films every set again
    assert grid == {name: row for name, row in benchmark.GRID.items() if name != benchmark.FRONT}
    assert list(benchmark.GRID)[:4] == list(benchmark.PRIMARY)


def test_groups_hold_what_their_names_say(benchmark):
    def names(table, *groups):
        return [name for kind, name in benchmark.list_variants(groups) if kind == table]

    assert names("ablations", "primary") == list(benchmark.PRIMARY)
    assert names("ablations", "ablations") == names("ablations", *benchmark.GROUPS)
    assert names("ablations", "ablations") == list(benchmark.GRID)
    assert set(names("peers", "peers")) == {*benchmark.NETWORKS, "PCA+SVM, threshold 0"}
    few = benchmark.choose_variants(benchmark.GROUPS, ["BCE loss", "PCA+SVM"])
    assert [name for _, name in few] == ["default", "BCE loss", "MicroAttNet", "PCA+SVM"]
    with pytest.raises(MerError, match="no variant 'SVM'"):
        benchmark.choose_variants(benchmark.GROUPS, ["SVM"])
    for table, (reference, primary) in reader.TABLES.items():
        assert {reference, *primary} <= set(names(table, *benchmark.GROUPS))
