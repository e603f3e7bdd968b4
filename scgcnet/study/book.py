"""The book: pages and executed chapters gathered in one folder, rendered by Jupyter Book, and checked.

Jupyter Book only renders, and forgives much: it ends well with failed cells, missing pages and scripts from the
other end of the world. The gate does not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from scgcnet import files
from scgcnet.study.cards import write_cards
from scgcnet.study.notebooks import (
    TABLE_FOLDER,
    dress,
    executed_file,
    failed_file,
    failure,
    set_title,
    write_not_executed,
)
from scgcnet.study.plan import Plan, load_plan
from scgcnet.study.runs import project_root

PAGES = "book"
SOURCE = "build/book-src"
OUTPUT = "build/book"
HTML = f"{OUTPUT}/_build/html"
STORED = ("runs", "trials", "details")
EXPLORERS = "explorer"  # pages of the failure atlas, below the book's top and below build/ alike
_EXPLORER = re.compile(rf'href="{EXPLORERS}/([\w.-]+)/index\.html"')
_MADE_BY_SPHINX = {"index", "search", "genindex"}
_FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}
_CSS_FETCH = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")


class BookError(RuntimeError):
    """The book is not in order; the message lists everything that is wrong with it."""


def build_book(profile: str) -> Path:
    """Build the book from what has been executed at a profile.

    A chapter that failed or could not be executed gets its page, with the error on top; the others are whole.

    Args:
        profile: name in study.yml; says which executed chapters are taken.

    Returns:
        The index page.

    Raises:
        PlanError: study.yml is not valid, or has no such profile.
        BookError: something on the pages is not in order. They are there all the same.
    """
    root, plan = project_root(), load_plan()
    pages = toc_pages(root / "_toc.yml")
    with files.lock(root / "build" / "book.lock"):  # all profiles share the folders of pages
        return _build(profile, plan, root, pages)


def _build(profile: str, plan: Plan, root: Path, pages: list[str]) -> Path:
    failed = stage(plan, profile, root, root / SOURCE)
    print(f"book: rendering {len(pages)} pages", file=sys.stderr)
    faults = [f"chapter {name} failed: {message}" for name, message in failed.items()]
    faults += render(root / SOURCE, root / OUTPUT)
    html = root / HTML
    # Tables link to the files in them.
    for folder in [*(f"{top}/{kind}" for top in ("results", "build") for kind in STORED), "results/bench"]:
        if (root / folder).is_dir() and html.is_dir():
            shutil.copytree(root / folder, html / folder, dirs_exist_ok=True)
    if (tables := root / TABLE_FOLDER / profile).is_dir() and html.is_dir():
        shutil.copytree(tables, html / "tables", dirs_exist_ok=True)
    copy_explorers(html, root)
    if html.is_dir():
        write_cards(html)
    faults += gate(html, pages, failed)
    if faults:
        listed = "".join(f"\n  - {fault}" for fault in faults)
        raise BookError(f"the book is not in order:{listed}\nwhat could be built: {HTML}/index.html")
    return html / "index.html"


def print_book(html: Path, pages: Sequence[str], output: Path) -> Path:
    """Print the built pages into one PDF with bookmarks, by Chromium.

    Args:
        html: folder of the built pages.
        pages: their names in order.
        output: file to write.

    Returns:
        `output`.

    Raises:
        BookError: there is no Chromium, or no such page.
    """
    from pypdf import PdfWriter
    from tqdm import tqdm

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise BookError("no Chromium to print with; on Debian: apt-get install chromium")
    if missing := [name for name in pages if not (html / f"{name}.html").is_file()]:
        raise BookError(f"{html}/{missing[0]}.html is missing: make book")
    writer = PdfWriter()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={folder}"]
        for name in tqdm(pages, desc="printing", unit="page"):
            printed = Path(folder, f"{name}.pdf")
            address = (html / f"{name}.html").as_uri()
            command = [chromium, *options, "--virtual-time-budget=10000", f"--print-to-pdf={printed}", address]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            if not printed.is_file():
                raise BookError(f"{chromium} did not print {name}.html: {done.stderr.strip()[-300:]}")
            writer.append(printed, outline_item=name)
    with files.atomic(output) as partial:
        writer.write(partial)
    return output


def copy_explorers(html: Path, root: Path) -> None:
    """Put the pages of the failure atlas that a chapter links to beside the chapters, and no other.

    Others may show images that are not to be handed on with this book.

    Args:
        html: folder of the built pages.
        root: the project.
    """
    for page in html.glob("*.html"):
        for name in set(_EXPLORER.findall(page.read_text(encoding="utf-8"))):
            made, copied = root / "build" / EXPLORERS / name, html / EXPLORERS / name
            if made.is_dir():
                shutil.copytree(made, copied, dirs_exist_ok=True)
                back = f'<p class="about"><a href="../../{page.name}">Back to the book</a></p>'
                text = (copied / "index.html").read_text(encoding="utf-8")
                files.write_text(copied / "index.html", text.replace("<!-- book -->", back))


def toc_pages(toc: Path) -> list[str]:
    """Names of the pages in a table of contents, in its order, the root first.

    Raises:
        BookError: the file is missing or no table of contents, or lists a page twice.
    """
    try:
        pages = list(_pages(yaml.safe_load(toc.read_text(encoding="utf-8"))))
    except (OSError, yaml.YAMLError) as error:
        raise BookError(f"{toc.name} is no table of contents: {error}") from None
    if twice := sorted({page for page in pages if pages.count(page) > 1}):
        raise BookError(f"{toc.name} lists {twice[0]} twice")
    return pages


def stage(plan: Plan, profile: str, root: Path, source: Path) -> dict[str, str]:
    """Lay out what Jupyter Book reads: book/ without its templates, the executed chapters, the configuration.

    Args:
        plan: names the chapters.
        profile: whose executed chapters are taken.
        root: the project.
        source: folder to make; an older one is removed, so that no page of an earlier build survives.

    Returns:
        The error of every chapter that failed or was not executed, by name.

    Raises:
        BookError: the table of contents, book/ and study.yml do not name the same pages.
    """
    pages = toc_pages(root / "_toc.yml")
    texts = {path.stem for path in (root / PAGES).glob("*.md")}
    for page in pages:
        if page not in texts and page not in plan.chapters:
            raise BookError(f"_toc.yml lists {page}, but {PAGES}/{page}.md and a chapter of study.yml are missing")
    for page in sorted(texts | set(plan.chapters)):
        if page not in pages:
            raise BookError(f"{page} is a page of {PAGES}/ or a chapter of study.yml, but not listed in _toc.yml")

    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(root / PAGES, source, ignore=shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints", EXPLORERS))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copyfile(root / name, source / name)

    failed = {}
    for name, chapter in plan.chapters.items():
        staged = source / f"{name}.ipynb"
        executed = root / executed_file(name, profile)
        found = next((path for path in (executed, failed_file(executed)) if path.is_file()), None)
        if found:
            shutil.copyfile(found, staged)
        else:
            write_not_executed(root / chapter.template, staged, "not executed")
        if message := failure(staged):
            failed[name] = message
        if chapter.title:
            set_title(staged, chapter.title)
        dress(staged, name, root / chapter.template)
    return failed


def render(source: Path, output: Path) -> list[str]:
    """Run Jupyter Book from nothing, every warning an error.

    Args:
        source: what `stage` made.
        output: folder to make; pages go to `_build/html`, what was printed to `jupyter-book.log`.

    Returns:
        What it complained of; empty where it did not.
    """
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    call = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    options = ["-W", "-n", "--keep-going", "--path-output", str(output)]
    done = subprocess.run(
        [sys.executable, "-c", call, "build", *options, str(source)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    log = output / "jupyter-book.log"
    log.write_text(done.stdout, encoding="utf-8")
    if done.returncode == 0:
        return []
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    told = [line.strip() for line in plain.splitlines() if re.search(r"WARNING|ERROR|CRITICAL|Error:", line)]
    return [f"jupyter-book: {line}" for line in told or [f"ended with status {done.returncode}, see {log}"]]


def gate(html: Path, pages: Collection[str], failed: Collection[str] = ()) -> list[str]:
    """What is wrong with built pages.

    Checked: a page for each name and no other; no traceback on a page that is not known to have failed; nothing
    fetched from the network; every link inside the book leads somewhere; every image has alternative text.

    Args:
        html: folder of the pages.
        pages: names of the pages that there should be.
        failed: those that are known to show an error.

    Returns:
        One line for each fault.
    """
    built = {path.relative_to(html).with_suffix("").as_posix(): path for path in sorted(html.rglob("*.html"))}
    built = {name: path for name, path in built.items() if not name.startswith("_static/")}
    faults = [f"{name}.html is missing" for name in pages if name not in built]
    faults += [
        f"{name}.html is in no table of contents"
        for name in built
        if name not in {*pages, *_MADE_BY_SPHINX} and name.split("/")[0] not in (EXPLORERS, "results", "build")
    ]
    for name, path in built.items():
        text = path.read_text(encoding="utf-8")
        shows_error = 'class="output traceback' in text or "Traceback (most recent call last)" in text
        if shows_error and name not in failed:
            faults.append(f"{name}.html shows a traceback")
        page = _Page()
        page.feed(text)
        faults += [f"{name}.html: image without alternative text: {image}" for image in page.bare_images]
        faults += [f"{name}.html fetches {url}" for url in page.fetched if _is_remote(url)]
        faults += [f"{name}.html: {url} leads nowhere" for url in page.links if not _resolves(path, url)]
    for path in sorted(html.rglob("*.css")):
        urls = _CSS_FETCH.findall(path.read_text(encoding="utf-8", errors="replace"))
        faults += [f"{path.relative_to(html).as_posix()} fetches {url}" for url in urls]
    return faults


class _Page(HTMLParser):
    """What a page fetches when it opens, where it leads, and its images without alternative text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.bare_images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        url = values.get("href") if tag == "link" else values.get(_FETCHED.get(tag, ""))
        if url:
            self.fetched.append(url)
            self.links.append(url)
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag == "img" and not values.get("alt", "").strip():
            self.bare_images.append(values.get("src", "")[:80])


def _is_remote(url: str) -> bool:
    return url.startswith("//") or urlsplit(url).scheme in ("http", "https")


def _resolves(page: Path, url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme or parts.netloc or not parts.path:
        return True  # elsewhere, data in the page itself, or a place on the same page
    target = page.parent / unquote(parts.path)
    return target.exists()


def _pages(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _pages(item)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key in ("root", "file"):
                yield str(value)
            elif key in ("parts", "chapters", "sections"):
                yield from _pages(value)
