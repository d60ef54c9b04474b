"""The protocol: what a fold may see, what it refuses to see, and that stopping and spreading the
work change no bit.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import mer_utils
from mer_utils import MerError, provenance
from mer_utils.baselines import PLAIN
from mer_utils.evaluation import (
    Fitted,
    check_fold,
    finish_fold,
    leave_one_subject_out,
    plan_fold,
    plan_folds,
    run_fold,
    run_grid,
    run_loso,
    split_subjects,
    train_members,
)
from mer_utils.features import FrontEnd
from mer_utils.prediction import save_ensemble
from mer_utils.training import NETWORKS, NetworkMember, Recipe

import cv2
import numpy as np
import pytest
import torch
from toys import make_toy

QUICK = Recipe(epochs=4, patience=2, inner=2, width=4)


def fold_of(data, subject):
    return leave_one_subject_out(data.subjects)[subject]


def test_inner_parts_share_no_subject_and_are_of_like_size():
    subjects = np.repeat([f"S{k}" for k in range(10)], np.arange(1, 11))
    part = split_subjects(subjects, 3, 0)
    for name in np.unique(subjects):
        assert len(set(part[subjects == name])) == 1
    counts = np.bincount(part)
    # at most the largest subject apart
    assert len(counts) == 3 and counts.max() - counts.min() <= 10
    assert (split_subjects(subjects, 3, 0) == part).all() and (
        split_subjects(subjects, 3, 1) != part
    ).any()
    with pytest.raises(MerError, match="cannot be split"):
        split_subjects(np.array(["S1", "S1"]), 2, 0)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_a_visible_label_is_learned(network):
    data = make_toy(clips=60, size=16)
    recipe = Recipe(
        network=network,
        epochs=40,
        inner=2,
        width=4,
        dropout=0.2,
        rate=1e-3 if "Apex" in network else 1e-2,
    )
    # a guess by prevalence scores about 0.4-0.57; the patches are plain to see
    assert run_loso(data, recipe).uf1(data.y)["macro"] > 0.8


def test_the_test_subject_touches_nothing_but_its_own_scores():
    data = make_toy()
    own = data.subjects == "S02"
    x, y = data.x.copy(), data.y.copy()
    x[own] = 1e3 + np.arange(own.sum())[:, None, None, None, None, None]
    y[own] = 1 - y[own]
    clean = run_fold(data, *fold_of(data, "S02"), QUICK)
    other = run_fold(replace(data, x=x, y=y), *fold_of(data, "S02"), QUICK)
    for name in clean:
        if name not in ("scores", "attention"):
            np.testing.assert_array_equal(clean[name], other[name], err_msg=name)
    assert (clean["scores"] != other["scores"]).any()


def test_the_wrong_rule_does_touch_the_test_subject():
    data = make_toy()
    wrong = data.y.copy()
    wrong[data.subjects == "S02"] = 1 - wrong[data.subjects == "S02"]
    peeks = replace(QUICK, stop="test", epochs=12)
    first = run_fold(data, *fold_of(data, "S02"), peeks)
    second = run_fold(replace(data, y=wrong), *fold_of(data, "S02"), peeks)
    assert (first["scores"] != second["scores"]).any()


def test_a_fold_that_shares_a_subject_is_refused():
    data = make_toy()
    train, test = fold_of(data, "S02")
    with pytest.raises(MerError, match=r"leak: subject S02"):
        run_fold(data, np.append(train, test[0]), test[1:], QUICK)


def test_a_clip_on_both_sides_is_refused():
    data = make_toy()
    train, test = fold_of(data, "S02")
    with pytest.raises(MerError, match=r"leak: the clip c2 "):
        run_fold(data, np.append(train, test[0]), test, QUICK)


def test_one_recording_under_two_names_and_two_subjects_is_refused():
    data = make_toy()
    data.x[7] = data.x[2]  # c7 of S01 is c2 of S02
    with pytest.raises(MerError, match=r"leak: the clips c7 and c2 are the same recording"):
        run_loso(data, QUICK)
    data.x[[2, 7]] = 0  # nothing moves: the maps say nothing of the recording
    check_fold(data, *fold_of(data, "S02"))


def test_a_statistic_of_test_subjects_is_refused():
    """Normalisation and thresholds know the clips they come from: with one clip of the test subject
    among them, they are not handed out for that subject.
    """
    data = make_toy()
    train, test = fold_of(data, "S02")
    roles = plan_fold(data, train, test, QUICK)
    trained = train_members(data, roles, QUICK)
    greedy = [replace(role, train=np.append(role.train, test[0])) for role in roles]
    with pytest.raises(MerError, match=r"leak: the scales of the maps .* test subject S02"):
        train_members(data, greedy, QUICK)
    greedy = [replace(role, validation=np.append(role.validation, test[0])) for role in roles]
    with pytest.raises(MerError, match=r"leak: the thresholds .* test subject S02"):
        finish_fold(data, QUICK, greedy, trained)
    # nothing was computed, nothing leaks
    finish_fold(data, replace(QUICK, thresholds="fixed"), greedy, trained)
    assert Fitted.on(train, np.mean, data.y).apply_to(test, data, "mean") == data.y[train].mean()


def test_features_that_cannot_be_learned_from_are_one_sentence():
    data = make_toy()
    x, y = data.x.copy(), data.y.copy()
    x[4, 0, 0, 0, 0, 0], y[:, 1] = np.nan, 0
    for broken, words in (
        (replace(data, x=x), "clip c4: .*no numbers"),
        (replace(data, y=y), "no clip shows B"),
        (replace(data, subjects=np.full(36, "S00")), r"1 subject\(s\)"),
        (replace(data, exclusive=True), "exactly one label"),
    ):
        with pytest.raises(MerError, match=words):
            run_loso(broken, QUICK)
    with pytest.raises(MerError, match="both sides"):
        check_fold(data, np.arange(3), np.arange(0))


def test_a_label_that_only_the_test_subject_shows_is_never_answered_for_it():
    data = make_toy()
    y = data.y.copy()
    y[:, 1] = data.subjects == "S03"
    outcome = run_loso(replace(data, y=y), QUICK)
    own = data.subjects == "S03"
    assert np.isinf(outcome.thresholds[own, 1]).all() and not outcome.answers[own, 1].any()
    assert np.isfinite(outcome.thresholds[~own]).all()


@pytest.mark.parametrize("phases", [1, 2])
@pytest.mark.parametrize("network", NETWORKS)
def test_exclusive_labels_one_view_28_px(network, phases):
    """MEGC 2019's kind of set: three classes, one per clip."""
    data = make_toy(clips=48, views=1, phases=phases, size=28, exclusive=True)
    outcome = run_loso(data, Recipe(network=network, epochs=3, inner=2, width=4))
    assert (outcome.answers.sum(1) == 1).all()
    np.testing.assert_array_equal(outcome.answers.argmax(1), outcome.scores.argmax(1))
    if network not in PLAIN:
        np.testing.assert_allclose(outcome.scores.sum(1), 1, rtol=1e-5)
    score = outcome.uf1(data.y)
    assert set(score) == {"macro", "per_label", "uar"} and 0 <= score["uar"] <= 1


