"""The flow explorer: a clip's flow by every backend, beside the true one, for notebook 03."""

import itertools

from mer_utils.flow import BACKENDS, average_frames, magnitude, phase_flow
from mer_utils.plots import PHASE_NAMES, draw_flow, find_maximum, name_views

import numpy as np

COMPENSATIONS = {"taken out": "rigid", "left in": "none"}  # the head's motion
HEAD = tuple(COMPENSATIONS)  # the first is what the suite does
STEP = 12  # px from arrow to arrow


class FlowExplorer:
    """A clip whose flows, and what is wrong with them, are computed once; ``draw`` only draws."""

    def __init__(self, name, crops, keys, masks, truths=None, reach=1):
        """Take face crops (V, T, S, S) uint8, the frames (onset, apex, offset) and masks (V, S, S).

        ``truths`` {head: (V, P, 2, S, S) px} holds for each of HEAD the true flow, NaN where there
        is none; real data have none.
        """
        self.name, self.masks, self.truths = name, masks, truths
        self.views = name_views(len(crops))
        starts = [[average_frames(view, key, reach) for key in keys[:2]] for view in crops]
        self.faces = np.array(starts)  # (V, P, S, S): the frame in which each phase starts
        self.flows = {}  # {(backend, head): (V, P, 2, S, S) px}
        for (head, how), backend in itertools.product(COMPENSATIONS.items(), BACKENDS):
            pairs = zip(crops, masks, strict=True)
            flows = [phase_flow(v, *keys, backend, how, mask=m, reach=reach) for v, m in pairs]
            self.flows[backend, head] = np.stack(flows)
        inside = [np.where(masks[:, None, None], flow, np.nan) for flow in self.flows.values()]
        self.maximum = find_maximum(inside)  # px, one scale for all choices

    def controls(self):
        """Return the choices of ``draw`` for ``explore``."""
        choices = {"phase": PHASE_NAMES, "view": self.views, "backend": BACKENDS, "head": HEAD}
        return {name: list(values) for name, values in choices.items()}

    def draw(self, phase=PHASE_NAMES[0], view="", backend="dis", head=HEAD[0]):
        """Return the Figure of one choice: the flow beside the true one and their difference, or,
        where the truth is unknown, beside the head motion that is taken out.
        """
        view = view or self.views[0]
        v, p = self.views.index(view), PHASE_NAMES.index(phase)
        left_in, taken_out = (self.flows[backend, how][v, p] for how in ("left in", "taken out"))
        flows = {"estimated flow": left_in if head == "left in" else taken_out}
        title = f"{self.name} · {phase}, {view}\n{backend}, head motion {head}"
        if self.truths:
            flows["true flow"] = self.truths[head][v, p]
            flows["difference"] = flows["estimated flow"] - flows["true flow"]
        else:
            flows["head motion"] = left_in - taken_out
        flows = {name: np.where(self.masks[v], flow, np.nan) for name, flow in flows.items()}
        if self.truths:
            error, zero = (np.nanmean(magnitude(flows[n])) for n in ("difference", "true flow"))
            title += f": error {error:.3f} px; no flow: {zero:.3f}"
        pictures, names = list(flows.values()), list(flows)
        return draw_flow(self.faces[v, p], pictures, names, self.maximum, STEP, title)
