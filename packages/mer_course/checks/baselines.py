"""Exercises of 08: the best constant, fewer components, published settings, and the price of
questions.
"""

from itertools import product

from mer_course.checks.answer import read_numbers, tell
from mer_utils.baselines import PUBLISHED, PcaSvm
from mer_utils.evaluation import decide, macro_uf1
from mer_utils.plots import BLUE, GREY, ORANGE, RED, draw_lines, grid

import numpy as np
from IPython.display import display

EXCLUSIVE = "One label a clip: only one may be answered, so this exercise has no answer here."
MOST_LABELS = 10  # all 2^10 patterns are scored in a blink
COMPONENTS = (2, 10, 100)
PEOPLE = range(4, 13)
LEAST_EPOCHS = 100


def check_1(pattern, truth, exclusive=False):
    """Check the pattern (L,) of yes and no that, said of every clip, has the largest macro-UF1 with
    ``truth`` (N, L); draw all patterns' scores.
    """
    if exclusive:
        return print(EXCLUSIVE)
    truth = np.asarray(truth)
    labels = truth.shape[1]
    given = read_numbers(pattern, (labels,))
    if given is None or not np.isin(given, (0, 1)).all():
        return tell(False, "", f"pattern must be {labels} numbers, each 0 or 1")
    best = (truth.sum(0) > 0).astype(int)  # a label that never occurs counts for nothing
    score, most = (macro_uf1(truth, np.tile(row, (len(truth), 1))) for row in (given, best))
    right = bool(given.any()) and score >= most - 1e-12
    hint = f"it scores {score:.3f}; another one more. What does one yes more cost the other labels?"
    tell(right, f"{score:.3f}, and no other of {2**labels} patterns scores more.", hint)
    if right and labels <= MOST_LABELS:
        patterns = np.array(list(product((0, 1), repeat=labels)))
        scores = np.array([macro_uf1(truth, np.tile(row, (len(truth), 1))) for row in patterns])
        figure, ((axis,),) = grid(1, 1, 7, 2.6)
        axis.plot(patterns.sum(1), scores, "o", color=GREY, markersize=4)
        axis.plot(given.sum(), score, "o", color=ORANGE, markersize=8)
        axis.set(title=f"the best of {len(scores)} constants: {score:.3f} (orange)")
        axis.set(xlabel="labels answered with yes", ylabel="macro-UF1", ylim=(0, None))
        axis.xaxis.get_major_locator().set_params(integer=True)
        display(figure)


def score_components(features, components):
    """Return macro-UF1 of PCA+SVM with at most so many components at its own border, each subject
    left out once.
    """
    answers = np.zeros_like(features.y)
    for subject in np.unique(features.subjects):
        test = features.subjects == subject
        model = PcaSvm(components).fit(features.x[~test], features.y[~test])
        answers[test] = decide(model.score(features.x[test]), 0.0, features.exclusive)
    return macro_uf1(features.y, answers)


def check_2(scores, features):
    """Check macro-UF1 {components: score} of PCA+SVM with few components; draw it over their
    number.
    """
    try:
        given = [float(scores[number]) for number in COMPONENTS]
    except (KeyError, TypeError, ValueError, IndexError):
        wanted = ", ".join(map(str, COMPONENTS))
        return tell(False, "", f"scores must be a dict with a number for {wanted}")
    expected = [score_components(features, number) for number in COMPONENTS]
    wrong = [
        number
        for number, one, other in zip(COMPONENTS, given, expected, strict=True)
        if not abs(one - other) < 0.005
    ]
    hint = (
        f"wrong for {', '.join(map(str, wrong))}. A model for each person left out, fitted on all "
    )
    hint += "others; yes at 0 and above; one score of all answers together."
    told = zip(COMPONENTS, expected, strict=True)
    praise = ", ".join(f"{number}: {score:.2f}" for number, score in told)
    tell(not wrong, praise + ".", hint)
    if not wrong:
        least = min((features.subjects != name).sum() for name in np.unique(features.subjects))
        tried = [n for n in (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70) if n < least]
        line = np.array([score_components(features, number) for number in tried])
        enough = tried[int(np.argmax(line >= 0.9 * expected[-1]))]
        title = f"{enough} components reach 90 % of what all reach"
        if not (line >= 0.9 * expected[-1]).any():
            title = "no smaller number reaches 90 % of what all reach"
        marks = [(least, "smallest number of training clips")]
        y = "macro-UF1 at threshold 0"
        figure = draw_lines(tried, {"PCA+SVM": line}, title, "components", y, marks)
        figure.axes[0].set(ylim=(0, None), xscale="log")
        figure.axes[0].set_xticks([1, 2, 5, 10, 20, 50], [1, 2, 5, 10, 20, 50], minor=False)
        display(figure)


