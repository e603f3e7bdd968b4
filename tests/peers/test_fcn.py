"""FCN against torchvision's: outputs and counts."""

from __future__ import annotations

import pytest
import torch
from networks import PeerTests, load_renamed, on_meta  # before torchvision: see scgcnet.torchvision_ops
from torch import Tensor, nn
from torchvision.models.segmentation import fcn_resnet50

from scgcnet import cost, zoo

NAMES = {
    "aux_classifier.0": "aux.0.0.0",
    "aux_classifier.1": "aux.0.0.1",
    "aux_classifier.4": "aux.0.2",
    "classifier.0": "head.0.0",
    "classifier.1": "head.0.1",
    "classifier.4": "head.2",
    "backbone.conv1": "trunk.stem.0",
    "backbone.bn1": "trunk.stem.1",
    **{f"backbone.layer{stage + 1}": f"trunk.stages.{stage}" for stage in range(4)},
}


def assert_near(actual: Tensor, expected: Tensor) -> None:
    """Equal to a part in 10,000 of the largest value."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


class TestFCN(PeerTests):
    name = "fcn"
    auxiliary = ((0.5, "classes"),)

    def test_counts_of_torchvision(self) -> None:
        model = on_meta("fcn", num_classes=21)
        # FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1 of torchvision 0.28: num_params 35322218, _ops 152.717 at 520
        # pixels with the auxiliary head.
        assert cost.count_params(model) == 35_322_218
        auxiliary = 65 * 65 * (1024 * 9 * 256 + 256 * 21)
        assert cost.count_cost(model, (1, 3, 520, 520)).macs + auxiliary == pytest.approx(152.717e9, rel=1e-4)

    def test_torchvision_gives_the_same(self) -> None:
        torch.manual_seed(0)
        oracle = fcn_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True).eval()
        model = zoo.create_model("fcn", "paper", num_classes=21).eval()
        load_renamed(model, oracle, NAMES)
        images = torch.randn(1, 3, 64, 48)
        with torch.no_grad():
            expected = oracle(images)
            assert_near(model(images), expected["out"])
            for module in model.modules():  # training mode for the network, evaluation for what it is made of
                module.training = module is model
            logits, auxiliary = model(images)
            assert_near(logits, expected["out"])
            assert_near(auxiliary[0].logits, expected["aux"])

    def test_last_stages_keep_the_resolution(self, model: nn.Module) -> None:
        with torch.no_grad():
            maps = model.trunk(torch.randn(1, 3, 64, 96))
        assert [tuple(x.shape[2:]) for x in maps] == [(16, 24), (8, 12), (8, 12), (8, 12)]
