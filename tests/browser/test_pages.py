"""The gallery's pages, opened from disk: they ask for nothing else, axe finds no fault, and a
phone needs no sideways scroll.
"""

from pathlib import Path

from mer_tools.gallery import write_gallery

import pytest
from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).parents[2]
AXE = {"resultTypes": ["violations"], "preload": False}  # fetches nothing from disk itself
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The gallery, in a folder away from the repository."""
    return write_gallery(out=tmp_path_factory.mktemp("site") / "gallery", root=ROOT).parent


@pytest.fixture
def pages(site, browser):
    """Every page of the site, opened one after another in one tab: (path, tab)."""
    tab, asked = browser.new_page(), []
    tab.on("request", lambda request: asked.append(request.url))

    def visit():
        for path in sorted(site.rglob("*.html")):
            tab.goto(path.as_uri())
            yield path.relative_to(site).as_posix(), tab

    yield visit()
    tab.close()
    assert asked, "the site has no pages"
    strangers = {url for url in asked if not url.startswith((site.as_uri(), "data:"))}
    assert not strangers, "asked for what is not in the site"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(scheme, pages, pictures):
    wrong, kept = [], set()
    for path, page in pages:
        page.emulate_media(color_scheme=scheme)
        for fault in Axe().run(page, options=AXE).response["violations"]:
            where = fault["nodes"][0]["html"][:200]
            wrong.append(f"{path}: {fault['id']}, {len(fault['nodes'])} times, first {where}")
        keep(page, path, scheme, kept, pictures)
    assert not wrong, "\n".join(wrong)


def test_a_phone_needs_no_sideways_scroll(pages, pictures):
    wrong, kept = [], set()
    for path, page in pages:
        page.set_viewport_size(PHONE)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            wrong.append(f"{path} is {width} px wide")
        keep(page, path, "phone", kept, pictures)
    assert not wrong, "\n".join(wrong)


def test_every_picture_is_there_and_has_words(pages):
    missing = """() => [...document.images].filter(
        image => !(image.complete && image.naturalWidth && image.alt)).map(image => image.src)"""
    wrong = {path: page.evaluate(missing) for path, page in pages}
    assert not {path: found for path, found in wrong.items() if found}


def keep(page, path, name, kept, pictures):
    """Keep a picture of the first page of each folder."""
    folder = path.rpartition("/")[0].replace("/", "-") or "index"
    if folder not in kept:
        kept.add(folder)
        page.screenshot(path=pictures / f"gallery-{folder}-{name}.png")
