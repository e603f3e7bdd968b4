"""DeepLabV3+ against the library's own on torchvision's ResNet."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import torch
from networks import PeerTests, on_meta
from torch import nn

from scgcnet import cost, zoo


def library(**options: Any) -> nn.Module:
    """The library's network on its own encoder, which is torchvision's ResNet."""
    from segmentation_models_pytorch import DeepLabV3Plus  # not before scgcnet: see torchvision_ops

    model: nn.Module = DeepLabV3Plus("resnet50", encoder_weights=None, **options)
    return model


class TestDeepLabV3Plus(PeerTests):
    name = "deeplabv3plus"

    def test_counts_of_the_library(self) -> None:
        with torch.device("meta"):
            oracle = library()
        ours, theirs = (cost.count_cost(m, (1, 3, 512, 512)) for m in (on_meta(self.name, num_classes=1), oracle))
        assert (ours.params, ours.macs) == (theirs.params, theirs.macs)

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

    def test_nothing_is_downloaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: Any, **options: Any) -> None:
            raise AssertionError("connects to the network")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        self.build()
