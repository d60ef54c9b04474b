"""The book's pages, opened from disk: formulas are drawn, nothing is asked for that is not there,
axe finds no fault, and a phone needs no sideways scroll.
"""

from pathlib import Path

from mer_tools.book import write_book

import pytest
from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).parents[2]
AXE = {
    "resultTypes": ["violations"],
    "preload": False,  # fetches nothing from disk itself
    # RESULTS.md and notebook 00 have tables whose first column needs no name
    "rules": {"empty-table-header": {"enabled": False}},
}
PHONE = {"width": 360, "height": 740}
DARK = ("docs/index", "figures/RESULTS", "notebooks/03_optical_flow")  # looked at in the dark, too
DRAWN = """() => !window.MathJax || MathJax.isReady && !MathJax.Hub.queue.pending
    && !document.querySelector('.MathJax_Processing, .MathJax_Processed')"""

# pictures that are not there or have no words, and formulas that are no formulas
MISSING = """() => [
    ...[...document.images].filter(image => !image.naturalWidth || !image.alt).map(i => i.src),
    ...[...document.querySelectorAll('article .math.notranslate')].filter(
        math => !math.querySelector('.MathJax .mrow')).map(math => math.textContent),
    ...[...document.querySelectorAll('.MathJax_Error, .merror')].map(error => error.textContent)]"""

# the pictures of a demo that are to be seen
SEEN = """demo => [...demo.querySelectorAll('img')].filter(
    image => image.checkVisibility()).map(image => image.src)"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The book, in a folder away from the repository."""
    return write_book(tmp_path_factory.mktemp("site") / "book", ROOT).parent


def test_pages_are_drawn_open_to_all_and_fit_a_phone(site, browser):
    page, asked, wrong = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    for file in sorted(site.glob("[dnf]*/**/*.html")):  # docs, data, notebooks, figures
        path = file.relative_to(site).with_suffix("").as_posix()
        page.set_viewport_size({"width": 1400, "height": 1000})
        page.goto(file.as_uri())
        page.wait_for_function(DRAWN)
        page.add_style_tag(content="* { transition: none !important }")  # axe sees final colours
        wrong += [f"{path}: {what} is not shown" for what in page.evaluate(MISSING)]
        for scheme in ("dark", "light") if path in DARK else ("light",):
            page.emulate_media(color_scheme=scheme)
            for fault in Axe().run(page, options=AXE).response["violations"]:
                where = fault["nodes"][0]["html"][:200]
                wrong.append(f"{path}, {scheme}: {fault['id']}, first {where}")
        page.set_viewport_size(PHONE)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            wrong.append(f"{path} is {width} px wide on a phone")
    page.close()
    wrong += {f"asked for {url}" for url in asked if not url.startswith((site.as_uri(), "data:"))}
    assert asked and not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["03_optical_flow", "05_training", "06_evaluation"])
def test_a_demo_moves_without_a_kernel(name, site, browser):
    page = browser.new_page()
    page.goto((site / "notebooks" / f"{name}.html").as_uri())
    demo = page.locator(".mer-still:has(input)")
    (before,) = demo.evaluate(SEEN)
    demo.locator("input").press("End")
    (after,) = demo.evaluate(SEEN)
    assert after != before
    page.close()


def test_the_search_finds_a_word(site, browser):
    page = browser.new_page()
    page.goto(f"{(site / 'search.html').as_uri()}?q=Farneback")
    page.locator("#search-results li a").first.wait_for()
    page.close()
