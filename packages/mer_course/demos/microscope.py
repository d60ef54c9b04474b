"""The network microscope: what MicroAttNet makes of a clip, layer by layer, and what its logits
become where parts are switched off, for notebook 04.
"""

import functools
from typing import NamedTuple

from mer_utils import STREAMS, MerError
from mer_utils.plots import BLUE, GREY, ORANGE, PHASE_NAMES, VIEW_NAMES

import numpy as np
import torch
from matplotlib.figure import Figure

LAYERS = ("weighted input", "convolution 1", "convolution 2", "what the head reads")
GATES = ("SE", "fusion attention", "both gates")
NOTHING = "nothing"


class Seen(NamedTuple):
    """What a network computes of one clip."""

    factors: np.ndarray  # (K, V, P): by what each map is multiplied, 1 for an equal share
    gates: np.ndarray  # (K, C): by what each channel is
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
        self.parts = {NOTHING: None} | {name: None for name in GATES}
        self.parts |= {f"stream {name}": (k, ...) for k, name in enumerate(STREAMS)}
        if views > 1:
            self.parts |= {name: (slice(None), v) for v, name in enumerate(VIEW_NAMES)}
        if phases > 1:
            self.parts |= {name: (..., p) for p, name in enumerate(PHASE_NAMES)}
        self.look = functools.lru_cache(256)(self._look)

    def _look(self, clip, off=NOTHING):
        """Return the Seen of a clip (its name) with one part off: a gate that is off passes all on
        alike; the maps of a stream, view or phase that is off enter as zeros.
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
            logits = network(x, weights[None], gates)[0]
        named = {
            LAYERS[0]: maps[0].unflatten(0, (len(STREAMS), -1)),
            LAYERS[1]: first[0].unflatten(0, (len(STREAMS), -1)),
            LAYERS[2]: features[0],
            LAYERS[3]: (features * gates[..., None, None])[0],
        }
        named = {name: values.numpy() for name, values in named.items()}
        named[LAYERS[0]] = named[LAYERS[0]] * self.scale[:, None, None, None]  # px
        return Seen(factors.numpy(), gates[0].numpy(), named, logits.numpy())

    def draw(self, clip, stream="magnitude", layer=LAYERS[2], off=NOTHING):
        """Return the Figure of one stream's maps at one layer, both gates, and the logits of the
        whole network beside those with a part ``off``.
        """
        k, whole, seen = STREAMS.index(stream), self.look(clip), self.look(clip, off)
        row = self.names.index(clip)
        shown = [name for name, on in zip(self.labels, self.truth[row], strict=True) if on]
        title = f"{clip}, {' + '.join(shown) or 'no label'} · {stream}, {layer} · off: {off}"
        if off != NOTHING:
            far = np.abs(seen.logits - whole.logits).round(2)
            most = [name for name, each in zip(self.labels, far, strict=True) if each == far.max()]
            which = f" ({', '.join(most)})" if len(most) < len(far) else ""
            title += f": logits move by up to {far.max():.2f}{which}"
        # of the whole network: the same scale, whatever is off
        top = float(np.abs(whole.layers[layer][k]).max()) or 1.0
        limit = 1.1 * max(np.abs(self.look(clip, part).logits).max() for part in self.parts)
        figure = Figure(
            figsize=(9.6, 3.5)
        )  # axes by hand: a layout would take longer than the rest
        figure.text(0.01, 0.955, title, fontsize=9.5, weight="bold", va="center")
        wide = self.x.shape[2] if layer == LAYERS[0] else None
        _draw_tiles(figure, seen.layers[layer][k], top, wide, k < 2)
        _draw_factors(figure.add_axes((0.41, 0.56, 0.205, 0.25)), seen.factors)
        _draw_gates(figure.add_axes((0.41, 0.13, 0.205, 0.22)), seen.gates[k], stream)
        pair = (whole.logits,) if off == NOTHING else (whole.logits, seen.logits)
        axis = figure.add_axes((0.755, 0.13, 0.24, 0.68))
        _draw_logits(axis, pair, self.labels, self.truth[row], limit, off)
        return figure

    def controls(self):
        """Return what ``explore`` wants to know of ``draw``, the magnitude's second layer first."""
        return {
            "clip": self.names,
            "stream": list(STREAMS[::-1]),
            "layer": [LAYERS[2], *(name for name in LAYERS if name != LAYERS[2])],
            "off": list(self.parts),
        }


def _draw_tiles(figure, maps, top, wide, signed):
    """Draw maps (n, side, side) as one picture of tiles, with what its shades mean: px where they
    stand ``wide`` in a row, a row a view; else features.
    """
    columns = wide or int(np.ceil(np.sqrt(len(maps))))
    rows, side = -(-len(maps) // columns), maps.shape[-1]
    edge = max(1, side // 10)
    canvas = np.full((rows * (side + edge) - edge, columns * (side + edge) - edge), np.nan)
    for n, tile in enumerate(maps):
        y, x = (place * (side + edge) for place in divmod(n, columns))
        canvas[y : y + side, x : x + side] = tile
    axis = figure.add_axes((0.005, 0.03, 0.31, 0.78))
    colours, low = ("RdBu_r", -top) if wide and signed else ("Greens" if wide else "gray", 0)
    style = {"cmap": colours, "vmin": low, "vmax": top, "interpolation": "nearest"}
    image = axis.imshow(canvas, **style)
    axis.set_anchor("NE")
    axis.axis("off")
    order = "; down: views, across: phases" if wide else ""
    axis.set_title(f"{len(maps)} maps of {side} x {side}{order}", pad=4)
    bar = figure.colorbar(image, cax=figure.add_axes((0.322, 0.2, 0.008, 0.45)))
    bar.ax.set_title("px" if wide else "", fontsize=8)


def _draw_factors(axis, factors):
    """Draw by what fusion attention multiplies each map, (K, V, P)."""
    table = factors.reshape(len(factors), -1)
    axis.imshow(table, cmap="PuOr_r", vmin=0, vmax=2, aspect="auto")
    for k, n in np.ndindex(table.shape):
        colour = "black" if abs(table[k, n] - 1) < 0.6 else "white"
        axis.text(n, k, f"{table[k, n]:.2f}", ha="center", va="center", fontsize=8, color=colour)
    views, phases = factors.shape[1:]
    sides, ways = ("left\n", "right\n") if views == 2 else ("",) * views, ("on-ap", "ap-off")
    names = [view + phase for view in sides for phase in ways[:phases]]
    axis.set_xticks(range(len(names)), names, fontsize=8)
    axis.set_yticks(range(len(factors)), ["u", "v", "m"][: len(factors)])
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


def _draw_logits(axis, pair, labels, truth, limit, off):
    """Draw the logits (L,) of the whole network and, where there are two, with a part off."""
    rows, names = np.arange(len(labels)), ("whole network", f"off: {off}")
    for k, (logits, colour) in enumerate(zip(pair, (GREY, BLUE), strict=False)):
        high = 0.8 / len(pair)
        place = rows + (k - (len(pair) - 1) / 2) * high
        axis.barh(place, logits, high, color=colour, label=names[k])
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set(xlim=(-limit, limit), xlabel="logit $z$; above 0: $p$ > 0.5")
    axis.set_yticks(rows, [f"{n} (true)" if y else n for n, y in zip(labels, truth, strict=True)])
    axis.invert_yaxis()
    style = {"loc": "lower right", "bbox_to_anchor": (1.02, 1.0), "ncols": 2, "borderpad": 0}
    axis.legend(fontsize=8, handlelength=1, columnspacing=1, **style)
