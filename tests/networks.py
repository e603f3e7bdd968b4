"""What every network of the zoo must do: a test class inherits `NetworkTests` and says which network it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from scgcnet import efficiency, zoo


class NetworkTests:
    """The checks; `name`, `size` and `options` are what `create_model` is called with."""

    name: ClassVar[str]
    size: ClassVar[str] = "tiny"
    options: ClassVar[dict[str, Any]] = {}
    stride: ClassVar[int] = 32  # what sides are padded to

    @classmethod
    def build(cls, **options: Any) -> nn.Module:
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
        image = torch.randn(1, 3, 50, 70)
        pad = (0, -70 % self.stride, 0, -50 % self.stride)
        assert any(pad)
        padded = torch.nn.functional.pad(image, pad, mode="replicate")
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
        outputs = model(torch.randn(2, 3, 64, 96))
        logits, auxiliary = (outputs, []) if isinstance(outputs, Tensor) else outputs
        assert logits.shape == (2, 2, 64, 96)
        assert all(head.logits.shape == logits.shape and 0 < head.weight <= 1 for head in auxiliary)
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

    def test_exports(self, model: nn.Module) -> None:
        image = torch.randn(1, 3, 64, 64)
        exported = torch.export.export(model, (image,)).module()
        with torch.no_grad():
            torch.testing.assert_close(exported(image), model(image))

    def test_compiles(self, model: nn.Module) -> None:
        torch._dynamo.reset()  # all networks share `Peer.forward`, which is compiled only so often in one process
        image = torch.randn(1, 3, 64, 64)
        compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
        with torch.no_grad():
            expected: Tensor = model(image)
            torch.testing.assert_close(compiled(image), expected, rtol=1e-4, atol=1e-5)


class PeerTests(NetworkTests):
    """What a comparison method must do beyond that: cost what `tiny` of ours costs, count as its reference does."""

    def test_tiny_costs_what_ours_does(self) -> None:
        with torch.device("meta"):
            model = zoo.create_model(self.name, "tiny")
        cost = efficiency.count_cost(model, (1, 3, 128, 128))
        assert 0.06 <= cost.gmac <= 0.10
        assert cost.params <= 2.0e6

    def test_paper_size_trains(self) -> None:
        """Shapes only, on the meta device: the paper's size takes any image and has its auxiliary heads."""
        with torch.device("meta"):
            model = zoo.create_model(self.name, "paper")
        model.train()
        outputs = model(torch.empty(2, 3, 200, 256, device="meta"))
        logits, auxiliary = (outputs, []) if isinstance(outputs, Tensor) else outputs
        assert [tuple(t.shape) for t in (logits, *(head.logits for head in auxiliary))] == [(2, 2, 200, 256)] * (
            1 + len(auxiliary)
        )
