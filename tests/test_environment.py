"""environment.yml installs what requirements.lock says; conda itself is not run."""

from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]


def test_it_installs_what_the_lock_says() -> None:
    *packages, pip = yaml.safe_load((REPOSITORY / "environment.yml").read_text("utf-8"))["dependencies"]
    assert {"python=3.11", "pip", "make"} <= set(packages)
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}
    assert (REPOSITORY / "requirements.lock").is_file()
