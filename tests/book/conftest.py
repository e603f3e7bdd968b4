"""One built book for all tests of this folder, which one worker runs (tests/conftest.py)."""

from pathlib import Path

import pytest
from study_graph import COPIED, copy, snakemake


@pytest.fixture(scope="session")
def smoke_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which `make book` has run from nothing, about a minute."""
    folder = tmp_path_factory.mktemp("smoke-book")
    copy(COPIED, folder)
    done = snakemake(folder, "--", "book")
    assert done.returncode == 0, done.stdout[-8000:]
    return folder
