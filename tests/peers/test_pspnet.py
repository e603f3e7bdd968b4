"""PSPNet: its pyramid against loops and against Hugging Face's, and its published counts."""

from __future__ import annotations

import pytest
import torch
from networks import PeerTests, disturb
from torch import nn

from scgcnet.peers.pspnet import BINS, PyramidPooling


class TestPSPNet(PeerTests):
    name = "pspnet"
    auxiliary = ((0.4, "classes"),)

    def test_hugging_face_has_the_same_pyramid(self) -> None:
        upernet = pytest.importorskip("transformers.models.upernet.modeling_upernet")
        torch.manual_seed(0)
        pyramid = disturb(PyramidPooling(8, 5)).double()
        oracle = upernet.UperNetPyramidPoolingModule(BINS, 8, 5, align_corners=False).double().eval()
        oracle.load_state_dict(dict(zip(oracle.state_dict(), pyramid.levels.state_dict().values(), strict=True)))
        x = torch.randn(2, 8, 10, 14, dtype=torch.float64)
        torch.testing.assert_close(pyramid(x), torch.cat([x, *oracle(x)], dim=1))

    def test_every_pixel_sees_the_whole_image(self) -> None:
        """By the pyramid alone: without it, the far corner of the image does not matter to a pixel."""
        model = self.build().eval()
        for norm in model.modules():
            if hasattr(norm, "zero_init_last"):
                nn.init.ones_(norm.bn3.weight)  # a fresh bottleneck is an identity

        def far_corner() -> float:
            images = torch.ones(1, 3, 256, 256, requires_grad=True)
            model(images)[0, :, 0, 0].sum().backward()
            assert images.grad is not None
            return float(images.grad[0, :, 248:, 248:].abs().max())

        assert far_corner() > 0
        for level in model.pyramid.levels:
            nn.init.zeros_(level[1][0].weight)
        assert far_corner() == 0
