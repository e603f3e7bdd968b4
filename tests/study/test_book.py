"""The book: pages staged, rendered and checked."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from pypdf import PdfReader
from templates import write_template

from scgcnet.study.book import BookError, build_book, copy_explorers, gate, print_book, stage, toc_pages
from scgcnet.study.notebooks import ChapterError, execute, executed_file, failure
from scgcnet.study.plan import Chapter, Plan, load_plan

REPOSITORY = Path(__file__).resolve().parents[2]
#: Where tables link to.
LINKED = [f"{top}/{kind}" for top in ("results", "build") for kind in ("runs", "trials", "details")]
LINKED.append("results/bench")
GOOD = (
    '<html><head><link rel="stylesheet" href="_static/style.css?v=1"><script src="_static/a.js"></script></head>'
    '<body><img src="_images/line.png" alt="A line."><a href="two.html#part">two</a>'
    '<a href="https://doi.org/x">paper</a><a href="#here">here</a><img src="data:image/png;base64,AA" alt="dot"></body>'
)


@pytest.fixture
def html(tmp_path: Path) -> Path:
    """Two built pages and what they need."""
    for name in ("_static/style.css", "_static/a.js", "_images/line.png", "index.html", "two.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "one.html").write_text(GOOD)
    return tmp_path


class TestGate:
    def test_good_pages(self, html: Path) -> None:
        assert gate(html, ["one", "two"]) == []

    def test_pages_missing_and_left_over(self, html: Path) -> None:
        assert gate(html, ["one", "three"]) == ["three.html is missing", "two.html is in no table of contents"]

    def test_traceback_only_where_known(self, html: Path) -> None:
        (html / "two.html").write_text('<div class="output traceback highlight-ipythontb notranslate">')
        (html / "one.html").write_text("<pre>Traceback (most recent call last)</pre>")
        assert gate(html, ["one", "two"], failed=["two"]) == ["one.html shows a traceback"]

    @pytest.mark.parametrize(
        ("tag", "fault"),
        [
            ('<script src="https://cdn.example/x.js"></script>', "fetches https://cdn.example/x.js"),
            ('<script async src="//cdn.example/x.js"></script>', "fetches //cdn.example/x.js"),
            ('<link rel="stylesheet" href="http://fonts.example/a.css">', "fetches http://fonts.example/a.css"),
            ('<img alt="x" src="HTTPS://a.example/x.png">', "fetches HTTPS://a.example/x.png"),
            ('<iframe src="https://a.example/"></iframe>', "fetches https://a.example/"),
            ('<img src="_images/line.png">', "image without alternative text: _images/line.png"),
            ('<img src="_images/line.png" alt=" "/>', "image without alternative text: _images/line.png"),
            ('<a href="three.html">three</a>', "three.html leads nowhere"),
            ('<script src="_static/gone.js?v=2"></script>', "_static/gone.js?v=2 leads nowhere"),
        ],
    )
    def test_faults_of_a_page(self, html: Path, tag: str, fault: str) -> None:
        (html / "two.html").write_text(tag)
        found = gate(html, ["one", "two"])
        assert len(found) == 1 and found[0].startswith("two.html") and found[0].endswith(fault)

    @pytest.mark.parametrize("css", ["a{background:url(https://x.example/a.woff)}", '@import "//x.example/b.css";'])
    def test_style_sheets_fetch_nothing(self, html: Path, css: str) -> None:
        (html / "_static" / "style.css").write_text(css)
        assert "_static/style.css fetches" in gate(html, ["one", "two"])[0]


class TestExplorers:
    def test_only_those_that_a_chapter_links_to(self, html: Path, tmp_path: Path) -> None:
        for name in ("run-a_run-b", "run-c"):
            page = tmp_path / "project" / "build" / "explorer" / name / "index.html"
            page.parent.mkdir(parents=True)
            page.write_text("<!-- book -->")
        (html / "two.html").write_text(
            '<a href="explorer/run-a_run-b/index.html">atlas</a><a href="explorer/run-x/">x</a>'
        )
        copy_explorers(html, tmp_path / "project")
        (copied,) = (html / "explorer").iterdir()
        assert copied.name == "run-a_run-b" and '<a href="../../two.html">' in (copied / "index.html").read_text()

    def test_are_checked_but_in_no_table_of_contents(self, html: Path) -> None:
        page = html / "explorer" / "run" / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text("<script src='data/index.js'></script>")
        assert gate(html, ["one", "two"]) == ["explorer/run/index.html: data/index.js leads nowhere"]


class TestTableOfContents:
    def test_order_and_nesting(self, tmp_path: Path) -> None:
        toc = tmp_path / "_toc.yml"
        toc.write_text(
            "root: a\nparts:\n- caption: x\n  chapters:\n  - file: b\n    sections:\n    - file: c\n  - file: d\n"
        )
        assert toc_pages(toc) == ["a", "b", "c", "d"]

    def test_refuses(self, tmp_path: Path) -> None:
        toc = tmp_path / "_toc.yml"
        with pytest.raises(BookError, match="no table of contents"):
            toc_pages(toc)
        toc.write_text("root: a\nchapters:\n- file: a\n")
        with pytest.raises(BookError, match="lists a twice"):
            toc_pages(toc)


@pytest.fixture
def book(project: Path) -> tuple[Path, Plan]:
    """A project with one page of text and two chapters, none executed."""
    for name in ("_config.yml", "book/references.bib"):
        (project / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, project / name)
    for name in ("vendor", "style"):
        (project / "book" / name).mkdir()
    (project / "_toc.yml").write_text("format: jb-book\nroot: text\nchapters:\n- file: good\n- file: bad\n")
    (project / "book" / "text.md").write_text("# Text\n\n[a chapter](good.ipynb), $x^2$\n")
    write_template(project / "book" / "good.ipynb", "print(40 + 2)", title="# Good")
    write_template(project / "book" / "bad.ipynb", "1 / 0", title="# Bad")
    tree = (project / "study.yml").read_text().split("\nchapters:")[0]
    chapters = "good: {template: book/good.ipynb}, bad: {template: book/bad.ipynb}"
    (project / "study.yml").write_text(f"{tree}\nchapters: {{{chapters}}}\nexhibits: {{}}\n")
    return project, load_plan()


class TestStage:
    def test_chapters_of_one_template_have_titles_of_their_own(self, book: tuple[Path, Plan]) -> None:
        root, plan = book
        named = {
            name: chapter.model_copy(update={"title": f"{name}, by name"}) for name, chapter in plan.chapters.items()
        }
        source = root / "build" / "book-src"
        stage(replace(plan, chapters=named), "smoke", root, source)
        found = [json.loads((source / f"{name}.ipynb").read_text())["cells"][0]["source"] for name in named]
        assert ["".join(title).splitlines()[0] for title in found] == ["# good, by name", "# bad, by name"]

    def test_pages_and_failures(self, book: tuple[Path, Plan]) -> None:
        root, plan = book
        executed = root / executed_file("good", "smoke")
        executed.parent.mkdir(parents=True)
        notebook = json.loads((root / "book" / "good.ipynb").read_text())
        notebook["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "42\n"}]
        notebook["metadata"]["papermill"] = {"end_time": "2026-11-30T01:02", "duration": 3, "parameters": {"epochs": 5}}
        executed.write_text(json.dumps(notebook))
        source = root / "build" / "book-src"
        source.mkdir()
        (source / "old.md").write_text("of an earlier build")

        assert stage(plan, "smoke", root, source) == {"bad": "not executed"}
        names = sorted(path.name for path in source.iterdir())
        assert names == [
            "_config.yml",
            "_toc.yml",
            "bad.ipynb",
            "good.ipynb",
            "references.bib",
            "style",
            "text.md",
            "vendor",
        ]
        page = nbformat.read(source / "good.ipynb", as_version=4)
        assert [cell.metadata.get("tags") for cell in page.cells] == [
            None,
            ["parameters", "remove-cell"],
            ["hide-input"],
            None,
        ]
        box = page.cells[-1].source
        assert "papermill book/good.ipynb good.ipynb -p epochs 5\n" in box
        assert "| `epochs` | `5` | passes, from 1 |" in box and "| `lr` | `0.1` | peak learning rate |" in box
        assert "Last executed on 2026-11-30, in 3 s." in box
        assert len(nbformat.read(executed, as_version=4).cells) == 3  # stays as it was executed
        assert failure(source / "bad.ipynb") == "not executed"

    def test_all_three_lists_name_the_same_pages(self, book: tuple[Path, Plan]) -> None:
        root, plan = book
        (root / "book" / "forgotten.md").write_text("# Forgotten\n")
        with pytest.raises(BookError, match="forgotten is a page of book/ or a chapter"):
            stage(plan, "smoke", root, root / "build" / "src")
        (root / "book" / "forgotten.md").unlink()
        more = replace(plan, chapters={**plan.chapters, "new": Chapter(name="new", template="book/good.ipynb")})
        with pytest.raises(BookError, match="new is a page"):
            stage(more, "smoke", root, root / "build" / "src")
        (root / "book" / "text.md").unlink()
        with pytest.raises(BookError, match=r"_toc\.yml lists text, but book/text\.md"):
            stage(plan, "smoke", root, root / "build" / "src")


@pytest.mark.slow
def test_a_book_with_a_failed_chapter(book: tuple[Path, Plan]) -> None:
    root, _ = book
    execute(root / "book" / "good.ipynb", root / executed_file("good", "smoke"))
    with pytest.raises(ChapterError):
        execute(root / "book" / "bad.ipynb", root / executed_file("bad", "smoke"))
    for folder in LINKED:
        (root / folder).mkdir(parents=True)
        (root / folder / "x.json").write_text("{}")
    with (root / "book" / "text.md").open("a") as text:
        text.write("\n{ref}`nowhere`\n")  # for which Jupyter Book by itself ends well

    with pytest.raises(BookError) as caught:
        build_book("smoke")
    faults = str(caught.value).splitlines()[1:-1]
    # The configuration names files that this project has no copy of: the gate finds what Sphinx does not.
    missing = ("_static/mathjax/tex-mml-chtml.js", "_static/study.css", "_static/study.js")
    unresolved = [fault for fault in faults if fault.endswith("leads nowhere")]
    assert unresolved and all(any(name in fault for name in missing) for fault in unresolved)
    bad, reference = (fault for fault in faults if fault not in unresolved)
    assert bad == "  - chapter bad failed: ZeroDivisionError: division by zero"
    assert reference.startswith("  - jupyter-book: ") and "nowhere" in reference

    html = root / "build" / "book" / "_build" / "html"
    assert "This chapter failed" in (html / "bad.html").read_text()
    assert "ZeroDivisionError" in (html / "bad.html").read_text()
    assert "42" in (html / "good.html").read_text() and "This chapter failed" not in (html / "good.html").read_text()
    assert (html / "index.html").is_file()
    for folder in LINKED:
        assert (html / folder / "x.json").is_file()
    assert "unpkg" not in (html / "good.html").read_text()


class TestPrint:
    def test_without_a_browser_or_a_page(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "which", lambda name: "/bin/true" if name == "chromium" else None)
        with pytest.raises(BookError, match=r"one\.html is missing: make book"):
            print_book(tmp_path, ["one"], tmp_path / "book.pdf")
        (tmp_path / "one.html").write_text("one")
        with pytest.raises(BookError, match=r"did not print one\.html"):
            print_book(tmp_path, ["one"], tmp_path / "book.pdf")
        monkeypatch.setattr(shutil, "which", lambda name: None)
        with pytest.raises(BookError, match="no Chromium"):
            print_book(tmp_path, ["one"], tmp_path / "book.pdf")

    @pytest.mark.slow
    def test_pages_in_order_with_bookmarks(self, tmp_path: Path) -> None:
        if shutil.which("chromium") is None:
            pytest.skip("no chromium; on Debian: apt-get install chromium")
        for name in ("two", "one"):
            (tmp_path / f"{name}.html").write_text(f"<p>This is page {name}.</p>")
        pdf = PdfReader(print_book(tmp_path, ["two", "one"], tmp_path / "book.pdf"))
        assert [page.extract_text().strip() for page in pdf.pages] == ["This is page two.", "This is page one."]
        assert [item.title for item in pdf.outline] == ["two", "one"]
