"""The flow explorer: a clip's flow by every backend, beside the true one, for notebook 03."""

from mer_course.demos.drawing import add_picture, place, start_figure
from mer_utils.flow import BACKENDS, average_frames, magnitude, phase_flow
from mer_utils.plots import PHASE_NAMES, VIEW_NAMES, add_arrows, add_wheel, find_maximum, lay_over

import cv2
import numpy as np

COMPENSATIONS = {"taken out": "rigid", "left in": "none"}  # the head's motion
HEAD = tuple(COMPENSATIONS)  # the first is what the suite does
LEVELS = 20  # grey levels at which the warp error is drawn full
STEP = 12  # px from arrow to arrow
SIDE, GAP = 1.8, 0.08  # inches: a picture, and between two


class FlowExplorer:
    """A clip whose flows, and what is wrong with them, are computed once; ``draw`` only draws."""

    def __init__(self, name, crops, keys, masks, truths=None, reach=1):
        """Take face crops (V, T, S, S) uint8, the frames (onset, apex, offset) and masks (V, S, S).

        ``truths`` {head: (V, P, 2, S, S) px} holds for each of HEAD the true flow, NaN where there
        is none; without it (real data) the warp error stands in for the error.
        """
        self.name, self.masks, self.truths = name, masks, truths
        self.views = VIEW_NAMES if len(crops) == 2 else ("view",) * len(crops)
        phases = (keys[:2], keys[1:])
        self.frames = np.array(
            [[[average_frames(v, key, reach) for key in pair] for pair in phases] for v in crops]
        )  # (V, P, 2, S, S): each phase's two frames
        self.flows = {}  # {(backend, head): (V, P, 2, S, S) px}
        for backend in BACKENDS:
            for head, how in COMPENSATIONS.items():
                flows = [
                    phase_flow(view, *keys, backend, how, mask=mask, reach=reach)
                    for view, mask in zip(crops, masks, strict=True)
                ]
                self.flows[backend, head] = np.stack(flows)
        inside = [np.where(masks[:, None, None], flow, np.nan) for flow in self.flows.values()]
        self.maximum = find_maximum(inside)  # px, one scale for all choices

    def controls(self):
        """Return the choices of ``draw`` for ``explore``."""
        choices = {"phase": PHASE_NAMES, "view": self.views, "backend": BACKENDS, "head": HEAD}
        return {name: list(values) for name, values in choices.items()}

    def measure(self, phase, view, backend, head=HEAD[0]):
        """Return the error (S, S) of a flow and that of a flow of zero: px where the truth is
        known, else grey levels of warp error; NaN outside the mask or where nothing is known.
        """
        v, p = self.views.index(view), PHASE_NAMES.index(phase)
        if self.truths:
            flow, truth = self.flows[backend, head][v, p], self.truths[head][v, p]
            errors = magnitude(flow - truth), magnitude(truth)
        else:  # the head moves in the frames, so its motion has to be in the flow
            flow = self.flows[backend, "left in"][v, p]
            errors = [warp_error(*self.frames[v, p], f) for f in (flow, np.zeros_like(flow))]
        return tuple(np.where(self.masks[v], error, np.nan) for error in errors)

    def draw(self, phase=PHASE_NAMES[0], view="", backend="dis", head=HEAD[0]):
        """Return the Figure of one choice: the flow, where it is known the true one, the error."""
        view = view or self.views[0]
        v, p = self.views.index(view), PHASE_NAMES.index(phase)
        face, flows = self.frames[v, p, 0], {"estimated flow": self.flows[backend, head][v, p]}
        kind, full, unit = "warp error", LEVELS, "grey levels"
        if self.truths:
            flows["true flow"] = self.truths[head][v, p]
            kind, full, unit = "error", self.maximum, "px"
        error, zero = self.measure(phase, view, backend, head)
        title = f"{self.name} · {phase}, {view} · {backend}, head motion {head}\n"
        title += f"{kind} {np.nanmean(error):.3f} {unit}; no flow: {np.nanmean(zero):.3f}"

        width, height = (len(flows) + 1) * (SIDE + GAP) + 1.1, SIDE + 0.62  # inches
        figure = start_figure(width, height, title, 0.03 / width, 1 - 0.19 / height, 9)
        for k, name in enumerate([*flows, "error"]):
            axis = place(figure, 0.03 + k * (SIDE + GAP), 0.03, SIDE, SIDE)
            axis.set_title(name, pad=3)
            if name == "error":
                picture = _redden(face, error / full)
            else:
                flow = np.where(self.masks[v], flows[name], np.nan)
                picture = lay_over(face, flow, self.maximum)
                add_arrows(axis, flow, self.maximum, STEP)
            add_picture(axis, picture, interpolation="bilinear")
        add_wheel(place(figure, width - 0.98, 0.98, 0.8, 0.8), self.maximum)
        key = f"red:\n{kind}, full\nat {full:.2g} {unit}"
        figure.text(1 - 0.57 / width, 0.42 / height, key, fontsize=8, ha="center", va="center")
        return figure


def warp_error(first, second, flow):
    """Return |I(x) - J(x + flow)|, grey levels (H, W), of frames (H, W) and a flow (2, H, W) px."""
    y, x = np.mgrid[: first.shape[0], : first.shape[1]].astype(np.float32)
    maps, border = (x + flow[0], y + flow[1]), cv2.BORDER_REPLICATE
    return np.abs(first - cv2.remap(np.float32(second), *maps, cv2.INTER_CUBIC, borderMode=border))


def _redden(face, share):
    """Return a grey face (H, W), the redder the nearer ``share`` (H, W) is to 1; pale at NaN."""
    grey, red = face[..., None] / 255, np.nan_to_num(share).clip(0, 1)[..., None]
    colours = (1 - red * np.array([0.1, 0.85, 0.85])) * (0.35 + 0.65 * grey)
    return np.where(np.isnan(share)[..., None], 0.5 + 0.5 * grey, colours)
