"""Where the study lives on disk: chapters, tests and the command line run in different folders and must agree."""

from __future__ import annotations

from pathlib import Path

PLAN_FILE = "study.yml"


def find_checkout() -> Path | None:
    """The nearest folder from here upwards that has a `study.yml`, else the checkout of this package, else None."""
    here = Path.cwd()
    folders = (here, *here.parents, Path(__file__).resolve().parents[1])
    return next((folder for folder in folders if (folder / PLAN_FILE).is_file()), None)
