"""What the paper prints, read from results/paper: its tables, its claims, the methods that it announces.

A number is kept as printed, since its digits say how far it was rounded: 80.90 stands for anything from 80.895 to
80.905. Arithmetic on such intervals is exact, in fractions, so that no tolerance has to be chosen.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import NamedTuple, TypeVar

from scgcnet.study.plan import CLAIMS_FILE, project_root

FOLDER = "results/paper"
SCORES = ("P", "R", "F1", "IoU", "OA")
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
_REMEDY = f"; `git checkout -- {FOLDER}` restores what the repository has"
T = TypeVar("T")


class PaperError(ValueError):
    """A file of results/paper is missing or damaged; the message names file, row and column, and the remedy."""


def full_name(dataset: str) -> str:
    """The name of a data set as the paper's text has it; the head of Table I shortens one."""
    return {"GLDD": "HR-GLDD"}.get(dataset, dataset)


class Interval(NamedTuple):
    """All values from `low` to `high`, both included."""

    low: Fraction
    high: Fraction

    @property
    def middle(self) -> Fraction:
        return (self.low + self.high) / 2

    def meet(self, other: Interval) -> Interval | None:
        """The values in both, or None where there are none."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Interval(low, high) if low <= high else None

    def percent(self) -> str:
        """In percent with two decimals: one number where both ends round to it, else "low to high"."""
        low, high = (f"{100 * float(end):.2f}" for end in self)
        return low if low == high else f"{low} to {high}"


def image(function: Callable[..., Fraction], *intervals: Interval) -> Interval:
    """The values of a function that is monotone in each argument: its extremes lie in the corners of the box."""
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
        printed: P, R, F1, IoU and, but in Table III, OA: percent, as printed.
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
class Claim:
    """One row of the claims ledger's source; every field is text as in the file, `value` "" where none is claimed."""

    id: str
    kind: str
    dataset: str
    value: str
    unit: str
    location: str
    quote: str

    @property
    def number(self) -> Fraction:
        """The claimed value.

        Raises:
            PaperError: it is no number.
        """
        return Fraction(_number(self.value, f"{CLAIMS_FILE}, row {self.id}, column value"))


@dataclass(frozen=True)
class Paper:
    """Everything that the audit computes from.

    Attributes:
        rows: of Tables I, II and III, by label.
        claims: by id, in the order of the file.
        announced: the methods that Sec. IV-B announces, with their reference numbers.
        peers: 10^9 multiply-accumulates of other networks by image side, counted by this study.
    """

    rows: Mapping[str, Row]
    claims: Mapping[str, Claim]
    announced: Mapping[str, str] = field(default_factory=dict)
    peers: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def row(self, label: str) -> Row:
        """The row of that label.

        Raises:
            PaperError: there is none.
        """
        return _known(self.rows, label, "the tables")

    def claim(self, name: str) -> Claim:
        """The claim of that id.

        Raises:
            PaperError: there is none.
        """
        return _known(self.claims, name, CLAIMS_FILE)

    def table(self, number: str, dataset: str | None = None) -> list[Row]:
        """The rows of one table, or of one data set in it."""
        return [row for row in self.rows.values() if row.table == number and dataset in (None, row.dataset)]


def read_paper(root: Path | None = None) -> Paper:
    """Read results/paper.

    Args:
        root: folder that holds it; by default the project's.

    Raises:
        PaperError: a file or column is missing, a row comes twice, or a cell that must be a number is none.
    """
    rows = [
        *_rows(root, "table1.csv", "I", "method", SCORES),
        *_rows(root, "table2.csv", "II", "exp", SCORES),
        *_rows(root, "table3.csv", "III", "exp", SCORES[:4]),
    ]
    return Paper(
        _unique(((row.label, row) for row in rows), "the tables"),
        read_claims(root),
        {line["method"]: line["ref"] for _, line in _lines(root, "methods.csv", ["method", "ref"])},
        _peers(root),
    )


def read_claims(root: Path | None = None) -> dict[str, Claim]:
    """Read results/paper/claims.csv, by id.

    Raises:
        PaperError: see `read_paper`.
    """
    columns = list(Claim.__dataclass_fields__)
    lines = _lines(root, "claims.csv", columns)
    return _unique(((line["id"], Claim(*(line[name] for name in columns))) for _, line in lines), CLAIMS_FILE)


def _rows(root: Path | None, file: str, table: str, name: str, scores: Sequence[str]) -> list[Row]:
    rows = []
    for where, line in _lines(root, file, [name, "dataset", *scores]):
        printed = {score: _number(line[score], f"{where}, column {score}", percent=True) for score in scores}
        rows.append(Row(table, line[name], line["dataset"], printed, line.get("ref") or ""))
    return rows


def _peers(root: Path | None) -> dict[str, dict[int, float]]:
    peers = {}
    for where, line in _lines(root, "peer_gmacs.csv", ["model"]):
        sides = [column for column in line if (column or "").isdecimal()]
        peers[line["model"]] = {int(side): float(_number(line[side], f"{where}, column {side}")) for side in sides}
    return peers


def _lines(root: Path | None, file: str, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Each line by column name, with words that say where it stands."""
    path = (root or project_root()) / FOLDER / file
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle, restval="")
            found = reader.fieldnames or []
            lines = list(reader)
    except FileNotFoundError:
        raise PaperError(f"{FOLDER}/{file} does not exist{_REMEDY}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PaperError(f"{FOLDER}/{file} cannot be read: {error}{_REMEDY}") from None
    for i, line in enumerate(lines, start=2):
        if None in line:  # what csv does with cells beyond the head: a comma for a point makes one
            raise PaperError(f"{FOLDER}/{file}, row {i}: more cells than columns{_REMEDY}")
    if missing := [column for column in columns if column not in found]:
        raise PaperError(f"{FOLDER}/{file} has no column {', '.join(missing)}: it has {', '.join(found)}{_REMEDY}")
    return [(f"{FOLDER}/{file}, row {i} ({line[columns[0]]})", line) for i, line in enumerate(lines, start=2)]


def _number(text: str, where: str, percent: bool = False) -> str:
    """The text, if it is a plain decimal number, and for a score one above 0 and at most 100."""
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit()):
        raise PaperError(f"{where}: {text!r} is no number{_REMEDY}")
    if percent and not 0 < Fraction(text) <= 100:
        raise PaperError(f"{where}: {text} is no percentage above 0{_REMEDY}")
    return text


def _known(found: Mapping[str, T], key: str, where: str) -> T:
    if key not in found:
        raise PaperError(f"{where}: no row {key}{_REMEDY}")
    return found[key]


def _unique(items: Iterable[tuple[str, T]], where: str) -> dict[str, T]:
    found: dict[str, T] = {}
    for key, item in items:
        if key in found:
            raise PaperError(f"{where}: {key} is listed twice{_REMEDY}")
        found[key] = item
    return found


def paper_scores(dataset: str, model: str) -> dict[str, float] | None:
    """Table I's five scores in percent for our names of data set and network; None without such a row."""
    if dataset not in PAPER_DATASETS or model not in PAPER_METHODS:
        return None
    row = read_paper().row(f"{PAPER_METHODS[model]}/{PAPER_DATASETS[dataset]}")
    return {score: float(row.printed[column]) for score, (_, column) in SCORE_NAMES.items()}
