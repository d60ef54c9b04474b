"""Exercises of 06: a formula for yes to everything, thresholds of one half, and a second way to
peek.
"""

from mer_course.checks.answer import read_numbers, tell
from mer_utils.evaluation import decide, label_f1, macro_uf1, tune_thresholds
from mer_utils.plots import BLUE, GREY, ORANGE, draw_lines, draw_table, grid

import numpy as np
from IPython.display import display

EXCLUSIVE = "One label a clip: there are no thresholds, so this exercise has no answer here."


def _read_answers(answer, truth):
    """Return answers (N, L) of yes and no, or None and a sentence on what is wanted."""
    found = read_numbers(answer, truth.shape)
    if found is None or not np.isin(found, (0, 1)).all():
        return None, f"wanted: {truth.shape[0]} x {truth.shape[1]} times yes or no (1 or 0)."
    return found.astype(bool), ""


def check_1(number, truth):
    """Check macro-UF1 of yes to everything, computed from the prevalence; truth (N, L)."""
    given = read_numbers(number, ())
    if given is None:
        return tell(False, "", "from_formula must be one number")
    f1 = label_f1(truth, np.ones_like(truth))  # (L,), NaN where a label never occurs
    expected = float(np.nanmean(f1))
    hint = "write TP, FP and FN of 'always yes' with N and q, then F1: N drops out. Then the mean."
    tell(abs(given - expected) < 0.005, f"{expected:.3f}, without looking at one clip.", hint)
    if abs(given - expected) < 0.005:
        q = np.linspace(0, 1, 101)
        title = f"always yes: mean F1 {expected:.2f} over the labels (dots)"
        figure = draw_lines(q, {"2 q / (1 + q)": 2 * q / (1 + q)}, title, "prevalence $q$", "F1")
        figure.axes[0].plot(truth.mean(0), f1, "o", color=ORANGE, markersize=7, label="labels")
        display(figure)


def check_2(fixed, outcome, truth, labels):
    """Check the answers (N, L) of one half as every threshold; draw how often each says yes."""
    if outcome.exclusive:
        return print(EXCLUSIVE)
    given, wanted = _read_answers(fixed, truth)
    if given is None:
        return tell(False, "", wanted)
    expected = outcome.scores >= 0.5
    wrong = int((given != expected).sum())
    hint = f"{wrong} of {truth.size} answers differ. Ask the probabilities, not the answers."
    uf1 = [macro_uf1(truth, answers) for answers in (expected, outcome.answers)]
    praise = f"macro-UF1 {uf1[0]:.2f} with one half, {uf1[1]:.2f} with tuned thresholds."
    tell(wrong == 0, praise, hint)
    if wrong == 0:
        counts = {"truth": truth.sum(0), "one half": given.sum(0), "tuned": outcome.answers.sum(0)}
        display(_draw_yes(counts, labels))


def _draw_yes(counts, labels):
    """Show how often yes is said to each label, {who: (L,)}."""
    figure, ((axis,),) = grid(1, 1, 7, 2.8)
    moved = np.abs(np.subtract(counts["one half"], counts["tuned"], dtype=int))
    for k, (name, values) in enumerate(counts.items()):
        places = np.arange(len(labels)) + 0.27 * (k - 1)
        bars = axis.bar(places, values, 0.25, color=(GREY, ORANGE, BLUE)[k], label=name)
        axis.bar_label(bars, fontsize=8)
    axis.set_xticks(range(len(labels)), labels)
    title = f"tuning moves the answers for {labels[moved.argmax()]} most, by {moved.max()} clips"
    axis.set(title=title, ylabel="clips with yes")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def check_3(peeked, outcome, truth, labels):
    """Check the answers (N, L) of thresholds that were tuned on the test answers themselves; draw
    each label's F1 without and with peeking.
    """
    if outcome.exclusive:
        return print(EXCLUSIVE)
    given, wanted = _read_answers(peeked, truth)
    if given is None:
        return tell(False, "", wanted)
    cuts = tune_thresholds(truth, outcome.scores)
    best = macro_uf1(truth, decide(outcome.scores, cuts))
    found, honest = macro_uf1(truth, given), macro_uf1(truth, outcome.answers)
    hint = "one threshold a label for everybody, chosen with the labels it is scored on."
    praise = f"macro-UF1 {honest:.2f} honest, {best:.2f} peeked: {100 * (best - honest):+.1f} "
    right = abs(found - best) < 1e-9
    tell(right, praise + "points, and not one network has changed.", hint)
    if right:
        rows = np.array([label_f1(truth, answers) for answers in (outcome.answers, given)])
        least = int(np.nanargmax(rows[1] - rows[0]))
        title = (
            f"F1: peeking brings most for {labels[least]}, {rows[1, least] - rows[0, least]:+.2f}"
        )
        display(draw_table(rows, ["honest", "peeked"], labels, title))
