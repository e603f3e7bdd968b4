"""How pytest-xdist shares out the tests, the summary by file at the end, and no test that fails for being slow."""

from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

try:
    from xdist.scheduler import LoadScopeScheduling
except ImportError:  # without it the tests run one by one
    LoadScopeScheduling = object


# A busy machine is no fault of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

#: Folders and files whose tests share something that takes a minute to make: a book, a copy of the project.
TOGETHER = ("tests/book/", "tests/test_readme.py", "tests/test_contributing.py")


class Together(LoadScopeScheduling):
    """Every test goes to the worker that is free, but those of one entry of `TOGETHER` to the same one.

    It stands in for `--dist loadgroup` and its marks, which xdist 3.8 cannot pass on to pytest 9.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((shared for shared in TOGETHER if nodeid.startswith(shared)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)


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
