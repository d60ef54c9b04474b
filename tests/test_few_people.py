"""The checks of notebook 11: right answers are praised, wrong ones get their hint."""

from contextlib import redirect_stdout
from io import StringIO

from mer_course.checks import few_people
from mer_utils import start
from mer_utils.baselines import RegionsLogistic
from mer_utils.training import flip

import numpy as np
import pytest
import torch
from toys import make_toy

DATA, DECAY = make_toy(size=20), 0.097
TRUE = np.random.default_rng(0).random((len(DATA.x), len(start.UNITS)))


@pytest.fixture(scope="module")
def namers():
    networks, scale = start.read_namers(start.WEIGHTS)
    return networks, torch.from_numpy(DATA.x) / scale[:, None, None], TRUE


def ask(check, *answer):
    with redirect_stdout(StringIO()) as text:
        check(*answer)
    return text.getvalue()


def test_each_namer_alone_has_a_correlation_of_its_own(namers):
    networks, maps, true = namers
    with torch.no_grad():
        votes = [(network(maps), network(flip(maps))) for network in networks]
    right = [few_people.correlate((own + mirrored) / 2, true) for own, mirrored in votes]
    text = ask(few_people.check_1, right, *namers)
    assert text.startswith("Right: ") and f"alone {min(right):.3f}" in text
    without_mirror = [few_people.correlate(own, true) for own, _ in votes]
    assert "mean of both logits" in ask(few_people.check_1, without_mirror, *namers)
    assert "a number for each" in ask(few_people.check_1, right[:1], *namers)


def test_fewer_people_mean_the_first_of_the_others():
    models = start.UnitsLogistic(DECAY), RegionsLogistic(DECAY)
    start_scores, others = (
        {k: few_people.score_few(model, DATA, k) for k in (1, 3, 5)} for model in models
    )
    text = ask(few_people.check_2, start_scores, DATA, DECAY)
    assert text.startswith("Right: ") and f"without {others[1]:.2f}" in text
    assert "first k others" in ask(few_people.check_2, {1: 9, 3: 9, 5: 9}, DATA, DECAY)
    assert "for each number of people" in ask(few_people.check_2, {1: 0.5}, DATA, DECAY)


def test_fair_starts_saw_nothing_of_the_test_people():
    assert ask(few_people.check_3, [True, False, False, False, True]).startswith("Right: ")
    for wrong in ([True] * 5, [True, True, False, False, True]):
        assert "of 5 numbers are wrong" in ask(few_people.check_3, wrong)
    assert "five proposals" in ask(few_people.check_3, None)
