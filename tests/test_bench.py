"""The threshold bench: its numbers are those of the metrics, its pictures name what is chosen."""

from mer_course.demos.bench import STEPS, Bench
from mer_utils import MerError
from mer_utils.evaluation import label_f1, macro_uf1
from mer_utils.plots import paint

import numpy as np
import pytest

RNG = np.random.default_rng(0)
LABELS = ("Negative", "Positive", "Surprise")
TRUTH = RNG.integers(0, 2, (30, 3))
SCORES = np.clip(0.3 * TRUTH + 0.7 * RNG.random((30, 3)), 0, 1)
CUTS = np.repeat([[0.4, 0.5, 0.6], [0.5, 0.52, np.inf], [0.6, 0.3, 0.61]], 10, 0)  # three folds
BENCH = Bench(SCORES, TRUTH, CUTS, LABELS)


def test_f1_and_macro_are_those_of_the_metrics():
    answers = SCORES >= CUTS
    answers[:, 1] = SCORES[:, 1] >= 0.45
    f1, counts, macro = BENCH.measure("Positive", 0.45)
    assert f1 == label_f1(TRUTH, answers)[1] and macro == macro_uf1(TRUTH, answers)
    assert counts.sum() == 30 and counts[1].sum() == TRUTH[:, 1].sum()
    assert counts[1, 1] == (answers[:, 1] & (TRUTH[:, 1] == 1)).sum()
    curve = BENCH.draw("Positive", 0.45).axes[2].lines[0].get_ydata()
    assert curve[45] == f1 and len(curve) == len(STEPS)


def test_it_starts_at_the_tuned_threshold_and_a_label_brings_its_own():
    controls = BENCH.controls()
    assert controls["label"] == list(LABELS) and controls["threshold"][3] == 0.5
    clamp = controls["clamp"]
    assert clamp({"label": "Surprise", "threshold": 0.5}, "label")["threshold"] == 0.61
    assert clamp({"label": "Surprise", "threshold": 0.2}, "threshold")["threshold"] == 0.2
    never = Bench(SCORES, TRUTH, np.full((30, 3), np.inf), LABELS)
    assert never.start_of("Negative") == 1 and never.draw("Negative")


def test_the_title_names_what_is_chosen_and_the_same_choice_draws_the_same_bytes():
    f1, _, macro = BENCH.measure("Surprise", 0.3)
    figure = BENCH.draw("Surprise", 0.3)
    title = f"Surprise at θ = 0.30: F1 {f1:.2f} · macro-UF1 {macro:.2f}"
    assert figure.texts[0].get_text().startswith(title)
    assert BENCH.draw("Negative").texts[0].get_text().startswith("Negative at θ = 0.50")
    other = BENCH.draw("Surprise", 0.31)
    assert paint(figure)[0] == paint(BENCH.draw("Surprise", 0.3))[0] != paint(other)[0]


def test_one_label_a_clip_has_no_threshold_to_move():
    with pytest.raises(MerError, match="the largest probability wins"):
        Bench(SCORES, TRUTH, np.full((30, 3), np.nan), LABELS)
