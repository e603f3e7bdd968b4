"""ConvNeXt under UPerNet: the library's network with the same weights, its block step by step."""

from __future__ import annotations

import torch
from networks import PeerTests, disturb, load_renamed  # before smp: see scgcnet.torchvision_ops
from segmentation_models_pytorch import UPerNet

NAMES = {
    "encoder.model.stem_": "encoder.stem.",
    "encoder.model.stages_": "encoder.stages.",
    "segmentation_head.0": "head.1",
}


class TestConvNeXt(PeerTests):
    name = "convnext"
    auxiliary = ((0.4, "classes"),)

    def test_equals_the_library(self) -> None:
        torch.manual_seed(0)
        theirs = UPerNet(
            "tu-convnext_tiny",
            encoder_weights=None,
            decoder_channels=24,
            classes=2,
            upsampling=1,
            **{"dims": (32, 64, 128, 256), "depths": (1, 1, 2, 1)},  # for timm
        )
        disturb(theirs)
        ours = self.build().eval()
        load_renamed(ours, theirs, NAMES)
        images = torch.randn(1, 3, 96, 160)
        with torch.no_grad():
            expected = theirs(images)
            assert expected.std() > 0.1
            torch.testing.assert_close(ours.segment(images)[0], expected, rtol=1e-4, atol=1e-4)
