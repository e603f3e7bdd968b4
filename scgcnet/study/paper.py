"""What the paper prints, read from results/paper: its tables, its claims and the methods that it announces.

A number is kept as printed, since its digits tell how far it was rounded: 80.90 stands for anything from 80.895 to
80.905. Arithmetic on such intervals is exact, in fractions, so that no tolerance has to be chosen.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from scgcnet.study.plan import CLAIMS_FILE, project_root

FOLDER = "results/paper"
#: Our names of data sets and networks, and those in the paper's Table I.
PAPER_DATASETS = {"cld": "CLD", "hrgldd": "GLDD", "bijie": "Bijie"}
#: Images of a test part that is 20 % of the paper's data set.
PAPER_TEST_IMAGES = {"cld": 4173, "hrgldd": 352, "bijie": 154}
PAPER_METHODS = {
    "scgcnet": "Ours",
    "fcn": "FCN",
    "unet": "U-Net",
    "resunet": "ResUNet",
    "pspnet": "PSP-Net",
    "deeplabv3plus": "DeepLabv3+",
    "hrnet": "HRNet",
    "icnet": "ICNet",
    "ccnet": "CCNet",
    "danet": "DANet",
    "gcnet": "GCNet",
    "pidnet": "PIDNet",
    "segformer": "SegFormer",
    "swin": "SwinTrans",
    "convnext": "ConvNeXt",
    "stunet": "ST-UNet",
    "vmamba": "VMamba",
}  # SegNeXt is announced in Sec. IV-B and missing in Table I
#: Our name of a score: its name in print and its column in the paper's tables.
SCORE_NAMES = {
    "precision": ("Precision", "P"),
    "recall": ("Recall", "R"),
    "f1": ("F1", "F1"),
    "iou": ("IoU", "IoU"),
    "oa": ("Overall accuracy", "OA"),
}
CLAIM_COLUMNS = ("id", "kind", "dataset", "value", "unit", "location", "quote", "needs")
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
    """One network on one data set.

    Attributes:
        table: "I" | "II" | "III".
        name: method or experiment.
        dataset: the paper's name of it.
        printed: P, R, F1, IoU and, except in Table III, OA: percent, as printed.
        reference: number in the paper's list of references, "" for its own network.
    """

    table: str
    name: str
    dataset: str
    printed: Mapping[str, str]
    reference: str = ""

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
    """All that is typed from the paper.

    Attributes:
        rows: of Tables I, II and III, by label.
        claims: results/paper/claims.csv as text, by id: kind, dataset, value ("" if no number is claimed), unit,
            location, quote, and in `needs` what testing it takes.
        announced: reference number of each method that Sec. IV-B announces.
        peers: 10^9 multiply-accumulates of other networks by image side, counted by this study.
    """

    rows: Mapping[str, Row]
    claims: pd.DataFrame
    announced: Mapping[str, str]
    peers: Mapping[str, Mapping[int, float]]

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
        return _number(self.claims.value[claim], f"{CLAIMS_FILE}, row {claim}, column value")


def read_paper() -> Paper:
    """Read results/paper.

    Raises:
        PaperError: a file or column is missing, a row is listed twice, or a cell is not the number that it must be.
    """
    return _read_paper(project_root())


def paper_scores(dataset: str, model: str) -> dict[str, float] | None:
    """Table I's five scores in percent for our names of data set and network; None without such a row."""
    if dataset not in PAPER_DATASETS or model not in PAPER_METHODS:
        return None
    row = read_paper().row(f"{PAPER_METHODS[model]}/{PAPER_DATASETS[dataset]}")
    return {score: float(row.printed[column]) for score, (_, column) in SCORE_NAMES.items()}


@lru_cache(maxsize=1)
def _read_paper(root: Path) -> Paper:
    folder = root / FOLDER
    rows = [
        *_rows(folder / "table1.csv", "I", "method", _PRINTED),
        *_rows(folder / "table2.csv", "II", "exp", _PRINTED),
        *_rows(folder / "table3.csv", "III", "exp", _PRINTED[:4]),
    ]
    _refuse_twice([row.label for row in rows], "the tables")
    claims = _read(folder / "claims.csv", CLAIM_COLUMNS).set_index("id", drop=False).rename_axis(None)
    _refuse_twice(claims.id, CLAIMS_FILE)
    methods = _read(folder / "methods.csv", ["method", "ref"])
    peers = _read(folder / "peer_gmacs.csv", ["model"])
    gmacs = _numbers(peers, [side for side in peers if side.isdecimal()], folder / "peer_gmacs.csv")
    return Paper(
        {row.label: row for row in rows},
        claims,
        dict(zip(methods.method, methods.ref, strict=True)),
        gmacs.rename(columns=int).set_index(peers.model).T.to_dict(),
    )


def _rows(path: Path, table: str, name: str, scores: Sequence[str]) -> list[Row]:
    frame = _read(path, [name, "dataset", *scores])
    _numbers(frame, scores, path, 100)
    lines = frame.to_dict("records")
    return [Row(table, o[name], o["dataset"], {key: o[key] for key in scores}, o.get("ref", "")) for o in lines]


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A file as text, cell for cell."""
    where = f"{FOLDER}/{path.name}"
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False).fillna("")
    except FileNotFoundError:
        raise PaperError(f"{where} does not exist{_REMEDY}") from None
    except (OSError, ValueError) as error:
        raise PaperError(f"{where} cannot be read: {str(error).strip()}{_REMEDY}") from None
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes what is too much in the first row for an index
        raise PaperError(f"{where}, row 2: more cells than columns{_REMEDY}")
    if missing := [column for column in columns if column not in frame]:
        raise PaperError(f"{where} has no column {', '.join(missing)}: it has {', '.join(frame)}{_REMEDY}")
    return frame


def _numbers(frame: pd.DataFrame, columns: Sequence[str], path: Path, top: float = math.inf) -> pd.DataFrame:
    """Some columns as numbers above 0 and at most `top`."""
    for column in columns:
        for line, (first, text) in enumerate(zip(frame.iloc[:, 0], frame[column], strict=True), start=2):
            where = f"{FOLDER}/{path.name}, row {line} ({first}), column {column}"
            if not 0 < _number(text, where) <= top:
                raise PaperError(f"{where}: {text} is not between 0 and {top}{_REMEDY}")
    return frame[list(columns)].astype(float)


def _number(text: str, where: str) -> Fraction:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise PaperError(f"{where}: {text!r} is not a number{_REMEDY}")
    return Fraction(text)


def _refuse_twice(keys: Iterable[str], where: str) -> None:
    if twice := [key for key, times in Counter(keys).items() if times > 1]:
        raise PaperError(f"{where}: {twice[0]} is listed twice{_REMEDY}")
