"""The gallery: all notebooks and figures as a static site that opens from disk, without a network.

nbconvert's Markdown renders the notebooks; formulas become MathML here, so no page needs a script.
"""

import base64
import io
import posixpath
import re
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

from mer_tools.runner import default_out
from mer_utils import MerError
from mer_utils.files import new_folder, read_json, sha256
from mer_utils.study import SYNTHETIC_LINE, find_root, read_suite

import nbformat
from latex2mathml.converter import convert
from nbconvert.filters import ansi2html, clean_html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

NAME = "Dual-view optical flow for 4D micro-expressions"
MARK = '<meta name="generator" content="mer gallery">'  # how a gallery of ours is known
WIDGET = "application/vnd.jupyter.widget-view+json"
# widths that latex2mathml writes and browsers do not know; how many children elements must have
SPACES = {"negativethinmathspace": "-0.167em", "negativemediummathspace": "-0.222em"}
CHILDREN = {"mfrac": 2, "msub": 2, "msup": 2, "msubsup": 3, "munder": 2, "mover": 2}
CHILDREN |= {"munderover": 3, "mroot": 2}


def write_gallery(profile="full", out="", root=None, echo=print):
    """Write the site into the folder ``out`` (default: artifacts/gallery) and return its index.

    Notebooks come with their committed outputs, figures from the last run of ``profile``; ``echo``
    prints which declared figures are missing. Raises MerError if ``out`` is there and no gallery,
    if a figure is not the one that figures.json tells of, and for a formula, picture or link that
    cannot be shown.
    """
    root = Path(root or find_root())
    out = Path(out).resolve() if out else root / "artifacts" / "gallery"
    index = out / "index.html"
    ours = index.is_file() and MARK in index.read_text(encoding="utf-8", errors="replace")
    with new_folder(out, replace=ours) as part:
        for name, data in _Site(root, profile, echo).build().items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return index


def render_math(formula, display=False):
    """Return a LaTeX formula as MathML; raise MerError if any of it cannot be rendered."""
    try:
        tree = _convert(formula, "block" if display else "inline")
    except Exception as error:  # the library raises its own kinds, and writes XML that is none
        raise MerError(f"the formula {formula!r} cannot be rendered ({error!r})") from None
    for node in tree.iter():
        if (node.text or "").startswith("\\"):  # the bracket after a \big
            node.text = "".join(_convert(node.text, "inline").itertext())
        if node.get("width") in SPACES:
            node.set("width", SPACES[node.get("width")])
        wrong = len(node) != CHILDREN.get(node.tag, len(node))
        if wrong or "\\" in (node.text or "") or (node.tag == "mi" and node.text in set("{}&")):
            raise MerError(f"the formula {formula!r} cannot be rendered (at {node.text!r})")
        if node.tag in ("mrow", "mtd"):
            _space_functions(node)
    return ElementTree.tostring(tree, encoding="unicode")


def _convert(formula, display):
    # the library knows the one, not the other; and letters as browsers show them only from braces
    formula = formula.replace("{aligned}", "{align*}")
    formula = re.sub(r"\\math(cal|bb|bf) +([A-Za-z])", r"\\math\1{\2}", formula)
    return ElementTree.fromstring(convert(formula, display=display, xmlns=""))


def _space_functions(row):
    """Put a thin space between "log" and what stands beside it, unless that is an operator."""
    for at in range(len(row) - 1, 0, -1):
        pair = row[at - 1 : at + 1]
        named = any(node.tag == "mi" and len(node.text or "") > 1 for node in pair)
        if named and all(node.tag not in ("mo", "mspace") for node in pair):
            row.insert(at, ElementTree.Element("mspace", width="0.167em"))


def _relate(target, page):
    """Return the link to the file ``target`` of the site from ``page``."""
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def _walk(items):
    """Yield each item with the one before and the one after (None at the ends)."""
    yield from zip([None, *items], items, [*items[1:], None], strict=False)


