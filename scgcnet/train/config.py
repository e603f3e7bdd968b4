"""How a network is trained: every number that a profile of study.yml sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from scgcnet.data import AugmentConfig
from scgcnet.train.losses import LossWeights


@dataclass(frozen=True)
class TrainConfig:
    """One training recipe; the defaults are the paper's (Sec. IV-A-4), the profile `paper`.

    Attributes:
        epochs: Passes over the training part.
        batch_size: Images per step, over all devices.
        image_size: Side of the square network input, pixels.
        optimizer: `adam` (weight decay as an L2 term, the paper's) or `adamw` (decoupled).
        lr: Highest learning rate.
        betas: Adam's two decay rates.
        weight_decay: Weight decay.
        warmup_epochs: Epochs of linear warm-up before the cosine to zero; may be a fraction.
        gradient_clip: Largest gradient norm; 0 for no limit.
        ema_decay: Decay per step of the averaged weights that are validated and kept; 0 keeps the raw weights.
        precision: `32` or `bf16` (mixed).
        loss: Alpha, beta, gamma of eq. 26.
        focal_exponent: The gamma of eq. 28.
        augment: Random changes of the training images.
        sampling: What an epoch draws from several data sets: `proportional`, every image once, or `equal`, as many
            images of each.
        epoch_images: Images an epoch; 0 for as many as there are.
        workers: Loader processes; 0 loads in the training process.
    """

    epochs: int = 400
    batch_size: int = 16
    image_size: int = 512
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-4
    warmup_epochs: float = 0.0
    gradient_clip: float = 0.0
    ema_decay: float = 0.0
    precision: Literal["32", "bf16"] = "32"
    loss: LossWeights = field(default_factory=LossWeights)
    focal_exponent: float = 2.0
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    sampling: Literal["proportional", "equal"] = "proportional"
    epoch_images: int = 0
    workers: int = 0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], workers: int = 0) -> TrainConfig:
        """The recipe of a profile's settings, as study.yml has them.

        Raises:
            ValueError: A value is out of range.
            TypeError: A key is no field, or one without a default is missing.
        """
        values = dict(settings)
        augment = dict(values.pop("augment"))
        for name in ("scale", "resolution"):
            if augment.get(name) is not None:
                augment[name] = tuple(augment[name])
        values["betas"] = tuple(values["betas"])
        loss = LossWeights(**values.pop("loss"))
        return cls(loss=loss, augment=AugmentConfig(**augment), workers=workers, **values)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "image_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be 1 or more")
        if self.lr <= 0:
            raise ValueError(f"lr={self.lr!r}: must be above 0")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay={self.ema_decay!r}: must be in [0, 1)")
        if self.optimizer not in ("adam", "adamw"):
            raise ValueError(f"optimizer={self.optimizer!r}: allowed are 'adam', 'adamw'")
        if self.sampling not in ("proportional", "equal"):
            raise ValueError(f"sampling={self.sampling!r}: allowed are 'proportional', 'equal'")
        if self.epoch_images < 0:
            raise ValueError(f"epoch_images={self.epoch_images!r}: must be 0 or more")
        if self.precision not in ("32", "bf16"):
            raise ValueError(f"precision={self.precision!r}: allowed are '32', 'bf16'")
