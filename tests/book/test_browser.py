"""The built book: every chapter executed, and its pages in a browser, opened from their folder.

SCGCNET_BOOK names a folder of built pages (build/book/_build/html) to open instead of building the smoke book.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from browser import DESKTOP, PHONE, Visit, look
from playwright.sync_api import BrowserContext, Page, expect

from scgcnet.study import load_plan
from scgcnet.study.book import HTML, toc_pages

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).resolve().parents[2]
FIRST, FORMULAS, PICTURES = "start", "network", "bijie"
# All of the theme's parts: a long list of tables, mathematics and a diagram, pictures and plots.
PAGES = [(page, width) for page in (FIRST, FORMULAS, PICTURES) for width in (DESKTOP, PHONE)]


@pytest.fixture(scope="module")
def html(context: BrowserContext, request: pytest.FixtureRequest) -> Path:
    """The folder of built pages. Takes the browser first: without one there is no need to build."""
    if named := os.environ.get("SCGCNET_BOOK"):
        return Path(named).resolve()
    folder: Path = request.getfixturevalue("smoke_book")
    return folder / HTML


@pytest.fixture(params=PAGES, ids=[f"{page}-{width}px" for page, width in PAGES])
def opened(html: Path, context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Visit]:
    page, width = request.param
    opened = browser.visit(context, (html / f"{page}.html").as_uri(), width)
    yield opened
    opened.page.close()


@pytest.fixture
def start(html: Path, context: BrowserContext) -> Iterator[Page]:
    """The first page; nothing may be complained of at the end."""
    opened = browser.visit(context, (html / f"{FIRST}.html").as_uri())
    yield opened.page
    opened.page.evaluate("localStorage.clear()")
    opened.page.close()
    assert opened.complaints == []


@pytest.mark.skipif("SCGCNET_BOOK" in os.environ, reason="SCGCNET_BOOK names pages that are built already")
def test_every_chapter_is_executed(smoke_book: Path) -> None:
    executed = {path.stem for path in (smoke_book / "build" / "chapters" / "smoke").glob("*.ipynb")}
    assert executed == set(load_plan(REPOSITORY / "study.yml").chapters)


def test_a_page(opened: Visit) -> None:
    """Accessible, no wider than the window, complete without a network, and no script fails."""
    page = opened.page
    # The dark theme in the wide window alone: it changes colours, which are the same in both, and axe is slow.
    for theme in ("light", "dark") if page.viewport_size == {"width": DESKTOP, "height": 900} else ("light",):
        look(page, theme)
        assert browser.axe_violations(page) == [], theme
        assert browser.overflow(page) == [], theme
    images = "images => images.filter(i => !i.complete || !i.naturalWidth || !i.alt.trim()).map(i => i.src)"
    assert page.eval_on_selector_all("img", images) == []
    raw = "all => all.filter(e => !e.querySelector('mjx-container:not(:has(mjx-merror))')).map(e => e.innerText)"
    assert page.eval_on_selector_all(".math", raw) == []
    assert browser.remote_requests(opened) == []
    assert opened.complaints == []


def test_mathematics_pictures_and_tables_are_there_to_be_checked(html: Path) -> None:
    assert 'class="math' in (html / f"{FORMULAS}.html").read_text("utf-8")
    assert all(mark in (html / f"{PICTURES}.html").read_text("utf-8") for mark in ("<figure", "<table"))


def test_from_page_to_page(start: Page, html: Path) -> None:
    """By the links at the foot of the pages, from the first, where index.html leads, to the last."""
    first = start.url
    start.goto((html / "index.html").as_uri())
    start.wait_for_url(first)
    seen = [Path(start.url).stem]
    while (link := start.locator(".prev-next-area .right-next")).count():
        link.click()
        start.wait_for_load_state()
        seen.append(Path(start.url).stem)
    assert seen == toc_pages(REPOSITORY / "_toc.yml")


def test_search_by_keyboard(start: Page) -> None:
    start.keyboard.press("Control+k")
    start.keyboard.type("calibration")
    start.keyboard.press("Enter")
    found = start.locator(f"#search-results a[href^='{FORMULAS}.html']").first
    expect(found).to_be_visible()
    found.press("Enter")
    start.wait_for_url(f"**/{FORMULAS}.html*")


def test_theme_switch_by_keyboard(start: Page) -> None:
    switch = start.locator(".theme-switch-button:visible")
    for _ in range(3):
        switch.press("Enter")
        if start.evaluate("document.documentElement.dataset.mode") == "dark":
            break
    start.reload()
    assert start.evaluate("document.documentElement.dataset.theme") == "dark"
