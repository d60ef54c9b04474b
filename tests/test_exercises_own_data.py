"""The checks of 09: right answers, placeholders, plausible mistakes, anything else."""

from types import SimpleNamespace

from mer_course.checks import own_data as exercises

import numpy as np
import pytest
from toys import said

pytestmark = pytest.mark.usefixtures("shown")


def make_clip(name, onset, apex, offset):
    frames = tuple(range(20))
    return SimpleNamespace(
        name=name, subject=name[0], frames=frames, onset=onset, apex=apex, offset=offset
    )


def make_set(onset, apex, offset, names=("a1", "a2", "b1"), labels=("Joy",)):
    clips = tuple(make_clip(name, onset, apex, offset) for name in names)
    return SimpleNamespace(clips=clips, labels=labels)


def test_check_1(capsys, shown):
    mine = make_set(2, 7, 15)
    exercises.check_1(make_set(0, None, 19), mine)
    assert "60 frames" in said(capsys) and len(shown) == 1
    mistakes = (
        mine,  # the placeholder
        make_set(0, None, 15),
        make_set(0, 7, 19),
        make_set(0, None, 19, names=("a1", "b1")),
        make_set(0, None, 19, labels=("None",)),
        "own/short",
        None,
    )
    for wrong in mistakes:
        exercises.check_1(wrong, mine)
        assert said(capsys).startswith("Not yet: ")


def make_report(*checks):
    found = [
        SimpleNamespace(check=check, level=level, where="1, 01", what="one subject")
        for check, level in checks
    ]
    return SimpleNamespace(findings=found)


def test_check_2(capsys):
    exercises.check_2(make_report(("labels", "look"), ("subjects", "mend")))
    assert said(capsys).startswith("Right: 1, 01: one subject")
    for wrong in (make_report(), make_report(("subjects", "look")), ["mend"], "report", None):
        exercises.check_2(wrong)
        assert said(capsys).startswith("Not yet: ")


def test_check_3(capsys, shown):
    picture, found = np.zeros((100, 80), np.uint8), (10, 20, 60, 70)
    exercises.check_3((12, 22, 62, 72), picture, found)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    mistakes = (
        (0, 0, 20, 20),  # the placeholder
        (20, 10, 70, 60, 1),
        (20, 10, 70, 10),
        (60, 70, 10, 20),
        (0, 0, 81, 100),
        (0, 0, 80, 100),  # the whole view
        "10 20 60 70",
        None,
    )
    for wrong in mistakes:
        exercises.check_3(wrong, picture, found)
        assert said(capsys).startswith("Not yet: ")


def test_overlap_is_intersection_over_union():
    assert exercises.overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert exercises.overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert exercises.overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0
