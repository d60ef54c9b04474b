"""The book: Sphinx and MyST-NB make a site of the notebooks and docs/ that opens from disk."""

import io
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from mer_utils import MerError
from mer_utils.files import new_folder
from mer_utils.study import find_root

from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.util.docutils import docutils_namespace, patch_docutils

COLOUR = r"\x1b\[[0-9;]*m"  # Sphinx colours its warnings
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Sphinx keeps the folders of the sources; this page leads from the top to the first of its own
INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url=docs/index.html">
<title>4D micro-expressions</title>
<main><h1>4D micro-expressions</h1><p><a href="docs/index.html">Open the book</a></p></main>
</html>
"""


def write_book(out="", root=None, pdf=False):
    """Build the book into ``out`` (default: artifacts/book) and return its first page.

    ``pdf`` prints each notebook and the slides to pdf/ with Chromium. An older book is replaced
    once the new one is whole. Raises MerError if ``out`` holds something else, without Chromium,
    and for whatever Sphinx warns of: above all links that lead nowhere.
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
        if pdf:
            print_pages(part)
    return out / "index.html"


def print_pages(book):
    """Print the notebooks and the slides of a book to its folder pdf/."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        raise MerError("--pdf", f"needs one of {', '.join(BROWSERS)}, and none is installed")
    (book / "pdf").mkdir()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    flags.append("--virtual-time-budget=30000")  # until MathJax has drawn the formulas
    for page in (*sorted(book.glob("notebooks/*.html")), *book.glob("docs/slides.html")):
        paper = book / "pdf" / f"{page.stem}.pdf"
        command = [browser, *flags, f"--print-to-pdf={paper}", page.resolve().as_uri()]
        ended = subprocess.run(command, capture_output=True)
        if ended.returncode or not paper.is_file():
            raise MerError(page.name, f"{browser} did not print it")


def slug(title):
    """Return the anchor of a heading as Jupyter writes it, so that links work in both."""
    return title.replace(" ", "-")
