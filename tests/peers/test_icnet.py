"""ICNet: cascade feature fusion against plain arithmetic, the cascade's resolutions, and its published counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests
from torch import Tensor, nn

from scgcnet import efficiency, zoo
from scgcnet.peers.icnet import CascadeFeatureFusion


def twice(x: Tensor) -> Tensor:
    """Doubles the resolution: a new pixel lies a quarter from the old one that it is nearest to."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    out = torch.empty(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            row, column = i // 2 + 1, j // 2 + 1
            up, left = row + (1 if i % 2 else -1), column + (1 if j % 2 else -1)
            out[:, :, i, j] = (
                9 * padded[:, :, row, column]
                + 3 * padded[:, :, up, column]
                + 3 * padded[:, :, row, left]
                + padded[:, :, up, left]
            ) / 16
    return out


def normalised(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    x = (x - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
    return x * norm.weight[:, None, None] + norm.bias[:, None, None]


def on_meta(size: str, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return zoo.create_model("icnet", size, **options)


class TestICNet(PeerTests):
    name = "icnet"

    def test_reference_counts(self) -> None:
        model = on_meta("paper", num_classes=19)
        # mmsegmentation 1.x, configs/_base_/models/icnet_r50-d8.py with 19 classes: 47.83 M with both auxiliary heads,
        # 15.4 GMAC at 512 pixels without them.
        assert efficiency.count_params(model) == pytest.approx(47.83e6, rel=0.0002)
        assert efficiency.count_cost(model, (1, 3, 512, 512)).gmac == pytest.approx(15.4, rel=0.03)
        # The hundredth that is missing: its max-pool rounds up, so that 128 pixels become 65, not 64.
        model.trunk.stem[3].ceil_mode = True
        assert efficiency.count_cost(model, (1, 3, 512, 512)).gmac == pytest.approx(15.4, abs=0.05)

    def test_fusion_is_what_plain_arithmetic_gives(self) -> None:
        torch.manual_seed(0)
        fusion = CascadeFeatureFusion(5, 4, 6).double().eval()
        for norm in (fusion.low[1], fusion.high[1]):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
        low, high = torch.randn(2, 5, 3, 4).double(), torch.randn(2, 4, 6, 8).double()
        padded = F.pad(twice(low), (2, 2, 2, 2))
        share = torch.zeros(2, 6, 6, 8, dtype=torch.float64)
        for i in range(3):
            for j in range(3):  # rate 2: every second pixel
                window = padded[:, :, 2 * i : 2 * i + 6, 2 * j : 2 * j + 8]
                share += torch.einsum("oc,bchw->bohw", fusion.low[0].weight[:, :, i, j], window)
        share = normalised(share, fusion.low[1])
        projected = torch.einsum("oc,bchw->bohw", fusion.high[0].weight[:, :, 0, 0], high)
        expected = (share + normalised(projected, fusion.high[1])).clamp(min=0)
        joined, low_share = fusion(low, high)
        torch.testing.assert_close(joined, expected)
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

    def test_guidance_on_the_lower_branches(self) -> None:
        logits, auxiliary = self.build().train()(torch.randn(2, 3, 64, 64))
        assert [(head.weight, head.target) for head in auxiliary] == [(0.4, "classes")] * 2
        assert all(head.logits.shape == logits.shape for head in auxiliary)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"depths": (1, 1, 1)}, r"depths=\(1, 1, 1\).*four"),
            ({"widths": (16, 16, 16, 16, 16)}, r"widths=.*four"),
            ({"light_widths": (16, 16)}, r"light_widths=\(16, 16\).*three"),
            ({"fusion_width": 10**6}, r"fusion_width=1000000.*8192"),
            ({"branches": 4}, "unknown option 'branches': icnet has"),
        ],
    )
    def test_bad_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.build(**options)
