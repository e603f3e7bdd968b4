"""What `make book` makes in a fresh clone."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat

from scgcnet.study.plan import load_plan


def test_the_smoke_book(smoke_book: Path) -> None:
    """`make book` from nothing: synthetic data, one training, every chapter, a strict build and the gate."""
    assert (smoke_book / "build" / "book" / "_build" / "html" / "index.html").is_file()
    executed = {path.stem for path in (smoke_book / "build" / "chapters" / "smoke").glob("*.ipynb")}
    assert executed == set(load_plan(smoke_book / "study.yml").chapters)

    # A chapter by hand, as the README says; papermill leaves the stored run alone.
    call = [sys.executable, "-m", "papermill", "book/dataset.ipynb", "out.ipynb"]
    subprocess.run(
        [*call, "-p", "dataset", "bijie", "-p", "epochs", "1"],
        cwd=smoke_book,
        env={name: value for name, value in os.environ.items() if name != "SCGCNET_DATA"},
        check=True,
        capture_output=True,
        timeout=600,
    )
    assert any("epochs = 1" in cell.source for cell in nbformat.read(smoke_book / "out.ipynb", as_version=4).cells)
