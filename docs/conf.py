"""The book: the notebooks with their stored outputs, and the pages of docs/, as a site that opens
from disk. `mer book` builds it; the sources are all under the repository's root.
"""

from pathlib import Path

import jupyter_server_mathjax
from myst_nb.core.render import NbElementRenderer

project = "Dual-view optical flow for 4D micro-expressions"
language = "en"
extensions = ["myst_nb", "sphinx.ext.mathjax"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "notebooks/**.ipynb", "figures/RESULTS.md", "data/README.md"]
exclude_patterns = [".*", "**/.*", "artifacts", "build", "data/*/**", "tests"]

nb_execution_mode = "off"  # the stored outputs are shown
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
myst_heading_slug_func = "mer_tools.book.slug"
myst_update_mathjax = False  # that is for MathJax 3 and later
suppress_warnings = ["myst.header"]  # solutions have no sections between title and exercises

# MathJax 2 from disk: its combined configuration, and the one font that the package holds
BLANK = {"@font-face": {"src": "url('data:font/woff,')"}}  # the default asks for about:blank
mathjax_path = "MathJax.js"
mathjax2_config = {
    "config": ["TeX-AMS-MML_HTMLorMML-full.js"],
    "messageStyle": "none",
    "TeX": {"Macros": {"mathcal": [r"\mathsf{#1}", 1]}},  # it holds no calligraphic letters
    "HTML-CSS": {
        "availableFonts": [],
        "imageFont": None,
        "scale": 90,
        "styles": BLANK,
        "webFont": "STIX-Web",
    },
}

html_theme = "sphinx_book_theme"
html_title = "4D micro-expressions"
html_static_path = [str(Path(jupyter_server_mathjax.__file__).parent / "static"), "book.css"]
html_css_files = ["book.css"]
html_sourcelink_suffix = ""  # each page offers its source: notebooks as .ipynb
html_show_search_summary = False  # it would fetch pages, which browsers refuse on a disk
html_use_index = False
html_context = {"default_mode": "auto"}
html_sidebars = {"**": ["sbt-sidebar-nav.html"]}  # title and search stand in the header
html_theme_options = {
    "extra_footer": "Synthetic faces throughout: no number here is a 4DME number. "
    "Text and figures: CC BY 4.0; code: MIT licence.",
    "footer_content_items": ["extra-footer"],
    "navbar_start": ["navbar-logo"],
    "navigation_with_keys": False,
    "use_fullscreen_button": False,
}

render_image = NbElementRenderer.render_image


def render_image_with_words(renderer, data):
    """Render a picture of a notebook with the text alternative that its output stores."""
    pictures = render_image(renderer, data)
    words = data.output_metadata.get(data.mime_type, {}).get("alt")
    if words:
        pictures[0]["alt"] = words
    return pictures


NbElementRenderer.render_image = render_image_with_words  # MyST-NB reads the width alone
