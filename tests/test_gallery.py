"""The gallery: every page is whole, leads somewhere, asks nothing of the web and can be read by
all.
"""

import base64
import json
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from mer_tools.gallery import render_math, write_gallery
from mer_utils import MerError
from mer_utils.files import sha256
from mer_utils.study import read_suite

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
TEXTS = ("code", "pre", "style", "title")  # what stands there is no prose
EMPTY = ("img", "link", "meta", "br", "hr", "input")
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="


class Page(HTMLParser):
    """What a page holds: its tags, headings, ids and prose."""

    def __init__(self, path):
        super().__init__()
        self.path, self.tags, self.open, self.prose = path, defaultdict(list), [], ""
        self.levels, self.ids = [], []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open, f"{path} leaves {self.open} open"

    def handle_starttag(self, tag, attrs):
        self.tags[tag].append(dict(attrs))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self.levels.append(int(tag[1]))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag].append(dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{self.path} closes {tag} out of turn"

    def handle_data(self, data):
        if not set(TEXTS) & set(self.open):
            self.prose += data


def read_files(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The gallery of the committed notebooks and figures: {path: Page}."""
    folder = tmp_path_factory.mktemp("gallery") / "site"
    write_gallery(out=folder, root=ROOT)
    return folder, {path: Page(path) for path in sorted(folder.rglob("*.html"))}


def test_every_notebook_and_every_figure_has_a_page_on_the_index(site):
    folder, pages = site
    told = json.loads((ROOT / "figures" / "figures.json").read_text())
    sources = sorted((ROOT / "notebooks").glob("*.ipynb"))
    sources += sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
    wanted = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in sources}
    declared = [name for book in read_suite(ROOT)["notebooks"].values() for name in book["figures"]]
    wanted |= {f"figures/{name}.html" for name in declared if name in told}
    assert wanted == {path.relative_to(folder).as_posix() for path in pages} - {"index.html"}
    index = pages[folder / "index.html"]
    linked = {link["href"] for link in index.tags["a"]}
    assert wanted <= linked and len(index.tags["img"]) >= len(wanted) - len(sources)


def test_every_link_and_picture_leads_to_a_file_of_the_site(site):
    folder, pages = site
    for path, page in pages.items():
        for link in page.tags["a"]:
            target, _, part = link["href"].partition("#")
            if not target.startswith(("https://", "http://", "mailto:")):
                file = (path.parent / unquote(target)).resolve() if target else path
                assert file.is_file() and folder in file.parents, f"{path}: {link['href']}"
                assert not part or unquote(part) in pages[file].ids, f"{path}: {link['href']}"
        for image in page.tags["img"]:
            assert (path.parent / image["src"]).is_file(), f"{path}: {image['src']}"


def test_no_page_asks_anything_of_the_web(site):
    folder, pages = site
    for path, page in pages.items():
        assert not page.tags["script"] and not page.tags["iframe"], path
        (icon, style) = page.tags["link"]
        assert icon["href"] == "data:,"
        assert (path.parent / style["href"]).resolve() == folder / "style.css"
    style = (folder / "style.css").read_text()
    assert "url(" not in style and "@import" not in style


def test_every_page_can_be_read_by_all(site):
    for path, page in site[1].items():
        assert page.tags["html"] == [{"lang": "en"}] and len(page.tags["main"]) == 1, path
        assert page.levels[0] == 1 and page.levels.count(1) == 1, path
        assert all(b <= a + 1 for a, b in zip(page.levels, page.levels[1:], strict=False)), path
        assert len(set(page.ids)) == len(page.ids), path
        assert page.tags["a"][0] == {"class": "skip", "href": "#main"} and "main" in page.ids
        assert all(image["alt"].strip() for image in page.tags["img"]), path
        assert all("tabindex" in block for block in page.tags["pre"]), path
        assert not page.tags["table"] or page.tags["th"], path


def test_formulas_are_mathml(site):
    pages = site[1].values()
    assert sum(len(page.tags["math"]) for page in pages) > 100
    for page in pages:
        assert "$" not in page.prose, page.path


@pytest.fixture
def toy(tmp_path):
    """A repository of one notebook and one figure: (root, write(cells) -> the notebook's page)."""
    root, name = tmp_path / "toy", "fig00_toy"
    (root / "notebooks" / "solutions").mkdir(parents=True)
    (root / "figures").mkdir()
    picture = base64.b64decode(PNG)
    (root / "figures" / f"{name}.png").write_bytes(picture)
    told = {"caption": "A <dot>.", "alt": "One dot.", "parameters": {"seed": 0}, "data": None}
    told |= {"code": "c", "kernels": "k", "sha256": sha256(picture)}
    (root / "figures" / "figures.json").write_text(json.dumps({name: told}))
    (root / "figures" / "results.json").write_text("{}")
    (root / "notebooks" / "profiles.yml").write_text(
        f"notebooks: {{'00': {{file: 00_toy, figures: [{name}, fig00_later]}}}}\n"
        "profiles: {full: {out: figures, parameters: {}}}\n"
    )

    def write(*cells):
        notebook = nbformat.v4.new_notebook(cells=[text("# 00 · Toy"), text("**Why?**"), *cells])
        nbformat.write(notebook, root / "notebooks" / "00_toy.ipynb")
        return Page(write_gallery(root=root, echo=print).parent / "notebooks" / "00_toy.html")

    return root, write


text = nbformat.v4.new_markdown_cell


def code(source, data, **metadata):
    output = nbformat.v4.new_output("display_data", data, metadata=metadata)
    return nbformat.v4.new_code_cell(source, outputs=[output])


def test_a_second_build_takes_the_place_of_the_first_with_the_same_bytes(toy, capsys):
    _, write = toy
    folder = write(text("$x$")).path.parents[1]
    assert "left out, not yet in figures/figures.json: fig00_later" in capsys.readouterr().out
    before = read_files(folder)
    (folder / "stale.html").write_text("no part of the gallery")
    write(text("$x$"))
    assert read_files(folder) == before
    assert sorted(path.name for path in folder.parent.iterdir()) == ["gallery"]


def test_a_folder_that_is_no_gallery_stays_as_it_is(toy):
    root, write = toy
    write()
    (root / "mine").mkdir()
    (root / "mine" / "index.html").write_text("<h1>Mine</h1>")
    with pytest.raises(MerError, match="mine: exists already"):
        write_gallery(out=root / "mine", root=root)
    assert read_files(root / "mine") == {"index.html": b"<h1>Mine</h1>"}


def test_an_error_leaves_the_older_gallery(toy):
    root, write = toy
    folder = write().path.parents[1]
    before = read_files(folder)
    with pytest.raises(MerError, match=r"00_toy.ipynb, cell 3: the formula .*frog"):
        write(text(r"so $\frog = 1$"))
    with pytest.raises(
        MerError, match=r"cell 3: links to 01_gone.ipynb, which is not in the repos"
    ):
        write(text("[next](01_gone.ipynb)"))
    with pytest.raises(MerError, match=r"cell 3: the picture x.png is not made by a cell"):
        write(text("![x](x.png)"))
    (root / "figures" / "fig00_toy.png").write_bytes(base64.b64decode(PNG) + b"x")
    with pytest.raises(
        MerError, match=r"fig00_toy.png: not the picture that figures.json tells of"
    ):
        write()
    assert read_files(folder) == before


def test_a_picture_has_the_alt_text_of_its_output_or_its_figure_or_its_place(toy):
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "VBox()"}
    page = toy[1](
        code("a", {"image/png": PNG}, **{"image/png": {"alt": 'A "dot"', "width": 3}}),
        code('study.figure(fig, "fig00_toy", c, a)', {"image/png": PNG}),
        text("## 0.1 Demo of $x$"),
        code("demo", {**widget, "image/png": PNG}),
        code("demo", widget),
    )
    alts = ['A "dot"', "One dot.", "Output of cell 6 in section 0.1 Demo of x"]
    assert [image["alt"] for image in page.tags["img"]] == alts
    assert page.tags["img"][0]["width"] == "3" and "VBox" not in page.path.read_text()
    assert "../figures/fig00_toy.html" in [link["href"] for link in page.tags["a"]]
    assert "open the notebook to move it" in page.prose


def test_links_lead_to_pages_or_say_where_the_file_lies(toy):
    root, write = toy
    (root / "data.md").write_text("")
    page = write(text("[this](00_toy.ipynb#00-·-Toy) [d](../data.md) [w](https://example.org)"))
    assert "d (<code>data.md</code>)" in page.path.read_text()
    links = [unquote(link["href"]) for link in page.tags["a"]]
    assert "00_toy.html#00-·-Toy" in links and "https://example.org" in links
    assert not any("data.md" in link for link in links)


def test_headings_leave_no_level_out_and_tables_have_headers(toy):
    page = toy[1](text("# Again\n\n#### Deep\n\n| a | $b$ |\n|---|---|\n| 1 | $c_1$ |"))
    assert page.levels == [1, 2, 3]
    assert len(page.tags["th"]) == 2 and len(page.tags["math"]) == 2


def test_the_command_says_what_to_open(site, mer, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    ended, out, err = mer("gallery", "--out", tmp_path / "site")
    assert (ended, err) == (0, "") and f"open {tmp_path / 'site' / 'index.html'} in a brow" in out
    assert read_files(tmp_path / "site") == read_files(site[0])


def test_formulas_say_what_latex_says():
    assert "<mo" in render_math(r"\Big\lVert x \Big\rVert") and "‖" in render_math(r"\Big\lVert x")
    assert ">{</mo>" in render_math(r"\big\{ x \big\}") and "⌊" in render_math(r"\big\lfloor x")
    assert render_math(r"\begin{aligned}a &= b \\ &= c\end{aligned}").count("<mtr>") == 2
    assert 'width="-0.167em"' in render_math(r"a\!b")
    assert '<mi>log</mi><mspace width="0.167em" /><mi>p</mi>' in render_math(r"\log p")
    assert "mspace" not in render_math(r"-\log(p)") and "mspace" in render_math(r"W \tanh(z)")
    assert "𝒮" in render_math(r"\mathcal S") and "ℝ" in render_math(r"\mathbb{R}^2")
    assert "a</mi><mo>&lt;" in render_math("a < b") and 'display="block"' in render_math("a", True)


@pytest.mark.parametrize("formula", [r"\foo x", r"\frac{a", "a}", "x^", "", r"a & b", r"\left( a"])
def test_a_formula_that_cannot_be_rendered_is_refused(formula):
    with pytest.raises(MerError, match=r"the formula .* cannot be rendered"):
        render_math(formula)
