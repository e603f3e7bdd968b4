"""What a user would pick instead: a U-Net and a feature pyramid on EfficientNet-Lite0, which can start from ImageNet.

Not among the paper's comparison methods. Both are segmentation-models-pytorch's, on timm's `tf_efficientnet_lite0`
(Tan & Le, ICML 2019; Ronneberger et al., MICCAI 2015; Kirillov et al., CVPR 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import segmentation_models_pytorch as smp
from torch import Tensor

from scgcnet.model.trunk import imagenet_weights
from scgcnet.peers.base import Auxiliary, Peer, PeerConfig

ENCODER = "tu-tf_efficientnet_lite0"
PRESETS: dict[str, dict[str, Any]] = {"lite0": {}}


@dataclass(frozen=True)
class UNetLite0Config(PeerConfig):
    """What determines a U-Net on Lite0."""

    name: ClassVar[str] = "unet_lite0"

    widths: tuple[int, int, int, int, int] = (256, 128, 64, 32, 16)  # channels of the decoder, the library's own


@dataclass(frozen=True)
class FPNLite0Config(PeerConfig):
    """What determines a feature pyramid on Lite0."""

    name: ClassVar[str] = "fpn_lite0"

    pyramid_width: int = 64
    head_width: int = 64


class _Lite0(Peer):
    """One of the library's networks on that encoder."""

    network: Any  # of a library without types

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits at the images' resolution."""
        return self.network(images), []

    def load_imagenet(self) -> None:
        """Start from ImageNet weights; see `Lite0Trunk.load_imagenet`."""
        encoder = self.network.encoder.model
        stored = imagenet_weights(self.config.in_channels)
        # Both list the same layers in the same order; the file continues with the classifier's.
        encoder.load_state_dict(dict(zip(encoder.state_dict(), stored.values(), strict=False)))


class UNetLite0(_Lite0):
    """The library's U-Net."""

    Config = UNetLite0Config

    def __init__(self, config: UNetLite0Config) -> None:
        super().__init__(config)
        self.network = smp.Unet(
            ENCODER,
            encoder_weights=None,
            in_channels=config.in_channels,
            classes=config.num_classes,
            decoder_channels=config.widths,
        )


class FPNLite0(_Lite0):
    """The library's feature pyramid."""

    Config = FPNLite0Config

    def __init__(self, config: FPNLite0Config) -> None:
        super().__init__(config)
        self.network = smp.FPN(
            ENCODER,
            encoder_weights=None,
            in_channels=config.in_channels,
            classes=config.num_classes,
            decoder_pyramid_channels=config.pyramid_width,
            decoder_segmentation_channels=config.head_width,
        )