@pytest.mark.slow
def test_exclusive_labels_are_learned():
    data = make_toy(clips=60, views=1, exclusive=True)
    score = run_loso(data, Recipe(epochs=40, inner=2, width=4, dropout=0.2, rate=1e-2)).uf1(data.y)
    assert score["macro"] > 0.8 and score["uar"] > 0.8  # one class for all: 0.17 and 0.33


@pytest.mark.parametrize(
    "shape", [{"views": 1, "phases": 1}, {"views": 1, "phases": 2}, {"labels": 2}]
)
def test_one_view_one_phase_other_labels(shape):
    data = make_toy(**shape)
    outcome = run_loso(data, QUICK)
    assert outcome.scores.shape == data.y.shape and np.isfinite(outcome.scores).all()
    np.testing.assert_array_equal(outcome.answers, outcome.scores >= outcome.thresholds)
    np.testing.assert_allclose(outcome.attention.sum((1, 2, 3)), 1, rtol=1e-5)


def test_fixed_thresholds_are_the_natural_ones():
    data = make_toy()
    assert (run_loso(data, replace(QUICK, thresholds="fixed")).thresholds == 0.5).all()
    assert (
        run_loso(data, replace(QUICK, thresholds="fixed", network="PCA+SVM")).thresholds == 0
    ).all()