def check_3(slow, outcome, shared, features):
    """Check a Recipe with STSTNet's published settings and its Outcome; draw the inner loss beside
    that of the ``shared`` harness, each as a share of its first epoch's.
    """
    published = PUBLISHED["STSTNet"]
    fields = ("rate", "decay", "batch")
    wrong = [name for name in fields if getattr(slow, name, None) != published[name]]
    if wrong:
        return tell(False, "", f"not as published, or no Recipe: {', '.join(wrong)}")
    if getattr(slow, "network", "") != "STSTNet" or slow.loss != "bce" or slow.alpha != "none":
        return tell(
            False, "", "network STSTNet, loss bce, alpha none: plain cross-entropy is wanted"
        )
    if slow.epochs < LEAST_EPOCHS or slow.patience < slow.epochs:
        return tell(False, "", f"{LEAST_EPOCHS} epochs or more, and patience for all, are wanted")
    curves = getattr(outcome, "curves", np.zeros((0, 0, 0, 4)))
    if curves.shape[2] != slow.epochs:
        return tell(False, "", "outcome must be what run_grid returns for this Recipe")
    lines, scores = {}, []
    for name, one in (("shared harness", shared), ("published settings", outcome)):
        runs = one.curves[..., 1].reshape(-1, one.curves.shape[2])
        reached = np.isfinite(runs).sum(0) >= len(runs) / 2  # a median of few would mislead
        middle = np.nanmedian(runs[:, reached], 0)
        lines[name] = middle / middle[0]
        scores.append(one.uf1(features.y)["macro"])
    least = {name: int(line.argmin()) + 1 for name, line in lines.items()}
    words = " and ".join(f"epoch {epoch} ({name})" for name, epoch in least.items())
    praise = (
        f"the inner loss is least at {words}; macro-UF1 {scores[1]:.2f} with published settings, "
    )
    tell(True, praise + f"{scores[0]:.2f} in the shared harness.", "")
    figure, ((axis,),) = grid(1, 1, 7, 2.8)
    for (name, line), colour in zip(lines.items(), (GREY, BLUE), strict=True):
        axis.plot(np.arange(1, len(line) + 1), line, color=colour, label=name)
    falling = least["published settings"] >= 0.95 * slow.epochs
    state = "still falls" if falling else "has stopped falling"
    axis.set(title=f"after {slow.epochs} epochs at a small rate the inner loss {state}")
    axis.set(xlabel="epoch", ylabel="inner loss / its first", ylim=(0, None))
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    display(figure)


def count_tests(people):
    """Return the largest number of tests at which the smallest p-value that ``people`` people can
    give, times that number, is still below 0.05.
    """
    return max(0, int(np.ceil(0.05 * 2**people / 2)) - 1)


def check_4(most_tests, tests):
    """Check a function that says how many tests so many people can pay for; draw it, with the
    ``tests`` of this notebook.
    """
    try:
        given = np.array([float(most_tests(people)) for people in PEOPLE])
    except Exception as error:  # a student's function may fail in any way
        return tell(False, "", f"most_tests(people) stops with {type(error).__name__}: {error}")
    expected = np.array([count_tests(people) for people in PEOPLE])
    wrong = [people for people, a, b in zip(PEOPLE, given, expected, strict=True) if a != b]
    hint = (
        f"wrong for {', '.join(map(str, wrong))} people. The smallest p-value times the number of "
    )
    hint += "tests must stay below 0.05; a number of tests is whole."
    enough = next(people for people in range(1, 100) if count_tests(people) >= tests)
    praise = f"{tests} tests need {enough} people; 6 people pay for {count_tests(6)}."
    tell(not wrong, praise, hint)
    if not wrong:
        figure, ((axis,),) = grid(1, 1, 6, 2.6)
        axis.bar(list(PEOPLE), given, color=[BLUE if n >= tests else GREY for n in given])
        for people, number in zip(PEOPLE, given, strict=True):
            words = {"ha": "center", "va": "bottom", "zorder": 3}
            paper = {"color": "white", "pad": 0.5}
            axis.text(people, max(number, 0.55), f"{number:.0f}", bbox=paper, **words)
        axis.axhline(tests, color=RED, linestyle="--", linewidth=1)
        axis.set(yscale="log", ylim=(0.5, 300), xticks=list(PEOPLE))
        axis.yaxis.set_major_formatter("{x:.0f}")
        axis.set(title=praise[:-1], xlabel="people", ylabel="most tests")
        display(figure)
