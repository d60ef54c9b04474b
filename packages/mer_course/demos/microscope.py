"""The network microscope: MicroAttNet layer by layer, parts switched off, for notebook 04."""

import functools
from typing import NamedTuple

from mer_course.demos.drawing import add_picture, start_figure, tile
from mer_utils import STREAMS, MerError
from mer_utils.plots import BLUE, GREY, ORANGE, PHASE_NAMES, VIEW_NAMES

import numpy as np
import torch

LAYERS = ("weighted input", "convolution 1", "convolution 2", "what the head reads")
NOTHING = "nothing"


class Activations(NamedTuple):
    """What a network computes of one clip."""

    factors: np.ndarray  # (K, V, P): by what each map is multiplied, 1 for an equal share
    gates: np.ndarray  # (K, C): by what each channel is multiplied
    layers: dict  # {layer: (K, maps, side, side)}
    logits: np.ndarray  # (L,)


class Microscope:
    """A trained MicroAttNet with clips to look at."""

    def __init__(self, network, x, truth, names, labels, scale=(1, 1, 1)):
        """Take the network, its input maps x (N, V, P, 3, S, S), which are px divided by ``scale``
        (3,), the truth (N, L), the clips' names (N,) and the labels' (L,). MerError where the
        network has no fusion attention or no SE: then there is nothing to switch off.
        """
        if network.attention is None or network.excite(network.extract(x[:1])) is None:
            raise MerError("the microscope needs a network with fusion attention and SE")
        self.network, self.x, self.truth = network.eval(), x, np.asarray(truth, bool)
        self.names, self.labels = [str(name) for name in names], list(labels)
        self.scale = np.asarray(scale, float)
        views, phases = x.shape[1:3]
        self.parts = dict.fromkeys((NOTHING, "SE", "fusion attention", "both gates"))
        self.parts |= {f"stream {name}": (k, ...) for k, name in enumerate(STREAMS)}
        if views > 1:
            self.parts |= {name: (slice(None), v) for v, name in enumerate(VIEW_NAMES)}
        if phases > 1:
            self.parts |= {name: (..., p) for p, name in enumerate(PHASE_NAMES)}
        self.look = functools.lru_cache(256)(self._look)

    def _look(self, clip, off=NOTHING):
        """Return the Activations of a clip (its name) with one part off: a gate that is off passes
        all on alike; the maps of a stream, view or phase that is off enter as zeros.
        """
        network, row = self.network, self.names.index(clip)
        x = self.x[row : row + 1]
        with torch.no_grad():
            weights = network.weigh(x)[0]  # (K, V, P)
            if off in ("fusion attention", "both gates"):
                weights = torch.full_like(weights, 1 / weights.numel())
            if self.parts[off] is not None:
                weights = weights.clone()
                weights[self.parts[off]] = 0
            features = network.extract(x, weights[None])  # (1, K, C, S/4, S/4)
            gates = network.excite(features)
            if off in ("SE", "both gates"):
                gates = torch.ones_like(gates)
            factors = weights * weights.numel()
            maps = network.stack_maps(x) * factors.flatten()[:, None, None]
            first = network.streams[:3](maps)
            logits = network(x, weights[None], gates)[0].numpy()
        maps, first = (layer[0].unflatten(0, (len(STREAMS), -1)).numpy() for layer in (maps, first))
        read = (features * gates[..., None, None])[0].numpy()
        maps = maps * self.scale[:, None, None, None]  # px
        layers = dict(zip(LAYERS, (maps, first, features[0].numpy(), read), strict=True))
        return Activations(factors.numpy(), gates[0].numpy(), layers, logits)

    def controls(self):
        """Return the choices of ``draw`` for ``explore``, the magnitude's second layer first."""
        layers = [LAYERS[2], *LAYERS[:2], LAYERS[3]]
        streams = list(STREAMS[::-1])
        return {"clip": self.names, "stream": streams, "layer": layers, "off": list(self.parts)}

    def draw(self, clip, stream="magnitude", layer=LAYERS[2], off=NOTHING):
        """Return the Figure of one stream's maps at one layer, both gates, and the logits of the
        whole network beside those with a part ``off``.
        """
        k, whole, part = STREAMS.index(stream), self.look(clip), self.look(clip, off)
        truth = self.truth[self.names.index(clip)]
        true = [label for label, yes in zip(self.labels, truth, strict=True) if yes]
        title = f"{clip}, {' + '.join(true) or 'no label'} · {stream}, {layer} · off: {off}"
        logits = {"whole network": whole.logits}
        if off != NOTHING:
            logits[f"off: {off}"] = part.logits
            moved = np.abs(part.logits - whole.logits).round(2)
            most = [self.labels[n] for n in np.flatnonzero(moved == moved.max())]
            which = f" ({', '.join(most)})" if len(most) < len(moved) else ""
            title += f": logits move by up to {moved.max():.2f}{which}"
        figure = start_figure(9.6, 3.5, title, y=0.955, fontsize=9.5)
        # both scales are the same whatever is off
        top = float(np.abs(whole.layers[layer][k]).max()) or 1.0
        limit = 1.1 * max(np.abs(self.look(clip, name).logits).max() for name in self.parts)
        if layer == LAYERS[0]:
            colours = ("Greens", 0, top) if stream == "magnitude" else ("RdBu_r", -top, top)
            _draw_maps(figure, part.layers[layer][k], colours, self.x.shape[2])
        else:
            _draw_maps(figure, part.layers[layer][k], ("gray", 0, top))
        _draw_factors(figure.add_axes((0.41, 0.56, 0.205, 0.25)), part.factors)
        _draw_gates(figure.add_axes((0.41, 0.13, 0.205, 0.22)), part.gates[k], stream)
        axis = figure.add_axes((0.755, 0.13, 0.24, 0.68))
        _draw_logits(axis, logits, self.labels, truth, limit)
        return figure


