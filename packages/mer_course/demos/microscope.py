"""The network microscope: MicroAttNet layer by layer, parts switched off, for notebook 04."""

import functools
from types import SimpleNamespace

from mer_course.demos.drawing import start_figure, tile
from mer_utils import STREAMS, MerError
from mer_utils.plots import BLUE, GREY, ORANGE, PHASE_NAMES, VIEW_NAMES, draw_heat

import numpy as np
import torch

LAYERS = ("weighted input", "convolution 1", "convolution 2", "what the head reads")
NOTHING = "nothing"


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
        self.scale = np.asarray(scale).reshape(-1, 1, 1, 1)
        views, phases = x.shape[1:3]
        self.parts = dict.fromkeys((NOTHING, "SE", "fusion attention", "both gates"))
        self.parts |= {f"stream {name}": (k, ...) for k, name in enumerate(STREAMS)}
        if views > 1:
            self.parts |= {name: (slice(None), v) for v, name in enumerate(VIEW_NAMES)}
        if phases > 1:
            self.parts |= {name: (..., p) for p, name in enumerate(PHASE_NAMES)}
        self.look = functools.lru_cache(256)(self._look)

    def _look(self, clip, off=NOTHING):
        """Return what the network makes of a clip (its name) with one part off: the factors (K, V,
        P) and gates (K, C) by which maps and channels are multiplied, its layers {name: (K, maps,
        side, side)} and logits (L,). A gate that is off passes all on alike; the maps of a stream,
        view or phase that is off enter as zeros.
        """
        network, x = self.network, self.x[[self.names.index(clip)]]
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
        parts = (maps * self.scale, first, features[0].numpy(), read)  # the input in px
        layers = dict(zip(LAYERS, parts, strict=True))
        factors, gates = factors.numpy(), gates[0].numpy()
        return SimpleNamespace(factors=factors, gates=gates, layers=layers, logits=logits)

    def controls(self):
        """Return the choices of ``draw`` for ``explore``, the magnitude's second layer first."""
        streams, layers = list(STREAMS[::-1]), [LAYERS[2], *LAYERS[:2], LAYERS[3]]
        return {"clip": self.names, "stream": streams, "layer": layers, "off": list(self.parts)}

    def draw(self, clip, stream="magnitude", layer=LAYERS[2], off=NOTHING):
        """Return the Figure of one stream's maps at one layer, both gates, and the logits of the
        whole network beside those with a part ``off``.
        """
        k, whole, part = STREAMS.index(stream), self.look(clip), self.look(clip, off)
        truth = self.truth[self.names.index(clip)]
        true = " + ".join(np.array(self.labels)[truth]) or "no label"
        title = f"{clip}, {true} · {stream}, {layer} · off: {off}"
        if off != NOTHING:
            title += f": logits move by up to {np.abs(part.logits - whole.logits).max():.2f}"
        figure = start_figure(9.6, 3.5, title, y=0.955, fontsize=9.5)
        # both scales are the same whatever is off
        top = float(np.abs(whole.layers[layer][k]).max()) or 1.0
        limit = 1.1 * max(np.abs(self.look(clip, name).logits).max() for name in self.parts)
        views, phases = self.x.shape[1:3]
        maps, (cmap, low) = part.layers[layer][k], ("gray", 0)
        side, columns = maps.shape[-1], int(np.gcd(4, len(maps)))
        if layer == LAYERS[0]:  # px; a row a view
            columns, cmap, low = phases, "RdBu_r", -top
        tiles = tile(maps.reshape(-1, columns, side, side), max(1, side // 10), np.nan)
        axis = figure.add_axes((0.005, 0.03, 0.31, 0.78))
        axis.axis("off")
        image = axis.imshow(tiles, cmap=cmap, vmin=low, vmax=top, interpolation="nearest")
        axis.set_title(f"{len(maps)} maps of {side} x {side}", pad=4)
        figure.colorbar(image, cax=figure.add_axes((0.322, 0.2, 0.008, 0.45)))

        axis = figure.add_axes((0.41, 0.56, 0.205, 0.25))
        sides = ("left\n", "right\n") if views == 2 else ("",) * views
        names = [side + phase for side in sides for phase in ("on-ap", "ap-off")[:phases]]
        ticks = {"xticklabels": names, "yticklabels": ["u", "v", "m"]}
        draw_heat(axis, part.factors.reshape(len(STREAMS), -1), 0, 2, fmt=".2f", **ticks)
        axis.set_title("attention (1: an equal share)", pad=4)
        axis = figure.add_axes((0.41, 0.13, 0.205, 0.22))
        gates = part.gates[k]
        axis.bar(np.arange(1, len(gates) + 1), gates - 1, bottom=1, color=ORANGE)
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set(ylim=(0, 2), xlabel="channel", title=f"SE: gates $g$ of {stream}")

        axis = figure.add_axes((0.755, 0.13, 0.24, 0.68))
        rows = np.arange(len(self.labels))
        axis.barh(rows - 0.2, whole.logits, 0.4, color=GREY, label="whole network")
        axis.barh(rows + 0.2, part.logits, 0.4, color=BLUE, label=f"off: {off}")
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set(xlim=(-limit, limit), xlabel="logit $z$; above 0: $p$ > 0.5")
        axis.set_yticks(rows, self.labels)
        axis.invert_yaxis()
        axis.legend(loc="lower right", bbox_to_anchor=(1.02, 1), ncols=2, fontsize=8, borderpad=0)
        return figure
