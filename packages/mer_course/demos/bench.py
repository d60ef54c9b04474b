"""The threshold bench: what a threshold does to the answers for one label, for notebook 06."""

from mer_course.demos.drawing import start_figure
from mer_utils.evaluation import label_f1, macro_uf1
from mer_utils.plots import BLUE, GREY, ORANGE, RED

import numpy as np
from sklearn.metrics import multilabel_confusion_matrix

STEPS = np.linspace(0, 1, 101)  # thresholds of the F1 curve
BINS = np.linspace(0, 1, 21)


class Bench:
    """Probabilities of clips whose labels' thresholds can be moved one at a time."""

    def __init__(self, scores, truth, thresholds, labels):
        """Take probabilities, truth and tuned thresholds of the clips, each (N, L); a clip's
        thresholds are those of its fold.
        """
        self.scores, self.truth, self.labels = scores, np.asarray(truth, bool), list(labels)
        self.thresholds = thresholds

    def start_of(self, label):
        """Return the median of the folds' thresholds of a label, to two decimals."""
        median = np.median(self.thresholds[:, self.labels.index(label)])
        return round(min(1.0, float(median)), 2)  # infinite: never answered

    def measure(self, label, threshold):
        """Return the label's F1 and confusion (2, 2) at the threshold, and then the macro-UF1."""
        k = self.labels.index(label)
        answers = self.scores >= self.thresholds
        answers[:, k] = self.scores[:, k] >= threshold
        f1 = label_f1(self.truth, answers)[k]
        counts = multilabel_confusion_matrix(self.truth, answers)[k]
        return f1, counts, macro_uf1(self.truth, answers)

    def controls(self):
        """Return the choices of ``draw`` for ``explore``: a new label brings its own threshold."""

        def follow(values, moved):
            if moved == "label":
                values["threshold"] = self.start_of(values["label"])
            return values

        start = self.start_of(self.labels[0])
        return {"label": self.labels, "threshold": (0.0, 1.0, 0.01, start), "clamp": follow}

    def draw(self, label, threshold=None):
        """Return the Figure of one label: probabilities by truth, and F1 by threshold."""
        k, tuned = self.labels.index(label), self.start_of(label)
        threshold = tuned if threshold is None else threshold
        f1, counts, macro = self.measure(label, threshold)
        title = f"{label} at θ = {threshold:.2f}: F1 {f1:.2f} · macro-UF1 {macro:.2f} (all other "
        figure = start_figure(9, 2.9, title + "labels at their tuned thresholds)")
        scores, truth = self.scores[:, k], self.truth[:, k]
        axis, (left, right) = figure.add_axes((0.06, 0.17, 0.5, 0.66)), counts
        names = (
            f"with {label}: {right[1]} hits, {right[0]} misses",
            f"without it: {left[0]} right, {left[1]} false alarm(s)",
        )
        axis.hist((scores[truth], scores[~truth]), BINS, color=(ORANGE, GREY), label=names)
        axis.axvline(threshold, color=RED, linewidth=2)
        axis.set(xlim=(0, 1), xlabel="probability $p$", ylabel="clips")
        style = {"loc": "lower left", "bbox_to_anchor": (0, 0.98), "ncols": 2, "fontsize": 8}
        axis.legend(**style)

        axis = figure.add_axes((0.63, 0.17, 0.355, 0.66))
        curve = label_f1(np.tile(truth[:, None], len(STEPS)), scores[:, None] >= STEPS)
        axis.plot(STEPS, curve, color=BLUE)
        own = label_f1(self.truth, self.scores >= self.thresholds)[k]
        axis.axhline(own, color=GREY, linestyle=":", label=f"F1 with each fold's own θ: {own:.2f}")
        axis.axvline(tuned, color="black", linestyle="--", label=f"tuned θ: {tuned:.2f}")
        folds = np.unique(self.thresholds[:, k])
        axis.plot(folds, np.zeros_like(folds), "|", color="black", markersize=9, clip_on=False)
        axis.plot(threshold, f1, "o", color=RED, markersize=8, clip_on=False)
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="θ (ticks: folds)", ylabel="F1")
        axis.legend(**style)
        return figure
