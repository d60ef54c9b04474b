"""Plans: labels as in 4DME, clips spread over subjects, and what coders get wrong in bench-v2."""

from collections import Counter

from faces4d.scenario import label_of, plan_clips
from mer_utils import LABELS

import numpy as np
import pytest

HARD = plan_clips(seed=1001, preset="bench-v2")


@pytest.mark.parametrize("aus, names", [
    ({12}, "Positive"), ({4}, "Negative"), ({7, 45}, "Negative"), ({10}, "Negative"),
    ({4, 12}, "Positive"), ({1, 2}, "Surprise"), ({1, 2, 12}, "Positive Surprise"),
    ({1, 2, 4}, "Negative Surprise"), ({14}, "Repression"), ({4, 17}, "Negative Repression"),
    ({6, 12, 24}, "Positive Repression"), ({1}, "Others"), ({6}, "Others"), ({45}, "Others"),
    ({99}, "Others"), (set(), "Others"),
])  # fmt: skip
def test_label_of(aus, names):
    assert label_of(aus) == tuple(names.split())


def test_default_plan_has_the_label_sets_and_aus_of_4dme():
    """The published counts; AU totals to within what the rule forces (see RECIPES)."""
    plans = plan_clips()
    assert len({plan.clip for plan in plans}) == 267
    assert Counter("+".join(label_of(plan.aus)) for plan in plans) == {
        "Negative": 127, "Positive": 34, "Others": 31, "Surprise": 30, "Repression": 6,
        "Positive+Surprise": 13, "Negative+Surprise": 8, "Positive+Repression": 8,
        "Negative+Repression": 7, "Repression+Surprise": 3,
    }  # fmt: skip
    wanted = {4: 102, 7: 89, 2: 54, 12: 53, 1: 46, 6: 25, 17: 11, 5: 8, 15: 6, 14: 4, 10: 2, 9: 1}
    counts = Counter(au for plan in plans for au in plan.aus)
    off = [abs(counts[au] - n) for au, n in wanted.items()]
    assert max(off) <= 12 and sum(off) <= 25


@pytest.mark.parametrize("subjects, clips", [(1, 1), (1, 5), (4, 24), (24, 267), (30, 400)])
def test_any_plan_keeps_the_rules(subjects, clips):
    plans = plan_clips(subjects, clips, seed=3)
    assert len(plans) == clips and len({plan.clip_seed for plan in plans}) == clips
    people = {(plan.subject, plan.face_seed) for plan in plans}
    assert len(people) == len({face for _, face in people}) == subjects
    for plan in plans:
        assert [LABELS[i] for i in np.flatnonzero(plan.labels)] == list(label_of(plan.aus))
        assert not (plan.labels[0] and plan.labels[1])  # never Negative with Positive
        assert plan.clip.startswith(plan.subject + "_")
    if clips >= 5:
        assert np.sum([plan.labels for plan in plans], axis=0).min() >= 1


def test_labels_keep_their_proportions_and_follow_the_coded_aus():
    assert [plan.labels for plan in HARD] == [plan.labels for plan in plan_clips(seed=1001)]
    for plan in HARD:
        names = label_of(plan.aus if plan.coded is None else plan.coded, plan.reason)
        assert plan.labels == tuple(int(label in names) for label in LABELS)
        assert plan.aus and plan.coded != plan.aus


def test_a_share_of_the_clips_is_coded_wrongly_by_one_neighbour():
    wrong = [(set(plan.aus), set(plan.coded)) for plan in HARD if plan.coded is not None]
    assert 0.05 <= len(wrong) / len(HARD) <= 0.10
    assert all(len(moved - coded) <= 1 and len(coded - moved) <= 1 for moved, coded in wrong)
    # invented, confused, overlooked
    assert {len(moved) - len(coded) for moved, coded in wrong} == {-1, 0, 1}
