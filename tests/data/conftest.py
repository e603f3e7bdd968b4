from __future__ import annotations

from pathlib import Path

import pytest
from bijie_files import Write, write_pictures


@pytest.fixture
def write_bijie(tmp_path: Path) -> Write:
    """`write_pictures` into `tmp_path`, unless another root is given."""

    def write(names: list[str], suffix: str = ".png", root: Path = tmp_path, scale: int = 255) -> Path:
        return write_pictures(root, names, suffix, scale)

    return write
