from types import SimpleNamespace

from mer_course.checks import prediction as exercises

import numpy as np
from asking import accept, reject, skips

LABELS = ("Negative", "Positive", "Surprise")
TRUTH = (np.random.default_rng(0).random((12, 3)) < 0.4).astype(np.uint8)
X = TRUTH[:, None, None, :, None, None].astype(np.float32)  # the labels are the maps
FEATURES = SimpleNamespace(x=X, y=TRUTH, subjects=np.repeat(list("abc"), 4))


class Ensemble:
    """Networks that say 0.5, and ``sure`` more where a label is there."""

    def __init__(self, count, sure):
        self.members, self.sure = (None,) * count, sure

    def score(self, maps):
        there = maps[0, 0, :, 0, 0]
        return np.tile(0.5 + self.sure * (there - 0.5), (len(self.members), 1)), None


def make_prediction(turned=False, exclusive=False):
    view = np.arange(48, dtype=np.uint8).reshape(8, 6)
    view = view[::-1] if turned else view
    scores = np.array([[0.2, 0.55, 0.4], [0.3, 0.45, 0.6]]) - 0.1 * turned
    pictures = {"first": (view, view), "apex": 1, "crops": np.stack([[view] * 3] * 2)}
    cuts = {"thresholds": np.array([0.5, 0.51, np.inf]), "exclusive": exclusive}
    return SimpleNamespace(scores=scores, labels=LABELS, **pictures, **cuts)


def test_check_1():
    few, everyone = Ensemble(3, 0.1), Ensemble(9, 0.3)
    says = "annotated labels +0.10, the others -0.10"
    accept(exercises.check_1, everyone, few, FEATURES, "c", says=says)
    wrong = [few, Ensemble(8, 0.3), "all", None, SimpleNamespace(members=(None,) * 9)]
    reject(exercises.check_1, wrong, few, FEATURES, "c")


def test_check_2():
    prediction = make_prediction()
    accept(exercises.check_2, make_prediction(turned=True), prediction, figures=1)
    mirrored, single = make_prediction(), make_prediction(turned=True)
    mirrored.first = tuple(view[:, ::-1] for view in mirrored.first)
    single.first = single.first[:1]
    reject(exercises.check_2, [prediction, mirrored, single], prediction)


def test_check_3():
    prediction = make_prediction()
    accept(exercises.check_3, [False, True, False], prediction, says="undecided: Positive")
    reject(exercises.check_3, [[], [False] * 3, [True] * 3, [0.1, 0.5, 0.2]], prediction)
    assert skips(exercises.check_3, None, make_prediction(exclusive=True))
