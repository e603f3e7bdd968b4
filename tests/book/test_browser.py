"""The built pages, opened from their folder in a browser as a reader opens them.

SCGCNET_BOOK names a folder of built pages (build/book/_build/html) to look at instead of building the smoke book.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from browser import DESKTOP, PHONE, Visit, look, settle
from playwright.sync_api import BrowserContext, Page, expect

from scgcnet.study.book import HTML, toc_pages

CHAPTERS = toc_pages(Path(__file__).resolve().parents[2] / "_toc.yml")
SEARCHED = ("anatomy", "network")  # a word, and the page that has it

pytestmark = pytest.mark.xdist_group("book")


# Of the module, not of the session: playwright keeps an event loop running, in which no other test can start its own.
@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with browser.open_browser(browser.find_browser()) as opened:
        yield opened


@pytest.fixture(scope="module")
def html(context: BrowserContext, request: pytest.FixtureRequest) -> Path:
    """The folder of built pages. Takes the browser first: without one there is no need to build."""
    if named := os.environ.get("SCGCNET_BOOK"):
        return Path(named).resolve()
    folder: Path = request.getfixturevalue("smoke_book")
    return folder / HTML


@pytest.fixture(scope="module", params=[*CHAPTERS, "search", "genindex"])
def opened(html: Path, context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Every page in turn, opened once for all that is asked of it."""
    opened = browser.visit(context, (html / f"{request.param}.html").as_uri())
    yield opened
    opened.page.close()


@pytest.fixture
def start(html: Path, context: BrowserContext) -> Iterator[Page]:
    """The first page, fresh, for those who change it or go on from it; nothing may be complained of at the end."""
    opened = browser.visit(context, (html / f"{CHAPTERS[0]}.html").as_uri())
    yield opened.page
    opened.page.evaluate("localStorage.clear()")
    opened.page.close()
    assert opened.complaints == []


class TestEveryPage:
    def test_mathematics(self, opened: Visit) -> None:
        assert browser.bad_mathematics(opened.page) == []

    def test_pictures_and_tables(self, opened: Visit) -> None:
        assert browser.bad_pictures_and_tables(opened.page) == []

    def test_links(self, opened: Visit) -> None:
        assert browser.dead_links(opened.page) == []

    @pytest.mark.parametrize("width", [DESKTOP, PHONE])
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_accessible(self, opened: Visit, theme: str, width: int) -> None:
        look(opened.page, theme, width)
        assert opened.page.evaluate("document.documentElement.dataset.theme") == theme
        assert browser.axe_violations(opened.page) == []
        assert browser.overflow(opened.page) == []

    @pytest.mark.parametrize("width", [DESKTOP, PHONE])
    def test_keyboard(self, opened: Visit, width: int) -> None:
        look(opened.page, "light", width)
        assert browser.keyboard_faults(opened.page) == []

    def test_nothing_leaves_the_machine_and_no_script_complains(self, opened: Visit) -> None:
        """Last, after all that the other tests did to the page."""
        assert browser.remote_requests(opened) == []
        assert opened.complaints == []


def test_mathematics_and_figures_are_there_to_be_checked(html: Path) -> None:
    pages = [(html / f"{name}.html").read_text() for name in CHAPTERS]
    assert all(any(mark in page for page in pages) for mark in ('class="math', "<figure", "<table"))


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
    assert seen == CHAPTERS


def test_run_files_open(start: Page) -> None:
    links = start.eval_on_selector_all("a[href$='.json']", "links => links.map(link => link.href)")
    assert links
    for link in sorted(set(links)):
        start.goto(link)
        assert json.loads(start.inner_text("pre"))["run_id"] == Path(link).stem


def test_search_by_keyboard(start: Page) -> None:
    word, page = SEARCHED
    start.keyboard.press("Control+k")
    start.keyboard.type(word)
    start.keyboard.press("Enter")
    found = start.locator(f"#search-results a[href^='{page}.html']").first
    expect(found).to_be_visible()
    expect(start.locator("#search-results")).to_contain_text("Search finished")
    assert browser.axe_violations(start) == []
    found.press("Enter")
    start.wait_for_url(f"**/{page}.html*")


def test_search_for_what_is_not_there(start: Page) -> None:
    start.locator(".search-button-field").press("Enter")
    start.keyboard.type("qwertyuiop")
    start.keyboard.press("Enter")
    expect(start.locator("#search-results")).to_contain_text("did not match any documents")


def test_theme_switch_by_keyboard(start: Page) -> None:
    switch = start.locator(".theme-switch-button:visible")
    seen = []
    for _ in range(3):
        switch.press("Enter")
        seen.append(start.evaluate("document.documentElement.dataset.mode"))
    assert sorted(seen) == ["auto", "dark", "light"]
    while start.evaluate("document.documentElement.dataset.mode") != "dark":
        switch.press("Enter")
    start.reload()
    assert start.evaluate("document.documentElement.dataset.theme") == "dark"


def test_copy_button_by_keyboard(start: Page) -> None:
    cell = start.locator(".cell_input").first
    cell.locator(".copybtn").press("Enter")
    start.keyboard.press("Control+k")
    start.keyboard.press("Control+v")
    copied = start.locator("#pst-search-dialog input").input_value()
    assert copied and copied.split() == cell.locator("pre").inner_text().split()


def test_wide_sidebar_by_keyboard(start: Page) -> None:
    sidebar = start.locator("#pst-primary-sidebar")
    button = start.locator(".primary-toggle")
    expect(sidebar).to_be_visible()
    button.press("Enter")
    expect(sidebar).to_be_hidden()
    expect(button).to_be_focused()
    start.keyboard.press("Enter")
    expect(sidebar).to_be_visible()


@pytest.mark.parametrize("side", ["primary", "secondary"])
def test_narrow_sidebar_by_keyboard(start: Page, side: str) -> None:
    look(start, "light", PHONE)
    button = start.locator(f".{side}-toggle")
    button.press("Enter")
    sidebar = start.locator(f"#pst-{side}-sidebar-modal")
    expect(sidebar).to_be_visible()
    links = sidebar.locator("a:visible")
    expect(links.first).to_be_focused()
    for index in range(1, links.count()):
        start.keyboard.press("Tab")
        expect(links.nth(index)).to_be_focused()
    settle(start)
    assert browser.axe_violations(start) == []
    start.keyboard.press("Escape")
    expect(sidebar).to_be_hidden()
    expect(button).to_be_focused()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_opens_is_accessible(start: Page, theme: str) -> None:
    look(start, theme)
    start.locator(".dropdown-download-buttons button").first.press("Enter")
    expect(start.locator(".dropdown-download-buttons .dropdown-menu")).to_be_visible()
    settle(start)
    assert browser.axe_violations(start) == []
    start.keyboard.press("Escape")
    start.keyboard.press("Control+k")
    expect(start.locator("#pst-search-dialog")).to_be_visible()
    settle(start)
    assert browser.axe_violations(start) == []
