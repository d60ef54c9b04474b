"""The challenge's answer sheet: yes or no to each label of clips that nobody has labelled."""

import re
from dataclasses import replace

from mer_tools.answers import check_kind, check_motion
from mer_utils import MerError
from mer_utils.evaluation import decide
from mer_utils.features import extract_arrays


def answer_clips(dataset, ensemble, exclude=False, cache=None, jobs=1):
    """Return the rows {Id, label: 0 or 1, ...} of a Dataset's unlabelled clips, sorted by Id, the
    integer in the clip's name (``seq12`` is 12).

    The mean probability of the networks (of a clip that they learnt from: of those that never saw
    its subject) is compared with their thresholds, which were chosen on inner subjects.
    ``exclude``: where Negative is answered, Positive is not (the challenge entry's rule). Raises
    MerError if no clip is unlabelled, if an Id is missing or double, or if the set does not fit the
    weights.
    """
    clips = {}
    for clip in (clip for clip in dataset.clips if clip.labels is None):
        number = re.search(r"\d+", clip.name)
        if number is None or int(number[0]) in clips:
            what = "its name needs a number of its own, the sequence's, which becomes the Id"
            raise MerError(f"clip {clip.name}", what)
        clips[int(number[0])] = clip
    if not clips:
        what = "every clip has its labels; a submission answers clips whose labels are empty"
        raise MerError(dataset.root, what)
    labels = ensemble.labels
    kinds = (dataset.views, dataset.labels), (ensemble.shape[0], labels)
    own, learnt = (f"{views} view(s) and the labels {', '.join(names)}" for views, names in kinds)
    if own != learnt:
        raise MerError(dataset.name, f"has {own}, but the weights were trained on {learnt}")
    check_kind(dataset.name, ensemble, dataset.channels)
    if exclude and not {"Positive", "Negative"} <= set(labels):
        raise MerError("the weights know no Positive or Negative, which exclude each other")
    dataset = replace(dataset, clips=tuple(clips.values()))
    (arrays,) = extract_arrays(dataset, [ensemble.front_end], cache, jobs)
    rows = []
    for number, clip, maps in zip(clips, dataset.clips, arrays["x"], strict=True):
        check_motion(f"clip {clip.name}", maps)
        networks = ensemble.leave_out(clip.frames)
        scores = networks.score(maps)[0].mean(0, keepdims=True)
        answers = decide(scores, networks.thresholds, networks.exclusive)[0].astype(int).tolist()
        rows.append({"Id": number, **dict(zip(labels, answers, strict=True))})
        if exclude and rows[-1]["Negative"]:
            rows[-1]["Positive"] = 0
    return sorted(rows, key=lambda row: row["Id"])
