"""The Lightning module: loss, validation scores, optimiser, schedule, and the averaged weights."""

from __future__ import annotations

from scgcnet import torchvision_ops  # noqa: F401  # before lightning, which imports torchvision

# isort: split
import math
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from scgcnet.metrics import IGNORE_INDEX, Confusion, mean_over_sources
from scgcnet.train.config import TrainConfig
from scgcnet.train.losses import boundary_mask, composite_loss, distillation_loss


class TrainingError(RuntimeError):
    """A training cannot go on; the message says why and what to do."""


class SegmentationTask(L.LightningModule):
    """Trains one network under one recipe; `history` grows by one row per epoch.

    The weights that are validated (`validated`) are the running average where the recipe asks for one.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        seed: int,
        steps_per_epoch: int,
        sources: Sequence[str] = ("",),
        teacher: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self._teacher = [] if teacher is None else [teacher.eval()]  # in a list, so that no checkpoint holds it
        self.sources = tuple(sources)
        self.model, self.config, self.seed, self.steps_per_epoch = model, config, seed, steps_per_epoch
        self.average: AveragedModel | None = None
        if config.ema_decay:
            self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
            self.average.requires_grad_(False)  # several devices would wait for gradients that never come
        self.history: list[dict[str, float]] = []
        self._losses: list[Tensor] = []
        self._val_losses: list[Tensor] = []
        self._counts = torch.zeros(len(self.sources), 4, dtype=torch.int64)

    @property
    def validated(self) -> nn.Module:
        """The network whose weights are validated and kept."""
        return self.model if self.average is None else self.average.module

    def _loss(self, logits: Tensor, mask: Tensor) -> Tensor:
        return composite_loss(logits, mask, self.config.loss, self.config.focal_exponent)

    def _training_loss(self, images: Tensor, mask: Tensor) -> Tensor:
        """The loss of the main head plus, weighted, the same loss of each auxiliary head."""
        outputs = self.model(images)
        logits, auxiliary = (outputs, []) if isinstance(outputs, Tensor) else outputs
        loss = self._loss(logits, mask)
        for teacher in self._teacher:
            loss = loss + distillation_loss(logits, teacher.to(images.device), images)
        for head in auxiliary:
            target = boundary_mask(mask) if head.target == "boundary" else mask
            loss = loss + head.weight * self._loss(head.logits, target)
        return loss

    def on_train_epoch_start(self) -> None:
        """Makes whatever a network draws at random (dropout) a function of seed and epoch, also after a restart."""
        torch.manual_seed(self.seed * 100_003 + self.current_epoch)
        self._losses = []

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """One step on images (B, C, S, S) and masks (B, S, S)."""
        images, mask = batch
        loss = self._training_loss(images, mask)
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, *args: Any) -> None:
        """Moves the averaged weights."""
        if self.average is not None:
            # A fixed decay would remember the random start for 1 / (1 - decay) steps: it grows to its value.
            step = int(self.average.n_averaged)
            decay = min(self.config.ema_decay, (1 + step) / (10 + step))
            self.average.multi_avg_fn = get_ema_multi_avg_fn(decay)
            self.average.update_parameters(self.model)

    def on_validation_epoch_start(self) -> None:
        """Empties the counts."""
        self._val_losses = []
        self._counts = torch.zeros(len(self.sources), 4, dtype=torch.int64, device=self.device)

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], index: int) -> None:
        """Counts pixels at the network's input size, for images (B, C, S, S), masks (B, S, S) and sources (B,)."""
        images, mask, source = batch
        logits = self.validated(images)
        self._val_losses.append(self._loss(logits, mask))
        valid = mask != IGNORE_INDEX
        prediction, truth = logits[:, 1] > logits[:, 0], mask == 1
        outcomes = (
            prediction & truth,
            prediction & ~truth & valid,
            ~prediction & truth,
            ~prediction & ~truth & valid,
        )
        counts = torch.stack([outcome.sum(dim=(1, 2)) for outcome in outcomes], dim=1)  # (B, 4)
        self._counts.index_add_(0, source, counts)

    def on_validation_epoch_end(self) -> None:
        """Writes one row of `history`; counts are summed, losses averaged, over devices.

        Scores of several data sets are averaged by `mean_over_sources`.

        Raises:
            TrainingError: The loss is no number; the last checkpoint is of the epoch before.
        """
        strategy = self.trainer.strategy
        counts = strategy.reduce(self._counts, reduce_op="sum")
        each = [Confusion(*counted) for counted in counts.tolist()]
        scores = mean_over_sources(each, quiet_counts=self.config.views == "windows")
        row = {
            "epoch": self.current_epoch,
            "lr": float(self.trainer.optimizers[0].param_groups[0]["lr"]),
            "loss": float(strategy.reduce(torch.stack(self._losses).mean(), reduce_op="mean")),
            "val_loss": float(strategy.reduce(torch.stack(self._val_losses).mean(), reduce_op="mean")),
            **{f"val_{name}": value for name, value in scores.items()},
        }
        if len(each) > 1:
            row |= {f"val_iou_{name}": found.scores()["iou"] for name, found in zip(self.sources, each, strict=True)}
        if not math.isfinite(row["loss"]):
            raise TrainingError(f"the loss of epoch {self.current_epoch} is no number: lower the learning rate")
        self.history.append(row)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the history with the checkpoint."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the history back."""
        self.history = checkpoint["history"]

    def configure_optimizers(self) -> Any:
        """Adam or AdamW, linear warm-up, cosine to zero; the schedule moves every step."""
        c = self.config
        kind = torch.optim.Adam if c.optimizer == "adam" else torch.optim.AdamW
        # One pass over all parameters instead of a dozen; Lightning cannot clip gradients for it in mixed precision.
        fused = c.precision == "32"
        optimizer = kind(self.model.parameters(), lr=c.lr, betas=c.betas, weight_decay=c.weight_decay, fused=fused)
        warmup, total = c.warmup_epochs * self.steps_per_epoch, c.epochs * self.steps_per_epoch

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(total - warmup, 1))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
