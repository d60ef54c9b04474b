"""Exercises of 07: a focal loss without focus, SE on all streams, people for half the noise, and
false alarms.
"""

from mer_course.checks.answer import tell
from mer_utils import STREAMS
from mer_utils.ablations import compare, holm
from mer_utils.plots import BLUE, GREY, ORANGE, RED, draw_differences, grid

import numpy as np
from IPython.display import display

POINT = 0.01  # of macro-UF1: the half width asked for
PEOPLE_OF_4DME = 24
FEWEST_SEEDS, RUNS = 3, 20


def _are_outcomes(given, shape):
    """Return whether all of ``given`` are Outcomes with answers and scores of ``shape`` (N, L)."""
    return all(np.shape(getattr(one, "scores", None)) == shape for one in given)


def check_1(no_focus, default, bce):
    """Check the Outcome of a focal loss with gamma 0 against that of BCE; draw the scores of both,
    and those of the ``default``, over BCE's.
    """
    if not _are_outcomes([no_focus], bce.scores.shape):
        return tell(False, "", "no_focus must be what run_grid returns for one task, an Outcome")
    hint = "these are other scores than BCE's. Change gamma, and nothing else, of `single`."
    if np.array_equal(no_focus.scores, default.scores):
        hint = "these are the default's scores: gamma is still there."
    right = np.array_equal(no_focus.scores, bce.scores)
    apart = np.abs(default.scores - bce.scores).max()
    praise = f"not one of {bce.scores.size} scores differs; with gamma they differ by up to "
    tell(right, praise + f"{apart:.2f}.", hint)
    if right:
        figure, ((axis,),) = grid(1, 1, 4.4, 3.8)
        x = bce.scores.ravel()
        axis.plot(x, default.scores.ravel(), ".", color=GREY, markersize=4, label="default")
        axis.plot(x, no_focus.scores.ravel(), ".", color=BLUE, markersize=4, label="gamma 0")
        axis.set(title="without gamma every score is BCE's", xlabel="score with BCE")
        axis.set(ylabel="score with a focal loss", xlim=(0, 1), ylim=(0, 1))
        axis.legend(loc="lower right")
        display(figure)


def _count_gates(outcome):
    """Return how many streams of an Outcome's first network have SE."""
    names = [name.split(".gates.")[1] for name in outcome.members[0] if ".gates." in name]
    return len({name.split(".")[0] for name in names})


def check_2(everywhere, defaults, features):
    """Check Outcomes with SE on all streams beside those of the default, one a training seed; draw
    the difference of each seed and their mean with its interval.
    """
    lists = [
        list(each) if isinstance(each, list | tuple) else [] for each in (everywhere, defaults)
    ]
    if min(map(len, lists)) < FEWEST_SEEDS or len(lists[0]) != len(lists[1]):
        return tell(
            False, "", f"two lists of Outcomes, of {FEWEST_SEEDS} seeds or more, are wanted"
        )
    if not _are_outcomes([*lists[0], *lists[1]], features.y.shape):
        return tell(False, "", "the lists must hold what run_grid returns, Outcomes")
    counts = [{_count_gates(one) for one in each} for each in lists]
    if counts[0] != {len(STREAMS)} or counts[1] != {1}:
        found = " and ".join("/".join(map(str, sorted(each))) for each in counts)
        return tell(False, "", f"streams with SE: {found}; {len(STREAMS)} and 1 are wanted")
    different = {one.scores.tobytes() for each in lists for one in each}
    if len(different) < 2 * len(lists[0]):
        return tell(False, "", "two of these runs are the same one: each needs a seed of its own")
    answers = {
        name: np.stack([one.answers for one in each])
        for name, each in zip(("SE everywhere", "default"), lists, strict=True)
    }
    row = compare(features.y, answers, "default", features.subjects)["SE everywhere"]
    gaps = [
        one.uf1(features.y)["macro"] - other.uf1(features.y)["macro"]
        for one, other in zip(*lists, strict=True)
    ]
    ends = f"{row.difference_low:+.3f} to {row.difference_high:+.3f}"
    words = "no difference could be detected" if row.verdict == "within noise" else row.verdict
    tell(True, f"{row.difference:+.3f} ({ends}), p-value {row.p:.2f}: {words}.", "")
    shown = {f"seed {k}": gap for k, gap in enumerate(gaps)} | {"all seeds": row.difference}
    title = f"SE everywhere: {row.difference:+.3f}; single seeds say {min(gaps):+.3f} to "
    title += f"{max(gaps):+.3f}"
    span = {"all seeds": (row.difference_low, row.difference_high)}
    sure = ["all seeds"] if row.verdict != "within noise" else []
    display(draw_differences(shown, title, "macro-UF1 minus the default's", span, sure))


