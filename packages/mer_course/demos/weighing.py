"""Attention by hand: a network's answers with one's own weights of the streams, for notebook 04."""

from mer_course.demos.drawing import start_figure
from mer_utils import STREAMS, MerError
from mer_utils.plots import BLUE, GREY

import numpy as np
import torch


class Weighing:
    """A network with fusion attention, and clips for which its weights can be replaced."""

    def __init__(self, network, x, names, labels, exclusive=False):
        """Take the network, its input maps x (N, V, P, 3, S, S), the clips' names (N,) and the
        labels' (L,).
        """
        self.network, self.x = network.eval(), x
        self.names, self.labels = [str(name) for name in names], list(labels)
        self.spread = torch.softmax if exclusive else lambda logits, _: torch.sigmoid(logits)

    def weigh(self, clip, weights=None):
        """Return the weights of the streams (3,), by default the network's own, and with them the
        probabilities of the labels (L,).
        """
        given = None if weights is None else torch.tensor(weights, dtype=torch.float32)[None]
        with torch.no_grad():
            features, used, _ = self.network.fuse(self.x[[self.names.index(clip)]], given)
            probabilities = self.spread(self.network.head(features), 1)
        return used[0].numpy(), probabilities[0].numpy()

    def controls(self):
        """Return the choices of ``draw`` for ``explore``: all weight on the magnitude first."""
        starts = zip(STREAMS, (0.0, 0.0, 1.0), strict=True)
        return {"clip": self.names} | {name: (0.0, 1.0, 0.05, start) for name, start in starts}

    def draw(self, clip, u=0.0, v=0.0, magnitude=1.0):
        """Return the Figure of the network's own weights and probabilities beside those with
        weights in the proportions ``u``, ``v`` and ``magnitude``. MerError where all are 0.
        """
        if (total := u + v + magnitude) <= 0:
            raise MerError("all weights are 0: set one of u, v and magnitude above 0")
        own = self.weigh(clip)
        mine = self.weigh(clip, np.array([u, v, magnitude]) / total)
        moved = np.abs(mine[1] - own[1])
        title = f"{clip}: your weights move {self.labels[moved.argmax()]} most, by "
        figure = start_figure(8, 2.9, f"{title}{moved.max():.2f}")
        parts = ("weight", STREAMS, 0.1), ("probability", self.labels, 0.6)
        for k, (what, names, left) in enumerate(parts):
            axis, rows = figure.add_axes((left, 0.17, 0.38, 0.62)), np.arange(len(names))
            axis.barh(rows - 0.2, own[k], 0.4, color=GREY, label="the network's own")
            axis.barh(rows + 0.2, mine[k], 0.4, color=BLUE, label="yours")
            axis.set(xlim=(0, 1), xlabel=what, yticks=rows, yticklabels=names)
            axis.invert_yaxis()
        axis.legend(loc="lower right", bbox_to_anchor=(1.02, 1), ncols=2, borderpad=0)
        return figure
