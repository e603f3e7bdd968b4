"""HRNet (Wang et al., IEEE TPAMI 2021; first in CVPR 2019): branches at four resolutions, kept beside one another.

Paper: "Deep High-Resolution Representation Learning for Visual Recognition". The map at stride 4 is never made coarser:
stages 2, 3 and 4 add a branch at strides 8, 16 and 32, and at the end of each module all branches exchange what they
found (Fig. 3). The head (HRNetV2, Fig. 4b) enlarges the four maps to stride 4 and mixes them with a 1x1 convolution.

The trunk is timm's, without the parts that only its classifier uses; the head is mmsegmentation's, whose counts are
published. timm enlarges by repeating values where the paper's segmentation code interpolates; neither has weights.

Glossary
    C            channels at stride 4; a branch at stride 4 * 2^r has 2^r C (Sec. 3.1)
    module       residual blocks on every branch, then the exchange
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from timm.models.hrnet import HighResolutionNetFeatures
from torch import Tensor, nn

from scgcnet.model.layers import conv_bn
from scgcnet.peers.base import Auxiliary, Peer, PeerConfig, resize

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "width": 12,
        "stem_width": 16,
        "bottleneck_width": 16,
        "bottleneck_depth": 1,
        "module_depths": [1, 1, 1],
        "block_depth": 1,
        "head_width": 96,
    },
    "w18": {"width": 18, "head_width": 270},
    "paper": {},
}


@dataclass(frozen=True)
class HRNetConfig(PeerConfig):
    """What determines an HRNet; the defaults are W48."""

    name: ClassVar[str] = "hrnet"

    width: int = 48  # C
    stem_width: int = 64  # of the stem's first convolution; its second has always 64
    bottleneck_width: int = 64  # inner channels of stage 1
    bottleneck_depth: int = 4  # bottlenecks of stage 1
    module_depths: tuple[int, int, int] = (1, 4, 3)  # modules of stages 2, 3 and 4
    block_depth: int = 4  # residual blocks on each branch of a module
    head_width: int = 720  # of the mixed map: the branches' 15 C in the published sizes


class HRNet(Peer):
    """Stem and four stages, then the head of HRNetV2."""

    Config = HRNetConfig

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__(config)
        self.trunk = HighResolutionNetFeatures(  # type: ignore[no-untyped-call]
            _timm_stages(config), in_chans=config.in_channels, feature_location="", out_indices=(1, 2, 3, 4)
        )
        self.head = nn.Sequential(
            conv_bn(15 * config.width, config.head_width, 1, nn.ReLU),
            nn.Conv2d(config.head_width, config.num_classes, 1),
        )

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits at stride 4; it has no auxiliary head."""
        maps = self.trunk(images)  # (B, 2^r C, H / (4 * 2^r), W / (4 * 2^r)), r from 0 to 3
        size = maps[0].shape[2:]
        mixed = torch.cat([resize(x, size) for x in maps], 1)  # (B, 15 C, H/4, W/4)
        return self.head(mixed), []


def _timm_stages(config: HRNetConfig) -> dict[str, Any]:
    """The configuration in timm's words."""
    c = config
    stages = [("BOTTLENECK", 1, c.bottleneck_depth, (c.bottleneck_width,))]
    for branches, modules in zip((2, 3, 4), c.module_depths, strict=True):
        stages.append(("BASIC", modules, c.block_depth, tuple(c.width * 2**r for r in range(branches))))
    words = {
        f"stage{number}": {
            "num_modules": modules,
            "num_branches": len(widths),
            "block_type": block,
            "num_blocks": (depth,) * len(widths),
            "num_channels": widths,
            "fuse_method": "SUM",
        }
        for number, (block, modules, depth, widths) in enumerate(stages, start=1)
    }
    return {"stem_width": c.stem_width, **words}