def test_one_member_a_fold_is_the_first_of_the_ensemble():
    data = make_toy()
    fold = fold_of(data, "S02")
    alone = run_fold(data, *fold, replace(QUICK, members=1))
    all_of_them = run_fold(data, *fold, QUICK)
    first = {name for name in all_of_them if name.startswith("0.")}
    assert first == {name for name in alone if name[0].isdigit()}
    assert all(np.array_equal(alone[name], all_of_them[name]) for name in first)


@pytest.mark.slow
def test_workers_and_cache_change_no_bit(tmp_path):
    data = make_toy()
    one, two = run_loso(data, QUICK, jobs=1), run_loso(data, QUICK, cache=tmp_path, jobs=2)
    again = run_loso(data, QUICK, cache=tmp_path)
    assert len(list(tmp_path.glob("fold-*.safetensors"))) == 6
    for other in (two, again):
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.thresholds, other.thresholds)
    assert (run_loso(data, replace(QUICK, seed=1)).scores != one.scores).any()


@pytest.mark.slow
def test_a_grid_is_its_tasks_one_by_one(tmp_path):
    data, other = make_toy(), make_toy(seed=1)
    tasks = [(data, QUICK), (other, QUICK), (data, replace(QUICK, network="STSTNet"))]
    for task, outcome in zip(tasks, run_grid(tasks, tmp_path, jobs=2), strict=True):
        np.testing.assert_array_equal(outcome.scores, run_loso(*task).scores)


def test_subjects_can_be_left_out_in_groups(tmp_path):
    data = make_toy(subjects=9)
    folds = plan_folds(data.subjects, 4)
    tests = [test for _, test in folds.values()]
    np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(36))
    assert len(folds) == 4 and {len(name.split(",")) for name in folds} == {2, 3}
    for name, (train, test) in folds.items():
        check_fold(data, train, test)
        assert name.split(",") == sorted(set(data.subjects[test]))
        assert len(train) + len(test) == 36
    (outcome,) = run_grid([(data, QUICK)], tmp_path, folds=4)
    assert outcome.subjects == tuple(folds) and len(list(tmp_path.glob("fold-*"))) == 4
    for train, test in folds.values():
        alone = run_fold(data, train, test, QUICK)
        np.testing.assert_array_equal(outcome.scores[test], alone["scores"])
    assert plan_folds(data.subjects).keys() == leave_one_subject_out(data.subjects).keys()
    with pytest.raises(MerError, match="cannot be split into 10 parts"):
        plan_folds(data.subjects, 10)


LONG_RUN = """
import sys
from pathlib import Path
from toys import make_toy
from mer_utils.training import Recipe
from mer_utils.evaluation import run_loso
recipe = Recipe(epochs=60, patience=60, inner=2)
outcome = run_loso(make_toy(clips=96, size=24, subjects=8), recipe, Path(sys.argv[1]), 2)
print(repr(outcome.scores.tobytes()))
"""


def start_run(folder, **environment):
    env = os.environ | environment
    command = [sys.executable, "-c", LONG_RUN, str(folder)]
    where = {"cwd": Path(__file__).parent, "env": env, "start_new_session": True}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **where
    )


