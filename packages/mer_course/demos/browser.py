"""The result browser: the clips that a run found, missed or invented a label in, one at a time, for
notebook 06.
"""

import functools

from mer_utils import MerError
from mer_utils.features import FrontEnd, masks_of
from mer_utils.flow import phase_flow
from mer_utils.plots import BLUE, GREY, PHASE_NAMES, RED, VIEW_NAMES, add_wheel, flow_to_rgb
from mer_utils.preprocessing import load_crops

import cv2
import numpy as np
from matplotlib.figure import Figure

EVERYBODY = "all"
ANSWERS = ("hits", "misses", "false alarms")
SIDE = 128  # px of a picture
GAP = 5  # px between two
LEVELS = 40  # of a colour


class Browser:
    """The answers of a run, with the pictures of each clip made when it is first looked at."""

    def __init__(self, dataset, features, outcome, options=FrontEnd(), view=0):
        """Take a Dataset, its Features, the Outcome of a run on them, the front end that made them
        and the number of the view that is shown.
        """
        if not 0 <= view < dataset.views:
            raise MerError(f"there is no view {view}: the set has {dataset.views}, from 0")
        self.dataset, self.features, self.outcome = dataset, features, outcome
        self.options, self.view, self.labels = options, view, list(features.labels)
        # one scale for all clips, so that a pale face is one that moved little
        strongest = np.hypot(features.x[:, :, :, 0], features.x[:, :, :, 1]).max((1, 2, 3, 4))
        self.maximum = max(float(np.percentile(strongest, 75)), 1e-3)
        unit = "of what the images hold" if dataset.channels else "px"
        self.scale = f"{self.maximum:.2g} {unit}"
        self.look = functools.lru_cache(64)(self._look)

    def select(self, subject, label, answer):
        """Return the rows of the clips with such an answer, those furthest beyond their threshold
        (for misses: below it) first.
        """
        if answer not in ANSWERS:
            raise MerError(f"answers {answer!r} are unknown; choose one of {', '.join(ANSWERS)}")
        k = self.labels.index(label)
        said, true = self.outcome.answers[:, k] > 0, self.features.y[:, k] > 0
        chosen = {"hits": said & true, "misses": ~said & true, "false alarms": said & ~true}[answer]
        if subject != EVERYBODY:
            chosen = chosen & (self.features.subjects == subject)
        rows = np.flatnonzero(chosen)
        ahead = self.outcome.scores[:, k]
        if not self.outcome.exclusive:
            ahead = ahead - np.where(np.isfinite(thresholds := self.outcome.thresholds[:, k]),
                                     thresholds, 1)  # fmt: skip
        return rows[np.argsort((ahead if answer == "misses" else -ahead)[rows], kind="stable")]

    def _look(self, row):
        """Return the pictures of one clip as RGB (K, SIDE, SIDE, 3) in [0, 1] with K titles."""
        names = PHASE_NAMES[: self.features.x.shape[2]]
        if self.dataset.channels:  # flow images: no face to show
            return self._show_maps(row, names)
        clip, options = self.dataset.clips[row], self.options
        apex = int(self.features.apex[row])
        crops, _ = load_crops(clip, self.dataset.views, options.crop, options.enlarge)
        crops = crops[self.view]
        mask = masks_of(crops[None], options)[0]
        keys, how = (clip.onset, apex, clip.offset), (options.backend, options.compensation)
        flows = phase_flow(crops, *keys, *how, len(names), mask, options.reach)
        stills = [np.repeat(crops[k, ..., None] / 255, 3, 2) for k in (clip.onset, apex)]
        pictures = [*stills]
        for flow, grey in zip(flows, stills, strict=False):  # each phase begins in one of them
            colours = flow_to_rgb(flow, self.maximum) * (0.35 + 0.65 * grey)
            pictures.append(np.where(mask[..., None], colours, 0.5 + 0.5 * grey))
        titles = [f"onset, frame {clip.onset}", f"apex, frame {apex}"]
        return _fit(pictures, cv2.INTER_CUBIC), titles + [f"flow {name}" for name in names]

    def _show_maps(self, row, names):
        """Return the maps of a clip without frames: flow as colours, the third one as grey."""
        (word,) = set(self.dataset.channels) - {"u", "v"}
        pictures, titles = [], []
        for maps, name in zip(self.features.x[row, self.view], names, strict=True):
            third = np.clip(np.abs(maps[2]) / self.maximum, 0, 1)
            pictures += [flow_to_rgb(maps[:2], self.maximum), np.repeat(third[..., None], 3, 2)]
            titles += [f"flow {name}", f"{word} {name}"]
        return _fit(pictures, cv2.INTER_NEAREST), titles

    def draw(self, subject, label, answer, clip=1):
        """Return the Figure of the ``clip``-th (from 1) clip of a selection; beyond the last the
        last.
        """
        rows = self.select(subject, label, answer)
        who = "all people" if subject == EVERYBODY else subject
        if not len(rows):
            return draw_nothing(f"{label}, {who}: no {answer}")
        n = min(max(clip, 1), len(rows))
        row, k = rows[n - 1], self.labels.index(label)
        p, cut = self.outcome.scores[row], self.outcome.thresholds[row]
        against = "" if self.outcome.exclusive else f" against θ = {cut[k]:.2f}"
        title = f"{label}, {who}: {answer} {n} of {len(rows)} · clip {self.features.clips[row]} · "
        pictures, titles = self.look(int(row))
        return draw_result(
            pictures, titles, VIEW_NAMES[self.view] if self.dataset.views > 1 else "",
            self.scale, p, None if self.outcome.exclusive else cut,
            self.outcome.answers[row], self.features.y[row], self.labels, k,
            f"{title}$p$ = {p[k]:.2f}{against}",
        )  # fmt: skip

    def controls(self):
        """Return what ``explore`` wants to know of ``draw``, beginning with the label that has most
        hits; another selection begins at its first clip.
        """
        subjects = [EVERYBODY, *np.unique(self.features.subjects).tolist()]
        sizes = {
            (label, answer): len(self.select(EVERYBODY, label, answer))
            for label in self.labels
            for answer in ANSWERS
        }
        first = max(self.labels, key=lambda label: sizes[label, ANSWERS[0]])
        labels = [first, *(label for label in self.labels if label != first)]

        def stay_inside(values, moved):
            selection = {key: value for key, value in values.items() if key != "clip"}
            last = max(1, len(self.select(**selection)))
            return values | {"clip": min(values["clip"], last) if moved == "clip" else 1}

        given = {"subject": subjects, "label": labels, "answer": list(ANSWERS)}
        return given | {"clip": (1, max(2, *sizes.values()), 1, 1), "clamp": stay_inside}


