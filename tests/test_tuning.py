"""The tuning benchmark: equal draws for all, and who wins."""

import importlib.util
from pathlib import Path

from mer_utils.training import Recipe

import numpy as np
import pytest
from toys import make_toy

PATH = Path(__file__).parents[1] / "benchmarks" / "tuning.py"


@pytest.fixture(scope="module")
def tuning():
    spec = importlib.util.spec_from_file_location("benchmark_tuning", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_draws_lie_in_the_space_and_more_of_them_begin_with_the_same(tuning):
    draws = tuning.draw_settings(200)
    assert draws[:12] == tuning.draw_settings(12)
    for name in ("rate", "decay"):
        values = np.log([draw[name] for draw in draws])
        low, high = np.log(tuning.SPACE[name])
        assert low - 0.05 < values.min() and values.max() < high + 0.05  # two digits are kept
        assert abs(np.median(values) - (low + high) / 2) < 0.15 * (high - low)  # log-even
    for name in ("patience", "dropout", "epochs"):
        assert {draw[name] for draw in draws} == set(tuning.SPACE[name])
    for draw in draws[:12]:
        Recipe(**draw)  # each can be trained


def test_the_best_draw_wins_and_what_diverged_is_out(tuning, monkeypatch):
    scores = iter([0.4, None, 0.6, 0.5])
    made = []

    def score(recipe, sets, cache, jobs):
        made.append(recipe)
        row = {name: getattr(recipe, name) for name in tuning.FIELDS}
        return {"settings": row, "mean": next(scores)}

    monkeypatch.setattr(tuning, "score_recipe", score)
    draws = tuning.draw_settings(3)
    found = tuning.tune("STSTNet", draws, [], None, 1)
    assert made[0] == Recipe(network="STSTNet", members=1, **tuning.PUBLISHED["STSTNet"])
    assert [recipe.rate for recipe in made[1:]] == [draw["rate"] for draw in draws]
    assert found["winner"]["rate"] == draws[1]["rate"] and len(found["tried"]) == 4
    assert [row["mean"] for row in tuning.rank(found["tried"])] == [0.6, 0.5, 0.4]
    scores = iter([0.7, 0.1])  # the published row is not tried again, nor what diverged
    tuning.try_published_size("SSSNet", found, [], None, 1)
    assert found["published_size"]["size"] == 64
    assert [row["mean"] for row in found["published_size"]["tried"]] == [0.7, 0.1]


def test_a_recipe_is_scored_by_precision_and_macro_uf1(tuning):
    data = make_toy(clips=60, subjects=8)
    row = tuning.score_recipe(Recipe(network="Regions+LR", members=1), [data, data], None, 1)
    assert len(row["precision"]) == len(row["macro"]) == 2 and row["macro"][0] == row["macro"][1]
    assert row["mean"] == pytest.approx(np.mean([row["precision"], row["macro"]]), abs=1e-4)
    assert row["mean"] > 0.7
    assert row["settings"]["decay"] == Recipe().decay
