"""What the paper prints, read from results/paper: its tables, its claims and the methods that it announces.

A number is kept as printed, since its digits tell how far it was rounded: 80.90 stands for anything from 80.895 to
80.905. Arithmetic on such intervals is exact, in fractions, so that no tolerance has to be chosen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from scgcnet.study.plan import CLAIMS_FILE
from scgcnet.study.runs import project_root

FOLDER = "results/paper"
#: Our names of data sets, and those in the paper's Table I.
PAPER_DATASETS = {"cld": "CLD", "hrgldd": "GLDD", "bijie": "Bijie"}
#: Images of a test part that is 20 % of the paper's data set.
PAPER_TEST_IMAGES = {"cld": 4173, "hrgldd": 352, "bijie": 154}
#: Our name of a score: its name in print and its column in the paper's tables.
SCORE_NAMES = {
    "precision": ("Precision", "P"),
    "recall": ("Recall", "R"),
    "f1": ("F1", "F1"),
    "iou": ("IoU", "IoU"),
    "oa": ("Overall accuracy", "OA"),
}
_PRINTED = ("P", "R", "F1", "IoU", "OA")
_REMEDY = f"; `git checkout -- {FOLDER}` restores what the repository has"


class PaperError(ValueError):
    """A file of results/paper is missing or damaged; the message names file, row and column, and the remedy."""


def full_name(dataset: str) -> str:
    """The name of a data set in the paper's text; the head of Table I shortens one."""
    return {"GLDD": "HR-GLDD"}.get(dataset, dataset)


class Interval(NamedTuple):
    """All values from `low` to `high`, both included."""

    low: Fraction
    high: Fraction

    @property
    def middle(self) -> Fraction:
        return (self.low + self.high) / 2

    def meet(self, other: Interval) -> Interval | None:
        """The values in both, None if there are none."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Interval(low, high) if low <= high else None

    def percent(self) -> str:
        """In percent with two decimals: one number if both ends round to it, else "low to high"."""
        low, high = (f"{100 * float(end):.2f}" for end in self)
        return low if low == high else f"{low} to {high}"


def bounds(function: Callable[..., Fraction], *intervals: Interval) -> Interval:
    """Range of a function that is monotone in each argument: its extremes lie in the corners of the box."""
    values = [function(*corner) for corner in product(*intervals)]
    return Interval(min(values), max(values))


def printed_interval(text: str) -> Interval:
    """What a printed percentage may stand for, as fractions of 1: half a unit of its last place to each side."""
    value, half = Fraction(text), Fraction(1, 2 * 10 ** len(text.partition(".")[2]))
    return Interval(max(value - half, Fraction(0)) / 100, min(value + half, Fraction(100)) / 100)


@dataclass(frozen=True)
class Row:
    """One network on one data set."""

    table: str  # I | II | III
    name: str  # of the method or experiment
    dataset: str  # as the paper calls it
    printed: Mapping[str, str]  # P, R, F1, IoU and, except in Table III, OA in percent
    reference: str = ""  # number in the paper's list of references; "" for its own network

    @property
    def label(self) -> str:
        """Name that is unique in the paper: FCN/CLD, A1."""
        return f"{self.name}/{self.dataset}" if self.table == "I" else self.name

    def interval(self, score: str) -> Interval:
        """What the printed score may stand for, as fractions of 1."""
        return printed_interval(self.printed[score])

    def exact(self, score: str) -> Fraction:
        """The score as printed, in percent."""
        return Fraction(self.printed[score])


@dataclass(frozen=True)
class Paper:
    """All that is typed from the paper."""

    rows: Mapping[str, Row]  # of Tables I, II and III, by label
    claims: pd.DataFrame  # claims.csv as text, by id; a value is "" if no number is claimed
    announced: Mapping[str, str]  # number in the references of each method that Sec. IV-B announces
    peers: Mapping[str, Mapping[int, float]]  # GMAC of other networks by image side, counted by this study

    @property
    def datasets(self) -> list[str]:
        """The data sets of Table I."""
        return list(dict.fromkeys(row.dataset for row in self.table("I")))

    def row(self, label: str) -> Row:
        """The row of that label; `PaperError` if there is none."""
        if label not in self.rows:
            raise PaperError(f"the tables: no row {label}{_REMEDY}")
        return self.rows[label]

    def table(self, number: str, dataset: str | None = None) -> list[Row]:
        """The rows of one table, or of one data set in it."""
        return [row for row in self.rows.values() if row.table == number and dataset in (None, row.dataset)]

    def number(self, claim: str) -> Fraction:
        """The value of a claim; `PaperError` if there is no such claim, or its value is not a number."""
        if claim not in self.claims.index:
            raise PaperError(f"{CLAIMS_FILE}: no row {claim}{_REMEDY}")
        text = self.claims.value[claim]
        if not re.fullmatch(r"\d+(\.\d+)?", text):
            raise PaperError(f"{CLAIMS_FILE}, row {claim}, column value: {text!r} is not a number{_REMEDY}")
        return Fraction(text)


def read_paper() -> Paper:
    """Read results/paper; `PaperError` if a file or column is missing, a row listed twice, or a cell no number."""
    return _read_paper(project_root() / FOLDER)


def paper_scores(dataset: str, model: str) -> dict[str, float] | None:
    """Table I's five scores in percent for our names of data set and network; None without such a row."""
    for row in read_paper().table("I"):
        short = {"Ours": "scgcnet", "SwinTrans": "swin"}
        name = short.get(row.name, row.name.lower().replace("-", "").replace("+", "plus"))  # such as deeplabv3plus
        if (row.dataset, name) == (PAPER_DATASETS.get(dataset), model):
            return {score: float(row.printed[column]) for score, (_, column) in SCORE_NAMES.items()}
    return None


