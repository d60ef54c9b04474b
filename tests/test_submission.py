"""The challenge's answer sheet."""

from dataclasses import replace
from types import SimpleNamespace

from mer_tools.importing.tables import read_table, write_table
from mer_tools.submission import answer_clips
from mer_utils import MerError
from mer_utils.features import FrontEnd, extract
from mer_utils.prediction import load_ensemble

import numpy as np
import pytest

FRONT = FrontEnd(crop=64, size=12)


def score(maps):
    """Return scores that follow from the maps in a way that a test can repeat."""
    mean = maps[:, :, 2].mean()
    scores = np.array([mean * 1e3 % 1, mean * 1e4 % 1, 0.9, mean * 1e5 % 1, 0.1])
    return np.stack([scores - 0.05, scores + 0.05]), None


@pytest.fixture
def ensemble(data):
    networks = SimpleNamespace(
        front_end=FRONT, exclusive=False, shape=(2, 2, 3, 12, 12), channels=None,
        thresholds=np.full(5, 0.5), labels=data.labels, score=score,
    )  # fmt: skip
    networks.leave_out = lambda frames: networks
    return networks


@pytest.fixture
def bare(data):
    """The fixture set without labels, as numbered sequences in no order."""
    return rename(data, "seq10", "seq9", "seq3", "seq21", "seq2", "seq1")


def rename(data, *names):
    clips = zip(data.clips, names, strict=False)
    return replace(data, clips=tuple(replace(clip, name=n, labels=None) for clip, n in clips))


def test_the_sheet_holds_each_unlabelled_clip_once_sorted_by_number(bare, data, ensemble, tmp_path):
    rows = answer_clips(bare, ensemble, cache=tmp_path)
    assert [row["Id"] for row in rows] == [1, 2, 3, 9, 10, 21]
    x = extract(data, FRONT).x
    for row, k in zip(rows, (5, 4, 2, 1, 0, 3), strict=True):
        answers = (score(x[k])[0].mean(0) >= 0.5).astype(int).tolist()
        assert [row[label] for label in data.labels] == answers
    write_table(tmp_path / "out.csv", rows)
    header = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert header == "Id,Negative,Positive,Repression,Surprise,Others"
    texts = [{name: str(value) for name, value in row.items()} for row in rows]
    assert [row.cells for row in read_table(tmp_path / "out.csv")] == texts
    mixed = replace(bare, clips=(*bare.clips[:2], *data.clips[2:]))
    assert [row["Id"] for row in answer_clips(mixed, ensemble)] == [9, 10]


def test_clips_of_the_training_set_are_answered_by_who_never_saw_the_person(bare, data, trained):
    rows = answer_clips(bare, load_ensemble(trained[0]))
    answers = {row["Id"]: [row[label] for label in data.labels] for row in rows}
    assert [answers[n] for n in (10, 9, 3, 21, 2, 1)] == trained[2].answers.tolist()


def test_negative_excludes_positive_only_when_asked(bare, ensemble):
    ensemble.score = lambda maps: (np.full((2, 5), 0.8), None)
    free, kept = answer_clips(bare, ensemble), answer_clips(bare, ensemble, exclude=True)
    assert all(row["Negative"] == row["Positive"] == 1 for row in free)
    assert all((row["Negative"], row["Positive"], row["Surprise"]) == (1, 0, 1) for row in kept)


def test_what_cannot_be_answered_is_one_sentence(bare, data, ensemble):
    with pytest.raises(MerError, match="every clip has its labels"):
        answer_clips(data, ensemble)
    for names in (["nameless"], ["seq1", "seq01"]):
        with pytest.raises(MerError, match=f"clip {names[-1]}: its name needs a number of its own"):
            answer_clips(rename(data, *names), ensemble)
    ensemble.labels = ("A", "B", "C", "D", "E")
    with pytest.raises(MerError, match="trained on 2 view"):
        answer_clips(bare, ensemble)
    other = replace(bare, info=bare.info | {"labels": list(ensemble.labels)})
    with pytest.raises(MerError, match="know no Positive or Negative"):
        answer_clips(other, ensemble, exclude=True)
