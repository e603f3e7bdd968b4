"""Pages in Debian's Chromium without a network: opening them, and checks that return one line for each fault."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

# The last flag: a name that is looked up would not show among a page's requests.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND"]  # fmt: skip
DESKTOP, PHONE = 1280, 390  # widths of the window, CSS pixels
LOCAL = ("file", "data", "blob", "about")
# `preload` would fetch the style sheets again, which a browser refuses for a page opened from a folder.
AXE = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "resultTypes": ["violations"],
    "preload": False,
}


@contextmanager
def open_browser() -> Iterator[BrowserContext]:
    """A fresh browser; without one the test fails on continuous integration and is skipped elsewhere."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no chromium; on Debian: apt-get install chromium")
    expect.set_options(timeout=20_000)  # a busy machine
    with sync_playwright() as playwright, TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=executable, args=FLAGS, offline=True, reduced_motion="reduce"
        )
        context.set_default_timeout(20_000)
        yield context
        context.close()


@dataclass
class Visit:
    """An open page, its requests, and the errors and warnings it caused since it was opened."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def visit(context: BrowserContext, url: str, width: int = DESKTOP) -> Visit:
    """Open a page in a new tab of a width in CSS pixels and wait until its mathematics is typeset."""
    opened = Visit(context.new_page())
    page, complaints = opened.page, opened.complaints
    page.set_viewport_size({"width": width, "height": 900})
    page.on("request", lambda request: opened.requests.append(request.url))
    page.on("websocket", lambda socket: opened.requests.append(socket.url))
    page.on("requestfailed", lambda request: complaints.append(f"{request.url} failed: {request.failure}"))
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
    page.goto(url)
    page.evaluate("window.MathJax?.startup?.promise.then(() => undefined)")
    return opened


def look(page: Page, theme: str) -> None:
    """Show the top of the page in a theme (light, dark), nothing focused, transitions ended."""
    page.emulate_media(color_scheme=theme)
    page.wait_for_function("theme => (document.documentElement.dataset.theme ?? theme) === theme", arg=theme)
    page.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
    page.evaluate("new Promise(requestAnimationFrame).then(() => document.getAnimations().forEach(a => a.finish()))")


def remote_requests(opened: Visit) -> list[str]:
    """Requests that leave the machine; //host/file counts, which a page in a folder takes for a file on that host."""
    return [url for url in opened.requests if urlsplit(url).scheme not in LOCAL or urlsplit(url).netloc]


def axe_violations(page: Page) -> list[str]:
    """Violations of WCAG 2.0 to 2.2, levels A and AA, as the page is shown now."""
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
