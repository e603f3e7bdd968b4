"""From scores to statements: intervals over repeated runs, and what they say about a number of the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import special

Verdict = Literal["supported", "contradicted", "unresolved", "not run"]
Condition = Literal["same", "scaled down", "other data", "fitted"]

#: Widest half-interval, in the unit of the value (percentage points), that still settles a value inside it.
TOLERANCE = 1.0


@dataclass(frozen=True)
class Summary:
    """Mean of repeated runs with its 95 % interval; `low` and `high` are None for a single run."""

    n: int
    mean: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.2f}"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def summarize(values: Sequence[float], confidence: float = 0.95) -> Summary:
    """Mean and Student-t interval of the mean.

    The interval says how far the mean would move with other seeds (or splits), not with other test images.
    One value has no interval.

    Args:
        values: one score for each run, in any unit.
        confidence: probability that the interval is to cover.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    n = len(values)
    if n == 0:
        raise ValueError("no value to summarize")
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"values must be finite: {list(values)}")
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(1, mean)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    # Student's quantile from where scipy.stats has it: that takes every page a second to import.
    half = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * sd / math.sqrt(n)
    return Summary(n, mean, mean - half, mean + half)


def further(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Where one more value of the same kind falls with that probability, by those seen (Student-t).

    Raises:
        ValueError: fewer than two values, which tell nothing of their spread.
    """
    if len(values) < 2:
        raise ValueError(f"two values are needed to tell where another falls: {list(values)}")
    found = summarize(values, confidence)
    assert found.high is not None
    half = (found.high - found.mean) * math.sqrt(found.n + 1)  # that of the mean has sd / sqrt(n), this sqrt(1 + 1 / n)
    return found.mean - half, found.mean + half


def judge(paper: float, measured: Summary | None, condition: Condition) -> Verdict | None:
    """What repeated runs say about the paper's "the score is `paper`", read as "it reaches `paper`".

    | interval of the mean | verdict |
    |---|---|
    | there is no run | not run |
    | there is one run, hence no interval | unresolved |
    | wholly above the paper's value | supported |
    | contains it, half-width at most `TOLERANCE` | supported |
    | contains it, wider | unresolved: the seeds cannot tell |
    | wholly below | contradicted; scaled down: unresolved |

    A smaller network on smaller images that falls short says nothing against the paper's.

    Args:
        paper: the value in the paper, in percent.
        measured: the same score, counted the paper's way on the paper's data set, in percent.
        condition: how the runs compare with the paper's.

    Returns:
        The verdict, or None where none may be given: on other data, or fitted to the claim.
    """
    if measured is None:
        return "not run"
    if condition in ("other data", "fitted"):
        return None
    if measured.low is None or measured.high is None:
        return "unresolved"
    if measured.low > paper:
        return "supported"
    if measured.high < paper:
        return "contradicted" if condition == "same" else "unresolved"
    return "supported" if (measured.high - measured.low) / 2 <= TOLERANCE else "unresolved"


def spread(values: Sequence[float], n: int) -> list[int]:
    """Indices of `n` cases that span the whole range: the worst, the best, and evenly spaced ranks between.

    The same values give the same cases; ties are taken in the order of the indices.

    Args:
        values: one score for each case.
        n: how many to pick, at least 1; fewer come back where there are fewer cases.

    Returns:
        Indices from the worst case to the best.

    Raises:
        ValueError: `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n_cases is {n}: show at least one case")
    order = sorted(range(len(values)), key=lambda index: (values[index], index))
    if n >= len(order):
        return order
    if n == 1:
        return order[:1]
    return [order[round(step * (len(order) - 1) / (n - 1))] for step in range(n)]