def _fit(pictures, how):
    """Return RGB pictures (H, W, 3) as one array (K, SIDE, SIDE, 3) of few colours: its PNG is made
    in half the time.
    """
    size = (SIDE, SIDE)
    sized = [cv2.resize(np.float32(picture), size, interpolation=how) for picture in pictures]
    return np.round(np.stack(sized).clip(0, 1) * LEVELS) / LEVELS


def draw_nothing(text):
    """Show in the size of a result that there is none."""
    figure = Figure(figsize=(9, 2.6))
    figure.text(0.01, 0.94, text, fontsize=10, weight="bold", va="center")
    figure.text(0.5, 0.5, "no such clip", ha="center", va="center", color=GREY)
    return figure


def draw_result(
    pictures, titles, view, scale, scores, thresholds, answers, truth, labels, chosen, title
):  # fmt: skip
    """Show one clip: pictures (K, SIDE, SIDE, 3), and beside them its probabilities (L,) against
    the thresholds (L,; None where the largest wins), with answers and truth (L,). Colours are full
    at ``scale``, a text; ``chosen`` is the index of the label that is looked at.
    """
    width, height = 9, 2.6  # inches
    figure = Figure(figsize=(width, height))
    figure.text(0.01, 0.94, title, fontsize=10, weight="bold", va="center")
    white = np.ones((SIDE, GAP, 3))
    row = np.concatenate([part for each in pictures for part in (each, white)][:-1], 1)
    side = min(1.4, 5.6 / len(pictures))
    left = 0.2 if view else 0.05
    place = (left / width, 0.62 / height, side * row.shape[1] / SIDE / width, side / height)
    axis = figure.add_axes(place)
    axis.imshow(row, aspect="auto", interpolation="nearest")
    axis.axis("off")
    for k, name in enumerate(titles):
        middle = k * (SIDE + GAP) + SIDE / 2
        axis.text(middle, -5, name, ha="center", va="bottom", fontsize=8)
    axis.text(-5, SIDE / 2, view, rotation=90, ha="right", va="center", fontsize=8)
    wheel = figure.add_axes((left / width, 0.17 / height, 0.36 / width, 0.36 / height))
    add_wheel(wheel, 1)
    for text in (wheel.title, *wheel.texts):
        text.set_visible(False)
    words = f"colour: direction, full at {scale}; one scale for all clips"
    figure.text((left + 0.45) / width, 0.35 / height, words, fontsize=8, va="center")
    axis = figure.add_axes((0.785, 0.19, 0.2, 0.62))
    _draw_answers(axis, scores, thresholds, answers, truth, labels, chosen)
    return figure


def _draw_answers(axis, scores, thresholds, answers, truth, labels, chosen):
    """Draw each label's probability with its threshold."""
    rows = np.arange(len(labels))
    axis.barh(rows, scores, color=[BLUE if yes else GREY for yes in answers], height=0.65)
    if thresholds is not None:
        axis.plot(thresholds, rows, "|", color=RED, markersize=15, markeredgewidth=2)
    names = [f"{label} ✓" if there else label for label, there in zip(labels, truth, strict=True)]
    axis.set_yticks(rows, names)
    axis.get_yticklabels()[chosen].set_weight("bold")
    axis.set(xlim=(0, 1), ylim=(len(labels) - 0.5, -0.5))
    axis.set_title("$p$; ✓: true; blue: yes; red: θ", fontsize=8.5, loc="right")