def wait_for_folds(folder, count, process, seconds=120):
    end = time.monotonic() + seconds
    while len(list(folder.glob("fold-*"))) < count:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    first = start_run(killed)
    wait_for_folds(killed, 2, first)
    # workers too: what is half written stays under another name
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    kept = {path.name: path.stat().st_mtime_ns for path in killed.glob("fold-*")}
    assert 2 <= len(kept) < 8
    second, third = start_run(killed), start_run(whole)
    (said, _), (expected, errors) = second.communicate(), third.communicate()
    assert second.returncode == third.returncode == 0, errors
    assert said == expected
    names = sorted(path.name for path in whole.iterdir())
    assert names == sorted(path.name for path in killed.glob("fold-*")) and len(names) == 8
    assert all((killed / name).read_bytes() == (whole / name).read_bytes() for name in names)
    # not made again
    assert all((killed / name).stat().st_mtime_ns == time_ for name, time_ in kept.items())


def test_a_damaged_fold_is_made_again(tmp_path, capsys):
    data = make_toy()
    expected = run_loso(data, QUICK, cache=tmp_path)
    path = min(tmp_path.glob("fold-*"))
    whole = path.read_bytes()
    for at in (0, 9, len(whole) // 3, len(whole) - 1):  # length, header, values
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        np.testing.assert_array_equal(run_loso(data, QUICK, cache=tmp_path).scores, expected.scores)
        said = capsys.readouterr().err
        assert (
            said.startswith(f"mer: {path}: ")
            and said.endswith("; it is made again\n")
            and said.count("\n") == 1
        )
        assert path.read_bytes() == whole
    path.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_array_equal(run_loso(data, QUICK, cache=tmp_path).scores, expected.scores)
    assert path.read_bytes() == whole


def test_a_resumed_run_gives_the_same_weights_file(tmp_path):
    data, front = make_toy(), FrontEnd(size=12)
    for name in ("first", "again"):
        outcome = run_loso(data, QUICK, cache=tmp_path)
        save_ensemble(tmp_path / name, outcome, data, QUICK, front, "toys")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    (member, *_) = outcome.members
    assert any(
        name.endswith("num_batches_tracked") and value.shape == () for name, value in member.items()
    )


def test_folds_of_other_code_packages_and_kernels_get_names_of_their_own(tmp_path, monkeypatch):
    data = make_toy()
    run_loso(data, QUICK, cache=tmp_path)
    for change in (
        (torch, "__version__", "99.0"),
        (mer_utils, "KERNELS", "another family"),
        (provenance, "LOADED", provenance.LOADED | {"mer_utils.model": b"EDITED = True"}),
    ):
        before = len(list(tmp_path.glob("fold-*")))
        with monkeypatch.context() as patch:
            patch.setattr(*change)
            run_loso(data, QUICK, cache=tmp_path)
        assert len(list(tmp_path.glob("fold-*"))) == before + 6
    monkeypatch.setattr(cv2, "__version__", "99.0")  # which training does not use
    run_loso(data, QUICK, cache=tmp_path)
    assert len(list(tmp_path.glob("fold-*"))) == before + 6


def test_weights_that_are_no_numbers_are_never_kept(tmp_path, monkeypatch):
    def spoil(self, x, y, x_stop, y_stop):
        with torch.no_grad():
            next(self.network.parameters())[:] = np.nan
        return np.full((self.recipe.epochs, 4), np.nan, np.float32)

    monkeypatch.setattr(NetworkMember, "fit", spoil)
    with pytest.raises(MerError, match=r"training diverged: .* holds values that are no numbers"):
        run_loso(make_toy(), QUICK, cache=tmp_path)
    assert not list(tmp_path.glob("fold-*"))


def test_thresholds_are_counted_once_a_fold():
    """A subject with many clips weighs no more than one with few."""
    data = make_toy(clips=40, subjects=4)
    data.subjects[8:] = "S00"
    data.subjects[:8] = [f"S0{1 + n % 3}" for n in range(8)]
    outcome = run_loso(data, replace(QUICK, inner=2))
    assert outcome.fold_thresholds.shape == (4, 3)
    for subject, row in zip(outcome.subjects, outcome.fold_thresholds, strict=True):
        np.testing.assert_array_equal(outcome.thresholds[data.subjects == subject][0], row)
