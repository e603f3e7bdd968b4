"""The loss against its equations, written out pixel by pixel."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scgcnet.data import IGNORE_INDEX
from scgcnet.train.losses import (
    LossWeights,
    boundary_mask,
    composite_loss,
    distillation_loss,
    dwce_loss,
    dynamic_weights,
    focal_loss,
    lovasz_softmax_loss,
)


def case(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (3, 2, 4, 5) and a mask with ignored pixels, one image all background, one all landslide."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 2, 4, 5, generator=generator, dtype=torch.float64)
    mask = torch.randint(0, 2, (3, 4, 5), generator=generator)
    mask[1], mask[2] = 0, 1
    mask[0, 0, 0] = mask[2, 3, 4] = 255
    return logits, mask


def test_dynamic_weights() -> None:
    mask = torch.zeros(4, 10, 10, dtype=torch.int64)
    mask[1, :5] = 1  # p = 0.5
    mask[2, 0, :4] = 1  # p = 0.04
    mask[3] = 1  # p = 1
    w0, w1 = dynamic_weights(mask)
    assert w1.tolist() == pytest.approx([5, 1, 5, 0.5])  # 0.5 / 0.02 and 0.5 / 0.04 are cut at 5
    assert w0.tolist() == pytest.approx([0.5, 1, 0.5 / 0.96, 25])


def test_ignored_pixels_do_not_count_in_the_share() -> None:
    mask = torch.full((1, 2, 4), 255)
    mask[0, 0] = torch.tensor([1, 0, 0, 0])
    _, w1 = dynamic_weights(mask)
    assert w1.tolist() == pytest.approx([2.0])  # p = 1/4, not 1/8


def test_equations_27_and_28_pixel_by_pixel() -> None:
    logits, mask = case()
    w0, w1 = dynamic_weights(mask)
    cross_entropy, focal, n = 0.0, 0.0, 0
    for b in range(3):
        for i in range(4):
            for j in range(5):
                if mask[b, i, j] == 255:
                    continue
                background, landslide = logits[b, :, i, j].tolist()
                p = 1 / (1 + math.exp(background - landslide))
                y, n = int(mask[b, i, j]), n + 1
                cross_entropy -= float(w1[b]) * y * math.log(p) + float(w0[b]) * (1 - y) * math.log(1 - p)
                focal -= y * (1 - p) ** 2 * math.log(p) + (1 - y) * p**2 * math.log(1 - p)
    assert float(dwce_loss(logits, mask)) == pytest.approx(cross_entropy / n, rel=1e-6)
    assert float(focal_loss(logits, mask, 2.0)) == pytest.approx(focal / n, rel=1e-6)


def lovasz_by_definition(probability: list[float], truth: list[int], c: int) -> float:
    """Sum of sorted errors times the growth of the Jaccard loss as their pixels go wrong one by one."""
    member = [t == c for t in truth]
    errors = [1 - p if m else p for p, m in zip((p if c else 1 - p for p in probability), member, strict=True)]
    order = sorted(range(len(truth)), key=lambda i: -errors[i])
    wrong: set[int] = set()
    total, before = 0.0, 0.0
    target = {i for i, m in enumerate(member) if m}
    for i in order:
        wrong.add(i)
        now = len(wrong) / len(target | wrong)  # Jaccard loss of mispredicting exactly `wrong`
        total += errors[i] * (now - before)
        before = now
    return total


def test_lovasz_softmax_is_the_lovasz_extension() -> None:
    logits, mask = case(1)
    valid = mask != 255
    probability = logits.softmax(dim=1)[:, 1][valid].tolist()
    truth = mask[valid].tolist()
    expected = sum(lovasz_by_definition(probability, truth, c) for c in (0, 1)) / 2
    assert float(lovasz_softmax_loss(logits, mask)) == pytest.approx(expected, rel=1e-9)


def test_lovasz_of_a_hard_prediction_is_one_minus_iou() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.int64)
    mask[0, :4] = 1
    prediction = torch.zeros(1, 8, 8)
    prediction[0, 2:6] = 1
    logits = 100 * torch.stack([1 - prediction, prediction], dim=1)
    # Both classes overlap on 16 of 48 pixels.
    assert float(lovasz_softmax_loss(logits, mask)) == pytest.approx(1 - 16 / 48, rel=1e-6)


def test_a_class_that_is_absent_is_left_out_of_lovasz() -> None:
    logits = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 4, 4, dtype=torch.int64)
    expected = lovasz_by_definition(logits.softmax(dim=1)[:, 1].flatten().tolist(), [0] * 16, 0)
    assert float(lovasz_softmax_loss(logits, mask)) == pytest.approx(expected, rel=1e-5)


def test_gradients() -> None:
    logits, mask = case(2)
    # float32 inside composite_loss would hide the gradient from gradcheck: its parts are checked one by one.
    for loss in (dwce_loss, focal_loss, lovasz_softmax_loss):
        assert torch.autograd.gradcheck(lambda z, f=loss: f(z, mask), logits.clone().requires_grad_())


def test_a_boundary_is_where_both_classes_are_near() -> None:
    mask = torch.zeros(1, 7, 12, dtype=torch.int64)
    mask[:, :, 6:] = 1
    mask[:, 0, 0], mask[:, 6, 5] = IGNORE_INDEX, IGNORE_INDEX
    near = boundary_mask(mask, radius=2)
    assert near[0, 3].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert (near[0, 0, 0], near[0, 6, 5]) == (IGNORE_INDEX, IGNORE_INDEX)
    assert boundary_mask(torch.ones(1, 5, 5, dtype=torch.int64)).sum() == 0
    assert near.dtype == torch.int64


def test_composite_is_the_weighted_sum() -> None:
    logits, mask = case(3)
    parts = [float(f(logits, mask)) for f in (dwce_loss, focal_loss, lovasz_softmax_loss)]
    assert float(composite_loss(logits, mask)) == pytest.approx(
        0.4 * parts[0] + 0.4 * parts[1] + 0.2 * parts[2], rel=1e-6
    )
    assert float(composite_loss(logits, mask, LossWeights(0, 0, 1))) == pytest.approx(parts[2], rel=1e-6)


def test_nothing_to_learn_from_is_zero() -> None:
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    loss = composite_loss(logits, torch.full((1, 3, 3), 255))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@settings(max_examples=25)
@given(scale=st.sampled_from([1.0, 30.0, 1e4]), seed=st.integers(0, 1000))
def test_finite_for_any_confidence(scale: float, seed: int) -> None:
    logits, mask = case(seed)
    logits = (logits * scale).float().requires_grad_()
    loss = composite_loss(logits, mask)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_other_numbers_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 classes"):
        composite_loss(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64))


def test_distillation_is_least_where_the_student_agrees() -> None:
    """Cross-entropy of two Bernoulli distributions, written out; its least value is the teacher's own entropy."""
    images = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))

    class Teacher(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x[:, 0], 2 * x[:, 1]], dim=1)

    teacher = Teacher()
    p = torch.softmax(teacher(images), dim=1)[:, 1]
    student = torch.randn(2, 2, 4, 5, generator=torch.Generator().manual_seed(2), requires_grad=True)
    q = torch.softmax(student, dim=1)[:, 1]
    expected = -(p * q.log() + (1 - p) * (1 - q).log()).mean()
    assert distillation_loss(student, teacher, images).item() == pytest.approx(expected.item(), rel=1e-5)
    agreeing = teacher(images).requires_grad_()
    distillation_loss(agreeing, teacher, images).backward()
    assert agreeing.grad is not None and agreeing.grad.abs().max() < 1e-6
