"""The selective scan in operators that ONNX has, for `scgcnet.export`: as many nodes for a map of any size.

`torch.onnx.export` translates `torch._higher_order_ops.scan.scan` to ONNX's `Scan`. A loop over all L steps would cost
L calls of its nodes. So, as in the reference, the steps are cut into M chunks of T, the four directions step together,

    1. a Scan over T steps takes all chunks at once, each from an empty state, to the states at their ends,
    2. a Scan over M chunks carries them on, h_m+1 = exp(A sum_t delta_t) h_m + end_m, and gives what enters each chunk,
    3. a Scan over T steps takes all chunks at once from the states that enter them, and gives y.

The steps are taken twice where the reference corrects them: as many exponentials, and memory of one step.
The letters are those of `reference`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._higher_order_ops.scan import scan

T = 32  # steps of a chunk


def _walk(v: Tensor, chunks: int) -> Tensor:
    """(B, H, W, K, E) along the four directions to (T, M, B, K, E); steps beyond the last are 0 and change no state."""
    rows, columns = v.flatten(1, 2), v.transpose(1, 2).flatten(1, 2)  # (B, L, K, E)
    walks = (rows[:, :, 0], rows[:, :, 1].flip(1), columns[:, :, 2], columns[:, :, 3].flip(1))
    steps = torch.stack(walks, dim=2)
    steps = F.pad(steps, (0, 0, 0, 0, 0, chunks * T - steps.shape[1]))
    chunked: Tensor = steps.unflatten(1, (chunks, T)).permute(2, 1, 0, 3, 4).contiguous()
    return chunked


def _next(h: Tensor, A: Tensor, delta: Tensor, u: Tensor, B: Tensor) -> Tensor:
    """The state (M, B, K, N, D) after one more step of every chunk."""
    return torch.exp(delta * A) * h + u * B


def _to_ends(h: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    h = _next(h, *inputs)
    return h, h.new_zeros(())  # a Scan must give something


def _carry(h: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    product, end = inputs
    return product * h + end, h.clone()


def _read(h: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    *terms, C = inputs
    h = _next(h, *terms)
    return h, (h * C).sum(-2)


def scan_2d(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor) -> Tensor:
    """Scans a map in float32; arguments and result as for `selective_scan_2d`."""
    batch, height, width, channels = x.shape
    length = height * width
    chunks = (length + T - 1) // T
    A = A.transpose(1, 2).contiguous()  # (K, N, D)
    delta_t, u_t = (_walk(v, chunks).unsqueeze(-2) for v in (delta, delta * x.unsqueeze(3)))  # (T, M, B, K, 1, D)
    B_t, C_t = (_walk(v, chunks).unsqueeze(-1) for v in (B, C))  # (T, M, B, K, N, 1)
    A_t = A.unsqueeze(0).expand(T, *A.shape).contiguous()  # a Scan's body sees what is scanned alone
    terms = (A_t, delta_t, u_t, B_t)

    ends, _ = scan(_to_ends, delta_t.new_zeros(chunks, batch, *A.shape), terms)  # (M, B, K, N, D)
    products = torch.exp(delta_t.sum(0) * A)
    _, entering = scan(_carry, torch.zeros_like(ends[0]), (products, ends))
    _, y_t = scan(_read, entering, (*terms, C_t))  # (T, M, B, K, D)

    y = y_t.permute(2, 1, 0, 3, 4).flatten(1, 2)[:, :length]  # (B, L, K, D)
    rows = (y[:, :, 0] + y[:, :, 1].flip(1)).view(x.shape)
    columns = (y[:, :, 2] + y[:, :, 3].flip(1)).view(batch, width, height, channels)
    out: Tensor = rows + columns.transpose(1, 2) + skip.sum(0) * x
    return out