@lru_cache(maxsize=1)
def _read_paper(folder: Path) -> Paper:
    rows = []
    for number, file, name, scores in (
        ("I", "table1.csv", "method", _PRINTED),
        ("II", "table2.csv", "exp", _PRINTED),
        ("III", "table3.csv", "exp", _PRINTED[:4]),
    ):
        lines = read_table(folder / file, [name, "dataset", *scores], scores, 100).to_dict("records")
        rows += [Row(number, o[name], o["dataset"], {s: o[s] for s in scores}, o.get("ref", "")) for o in lines]
    claims = read_table(folder / "claims.csv", ["id", "kind", "dataset", "value", "unit", "location", "quote", "needs"])
    for names, where in (([row.label for row in rows], "the tables"), (list(claims.id), CLAIMS_FILE)):
        if twice := [name for name in names if names.count(name) > 1]:
            raise PaperError(f"{where}: {twice[0]} is listed twice{_REMEDY}")
    methods = read_table(folder / "methods.csv", ["method", "ref"]).set_index("method").ref
    sides = ["128", "256", "512", "768", "1024", "2048"]
    peers = read_table(folder / "peer_gmacs.csv", ["model", *sides], sides).set_index("model")[sides]
    gmacs = peers.astype(float).rename(columns=int).T.to_dict()
    indexed = claims.set_index("id", drop=False).rename_axis(None)
    return Paper({row.label: row for row in rows}, indexed, methods.to_dict(), gmacs)


def read_table(
    path: Path, columns: Sequence[str] = (), numbers: Sequence[str] = (), top: float = math.inf
) -> pd.DataFrame:
    """A file of results/paper as text, cell for cell, some columns of which hold numbers above 0 and at most `top`."""
    where = f"{FOLDER}/{path.name}"
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False).fillna("")
    except (OSError, ValueError) as error:
        raise PaperError(f"{where} cannot be read: {str(error).strip()}{_REMEDY}") from None
    if missing := [column for column in columns if column not in frame]:
        raise PaperError(f"{where} has no column {', '.join(missing)}: it has {', '.join(frame)}{_REMEDY}")
    for column in numbers:
        for line, text in enumerate(frame[column], start=2):
            if not re.fullmatch(r"\d+(\.\d+)?", text) or not 0 < float(text) <= top:
                place = f"row {line} ({frame.iloc[line - 2, 0]}), column {column}"
                raise PaperError(f"{where}, {place}: {text!r} is not a number above 0 and at most {top}{_REMEDY}")
    return frame
