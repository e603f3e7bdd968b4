"""What tests of several folders need, and the summary by file at the end."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from study_graph import COPIED, copy, snakemake


@pytest.fixture(scope="session")
def smoke_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which `make book` has run from nothing, about a minute.

    Tests that take it are marked `xdist_group("book")`: one worker runs them all, and the book is built once.
    """
    folder = tmp_path_factory.mktemp("smoke-book")
    copy(COPIED, folder)
    done = snakemake(folder, "--", "book")
    assert done.returncode == 0, done.stdout[-8000:]
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each test file, the slowest first: what ran, what did not, and what it cost."""
    seconds: defaultdict[str, float] = defaultdict(float)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                file = report.nodeid.partition("::")[0]
                seconds[file] += report.duration
                if outcome:  # set-up and tear-down that went well have none
                    counts[file][outcome] += 1
    terminalreporter.section("test files by time")
    for file in sorted(seconds, key=seconds.__getitem__, reverse=True):
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts[file].items()))
        terminalreporter.write_line(f"{seconds[file]:7.1f} s  {file}: {told}")
