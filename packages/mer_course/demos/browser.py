"""The result browser: clips that a run answered right or wrong, one at a time, for notebook 06."""

import functools
from types import SimpleNamespace

from mer_course.demos.drawing import add_tiles, place, start_figure
from mer_utils.features import FrontEnd
from mer_utils.flow import phase_flow
from mer_utils.plots import PHASE_NAMES, add_answers, add_wheel, flow_to_rgb, lay_over
from mer_utils.preprocessing import face_mask, load_crops

import cv2
import numpy as np
from skimage.color import gray2rgb

ANSWERS = ("hits", "misses", "false alarms")
SIDE = 128  # px of a picture


class Browser:
    """The answers of a run, with the pictures of each clip made when it is first looked at."""

    def __init__(self, dataset, features, outcome):
        """Take a Dataset, its Features and the Outcome of a run on them; of two views the left one
        is shown.
        """
        self.dataset, self.features, self.outcome = dataset, features, outcome
        self.labels = list(features.labels)
        # one scale for all clips, so that a pale face is one that moved little
        strongest = np.hypot(features.x[:, :, :, 0], features.x[:, :, :, 1]).max((1, 2, 3, 4))
        self.maximum = max(float(np.percentile(strongest, 75)), 1e-3)
        self.look = functools.lru_cache(64)(self._look)

    def select(self, label, answer):
        """Return the rows of the clips with such an answer, those furthest beyond their threshold
        (for misses: below it) first.
        """
        k = self.labels.index(label)
        said, true = self.outcome.answers[:, k] > 0, self.features.y[:, k] > 0
        chosen = {"hits": said & true, "misses": ~said & true, "false alarms": said & ~true}[answer]
        # a threshold is NaN where the largest wins, infinite where a label is never answered
        beyond = self.outcome.scores[:, k] - np.nan_to_num(self.outcome.thresholds[:, k], posinf=1)
        rows = np.flatnonzero(chosen)
        return rows[np.argsort((beyond if answer == "misses" else -beyond)[rows], kind="stable")]

    def _look(self, row):
        """Return {title: RGB picture (SIDE, SIDE, 3) in [0, 1]} of one clip: onset, apex and the
        flow of each phase, or the flow alone of ready-made flow images, which hold no face.
        """
        names, pictures = PHASE_NAMES[: self.features.x.shape[2]], {}
        if self.dataset.channels:
            for name, maps in zip(names, self.features.x[row, 0], strict=True):
                pictures[f"flow {name}"] = flow_to_rgb(maps[:2], self.maximum)
        else:
            clip, apex = self.dataset.clips[row], int(self.features.apex[row])
            crops = load_crops(clip, self.dataset.views)[0][0]
            mask, keys = face_mask(crops[None])[0], (clip.onset, apex, clip.offset)
            reach = FrontEnd().reach
            flows = phase_flow(crops, *keys, phases=len(names), mask=mask, reach=reach)
            pictures[f"onset, frame {clip.onset}"] = gray2rgb(crops[clip.onset]) / 255
            pictures[f"apex, frame {apex}"] = gray2rgb(crops[apex]) / 255
            for k, flow in enumerate(flows):
                shown = lay_over(crops[keys[k]], np.where(mask, flow, np.nan), self.maximum)
                pictures[f"flow {names[k]}"] = shown
        return {name: cv2.resize(p, (SIDE, SIDE)) for name, p in pictures.items()}

    def controls(self):
        """Return the choices of ``draw`` for ``explore``, the label with most hits first."""
        labels = sorted(self.labels, key=lambda label: -len(self.select(label, "hits")))
        longest = max(self.features.y.sum(0).max(), self.outcome.answers.sum(0).max(), 2)
        return {"label": labels, "answer": list(ANSWERS), "clip": (1, int(longest), 1)}

    def draw(self, label, answer, clip=1):
        """Return the Figure of the ``clip``-th (from 1) clip of a selection, or of its last one:
        pictures, and the probability of each label with its threshold.
        """
        rows, outcome = self.select(label, answer), self.outcome
        if not len(rows):
            return start_figure(9, 2.6, f"{label}: no {answer}")
        n = min(clip, len(rows))
        row = int(rows[n - 1])
        title = f"{label}: {answer} {n} of {len(rows)} · clip {self.features.clips[row]}"
        title += f" · $p$ = {outcome.scores[row, self.labels.index(label)]:.2f}"
        figure = start_figure(9, 2.6, title)

        pictures = self.look(row)
        add_tiles(figure, 0.05, 0.67, 1.4, np.stack(list(pictures.values()))[None], pictures)
        add_wheel(place(figure, 0.3, 0.19, 0.28, 0.28), self.maximum)

        pairs = zip(self.labels, self.features.y[row], strict=True)
        names = [f"{name} ✓" if true else name for name, true in pairs]
        answers = {"scores": outcome.scores[row][None], "answers": outcome.answers[row]}
        answers |= {"thresholds": outcome.thresholds[row], "labels": names}
        axis = figure.add_axes((0.765, 0.19, 0.22, 0.6))
        add_answers(axis, SimpleNamespace(**answers))
        axis.set(title="$p$; ✓: true; blue: yes; red: θ", xlabel="")
        return figure