class _Site:
    """The files of the site (``files``: path -> text or bytes) and what its pages share."""

    def __init__(self, root, profile, echo):
        self.root, self.profile, self.files = root, profile, {}
        suite = read_suite(root)
        folder = default_out(root, suite, profile, "")
        self.told = read_json(folder / "figures.json")
        about = read_json(folder / "results.json").get("data", {})
        self.note = f"{SYNTHETIC_LINE} " if about.get("synthetic") else ""
        self.books = [
            _Book(self, number, f"notebooks/{entry['file']}.ipynb", entry["figures"])
            for number, entry in suite["notebooks"].items()
        ]
        for book in self.books:
            solutions = sorted((root / "notebooks" / "solutions").glob(f"{book.number}_*.ipynb"))
            paths = [path.relative_to(root).as_posix() for path in solutions]
            book.solutions = [_Book(self, book.number, path, []) for path in paths]
        self.figures = {name: book for book in self.books for name in book.figures}
        missing = [name for entry in suite["notebooks"].values() for name in entry["figures"]]
        missing = [name for name in missing if name not in self.figures]
        if missing:
            made = f"`mer run --profile {profile}` makes them"
            echo(f"left out, not yet in {folder.name}/figures.json: {', '.join(missing)}; {made}")
        for name in self.figures:
            path = folder / f"{name}.png"
            if not path.is_file() or sha256(path) != self.told[name]["sha256"]:
                again = f"run `mer run --profile {profile}` again"
                raise MerError(path, f"not the picture that figures.json tells of; {again}")
            self.files[f"figures/{name}.png"] = path.read_bytes()
        # what a link to a file of the repository leads to
        books = [page for book in self.books for page in (book, *book.solutions)]
        self.pages = {book.source: book.page for book in books}
        self.pages |= {f"figures/{name}.png": f"figures/{name}.html" for name in self.figures}

    def build(self):
        """Return all files of the site."""
        for row in (self.books, [page for book in self.books for page in book.solutions]):
            for before, book, after in _walk(row):
                near = [other and (other.page, other.title) for other in (before, after)]
                self.add(book.page, book.title, book.render(), *near)
        for before, name, after in _walk(list(self.figures)):
            near = [other and (f"figures/{other}.html", other) for other in (before, after)]
            self.add(f"figures/{name}.html", name, self._write_figure(name), *near)
        self.add("index.html", NAME, self._write_index())
        self.files["style.css"] = Path(__file__).with_suffix(".css").read_bytes()
        return self.files

    def add(self, path, title, main, before=None, after=None):
        """Add a page around the HTML ``main``; ``before`` and ``after`` are (path, title)."""
        index, style = _relate("index.html", path), _relate("style.css", path)
        name = title if title == NAME else f"{title} – {NAME}"
        near = "".join(
            f'<a rel="{rel}" href="{_relate(page[0], path)}">{word}: {escape(page[1])}</a> '
            for rel, word, page in (("prev", "Previous", before), ("next", "Next", after))
            if page
        )
        near = near and f'<nav class="near" aria-label="Previous and next">{near}</nav>'
        self.files[path] = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{MARK}
