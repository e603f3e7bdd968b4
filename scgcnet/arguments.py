"""What several commands of the command line take: options, and the reading of lists, numbers and times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

T = TypeVar("T")

Profile = Annotated[str | None, typer.Option(help="A profile of study.yml.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of a training [default: OMP_NUM_THREADS, else 1].")]
Dataset = Annotated[str, typer.Argument(help="Data set, such as bijie.")]
Folder = Annotated[Path | None, typer.Argument(help="Folder of data sets [default: SCGCNET_DATA or data].")]
Json = Annotated[Path | None, typer.Option(help="File to write the numbers to.")]
Model = Annotated[str, typer.Option(help="Published weights by name, or a file of weights.")]


def _list_of(kind: Callable[[str], T], what: str, length: int | None = None) -> Callable[[Any], tuple[T, ...]]:
    def read(text: Any) -> tuple[T, ...]:
        if not isinstance(text, str):  # a default
            return tuple(text)
        try:
            found = tuple(kind(part) for part in text.split(","))
        except ValueError:
            found = ()
        if not found or length not in (None, len(found)):
            raise typer.BadParameter(f"expected {what}, not {text!r}")
        return found

    return read


WHOLES = _list_of(int, "whole numbers with commas between, such as 4,3,2")
REALS = _list_of(float, "numbers with commas between, such as 1,0.5")
PAIR = _list_of(float, "two numbers with a comma between, such as 0,3000", 2)
BOUNDS = _list_of(float, "LEFT,BOTTOM,RIGHT,TOP, four numbers with commas between", 4)


def number_or_auto(text: str) -> float | None:
    """The number, or None for auto."""
    try:
        return None if text == "auto" else float(text)
    except ValueError:
        raise typer.BadParameter(f"expected a number or auto, not {text!r}") from None


def minutes_of(text: str) -> float:
    """Minutes of a time such as 90s, 30m or 2h."""
    unit = {"s": 1 / 60, "m": 1.0, "h": 60.0}.get(text[-1:])
    try:
        minutes = float(text[:-1]) * (unit or 0)
    except ValueError:
        minutes = 0.0
    if not minutes > 0:
        raise typer.BadParameter(f"expected a time such as 90s, 30m or 2h, not {text!r}")
    return minutes
