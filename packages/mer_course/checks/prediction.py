"""Exercises of 10: networks that met the person, a face upside down, and undecided answers."""

from mer_course.checks.answer import read_numbers, tell
from mer_utils import MerError
from mer_utils.plots import BLUE, GREY, add_answers, draw_images, grid

import numpy as np
from IPython.display import display

EXCLUSIVE = "One label a clip: there are no thresholds, so this exercise has no answer here."


def _score_all(ensemble, x):
    """Return the mean probabilities (N, L) that an Ensemble gives to maps x (N, V, P, 3, S, S)."""
    return np.stack([ensemble.score(maps)[0].mean(0) for maps in x])


def check_1(everyone, ensemble, features, subject):
    """Check an Ensemble of all folds; draw what its networks, most of which met ``subject``, say of
    this person's clips over what those of ``ensemble`` say, which did not.
    """
    count = len(getattr(everyone, "members", ()))
    wanted = len(ensemble.members) * len(np.unique(features.subjects))
    if count != wanted:
        return tell(False, "", f"{count} networks; an Ensemble of all {wanted} is wanted")
    rows = features.subjects == subject
    truth = features.y[rows].astype(bool)
    try:
        fair, met = (_score_all(one, features.x[rows]) for one in (ensemble, everyone))
    except (MerError, AttributeError) as error:
        return tell(False, "", f"these networks do not take the clips: {error}")
    gain = met - fair
    parts = [gain[mask].mean() if mask.any() else np.nan for mask in (truth, ~truth)]
    rose = (gain[truth] > 0).mean() if truth.any() else np.nan
    praise = f"annotated labels {parts[0]:+.2f}, the others {parts[1]:+.2f}; of {truth.sum()} "
    tell(True, praise + f"annotated ones {rose:.0%} rose.", "")
    figure, ((axis,),) = grid(1, 1, 5, 3.8)
    for mask, colour, name in ((~truth, GREY, "other labels"), (truth, BLUE, "annotated labels")):
        axis.plot(fair[mask], met[mask], "o", color=colour, markersize=4, label=name)
    axis.plot((0, 1), (0, 1), color="black", linewidth=0.8)
    axis.set(
        title=f"having met {subject}: annotated labels {parts[0]:+.2f}, others {parts[1]:+.2f}"
    )
    axis.set(xlabel="probability, person left out", ylabel="probability, all folds")
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.legend(loc="lower right")
    display(figure)


def check_2(upside, prediction):
    """Check the Prediction of a clip whose frames stand on their heads; draw both faces with what
    was said of them.
    """
    first = getattr(upside, "first", None)
    if first is None or len(first) != len(prediction.first):
        return tell(False, "", "upside must be what predict_clip returns")
    pairs = zip(first, prediction.first, strict=True)
    right = all(np.array_equal(one, other[::-1]) for one, other in pairs)
    hint = "the first frame is not the clip's, top for bottom: reverse the rows of every frame."
    means = [one.scores.mean(0) for one in (prediction, upside)]
    moved = int(np.abs(means[1] - means[0]).argmax())
    label = prediction.labels[moved]
    praise = f"an answer, no error; {label} moved most, {means[0][moved]:.2f} to "
    tell(right, praise + f"{means[1][moved]:.2f}.", hint)
    if right:
        pictures = [one.crops[0, one.apex] for one in (prediction, upside)]
        titles = [f"{label} {mean[moved]:.2f}" for mean in means]
        display(draw_images(pictures, titles, size=1.8))


def find_undecided(prediction):
    """Return for each label (L,) whether its mean probability is nearer to its threshold than the
    standard deviation over networks; a label that is never answered is decided.
    """
    near = np.abs(prediction.scores.mean(0) - prediction.thresholds)
    return near < prediction.scores.std(0)


def check_3(undecided, prediction):
    """Check which labels (L,) of a Prediction are undecided; draw the probabilities with the
    standard deviation over networks.
    """
    if prediction.exclusive:
        return print(EXCLUSIVE)
    expected = find_undecided(prediction)
    given = read_numbers(undecided, expected.shape)
    if given is None or not np.isin(given, (0, 1)).all():
        return tell(False, "", f"undecided must be {len(expected)} times True or False")
    wrong = int((given != expected).sum())
    names = [label for label, yes in zip(prediction.labels, expected, strict=True) if yes]
    told = ", ".join(names) or "none"
    hint = f"{wrong} of {len(expected)} are wrong. Mean and sd over the networks, the first axis."
    tell(wrong == 0, f"undecided: {told}.", hint)
    if wrong == 0:
        figure, ((axis,),) = grid(1, 1, 6, 2.8)
        add_answers(axis, prediction)
        mean, sd = prediction.scores.mean(0), prediction.scores.std(0)
        axis.errorbar(mean, range(len(mean)), xerr=sd, fmt="none", color="black", capsize=4)
        axis.set_title(f"{len(names)} of {len(expected)} answers are undecided")
        display(figure)