def check_3(people_needed, found, people):
    """Check how many people each variant {name: number} would need for an interval of a point to
    each side, from its Comparison in ``found`` with ``people`` people; draw them.
    """
    half = {name: (c.difference_high - c.difference_low) / 2 for name, c in found.items()}
    expected = {name: people * (h / POINT) ** 2 for name, h in half.items() if h > 0}
    if not isinstance(people_needed, dict):
        return tell(False, "", "people_needed must be a dict: variant -> number of people")
    try:
        given = np.array([float(people_needed[name]) for name in expected])
    except (KeyError, TypeError, ValueError):
        return tell(False, "", f"one number for each of {', '.join(expected) or 'no variant'}")
    wrong = [
        name
        for name, number, wanted in zip(expected, given, expected.values(), strict=True)
        if not abs(number - wanted) <= 1 + 0.02 * wanted
    ]
    hint = f"{len(wrong)} of {len(expected)} are wrong, {wrong[0]} first. " if wrong else ""
    hint += "Half of the interval's width falls with the square root of the number of people."
    more = sum(number > PEOPLE_OF_4DME for number in expected.values())
    praise = f"{more} of {len(expected)} variants need more than the {PEOPLE_OF_4DME} of 4DME."
    tell(not wrong, praise, hint)
    flat = [name for name, h in half.items() if h == 0]
    if flat:
        print(f"No width at all, so nothing can be said of: {', '.join(flat)}.")
    if not wrong and expected:
        figure, ((axis,),) = grid(1, 1, 7, 0.9 + 0.27 * len(expected))
        names, numbers = list(expected), list(expected.values())
        axis.barh(names, numbers, color=[ORANGE if n > PEOPLE_OF_4DME else GREY for n in numbers])
        for row, number in enumerate(numbers):
            axis.text(number, row, f" {number:,.0f}", va="center")
        axis.axvline(PEOPLE_OF_4DME, color=RED, linestyle="--", linewidth=1)
        axis.set(xscale="log", xlim=(1, 5 * max(*numbers, PEOPLE_OF_4DME)))
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.set(title=praise[:-1], xlabel="people for an interval of ± 0.01 (dashed: 4DME's)")
        axis.invert_yaxis()
        display(figure)


def check_4(alarms, seed_answers, features):
    """Check how many of the same method's runs (answers (N, L) each) differ from the first with a
    p-value below 0.05, (before, after) Holm's correction; draw the p-values.
    """
    runs = list(seed_answers) if isinstance(seed_answers, list | tuple) else []
    if len(runs) < RUNS or any(np.shape(run) != features.y.shape for run in runs):
        shape = " x ".join(map(str, features.y.shape))
        return tell(False, "", f"seed_answers must be {RUNS} arrays of answers, {shape} each")
    runs = [np.asarray(run, np.uint8) for run in runs]
    if len({run.tobytes() for run in runs}) == 1:
        return tell(False, "", "all runs answer the same: each needs a seed of its own")
    named = {str(k): run for k, run in enumerate(runs)}
    rows = compare(features.y, named, "0", features.subjects)
    raw = np.array([rows[name].p for name in list(named)[1:]])
    expected = (int((raw < 0.05).sum()), int((holm(raw) < 0.05).sum()))
    try:
        given = tuple(int(number) for number in alarms)
    except (TypeError, ValueError):
        given = ()
    hint = "alarms must be two counts, of the `p` and of the `p_corrected` that are below 0.05"
    praise = f"{expected[0]} of {len(raw)} before, {expected[1]} after; every one would be false."
    tell(given == expected, praise, hint)
    if given == expected:
        figure, ((axis,),) = grid(1, 1, 7, 2.6)
        order, rank = np.argsort(raw), np.arange(1, len(raw) + 1)
        axis.plot(rank, raw[order], "o", color=BLUE, markersize=4, label="p-value")
        corrected = holm(raw)[order]
        axis.plot(rank, corrected, "s", color=GREY, markersize=4, label="after Holm")
        axis.axhline(0.05, color=RED, linestyle="--", linewidth=1, label="0.05")
        title = (
            f"the same method {len(raw)} times: {expected[0]} below 0.05, {expected[1]} after Holm"
        )
        axis.set(title=title, xlabel="run, sorted", ylabel="p-value", ylim=(0, 1.05))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        display(figure)
