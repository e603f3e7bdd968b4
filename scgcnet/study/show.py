"""How tables and notes appear in a chapter: HTML with the marks that screen readers need, or plain text."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

LONG = 40  # characters of a cell that is not to be squeezed into a narrow column, but given the width of a sentence
PHRASE = 12  # likewise; such a cell breaks after two or three words
NONE = "-"  # nothing may stand in this cell, as opposed to "not run"


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
    """A data frame with a caption that shows itself in a notebook, as accessible HTML, or as text."""

    frame: pd.DataFrame
    caption: str

    def __repr__(self) -> str:
        return f"{self.caption}\n{self.frame.to_string(index=False)}"

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in self.frame.columns)
        body = "".join(_row(list(row)) for row in self.frame.itertuples(index=False))
        caption = html.escape(self.caption)
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
        return ", ".join(map(_cell, value.items)) or NONE
    if isinstance(value, Link):
        return f'<a href="{html.escape(value.href)}">{html.escape(value.text)}</a>'
    return html.escape(str(value))


@dataclass(frozen=True)
class Note:
    """A box on the page that nobody overlooks."""

    title: str
    text: str
    kind: str = "note"  # note | warning

    def __repr__(self) -> str:
        return f"{self.title}: {self.text}"

    def _repr_html_(self) -> str:
        title, text = html.escape(self.title), html.escape(self.text)
        return f'<div class="admonition {self.kind}"><p class="admonition-title">{title}</p><p>{text}</p></div>'
