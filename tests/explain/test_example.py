"""What the chapters look into says truly where it is from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scgcnet import zoo
from scgcnet.explain.example import WEIGHTS, example_network, example_sample


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "study.yml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCGCNET_DATA", raising=False)
    return tmp_path


def test_stored_weights_are_taken_only_where_they_fit(checkout: Path) -> None:
    assert "random" in example_network("tiny", {})[1]
    torch.manual_seed(5)
    stored = zoo.create_model("scgcnet", "tiny")
    zoo.save_model(stored, checkout / WEIGHTS)
    model, note = example_network("tiny", {})
    assert "tiny-bijie" in note
    assert torch.equal(model.state_dict()["head.1.weight"], stored.state_dict()["head.1.weight"])
    assert "random" in example_network("tiny", {"cam": False})[1]


def test_without_real_data_the_image_is_synthetic(checkout: Path) -> None:
    sample, note = example_sample()
    assert "synthetic" in note
    assert sample.name in note
    assert sample.image.shape[:2] == sample.mask.shape
