"""The threshold bench: what a threshold does to the answers for one label, for notebook 06."""

from mer_course.demos.drawing import start_figure
from mer_utils import MerError
from mer_utils.evaluation import confusion, label_f1, macro_uf1
from mer_utils.plots import BLUE, GREY, ORANGE, RED

import numpy as np

STEPS = np.linspace(0, 1, 101)  # thresholds of the F1 curve
BINS = np.linspace(0, 1, 21)


class Bench:
    """Probabilities of clips whose labels' thresholds can be moved one at a time."""

    def __init__(self, scores, truth, thresholds, labels):
        """Take probabilities, truth and tuned thresholds of the clips, each (N, L); a clip's
        thresholds are those of its fold. MerError where there is none to move: one label a clip.
        """
        if np.isnan(thresholds).any():
            raise MerError("one label a clip: the largest probability wins, without a threshold")
        self.scores, self.truth, self.labels = scores, np.asarray(truth, bool), list(labels)
        self.thresholds = thresholds

    def start_of(self, label):
        """Return the median of the folds' thresholds of a label, to two decimals."""
        median = np.median(self.thresholds[:, self.labels.index(label)])
        return round(min(1.0, float(median)), 2)  # infinite: never answered

    def measure(self, label, threshold):
        """Return the label's F1 and confusion (2, 2) at the threshold, and the macro-UF1 with all
        other labels at their tuned thresholds.
        """
        k = self.labels.index(label)
        answers = self.scores >= self.thresholds
        answers[:, k] = self.scores[:, k] >= threshold
        f1, counts = label_f1(self.truth, answers)[k], confusion(self.truth, answers)[k]
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
        """Return the Figure of one label: probabilities by truth, confusion, F1 by threshold."""
        k, tuned = self.labels.index(label), self.start_of(label)
        threshold = tuned if threshold is None else threshold
        f1, counts, macro = self.measure(label, threshold)
        title = f"{label} at θ = {threshold:.2f}: F1 {f1:.2f} · macro-UF1 {macro:.2f} (all other "
        title += "labels at their tuned thresholds)"
        figure = start_figure(9, 2.9, title)
        scores, truth = self.scores[:, k], self.truth[:, k]
        left = figure.add_axes((0.06, 0.17, 0.36, 0.66))
        _draw_histograms(left, scores, truth, threshold, tuned, counts)
        _draw_counts(figure.add_axes((0.475, 0.26, 0.15, 0.5)), counts)

        axis = figure.add_axes((0.685, 0.17, 0.3, 0.66))
        own = label_f1(self.truth, self.scores >= self.thresholds)[k]
        curve = label_f1(np.tile(truth[:, None], len(STEPS)), scores[:, None] >= STEPS)
        axis.plot(STEPS, curve, color=BLUE, linewidth=1.5)
        axis.axhline(own, color=GREY, linestyle=":", label=f"each fold its own θ: {own:.2f}")
        style = {"color": "black", "linestyle": "--", "linewidth": 1}
        axis.axvline(tuned, label=f"tuned θ: {tuned:.2f}", **style)
        folds = np.unique(self.thresholds[:, k])
        folds = folds[np.isfinite(folds)]
        axis.plot(folds, 0 * folds, "|", color="black", markersize=9, clip_on=False)
        axis.plot(threshold, f1, "o", color=RED, markersize=8, clip_on=False)
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="θ (ticks: folds)", ylabel="F1")
        style = {"loc": "lower left", "bbox_to_anchor": (-0.03, 0.98), "ncols": 2}
        axis.legend(**style, fontsize=8, handlelength=1.4, columnspacing=1, borderpad=0)
        return figure


def _draw_histograms(axis, scores, truth, threshold, tuned, counts):
    """Draw how often each probability (N,) occurs: clips with the label upwards, others down."""
    up, down = (np.histogram(scores[truth == there], BINS)[0] for there in (True, False))
    style = {"width": BINS[1] - BINS[0], "align": "edge", "linewidth": 0}
    axis.bar(BINS[:-1], up, color=ORANGE, **style)
    axis.bar(BINS[:-1], -down, color=GREY, **style)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.axvline(tuned, color="black", linestyle="--", linewidth=1)
    axis.axvline(threshold, color=RED, linewidth=2)
    axis.axvspan(threshold, 1, color=RED, alpha=0.07, linewidth=0)
    top = 1.45 * max(1, *up, *down)
    axis.set(xlim=(0, 1), ylim=(-top, top), xlabel="probability $p$", ylabel="clips")
    ticks = [tick for tick in axis.get_yticks() if tick == round(tick) and abs(tick) <= top]
    axis.set_yticks(ticks, [f"{abs(tick):.0f}" for tick in ticks])
    (right, alarms), (misses, hits) = counts
    for y, colour, low, high in (
        (0.88 * top, ORANGE, f"{misses} misses", f"{hits} hits"),
        (-0.88 * top, "#5c5c5c", f"{right} right", f"{alarms} false alarms"),
    ):
        axis.text(0.01, y, low, ha="left", va="center", color=colour)
        axis.text(0.99, y, high, ha="right", va="center", color=colour)
    axis.set_title("with the label upwards, without it downwards", loc="left", fontsize=8.5)


def _draw_counts(axis, counts):
    """Draw the table (2, 2) of truth against answer; shades are shares of a row."""
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    for row, column in np.ndindex(2, 2):
        text = f"{counts[row, column]}\n{shares[row, column]:.0%}"
        axis.text(column, row, text, ha="center", va="center")
    axis.set_xticks((0, 1), ("no", "yes"))
    axis.set_yticks((0, 1), ("no", "yes"), rotation=90, va="center")
    axis.tick_params(length=0)
    axis.set(xlabel="answer", ylabel="truth")
    axis.spines[:].set_visible(False)
