"""What a notebook sees of the suite."""

import json

from mer_utils import MerError
from mer_utils.study import SYNTHETIC_LINE, find_root, open_study

import numpy as np
import pytest
from matplotlib.figure import Figure
from test_run import make_suite


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(make_suite(tmp_path / "suite") / "notebooks")
    return tmp_path / "suite"


def open_tiny(**params):
    return open_study("01", {"data": "data/tiny", "unknown": 3} | params)


def draw(values):
    fig = Figure(figsize=(2, 1))
    fig.add_subplot().plot(values)
    return fig


def test_the_banner_says_what_is_measured_and_warns_of_synthetic_faces(root, capsys):
    info = root / "data" / "tiny" / "dataset.json"
    opened = open_tiny(seed=3)
    banner = "profile course · seed 3 · tiny: 3 clips, 2 subjects"
    assert capsys.readouterr().out == f"{banner} · {SYNTHETIC_LINE}\n"
    assert opened.root == root and opened.dir == root / "artifacts" / "course" / "01"
    info.write_text(info.read_text().replace('"synthetic": true', '"synthetic": false'))
    open_tiny(seed=3)
    assert capsys.readouterr().out == f"{banner}\n"


def test_results_merge_and_are_rounded(root):
    opened = open_tiny()
    opened.result(uf1={"a": np.float32(1 / 3), "b": {"c": [np.int64(2), True]}})
    opened.result(uf1={"b": {"d": -1e-9}}, note="x")
    results = json.loads((opened.dir / "results.json").read_text())
    assert results["uf1"] == {"a": 0.333333, "b": {"c": [2, True], "d": 0.0}}
    assert list(results) == ["data", "uf1", "note"] and results["note"] == "x"
    assert "-0.0" not in (opened.dir / "results.json").read_text()
    with pytest.raises(MerError, match="a result is nan"):
        opened.result(bad=np.array([1.0, np.nan]))


def test_a_figure_is_saved_with_its_texts_in_bytes_that_depend_on_it_alone(root):
    opened = open_tiny()
    opened.figure(draw([1, 2]), "fig01_b", "caption b", "alt b")
    pictures = []
    for _ in range(2):
        opened.figure(draw([2, 1]), "fig01_a", "caption a", "alt a")
        pictures.append((opened.dir / "figures" / "fig01_a.png").read_bytes())
    assert pictures[0] == pictures[1] and b"Software" not in pictures[0]
    assert list(json.loads((opened.dir / "figures.json").read_text())) == ["fig01_a", "fig01_b"]
    with pytest.raises(MerError, match="lists no figure 'fig02_a'"):
        opened.figure(draw([1]), "fig02_a", "caption", "alt")
    with pytest.raises(MerError, match="needs a caption and a text alternative"):
        opened.figure(draw([1]), "fig01_a", "caption", " ")


def test_opening_again_forgets_earlier_outputs(root):
    opened = open_tiny()
    opened.figure(draw([1]), "fig01_a", "caption", "alt")
    opened.headline("text")
    open_tiny()
    assert [path.name for path in opened.dir.rglob("*") if path.is_file()] == ["results.json"]


def test_unknown_names_are_one_sentence(root, tmp_path):
    with pytest.raises(MerError, match="there is no profile 'x'; choose from course"):
        open_tiny(profile="x")
    with pytest.raises(MerError, match=r"no notebooks/profiles\.yml here or above"):
        find_root(tmp_path)
    (root / "notebooks" / "profiles.yml").write_text("notebooks: {01: {file: x}}\nprofiles: {}")
    with pytest.raises(MerError, match=r"notebooks\.1.*: Input should be a valid string"):
        open_study("01", {})
