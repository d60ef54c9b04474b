"""The checks of 00: right answers, placeholders, plausible mistakes, anything else."""

from faces4d.head import AUS
from faces4d.scenario import label_of
from mer_course.checks import start as exercises
from mer_course.demos.puppet import pull

import numpy as np
import pytest
from toys import said

pytestmark = pytest.mark.usefixtures("shown")


def test_a_riddle_has_three_labels_and_a_neutral_face():
    sets, pictures = exercises.make_riddle(0, 3)
    assert len({label_of(aus) for aus in sets}) == 3 and len(pictures) == 4
    assert all(np.abs(pictures[0].astype(int) - one).max() > 20 for one in pictures[1:])
    assert exercises.make_riddle(0, 3)[0] == sets != exercises.make_riddle(0, 4)[0]


def test_check_1(capsys):
    sets = [(12,), (1, 2), (17,)]
    exercises.check_1(["Positive", "Surprise", "Repression"], sets)
    assert said(capsys).startswith("Right: these faces hold AU 12 · AU 1 + 2 · AU 17")
    for wrong in (["Others"] * 3, ["Positive", "Repression", "Surprise"]):
        exercises.check_1(wrong, sets)
        assert said(capsys).startswith("Not yet: ")
    for odd in (None, "Positive", ["Positive"]):
        exercises.check_1(odd, sets)
        assert "list of 3 labels" in said(capsys)


def test_check_2(capsys, shown):
    weights, sigma = pull(12, 0.1), 0.5
    noise = 2 * sigma / np.sqrt(np.pi)
    sizes = [np.abs(exercises.change(0, weights, k)).mean() for k in range(1, exercises.MOST + 1)]
    first = 1 + int(np.argmax(np.array(sizes) > noise))
    assert 1 < first < exercises.MOST
    exercises.check_2(first, 0, weights, sigma)
    assert said(capsys).startswith("Right: ") and len(shown) == 1
    for wrong in (0, first - 1, first + 1, "two", None):
        exercises.check_2(wrong, 0, weights, sigma)
        assert said(capsys).startswith("Not yet: ")
    exercises.check_2(1, 0, np.zeros((len(AUS), 2)), sigma)
    assert "no answer here" in said(capsys)
