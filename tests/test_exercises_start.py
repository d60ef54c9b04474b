from faces4d.head import AUS
from faces4d.scenario import label_of
from mer_course.checks import start as exercises
from mer_course.demos.puppet import pull

import numpy as np
from asking import accept, reject, skips


def test_a_riddle_has_three_labels_and_a_neutral_face():
    sets, pictures = exercises.make_riddle(0, 3)
    assert len({label_of(aus) for aus in sets}) == 3 and len(pictures) == 4
    assert all(np.abs(pictures[0].astype(int) - face).max() > 20 for face in pictures[1:])
    assert exercises.make_riddle(0, 3)[0] == sets != exercises.make_riddle(0, 4)[0]


def test_check_1():
    sets = [(12,), (1, 2), (17,)]
    right = ["Positive", "Surprise", "Repression"]
    accept(exercises.check_1, right, sets, says="these faces hold AU 12 · AU 1 + 2 · AU 17")
    wrong = [["Others"] * 3, ["Positive", "Repression", "Surprise"], None, "Positive", ["Positive"]]
    reject(exercises.check_1, wrong, sets)


def test_check_2(monkeypatch):
    monkeypatch.setattr(exercises, "MOST", 6)
    weights, sigma = pull(12, 0.1), 0.5
    noise = 2 * sigma / np.sqrt(np.pi)
    sizes = [np.abs(exercises.change(0, weights, k)).mean() for k in range(1, 7)]
    first = 1 + int(np.argmax(np.array(sizes) > noise))
    assert first > 1
    accept(exercises.check_2, first, 0, weights, sigma, figures=1)
    reject(exercises.check_2, [0, first - 1, first + 1], 0, weights, sigma)
    assert skips(exercises.check_2, 1, 0, np.zeros((len(AUS), 2)), sigma)
