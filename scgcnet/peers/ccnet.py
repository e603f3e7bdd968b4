"""CCNet: every pixel attends to its row and its column, twice, and so to the whole image.

Z. Huang, X. Wang, L. Huang, C. Huang, Y. Wei, W. Liu, "CCNet: Criss-Cross Attention for Semantic Segmentation",
ICCV 2019. A dilated ResNet gives a map at stride 8; two passes of one criss-cross attention (the same weights) gather
context, and the result is read beside the map that it came from. Layers and widths are mmsegmentation's `ccnet_r50-d8`;
the category consistent loss of the authors' later journal version is left out there as here.

    R   passes of the attention (`recurrence`)
    C'  channels of queries and keys (`key_width`)
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
class CCNetConfig(ResNetConfig):
    """CCNet on ResNet-50 by default."""

    head_width: int = 512  # channels that attend and are attended to
    key_width: int = 64  # C', an eighth of them in the paper
    recurrence: int = 2  # R; with two passes any pixel reaches any other
    aux_width: int = 256

    name: ClassVar[str] = "ccnet"


#: The paper's size, and the same wiring at the cost of our `tiny`.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"depths": (1, 1, 1, 1), "widths": (16, 32, 48, 48), "head_width": 32, "key_width": 8, "aux_width": 16},
    "paper": {},
}


class CrissCrossAttention(nn.Module):
    """One pass (Sec. 3.2, Fig. 3): a pixel gathers values from the H + W - 1 pixels of its row and its column."""

    def __init__(self, channels: int, key_width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, key_width, 1)
        # No bias, unlike the reference: it would raise all scores of a pixel alike, which the softmax cancels.
        self.key = nn.Conv2d(channels, key_width, 1, bias=False)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))  # the authors' code: context is let in from nothing on

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, H, W)."""
        height, width = x.shape[2:]
        query, key, value = (
            layer(x).permute(0, 2, 3, 1) for layer in (self.query, self.key, self.value)
        )  # (B, H, W, C')
        rows = query @ key.mT  # (B, H, W, W): of each pixel with those of its row
        columns = query.transpose(1, 2) @ key.transpose(1, 2).mT  # (B, W, H, H): with those of its column
        # A pixel lies in its row and in its column; it counts once, in the row.
        centre = torch.eye(height, dtype=torch.bool, device=x.device)
        columns = columns.masked_fill(centre, float("-inf"))
        weights = torch.cat([columns.transpose(1, 2), rows], dim=-1).softmax(dim=-1)  # (B, H, W, H + W)
        in_column, in_row = weights.split([height, width], dim=-1)
        context: Tensor = in_row @ value  # (B, H, W, C)
        context = context + (in_column.transpose(1, 2) @ value.transpose(1, 2)).transpose(1, 2)
        return x + self.gamma * context.permute(0, 3, 1, 2)


class CCNet(Peer):
    """The network of Sec. 3.1 and Fig. 2, with an auxiliary head on the trunk's third stage."""

    stride: ClassVar[int] = 8
    Config = CCNetConfig

    def __init__(self, config: CCNetConfig) -> None:
        super().__init__(config)
        self.recurrence = config.recurrence
        self.trunk = ResNetTrunk(config.in_channels, config.depths, config.widths)
        channels, width = self.trunk.out_channels[-1], config.head_width
        self.reduce = conv_bn(channels, width, 3, nn.ReLU)
        self.attention = CrissCrossAttention(width, config.key_width)
        self.refine = conv_bn(width, width, 3, nn.ReLU)
        self.fuse = conv_bn(channels + width, width, 3, nn.ReLU)
        self.classify = classifier(width, config.num_classes)
        self.aux = nn.ModuleList([fcn_head(self.trunk.out_channels[2], config.aux_width, config.num_classes)])

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits (B, num_classes, H/8, W/8), and in training those of the third stage."""
        *_, third, x = self.trunk(images)  # (B, C, H/8, W/8) both
        context = self.reduce(x)
        for _ in range(self.recurrence):  # Sec. 3.3
            context = self.attention(context)
        context = self.refine(context)
        logits = self.classify(self.fuse(torch.cat([x, context], dim=1)))
        return logits, [Auxiliary(self.aux[0](third), AUX_WEIGHT)] if self.training else []
