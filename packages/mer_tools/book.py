"""The book: Sphinx and MyST-NB make a site of the notebooks and docs/ that opens from disk."""

import io
import re
import tempfile
from pathlib import Path

from mer_utils import MerError
from mer_utils.files import new_folder
from mer_utils.study import find_root

from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.util.docutils import docutils_namespace, patch_docutils

COLOUR = r"\x1b\[[0-9;]*m"  # Sphinx colours its warnings
# Sphinx keeps the folders of the sources; this page leads from the top to the first of its own
INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url=docs/index.html">
<title>4D micro-expressions</title>
<main><h1>4D micro-expressions</h1><p><a href="docs/index.html">Open the book</a></p></main>
</html>
"""


def write_book(out="", root=None):
    """Build the book into ``out`` (default: artifacts/book) and return its first page.

    An older book there is replaced once the new one is whole. Raises MerError if ``out`` holds
    something else, and for whatever Sphinx warns of: above all links that lead nowhere.
    """
    root = Path(root or find_root()).resolve()
    out = Path(out).resolve() if out else root / "artifacts" / "book"
    docs = root / "docs"
    if not (docs / "conf.py").is_file():
        raise MerError(docs, "no conf.py here: the book is built in a copy of the repository")
    warnings = io.StringIO()
    older = (out / ".buildinfo").is_file()
    with new_folder(out, replace=older) as part, tempfile.TemporaryDirectory() as doctrees:
        try:
            with patch_docutils(docs), docutils_namespace():
                Sphinx(root, docs, part, doctrees, "html", status=None, warning=warnings).build()
        except SphinxError as error:
            warnings.write(f"{error}")
        if text := re.sub(COLOUR, "", warnings.getvalue()).replace(f"{root}/", ""):
            first, *others = text.strip().splitlines()
            raise MerError("the book", f"{first} (and {len(others)} more)" if others else first)
        (part / "index.html").write_text(INDEX, encoding="utf-8")
    return out / "index.html"


def slug(title):
    """Return the anchor of a heading as Jupyter writes it, so that links work in both."""
    return title.replace(" ", "-")
