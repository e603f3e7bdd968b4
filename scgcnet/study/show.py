"""How tables and notes appear in a chapter: HTML with the marks that screen readers need, or plain text."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

LONG = 40  # characters of a cell that is not to be squeezed into a narrow column, but given the width of a sentence
PHRASE = 12  # likewise; such a cell breaks after two or three words
COLUMNS, ROWS = 7, 12  # of a table that a page shows; more are folded up
FOLDED = 6  # links of a cell beyond which they are folded up, or one row would be a screen high
NONE = "-"  # nothing may stand in this cell, as opposed to "not run"


TABLES = "SCGCNET_TABLES"  # environment variable: folder in which each table that a chapter shows is kept as CSV


@dataclass(frozen=True)
class Link:
    """A cell entry that leads to a file; `href` is relative to the project root, and to the book's top."""

    text: str
    href: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Links:
    """Several links in one cell."""

    items: tuple[Link, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.items)) or NONE


@dataclass(frozen=True)
class Table:
    """A data frame with a caption that shows itself in a notebook, as accessible HTML, or as text.

    A page shows at most `COLUMNS` and `ROWS` of it; all of it is folded below, with a CSV file to download.

    Attributes:
        frame: one row of the table each.
        caption: says what the numbers are, with their unit.
        shown: columns that the page shows; the first ones if none are named.
    """

    frame: pd.DataFrame
    caption: str
    shown: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{self.caption}\n{self.frame.to_string(index=False)}"

    def write(self, folder: Path) -> Path:
        """Write the frame as CSV, named by its place on the page and its caption; returns the file."""
        folder.mkdir(parents=True, exist_ok=True)
        number, name = len(list(folder.glob("*.csv"))), re.sub("[^a-z0-9]+", "-", self.caption.lower())[:60]
        path = folder / f"{number:02d}-{name}.csv"
        self.frame.astype(str).to_csv(path, index=False)
        return path

    def _repr_html_(self) -> str:
        download = ""
        if folder := os.environ.get(TABLES):
            path = self.write(Path(folder))
            download = f'<a href="tables/{path.parent.name}/{path.name}" download>CSV</a>'
        columns = list(self.shown) or list(self.frame.columns[:COLUMNS])
        short = self.frame[columns].head(ROWS)
        if short.shape == self.frame.shape:
            return _html(short, self.caption) + (f'<p class="study-foot">{download}</p>' if download else "")
        n, width = self.frame.shape
        summary = f"All numbers: {n} row{'s' * (n != 1)}, {width} columns"
        whole = _html(self.frame, f"{self.caption}: all numbers")
        return (
            _html(short, self.caption)
            + f'<details class="study-all"><summary>{summary}</summary>{whole}{download}</details>'
        )


def _html(frame: pd.DataFrame, caption: str) -> str:
    head = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in frame.columns)
    body = "".join(_row(list(row)) for row in frame.itertuples(index=False))
    caption = html.escape(caption)
    # A wide table scrolls in its own box, which takes the focus, so that the keyboard can scroll it too.
    return (
        f'<div class="study-table" style="overflow-x: auto" tabindex="0" role="region" '
        f'aria-label="{caption}">'
        f"<table><caption>{caption}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(cells: Sequence[object]) -> str:
    first, *rest = map(_cell, cells)
    # Sentences are given room, and phrases a line or two instead of one word a line.
    classes = [f' class="{name}"' if name else "" for name in map(_length, cells[1:])]
    columns = "".join(f"<td{given}>{cell}</td>" for given, cell in zip(classes, rest, strict=True))
    return f'<tr><th scope="row">{first}</th>{columns}</tr>'


def _length(value: object) -> str:
    """Class of a cell by the length of its text; links never break and need none."""
    size = 0 if isinstance(value, (Link, Links)) else len(str(value))
    return "long" if size > LONG else "phrase" if size > PHRASE else ""


def _cell(value: object) -> str:
    if isinstance(value, Links):
        links = ", ".join(map(_cell, value.items)) or NONE
        if len(value.items) <= FOLDED:
            return links
        return f"<details><summary>{len(value.items)} files</summary>{links}</details>"
    if isinstance(value, Link):
        return f'<a href="{html.escape(value.href)}">{html.escape(value.text)}</a>'
    return _text(str(value))


def _text(text: str) -> str:
    """HTML of a text in which backticks enclose code."""
    parts = html.escape(text).split("`")
    if len(parts) % 2 == 0:  # one of them encloses nothing
        return html.escape(text)
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


@dataclass(frozen=True)
class Sentences:
    """A list of sentences."""

    items: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(f"- {item}" for item in self.items)

    def _repr_html_(self) -> str:
        return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in self.items)}</ul>"


@dataclass(frozen=True)
class Note:
    """A box on the page that nobody overlooks."""

    title: str
    text: str
    kind: str = "note"  # note | warning

    def __repr__(self) -> str:
        return f"{self.title}: {self.text}"

    def _repr_html_(self) -> str:
        title, text = html.escape(self.title), _text(self.text)
        return f'<div class="admonition {self.kind}"><p class="admonition-title">{title}</p><p>{text}</p></div>'


@dataclass(frozen=True)
class Cards:
    """Boxes side by side, each with a headline, a sentence, and a page that it leads to."""

    items: tuple[tuple[str, str, str], ...]  # headline, text, page without its ending

    def __repr__(self) -> str:
        return "\n".join(f"{title}: {text}" for title, text, _ in self.items)

    def _repr_html_(self) -> str:
        boxes = (
            f'<div class="study-card"><p class="study-card-title"><a href="{page}.html">{html.escape(title)}</a></p>'
            f"<p>{_text(text)}</p></div>"
            for title, text, page in self.items
        )
        return f'<div class="study-cards">{"".join(boxes)}</div>'


@dataclass(frozen=True)
class Chips:
    """Small labels in a row, each filled as far as it is done, and leading to a page."""

    items: tuple[tuple[str, int, int, str], ...]  # label, how many are done, of how many, page without its ending

    def __repr__(self) -> str:
        return ", ".join(f"{label} {done}/{of}" for label, done, of, _ in self.items)

    def _repr_html_(self) -> str:
        chips = []
        for label, done, of, page in self.items:
            state = "none" if not done else "all" if done == of else "some"
            text = f"{html.escape(label)} · {done} of {of}"
            chips.append(f'<a class="study-chip {state}" href="{page}.html">{text}</a>')
        return f'<p class="study-chips">{" ".join(chips)}</p>'
