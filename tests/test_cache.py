"""What is kept is named by behaviour: what changes no number makes nothing stale, what changes one
does, for the options it touches.
"""

import functools
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import mer_utils
from faces4d.generate import describe_makers
from mer_utils import apex, cache, evaluation, features, flow, model, training
from mer_utils import preprocessing as prep
from mer_utils.cache import find_behaviour, key_of, name_result
from mer_utils.evaluation import probe_fold, run_loso
from mer_utils.features import FrontEnd, extract, probe_front_end
from mer_utils.files import read_json
from mer_utils.training import Recipe

import numpy as np
import pytest
from foreign import contents
from test_kernels import pinned
from toys import make_toy

SMALL, TINY = FrontEnd(crop=64, size=12), Recipe(width=2)
STRAIN = replace(SMALL, third="strain")
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


def rewrite(path, old, new):
    text = path.read_text()
    assert old in text, f"{path.name} holds no {old!r} any more"
    path.write_text(text.replace(old, new))


@pytest.mark.slow
@pinned
def test_an_edit_that_changes_no_number_makes_nothing_stale(tmp_path):
    """Texts, comments, variables and files have other names, a function another place."""
    package = shutil.copytree(ROOT / "mer_utils", tmp_path / "mer_utils")
    rewrite(package / "apex.py", "no apex can lie between", "there is no room in the middle of")
    rewrite(package / "apex.py", "between", "middle")
    rewrite(package / "features.py", "def normalise(maps,", "# a comment\ndef normalise(maps,")
    text = (package / "flow.py").read_text()
    start = text.index("def strain(")
    end = text.index("\ndef ", start + 1)
    (package / "elsewhere.py").write_text("import numpy as np\n\n\n" + text[start:end])
    rewrite(package / "flow.py", text[start:end], "from mer_utils.elsewhere import strain\n")
    command = [sys.executable, "-c", NAMES]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout.split() == [name_before(SMALL), name_before(TINY)]


def halve(function):
    return lambda *values, **options: function(*values, **options) / 2


BARE = replace(SMALL, mask=False)
OLD_STREAM, OLD_BEST = model.make_stream, training.find_best
OLD_SPLIT = evaluation.split_subjects
# what is changed, into what, what it touches, and what it leaves alone
CHANGES = {
    "egg": (flow, "EGG", (0.6, 1.24), SMALL, replace(SMALL, compensation="none")),
    "texture": (prep, "FLAT", 0.33, SMALL, BARE),
    "oval": (prep, "OVAL", (0.5, 0.48, 0.485, 0.625), SMALL, BARE),
    "centre of boxes": (prep, "FACE_CENTRE", 0.9, SMALL, TINY),
    "necks of boxes": (prep, "NECK", 0.45, SMALL, None),
    "cut-out faces": (prep, "CUT_OUT", 1.5, SMALL, None),
    "fallback box": (prep, "FALLBACK", (0.5, 0.6), SMALL, None),
    "strain": (features, "THIRDS", {"strain": halve(flow.strain)}, STRAIN, None),
    "joining of curves": (apex, "RULES", {"mean": np.min}, SMALL, None),
    "loss": (training, "focal_loss", halve(training.focal_loss), TINY, None),
    "streams": (model, "make_stream", lambda *a: OLD_STREAM(*a[:2], 0.0), TINY, None),
    "stopping": (evaluation, "find_best", lambda *a: (OLD_BEST(*a)[0], False), TINY, None),
    "scale": (evaluation, "fit_scale", halve(training.fit_scale), TINY, None),
    "mirror": (training, "flip", halve(training.flip), TINY, None),
    "rating": (training, "mean_precision", halve(training.mean_precision), TINY, None),
    "inner parts": (evaluation, "split_subjects", lambda *a: 1 - OLD_SPLIT(*a), TINY, None),
    "thresholds": (evaluation, "tune_thresholds", halve(evaluation.tune_thresholds), TINY, None),
    "version": (mer_utils, "__version__", "9", SMALL, None),
    "packages": (cache, "VERSIONS", cache.VERSIONS | {"numpy": "0.1"}, SMALL, None),
    "kernels": (mer_utils, "KERNELS", "arm64 native", SMALL, None),
}


