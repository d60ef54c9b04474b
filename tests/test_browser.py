"""The result browser: the clips it finds are those that were hit, missed or invented, and their
pictures are made when they are asked for.
"""

import itertools
from dataclasses import replace
from types import SimpleNamespace

from mer_course.demos import browser as module
from mer_course.demos.browser import ANSWERS, EVERYBODY, SIDE, Browser
from mer_utils.features import FrontEnd, extract
from mer_utils.plots import paint

import numpy as np
import pytest

RNG = np.random.default_rng(0)
FRONT = FrontEnd(crop=64, size=12)


def make_outcome(features, exclusive=False):
    """Return answers drawn by lot, with thresholds of one half or none."""
    scores = RNG.random(features.y.shape)
    cuts = np.full(scores.shape, np.nan if exclusive else 0.5)
    answers = (scores == scores.max(1, keepdims=True)) if exclusive else scores >= 0.5
    return SimpleNamespace(
        scores=scores, thresholds=cuts, answers=answers.astype(np.uint8), exclusive=exclusive
    )


@pytest.fixture(scope="module")
def features(data):
    return extract(data, FRONT)


@pytest.fixture
def browser(data, features):
    return Browser(data, features, make_outcome(features), FRONT)


def test_hits_misses_and_false_alarms_are_what_they_say(browser, features):
    for k, label in enumerate(features.labels):
        hits, misses, alarms = (browser.select(EVERYBODY, label, each) for each in ANSWERS)
        assert set(hits) | set(misses) == set(np.flatnonzero(features.y[:, k]))
        assert set(hits) | set(alarms) == set(np.flatnonzero(browser.outcome.answers[:, k]))
        assert (np.diff(browser.outcome.scores[hits, k]) <= 0).all()  # the surest first
        assert (np.diff(browser.outcome.scores[misses, k]) >= 0).all()
    own = browser.select("S01", features.labels[0], "hits")
    assert (features.subjects[own] == "S01").all()


def find_some(browser):
    """Return a selection that is not empty."""
    choices = itertools.product([EVERYBODY], browser.labels, ANSWERS)
    return next(choice for choice in choices if len(browser.select(*choice)))


def test_a_clip_is_read_once_and_only_when_it_is_looked_at(browser, monkeypatch):
    read, load = [], module.load_crops
    monkeypatch.setattr(module, "load_crops", lambda *given: read.append(given[0]) or load(*given))
    chosen = find_some(browser)
    first, again = paint(browser.draw(*chosen))[0], paint(browser.draw(*chosen))[0]
    row = browser.select(*chosen)[0]
    assert first == again and [clip.name for clip in read] == [browser.features.clips[row]]
    pictures, titles = browser.look(row)
    assert pictures.shape == (4, SIDE, SIDE, 3) and 0 <= pictures.min() <= pictures.max() <= 1
    assert titles[0].startswith("onset") and len(titles) == 4


def test_the_title_names_label_clip_probability_and_threshold(browser, data, features):
    _, label, answer = choice = find_some(browser)
    rows = browser.select(*choice)
    values = dict(zip(("subject", "label", "answer"), choice, strict=True)) | {"clip": 99}
    controls = browser.controls()  # they stay inside what there is
    assert controls["clamp"](values, "clip")["clip"] == len(rows)
    assert controls["clamp"](values, "label")["clip"] == 1
    title = browser.draw(*choice, clip=99).texts[0].get_text()  # beyond the last: the last
    p = browser.outcome.scores[rows[-1], browser.labels.index(label)]
    assert f"{label}, all people: {answer} {len(rows)} of {len(rows)}" in title
    assert browser.features.clips[rows[-1]] in title and f"{p:.2f} against θ = 0.50" in title
    browser.outcome.answers[:] = 0
    assert browser.controls()["clip"][:2] == (1, max(2, *features.y.sum(0)))
    title = browser.draw(EVERYBODY, label, "hits").texts[0].get_text()
    assert title == f"{label}, all people: no hits"
    exclusive = Browser(data, features, make_outcome(features, True), FRONT)
    assert "against" not in exclusive.draw(*find_some(exclusive)).texts[0].get_text()


def test_flow_images_show_their_maps(features):
    flow = replace(features, x=features.x[:, :1], apex=np.full(len(features.y), -1))
    images = SimpleNamespace(views=1, channels=["u", "v", "strain"], clips=())
    browser = Browser(images, flow, make_outcome(flow), FRONT)
    assert browser.draw(*find_some(browser))
    pictures, titles = browser.look(0)
    assert len(pictures) == len(titles) == 2 * flow.x.shape[2]
    assert titles[1] == "strain onset-apex"
