"""What makes a result stale, and what does not."""

import shutil

from mer_tools.plan import plan_jobs
from mer_utils import provenance
from mer_utils.provenance import PACKAGE, code_of, find_modules, read_source

import pytest
from test_house import ROOT


@pytest.fixture
def edit(tmp_path, monkeypatch):
    """Work on a copy of the package: replace text in one of its files."""
    copy = shutil.copytree(PACKAGE, tmp_path / "mer_utils")
    monkeypatch.setattr(provenance, "PACKAGE", copy)

    def change(name, old, new):
        text = (copy / name).read_text()
        assert old in text
        (copy / name).write_text(text.replace(old, new, 1))

    return change


def describe(*names):
    return {name: code_of(name, loaded=False) for name in names}


def stale(before, after):
    return {name for name in before if before[name] != after[name]}


def test_comments_docstrings_and_layout_cost_nothing(edit):
    before = describe("cli.__main__", "method.features", "learning.folds")
    edit("method/flow.py", '"""', '"""Another docstring.')
    edit("method/microattnet.py", "import torch\n", "# a comment\n\n\nimport torch  # another\n")
    edit("faces/head.py", "(", "(  # here\n")
    assert describe(*before) == before


def test_a_change_is_seen_by_all_that_use_it_and_by_no_other(edit):
    before = describe(
        "method.features",
        "learning.folds",
        "faces.generate",
        "figures.pictures",
        "learning.sensitivity",
    )
    edit("faces/head.py", "0.06 * grain", "0.07 * grain")  # the colour of lips
    assert stale(before, describe(*before)) == {"faces.generate", "learning.sensitivity"}
    middle = describe(*before)
    edit("method/microattnet.py", "import torch\n", "import torch\n\nEDITED = True\n")
    assert stale(middle, describe(*before)) == {"learning.folds", "learning.sensitivity"}
    edit("method/flow.py", "import cv2\n", "import cv2\n\nEDITED = True\n")
    assert stale(middle, describe(*before)) == {
        "method.features",
        "learning.folds",
        "learning.sensitivity",
    }


def test_editing_the_network_does_not_touch_the_notebooks_before_it(edit):
    before = {job.number: job.inputs for job in plan_jobs(ROOT, "course")}
    edit("method/microattnet.py", "import torch\n", "import torch\n\nEDITED = True\n")
    after = {job.number: job.inputs for job in plan_jobs(ROOT, "course")}
    assert stale(before, after) == {"04", "05", "06", "07", "08", "10"}


def test_a_lips_colour_does_not_touch_what_rests_on_real_data(edit, data, tmp_path):
    real = shutil.copytree(data.root, tmp_path / "real")
    info = real / "dataset.json"
    info.write_text(info.read_text().replace('"synthetic": true', '"synthetic": false'))

    def inputs(**given):
        return {job.number: job.inputs for job in plan_jobs(ROOT, "course", **given)}

    before, made = inputs(data=real), inputs()
    edit("faces/head.py", "0.06 * grain", "0.07 * grain")
    changed = stale(before, inputs(data=real))
    assert stale(made, inputs()) == set(made)
    # the notebooks that draw synthetic faces, or ask them for the truth, whatever the data
    assert changed == {"00", "02", "03", "07", "10"}


def test_data_tables_belong_to_the_modules_that_name_them(edit):
    before = describe("suite.doctor", "data.sources.release", "method.features")
    assert "data/published/published_counts.csv" in before["suite.doctor"]["modules"]
    edit("data/published/published_counts.csv", "1", "2")
    assert "suite.doctor" in stale(before, describe(*before)) and "method.features" not in stale(
        before, describe(*before)
    )


def test_a_table_is_no_comment():
    one, other = (read_source(f"X = {value}").tree for value in ("1", "1.0"))
    assert one != other == read_source("X = (1.0)  # the same").tree
    assert (
        read_source('def f():\n    "doc"\n    return 1').tree
        == read_source("def f():\n    return 1").tree
    )
    assert read_source('X = "doc"').tree != read_source('X = "other"').tree


def test_versions_are_those_that_are_loaded(monkeypatch):
    import cv2

    assert code_of("method.flow")["packages"]["opencv-python-headless"].startswith(cv2.__version__)
    monkeypatch.setattr(cv2, "__version__", "99.0")
    assert code_of("method.flow")["packages"]["opencv-python-headless"] == "99.0"
    monkeypatch.setattr(cv2, "__version__", "5")
    monkeypatch.setattr(provenance, "version", lambda name: "51.0")
    assert provenance.find_version("cv2") == "5"  # no beginning of 51
    assert (
        "torch" not in code_of("method.features")["packages"]
        and "opencv-python-headless" not in code_of("method.microattnet")["packages"]
    )
    monkeypatch.setattr(provenance, "version", lambda name: "1.2+cpu" if name == "torch" else "3")
    monkeypatch.setitem(provenance.sys.modules, "torch", None)
    assert provenance.find_version("torch") == "1.2"


def test_every_import_within_the_package_is_followed():
    found = find_modules(["mer_tools.__main__"])
    assert {
        "mer_utils",
        "mer_utils.kernels",
        "mer_utils.provenance",
        "mer_utils.flow",
        "mer_utils.model",
    } <= set(found)
    assert not {"mer_tools.runner", "mer_tools"} & set(find_modules(["mer_utils.study"]))
    assert set(find_modules(["mer_utils.nothing", "numpy"])) == set(find_modules(["mer_utils"]))


def test_a_module_that_is_loaded_anew_gets_a_description_of_its_own(tmp_path, monkeypatch):
    import importlib

    from mer_utils import apex

    before, source = code_of("method.features"), provenance.LOADED["mer_utils.apex"]
    importlib.reload(apex)
    assert code_of("method.features") == before and provenance.LOADED["mer_utils.apex"] == source
    monkeypatch.setitem(provenance.LOADED, "mer_utils.apex", b"OLD = True")
    old = code_of("method.features")
    # features.py goes on with the names that it imported: neither the old state nor the new
    importlib.reload(apex)
    assert code_of("method.features") not in (old, before)
    broken = tmp_path / "mer_utils" / "method" / "apex.py"
    broken.parent.mkdir(parents=True)
    broken.write_text("def (")
    monkeypatch.setattr(provenance, "PACKAGE", broken.parents[1])
    provenance._Witness.find_spec("mer_utils.apex")
    assert b"def (" not in provenance.LOADED["mer_utils.apex"]
