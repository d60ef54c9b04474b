"""What is kept is named by behaviour: what changes no number makes nothing stale, what changes one
does, for the options it touches.
"""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mer_utils
from faces4d.generate import describe_makers
from mer_utils import (
    MerError,
    apex,
    cache,
    evaluation,
    features,
    flow,
    model,
    preprocessing,
    training,
)
from mer_utils.cache import find_behaviour, key_of, name_result, remember_sources
from mer_utils.evaluation import probe_fold, run_loso
from mer_utils.features import FrontEnd, extract, probe_front_end
from mer_utils.files import read_json
from mer_utils.training import Recipe

import numpy as np
import pytest
from test_kernels import pinned
from toys import make_toy

SMALL = FrontEnd(crop=64, size=12)
ROOT = Path(__file__).parents[1]
NAMES = """
from mer_utils.cache import name_result
from mer_utils.evaluation import probe_fold
from mer_utils.features import FrontEnd, probe_front_end
from mer_utils.training import Recipe
print(name_result("features", probe_front_end, FrontEnd(crop=64, size=12), None))
print(name_result("fold", probe_fold, Recipe(width=2), False))
"""


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """Let every test ask the probes anew."""
    monkeypatch.setattr(cache, "_ANSWERS", {})


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Give ``name(edit)``: the names of results by a copy of the package that ``edit`` has
    changed.
    """
    numbers = iter(range(100))

    def name(edit=lambda package: None):
        root = tmp_path_factory.mktemp("copy") / str(next(numbers))
        shutil.copytree(ROOT / "mer_utils", root / "mer_utils")
        edit(root / "mer_utils")
        command = [sys.executable, "-c", NAMES]
        ended = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.split()

    return name


def rewrite(package, file, *pairs):
    path = package / file
    text = path.read_text()
    for old, new in pairs:
        assert old in text, f"{file} holds no {old!r} any more"
        text = text.replace(old, new)
    path.write_text(text)


def move_function(package):
    """Move a function of flow.py to a file of its own, from which flow.py takes it."""
    text = (package / "flow.py").read_text()
    start = text.index("def strain(")
    end = text.index("\ndef ", start + 1)
    moved = "import numpy as np\n\n\n" + text[start:end]
    (package / "elsewhere.py").write_text(moved)
    begin = text.index("import cv2")
    head = text[:begin] + "from mer_utils.elsewhere import strain\n\n" + text[begin:start]
    (package / "flow.py").write_text(head + text[end:])


@pytest.mark.slow
def test_an_edit_that_changes_no_number_makes_nothing_stale(copies):
    before = copies()

    def reword(package):
        rewrite(package, "apex.py", ("no apex can lie between", "there is no room between"))
        rewrite(package, "features.py", ("def normalise(maps,", "# a comment\ndef normalise(maps,"))

    def rename(package):
        rewrite(package, "apex.py", ("between", "middle"))

    def add_file(package):
        (package / "new.py").write_text("ANSWER = 42\n")

    for edit in (reword, rename, add_file, move_function):
        assert copies(edit) == before, edit.__name__


@pytest.mark.slow
def test_a_changed_number_makes_stale_what_it_touches_and_nothing_else(copies):
    first, second = copies()
    edited = copies(lambda p: rewrite(p, "preprocessing.py", ("FLAT = 0.3", "FLAT = 0.33")))
    assert edited[0] != first and edited[1] == second
    edited = copies(lambda p: rewrite(p, "__init__.py", ('__version__ = "', '__version__ = "9')))
    assert edited[0] != first and edited[1] != second


STRAIN = replace(SMALL, third="strain")
CHANGES = {
    "egg of rigid heads": (flow, "EGG", (0.6, 1.24), SMALL, replace(SMALL, compensation="none")),
    "texture of masks": (preprocessing, "FLAT", 0.33, SMALL, replace(SMALL, mask=False)),
    "oval of masks": (
        preprocessing,
        "OVAL",
        (0.5, 0.48, 0.485, 0.625),
        SMALL,
        replace(SMALL, mask=False),
    ),
    "centre of boxes": (preprocessing, "FACE_CENTRE", 0.9, SMALL, None),
    "necks of boxes": (preprocessing, "NECK", 0.45, SMALL, None),
    "cut-out faces": (preprocessing, "CUT_OUT", 1.5, SMALL, None),
    "fallback box": (preprocessing, "FALLBACK", (0.5, 0.6), SMALL, None),
    "strain": (features, "THIRDS", {"strain": lambda f: flow.strain(f) * 2}, STRAIN, None),
    "joining of curves": (apex, "RULES", {"mean": np.min}, SMALL, None),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_constant_of_the_front_end_is_seen(case, monkeypatch):
    module, name, value, touched, untouched = CHANGES[case]
    before = {o: find_behaviour(probe_front_end, o) for o in (touched, untouched) if o}
    monkeypatch.setattr(cache, "_ANSWERS", {})
    monkeypatch.setattr(module, name, value)
    flow._sample_grid.cache_clear()
    assert find_behaviour(probe_front_end, touched) != before[touched]
    if untouched:
        assert find_behaviour(probe_front_end, untouched) == before[untouched]
    monkeypatch.undo()
    flow._sample_grid.cache_clear()


def halve(function):
    return lambda *values, **options: function(*values, **options) / 2


TINY, CONCAT = Recipe(width=2), Recipe(width=2, fusion="concat")
FIXED = replace(TINY, thresholds="fixed")
LEARNING = {
    "loss": (training, "focal_loss", halve, TINY),
    "start of the gates": (model, "start_small", lambda function: lambda layer: layer, TINY),
    "stopping": (evaluation, "find_best", lambda old: lambda *a: (old(*a)[0], False), TINY),
    "scale": (evaluation, "fit_scale", halve, TINY),
    "mirror": (training, "flip", halve, TINY),
    "rating": (training, "mean_precision", halve, TINY),
    "inner parts": (evaluation, "split_subjects", lambda old: lambda *a: 1 - old(*a), TINY),
    "thresholds": (evaluation, "tune_thresholds", halve, TINY),
}


@pytest.mark.parametrize("case", LEARNING)
def test_a_changed_part_of_learning_is_seen(case, monkeypatch):
    owner, name, change, recipe = LEARNING[case]
    before = find_behaviour(probe_fold, recipe, False)
    monkeypatch.setattr(cache, "_ANSWERS", {})
    monkeypatch.setattr(owner, name, change(getattr(owner, name)))
    assert find_behaviour(probe_fold, recipe, False) != before


def test_another_package_version_or_kernel_never_shares_results(monkeypatch):
    name = name_result("features", probe_front_end, SMALL, None)
    for package in ("opencv-python-headless", "numpy", "torch"):
        with monkeypatch.context() as patch:
            patch.setitem(cache.VERSIONS, package, "0.1")
            assert name_result("features", probe_front_end, SMALL, None) != name
    monkeypatch.setattr(mer_utils, "KERNELS", "arm64 native")
    assert name_result("features", probe_front_end, SMALL, None) != name


def test_answers_are_remembered_until_a_file_changes(monkeypatch, tmp_path):
    """Code that was edited while a kernel is open: the probe runs again, with what is loaded, and
    its answer is not kept for others.
    """
    calls = []

    def probe(option):
        calls.append(option)
        return {"answer": np.array([option])}

    probe.__module__ = "mer_utils.apex"
    folder = tmp_path / "cache"
    first = find_behaviour(probe, 3, cache=folder)
    assert find_behaviour(probe, 3, cache=folder) == first and calls == [3]
    cache._ANSWERS.clear()  # another process
    assert find_behaviour(probe, 3, cache=folder) == first and calls == [3]
    kept = sorted(folder.rglob("*.json"))

    package = shutil.copytree(Path(mer_utils.__file__).parent, tmp_path / "mer_utils")
    monkeypatch.setattr(mer_utils, "__file__", str(package / "__init__.py"))
    (package / "apex.py").write_text((package / "apex.py").read_text() + "\nEDITED = True\n")
    assert find_behaviour(probe, 3, cache=folder) == first and calls == [3, 3]
    assert sorted(folder.rglob("*.json")) == kept


def test_sources_are_noted_when_a_package_is_loaded(tmp_path):
    (tmp_path / "toy").mkdir()
    file = tmp_path / "toy" / "__init__.py"
    file.write_text("A = 1\n")
    remember_sources(file)
    before = cache.SOURCES.pop("toy")
    file.write_text("A = 2\n")
    remember_sources(file)
    assert cache.SOURCES.pop("toy") != before


def test_equal_parts_have_equal_keys_and_dataclasses_count_as_their_fields():
    assert key_of("a", {"y": 1, "x": (2, 3)}) == key_of("a", {"x": [2, 3], "y": 1})
    assert key_of(SMALL) == key_of(FrontEnd(crop=64, size=12)) != key_of(FrontEnd())
    assert key_of(0, "S01") == "12c40f170335b6b2"  # seeds of folds are made of these


def count_calls(monkeypatch, module, name):
    """Return a list that grows whenever a function is called."""
    calls, function = [], getattr(module, name)

    def call(*values, **options):
        calls.append(values)
        return function(*values, **options)

    monkeypatch.setattr(module, name, call)
    return calls


def test_damaged_clips_are_made_again_and_a_stopped_extraction_goes_on(
    data, tmp_path, monkeypatch, capsys
):
    whole = extract(data, SMALL, tmp_path)
    calls = count_calls(monkeypatch, features, "_extract_part")
    assert extract(data, SMALL, tmp_path).key == whole.key and not calls
    first, second, *_ = files = sorted(tmp_path.glob("features/*/*.safetensors"))
    assert len(files) == len(data)
    first.write_bytes(first.read_bytes()[:-3] + b"???")
    second.unlink()  # as after a kill: this clip had not been done
    assert extract(data, SMALL, tmp_path).key == whole.key
    assert sum(len(clips) for clips, *_ in calls) == 2
    assert "damaged" in capsys.readouterr().err
    unlike = extract(data, replace(SMALL, reach=0), tmp_path)
    assert sum(len(clips) for clips, *_ in calls) == 2 + len(data) and unlike.key != whole.key


def test_equal_frames_share_features_whatever_else_their_dataset_says(data, tmp_path, monkeypatch):
    whole = extract(data, SMALL, tmp_path)
    calls = count_calls(monkeypatch, features, "_extract_part")
    renamed = replace(data, info=data.info | {"name": "other", "licence": "other"})
    assert extract(renamed, SMALL, tmp_path).key == whole.key and not calls
    moved = replace(data, clips=(replace(data.clips[0], onset=data.clips[0].onset + 1),))
    extract(moved, SMALL, tmp_path)
    assert len(calls) == 1


def test_damaged_folds_are_made_again_and_a_stopped_training_goes_on(tmp_path, monkeypatch, capsys):
    toy, recipe = make_toy(), replace(TINY, epochs=2, members=1)
    whole = run_loso(toy, recipe, tmp_path)
    calls = count_calls(monkeypatch, evaluation, "plan_fold")
    first, second, *rest = sorted(tmp_path.glob("folds/*.safetensors"))
    first.write_bytes(b"nonsense")
    second.unlink()
    again = run_loso(toy, recipe, tmp_path)
    np.testing.assert_array_equal(again.scores, whole.scores)
    assert len(calls) == 2 and len(rest) == 4 and "damaged" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_one_sentence(data, tmp_path):
    (tmp_path / "cache").write_text("a file, no folder")
    with pytest.raises(MerError, match="cannot be written"):
        extract(data, SMALL, tmp_path / "cache")


@pytest.mark.slow
@pinned
@pytest.mark.parametrize("name", ["replicates-bench-v2", "sensitivity"])
def test_committed_benchmarks_are_of_code_that_behaves_as_the_present_one(name):
    record = read_json(ROOT / "benchmarks" / f"{name}.json")
    assert record["provenance"] == describe_makers()
