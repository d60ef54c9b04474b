"""The flow explorer: a clip's flow by every backend, in every phase and view, beside the true one,
for notebook 03.
"""

from mer_utils import MerError
from mer_utils.flow import BACKENDS, average_frames, magnitude, phase_flow
from mer_utils.plots import PHASE_NAMES, VIEW_NAMES, add_arrows, add_wheel, find_maximum, lay_over

import cv2
import numpy as np
from matplotlib.figure import Figure

HEAD = ("taken out", "left in")  # the head's motion; the first is what the suite does
LEVELS = 20  # grey levels at which the warp error is drawn full
STEP = 12  # px from arrow to arrow


class FlowExplorer:
    """A clip whose flows, and what is wrong with them, are computed once; ``draw`` only draws."""

    def __init__(self, name, crops, keys, masks, truths=None, reach=1):
        """Take face crops (V, T, S, S) uint8, the frames (onset, apex, offset) and masks (V, S, S).

        ``truths`` {head: (V, P, 2, S, S) px} holds for each of HEAD the true flow, NaN where there
        is none; without it (real data) the warp error stands in for the error. MerError for truths
        of other shapes.
        """
        self.name, self.truths, (views, _, *side) = name, truths, crops.shape
        shape = (views, len(PHASE_NAMES), 2, *side)
        for head, truth in (truths or {}).items():
            if truth.shape != shape:
                raise MerError(f"true flow, head {head}: {truth.shape} instead of {shape}")
        self.masks, self.views = masks, VIEW_NAMES if views == 2 else ("view",) * views
        pairs = (keys[:2], keys[1:])
        self.frames = np.array(
            [[[average_frames(v, k, reach) for k in pair] for pair in pairs] for v in crops]
        )  # (V, P, 2, S, S): each phase's two frames
        how = {"taken out": "rigid", "left in": "none"}
        self.flows = {
            (backend, head): np.stack(
                [
                    phase_flow(v, *keys, backend, how[head], mask=mask, reach=reach)
                    for v, mask in zip(crops, masks, strict=True)
                ]
            )
            for backend in BACKENDS
            for head in HEAD
        }  # (V, P, 2, S, S) px each
        shown = [np.where(masks[:, None, None], flow, np.nan) for flow in self.flows.values()]
        self.maximum = find_maximum(shown)  # px, one scale for all choices

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
            errors = (warp_error(*self.frames[v, p], f) for f in (flow, np.zeros_like(flow)))
        return tuple(np.where(self.masks[v], error, np.nan) for error in errors)

    def draw(self, phase=PHASE_NAMES[0], view="", backend="dis", head=HEAD[0]):
        """Return the Figure of one choice: the flow, where it is known the true one, the error."""
        view = view or self.views[0]
        v, p = self.views.index(view), PHASE_NAMES.index(phase)
        error, zero = self.measure(phase, view, backend, head)
        unit, kind, full = ("px", "error", self.maximum) if self.truths else (
            "grey levels", "warp error", LEVELS)  # fmt: skip
        title = f"{self.name} · {phase}, {view} · {backend}, head motion {head}\n"
        title += f"{kind} {np.nanmean(error):.3f} {unit}; no flow: {np.nanmean(zero):.3f}"
        flows = {"estimated": self.flows[backend, head][v, p]}
        if self.truths:
            flows["true"] = self.truths[head][v, p]
        flows = {k: np.where(self.masks[v], flow, np.nan) for k, flow in flows.items()}
        face = self.frames[v, p, 0]
        key = f"red:\n{kind}, full\nat {full:.2g} {unit}"
        return _draw_flows(face, flows, self.maximum, error, key, full, title)

    def controls(self):
        """Return what ``explore`` wants to know of ``draw``."""
        given = {"phase": list(PHASE_NAMES), "view": list(self.views), "backend": list(BACKENDS)}
        return given | {"head": list(HEAD)}


def warp_error(first, second, flow):
    """Return |I(x) - J(x + flow)|, grey levels (H, W), of frames (H, W) and a flow (2, H, W) px."""
    y, x = np.mgrid[: first.shape[0], : first.shape[1]].astype(np.float32)
    there = cv2.remap(
        second.astype(np.float32), x + flow[0], y + flow[1], cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.abs(first - there)


def _draw_flows(face, flows, maximum, error, key, full, title):
    """Show named flows (2, S, S) px over a ``face`` (S, S), at their right the ``error`` (S, S) as
    red that is full at ``full``, and what the colours mean.
    """
    side, gap = 1.8, 0.08  # inches; axes by hand: a layout would take longer than all the rest
    width, height = (len(flows) + 1) * (side + gap) + 1.1, side + 0.62
    figure = Figure(figsize=(width, height))
    figure.text(0.03 / width, 1 - 0.19 / height, title, fontsize=9, weight="bold", va="center")
    pictures = {f"{name} flow": lay_over(face, flow, maximum) for name, flow in flows.items()}
    grey, red = face[..., None] / 255, np.nan_to_num(error / full).clip(0, 1)[..., None]
    colours = (1 - red * np.array([0.1, 0.85, 0.85])) * (0.35 + 0.65 * grey)
    pictures["error"] = np.where(np.isnan(error)[..., None], 0.5 + 0.5 * grey, colours)
    for k, (name, picture) in enumerate(pictures.items()):
        left = (0.03 + k * (side + gap)) / width
        axis = figure.add_axes((left, 0.03 / height, side / width, side / height))
        axis.imshow(picture, interpolation="bilinear")
        axis.set_title(name, pad=3)
        axis.axis("off")
        if name.endswith("flow"):
            add_arrows(axis, flows[name.split()[0]], maximum, STEP)
    corner = (1 - 0.98 / width, 0.98 / height, 0.8 / width, 0.8 / height)
    add_wheel(figure.add_axes(corner), maximum)
    figure.text(1 - 0.57 / width, 0.42 / height, key, fontsize=8, ha="center", va="center")
    return figure
