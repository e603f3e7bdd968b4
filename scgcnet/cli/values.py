"""What may stand behind an option: each of these reads one text, or says in the user's words what is wrong with it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias, TypeVar

#: Where a module adds its commands. In quotes: the class takes a parameter for type checkers alone.
Groups: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
T = TypeVar("T")


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, not {text!r}")
    return int(text)


def whole(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, not {text!r}")
    return int(text)


def number_or_auto(text: str) -> float | None:
    """A number, or None for `auto`."""
    return None if text == "auto" else _read(float, text, "a number or auto")


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between, such as 4,3,2."""
    return _read(_parts(int), text, "whole numbers with commas between, such as 4,3,2")


def reals(text: str) -> tuple[float, ...]:
    """Numbers with commas between, such as 1,0.5."""
    return _read(_parts(float), text, "numbers with commas between, such as 1,0.5")


def pair(text: str) -> tuple[float, float]:
    """Two numbers with a comma between."""
    found = reals(text)
    if len(found) != 2:
        raise argparse.ArgumentTypeError(f"expected two numbers with a comma between, such as 0,3000, not {text!r}")
    return found[0], found[1]


def _parts(kind: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    return lambda text: tuple(kind(part) for part in text.split(","))


def _read(kind: Callable[[str], T], text: str, what: str) -> T:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected {what}, not {text!r}") from None