def name_of(options):
    if isinstance(options, Recipe):
        return name_result("fold", probe_fold, options, False)
    return name_result("features", probe_front_end, options, None)


# the names that results have before anything is changed
name_before = functools.cache(name_of)


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_number_makes_stale_what_it_touches_and_nothing_else(case, monkeypatch):
    owner, name, changed, touched, untouched = CHANGES[case]
    before = {options: name_before(options) for options in (touched, untouched) if options}
    cache._ANSWERS.clear()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, changed)
        flow._sample_grid.cache_clear()
        assert name_of(touched) != before[touched]
        assert untouched is None or name_of(untouched) == before[untouched]
    flow._sample_grid.cache_clear()


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


def test_equal_parts_have_equal_keys_and_dataclasses_count_as_their_fields():
    assert key_of("a", {"y": 1, "x": (2, 3)}) == key_of("a", {"x": [2, 3], "y": 1})
    assert key_of(SMALL) == key_of(FrontEnd(crop=64, size=12)) != key_of(FrontEnd())
    assert key_of(0, "S01") == "12c40f170335b6b2"  # seeds of folds are made of these


def watch(monkeypatch, module, name):
    """Return a Mock that stands in for a function, calls it, and counts."""
    mock = Mock(wraps=getattr(module, name))
    monkeypatch.setattr(module, name, mock)
    return mock


def spoil_two(files):
    """Damage one file and leave another half written, as after a kill."""
    first, second, *rest = sorted(files)
    first.write_bytes(first.read_bytes()[:-3] + b"???")
    second.rename(second.with_name(f".{second.name}.x7"))
    return len(rest) + 2


def test_clips_that_are_damaged_missing_or_changed_are_made_again_and_no_others(
    data, tmp_path, monkeypatch, capsys
):
    data = replace(data, clips=data.clips[:3])
    whole = extract(data, SMALL, tmp_path)
    work, before = watch(monkeypatch, features, "_extract_arrays"), contents(tmp_path)
    renamed = replace(data, info=data.info | {"name": "other", "licence": "other"})
    assert extract(renamed, SMALL, tmp_path).key == whole.key and not work.called
    assert spoil_two(tmp_path.glob("features/*/*.safetensors")) == len(data)
    assert extract(data, SMALL, tmp_path).key == whole.key and work.call_count == 2
    assert "damaged" in capsys.readouterr().err and contents(tmp_path) == before
    moved = replace(data, clips=(replace(data.clips[0], onset=data.clips[0].onset + 1),))
    extract(moved, SMALL, tmp_path)
    assert work.call_count == 3
    assert extract(data, replace(SMALL, reach=0), tmp_path).key != whole.key
    assert work.call_count == 3 + len(data)


def test_folds_that_are_damaged_or_missing_are_made_again_and_no_others(
    tmp_path, monkeypatch, capsys
):
    toy, recipe = make_toy(), replace(TINY, epochs=2, members=1)
    whole = run_loso(toy, recipe, tmp_path)
    work = watch(monkeypatch, evaluation, "plan_fold")
    assert spoil_two(tmp_path.glob("folds/*.safetensors")) == 6
    again = run_loso(toy, recipe, tmp_path)
    np.testing.assert_array_equal(again.scores, whole.scores)
    assert work.call_count == 2 and "damaged" in capsys.readouterr().err
    assert len([*(tmp_path / "folds").iterdir()]) == 6


@pytest.mark.slow
@pinned
def test_committed_benchmarks_are_of_code_that_behaves_as_the_present_one():
    makers = describe_makers()
    for name in ("replicates-bench-v2", "sensitivity"):
        assert read_json(ROOT / "benchmarks" / f"{name}.json")["provenance"] == makers, name
