"""Two small blocks that every part of the network shares."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel: int,
    activation: Callable[[], nn.Module] | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Convolution without bias, batch normalisation, and an activation if one is given.

    Odd kernels keep the size (stride 1) or halve it rounding up (stride 2); a 2x2 kernel with stride 2 halves an
    even size. Input (B, in_channels, H, W), output (B, out_channels, H', W').
    """
    padding = dilation * (kernel - 1) // 2 if kernel % 2 else 0
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


class ChannelsLastConv2d(nn.Conv2d):
    """A depthwise 3x3 convolution on (B, H, W, C) features, so that linear layers and scans need no copies."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, H, W, C) to (B, H, W, C)."""
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
