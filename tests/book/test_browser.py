"""The built pages, opened from their folder in a browser as a reader opens them.

SCGCNET_BOOK names a folder of built pages (build/book/_build/html) to look at instead of building the smoke book.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import browser
import pytest
from browser import DESKTOP, PHONE, Visit, look, settle
from playwright.sync_api import BrowserContext, Page, expect

from scgcnet.study.book import HTML, toc_pages

CHAPTERS = toc_pages(Path(__file__).resolve().parents[2] / "_toc.yml")
SEARCHED = ("anatomy", "network")  # a word, and the page that has it
PAGES = [(page, width) for page in (*CHAPTERS, "search", "genindex") for width in (DESKTOP, PHONE)]


# Of the module, not of the session: playwright keeps an event loop running, in which no other test can start its own.
@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    expect.set_options(timeout=20_000)  # a busy machine
    with browser.open_browser(browser.find_browser()) as opened:
        yield opened


@pytest.fixture(scope="module")
def html(context: BrowserContext, request: pytest.FixtureRequest) -> Path:
    """The folder of built pages. Takes the browser first: without one there is no need to build."""
    if named := os.environ.get("SCGCNET_BOOK"):
        return Path(named).resolve()
    folder: Path = request.getfixturevalue("smoke_book")
    return folder / HTML


@pytest.fixture(scope="module", params=PAGES, ids=[f"{page}-{width}px" for page, width in PAGES])
def opened(html: Path, context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Every page in turn, wide and narrow, opened once for all that is asked of it."""
    page, width = request.param
    opened = browser.visit(context, (html / f"{page}.html").as_uri(), width)
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

    def test_accessible(self, opened: Visit) -> None:
        """The dark theme in the wide window alone: it changes colours, which are the same in both, and axe is slow."""
        for theme in ("dark", "light") if opened.page.viewport_size["width"] == DESKTOP else ("light",):
            look(opened.page, theme)
            assert browser.axe_violations(opened.page) == [], theme
            assert browser.overflow(opened.page) == [], theme

    def test_keyboard(self, opened: Visit) -> None:
        look(opened.page, "light")
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
    start.set_viewport_size({"width": PHONE, "height": 900})
    start.reload()
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


def page_of(body: str) -> str:
    """A page of which only the body can be at fault."""
    return f"<!DOCTYPE html><html lang='en'><head><title>A page</title></head><body><main>{body}</main></body></html>"


