"""GCNet: one context vector of the whole image, found by attention and added to every pixel.

Y. Cao, J. Xu, S. Lin, F. Wei, H. Hu, "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond",
ICCV Workshops 2019. The non-local block's attention hardly differs from pixel to pixel (Sec. 3), so that one map of
weights serves all. The paper puts the block into a backbone for detection; as a network for segmentation it is
mmsegmentation's `gcnet_r50-d8`, whose layers and widths these are: the block stands in a head on a dilated ResNet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from scgcnet.model.layers import conv_bn
from scgcnet.peers.base import Auxiliary, Peer, classifier, fcn_head
from scgcnet.peers.resnet import ResNetConfig, ResNetTrunk

AUX_WEIGHT = 0.4  # of the loss on the trunk's third stage, as in mmsegmentation


@dataclass(frozen=True)
class GCNetConfig(ResNetConfig):
    """GCNet on ResNet-50 by default."""

    head_width: int = 512  # channels of the map that gets the context
    context_width: int = 128  # channels of the bottleneck that transforms the context: a quarter of them
    aux_width: int = 256

    name: ClassVar[str] = "gcnet"


#: The paper's size, and the same wiring at the cost of our `tiny`.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"depths": (1, 1, 1, 1), "widths": (16, 32, 48, 48), "head_width": 32, "context_width": 8, "aux_width": 16},
    "paper": {},
}


class GlobalContext(nn.Module):
    """The global context block (Sec. 4.3, Fig. 4 d): attention pooling, a bottleneck, an addition."""

    def __init__(self, channels: int, context_width: int) -> None:
        super().__init__()
        # No bias, unlike the reference: it would raise all scores alike, which the softmax cancels.
        self.score = nn.Conv2d(channels, 1, 1, bias=False)
        nn.init.kaiming_normal_(self.score.weight, nonlinearity="relu")
        last = nn.Linear(context_width, channels)
        nn.init.zeros_(last.weight)  # the block starts as the identity, as in the authors' code
        nn.init.zeros_(last.bias)
        self.transform = nn.Sequential(nn.Linear(channels, context_width), nn.LayerNorm(context_width), nn.ReLU(), last)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, H, W)."""
        weights = self.score(x).flatten(1).softmax(dim=-1)  # (B, N), N = H W
        pixels = x.permute(0, 2, 3, 1).flatten(1, 2)  # (B, N, C), a view of maps that lie in memory as (B, H, W, C)
        context: Tensor = self.transform((weights.unsqueeze(1) @ pixels).squeeze(1))  # (B, C)
        return x + context[:, :, None, None]


class GCNet(Peer):
    """mmsegmentation's network: the block between two 3x3 convolutions, read beside the map that it came from."""

    stride: ClassVar[int] = 8
    Config = GCNetConfig

    def __init__(self, config: GCNetConfig) -> None:
        super().__init__(config)
        self.trunk = ResNetTrunk(config.in_channels, config.depths, config.widths)
        channels, width = self.trunk.out_channels[-1], config.head_width
        self.context = nn.Sequential(
            conv_bn(channels, width, 3, nn.ReLU),
            GlobalContext(width, config.context_width),
            conv_bn(width, width, 3, nn.ReLU),
        )
        self.fuse = conv_bn(channels + width, width, 3, nn.ReLU)
        self.classify = classifier(width, config.num_classes)
        self.aux = nn.ModuleList([fcn_head(self.trunk.out_channels[2], config.aux_width, config.num_classes)])

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits (B, num_classes, H/8, W/8), and in training those of the third stage."""
        *_, third, x = self.trunk(images)  # (B, C, H/8, W/8) both
        logits = self.classify(self.fuse(torch.cat([x, self.context(x)], dim=1)))
        return logits, [Auxiliary(self.aux[0](third), AUX_WEIGHT)] if self.training else []
