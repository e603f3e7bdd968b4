"""ST-UNet: a CNN U-Net whose encoder takes global context from a Swin transformer that runs beside it.

X. He, Y. Zhou, J. Zhao, D. Zhang, R. Yao, Y. Xue, "Swin Transformer Embedding UNet for Remote Sensing Image Semantic
Segmentation", IEEE TGRS 60, 2022, doi:10.1109/TGRS.2022.3144165.

Two encoders see the image: the residual CNN is the main one, the Swin transformer the auxiliary one. SIM puts spatial
relations into the Swin blocks, FCM takes the place of Swin's patch merging, and after every stage RAM hands what the
transformer knows to the CNN. A U-Net decoder follows. Written from the paper's abstract and from what others say of
its modules; neither its full text nor its repository, which has no licence, was read. What that leaves open:

what            | said of the paper                       | chosen
----------------|-----------------------------------------|-------------------------------------------------------------
whole           | 168.83 M parameters, 6 classes, 256 px  | 162.49 M (-3.8 %); no auxiliary head, no dropout
main encoder    | residual CNN of a U-Net                 | ResNet-50 with a stem of three 3x3 convolutions; all plain
                |                                         | (deformable ones are reported too)
aux. encoder    | Swin transformer                        | Swin-T: 96 channels, depths 2 2 6 2, heads 3 6 12 24, 4x4
                |                                         | patches; LN on what leaves a stage, no stochastic depth
window          | -                                       | 8, which divides all four maps at 256 px (Swin's own is 7);
                |                                         | other maps repeat their border up to whole windows
SIM             | in the Swin block, pixel-level          | after every block, added: 3x3 convolution of dilation 2 to
                | relations along both spatial axes       | half the channels, BN, ReLU; its means along each row and
                |                                         | each column, their outer product; 1x1 back, BN
FCM             | for patch merging: dilated convolution  | bottleneck 1x1 to C/2, 3x3 of dilation 2 and stride 2, 1x1
                | and soft pooling, against the loss of   | to 2C (BN, ReLU between), plus 2x2 soft pooling and 1x1 to
                | small objects                           | 2C, BN; ReLU of the sum
RAM             | bridge at every stage: relations of     | the means of Swin's channels, two 1x1 (Cn/16 wide), sigmoid
                | Swin's channels weigh the CNN's, which  | weigh the CNN's channels; a 1x1 BN of Swin's map is added;
                | take up its global dependencies         | 3x3 BN ReLU of that is added to the CNN's map
after RAM       | "hierarchically"                        | its result is the skip and the next CNN stage's input
decoder         | U-Net's, skip connections               | 2x2 transposed convolution to the skip's width, joined, two
                |                                         | 3x3 BN ReLU; skips at strides 16, 8, 4 and 2 (the stem)
head            | -                                       | 1x1 at stride 2, bilinear to the image
initial weights | -                                       | convolutions He et al. 2015, Swin's linear layers N(0, 0.02)

A: maps of the main encoder. S: maps of the auxiliary encoder. Cn, Cs: their channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn

from scgcnet.model.layers import conv_bn
from scgcnet.peers.base import Auxiliary, Peer, PeerConfig
from scgcnet.peers.resnet import ResNetTrunk


@dataclass(frozen=True)
class STUNetConfig(PeerConfig):
    """Everything that determines an ST-UNet; the defaults are the paper's size."""

    cnn_depths: tuple[int, int, int, int] = (3, 4, 6, 3)  # bottlenecks of each stage
    cnn_widths: tuple[int, int, int, int] = (64, 128, 256, 512)  # their inner channels; four times that leave a stage
    swin_width: int = 96  # channels of the first stage, doubled by every FCM
    swin_depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    heads: tuple[int, int, int, int] = (3, 6, 12, 24)
    window: int = 8  # side of the attention windows, tokens; every second block shifts them by half of it

    name: ClassVar[str] = "stunet"

    def __post_init__(self) -> None:
        """Checks what the transformer needs besides."""
        super().__post_init__()
        if self.swin_width % 2:
            raise ValueError(f"swin_width={self.swin_width}: must be even, SIM and FCM halve it")
        for heads, channels in zip(self.heads, self.swin_widths, strict=True):
            if channels % heads:
                raise ValueError(f"heads={self.heads!r}: {heads} do not divide a stage's {channels} channels")

    @property
    def swin_widths(self) -> tuple[int, ...]:
        """Channels of the transformer's four stages."""
        return tuple(self.swin_width * 2**stage for stage in range(4))


class SIM(nn.Module):
    """Spatial interaction module: every pixel meets its row's and its column's mean, channel by channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.structure = conv_bn(channels, channels // 2, 3, nn.ReLU, dilation=2)
        self.expand = conv_bn(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to what is added to them, (B, C, H, W)."""
        x = self.structure(x)  # (B, C/2, H, W)
        rows = x.mean(dim=3, keepdim=True)  # (B, C/2, H, 1)
        columns = x.mean(dim=2, keepdim=True)  # (B, C/2, 1, W)
        relation: Tensor = self.expand(rows * columns)  # an outer product, (B, C/2, H, W) -> (B, C, H, W)
        return relation


