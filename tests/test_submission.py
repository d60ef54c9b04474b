"""The challenge's answer sheet."""

import csv
from dataclasses import replace

from mer_tools.submission import answer_clips, write_answers
from mer_utils import MerError
from mer_utils.features import FrontEnd, extract

import numpy as np
import pytest

FRONT = FrontEnd(crop=64, size=12)


class Certain:
    """An ensemble whose scores follow from the maps in a way that a test can repeat."""

    front_end, exclusive, shape, channels = FRONT, False, (2, 2, 3, 12, 12), None
    thresholds = np.array([0.5, 0.5, 0.5, 0.5, 0.5])

    def __init__(self, labels):
        self.labels = labels

    def score(self, maps):
        mean = maps[:, :, 2].mean()
        scores = np.array([mean * 1e3 % 1, mean * 1e4 % 1, 0.9, mean * 1e5 % 1, 0.1])
        return np.stack([scores - 0.05, scores + 0.05]), np.ones((2, 3)) / 3


@pytest.fixture
def bare(data):
    """The fixture set without labels, as numbered sequences in no order."""
    names = ["seq10", "seq9", "seq3", "seq21", "seq2", "seq1"]
    clips = [
        replace(clip, name=name, labels=None) for clip, name in zip(data.clips, names, strict=True)
    ]
    return replace(data, clips=tuple(clips))


def test_the_sheet_holds_each_unlabelled_clip_once_sorted_by_number(bare, data, tmp_path):
    rows = answer_clips(bare, Certain(data.labels), cache=tmp_path)
    assert [row["Id"] for row in rows] == [1, 2, 3, 9, 10, 21]
    x = extract(data, FRONT).x
    for row, k in zip(rows, (5, 4, 2, 1, 0, 3), strict=True):
        scores = Certain(data.labels).score(x[k])[0].mean(0)
        assert [row[label] for label in data.labels] == (scores >= 0.5).astype(int).tolist()
    write_answers(tmp_path / "out.csv", rows)
    text = (tmp_path / "out.csv").read_text().splitlines()
    assert text[0] == "Id,Negative,Positive,Repression,Surprise,Others" and len(text) == 7
    assert {value for row in csv.DictReader(text) for key, value in row.items() if key != "Id"} == {
        "0",
        "1",
    }


def test_negative_excludes_positive_only_when_asked(bare, data):
    always = Certain(data.labels)
    always.score = lambda maps: (np.full((2, 5), 0.8), None)
    free, kept = answer_clips(bare, always), answer_clips(bare, always, exclude=True)
    assert all(row["Negative"] == row["Positive"] == 1 for row in free)
    assert all((row["Negative"], row["Positive"], row["Surprise"]) == (1, 0, 1) for row in kept)
    other = Certain(("A", "B", "C", "D", "E"))
    renamed = replace(bare, info=bare.info | {"labels": list(other.labels)})
    with pytest.raises(MerError, match="know no Positive or Negative"):
        answer_clips(renamed, other, exclude=True)


def test_labelled_clips_are_left_alone(bare, data):
    mixed = replace(bare, clips=(*bare.clips[:2], *data.clips[2:]))
    assert [row["Id"] for row in answer_clips(mixed, Certain(data.labels))] == [9, 10]
    with pytest.raises(MerError, match="every clip has its labels"):
        answer_clips(data, Certain(data.labels))


def test_what_cannot_be_answered_is_one_sentence(bare, data):
    def rename(*names):
        clips = [replace(clip, name=name) for clip, name in zip(bare.clips, names, strict=False)]
        return replace(bare, clips=tuple(clips))

    with pytest.raises(MerError, match="clip nameless: its name needs the sequence's number"):
        answer_clips(rename("nameless"), Certain(data.labels))
    with pytest.raises(MerError, match="seq1 and seq01 both have the Id 1"):
        answer_clips(rename("seq1", "seq01"), Certain(data.labels))
    with pytest.raises(MerError, match="trained on 2 view"):
        answer_clips(bare, Certain(data.labels[:4]))
