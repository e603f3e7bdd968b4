"""The training recipe: every number that a profile of study.yml sets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from scgcnet.data.transforms import AugmentConfig

#: Raised by hand when a change of code is meant to alter the numbers of a training or its scores. Each record carries
#: it, and tables never mix protocols. tests/test_golden.py notices changes that were not meant.
PROTOCOL = 1


class LossWeights(NamedTuple):
    """Alpha, beta and gamma of eq. 26."""

    dwce: float = 0.4
    focal: float = 0.4
    lovasz: float = 0.2


class TrainConfig(BaseModel):
    """One training recipe; the defaults are the paper's (Sec. IV-A-4), the profile `paper`.

    Attributes:
        epochs: passes over the training part.
        batch_size: images per step, over all devices.
        image_size: side of the square network input, pixels.
        optimizer: `adam` (weight decay as an L2 term, the paper's) or `adamw` (decoupled).
        lr: highest learning rate.
        betas: Adam's two decay rates.
        weight_decay: weight decay.
        warmup_epochs: epochs of linear warm-up before the cosine to zero; may be a fraction.
        gradient_clip: largest gradient norm; 0 for no limit.
        ema_decay: decay per step of the averaged weights that are validated and kept; 0 keeps the raw weights.
        precision: `32` or `bf16` (mixed).
        loss: weights of eq. 26.
        focal_exponent: gamma of eq. 28.
        augment: random changes of the training images.
        views: `picture`, each training image whole and resized (`data/transforms.py`), or `windows`, composed as a map
            shows them (`data/windows.py`), for validation too.
        zoom: range of the zoom of windows, of all data sets; None for each data set's own.
        pretrained: weights to start from: "" for none, or `lite0` for ImageNet's in the trunk (`model/trunk.py`).
        sampling: what an epoch draws from several data sets: `proportional`, every image once, or `equal`, as many
            images of each.
        epoch_images: images per epoch; 0 for as many as there are.
        workers: loader processes; 0 loads in the training process.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(default=400, ge=1)
    batch_size: int = Field(default=16, ge=1)
    image_size: int = Field(default=512, ge=32)
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = Field(default=2e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup_epochs: float = Field(default=0.0, ge=0)
    gradient_clip: float = Field(default=0.0, ge=0)
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    precision: Literal["32", "bf16"] = "32"
    loss: LossWeights = LossWeights()
    focal_exponent: float = Field(default=2.0, ge=0)
    augment: AugmentConfig = AugmentConfig()
    views: Literal["picture", "windows"] = "picture"
    zoom: tuple[float, float] | None = None
    pretrained: Literal["", "lite0"] = ""
    sampling: Literal["proportional", "equal"] = "proportional"
    epoch_images: int = Field(default=0, ge=0)
    workers: int = Field(default=0, ge=0)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], workers: int = 0) -> TrainConfig:
        """The recipe of a profile's settings, as study.yml has them.

        Raises:
            ValidationError: a key is no field, or a value is out of range.
        """
        loss = settings["loss"]
        return cls(**{**settings, "loss": LossWeights(**loss) if isinstance(loss, Mapping) else loss}, workers=workers)


def distributed() -> tuple[int, int]:
    """Rank of this process and number of processes, as torchrun sets them; 0 and 1 without."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
