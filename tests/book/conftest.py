"""One browser and one built book for the tests of this folder, which one worker runs (tests/conftest.py)."""

from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from checkout import copy_checkout, shell
from playwright.sync_api import BrowserContext


# Of the module, not of the session: playwright keeps an event loop running, in which no other test can start its own.
@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with browser.open_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def smoke_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which `make book` has run from nothing."""
    folder = copy_checkout(tmp_path_factory.mktemp("smoke-book"))
    done = shell("make book", folder)
    assert done.returncode == 0, done.stdout[-8000:]
    return folder
