"""One built book for all tests of this folder, which one worker runs (tests/conftest.py)."""

from pathlib import Path

import pytest
from pages import copy_project, shell


@pytest.fixture(scope="session")
def smoke_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which `make book` has run from nothing, about a minute."""
    folder = copy_project(tmp_path_factory.mktemp("smoke-book"))
    done = shell("make book", folder)
    assert done.returncode == 0, done.stdout[-8000:]
    assert done.stdout.rstrip().endswith("Book: build/book/_build/html/index.html")
    return folder
