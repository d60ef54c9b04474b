"""The challenge's answer sheet: yes or no to each label of clips that nobody has labelled."""

import re
from dataclasses import replace

from mer_tools.importing.tables import write_table
from mer_utils import MerError
from mer_utils.evaluation import decide
from mer_utils.features import extract_arrays
from mer_utils.prediction import check_kind, check_motion

import numpy as np

EXCLUDED = ("Positive", "Negative")  # the first gives way to the second


def answer_clips(dataset, ensemble, exclude=False, cache=None, jobs=1):
    """Return the rows {Id, label: 0 or 1, ...} of a Dataset's unlabelled clips, sorted by Id, the
    integer in the clip's name (``seq12`` is 12).

    The mean probability of all networks of the Ensemble is held against its thresholds, which were
    chosen on inner subjects. ``exclude``: where Negative is answered, Positive is not (the
    challenge entry's rule). Raises MerError if no clip is unlabelled, if an Id is missing or
    double, or if the set does not fit the weights.
    """
    clips = tuple(clip for clip in dataset.clips if clip.labels is None)
    if not clips:
        raise MerError(
            dataset.root,
            "every clip has its labels; a submission answers clips whose labels are empty",
        )
    numbers = {}
    for clip in clips:
        found = re.search(r"\d+", clip.name)
        if found is None:
            raise MerError(
                f"clip {clip.name}", "its name needs the sequence's number, which becomes the Id"
            )
        number = int(found.group())
        if number in numbers:
            raise MerError(
                f"the clips {numbers[number]} and {clip.name} both have the Id {number}; rename one"
            )
        numbers[number] = clip.name
    if dataset.labels != ensemble.labels or dataset.views != ensemble.shape[0]:
        raise MerError(
            f"{dataset.name} has {dataset.views} view(s) and the labels "
            f"{', '.join(dataset.labels)}, but the weights "
            f"were trained on {ensemble.shape[0]} view(s) and {', '.join(ensemble.labels)}"
        )
    check_kind(dataset.name, ensemble, dataset.channels)
    positive, negative = (
        ensemble.labels.index(name) if name in ensemble.labels else None for name in EXCLUDED
    )
    if exclude and (positive is None or negative is None):
        raise MerError(
            f"the weights know no {' or '.join(EXCLUDED)}, so that these cannot exclude one another"
        )
    (arrays,) = extract_arrays(replace(dataset, clips=clips), [ensemble.front_end], cache, jobs)
    for clip, maps in zip(clips, arrays["x"], strict=True):
        check_motion(f"clip {clip.name}", maps)
    scores = np.stack([ensemble.score(maps)[0].mean(0) for maps in arrays["x"]])
    answers = decide(scores, ensemble.thresholds, ensemble.exclusive).astype(int)
    if exclude:
        answers[answers[:, negative] == 1, positive] = 0
    rows = [
        {"Id": n, **dict(zip(ensemble.labels, a, strict=True))}
        for n, a in zip(numbers, answers.tolist(), strict=True)
    ]
    return sorted(rows, key=lambda row: row["Id"])


def write_answers(path, rows):
    """Write the rows of ``answer_clips`` as the challenge's CSV: Id, then the labels in their
    order.
    """
    write_table(path, rows)
