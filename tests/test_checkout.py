"""Finding the checkout from anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from scgcnet import checkout


def test_nearest_folder_upwards_then_the_packages_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert checkout.find_checkout() == Path(checkout.__file__).parents[1]
    (tmp_path / "study.yml").touch()
    assert checkout.find_checkout() == tmp_path
    (tmp_path / "a" / "study.yml").touch()
    assert checkout.find_checkout() == tmp_path / "a"


def test_an_installed_package_without_repository_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkout, "__file__", str(tmp_path / "site" / "scgcnet" / "checkout.py"))
    assert checkout.find_checkout() is None
