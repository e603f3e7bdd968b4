"""The ResNet trunk of FCN, PSPNet, ICNet, CCNet, DANet and GCNet (He et al. 2016), from timm.

With `deep_stem` the 7x7 convolution becomes three 3x3 ones (ResNet-C of He et al. 2019, as mmsegmentation's V1c); at an
output stride of 8 the last two stages keep their resolution and are dilated by 2 and 4 (Chen et al. 2017), the first
block of each by half of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from timm.models.resnet import Bottleneck, ResNet
from torch import Tensor, nn

from scgcnet.peers.base import PeerConfig, run_stages


@dataclass(frozen=True)
class ResNetConfig(PeerConfig):
    """A method on this trunk; the defaults are ResNet-50's."""

    depths: tuple[int, int, int, int] = (3, 4, 6, 3)  # bottlenecks in each stage
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)  # their inner channels; a stage gives four times as many


class ResNetTrunk(nn.Module):
    """Images (B, in_channels, H, W) to the maps of the four stages, `out_channels` channels each."""

    def __init__(
        self,
        in_channels: int,
        depths: tuple[int, int, int, int] = (3, 4, 6, 3),
        widths: tuple[int, int, int, int] = (64, 128, 256, 512),
        output_stride: Literal[8, 16, 32] = 8,
        deep_stem: bool = True,
    ) -> None:
        """Makes ResNet-50 by default.

        Args:
            in_channels: Bands of the images.
            depths: Bottlenecks in each stage.
            widths: Inner channels of each stage's bottlenecks; a stage gives four times as many.
            output_stride: Of the last map.
            deep_stem: Three 3x3 convolutions instead of one 7x7, which in timm always has 64 channels.
        """
        super().__init__()
        net: Any = ResNet(  # whose layers are typed as Tensor | Module
            Bottleneck,  # type: ignore[arg-type]  # it wants the class, and says the object
            depths,
            num_classes=0,
            in_chans=in_channels,
            output_stride=output_stride,
            channels=widths,
            stem_width=widths[0] // 2,  # of the first two of three; the plain stem does not ask
            stem_type="deep" if deep_stem else "",
        )
        self.stem = nn.Sequential(net.conv1, net.bn1, net.act1, net.maxpool)
        self.stages = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4])
        self.out_channels = tuple(4 * width for width in widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps at strides 4, 8 and then 16 and 32, or what `output_stride` leaves of them."""
        return run_stages(self.stem(images), self.stages)
