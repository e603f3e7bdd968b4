"""FCN against torchvision's, value by value, and its published counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from networks import PeerTests
from torch import Tensor, nn

from scgcnet import efficiency, zoo

PARTS = {
    "backbone.conv1": "trunk.stem.0",
    "backbone.bn1": "trunk.stem.1",
    **{f"backbone.layer{stage + 1}": f"trunk.stages.{stage}" for stage in range(4)},
    **{f"classifier.{layer}": f"head.{ours}" for layer, ours in (("0", "0.0"), ("1", "0.1"), ("4", "2"))},
    **{f"aux_classifier.{layer}": f"aux.0.{ours}" for layer, ours in (("0", "0.0"), ("1", "0.1"), ("4", "2"))},
}


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's weights under our names."""
    parts = {key: next(part for part in PARTS if key.startswith(f"{part}.")) for key in state}
    return {PARTS[part] + key.removeprefix(part): state[key] for key, part in parts.items()}


def assert_near(actual: Tensor, expected: Tensor) -> None:
    """Equal to a part in 10,000 of the largest value."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def on_meta(size: str, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return zoo.create_model("fcn", size, **options)


class TestFCN(PeerTests):
    name = "fcn"
    stride = 8

    def test_reference_counts(self) -> None:
        model = on_meta("paper", num_classes=21)
        # FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1 of torchvision 0.28: num_params 35322218, _ops 152.717 at 520
        # pixels with the auxiliary head; 138.4 at 512 pixels without it, counted by torch's FlopCounterMode.
        assert efficiency.count_params(model) == 35_322_218
        assert efficiency.count_params(model, auxiliary=False) == pytest.approx(32.96e6, rel=0.005)
        assert efficiency.count_cost(model, (1, 3, 512, 512)).gmac == pytest.approx(138.4, rel=0.001)
        auxiliary = 65 * 65 * (1024 * 9 * 256 + 256 * 21)
        assert efficiency.count_cost(model, (1, 3, 520, 520)).macs + auxiliary == pytest.approx(152.717e9, rel=1e-4)

    def test_torchvision_gives_the_same(self) -> None:
        from torchvision.models.segmentation import fcn_resnet50  # not before scgcnet: see torchvision_ops

        torch.manual_seed(0)
        oracle = fcn_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True).eval()
        model = zoo.create_model("fcn", "paper", num_classes=21).eval()
        model.load_state_dict(renamed(oracle.state_dict()))
        images = torch.randn(1, 3, 64, 48)
        with torch.no_grad():
            expected = oracle(images)
            assert_near(model(images), expected["out"])
            for module in model.modules():  # training mode for the network, evaluation for what it is made of
                module.training = module is model
            logits, auxiliary = model(images)
            assert_near(logits, expected["out"])
            assert_near(auxiliary[0].logits, expected["aux"])

    def test_auxiliary_head(self) -> None:
        logits, auxiliary = self.build().train()(torch.randn(2, 3, 64, 64))
        assert [(head.weight, head.target) for head in auxiliary] == [(0.5, "classes")]
        assert logits.shape == auxiliary[0].logits.shape

    def test_last_stages_keep_the_resolution(self, model: nn.Module) -> None:
        with torch.no_grad():
            maps = model.trunk(torch.randn(1, 3, 64, 96))
        assert [tuple(x.shape[2:]) for x in maps] == [(16, 24), (8, 12), (8, 12), (8, 12)]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"depths": (1, 1, 1)}, r"depths=\(1, 1, 1\).*four"),
            ({"widths": (16, 16, 16, 16, 16)}, r"widths=.*four"),
            ({"widths": (16, 16, 16, 0)}, r"widths=.*1\.\."),
            ({"depths": (1, 1, 1, 1000)}, r"depths=.*256"),
            ({"skips": True}, "unknown option 'skips': fcn has"),
        ],
    )
    def test_bad_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.build(**options)
