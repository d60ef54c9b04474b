"""What a page shows where no kernel runs: a demo's first picture, or a slider over several."""

import io

from mer_utils.plots import bundle, paint

import numpy as np
from IPython.display import display
from PIL import Image

MOST = 7  # pictures of a slider, beside the first one
SCALE, COLOURS = 0.6, 64  # of their sides, of each: a notebook stays small

# Show the widget where its kernel lives; elsewhere JupyterLab says "model not found": the picture.
ONE_OF_TWO = """<style>
.jp-OutputArea-child:has(.mer-demo) + .jp-OutputArea-child:has(.mer-still),
.jp-OutputArea-child:has(> .jupyter-widgets):has(+ .jp-OutputArea-child .mer-still),
.mer-still [hidden] {
  display: none;
}
.mer-still label { display: block; }
.mer-still img { max-width: 100%; height: auto; }
</style>"""
MOVE = """const all = this.closest('.mer-still').querySelectorAll('img');
all.forEach((picture, k) => { picture.hidden = k != this.value });
const at = this.previousElementSibling.value = all[this.value].dataset.at;
this.setAttribute('aria-valuetext', at)"""


def show_with_still(box, png, width, alt, slider=""):
    """Display a widget, and beside it what is seen without a kernel: PNG bytes ``width`` px wide
    with a text alternative or, in a page of HTML, a ``slider`` of ``make_slider``.
    """
    box.add_class("mer-demo")
    display(box)
    data, metadata = bundle(png, width, alt)
    still = slider or f'<div class="mer-still">{_make_image(data, width, alt)}</div>'
    data["text/html"] = ONE_OF_TWO + still
    display(data, metadata=metadata, raw=True)


def choose_places(low, high, step, start):
    """Return up to MOST places of a slider, evenly spread, and ``start``."""
    last, at = round((high - low) / step), round((start - low) / step)
    spread = np.linspace(0, last, min(MOST, last + 1)).round().astype(int)
    return [start if k == at else low + k * step for k in sorted({*spread.tolist(), at})]


def make_slider(name, figures, start, alt):
    """Return the HTML of a slider over plots {place: Figure}, drawn beforehand."""
    images, places = [], [f"{place:.4g}" for place in figures]
    first = list(figures).index(start)
    for k, (place, figure) in enumerate(zip(places, figures.values(), strict=True)):
        width = round(figure.get_figwidth() * figure.dpi)
        figure.set_dpi(SCALE * figure.dpi)
        about = f'{"" if k == first else "hidden "}data-at="{place}"'
        words, few = f"{alt}; {name} {place}", io.BytesIO()
        plot = Image.open(io.BytesIO(paint(figure)[0])).convert("RGB")
        plot.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=0).save(few, "png")
        data = bundle(few.getvalue(), width, words)[0]
        images.append(_make_image(data, width, words, about))
    ends = f'min="0" max="{len(places) - 1}" value="{first}" aria-valuetext="{places[first]}"'
    control = f'<input type="range" {ends} aria-label="{name}" oninput="{MOVE}">'
    label = f"<label>{name} <output>{places[first]}</output> {control}</label>"
    return f'<div class="mer-still">{label}{"".join(images)}</div>'


def _make_image(data, width, alt, about=""):
    """Return the HTML of a picture that ``bundle`` encoded."""
    kind = next(kind for kind in data if kind.startswith("image/"))
    return f'<img {about} width="{width}" alt="{alt}" src="data:{kind};base64,{data[kind]}">'
