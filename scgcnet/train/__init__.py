"""Training and scoring: losses, metrics, the Lightning task, `fit`, `evaluate` and `predict`."""

from scgcnet import torchvision_ops  # noqa: F401  # before lightning, which imports torchvision where it is installed
from scgcnet.train.config import TrainConfig
from scgcnet.train.fit import FitResult, count, distributed, evaluate, fit, new_network, predict
from scgcnet.train.losses import LossWeights, composite_loss
from scgcnet.train.metrics import SCORES, Confusion, mean_over_sources, mean_scores
from scgcnet.train.task import TrainingError

__all__ = [
    "SCORES",
    "Confusion",
    "FitResult",
    "LossWeights",
    "TrainConfig",
    "TrainingError",
    "composite_loss",
    "count",
    "distributed",
    "evaluate",
    "fit",
    "mean_over_sources",
    "mean_scores",
    "new_network",
    "predict",
]
