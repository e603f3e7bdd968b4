"""The scan as the paper defines it: one loop over positions, written from the recurrence and shared with nothing."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

NAMES = ("x", "delta", "A", "B", "C", "skip")


def orders(height: int, width: int) -> list[list[tuple[int, int]]]:
    rows = [(i, j) for i in range(height) for j in range(width)]
    columns = [(i, j) for j in range(width) for i in range(height)]
    return [rows, rows[::-1], columns, columns[::-1]]


def make_inputs(
    batch: int, height: int, width: int, channels: int, size: int, seed: int = 0, step: float = 1.0
) -> list[Tensor]:
    """x, delta, A, B, C, skip in float64, of a trained layer's magnitudes."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32).astype(np.float64)  # exact in both precisions

    values = (
        normal(batch, height, width, channels),
        np.abs(normal(batch, height, width, 4, channels)) * step,
        -np.abs(normal(4, channels, size)) - 0.0625,
        normal(batch, height, width, 4, size),
        normal(batch, height, width, 4, size),
        normal(4, channels),
    )
    return [torch.from_numpy(v.astype(np.float32).astype(np.float64)) for v in values]


def steps(inputs: list[Tensor]) -> Iterator[tuple[int, int, int, Tensor]]:
    """Direction, row, column and output (B, D) of every step, in torch and float64: autograd gives the gradients."""
    x, delta, A, B, C, skip = inputs
    for k, order in enumerate(orders(x.shape[1], x.shape[2])):
        h = torch.zeros(x.shape[0], x.shape[3], A.shape[2], dtype=x.dtype)
        for i, j in order:
            x_t, delta_t = x[:, i, j, :, None], delta[:, i, j, k, :, None]
            h = torch.exp(delta_t * A[k]) * h + delta_t * x_t * B[:, i, j, k, None, :]
            yield k, i, j, (h * C[:, i, j, k, None, :]).sum(-1) + skip[k] * x[:, i, j]


def scan_with_gradients(inputs: list[Tensor], dy: Tensor) -> tuple[Tensor, list[Tensor]]:
    """y and the gradients of (y * dy).sum() for the six inputs."""
    leaves = [v.detach().clone().requires_grad_() for v in inputs]
    _, height, width, _ = inputs[0].shape
    y = [[torch.zeros(())] * width for _ in range(height)]
    for _, i, j, out in steps(leaves):
        y[i][j] = y[i][j] + out
    result = torch.stack([torch.stack(row, 1) for row in y], 1)
    return result.detach(), list(torch.autograd.grad(result, leaves, dy))


def scan_numpy(inputs: list[Tensor]) -> np.ndarray:
    """The same loop in numpy, element by element."""
    x, delta, A, B, C, skip = (v.numpy() for v in inputs)
    y = np.zeros_like(x)
    for b, d in np.ndindex(x.shape[0], x.shape[3]):
        for k, order in enumerate(orders(x.shape[1], x.shape[2])):
            h = np.zeros(A.shape[2])
            for i, j in order:
                h = np.exp(delta[b, i, j, k, d] * A[k, d]) * h + delta[b, i, j, k, d] * x[b, i, j, d] * B[b, i, j, k]
                y[b, i, j, d] += C[b, i, j, k] @ h + skip[k, d] * x[b, i, j, d]
    return y
