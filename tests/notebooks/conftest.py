"""What nbval compares in the reference notebooks of this folder: `pytest --nbval tests/notebooks`."""

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    if not hasattr(collector, "skip_compare"):  # no notebook
        return
    # Tables are HTML and text with the same numbers; the text is compared, and what goes to stderr is not.
    collector.skip_compare += ("text/html", "stderr")
    # A run turns stale when the code changes, before anything it says does. The mark moves the columns as well.
    collector.sanitize_patterns |= {r" \(stale\)": "", r" +": " "}
