"""What nbval compares in the reference notebooks of this folder: `pytest --nbval tests/notebooks`."""

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    if not hasattr(collector, "skip_compare"):  # no notebook
        return
    # Tables are HTML and text with the same numbers; the text is compared, and what goes to stderr is not.
    collector.skip_compare += ("text/html", "stderr")
    collector.sanitize_patterns |= {r" +": " "}
