"""`create_model` and weights files: what must be refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

import scgcnet
from scgcnet import zoo
from scgcnet.files import WriteError


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    zoo.save_model(zoo.create_model("scgcnet", "tiny"), path)
    return path


def test_unknown_network_and_size() -> None:
    with pytest.raises(ValueError, match=r"unknown network 'scgc'.*scgcnet"):
        zoo.create_model("scgc")
    with pytest.raises(ValueError, match=r"size 'huge'.*tiny, small, lean, base"):
        zoo.create_model("scgcnet", "huge")


def test_seed_decides_the_weights() -> None:
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(zoo.create_model("scgcnet", "tiny").state_dict()["head.1.weight"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_half_precision_takes_half_the_space_and_loads_as_float(weights: Path, tmp_path: Path) -> None:
    model = zoo.load_model(weights)
    zoo.save_model(model, tmp_path / "h.safetensors", half=True)
    assert (tmp_path / "h.safetensors").stat().st_size < 0.55 * weights.stat().st_size
    again = zoo.load_model(tmp_path / "h.safetensors")
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(again(images), model(images), atol=0.02, rtol=0.02)
    with torch.no_grad():
        next(model.parameters()).fill_(1e6)
    with pytest.raises(ValueError, match="half precision"):
        zoo.save_model(model, tmp_path / "i.safetensors", half=True)
    assert not (tmp_path / "i.safetensors").exists()


def test_truncated_file(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(zoo.WeightsError, match=r"w\.safetensors"):
        zoo.load_model(weights)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(zoo.WeightsError, match=r"none\.safetensors: cannot be read"):
        zoo.load_model(tmp_path / "none.safetensors")


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "p.safetensors")
    with pytest.raises(zoo.WeightsError, match="cannot be read as safetensors"):
        zoo.load_model(tmp_path / "p.safetensors")


def test_foreign_safetensors(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "f.safetensors")
    with pytest.raises(zoo.WeightsError, match="not written by scgcnet"):
        zoo.load_model(tmp_path / "f.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 3}, r"'head\.1\.bias' has shape \(2,\), not \(3,\)"),
        ({"cam": False}, r"'cam\.3\..*' is not part of it"),
        ({"cam_query": True}, r"'cam\.3\.query\..*' is missing"),
        ({"colour": 1}, "unknown option 'colour'"),
        ({"neck_width": 2**14}, "tensor '.*' has shape"),  # would take gigabytes: refused before it is built
        ({"neck_width": 10**9}, "configuration has 1000000000, but it holds only"),
        ({"widths": ["a", 1, 2, 3]}, "w.safetensors: does not fit"),
    ],
)
def test_weights_that_do_not_fit(weights: Path, change: dict[str, object], message: str) -> None:
    metadata = zoo.read_metadata(weights)
    metadata["config"] = json.dumps({**json.loads(metadata["config"]), **change})
    state = {k: v.contiguous() for k, v in zoo.create_model("scgcnet", "tiny").state_dict().items()}
    save_file(state, weights, metadata)
    with pytest.raises(zoo.WeightsError, match=message):
        zoo.load_model(weights)


def test_a_failed_write_leaves_the_old_file(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = weights.read_bytes()

    def full_disk(*args: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(zoo, "save_file", full_disk)
    with pytest.raises(WriteError, match=r"w\.safetensors: cannot be written: No space left"):
        zoo.save_model(zoo.create_model("scgcnet", "tiny"), weights)
    assert weights.read_bytes() == before
    assert list(weights.parent.iterdir()) == [weights]


class TestPublished:
    def test_the_default_has_seen_all_sources(self) -> None:
        assert zoo.pretrained_names()[0] == zoo.DEFAULT == "lite0-multisource"
        metadata = zoo.read_metadata(zoo.pretrained_file())
        assert {"bijie", "landslide4sense", "cld", "amunet"} <= set(metadata["sources"].split(", "))
        assert 0 < float(metadata["threshold"]) < 1
        network = scgcnet.load_pretrained()
        assert not network.training
        with torch.no_grad():
            logits = network(torch.randn(1, 3, 70, 90))
        assert logits.shape == (1, 2, 70, 90) and logits.isfinite().all()

    def test_by_name(self) -> None:
        one, other = zoo.load_pretrained("tiny-bijie"), zoo.load_model(zoo.find_weights("tiny-bijie"))
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
        for name in ("tiny-mars", "../weights/tiny-bijie", ""):
            with pytest.raises(zoo.WeightsError, match="the names are lite0-multisource, tiny-bijie, tiny-multisource"):
                zoo.load_pretrained(name)

    def test_every_file_has_a_card(self) -> None:
        assert {path.stem for path in zoo.WEIGHTS.glob("*.md")} == set(zoo.pretrained_names())
