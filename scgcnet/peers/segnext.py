"""SegNeXt: convolutional attention over several scales, and a decoder that explains an image by a few patterns.

Guo, Lu, Hou, Liu, Cheng, Hu: SegNeXt: Rethinking Convolutional Attention Design for Semantic Segmentation,
NeurIPS 2022. The encoder (MSCAN) weighs its features by what strips of 7, 11 and 21 pixels see around each of them;
the decoder joins the last three stages and passes them through a Hamburger (Geng et al., Is Attention Better Than
Matrix Decomposition?, ICLR 2021): a non-negative matrix factorisation whose low rank keeps what pixels have in common.
Widths, depths and whatever the paper leaves open are those of the authors' code.

Symbols of the factorisation X ~ D C^T, of every image by itself:
    X  features, D_c x N         N = H W pixels of D_c channels, none negative
    D  bases, D_c x R            R patterns ("rank")
    C  coefficients, N x R       how much of each pattern a pixel has
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from timm.layers.drop import DropPath
from torch import Tensor, nn

from scgcnet.peers.base import Auxiliary, Peer, PeerConfig, drop_path_rates, init_by_outputs, resize, run_stages

STRIPS = (7, 11, 21)  # lengths of the strip convolutions, Fig. 2b
STEPS_TRAINING, STEPS_EVALUATION = 6, 7  # updates of the factorisation, the authors' code
BASES_SEED = 0  # of the bases in evaluation


@dataclass(frozen=True)
class SegNeXtConfig(PeerConfig):
    """The defaults are SegNeXt-B (Table 2)."""

    widths: tuple[int, int, int, int] = (64, 128, 320, 512)
    depths: tuple[int, int, int, int] = (3, 3, 12, 3)
    expansions: tuple[int, int, int, int] = (8, 8, 4, 4)  # of the blocks' second half
    drop_path: float = 0.1  # of the last block; grows linearly from 0 (stochastic depth)
    decoder_width: int = 512
    rank: int = 64  # R
    groups: int = 32  # of the decoder's group normalisations

    name: ClassVar[str] = "segnext"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.widths[0] % 2:
            raise ValueError(f"widths={self.widths!r}: the first must be even, the stem begins with half of it")
        if self.decoder_width % self.groups:
            raise ValueError(f"groups={self.groups!r}: must divide decoder_width={self.decoder_width}")


#: Table 2; the ranks of t and s are those of the authors' configurations.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"widths": (24, 48, 96, 144), "depths": (1, 1, 2, 1), "decoder_width": 96, "rank": 16, "groups": 12},
    "paper": {},
    "t": {"widths": (32, 64, 160, 256), "depths": (3, 3, 5, 2), "decoder_width": 256, "rank": 16},
    "s": {"depths": (2, 2, 4, 2), "decoder_width": 256, "rank": 16},
    "l": {"depths": (3, 5, 27, 3), "decoder_width": 1024, "drop_path": 0.3},
}


class MultiScaleAttention(nn.Module):
    """Fig. 2b, eqs. 1 and 2: every feature times what depthwise convolutions of four sizes saw around it.

    A strip across and one along stand for a square kernel of their length. (B, C, H, W) to (B, C, H, W).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.local = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.strips = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, (1, length), padding=(0, length // 2), groups=channels),
                nn.Conv2d(channels, channels, (length, 1), padding=(length // 2, 0), groups=channels),
            )
            for length in STRIPS
        )
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        local = self.local(x)
        around = local
        for strip in self.strips:
            around = around + strip(local)
        weighed: Tensor = x * self.mix(around)
        return weighed


class Branch(nn.Module):
    """x + drop_path(scale * f(norm(x))): either half of a block, (B, C, H, W) to the same; scales start at 0.01."""

    def __init__(self, channels: int, layers: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.layers = layers
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 0.01))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = self.drop_path(self.scale * self.layers(self.norm(x)))
        return x + shortcut


