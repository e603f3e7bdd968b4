"""requirements.lock against pyproject.toml and against what is installed."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[2]
LINES = [
    line for line in (REPOSITORY / "requirements.lock").read_text().splitlines() if line and not line.startswith("#")
]
PINS = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in LINES}


def test_every_line_is_one_version() -> None:
    assert [line for line in LINES if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    assert len(PINS) == len(LINES)


def test_pyproject_is_satisfied() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for text in (
        *project["dependencies"],
        *extras["book"],
        *extras["data"],
        *extras["map"],
        *extras["peers"],
        *extras["test"],
    ):
        wanted = Requirement(text)
        assert PINS[canonicalize_name(wanted.name)] in wanted.specifier, text


def test_closed_under_dependencies() -> None:
    """Whatever a locked package needs is locked too, in a version that it takes; so is what is installed here."""
    faults = []
    for name, version in PINS.items():
        distribution = metadata.distribution(name)
        if Version(distribution.version).public != version:
            faults.append(f"{name} {version} is locked, {distribution.version} is installed: run make")
        for text in distribution.requires or []:
            wanted = Requirement(text)
            if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
                continue
            pin = PINS.get(canonicalize_name(wanted.name))
            if pin is None and not canonicalize_name(wanted.name).startswith(("nvidia-", "cuda-", "triton")):
                faults.append(f"{name} needs {wanted.name}, which is not locked")
            elif pin and pin not in wanted.specifier:
                faults.append(f"{name} needs {text}, {pin} is locked")
    assert faults == []
