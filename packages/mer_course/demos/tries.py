"""What networks answer to one clip where its onset and offset are uncertain, for notebook 10."""

from mer_utils.plots import add_answers, draw_motion_curve

from matplotlib.figure import Figure


class Tries:
    """Answers for a grid of onsets and offsets, computed once: ``predict(onset, offset) ->
    Prediction`` follows every frame, too much to wait for while a control moves.

    Onsets, and offsets, are ``step`` frames apart: at most ``most`` of each in a clip of ``frames``
    frames, the given ``onset`` and ``offset`` among them. A frame lies between those of each pair.
    """

    def __init__(self, predict, onset, offset, frames, most=8):
        self.step = max(1, -(-frames // most))
        self.start = (onset, offset)
        onsets = range(onset % self.step, frames, self.step)
        offsets = range(offset % self.step, frames, self.step)
        pairs = [(one, other) for one in onsets for other in offsets if other >= one + 2]
        self.found = {pair: predict(*pair) for pair in pairs}
        self.top = 1.05 * max(p.curve.max() for p in self.found.values())  # px, one axis for all

    @property
    def controls(self):
        """The choices of both sliders: {name: (low, high, step, start)}."""
        ends = zip(("onset", "offset"), zip(*self.found, strict=True), self.start, strict=True)
        return {name: (min(few), max(few), self.step, start) for name, few, start in ends}

    def clamp(self, values, moved):
        """Return ``values`` with the other control at the nearest place that fits the ``moved``."""
        which = ("onset", "offset").index(moved)
        near = [pair for pair in self.found if pair[which] == values[moved]]
        other = ("offset", "onset")[which]
        best = min(near, key=lambda pair: abs(pair[1 - which] - values[other]))
        return dict(zip(("onset", "offset"), best, strict=True))

    def draw(self, onset, offset):
        """Return the Figure of one pair: motion curve with the apex found, and all probabilities;
        rings are the means for the onset and offset that were given.
        """
        p, given = self.found[onset, offset], self.found[self.start]
        figure = Figure(figsize=(9, 2.8))
        left = figure.add_axes((0.07, 0.19, 0.4, 0.64))
        right = figure.add_axes((0.6, 0.19, 0.38, 0.64))
        draw_motion_curve(p.curve, p.joint, p.onset, p.apex, p.offset, axis=left)
        left.get_legend().remove()
        left.xaxis.get_major_locator().set_params(integer=True)
        left.set_ylim(0, self.top)
        left.text(p.apex, self.top, f" apex {p.apex}", va="top")
        add_answers(right, p)
        means = given.scores.mean(0)
        right.plot(means, range(len(means)), "o", color="none", markeredgecolor="black")
        changed = [n for n, a, b in zip(p.labels, p.answers, given.answers, strict=True) if a != b]
        told = f"other answers: {', '.join(changed)}" if changed else "the same answers"
        told = told if (onset, offset) != self.start else "as given"
        title = f"{p.name}, onset {onset}, offset {offset}, apex found {p.apex}: {told}"
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        return figure
