"""The selective scan in operators that ONNX has, for `scgcnet.export`: a few nodes, whatever the size of the map.

`torch.onnx.export` translates `torch._higher_order_ops.scan.scan` to ONNX's `Scan`. One loop over the L steps would be
slow: each step costs the call of its nodes. So, as in the reference, the steps are cut into M chunks of T, and

    1. one Scan over T steps runs all chunks at once, each from an empty state, for the states at their ends,
    2. one Scan over M chunks carries those ends on: h_m+1 = exp(A sum_t delta_t) h_m + end_m,
    3. one Scan over T steps runs all chunks at once from the states that enter them, for y.

Steps are repeated in 3 instead of being corrected: it takes as many exponentials, and memory of one step only.
The letters are those of `reference`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._higher_order_ops.scan import scan

T = 32  # steps of a chunk


def _walk(v: Tensor, chunks: int) -> Tensor:
    """(B, H, W, K, E) in four directions, chunked: (T, M, B, K, E). Steps beyond the last are 0, and change nothing."""
    rows, columns = v.flatten(1, 2), v.transpose(1, 2).flatten(1, 2)  # (B, L, K, E)
    walks = (rows[:, :, 0], rows[:, :, 1].flip(1), columns[:, :, 2], columns[:, :, 3].flip(1))
    steps = torch.stack(walks, dim=2)  # (B, L, K, E)
    steps = F.pad(steps, (0, 0, 0, 0, 0, chunks * T - steps.shape[1]))
    return steps.unflatten(1, (chunks, T)).permute(2, 1, 0, 3, 4).contiguous()


def scan_2d(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor) -> Tensor:
    """Scans a map; arguments and result as for `selective_scan_2d`, all in float32."""
    batch, height, width, channels = x.shape
    length = height * width
    chunks = (length + T - 1) // T
    decay = A.transpose(1, 2).contiguous()  # (K, N, D)
    delta_t = _walk(delta, chunks)  # (T, M, B, K, D)
    u_t = _walk(delta * x.unsqueeze(3), chunks)
    B_t, C_t = _walk(B, chunks), _walk(C, chunks)  # (T, M, B, K, N)

    decays = decay.unsqueeze(0).expand(T, *decay.shape).contiguous()  # a body sees nothing but what is scanned

    def step(h: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        a, d, u, b = inputs
        h = torch.exp(d.unsqueeze(-2) * a) * h + u.unsqueeze(-2) * b.unsqueeze(-1)
        return h, h[:1, :1, :1, :1, :1].clone()

    def read(h: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        a, d, u, b, c = inputs
        h = torch.exp(d.unsqueeze(-2) * a) * h + u.unsqueeze(-2) * b.unsqueeze(-1)
        return h, (h * c.unsqueeze(-1)).sum(-2)

    def carry(h: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        p, end = inputs
        return p * h + end, h.clone()

    empty = delta_t.new_zeros(chunks, batch, *decay.shape)  # (M, B, K, N, D)
    ends, _ = scan(step, empty, (decays, delta_t, u_t, B_t))
    products = torch.exp(delta_t.sum(0).unsqueeze(-2) * decay)
    _, entering = scan(carry, torch.zeros_like(ends[0]), (products, ends))
    _, y_t = scan(read, entering, (decays, delta_t, u_t, B_t, C_t))  # (T, M, B, K, D)
    y = y_t.permute(2, 1, 0, 3, 4).flatten(1, 2)[:, :length]  # (B, L, K, D)
    rows = y[:, :, 0] + y[:, :, 1].flip(1)
    columns = y[:, :, 2] + y[:, :, 3].flip(1)
    merged = rows.view(x.shape) + columns.view(batch, width, height, channels).transpose(1, 2)
    return merged + skip.sum(0) * x
