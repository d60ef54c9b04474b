"""The network microscope: MicroAttNet layer by layer, parts switched off, for notebook 04."""

import functools
from types import SimpleNamespace

from mer_course.demos.drawing import start_figure, tile
from mer_utils import STREAMS
from mer_utils.plots import BLUE, GREY, ORANGE, PHASE_NAMES, VIEW_NAMES

import numpy as np
import torch

LAYERS = ("input", "convolution 1", "convolution 2", "what the head reads")
NOTHING = "nothing"


class Microscope:
    """A trained MicroAttNet with fusion attention and SE, and clips to look at."""

    def __init__(self, network, x, truth, names, labels, scale=(1, 1, 1)):
        """Take the network, its input maps x (N, V, P, 3, S, S), which are px divided by ``scale``
        (3,), the truth (N, L), the clips' names (N,) and the labels' (L,).
        """
        self.network, self.x, self.truth = network.eval(), x, np.asarray(truth, bool)
        self.names, self.labels = [str(name) for name in names], list(labels)
        self.scale = torch.tensor(np.asarray(scale, np.float32))[:, None, None, None]
        views, phases = x.shape[1:3]
        self.parts = dict.fromkeys((NOTHING, "SE", "fusion attention", "both gates"))
        self.parts |= {f"stream {name}": np.s_[:, :, k] for k, name in enumerate(STREAMS)}
        if views > 1:
            self.parts |= {name: np.s_[v] for v, name in enumerate(VIEW_NAMES)}
        if phases > 1:
            self.parts |= {name: np.s_[:, p] for p, name in enumerate(PHASE_NAMES)}
        self.look = functools.lru_cache(256)(self._look)

    def _look(self, clip, off=NOTHING):
        """Return what the network makes of a clip (its name) with one part off: attention's weights
        (3,) and SE's gates (C,), its layers {name: (3, maps, side, side)} and logits (L,). A gate
        that is off passes all on alike; the maps of a stream, view or phase that is off enter as
        zeros.
        """
        network, x = self.network, self.x[[self.names.index(clip)]].clone()
        if self.parts[off] is not None:
            x[0][self.parts[off]] = 0
        even, ones = torch.full((1, 3), 1 / 3), torch.ones(1, network.se.up.out_features)
        weights = even if off in ("fusion attention", "both gates") else None
        gates = ones if off in ("SE", "both gates") else None
        with torch.no_grad():
            read, weights, gates = network.fuse(x, weights, gates)
            logits = network.head(read)[0].numpy()
            maps = [x[:, :, :, k].flatten(1, 2) for k in range(len(STREAMS))]
            first = [stream[:3](m) for stream, m in zip(network.streams, maps, strict=True)]
            second = torch.cat(network.extract(x))
        layers = torch.cat(maps) * self.scale, torch.cat(first), second, read[0]
        layers = {name: layer.numpy() for name, layer in zip(LAYERS, layers, strict=True)}
        weights, gates = weights[0].numpy(), gates[0].numpy()
        return SimpleNamespace(weights=weights, gates=gates, layers=layers, logits=logits)

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
        phases = self.x.shape[2]
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
        axis.bar(STREAMS, part.weights, color=GREY)
        axis.axhline(1 / 3, color="black", linestyle=":", linewidth=0.8)
        axis.set(ylim=(0, 1))
        axis.set_title("attention (dotted: equal shares)", pad=4)
        axis = figure.add_axes((0.41, 0.13, 0.205, 0.22))
        axis.bar(np.arange(1, len(part.gates) + 1), part.gates, color=ORANGE)
        axis.set(ylim=(0, 1), xlabel="channel", title="SE: gates $g$ of the magnitude")

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
