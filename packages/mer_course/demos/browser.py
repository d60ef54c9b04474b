"""The result browser: clips that a run answered right or wrong, one at a time, for notebook 06."""

import functools

from mer_course.demos.drawing import add_picture, grey_to_rgb, place, start_figure, tile
from mer_utils.features import FrontEnd, masks_of
from mer_utils.flow import phase_flow
from mer_utils.plots import (
    BLUE,
    GREY,
    PHASE_NAMES,
    RED,
    VIEW_NAMES,
    add_wheel,
    flow_to_rgb,
    lay_over,
)  # fmt: skip
from mer_utils.preprocessing import load_crops

import cv2
import numpy as np

EVERYBODY = "all"
ANSWERS = ("hits", "misses", "false alarms")
SIDE = 128  # px of a picture
GAP = 5  # px between two
LEVELS = 40  # of a colour: the PNG is made in half the time


class Browser:
    """The answers of a run, with the pictures of each clip made when it is first looked at."""

    def __init__(self, dataset, features, outcome, options=FrontEnd()):
        """Take a Dataset, its Features, the Outcome of a run on them and the front end that made
        them; of two views the left one is shown.
        """
        self.dataset, self.features, self.outcome = dataset, features, outcome
        self.options, self.labels = options, list(features.labels)
        # one scale for all clips, so that a pale face is one that moved little
        strongest = np.hypot(features.x[:, :, :, 0], features.x[:, :, :, 1]).max((1, 2, 3, 4))
        self.maximum = max(float(np.percentile(strongest, 75)), 1e-3)
        self.look = functools.lru_cache(64)(self._look)

    def select(self, subject, label, answer):
        """Return the rows of the clips with such an answer, those furthest beyond their threshold
        (for misses: below it) first.
        """
        k = self.labels.index(label)
        said, true = self.outcome.answers[:, k] > 0, self.features.y[:, k] > 0
        chosen = {"hits": said & true, "misses": ~said & true, "false alarms": said & ~true}[answer]
        if subject != EVERYBODY:
            chosen = chosen & (self.features.subjects == subject)
        # a threshold is NaN where the largest wins, infinite where a label is never answered
        beyond = self.outcome.scores[:, k] - np.nan_to_num(self.outcome.thresholds[:, k], posinf=1)
        rows = np.flatnonzero(chosen)
        return rows[np.argsort((beyond if answer == "misses" else -beyond)[rows], kind="stable")]

    def _look(self, row):
        """Return the pictures of one clip as RGB (K, SIDE, SIDE, 3) in [0, 1] with K titles."""
        names = PHASE_NAMES[: self.features.x.shape[2]]
        show = self._show_maps if self.dataset.channels else self._show_faces
        pictures, resample = show(row, names)
        size = (SIDE, SIDE)
        sized = [cv2.resize(np.float32(p), size, interpolation=resample) for p in pictures.values()]
        return np.round(np.stack(sized).clip(0, 1) * LEVELS) / LEVELS, list(pictures)

    def _show_faces(self, row, names):
        """Return {title: picture} of onset, apex and each phase's flow, and how to resize them."""
        clip, options, apex = self.dataset.clips[row], self.options, int(self.features.apex[row])
        crops = load_crops(clip, self.dataset.views, options.crop, options.enlarge)[0][0]
        mask = masks_of(crops[None], options)[0]
        keys, how = (clip.onset, apex, clip.offset), (options.backend, options.compensation)
        flows = phase_flow(crops, *keys, *how, len(names), mask, options.reach)
        pictures = {
            f"onset, frame {clip.onset}": grey_to_rgb(crops[clip.onset]),
            f"apex, frame {apex}": grey_to_rgb(crops[apex]),
        }
        for name, flow, key in zip(names, flows, keys, strict=False):  # from its phase's first face
            flow = np.where(mask, flow, np.nan)
            pictures[f"flow {name}"] = lay_over(crops[key], flow, self.maximum)
        return pictures, cv2.INTER_CUBIC

    def _show_maps(self, row, names):
        """Return the same for ready-made flow images: flow as colours, the third map as grey."""
        (third,) = set(self.dataset.channels) - {"u", "v"}
        pictures = {}
        for maps, name in zip(self.features.x[row, 0], names, strict=True):
            grey = np.clip(np.abs(maps[2]) / self.maximum, 0, 1)
            pictures[f"flow {name}"] = flow_to_rgb(maps[:2], self.maximum)
            pictures[f"{third} {name}"] = np.repeat(grey[..., None], 3, 2)
        return pictures, cv2.INTER_NEAREST

    def controls(self):
        """Return the choices of ``draw`` for ``explore``, beginning with the label that has most
        hits; another selection begins at its first clip.
        """

        def stay_inside(values, moved):
            selection = {name: value for name, value in values.items() if name != "clip"}
            last = max(1, len(self.select(**selection)))
            return values | {"clip": min(values["clip"], last) if moved == "clip" else 1}

        def count(label, answer="hits"):
            return len(self.select(EVERYBODY, label, answer))

        first = max(self.labels, key=count)
        labels = sorted(self.labels, key=lambda label: label != first)
        longest = max(count(label, answer) for label in labels for answer in ANSWERS)
        subjects = [EVERYBODY, *np.unique(self.features.subjects).tolist()]
        choices = {"subject": subjects, "label": labels, "answer": list(ANSWERS)}
        return choices | {"clip": (1, max(2, longest), 1, 1), "clamp": stay_inside}

    def draw(self, subject, label, answer, clip=1):
        """Return the Figure of the ``clip``-th (from 1) clip of a selection, or of its last one:
        pictures, and the probability of each label with its threshold.
        """
        rows, width, height = self.select(subject, label, answer), 9, 2.6  # inches
        who = "all people" if subject == EVERYBODY else subject
        if not len(rows):
            figure = start_figure(width, height, f"{label}, {who}: no {answer}")
            figure.text(0.5, 0.5, "no such clip", ha="center", va="center", color=GREY)
            return figure
        n = min(clip, len(rows))
        row, k = int(rows[n - 1]), self.labels.index(label)
        title = f"{label}, {who}: {answer} {n} of {len(rows)} · clip {self.features.clips[row]} · "
        title += f"$p$ = {self.outcome.scores[row, k]:.2f}"
        if not self.outcome.exclusive:
            title += f" against θ = {self.outcome.thresholds[row, k]:.2f}"
        figure = start_figure(width, height, title)

        pictures, names = self.look(row)
        view = VIEW_NAMES[0] if self.dataset.views > 1 else ""
        image, side = tile(pictures[None], GAP, 1.0), min(1.4, 5.6 / len(pictures))
        left = 0.2 if view else 0.05
        axis = place(figure, left, 0.62, side * image.shape[1] / SIDE, side)
        add_picture(axis, image, aspect="auto")
        for i, name in enumerate(names):
            middle = i * (SIDE + GAP) + SIDE / 2
            axis.text(middle, -5, name, ha="center", va="bottom", fontsize=8)
        axis.text(-5, SIDE / 2, view, rotation=90, ha="right", va="center", fontsize=8)
        wheel = place(figure, left, 0.17, 0.36, 0.36)
        add_wheel(wheel, 1)
        for text in (wheel.title, *wheel.texts):
            text.set_visible(False)
        unit = "of what the images hold" if self.dataset.channels else "px"
        words = f"colour: direction, full at {self.maximum:.2g} {unit}; one scale for all clips"
        figure.text((left + 0.45) / width, 0.35 / height, words, fontsize=8, va="center")
        self._draw_answers(figure.add_axes((0.785, 0.19, 0.2, 0.62)), row, k)
        return figure

    def _draw_answers(self, axis, row, chosen):
        """Draw each label's probability with its threshold; the ``chosen`` label is bold."""
        rows, outcome = np.arange(len(self.labels)), self.outcome
        colours = [BLUE if yes else GREY for yes in outcome.answers[row]]
        axis.barh(rows, outcome.scores[row], color=colours, height=0.65)
        axis.plot(outcome.thresholds[row], rows, "|", color=RED, markersize=15, markeredgewidth=2)
        pairs = zip(self.labels, self.features.y[row], strict=True)
        axis.set_yticks(rows, [f"{label} ✓" if true else label for label, true in pairs])
        axis.get_yticklabels()[chosen].set_weight("bold")
        axis.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
        axis.set_title("$p$; ✓: true; blue: yes; red: θ", fontsize=8.5, loc="right")
