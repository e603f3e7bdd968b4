"""Pages in a real browser: opening them, and checks that each return what is wrong, one line a fault.

The browser is Debian's Chromium, without a window and without a network; playwright only steers it.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no name is looked up either, which a page's requests would not show
]
DESKTOP, PHONE = 1280, 390  # widths of the window, CSS pixels
LOCAL = ("file", "data", "blob", "about")
# `preload` would fetch the style sheets again, which a browser refuses for a page opened from a folder.
AXE = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "resultTypes": ["violations"],
    "preload": False,
}


def find_browser() -> str:
    """Path of the browser; without one the test fails on continuous integration and is skipped elsewhere."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found:
        return found
    reason = "no chromium on this machine; on Debian: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def open_browser(executable: str) -> Iterator[BrowserContext]:
    """A browser that has never been used."""
    with sync_playwright() as playwright, TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=executable, args=FLAGS, offline=True, reduced_motion="reduce"
        )
        yield context
        context.close()


@dataclass
class Visit:
    """An open page, and what it asked for and complained of since it was opened."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def visit(context: BrowserContext, url: str, width: int = DESKTOP) -> Visit:
    """Open a page in a tab of its own and wait until it stands, mathematics included.

    The width is given before: after a change the theme takes its time to find what scrolls now, for the keyboard.
    """
    opened = Visit(context.new_page())
    page, complaints = opened.page, opened.complaints
    page.set_viewport_size({"width": width, "height": 900})
    page.on("request", lambda request: opened.requests.append(request.url))
    page.on("requestfailed", lambda request: complaints.append(f"{request.url} failed: {request.failure}"))
    page.on("websocket", lambda socket: opened.requests.append(socket.url))
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.on(
        "console", lambda told: told.type in ("error", "warning") and complaints.append(f"{told.type}: {told.text}")
    )
    page.goto(url)
    page.evaluate("window.MathJax?.startup?.promise.then(() => undefined)")
    return opened


def look(page: Page, theme: str) -> None:
    """Show the top of the page as it is with a theme (light, dark), nothing focused, nothing moving."""
    page.emulate_media(color_scheme=theme)
    page.wait_for_function("theme => (document.documentElement.dataset.theme ?? theme) === theme", arg=theme)
    page.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
    settle(page)


def settle(page: Page) -> None:
    """Let a transition of the page come to its end: its colours in between are nobody's choice."""
    page.evaluate("new Promise(requestAnimationFrame).then(() => document.getAnimations().forEach(a => a.finish()))")


def remote_requests(opened: Visit) -> list[str]:
    """What leaves the machine, or gets ready to."""
    links = "link[rel~=preconnect], link[rel~=dns-prefetch], link[rel~=prefetch], link[rel~=prerender]"
    hints = opened.page.eval_on_selector_all(links, "links => links.map(link => link.href)")
    # A page in a folder takes //host/file for a file on that host.
    return [url for url in [*opened.requests, *hints] if urlsplit(url).scheme not in LOCAL or urlsplit(url).netloc]


def bad_mathematics(page: Page) -> list[str]:
    """Formulas that are not typeset, typeset as an error, or left as text."""
    return page.evaluate(r"""() => {
      const short = element => element.textContent.trim().slice(0, 60), faults = [];
      for (const e of document.querySelectorAll(".math"))
        if (!e.querySelector("mjx-container")) faults.push(`formula not typeset: ${short(e)}`);
      for (const e of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
        faults.push(`formula with an error: ${short(e)}`);
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const text = texts.currentNode;
        if (!text.parentElement.closest("script, style, code, pre, mjx-container, .math")
            && /\\[(\[]|\$[^$\n]+\$/.test(text.data)) faults.push(`raw mathematics: ${text.data.trim().slice(0, 60)}`);
      }
      return faults;
    }""")


def bad_pictures_and_tables(page: Page) -> list[str]:
    """Images that do not decode or lack a description, figures without caption, tables without name."""
    return page.evaluate("""() => {
      const faults = [];
      for (const image of document.images) {
        const name = image.getAttribute("src").slice(0, 60);
        if (!image.complete || !image.naturalWidth) faults.push(`image does not decode: ${name}`);
        if (!image.alt.trim()) faults.push(`image without alternative text: ${name}`);
        if (image.closest("article") && !image.closest("figure")?.querySelector("figcaption")?.textContent.trim())
          faults.push(`figure without caption: ${name}`);
      }
      for (const table of document.querySelectorAll("table"))
        if (!table.caption?.textContent.trim() && !table.ariaLabel?.trim())
          faults.push(`table without name: ${table.textContent.trim().slice(0, 60)}`);
      return faults;
    }""")


