"""What `make book` makes in a fresh clone."""

from pathlib import Path

from scgcnet.study.plan_reader import load_plan


def test_the_smoke_book(smoke_book: Path) -> None:
    """`make book` from nothing: synthetic data, one training, every chapter, a strict build and the gate."""
    assert (smoke_book / "build" / "book" / "_build" / "html" / "index.html").is_file()
    executed = {path.stem for path in (smoke_book / "build" / "chapters" / "smoke").glob("*.ipynb")}
    assert executed == set(load_plan(smoke_book / "study.yml").chapters)
