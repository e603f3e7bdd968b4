"""Base classes of the comparison methods: configuration, padding to the stride, auxiliary heads.

A method is one module of this package: `PRESETS` (what differs from its configuration's defaults in each size), a
configuration, and a `Peer`, which `scgcnet.peers.NETWORKS` names.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.model.layers import conv_bn


class Auxiliary(NamedTuple):
    """Logits of a head that is trained beside the main one and left out at inference.

    Attributes:
        logits: (B, num_classes, H, W).
        weight: of its loss, where the main head's is 1.
        target: what it is trained on: the classes, or whether a pixel lies on a boundary between them.
    """

    logits: Tensor
    weight: float
    target: Literal["classes", "boundary"] = "classes"


@dataclass(frozen=True)
class PeerConfig:
    """Everything that determines a network; a method adds its own fields.

    Raises:
        ValueError: A value is outside its range; the message names the field.
    """

    in_channels: int = 3  # bands of the input image
    num_classes: int = 2  # channels of the logits: background, landslide

    name: ClassVar[str]  # in the zoo

    def __post_init__(self) -> None:
        """Turns JSON's lists into tuples; checks their lengths, whole numbers, and `drop_path`."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, field.name, value)
            if isinstance(field.default, tuple) and len(value) != len(field.default):
                raise ValueError(f"{field.name}={value!r}: needs {len(field.default)} numbers")
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int) and not isinstance(number, bool) and number < 1:
                    raise ValueError(f"{field.name}={value!r}: whole numbers must be 1 or more")
            if field.name == "drop_path" and not 0 <= value < 1:
                raise ValueError(f"drop_path={value!r}: must be in [0, 1)")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain JSON types (tuples become lists)."""
        return dict(json.loads(json.dumps(dataclasses.asdict(self))))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            ValueError: A key is no field of the configuration, or a value is out of range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown option {unknown[0]!r}: {cls.name} has {', '.join(sorted(known))}")
        return cls(**values)


class Peer(nn.Module):
    """Images (B, in_channels, H, W), float, any H and W from 1 on, to logits (B, num_classes, H, W).

    Sizes that `stride` does not divide are padded inside by repeating the last row and column, and cropped at the end.
    In training, a network with auxiliary heads gives `(logits, [Auxiliary, ...])` instead. Their modules lie in
    `self.aux`, so that they can be counted apart from what inference needs.
    """

    stride: ClassVar[int] = 32
    Config: ClassVar[type[PeerConfig]]

    def __init__(self, config: PeerConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The network of a whole configuration.

        Raises:
            ValueError: An option is unknown or out of range.
        """
        return cls(cls.Config.from_dict(values))

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits and auxiliary logits of images whose sides the stride divides, at any resolution.

        A method defines this. In evaluation it makes no auxiliary logits and returns an empty list.
        """
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, list[Auxiliary]]:
        """Logits at the images' size, with the auxiliary ones in training.

        Raises:
            ValueError: `images` is not 4-dimensional, or has another number of channels than the network.
        """
        if images.ndim != 4 or images.shape[1] != self.config.in_channels:
            raise ValueError(
                f"images of shape {tuple(images.shape)}: this network takes (B, {self.config.in_channels}, H, W)"
            )
        height, width = images.shape[2:]
        pad = (0, -width % self.stride, 0, -height % self.stride)
        if any(pad):
            images = F.pad(images, pad, mode="replicate")
        size = (images.shape[2], images.shape[3])
        logits, auxiliary = self.segment(images)
        logits = resize(logits, size)[:, :, :height, :width]
        if not auxiliary:
            return logits
        return logits, [head._replace(logits=resize(head.logits, size)[:, :, :height, :width]) for head in auxiliary]


def resize(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear to (H, W), corners not aligned; (B, C, h, w) to (B, C, H, W)."""
    return x if x.shape[2:] == size else F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def run_stages(x: Tensor, stages: Iterable[nn.Module]) -> list[Tensor]:
    """The output of each stage, which is the next one's input."""
    maps = []
    for stage in stages:
        x = stage(x)
        maps.append(x)
    return maps


def drop_path_rates(last: float, depths: tuple[int, ...]) -> list[float]:
    """Stochastic depth of every block: linear from 0 for the first to `last`."""
    blocks = sum(depths)
    return [last * block / max(blocks - 1, 1) for block in range(blocks)]


def classifier(width: int, num_classes: int) -> nn.Sequential:
    """Channel dropout and a 1x1 convolution to the classes."""
    return nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, num_classes, 1))


def fcn_head(in_channels: int, width: int, num_classes: int, dropout: float = 0.1) -> nn.Sequential:
    """The usual auxiliary head (Long et al. 2015 as torchvision has it): 3x3 BN ReLU, dropout, 1x1 to the classes."""
    return nn.Sequential(
        conv_bn(in_channels, width, 3, nn.ReLU), nn.Dropout2d(dropout), nn.Conv2d(width, num_classes, 1)
    )


def init_by_inputs(model: nn.Module) -> None:
    """Convolutions without bias by He et al. (2015), eq. 10, for the ReLU that follows; classifiers have a bias."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def init_by_outputs(module: nn.Module) -> None:
    """A convolution by He et al. (2015), eq. 14: by the outputs that each input has, groups counted; zero bias."""
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
