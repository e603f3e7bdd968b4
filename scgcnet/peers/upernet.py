"""UPerNet, the head over the backbones of Swin Transformer, ConvNeXt and VMamba (Xiao et al., ECCV 2018).

Xiao, Liu, Zhou, Jiang, Sun: "Unified Perceptual Parsing for Scene Understanding", doi:10.1007/978-3-030-01228-1_26.
The deepest of four maps goes through PSPNet's pyramid pooling, a feature pyramid adds it to the three finer ones, and a
3x3 convolution fuses all four at a quarter of the image's resolution (its Sec. 3.1 and Fig. 4). The decoder is that of
segmentation-models-pytorch, which normalises each map first, as the three backbones' authors do; beside it stands the
auxiliary head that they train with, in mmsegmentation's settings. It reads the third map as it leaves its stage, where
mmsegmentation's reads the normalised one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from torch import Tensor, nn

from scgcnet.peers.base import Auxiliary, Peer, PeerConfig, classifier, fcn_head

AUXILIARY_WEIGHT = 0.4  # mmsegmentation, configs/_base_/models/upernet_swin.py


@dataclass(frozen=True)
class UPerNetConfig(PeerConfig):
    """A backbone of four stages, each with twice the channels of the one before, and the decoder's width."""

    width: int = 128  # channels of the first stage
    depths: tuple[int, ...] = (2, 2, 18, 2)  # blocks of the four stages
    drop_path: float = 0.0  # probability that training skips the last block; falls linearly to 0 at the first
    decoder_width: int = 512
    auxiliary_width: int = 256

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Channels of the four stages."""
        return (self.width, 2 * self.width, 4 * self.width, 8 * self.width)


class UPerNet(Peer):
    """An encoder under UPerNet's decoder, with a fully convolutional auxiliary head on the third stage.

    Attributes:
        Encoder: makes the encoder from the configuration: from images (B, in_channels, H, W) to the maps (B, C, h, w)
            of its stages, of `config.widths` channels at strides 4, 8, 16 and 32, not normalised.
    """

    Encoder: ClassVar[type[nn.Module]]

    def __init__(self, config: UPerNetConfig) -> None:
        super().__init__(config)
        self.encoder = self.Encoder(config)
        # The decoder's list of channels begins with strides 1 and 2, which it does not use.
        self.decoder = UPerNetDecoder((0, 0, *config.widths), decoder_channels=config.decoder_width)
        self.head = classifier(config.decoder_width, config.num_classes)
        self.aux = nn.ModuleList([fcn_head(config.widths[2], config.auxiliary_width, config.num_classes)])
        initialize_decoder(self.decoder)
        initialize_head(self.head)

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits (B, num_classes, H/4, W/4), and in training the auxiliary ones at H/16."""
        maps = self.encoder(images)
        logits = self.head(self.decoder([maps[0], maps[0], *maps]))  # two in place of strides 1 and 2
        if not self.training:
            return logits, []
        return logits, [Auxiliary(self.aux[0](maps[2]), AUXILIARY_WEIGHT)]