class AttentionLayers(nn.Sequential):
    """A block's first half, Fig. 2a: 1x1, GELU, the attention, 1x1; the shortcut around them is the authors' code's."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 1),
            nn.GELU(),
            MultiScaleAttention(channels),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        layers: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return x + layers


def feed_forward(channels: int, expansion: int) -> nn.Sequential:
    """A block's second half, Fig. 2a: widened, a depthwise 3x3 that tells pixels where they are, narrowed."""
    width = channels * expansion
    return nn.Sequential(
        nn.Conv2d(channels, width, 1),
        nn.Conv2d(width, width, 3, padding=1, groups=width),
        nn.GELU(),
        nn.Conv2d(width, channels, 1),
    )


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of each pixel's channels, (B, C, H, W) to (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Encoder(nn.Module):
    """MSCAN, Sec. 3.1: images to maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: SegNeXtConfig) -> None:
        super().__init__()
        c, rates = config, iter(drop_path_rates(config.drop_path, config.depths))
        self.stages = nn.ModuleList()
        for stage, (width, depth, expansion) in enumerate(zip(c.widths, c.depths, c.expansions, strict=True)):
            layers = downsampling(c.widths[stage - 1], width) if stage else stem(c.in_channels, width)
            for _ in range(depth):
                rate = next(rates)
                layers.append(Branch(width, AttentionLayers(width), rate))
                layers.append(Branch(width, feed_forward(width, expansion), rate))
            layers.append(ChannelNorm(width))
            self.stages.append(layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        return run_stages(x, self.stages)


def stem(in_channels: int, width: int) -> nn.Sequential:
    """Two strided 3x3 convolutions, (B, C, H, W) to (B, width, H/4, W/4)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, width // 2, 3, 2, 1),
        nn.BatchNorm2d(width // 2),
        nn.GELU(),
        nn.Conv2d(width // 2, width, 3, 2, 1),
        nn.BatchNorm2d(width),
    )


def downsampling(in_channels: int, width: int) -> nn.Sequential:
    """A strided 3x3 convolution before stages 2, 3 and 4."""
    return nn.Sequential(nn.Conv2d(in_channels, width, 3, 2, 1), nn.BatchNorm2d(width))


class Factorisation(nn.Module):
    """X to D C^T by multiplicative updates (Geng et al., Sec. 2.2.1; Lee and Seung 2000).

    The bases begin at random: in training anew for every image, in evaluation always the same, so that an image's
    result depends on nothing but the image. Features (B, C, H, W), none negative; gradients pass through the updates.
    """

    bases: Tensor

    def __init__(self, channels: int, rank: int) -> None:
        super().__init__()
        # A generator of its own, on the CPU wherever the network is made: torch's random state stays as it is.
        draw = torch.rand(
            channels, rank, generator=torch.Generator("cpu").manual_seed(BASES_SEED), device=torch.device("cpu")
        )
        self.register_buffer("bases", draw.to(torch.get_default_device()))  # (D_c, R)

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape
        x = x.flatten(2)  # (B, D_c, N)
        start = torch.rand(shape[0], *self.bases.shape, device=x.device) if self.training else self.bases[None]
        bases = F.normalize(start.to(x.dtype), dim=1).expand(shape[0], -1, -1)  # (B, D_c, R)
        coefficients = F.softmax(x.mT @ bases, dim=-1)  # (B, N, R)
        for _ in range(STEPS_TRAINING if self.training else STEPS_EVALUATION):
            coefficients = update(x.mT, coefficients, bases)
            bases = update(x, bases, coefficients)
        coefficients = update(x.mT, coefficients, bases)
        return (bases @ coefficients.mT).reshape(shape)


def update(x: Tensor, factor: Tensor, other: Tensor) -> Tensor:
    """One update of the first factor in x ~ factor other^T; it stays non-negative, the error never grows.

    Args:
        x: (B, M, N).
        factor: (B, M, R).
        other: (B, N, R).
    """
    return factor * (x @ other) / (factor @ (other.mT @ other) + 1e-6)


class Hamburger(nn.Module):
    """A factorisation between two 1x1 convolutions, with a shortcut; (B, C, H, W), none negative, to the same."""

    def __init__(self, channels: int, rank: int, groups: int) -> None:
        super().__init__()
        self.lower = nn.Conv2d(channels, channels, 1)
        self.ham = Factorisation(channels, rank)
        self.upper = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.GroupNorm(groups, channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.upper(self.ham(F.relu(self.lower(x)))))


def conv_gn(in_channels: int, width: int, groups: int) -> nn.Sequential:
    """1x1, group normalisation, ReLU."""
    return nn.Sequential(nn.Conv2d(in_channels, width, 1, bias=False), nn.GroupNorm(groups, width), nn.ReLU())


class SegNeXt(Peer):
    """The whole network, Fig. 3c; it has no auxiliary head."""

    Config = SegNeXtConfig

    def __init__(self, config: SegNeXtConfig) -> None:
        super().__init__(config)
        width, groups = config.decoder_width, config.groups
        self.encoder = Encoder(config)
        self.decoder = nn.Sequential(
            conv_gn(sum(config.widths[1:]), width, groups),
            Hamburger(width, config.rank, groups),
            conv_gn(width, width, groups),
            nn.Dropout2d(0.1),
        )
        self.classifier = nn.Conv2d(width, config.num_classes, 1)
        self.apply(init_by_outputs)  # as the authors do
        nn.init.normal_(self.classifier.weight, std=0.01)

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        maps = self.encoder(images)[1:]  # stage 1 holds too much detail for a look at the whole image, Sec. 3.2
        size = maps[0].shape[2:]
        x = self.decoder(torch.cat([resize(x, size) for x in maps], dim=1))  # (B, decoder_width, H/8, W/8)
        return self.classifier(x), []  # at stride 8
