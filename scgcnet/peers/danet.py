"""DANet: attention among positions beside attention among channels, added.

J. Fu, J. Liu, H. Tian, Y. Li, Y. Bao, Z. Fang, H. Lu, "Dual Attention Network for Scene Segmentation", CVPR 2019.
A dilated ResNet gives a map at stride 8. One branch lets every position gather from all positions, the other every
channel from all channels; their sum is classified, and in training each branch is classified by itself as well
(Sec. 4.1, "multi-loss"). Layers and widths are mmsegmentation's `danet_r50-d8`.

    A   a branch's map, (B, C, H, W), with N = H W positions
    B, C, D  queries, keys and values of the position attention (Sec. 3.2)
    X   the channel attention's weights, (C, C) (Sec. 3.3)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.model.layers import conv_bn
from scgcnet.peers.base import Auxiliary, Peer, classifier, fcn_head
from scgcnet.peers.resnet import ResNetConfig, ResNetTrunk

BRANCH_WEIGHT = 1.0  # of the loss on each branch: as much as on their sum, in the authors' code and mmsegmentation
AUX_WEIGHT = 0.4  # of the loss on the trunk's third stage, as in mmsegmentation


@dataclass(frozen=True)
class DANetConfig(ResNetConfig):
    """DANet on ResNet-50 by default."""

    head_width: int = 512  # channels of each branch
    key_width: int = 64  # channels of the position attention's queries and keys
    aux_width: int = 256

    name: ClassVar[str] = "danet"


#: The paper's size, and the same wiring at the cost of our `tiny`.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"depths": (1, 1, 1, 1), "widths": (16, 32, 48, 48), "head_width": 32, "key_width": 8, "aux_width": 16},
    "paper": {},
}


class PositionAttention(nn.Module):
    """Every position gathers from all positions by their likeness (Sec. 3.2, Fig. 3 A, Eq. 1 and 2)."""

    def __init__(self, channels: int, key_width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, key_width, 1)
        # No bias, unlike the reference: it would raise all scores of a position alike, which the softmax cancels.
        self.key = nn.Conv2d(channels, key_width, 1, bias=False)
        self.value = nn.Conv2d(channels, channels, 1)
        self.alpha = nn.Parameter(torch.zeros(()))  # "initialized as 0 and gradually learns to assign more weight"

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, H, W)."""
        query, key, value = (
            layer(x).permute(0, 2, 3, 1).flatten(1, 2).unsqueeze(1) for layer in (self.query, self.key, self.value)
        )  # (B, 1, N, channels), views of maps that lie in memory as (B, H, W, C)
        # Eq. 1 does not divide the scores by the root of their width; fused kernels never hold all N x N of them.
        context = F.scaled_dot_product_attention(query, key, value, scale=1.0)  # (B, 1, N, C)
        return x + self.alpha * context.mT.reshape(x.shape)


class ChannelAttention(nn.Module):
    """Every channel gathers from all channels (Sec. 3.3, Fig. 3 B, Eq. 3 and 4).

    Eq. 3 weighs channels by their likeness. The authors' code and mmsegmentation take a row's largest score minus the
    scores, so that a channel gathers from those unlike itself; that is what was measured, and what is done here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, H, W)."""
        a = x.permute(0, 2, 3, 1).flatten(1, 2)  # (B, N, C)
        scores = a.mT @ a  # (B, C, C)
        weights = (-scores).softmax(dim=-1)  # X; the largest of a row is the same for all of it and cancels
        context = a @ weights.mT  # (B, N, C)
        return x + self.beta * context.mT.reshape(x.shape)


class DANet(Peer):
    """The network of Sec. 3.1 and Fig. 2, with an auxiliary head on the trunk's third stage."""

    stride: ClassVar[int] = 8
    Config = DANetConfig

    def __init__(self, config: DANetConfig) -> None:
        super().__init__(config)
        self.trunk = ResNetTrunk(config.in_channels, config.depths, config.widths)
        channels, width = self.trunk.out_channels[-1], config.head_width
        self.position = nn.Sequential(
            conv_bn(channels, width, 3, nn.ReLU),
            PositionAttention(width, config.key_width),
            conv_bn(width, width, 3, nn.ReLU),
        )
        self.channel = nn.Sequential(
            conv_bn(channels, width, 3, nn.ReLU), ChannelAttention(), conv_bn(width, width, 3, nn.ReLU)
        )
        self.classify = classifier(width, config.num_classes)
        self.aux = nn.ModuleDict(
            {
                "position": classifier(width, config.num_classes),
                "channel": classifier(width, config.num_classes),
                "trunk": fcn_head(self.trunk.out_channels[2], config.aux_width, config.num_classes),
            }
        )

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits (B, num_classes, H/8, W/8), and in training those of either branch and of the third stage."""
        *_, third, x = self.trunk(images)  # (B, C, H/8, W/8) both
        position, channel = self.position(x), self.channel(x)
        logits = self.classify(position + channel)  # Sec. 3.4
        if not self.training:
            return logits, []
        return logits, [
            Auxiliary(self.aux["position"](position), BRANCH_WEIGHT),
            Auxiliary(self.aux["channel"](channel), BRANCH_WEIGHT),
            Auxiliary(self.aux["trunk"](third), AUX_WEIGHT),
        ]