class SwinBlock(nn.Module):
    """A Swin transformer block (Liu et al. 2021) with its SIM; maps (B, C, H, W) of any size."""

    def __init__(self, channels: int, heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.window = window
        self.swin = SwinTransformerBlock(
            channels,
            input_resolution=window,  # not used: the mask is made for each map
            num_heads=heads,
            window_size=window,
            shift_size=window // 2 if shifted else 0,
            always_partition=True,
            dynamic_mask=True,
        )
        self.sim = SIM(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, H, W)."""
        height, width = x.shape[2:]
        # timm would pad after the shift, where its mask no longer lies on the border that wraps around.
        pad = (0, -width % self.window, 0, -height % self.window)
        tokens = F.pad(x, pad, mode="replicate") if any(pad) else x
        tokens = self.swin(tokens.permute(0, 2, 3, 1))  # (B, H', W', C)
        x = tokens.permute(0, 3, 1, 2)[:, :, :height, :width]
        related: Tensor = x + self.sim(x)
        return related


def soft_pool(x: Tensor) -> Tensor:
    """SoftPool (Stergiou et al. 2021): 2x2 means weighted by exp(x); (B, C, H, W) to (B, C, H/2, W/2), even sides."""
    windows: Tensor = F.pixel_unshuffle(x, 2).unflatten(1, (x.shape[1], 4))  # (B, C, 4, H/2, W/2)
    return (windows.softmax(dim=2) * windows).sum(dim=2)


class FCM(nn.Module):
    """Feature compression module, instead of patch merging: (B, C, H, W) to (B, 2C, H/2, W/2), even sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.dilated = nn.Sequential(
            conv_bn(channels, inner, 1, nn.ReLU),
            conv_bn(inner, inner, 3, nn.ReLU, stride=2, dilation=2),
            conv_bn(inner, 2 * channels, 1),
        )
        self.pooled = conv_bn(channels, 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, 2C, H/2, W/2)."""
        return F.relu(self.dilated(x) + self.pooled(soft_pool(x)))


class RAM(nn.Module):
    """Relational aggregation module: what the transformer's channels say weighs and completes the CNN's."""

    def __init__(self, cnn_channels: int, swin_channels: int) -> None:
        super().__init__()
        hidden = max(8, cnn_channels // 16)
        self.relations = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(swin_channels, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, cnn_channels, 1),
            nn.Sigmoid(),
        )
        self.project = conv_bn(swin_channels, cnn_channels, 1)
        self.aggregate = conv_bn(cnn_channels, cnn_channels, 3, nn.ReLU)

    def forward(self, a: Tensor, s: Tensor) -> Tensor:
        """The CNN's A (B, Cn, H, W) and the transformer's S (B, Cs, H, W) to a new A."""
        x: Tensor = self.aggregate(a * self.relations(s) + self.project(s))
        return a + x


class UpBlock(nn.Module):
    """A step of U-Net's decoder (Ronneberger et al. 2015), with batch normalisation and padded convolutions."""

    def __init__(self, in_channels: int, skip_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, skip_channels, 2, stride=2)
        self.convs = nn.Sequential(
            conv_bn(2 * skip_channels, skip_channels, 3, nn.ReLU), conv_bn(skip_channels, skip_channels, 3, nn.ReLU)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Maps (B, in_channels, H/2, W/2) and the skip (B, C, H, W) to (B, C, H, W)."""
        out: Tensor = self.convs(torch.cat([skip, self.up(x)], dim=1))
        return out


class STUNet(Peer):
    """Both encoders and the decoder."""

    Config = STUNetConfig

    def __init__(self, config: STUNetConfig) -> None:
        super().__init__(config)
        widths = config.swin_widths
        self.patches = nn.Conv2d(config.in_channels, widths[0], 4, stride=4)
        self.swin_stages = nn.ModuleList(
            nn.Sequential(*(SwinBlock(channels, heads, config.window, bool(i % 2)) for i in range(depth)))
            for channels, heads, depth in zip(widths, config.heads, config.swin_depths, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in (widths[0], *widths))
        self.fcms = nn.ModuleList(FCM(channels) for channels in widths[:3])
        # Weights of torch's linear layers are uniform; Swin's are these. The convolutions' follow ResNet's.
        self.apply(_initialise)
        self.cnn = ResNetTrunk(config.in_channels, config.cnn_depths, config.cnn_widths, output_stride=32)
        channels = self.cnn.out_channels
        self.rams = nn.ModuleList(RAM(cn, cs) for cn, cs in zip(channels, widths, strict=True))
        skips = (config.cnn_widths[0], *channels)  # at strides 2, 4, 8, 16 and 32
        self.decoder = nn.ModuleList(UpBlock(skips[level + 1], skips[level]) for level in (3, 2, 1, 0))
        self.head = nn.Conv2d(skips[0], config.num_classes, 1)
        for new in (self.rams, self.decoder):
            new.apply(_initialise)

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits (B, num_classes, H/2, W/2) of images (B, in_channels, H, W); there are no auxiliary ones."""
        *stem, pool = self.cnn.stem
        a = images
        for layer in stem:
            a = layer(a)
        skips = [a]  # (B, 64, H/2, W/2)
        a = pool(a)
        s = _layer_norm(self.norms[0], self.patches(images))  # (B, 96, H/4, W/4)
        for i in range(4):
            s = self.swin_stages[i](s)
            a = self.rams[i](self.cnn.stages[i](a), _layer_norm(self.norms[i + 1], s))
            skips.append(a)  # (B, 256 * 2**i, H/(4 * 2**i), W/(4 * 2**i))
            if i < 3:
                s = self.fcms[i](s)
        x = skips.pop()
        for block in self.decoder:
            x = block(x, skips.pop())
        return self.head(x), []


def _layer_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """Over the channels of (B, C, H, W)."""
    normed: Tensor = norm(x.permute(0, 2, 3, 1))
    return normed.permute(0, 3, 1, 2)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


#: What differs from the defaults in each size.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "cnn_depths": (1, 1, 1, 1),
        "cnn_widths": (6, 10, 16, 24),
        "swin_width": 16,
        "swin_depths": (1, 1, 2, 1),
        "heads": (1, 2, 4, 8),
        "window": 4,  # divides the maps of 128 px
    },
    "paper": {},
}
