"""How functions are timed: in turns, and only the part that counts."""

from __future__ import annotations

import time
from collections.abc import Callable

from scgcnet.bench.machine import describe, measure_limits, median_ms, median_ms_each


def test_functions_are_called_in_turns_and_the_first_turn_does_not_count() -> None:
    calls: list[str] = []

    def named(name: str) -> Callable[[], None]:
        def run() -> None:
            calls.append(name)
            time.sleep(0.05 if calls.count(name) == 1 else 0)

        return run

    found = median_ms_each({"a": named("a"), "b": named("b")}, repeats=3, budget=10)
    assert calls == ["a", "a", "b", "b"] * 4  # each once more, untimed, before it is timed
    assert max(found.values()) < 50


def test_where_a_function_is_returned_only_that_is_timed() -> None:
    def prepare() -> Callable[[], None]:
        time.sleep(0.1)
        return lambda: None

    assert median_ms(prepare, 1, 1) < 50


def test_one_turn_is_timed_whatever_the_budget() -> None:
    calls: list[int] = []
    median_ms(lambda: calls.append(0), repeats=9, budget=0)
    assert len(calls) == 2


def test_limits_are_rates() -> None:
    limits = measure_limits("cpu", quick=True)
    assert min(limits.exponentials, limits.copied_bytes, limits.multiply_accumulates) > 1e6


def test_the_machine_in_words() -> None:
    about = describe("cpu")
    assert about["device"] == "cpu" and about["processor"]
    assert {"cores", "threads", "torch", "load_before"} <= about.keys()
