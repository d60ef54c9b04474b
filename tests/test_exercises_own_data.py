from types import SimpleNamespace

from mer_course.checks import own_data as exercises

import numpy as np
import pytest
from asking import accept, reject


def make_set(onset, apex, offset, names=("a1", "a2", "b1"), labels=("Joy",)):
    numbers = {"frames": tuple(range(20)), "onset": onset, "apex": apex, "offset": offset}
    clips = tuple(SimpleNamespace(name=name, subject=name[0], **numbers) for name in names)
    return SimpleNamespace(clips=clips, labels=labels)


def test_check_1():
    mine = make_set(2, 7, 15)
    accept(exercises.check_1, make_set(0, None, 19), mine, says="60 frames")
    fewer = make_set(0, None, 19, names=("a1", "b1"))
    unnamed = make_set(0, None, 19, labels=("None",))
    reject(exercises.check_1, [mine, make_set(0, 7, 19), fewer, unnamed], mine)


def make_report(*checks):
    texts = {"where": "1, 01", "what": "one subject"}
    found = [SimpleNamespace(check=check, level=level, **texts) for check, level in checks]
    return SimpleNamespace(findings=found)


def test_check_2():
    right = make_report(("labels", "look"), ("subjects", "mend"))
    accept(exercises.check_2, right, says="1, 01: one subject")
    reject(exercises.check_2, [make_report(), make_report(("subjects", "look")), ["mend"]])


def test_check_3():
    picture, found = np.zeros((100, 80), np.uint8), (10, 20, 60, 70)
    accept(exercises.check_3, (12, 22, 62, 72), picture, found, figures=1)
    wrong = [[0, 0, 20, 20], [20, 10, 70, 60, 1], [60, 70, 10, 20], [0, 0, 81, 100]]
    reject(exercises.check_3, [*wrong, [0, 0, 80, 100]], picture, found)


def test_overlap_is_intersection_over_union():
    assert exercises.overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert exercises.overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert exercises.overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0