def axe_violations(page: Page) -> list[str]:
    """What axe finds against WCAG 2.0 to 2.2, levels A and AA, as the page is shown now."""
    found = Axe().run(page, options=AXE).response["violations"]
    return [f"{rule['id']}: {' '.join(map(str, node['target']))}" for rule in found for node in rule["nodes"]]


def overflow(page: Page) -> list[str]:
    """Elements that make the page wider than the window; what scrolls in a box of its own does not."""
    return page.evaluate("""() => {
      const width = document.documentElement.clientWidth;
      if (document.documentElement.scrollWidth <= width && document.body.scrollWidth <= width) return [];
      const wide = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > width + 1);
      return ["the page is wider than the window", ...wide.slice(0, 5).map(e => e.outerHTML.slice(0, 100))];
    }""")


def keyboard_faults(page: Page) -> list[str]:
    """Go through the page by tab key: what is visible and can be used is reached, seen to be, and left again.

    To be reached: links, buttons and fields that are not disabled, whatever acts as one, and boxes that scroll and hold
    nothing that takes the focus. Hidden parts, such as a closed sidebar, are not expected.
    """
    count = page.evaluate("""() => {
      const control = "a[href], button, input, select, textarea, summary, [tabindex], [onclick], [role=button]";
      const scrolls = e => e.scrollWidth > e.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(e).overflowX)
        && !e.querySelector(control);
      const shows = e => e.checkVisibility({visibilityProperty: true}) && !e.disabled && !e.closest("[inert]");
      const look = e => {
        const {outline, boxShadow, border, backgroundColor, textDecoration} = getComputedStyle(e);
        return [outline, boxShadow, border, backgroundColor, textDecoration].join();
      };
      const asked = e => e.matches(control) && !(e.matches("[tabindex='-1']:not(a, button, input, select, textarea)"));
      const expected = [...document.querySelectorAll("body *")].filter(e => (asked(e) || scrolls(e)) && shows(e));
      const before = expected.map(look);
      window.tour = {expected, order: [], faults: [], end: new AbortController()};
      document.addEventListener("focusin", ({target}) => {
        const {order, faults} = window.tour, index = expected.indexOf(target), name = target.outerHTML.slice(0, 100);
        look(target);  // begins the transitions that the focus brings, which then can be ended
        document.getAnimations().forEach(animation => animation.finish());
        if (!order.includes(index)) {
          const seen = [...target.getClientRects()].some(box => box.bottom > 0 && box.top < innerHeight
            && box.right > 0 && box.left < innerWidth);
          if (!seen || !target.checkVisibility({opacityProperty: true})) faults.push(`focused out of sight: ${name}`);
          else if (index >= 0 && look(target) === before[index]) faults.push(`focus does not show: ${name}`);
        }
        order.push(index);
      }, {signal: window.tour.end.signal});
      return expected.length;
    }""")
    for _ in range(count + 3):  # once round and to the first again
        page.keyboard.press("Tab")
    return page.evaluate("""() => {
      const {expected, order, faults, end} = window.tour;
      end.abort();
      expected.forEach((e, i) => order.includes(i) || faults.push(`not reached: ${e.outerHTML.slice(0, 100)}`));
      if (order.lastIndexOf(order[0]) === 0) faults.push("the focus does not come round");
      return faults;
    }""")


def has_place(page: Path, place: str) -> bool:
    return bool(re.search(rf"""\bid=["']{re.escape(place)}["']""", page.read_text(encoding="utf-8")))


def dead_links(page: Page) -> list[str]:
    """Links to files that are not there, or to a place that the page they lead to does not have."""
    faults = []
    for link in sorted(set(page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)"))):
        url, place = urldefrag(link)
        if urlsplit(url).scheme != "file":
            continue
        target = Path(unquote(urlsplit(url).path))
        if not target.is_file():
            faults.append(f"leads nowhere: {link}")
        elif place and target.suffix == ".html" and not has_place(target, place):
            faults.append(f"no such place: {link}")
    return faults