def _draw_maps(figure, maps, colours, phases=None):
    """Draw maps (n, side, side) as tiles in ``colours`` (colour map, low, high): features, or px
    where the number of ``phases`` says how many stand in a row.
    """
    columns, side = phases or int(np.ceil(np.sqrt(len(maps)))), maps.shape[-1]
    missing = -len(maps) % columns
    maps_in_rows = np.pad(maps, ((0, missing), (0, 0), (0, 0)), constant_values=np.nan)
    tiles = tile(maps_in_rows.reshape(-1, columns, side, side), max(1, side // 10), np.nan)
    axis, (cmap, low, high) = figure.add_axes((0.005, 0.03, 0.31, 0.78)), colours
    image = add_picture(axis, tiles, cmap=cmap, vmin=low, vmax=high)
    axis.set_anchor("NE")
    order = "; down: views, across: phases" if phases else ""
    axis.set_title(f"{len(maps)} maps of {side} x {side}{order}", pad=4)
    bar = figure.colorbar(image, cax=figure.add_axes((0.322, 0.2, 0.008, 0.45)))
    bar.ax.set_title("px" if phases else "", fontsize=8)


def _draw_factors(axis, factors):
    """Draw by what fusion attention multiplies each map, (K, V, P)."""
    table, (_, views, phases) = factors.reshape(len(factors), -1), factors.shape
    axis.imshow(table, cmap="PuOr_r", vmin=0, vmax=2, aspect="auto")
    for k, n in np.ndindex(table.shape):
        colour = "black" if abs(table[k, n] - 1) < 0.6 else "white"
        axis.text(n, k, f"{table[k, n]:.2f}", ha="center", va="center", fontsize=8, color=colour)
    sides = ("left\n", "right\n") if views == 2 else ("",) * views
    names = [side + phase for side in sides for phase in ("on-ap", "ap-off")[:phases]]
    axis.set_xticks(range(len(names)), names, fontsize=8)
    axis.set_yticks(range(len(factors)), ["u", "v", "m"])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title("attention (1: an equal share)", pad=4)


def _draw_gates(axis, gates, stream):
    """Draw SE's factors (C,) of one stream around 1."""
    axis.bar(np.arange(1, len(gates) + 1), gates - 1, bottom=1, color=ORANGE, width=0.8)
    axis.axhline(1, color="black", linewidth=0.8)
    axis.set(ylim=(0, 2), xlabel="channel", yticks=(0, 1, 2))
    none = " (none here)" if (gates == 1).all() else ""
    axis.set_title(f"SE: gates $g$ of {stream}{none}", pad=4)


def _draw_logits(axis, logits, labels, truth, limit):
    """Draw named logits {name: (L,)} of one clip, its true labels (L,) marked."""
    rows, height = np.arange(len(labels)), 0.8 / len(logits)
    for k, (name, values) in enumerate(logits.items()):
        places = rows + (k - (len(logits) - 1) / 2) * height
        axis.barh(places, values, height, color=(GREY, BLUE)[k], label=name)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set(xlim=(-limit, limit), xlabel="logit $z$; above 0: $p$ > 0.5")
    axis.set_yticks(rows, [f"{n} (true)" if y else n for n, y in zip(labels, truth, strict=True)])
    axis.invert_yaxis()
    style = {"loc": "lower right", "bbox_to_anchor": (1.02, 1.0), "ncols": 2, "borderpad": 0}
    axis.legend(fontsize=8, handlelength=1, columnspacing=1, **style)
