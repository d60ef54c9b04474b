"""The book is whole, asks nothing of the web, and is replaced by another whole one alone."""

import shutil
from pathlib import Path
from urllib.parse import unquote

from mer_tools import book
from mer_utils import MerError

import nbformat.v4 as v4
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[1]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
# in Sphinx's extensions
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
WEB = ("http:", "https:", "//")


def read_pages(folder):
    pages = folder.glob("[dnf]*/**/*.html")  # docs, data, notebooks, figures
    return {page: BeautifulSoup(page.read_text("utf-8"), "html.parser") for page in pages}


@pytest.mark.slow
def test_every_page_is_there_its_links_lead_somewhere_and_nothing_comes_from_the_web(
    mer, tmp_path, monkeypatch
):
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "book"
    assert mer("book", "--out", folder)[0] == 0
    pages = read_pages(folder)
    sources = [*ROOT.glob("notebooks/**/[01]*.ipynb"), *ROOT.glob("docs/*.md")]
    wanted = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in sources}
    wanted |= {"figures/RESULTS.html", "data/README.html"}
    assert wanted == {path.relative_to(folder).as_posix() for path in pages}
    anchors = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in pages.items()}
    for path, page in pages.items():
        for tag in page.find_all(["a", "img", "script", "link", "iframe", "source"]):
            target = tag.get("href") or tag.get("src") or ""
            if target.startswith(WEB):
                assert tag.name == "a", f"{path}: {tag}"
                continue
            if target.startswith("data:image/"):  # of a slider that works without a kernel
                continue
            file, _, anchor = unquote(target).partition("#")
            file = (path.parent / file.partition("?")[0]).resolve() if file else path
            assert file.is_file(), f"{path}: {tag}"
            assert not anchor or anchor in anchors[file], f"{path}: {tag}"
        assert all(" " in image["alt"] for image in page.find_all("img")), path
        assert "$" not in "".join(text.get_text() for text in page.select("article p")), path
    assert sum(len(page.select(".math")) for page in pages.values()) > 100


@pytest.fixture
def toy(tmp_path):
    """A repository of one page and one notebook: (root, write(text) -> the notebook's page)."""
    root = tmp_path / "toy"
    shutil.copytree(ROOT / "docs", root / "docs", ignore=shutil.ignore_patterns("*.md"))
    (root / "docs" / "index.md").write_text("# Toy\n\n```{toctree}\n../notebooks/00_toy\n```\n")
    (root / "notebooks").mkdir()
    (root / "notebooks" / "profiles.yml").touch()
    words = {"image/png": {"alt": "One dot", "width": 3}}
    code = v4.new_code_cell("dot")
    code.outputs = [v4.new_output("display_data", {"image/png": PNG}, metadata=words)]
    language = {"language_info": {"name": "python"}}

    def write(text, **options):
        notebook = v4.new_notebook(cells=[v4.new_markdown_cell(text), code], metadata=language)
        (root / "notebooks" / "00_toy.ipynb").write_text(v4.writes(notebook))
        pages = read_pages(book.write_book(root=root, **options).parent)
        return next(page for path, page in pages.items() if path.stem == "00_toy")

    return root, write


def test_a_notebook_is_shown_with_its_outputs_and_a_fault_keeps_the_older_book(toy):
    root, write = toy
    page = write("# A toy\n$x^2$ [here](#A-toy)")
    assert page.select_one(".math").text == r"\(x^2\)" and page.find("img")["alt"] == "One dot"
    assert page.find("a", string="here")["href"] == "#a-toy" and page.find(id="a-toy")
    (link,) = {tag["href"] for tag in page.select("a[href*=_sources]")}
    assert link == "../_sources/notebooks/00_toy.ipynb"  # that it is there, the first test asks
    index = root / "artifacts" / "book" / "index.html"
    index.write_text("older")
    with pytest.raises(MerError, match=r"^the book: notebooks/00_toy.ipynb.*gone.ipynb"):
        write("# A toy\n[next](01_gone.ipynb)")
    assert index.read_text() == "older"
    write("# Mended")
    assert "Open the book" in index.read_text()
    with pytest.raises(MerError, match="docs: exists already"):  # and is no book
        book.write_book(root / "docs", root)
    assert (root / "docs" / "conf.py").is_file()


def test_a_notebook_can_be_printed(toy, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(MerError, match="none is installed"):
        patch.setattr(book, "BROWSERS", ())
        book.print_pages(tmp_path)
    if not any(map(shutil.which, book.BROWSERS)):
        pytest.skip("no Chromium to print with")
    root, write = toy
    write("# A toy\n$x^2$", pdf=True)
    printed = root / "artifacts" / "book" / "pdf" / "00_toy.pdf"
    assert printed.read_bytes().startswith(b"%PDF-")
