"""ICNet: cascade feature fusion and the resolutions of its branches."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from networks import PeerTests, disturb
from torch import Tensor, nn

from scgcnet.peers.icnet import CascadeFeatureFusion


class TestICNet(PeerTests):
    name = "icnet"
    auxiliary = ((0.4, "classes"),) * 2

    def test_fusion_is_what_plain_arithmetic_gives(self) -> None:
        torch.manual_seed(0)
        fusion = disturb(CascadeFeatureFusion(5, 4, 6)).double()
        low, high = torch.randn(2, 5, 3, 4).double(), torch.randn(2, 4, 6, 8).double()
        enlarged = F.interpolate(low, scale_factor=2, mode="bilinear")
        share = fusion.low[1](F.conv2d(enlarged, fusion.low[0].weight, padding=2, dilation=2))
        joined, low_share = fusion(low, high)
        torch.testing.assert_close(joined, F.relu(share + fusion.high(high)))
        torch.testing.assert_close(low_share, share)

    def test_each_branch_works_at_its_resolution(self, model: nn.Module) -> None:
        shapes: dict[str, list[tuple[int, ...]]] = {}

        def note(name: str) -> Any:
            def hook(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
                shapes[name] = [tuple(given[0].shape[2:]), tuple(made.shape[2:])]

            return hook

        parts = {"light": model.light, "stem": model.trunk.stem, "stage 3": model.trunk.stages[2], "low": model.low}
        handles = [part.register_forward_hook(note(name)) for name, part in parts.items()]
        with torch.no_grad():
            model(torch.randn(1, 3, 128, 192))
        for handle in handles:
            handle.remove()
        assert shapes == {
            "light": [(128, 192), (16, 24)],  # the image, to stride 8
            "stem": [(64, 96), (16, 24)],  # half of it
            "stage 3": [(4, 6), (4, 6)],  # the middle map at stride 16, halved: stride 32, and dilated from there
            "low": [(4, 6), (4, 6)],
        }

    def test_halving_is_bilinear(self) -> None:
        images = torch.randn(1, 3, 64, 32)
        half = F.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=False)
        torch.testing.assert_close(F.avg_pool2d(images, 2), half)
