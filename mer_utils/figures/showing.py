"""How a notebook shows a figure: twice the pixels of its size on the page, small enough to commit,
with a text alternative, and with its caption below.
"""

import base64
import io

from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

SHARP = 2  # pixels of the picture for each pixel of the page


def paint(figure):
    """Return a matplotlib Figure as PNG bytes and its width on the page, px."""
    buffer = io.BytesIO()
    quick = {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 1}}
    figure.savefig(buffer, format="png", dpi=SHARP * figure.dpi, **quick)
    return buffer.getvalue(), round(figure.get_figwidth() * figure.dpi)


def shrink(png):
    """Return PNG bytes as (media type, bytes): a PNG of 256 colours or, where it is smaller (skin,
    grain), a JPEG.
    """
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    made = []
    for kind, image, options in (
        ("png", picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=0), {}),
        ("jpeg", picture, {"quality": 75}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, kind, optimize=True, **options)
        made.append((f"image/{kind}", buffer.getvalue()))
    return min(made, key=lambda one: len(one[1]))


def bundle(png, width, alt):
    """Return the output (data, metadata) that shows PNG bytes ``width`` px wide with a text
    alternative.
    """
    kind, small = shrink(png)
    data = {kind: base64.b64encode(small).decode(), "text/plain": alt}
    return data, {kind: {"width": width, "alt": alt}}


def show(figure, caption, alt):
    """Show a Figure as a cell's output, and below it the caption; outside a notebook do nothing."""
    if get_ipython() is None:
        return
    data, metadata = bundle(*paint(figure), alt)
    display(data, metadata=metadata, raw=True)
    display({"text/markdown": f"*{caption}*", "text/plain": caption}, raw=True)


def tell_titles(figure):
    """Return a text alternative of a figure that was given none: the titles in it."""
    titles = [figure.get_suptitle(), *(axis.get_title() for axis in figure.axes)]
    titles = list(dict.fromkeys(" ".join(title.split()) for title in titles if title))
    return "Figure: " + "; ".join(titles) if titles else "Figure without a title"


def show_figures_so():
    """Let Jupyter show a Figure (made without pyplot) that ends a cell in the same way."""
    if (shell := get_ipython()) is not None:
        shell.display_formatter.mimebundle_formatter.for_type(
            Figure, lambda figure, **_: bundle(*paint(figure), tell_titles(figure))
        )
