"""DeepLabV3+ against the library's own on torchvision's ResNet, its dilated branches against sums of shifted maps."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests
from torch import Tensor, nn

from scgcnet import efficiency, zoo


def dilated_depthwise(x: Tensor, weight: Tensor, rate: int) -> Tensor:
    """A 3x3 convolution of every channel by itself, nine shifted copies of the map; outside the map is zero."""
    height, width = x.shape[2:]
    padded = F.pad(x, (rate, rate, rate, rate))
    total = torch.zeros_like(x)
    for i in range(3):
        for j in range(3):
            shifted = padded[:, :, i * rate : i * rate + height, j * rate : j * rate + width]
            total += weight[:, 0, i, j, None, None] * shifted
    return total


def library(**options: Any) -> nn.Module:
    """The library's network on its own encoder, which is torchvision's ResNet."""
    from segmentation_models_pytorch import DeepLabV3Plus  # not before scgcnet: see torchvision_ops

    model: nn.Module = DeepLabV3Plus("resnet50", encoder_weights=None, **options)
    return model


class TestDeepLabV3Plus(PeerTests):
    name = "deeplabv3plus"
    stride = 16

    def test_reference_counts(self) -> None:
        # smp.DeepLabV3Plus("resnet50") of segmentation-models-pytorch 0.6 with its default of one class: 26.68 M and
        # 36.6 GMAC at 512 pixels (with 150 classes it would be 26.72 M and 37.2).
        with torch.device("meta"):
            model = zoo.create_model("deeplabv3plus", "paper", num_classes=1)
            oracle = library()
        assert efficiency.count_params(model) == pytest.approx(26.68e6, rel=0.0002)
        assert efficiency.count_params(model) == efficiency.count_params(oracle)
        cost = efficiency.count_cost(model, (1, 3, 512, 512))
        assert cost.gmac == pytest.approx(36.6, rel=0.002)
        assert cost.macs == efficiency.count_cost(oracle, (1, 3, 512, 512)).macs

    def test_torchvisions_resnet_gives_the_same(self) -> None:
        torch.manual_seed(0)
        oracle = library(decoder_atrous_rates=(6, 12, 18), classes=2)
        # The first block at the lower resolution is not dilated in timm, as in DeepLabv3; it is in smp's encoder.
        first = oracle.encoder.layer4[0].conv2
        assert first.dilation == (2, 2)
        first.dilation = first.padding = (1, 1)
        model = zoo.create_model("deeplabv3plus", "paper").eval()
        names = {f"net.{key.replace('encoder.', 'encoder.model.', 1)}": key for key in oracle.state_dict()}
        model.load_state_dict({ours: oracle.state_dict()[theirs] for ours, theirs in names.items()})
        images = torch.randn(1, 3, 64, 96)
        with torch.no_grad():
            expected = oracle.eval()(images)
            torch.testing.assert_close(model(images), expected, rtol=0, atol=1e-4 * float(expected.abs().max()))

    def test_dilated_branches_are_sums_of_shifted_maps(self, model: nn.Module) -> None:
        torch.manual_seed(0)
        x = torch.randn(2, 384, 8, 8)
        branches = model.net.decoder.aspp[0].convs
        with torch.no_grad():
            for branch, rate in zip(branches[1:4], (2, 4, 6), strict=True):
                (depthwise, pointwise), norm = branch[0], branch[1]
                expected = F.conv2d(dilated_depthwise(x, depthwise.weight, rate), pointwise.weight)
                expected = F.relu(expected / (1 + norm.eps) ** 0.5)  # fresh statistics: mean 0, variance 1
                torch.testing.assert_close(branch(x), expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize(("size", "side"), [("tiny", 128), ("paper", 512)])
    def test_every_rate_fits_the_map(self, size: str, side: int) -> None:
        with torch.device("meta"):
            config = zoo.create_model("deeplabv3plus", size).config
        x = torch.randn(1, 1, side // 16, side // 16)
        for rate in config.rates:
            weight = torch.ones(1, 1, 3, 3, requires_grad=True)
            dilated_depthwise(x, weight, rate).square().sum().backward()
            assert weight.grad.ne(0).all(), rate  # type: ignore[union-attr]

    def test_edges_come_from_an_early_map(self, model: nn.Module) -> None:
        """The decoder reads 48 channels made of the first stage's map, at stride 4 (Sec. 3.1)."""
        shapes = []
        handle = model.net.decoder.block2.register_forward_pre_hook(lambda _, x: shapes.append(tuple(x[0].shape)))
        with torch.no_grad():
            model(torch.randn(1, 3, 64, 96))
        handle.remove()
        assert shapes == [(1, 48 + model.config.decoder_width, 16, 24)]

    def test_nothing_is_downloaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: Any, **options: Any) -> None:
            raise AssertionError("connects to the network")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        self.build()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"depths": (1, 1, 1)}, r"depths=\(1, 1, 1\).*four"),
            ({"widths": (16, 16, 16, 16, 16)}, r"widths=.*four"),
            ({"rates": (6, 12)}, r"rates=\(6, 12\).*three"),
            ({"rates": (6, 12, -1)}, r"rates=.*1\.\."),
            ({"encoder_weights": "imagenet"}, "unknown option 'encoder_weights': deeplabv3plus has"),
        ],
    )
    def test_bad_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.build(**options)