<title>{escape(name)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{style}">
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><nav aria-label="Gallery"><a href="{index}">{NAME}</a>
<a href="{index}#notebooks">Notebooks</a> <a href="{index}#figures">Figures</a></nav></header>
<main id="main">
{main}
{near}
</main>
<footer><p>{self.note}Made by <code>mer gallery</code>; code under the MIT licence.</p></footer>
</body>
</html>
"""

    def write_image(self, path, page, alt, width=None):
        """Return the tag of a picture of the site, with its size so that nothing jumps."""
        wide, high = Image.open(io.BytesIO(self.files[path])).size
        width = int(width or wide)
        return (
            f'<img src="{_relate(path, page)}" alt="{escape(alt)}" '
            f'width="{width}" height="{round(high * width / wide)}">'
        )

    def _write_figure(self, name):
        told, book, page = self.told[name], self.figures[name], f"figures/{name}.html"
        parameters = ", ".join(f"{key} = {value!r}" for key, value in told["parameters"].items())
        data = told["data"] or {"name": "none", "fingerprint": ""}
        rows = {
            "Notebook": f'<a href="{_relate(book.page, page)}">{escape(book.title)}</a>',
            "Profile": self.profile,
            "Parameters": escape(parameters),
            "Data": escape(f"{data['name']} {data['fingerprint']}".strip()),
            "Code": told["code"],
            "Kernels": escape(told["kernels"]),
            "SHA-256 of the picture": told["sha256"],
            "Made by": f"<code>mer run --profile {self.profile} --only {book.number}</code>",
        }
        rows = "".join(f'<tr><th scope="row">{k}</th><td>{v}</td></tr>\n' for k, v in rows.items())
        image = self.write_image(f"figures/{name}.png", page, told["alt"])
        return f"""<h1>{name}</h1>
<figure class="large"><a href="{name}.png">{image}</a>
<figcaption>{escape(told["caption"])}</figcaption></figure>
<h2>In words</h2>
<p>{escape(told["alt"])}</p>
<h2>Where it comes from</h2>
<table class="origin">
{rows}</table>"""

    def _write_index(self):
        index, books, figures = "index.html", "", ""
        for book in self.books:
            solutions = "".join(
                f'<p><a href="{page.page}">Solutions of {book.number}</a></p>'
                for page in book.solutions
            )
            drawn = [(f"figures/{name}.png", self.told[name]["alt"]) for name in book.figures]
            images = (self.write_image(path, index, alt) for path, alt in drawn + book.pictures)
            books += f'<li><h3><a href="{book.page}">{escape(book.title)}</a></h3>'
            books += f"{next(images, '')}<p>{escape(book.question)}</p>{solutions}</li>\n"
        for name in self.figures:
            image = self.write_image(f"figures/{name}.png", index, self.told[name]["alt"])
            figures += f'<li><h3><a href="figures/{name}.html">{name}</a></h3>{image}'
            figures += f"<p>{escape(self.told[name]['caption'])}</p></li>\n"
        return f"""<h1>{NAME}</h1>
<p>A course of {len(self.books)} notebooks that teaches and measures the method, step by step, and
the figures it makes. The notebooks show what they print on their own small set; the figures are of
the profile <em>{self.profile}</em>.</p>
<h2 id="notebooks">Notebooks</h2>
<ul class="cards">
{books}</ul>
<h2 id="figures">Figures</h2>
<ul class="cards">
{figures}</ul>"""


class _Book:
    """One notebook: its cells, and what other pages say of it."""

    def __init__(self, site, number, source, figures):
        self.site, self.number, self.source = site, number, source
        self.page = f"{source.removesuffix('.ipynb')}.html"
        self.figures = [name for name in figures if name in site.told]
        self.pictures = []  # (path, alt) of those on its page
        try:
            self.cells = nbformat.read(site.root / source, as_version=4).cells
        except (OSError, ValueError) as error:
            raise MerError(source, f"not readable as a notebook ({error})") from None
        lines = [line for line in self.cells[0].source.splitlines() if line.strip()]
        self.title, self.question = lines[0].lstrip("# "), lines[1].strip("*") if lines[1:] else ""
        self.solutions = []

    def render(self):
        """Return the notebook's cells as HTML, with a list of its sections."""
        self.text = _Text(self)
        parts = []
        for at, cell in enumerate(self.cells, 1):
            self.text.where = f"{self.source}, cell {at}"
            if cell.cell_type == "markdown":
                parts.append(self.text.render(cell.source))
            elif cell.cell_type == "code" and (cell.source.strip() or cell.outputs):
                outputs = self._write_outputs(cell, cell.execution_count or at)
                parts.append(f'<div class="cell">{_write_code(cell.source)}\n{outputs}</div>\n')
        first = next((n for n, part in enumerate(parts) if "<h2" in part), len(parts))
        parts.insert(first, self.text.list_sections())
        return "".join(parts)

    def _write_outputs(self, cell, number):
        parts, outputs = [], list(cell.outputs)
        while outputs:
            output = outputs.pop(0)
            data = output.get("data", {})
            if output.output_type == "stream":
                parts.append(_write_text(output.text, output.name))
            elif output.output_type == "error":
                parts.append(_write_text("\n".join(output.traceback), "stderr"))
            elif "image/png" in data:
                caption = ""
                if outputs and "text/markdown" in outputs[0].get("data", {}):
                    caption = self.text.render(outputs.pop(0).data["text/markdown"])
                parts.append(self._write_picture(cell, output, number, caption))
            elif "text/markdown" in data:
                parts.append(self.text.render(data["text/markdown"]))
            elif WIDGET in data:
                parts.append("<p>A demo stands here: open the notebook to move it.</p>")
            elif "text/html" in data:
                table = clean_html(data["text/html"])
                parts.append(f'<div class="scroll" tabindex="0">{table}</div>')
            elif "text/plain" in data:
                parts.append(_write_text(data["text/plain"], "result"))
        return "\n".join(parts)

    def _write_picture(self, cell, output, number, caption):
        """Write the picture of an output into the site; return it with its caption."""
        about = output.metadata.get("image/png", {})
        saved = [name for name in self.figures if f'"{name}"' in cell.source]
        alt = about.get("alt") or (self.site.told[saved[0]]["alt"] if saved else "")
        alt = alt or f"Output of cell {number} in section {self.text.section}"
        path = f"{self.page.removesuffix('.html')}-{len(self.pictures) + 1}.png"
        self.pictures.append((path, alt))
        self.site.files[path] = base64.b64decode(output.data["image/png"])
        image = self.site.write_image(path, self.page, alt, about.get("width"))
        for name in saved:
            link = _relate(f"figures/{name}.html", self.page)
            caption += f'<p><a href="{link}">{name} and where it comes from</a></p>'
        caption = caption and f"<figcaption>{caption}</figcaption>"
        return f"<figure>{image}{caption}</figure>"


def _write_code(source, language="python"):
    """Return code as HTML, its words marked by Pygments' classes."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = get_lexer_by_name("text")
    code = highlight(source, lexer, HtmlFormatter(nowrap=True)).rstrip()
    return f'<pre class="code" tabindex="0"><code>{code}</code></pre>'


def _write_text(text, kind):
    return f'<pre class="{kind}" tabindex="0">{ansi2html(text).rstrip()}</pre>'


class _Text(IPythonRenderer):
    """nbconvert's renderer, with the links, formulas, headings and tables of the site."""

    def __init__(self, book):
        super().__init__(escape=False, exclude_anchor_links=True)
        self.book, self.site, self.where = book, book.site, book.source
        self.headings, self.section = [], book.title
        self.render = MarkdownWithMath(renderer=self).render

    def heading(self, text, level, **attrs):
        """Render a heading: one h1 a page, no level left out, an id as Jupyter gives it."""
        level = min(max(level, 2), self.headings[-1][0] + 1) if self.headings else 1
        self.section = unescape(re.sub("<[^>]*>", "", text))
        name = self.section.replace(" ", "-")
        taken = [other for _, other, _ in self.headings]
        name += f"-{len(taken)}" if name in taken else ""
        self.headings.append((level, name, text))
        return f'<h{level} id="{escape(name)}">{text}</h{level}>\n'

    def list_sections(self):
        """Return links to the headings of second rank."""
        links = "".join(
            f'<li><a href="#{escape(name)}">{text}</a></li>\n'
            for level, name, text in self.headings
            if level == 2
        )
        sections = f'<nav aria-label="Sections"><ul>\n{links}</ul></nav>'
        return f"<details><summary>Sections</summary>{sections}</details>\n" if links else ""

    def link(self, text, url, title=None):
        """Render a link: to a page of the site or the web; of other files the path is shown."""
        file, _, part = url.partition("#")
        if not file or re.match("(https?|mailto):", url):
            return f'<a href="{escape(url)}">{text}</a>'
        path = posixpath.normpath(
            posixpath.join(posixpath.dirname(self.book.source), unquote(file))
        )
        if path in self.site.pages:
            url = _relate(self.site.pages[path], self.book.page) + (part and f"#{part}")
            return f'<a href="{escape(url)}">{text}</a>'
        if path.startswith("..") or not (self.site.root / path).exists():
            raise MerError(self.where, f"links to {url}, which is not in the repository")
        return text if path in text else f"{text} (<code>{escape(path)}</code>)"

    def image(self, text, url, title=None):
        """Refuse a picture: those of a notebook are drawn by its cells."""
        raise MerError(self.where, f"the picture {url} is not made by a cell; the gallery lacks it")

    def block_code(self, code, info=None):
        """Render a fenced block of code."""
        return _write_code(code, (info or "text").split()[0]) + "\n"

    def table(self, text):
        """Render a table that scrolls inside itself."""
        return f'<div class="scroll" tabindex="0"><table>\n{text}</table></div>\n'

    def table_cell(self, text, align=None, head=False):
        """Render a cell of a table; the first row's are headers of their columns."""
        tag = 'th scope="col"' if head and text else "td"
        style = f' style="text-align:{align}"' if align else ""
        return f"<{tag}{style}>{text}</{tag.split()[0]}>"

    def block_math(self, body):
        """Render a displayed formula."""
        return f'<span class="scroll" tabindex="0">{self.inline_math(body, True)}</span>'

    def latex_environment(self, name, body):
        """Render a displayed formula that is an environment (align, cases)."""
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")

    def inline_math(self, body, display=False):
        """Render a formula."""
        try:
            return render_math(body.strip(), display)
        except MerError as error:
            raise error.seen_from(self.where) from None
