"""SCGC-Net, top to bottom: encoder (hmie.py) -> laterals -> modulator (cam.py) -> calibration (psccs.py) -> head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.model.cam import ContextAwareModulator
from scgcnet.model.config import SCGCNetConfig
from scgcnet.model.hmie import Encoder
from scgcnet.model.layers import conv_bn
from scgcnet.model.psccs import Decoder

STRIDE = 32  # of the deepest level


class SCGCNet(nn.Module):
    """The spatial context guided calibration network.

    Images (B, in_channels, H, W), float, any H and W from 1 on, to logits (B, num_classes, H, W). Sizes that the
    stride of 32 does not divide are padded inside by repeating the last row and column, and cropped at the end.
    """

    def __init__(self, config: SCGCNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.neck_width
        self.encoder = Encoder(config)
        # One modulator per level where it stands, an identity elsewhere.
        backbone = config.cam and config.cam_where == "backbone"
        self.cam_backbone = nn.ModuleList(_modulator(config, c, backbone) for c in config.widths)
        self.laterals = nn.ModuleList(conv_bn(c, width, 1) for c in config.widths)
        self.cam = nn.ModuleList(
            _modulator(config, width, config.cam and level in _cam_levels(config)) for level in range(4)
        )
        self.decoder = Decoder(config)
        self.head = nn.Sequential(conv_bn(width, width, 3, nn.SiLU), nn.Conv2d(width, config.num_classes, 1))
        # In memory (B, H, W, C): the scans and the linear layers of the SCFEs then read the maps without a copy.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, num_classes, H, W) of images (B, in_channels, H, W).

        Raises:
            ValueError: `images` is not 4-dimensional, or has another number of channels than the network.
        """
        if images.ndim != 4 or images.shape[1] != self.config.in_channels:
            raise ValueError(
                f"images of shape {tuple(images.shape)}: this network takes (B, {self.config.in_channels}, H, W)"
            )
        height, width = images.shape[2:]
        if self.config.standardise:
            images = standardise(images)
        pad = (0, -width % STRIDE, 0, -height % STRIDE)
        if any(pad):
            images = F.pad(images, pad, mode="replicate")
        maps = self.encoder(images.contiguous(memory_format=torch.channels_last))
        maps = [cam(x) for cam, x in zip(self.cam_backbone, maps, strict=True)]
        maps = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        maps = [cam(x) for cam, x in zip(self.cam, maps, strict=True)]
        logits = self.head(self.decoder(maps))  # (B, num_classes, H/4, W/4)
        logits = F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)
        return logits[:, :, :height, :width]

    def load_imagenet(self) -> None:
        """Start the trunk from ImageNet weights.

        Raises:
            ImportError: their package is not installed.
            ValueError: the trunk is not Lite0's, or the images have other than three bands.
        """
        if self.config.trunk == "resnet":
            raise ValueError("ImageNet weights are those of Lite0: choose the size lite0, or trunk='lite0'")
        self.encoder.trunk.load_imagenet()


def standardise(images: Tensor) -> Tensor:
    """Each band of each image (B, C, H, W) to mean 0 and deviation 1 over its picture.

    Pixels that are 0 in all bands are no part of the picture, and stay 0: the canvas around a shrunken training image.
    """
    picture = (images != 0).any(dim=1, keepdim=True)
    count = picture.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    centred = torch.where(picture, images - images.sum(dim=(2, 3), keepdim=True) / count, 0.0)
    variance = centred.square().sum(dim=(2, 3), keepdim=True) / count
    return centred * torch.rsqrt(variance + 1e-5)


def _cam_levels(config: SCGCNetConfig) -> tuple[int, ...]:
    return {"deepest": (3,), "laterals": (0, 1, 2, 3), "backbone": ()}[config.cam_where]


def _modulator(config: SCGCNetConfig, channels: int, present: bool) -> nn.Module:
    if not present:
        return nn.Identity()
    return ContextAwareModulator(channels, config.cam_kernels, query=config.cam_query, global_level=config.cam_global)
