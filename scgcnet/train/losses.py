"""The composite loss of the paper, Sec. IV-A-3, eqs. 26-29.

    L = alpha L_DWCE + beta L_Focal + gamma L_Lovasz,   alpha, beta, gamma = 0.4, 0.4, 0.2

The paper leaves the dynamic weights of eq. 27 open. Here, per image with landslide share p:
    w1 = min(0.5 / max(p, 0.02), 5),   w0 = 0.5 / max(1 - p, 0.02)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.metrics import IGNORE_INDEX
from scgcnet.train.config import LossWeights


def dynamic_weights(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Class weights w0 and w1 of eq. 27, (B,) each, from masks (B, H, W) in {0, 1, 255}."""
    valid = mask != IGNORE_INDEX
    share = (mask == 1).sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp(min=1)
    w1 = (0.5 / share.clamp(min=0.02)).clamp(max=5)
    w0 = 0.5 / (1 - share).clamp(min=0.02)
    return w0, w1


def dwce_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Dynamic weighted cross-entropy, eq. 27: weighted, then averaged over the N valid pixels."""
    w0, w1 = dynamic_weights(mask)
    weight = torch.where(mask == 1, w1[:, None, None], w0[:, None, None])
    loss = F.cross_entropy(logits, mask, ignore_index=IGNORE_INDEX, reduction="none")
    return (weight * loss).sum() / _count(mask)


def focal_loss(logits: Tensor, mask: Tensor, exponent: float = 2.0) -> Tensor:
    """Focal loss, eq. 28, averaged over the valid pixels."""
    ce = F.cross_entropy(logits, mask, ignore_index=IGNORE_INDEX, reduction="none")
    return ((1 - torch.exp(-ce)) ** exponent * ce).sum() / _count(mask)


def lovasz_softmax_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Lovasz-Softmax, eq. 29 (Berman et al. 2018), over the classes present in the batch.

    With two classes the error vectors m(0) and m(1) are equal pixel by pixel, so that one sort serves both.
    """
    valid = mask != IGNORE_INDEX
    truth = mask[valid]  # (P,)
    if truth.numel() == 0:
        return logits.sum() * 0.0
    landslide = logits.softmax(dim=1)[:, 1][valid]
    errors, order = torch.sort((truth - landslide).abs(), descending=True)
    losses = []
    for c in (0, 1):
        member = (truth == c)[order].to(errors.dtype)
        if member.any():
            losses.append(torch.dot(errors, _lovasz_gradient(member)))
    return torch.stack(losses).mean()


def _lovasz_gradient(member: Tensor) -> Tensor:
    """Gradient of the Lovasz extension of the Jaccard loss, for pixels sorted by falling error; (P,)."""
    total = member.sum()
    intersection = total - member.cumsum(0)
    union = total + (1 - member).cumsum(0)
    jaccard = 1 - intersection / union
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])


def boundary_mask(mask: Tensor, radius: int = 2) -> Tensor:
    """What a boundary head is trained on: 1 where both classes lie within `radius` pixels of each other.

    Args:
        mask: (B, H, W), int64, 0 background, 1 landslide, 255 ignored.
        radius: Half the side of the square window, pixels.

    Returns:
        (B, H, W), int64: 1 near a boundary, 0 elsewhere, 255 where the mask is ignored.
    """
    near = [F.max_pool2d((mask == c).float(), 2 * radius + 1, stride=1, padding=radius) for c in (0, 1)]
    return torch.where(mask == IGNORE_INDEX, mask, (near[0] * near[1]).long())


def _count(mask: Tensor) -> Tensor:
    return (mask != IGNORE_INDEX).sum().clamp(min=1)


def composite_loss(
    logits: Tensor, mask: Tensor, weights: LossWeights | None = None, focal_exponent: float = 2.0
) -> Tensor:
    """Eq. 26.

    Args:
        logits: (B, 2, H, W), float; computed in float32 whatever the input type.
        mask: (B, H, W), int64, 0 background, 1 landslide, 255 ignored.
        weights: Alpha, beta and gamma; the paper's where not given.
        focal_exponent: The gamma of eq. 28.

    Returns:
        A scalar; 0 where every pixel is ignored.

    Raises:
        ValueError: The logits have another number of classes than two.
    """
    if logits.shape[1] != 2:
        raise ValueError(f"logits have {logits.shape[1]} classes: eqs. 27-28 are for background and landslide")
    weights = weights or LossWeights()
    logits = logits.float()
    return (
        weights.dwce * dwce_loss(logits, mask)
        + weights.focal * focal_loss(logits, mask, focal_exponent)
        + weights.lovasz * lovasz_softmax_loss(logits, mask)
    )


def distillation_loss(logits: Tensor, teacher: nn.Module, images: Tensor) -> Tensor:
    """Cross-entropy of a student's logits (B, 2, H, W) with a teacher's probabilities of the same images.

    Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, at a temperature of 1; over all pixels.
    """
    with torch.no_grad():
        wanted = teacher(images).float().softmax(dim=1)[:, 1]
    return F.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], wanted)
