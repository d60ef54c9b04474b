"""The challenge's answer sheet."""

from dataclasses import replace

from mer_tools.submission import answer_clips
from mer_utils import MerError
from mer_utils.prediction import load_ensemble

import numpy as np
import pytest


@pytest.fixture
def ensemble(trained):
    """The networks of all folds, which do not know whom they saw."""
    return replace(load_ensemble(trained[0]), learnt={})


@pytest.fixture
def bare(data):
    """The fixture set without labels, as numbered sequences in no order."""
    return rename(data, "seq10", "seq9", "seq3", "seq21", "seq2", "seq1")


def rename(data, *names):
    clips = zip(data.clips, names, strict=False)
    return replace(data, clips=tuple(replace(clip, name=n, labels=None) for clip, n in clips))


def test_the_sheet_holds_each_unlabelled_clip_once_sorted_by_number(bare, data, trained, ensemble):
    cache = trained[0].parent
    rows = answer_clips(bare, ensemble, cache=cache)
    assert [row["Id"] for row in rows] == [1, 2, 3, 9, 10, 21]
    for row, k in zip(rows, (5, 4, 2, 1, 0, 3), strict=True):
        answers = ensemble.score(trained[1].x[k])[0].mean(0) >= ensemble.thresholds
        assert [row[label] for label in data.labels] == answers.astype(int).tolist()
    assert list(rows[0]) == ["Id", *data.labels]
    mixed = replace(bare, clips=(*bare.clips[:2], *data.clips[2:]))
    assert [row["Id"] for row in answer_clips(mixed, ensemble, cache=cache)] == [9, 10]


def test_clips_of_the_training_set_are_answered_by_who_never_saw_the_person(bare, data, trained):
    rows = answer_clips(bare, load_ensemble(trained[0]), cache=trained[0].parent)
    answers = {row["Id"]: [row[label] for label in data.labels] for row in rows}
    assert [answers[n] for n in (10, 9, 3, 21, 2, 1)] == trained[2].answers.tolist()


def test_negative_excludes_positive_only_when_asked(bare, ensemble, trained):
    ensemble = replace(ensemble, fold_thresholds=np.zeros((1, 5)))  # yes to everything
    options = [(exclude, trained[0].parent) for exclude in (False, True)]
    free, kept = (answer_clips(bare, ensemble, *choice) for choice in options)
    assert all(row["Negative"] == row["Positive"] == 1 for row in free)
    assert all((row["Negative"], row["Positive"], row["Surprise"]) == (1, 0, 1) for row in kept)


def test_what_cannot_be_answered_is_one_sentence(bare, data, ensemble):
    with pytest.raises(MerError, match="every clip has its labels"):
        answer_clips(data, ensemble)
    for names in (["nameless"], ["seq1", "seq01"]):
        with pytest.raises(MerError, match=f"clip {names[-1]}: its name needs a number of its own"):
            answer_clips(rename(data, *names), ensemble)
    ensemble = replace(ensemble, labels=("A", "B", "C", "D", "E"))
    with pytest.raises(MerError, match="trained on 2 view"):
        answer_clips(bare, ensemble)
    other = replace(bare, info=bare.info | {"labels": list(ensemble.labels)})
    with pytest.raises(MerError, match="know no Positive or Negative"):
        answer_clips(other, ensemble, exclude=True)
