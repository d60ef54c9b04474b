"""Exercises of 10: networks that met the person, a face upside down, and undecided answers."""

from mer_course.checks.answer import compare, judge, skip

import numpy as np


@judge
def check_1(everyone, ensemble, features, subject):
    """The answer must be an Ensemble that takes these clips."""
    wanted = len(ensemble.members) * len(np.unique(features.subjects))
    compare(len(everyone.members), wanted, f"An Ensemble of all {wanted} networks is wanted.")
    rows = features.subjects == subject
    truth, gains = features.y[rows].astype(bool), []
    for maps in features.x[rows]:
        gains.append(everyone.score(maps)[0].mean(0) - ensemble.score(maps)[0].mean(0))
    there, absent = (np.array(gains)[which].mean() for which in (truth, ~truth))
    return f"annotated labels {there:+.2f}, the others {absent:+.2f}."


@judge
def check_2(upside, prediction):
    """The answer must be what predict_clip returns."""
    turned = [frame[::-1] for frame in prediction.first]
    compare(upside.first, turned, "Reverse the rows of every frame, top for bottom.")
    before, after = (each.scores.mean(0) for each in (prediction, upside))
    k = int(np.abs(after - before).argmax())
    words = f"{prediction.labels[k]} moved most, {before[k]:.2f} to {after[k]:.2f}"
    return f"an answer, no error; {words}."


@judge
def check_3(undecided, prediction):
    """The answer must be True or False for each label."""
    skip(prediction.exclusive, "One label a clip: there are no thresholds")
    mean, sd = prediction.scores.mean(0), prediction.scores.std(0)
    expected = np.abs(mean - prediction.thresholds) < sd
    compare(undecided, expected, "Take mean and sd over the networks, the first axis.")
    return f"undecided: {', '.join(np.array(prediction.labels)[expected]) or 'none'}."