class TestTheChecks:
    """Each finds what it is there for, on a page that has this one fault, and nothing on a page that has none."""

    @pytest.fixture
    def show(self, tmp_path: Path, context: BrowserContext) -> Iterator[Callable[[str], Visit]]:
        shown = []

        def show(body: str) -> Visit:
            (tmp_path / "page.html").write_text(page_of(body), encoding="utf-8")
            shown.append(browser.visit(context, (tmp_path / "page.html").as_uri()))
            look(shown[-1].page, "light")
            return shown[-1]

        yield show
        for opened in shown:
            opened.page.close()

    def test_a_good_page(self, show: Callable[[str], Visit]) -> None:
        opened = show(
            "<h1>Good</h1><article><figure><img alt='a dot' src='data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEA"
            "AAAALAAAAAABAAEAAAIBRAA7'><figcaption>Dot</figcaption></figure></article><p>It costs $5 or so.</p>"
            "<table><caption>T</caption><tr><th scope='col'>a</th></tr><tr><td>1</td></tr></table>"
            "<a href='#p'>there</a><button>press</button>"
            "<p id='p'><span class='math'><mjx-container>x</mjx-container></span></p>"
            "<div tabindex='0' style='width: 100px; overflow: auto'><p style='width: 900px'>wide</p></div>"
        )
        assert opened.complaints == browser.remote_requests(opened) == []
        for check in (
            browser.bad_mathematics,
            browser.bad_pictures_and_tables,
            browser.dead_links,
            browser.axe_violations,
            browser.overflow,
            browser.keyboard_faults,
        ):
            assert check(opened.page) == [], check.__name__

    @pytest.mark.parametrize(
        "tag",
        [
            "<script src='https://cdn.example/x.js'></script>",
            "<img alt='x' src='http://cdn.example/x.png'>",
            "<style>@import 'https://cdn.example/x.css';</style>",
            "<style>@font-face { font-family: x; src: url(//cdn.example/x.woff) } p { font-family: x }</style><p>x</p>",
            "<iframe title='x' src='https://cdn.example/'></iframe>",
            "<script>fetch('https://cdn.example/x.json').catch(() => 0)</script>",
            "<script>new WebSocket('wss://cdn.example/')</script>",
            "<link rel='preconnect' href='https://cdn.example/'>",
            "<link rel='dns-prefetch' href='//cdn.example'>",
        ],
    )
    def test_what_leaves_the_machine(self, show: Callable[[str], Visit], tag: str) -> None:
        assert any("cdn.example" in url for url in browser.remote_requests(show(tag)))

    @pytest.mark.parametrize(
        ("tag", "complaint"),
        [
            ("<script>console.error('broken')</script>", "broken"),
            ("<script>console.warn('careful')</script>", "careful"),
            ("<script>gone()</script>", "gone is not defined"),
            ("<script>Promise.reject(new Error('late'))</script>", "late"),
            ("<script src='gone.js'></script>", "gone.js"),
            ("<script>fetch('data.json').catch(() => 0)</script>", "data.json"),
        ],
    )
    def test_complaints(self, show: Callable[[str], Visit], tag: str, complaint: str) -> None:
        assert any(complaint in told for told in show(tag).complaints)

    @pytest.mark.parametrize(
        ("check", "body", "fault"),
        [
            (browser.bad_mathematics, "<span class='math'>x^2</span>", "formula not typeset: x^2"),
            (
                browser.bad_mathematics,
                "<div class='math'><mjx-container><mjx-merror>\\x</mjx-merror></mjx-container></div>",
                "formula with an error: \\x",
            ),
            (browser.bad_mathematics, "<p>where $x$ is</p>", "raw mathematics: where $x$ is"),
            (browser.bad_mathematics, "<p>where \\(x\\) is</p>", "raw mathematics: where \\(x\\) is"),
            (browser.bad_pictures_and_tables, "<img alt='x' src='gone.png'>", "image does not decode: gone.png"),
            (browser.bad_pictures_and_tables, "<img src='a.png'>", "image without alternative text: a.png"),
            (browser.bad_pictures_and_tables, "<img alt=' ' src='a.png'>", "image without alternative text: a.png"),
            (browser.bad_pictures_and_tables, "<article><img alt='x' src='a.png'></article>", "figure without caption"),
            (browser.bad_pictures_and_tables, "<table><tr><td>1</td></tr></table>", "table without name: 1"),
            (browser.dead_links, "<a href='gone.html'>x</a>", "leads nowhere"),
            (browser.dead_links, "<a href='page.html#gone'>x</a>", "no such place"),
            (browser.axe_violations, "<p style='color: #aaa'>pale</p>", "color-contrast: p"),
            (browser.axe_violations, "<img src='a.png'>", "image-alt: img"),
            (browser.axe_violations, "<button></button>", "button-name: button"),
            (browser.overflow, "<div style='width: 2000px'>wide</div>", "<div style"),
            (browser.keyboard_faults, "<a href='#'>x</a><button tabindex='-1'>x</button>", "not reached: <button"),
            (browser.keyboard_faults, "<a href='#'>x</a><span onclick='f()'>x</span>", "not reached: <span"),
            (browser.keyboard_faults, "<button style='outline: none'>x</button>", "focus does not show: <button"),
            (
                browser.keyboard_faults,
                "<a href='#' style='position: absolute; left: -900px'>x</a>",
                "focused out of sight: <a",
            ),
            (browser.keyboard_faults, "<a href='#' style='opacity: 0'>x</a>", "focused out of sight: <a"),
            (
                browser.keyboard_faults,
                "<input aria-label='x' onkeydown='event.preventDefault()'><a href='#'>x</a>",
                "not reached: <a",
            ),
            (
                browser.keyboard_faults,
                "<a href='#'>x</a><input aria-label='x' onkeydown='event.preventDefault()'>",
                "the focus does not come round",
            ),
        ],
    )
    def test_faults(
        self, show: Callable[[str], Visit], check: Callable[[Page], list[str]], body: str, fault: str
    ) -> None:
        assert any(found.startswith(fault) for found in check(show(body).page))


class TestNoBrowser:
    @pytest.fixture(autouse=True)
    def none_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shutil.which", lambda name: None)

    def test_fails_on_continuous_integration(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI", "true")
        with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
            browser.find_browser()

    def test_is_skipped_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CI", raising=False)
        with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
            browser.find_browser()
