"""What networks answer to one clip where its onset and offset are uncertain, for notebook 10."""

from mer_course.demos.drawing import start_figure
from mer_utils.plots import add_answers, draw_motion_curve

import numpy as np

MOST = 6  # onsets, and offsets


class Tries:
    """A clip's predictions for a grid of onsets and offsets, computed once.

    ``predict(onset, offset) -> Prediction`` follows every frame: too slow for a moving control. The
    grid has at most MOST onsets and offsets of ``frames`` frames, the given ones among them.
    """

    def __init__(self, predict, onset, offset, frames):
        self.step = max(1, -(-frames // MOST))
        self.start = (onset, offset)
        onsets = range(onset % self.step, frames, self.step)
        offsets = range(offset % self.step, frames, self.step)
        pairs = [(on, off) for on in onsets for off in offsets if off >= on + 2]
        self.found = {pair: predict(*pair) for pair in pairs}
        self.top = 1.05 * max(p.curve.max() for p in self.found.values())  # px, one axis for all

    @property
    def controls(self):
        """The choices of both sliders: {name: (low, high, step, start)}."""
        choices = {}
        for k, name in enumerate(("onset", "offset")):
            places = [pair[k] for pair in self.found]
            choices[name] = (min(places), max(places), self.step, self.start[k])
        return choices

    def clamp(self, values, moved):
        """Return ``values`` with the other control at the nearest place that fits the ``moved``."""
        kept, other = (0, "offset") if moved == "onset" else (1, "onset")
        pairs = [pair for pair in self.found if pair[kept] == values[moved]]
        onset, offset = min(pairs, key=lambda pair: abs(pair[1 - kept] - values[other]))
        return {"onset": onset, "offset": offset}

    def draw(self, onset, offset):
        """Return the Figure of one pair: motion curve with the apex found, and all probabilities;
        rings are the means for the onset and offset that were given.
        """
        p, given = self.found[onset, offset], self.found[self.start]
        changed = np.array(p.labels)[np.not_equal(p.answers, given.answers)]
        title = f"{p.name}, onset {onset}, offset {offset}, apex found {p.apex}"
        figure = start_figure(9, 2.8, f"{title}: changed {', '.join(changed) or 'nothing'}")
        left = figure.add_axes((0.07, 0.19, 0.4, 0.64))
        draw_motion_curve(p.curve, p.joint, p.onset, p.apex, p.offset, axis=left)
        left.get_legend().remove()
        left.xaxis.get_major_locator().set_params(integer=True)
        left.set_ylim(0, self.top)
        right = figure.add_axes((0.6, 0.19, 0.38, 0.64))
        add_answers(right, p)
        rings = {"color": "none", "markeredgecolor": "black"}
        right.plot(given.scores.mean(0), range(len(p.labels)), "o", **rings)
        return figure
