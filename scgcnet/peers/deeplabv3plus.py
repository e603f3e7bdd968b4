"""DeepLabV3+: dilated convolutions at several rates side by side, then a short decoder that brings back the edges.

Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image
Segmentation", ECCV 2018. From segmentation-models-pytorch on timm's ResNet: atrous spatial pyramid pooling (ASPP) with
separable convolutions at stride 16, joined at stride 4 to 48 channels of the first stage. It has no auxiliary head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from segmentation_models_pytorch import DeepLabV3Plus as Library
from torch import Tensor

from scgcnet.peers.base import Auxiliary, Peer
from scgcnet.peers.resnet import ResNetConfig

DROPOUT = 0.1  # after ASPP, as in the authors' code (the library's default is 0.5)

#: What differs from the defaults; the defaults are the library's network on ResNet-50. An image of 128 pixels has a map
#: of 8x8 at stride 16, on which the paper's rates would leave only the central weights at work: `tiny` takes a third of
#: them. The 7x7 stem of timm always has 64 channels, too dear here: it takes the stem of three 3x3.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "depths": (1, 2, 2, 2),
        "widths": (16, 32, 64, 96),
        "deep_stem": True,
        "decoder_width": 64,
        "rates": (2, 4, 6),
    },
    "paper": {},
}


@dataclass(frozen=True)
class DeepLabV3PlusConfig(ResNetConfig):
    """Everything that determines a DeepLabV3+."""

    name: ClassVar[str] = "deeplabv3plus"

    deep_stem: bool = False  # three 3x3 convolutions instead of one 7x7
    decoder_width: int = 256  # channels of each branch of ASPP, and of the decoder
    rates: tuple[int, int, int] = (6, 12, 18)  # of ASPP's dilated branches, for an output stride of 16 (DeepLabv3)


class DeepLabV3Plus(Peer):
    """Images (B, in_channels, H, W) to logits (B, num_classes, H, W)."""

    stride: ClassVar[int] = 16
    Config = DeepLabV3PlusConfig

    def __init__(self, config: DeepLabV3PlusConfig) -> None:
        super().__init__(config)
        self.net = Library(
            "tu-resnet50",
            encoder_weights=None,  # nothing is downloaded
            encoder_output_stride=16,
            decoder_channels=config.decoder_width,
            decoder_atrous_rates=config.rates,
            decoder_aspp_dropout=DROPOUT,
            in_channels=config.in_channels,
            classes=config.num_classes,
            # What follows goes to timm's ResNet.
            layers=config.depths,
            channels=config.widths,
            stem_width=config.widths[0] // 2,
            stem_type="deep" if config.deep_stem else "",
        )

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits at the images' size (the library enlarges them fourfold itself)."""
        return self.net(images), []
