"""environment.yml is for conda, which continuous integration does not have: what can be told without it."""

from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]


def test_it_installs_what_the_lock_says() -> None:
    text = (REPOSITORY / "environment.yml").read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    *packages, pip = tree["dependencies"]
    assert tree["name"] == "scgcnet" and {"python=3.11", "pip", "make"} <= set(packages)
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}
    assert (REPOSITORY / "requirements.lock").is_file() and (REPOSITORY / "pyproject.toml").is_file()
    head = text.partition("name:")[0]
    assert "conda env create -f environment.yml" in head and "not run by continuous integration" in head
