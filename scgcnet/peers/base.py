"""What every comparison method shares: its configuration, sizes that its stride does not divide, auxiliary heads.

A method is one module of this package. It has `PRESETS` (what differs from its configuration's defaults in each size)
and `build(values)`, which makes the network from a whole configuration.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.model.layers import conv_bn

LARGEST = 8192  # of any whole number in a configuration: a weights file must not ask for more than a machine has
DEEPEST = 256  # blocks of a stage


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
        """Turns JSON's lists into tuples and refuses numbers that no network has."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                value = _as_tuple(value)
                object.__setattr__(self, field.name, value)
            largest = DEEPEST if "depth" in field.name else LARGEST
            for number in _whole_numbers(value):
                if not 1 <= number <= largest:
                    raise ValueError(f"{field.name}={value!r}: whole numbers must be in 1..{largest}")

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


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value


def _whole_numbers(value: Any) -> list[int]:
    if isinstance(value, tuple):
        return [number for item in value for number in _whole_numbers(item)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


class Peer(nn.Module):
    """Images (B, in_channels, H, W), float, any H and W from 1 on, to logits (B, num_classes, H, W).

    Sizes that `stride` does not divide are padded inside by repeating the last row and column, and cropped at the end.
    In training, a network with auxiliary heads gives `(logits, [Auxiliary, ...])` instead. Their modules lie in
    `self.aux`, so that they can be told from what inference needs.
    """

    stride: ClassVar[int] = 32

    def __init__(self, config: PeerConfig) -> None:
        super().__init__()
        self.config = config

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


def fcn_head(in_channels: int, width: int, num_classes: int, dropout: float = 0.1) -> nn.Sequential:
    """The usual auxiliary head (Long et al. 2015 as torchvision has it): 3x3 BN ReLU, dropout, 1x1 to the classes."""
    return nn.Sequential(
        conv_bn(in_channels, width, 3, nn.ReLU), nn.Dropout2d(dropout), nn.Conv2d(width, num_classes, 1)
    )
