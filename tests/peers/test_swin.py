"""Swin Transformer under UPerNet: the library with the same weights, its attention by loops."""

from __future__ import annotations

import pytest
import torch
from networks import PeerTests, disturb, load_renamed  # before smp and timm: see scgcnet.torchvision_ops
from segmentation_models_pytorch import UPerNet

NAMES = {
    "encoder.model.patch_embed": "encoder.patches",
    "encoder.model.layers_": "encoder.stages.",
    "segmentation_head.0": "head.1",
}


class TestSwin(PeerTests):
    name = "swin"
    auxiliary = ((0.4, "classes"),)
    refused = (({"heads": (5, 2, 4, 8)}, "heads=.*divisor"),)

    @pytest.mark.parametrize("image_size", [(256, 256), (256, 320)])
    def test_equals_the_library_made_for_that_size(self, image_size: tuple[int, int]) -> None:
        """Windows of 7 on maps of 64, 32, 16 and 8 tokens: none is divided, all are larger than a window."""
        torch.manual_seed(0)
        theirs = UPerNet(
            "tu-swin_tiny_patch4_window7_224",
            encoder_weights=None,
            decoder_channels=20,
            classes=2,
            upsampling=1,
            img_size=image_size,
            embed_dim=24,
            depths=(2, 2, 2, 2),
            num_heads=(1, 2, 4, 8),
        )
        disturb(theirs)
        ours = self.build(window=7).eval()
        load_renamed(ours, theirs, NAMES)
        images = torch.randn(1, 3, *image_size)
        with torch.no_grad():
            expected = theirs(images)
            assert expected.std() > 0.1
            torch.testing.assert_close(ours.segment(images)[0], expected, rtol=1e-4, atol=1e-4)
