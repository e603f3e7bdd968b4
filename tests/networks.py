"""Contract of every network: a test class inherits `NetworkTests` or `PeerTests` and names its network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from scgcnet import cost, zoo
from scgcnet.chapters.competitors import AGREES, check_counts, published_counts
from scgcnet.peers.base import Auxiliary


def on_meta(name: str, size: str = "paper", **options: Any) -> Any:
    """A network without memory, to count or to look at."""
    with torch.device("meta"):
        return zoo.create_model(name, size, **options)


def outputs(model: nn.Module, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
    """Logits and auxiliary heads, of which there may be none."""
    found = model(images)
    return (found, []) if isinstance(found, Tensor) else found


@torch.no_grad()
def disturb(model: nn.Module) -> nn.Module:
    """Adds noise to the weights, and sets statistics of batch normalisation; in evaluation mode."""
    for p in model.parameters():
        p.add_(0.1 * torch.randn_like(p))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def load_renamed(ours: nn.Module, theirs: nn.Module, names: dict[str, str]) -> None:
    """Copies a library's weights, parts of whose names are replaced in turn; only auxiliary heads may be left out."""
    state = theirs.state_dict()
    for old, new in names.items():
        state = {key.replace(old, new): value for key, value in state.items()}
    missing, unexpected = ours.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(key.startswith("aux.") for key in missing)


class NetworkTests:
    """The checks; `name`, `size` and `options` are what `create_model` is called with."""

    name: ClassVar[str]
    size: ClassVar[str] = "tiny"
    options: ClassVar[dict[str, Any]] = {}

    @classmethod
    def build(cls, **options: Any) -> Any:
        torch.manual_seed(0)
        return zoo.create_model(cls.name, cls.size, **{**cls.options, **options})

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls) -> nn.Module:
        return cls.build().eval()

    @pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160), (77, 53), (1, 1)])
    def test_any_size(self, model: nn.Module, height: int, width: int) -> None:
        with torch.no_grad():
            logits = model(torch.randn(2, 3, height, width))
        assert logits.shape == (2, 2, height, width)
        assert logits.isfinite().all()

    def test_padding_repeats_the_border(self, model: nn.Module) -> None:
        stride = getattr(model, "stride", 32)
        image = torch.randn(1, 3, 50, 70)
        padded = torch.nn.functional.pad(image, (0, -70 % stride, 0, -50 % stride), mode="replicate")
        assert padded.shape != image.shape
        with torch.no_grad():
            torch.testing.assert_close(model(image), model(padded)[:, :, :50, :70])

    @pytest.mark.parametrize("channels", [1, 3, 4, 14])
    def test_any_number_of_bands_and_classes(self, channels: int) -> None:
        model = self.build(in_channels=channels, num_classes=5).eval()
        with torch.no_grad():
            assert model(torch.randn(1, channels, 64, 64)).shape == (1, 5, 64, 64)

    def test_another_number_of_bands_is_refused(self, model: nn.Module) -> None:
        with pytest.raises(ValueError, match=r"\(1, 4, 64, 64\).*\(B, 3, H, W\)"):
            model(torch.randn(1, 4, 64, 64))

    def test_every_parameter_learns(self) -> None:
        model = self.build().train()
        # The offset convolutions start at zero, so what lies before them learns from the second step on.
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.01 * torch.randn_like(p))
        logits, auxiliary = outputs(model, torch.randn(2, 3, 64, 96))
        assert logits.shape == (2, 2, 64, 96)
        assert all(head.logits.shape == logits.shape for head in auxiliary)
        assert bool(auxiliary) == any(name.startswith("aux.") for name, _ in model.named_parameters())
        sum((head.logits.square().mean() for head in auxiliary), logits.square().mean()).backward()
        for name, p in model.named_parameters():
            assert p.grad is not None, name
            assert p.grad.isfinite().all(), name
            assert p.grad.abs().max() > 0, name

    def test_evaluation_repeats_itself(self, model: nn.Module) -> None:
        image = torch.randn(2, 3, 64, 64)
        with torch.no_grad():
            first = model(image)
            assert torch.equal(first, model(image))
            # One image takes other kernels than two: the sums are rounded otherwise.
            torch.testing.assert_close(first[:1], model(image[:1]), rtol=1e-4, atol=1e-4)

    def test_save_and_load_give_equal_outputs(self, tmp_path: Path) -> None:
        model = self.build().eval()
        image = torch.randn(1, 3, 64, 64)
        zoo.save_model(model, tmp_path / "weights.safetensors", {"run_id": "r1"})
        loaded = zoo.load_model(tmp_path / "weights.safetensors")
        assert not loaded.training
        with torch.no_grad():
            assert torch.equal(model(image), loaded(image))
        assert zoo.read_metadata(tmp_path / "weights.safetensors")["run_id"] == "r1"
        assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]

    @pytest.mark.slow
    def test_exports(self, model: nn.Module) -> None:
        image = torch.randn(1, 3, 64, 64)
        exported = torch.export.export(model, (image,)).module()
        with torch.no_grad():
            torch.testing.assert_close(exported(image), model(image))

    @pytest.mark.slow
    def test_compiles(self, model: nn.Module) -> None:
        torch._dynamo.reset()  # all networks share `Peer.forward`, which is compiled only so often in one process
        image = torch.randn(1, 3, 64, 64)
        compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
        with torch.no_grad():
            torch.testing.assert_close(compiled(image), model(image), rtol=1e-4, atol=1e-5)


class PeerTests(NetworkTests):
    """The contract of a comparison method: published counts, the cost of our `tiny`, its heads and its options.

    `auxiliary` has weight and target of each head that only training uses; `refused` has options that do not fit each
    other, with a part of the message.
    """

    auxiliary: ClassVar[tuple[tuple[float, str], ...]] = ()
    refused: ClassVar[tuple[tuple[dict[str, Any], str], ...]] = ()

    def test_published_counts(self) -> None:
        published = published_counts().query("network == @self.name")
        assert len(published)
        assert list(check_counts(published).check) == [AGREES] * len(published)

    def test_tiny_costs_what_ours_does(self) -> None:
        counted = cost.count_cost(on_meta(self.name, "tiny"), (1, 3, 128, 128))
        assert 0.06 <= counted.gmac <= 0.10
        assert counted.params <= 2.0e6

    def test_paper_size_trains(self) -> None:
        logits, auxiliary = outputs(on_meta(self.name).train(), torch.empty(2, 3, 200, 256, device="meta"))
        assert tuple((head.weight, head.target) for head in auxiliary) == self.auxiliary
        assert {tuple(t.shape) for t in (logits, *(head.logits for head in auxiliary))} == {(2, 2, 200, 256)}

    def test_options_out_of_range_are_named(self, model: nn.Module) -> None:
        with pytest.raises(ValueError, match=f"unknown option 'colour': {self.name} has .*in_channels"):
            self.build(colour=1)
        for options, message in self.refused:
            with pytest.raises(ValueError, match=message):
                self.build(**options)
        for field in dataclasses.fields(model.config):  # type: ignore[arg-type]
            if isinstance(field.default, tuple):
                for wrong in (field.default[1:], (0, *field.default[1:])):
                    with pytest.raises(ValueError, match=f"{field.name}="):
                        self.build(**{field.name: wrong})
            elif field.name == "drop_path" or type(field.default) is int:
                with pytest.raises(ValueError, match=f"{field.name}=-1"):
                    self.build(**{field.name: -1})
