"""The four-direction selective scan in plain PyTorch: the definition, and the fallback on any device.

Eq. 10 of the paper scans the feature map along rows and columns, both ways, and sums the four results; each scan is
the selective state space model of Mamba (Gu and Dao, 2023, algorithm 2, with its simplified input term delta B):

    h_t = exp(delta_t A) h_{t-1} + delta_t x_t B_t          y_t = C_t . h_t + skip x_t

Glossary (letter: meaning, name elsewhere):
    B: images in the batch          H, W: rows and columns        L = H W: steps of a scan
    D: channels                     N: state size (d_state)       K = 4: directions, see `positions`
    x: input (u)                    delta: step size, already positive (softplus of the projected dt)
    A: decay rates, negative        B, C: input and output maps of the state, chosen by the data (selective)
    skip: the direct path (D in Mamba's code)                     h: state, y: output
    a = exp(delta A): decay         T: steps of a chunk           M: chunks that are worked on at once

B is the batch size in shapes and the input map in formulas, as in the literature.

PyTorch is slow at many small operations, so the steps are cut into chunks, and M chunks step together, each from an
empty state. What flows from chunk to chunk is added afterwards: a state entering a chunk reaches step t times the
product of the decays up to t. Such products only shrink; none is ever inverted, so no step size can overflow.

A custom operator sees no autograd inside, so the backward pass is written out. It needs the state that entered each
chunk, which `forward` keeps on request: memory is that of M chunks, not of the whole map.
"""

import torch
from torch import Tensor

K = 4
CHUNK = 64  # steps between kept states, in every backend
WORKING_SET = 1 << 19  # elements of one (T, M, B, K, N, D) tensor, about: small enough for a cache


def positions(height: int, width: int, device: torch.device) -> Tensor:
    """Where step t of direction k stands in the row-major map.

    Direction 0 reads rows left to right, top to bottom; 1 is its reverse; 2 reads columns top to bottom, left to
    right; 3 is its reverse.

    Returns:
        (K, L) int64.
    """
    rows = torch.arange(height * width, device=device)
    columns = rows.view(height, width).t().reshape(-1)
    return torch.stack([rows, rows.flip(0), columns, columns.flip(0)])


def _step(a: Tensor, b: Tensor, h: Tensor, order: slice) -> None:
    """Overwrites b (T, M, ...) by the states h_t = a_t h_{t-1} + b_t that follow h (M, ...)."""
    for a_t, b_t in zip(a.unbind(0)[order], b.unbind(0)[order], strict=True):
        h = b_t.addcmul_(a_t, h)


def _scan(a: Tensor, b: Tensor, h: Tensor, reverse: bool = False) -> tuple[Tensor, Tensor]:
    """Runs h_t = a_t h_{t-1} + b_t through M chunks of T steps, from the last to the first if `reverse`.

    Args:
        a: (T, M, B, K, N, D) decays, in [0, 1].
        b: (T, M, B, K, N, D) inputs, overwritten by the states.
        h: (B, K, N, D), the state before the first step.
        reverse: Whether to run backwards in time.

    Returns:
        The states that entered each chunk (M, B, K, N, D) and the state after the last step (B, K, N, D).
    """
    order = slice(None, None, -1 if reverse else 1)
    if a.shape[1] == 1:
        _step(a, b, h.unsqueeze(0), order)
        return h.unsqueeze(0), b[0 if reverse else -1, 0].clone()  # a view would keep the whole chunk
    _step(a, b, torch.zeros_like(b[0]), order)
    products = torch.empty_like(a)
    p = torch.ones_like(a[0])
    for a_t, p_t in zip(a.unbind(0)[order], products.unbind(0)[order], strict=True):
        p = torch.mul(a_t, p, out=p_t)
    entered = []
    last = 0 if reverse else -1
    for own, decay in zip(b[last].unbind(0)[order], products[last].unbind(0)[order], strict=True):
        entered.append(h)
        h = torch.addcmul(own, decay, h)
    starts = torch.stack(entered[order])
    b.addcmul_(products, starts)
    return starts, h


class _Map:
    """The inputs of a scan, flat and in the dtype of the state, read M chunks at a time."""

    def __init__(self, x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor) -> None:
        self.dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        self.x, self.delta, self.B, self.C = (self.flat(v) for v in (x, delta, B, C))
        self.A = A.to(self.dtype).transpose(1, 2).contiguous()  # (K, N, D)
        self.skip = skip.to(self.dtype)
        self.k = torch.arange(K, device=x.device)
        where = positions(x.shape[1], x.shape[2], x.device)
        at_once = max(1, WORKING_SET // (CHUNK * x.shape[0] * self.A.numel()))
        length = where.shape[1]
        chunked = length - length % CHUNK
        full = where[:, :chunked].reshape(K, -1, CHUNK).permute(2, 1, 0)  # (T, chunks, K)
        self.parts = list(full.split(at_once, dim=1)) if chunked else []
        if chunked < length:
            self.parts.append(where[:, chunked:].t().unsqueeze(1))

    def flat(self, v: Tensor) -> Tensor:
        """(B, H, W, ...) to (B, L, ...)."""
        return v.to(self.dtype).flatten(1, 2)

    def read(self, part: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns x and delta (T, M, B, K, D), B and C (T, M, B, K, N) at the positions `part` (T, M, K)."""
        return (
            self.x[:, part].movedim(0, 2),
            self.delta[:, part, self.k].movedim(0, 2),
            self.B[:, part, self.k].movedim(0, 2),
            self.C[:, part, self.k].movedim(0, 2),
        )

    def terms(self, x: Tensor, delta: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
        """Decays a and inputs b of the recurrence, both (T, M, B, K, N, D)."""
        return (delta.unsqueeze(-2) * self.A).exp_(), (delta * x).unsqueeze(-2) * B.unsqueeze(-1)


def _add(total: Tensor, part: Tensor, value: Tensor) -> None:
    """Adds value (T, M, B, K, D) to total (B, L, D) at the positions part (T, M, K)."""
    for k in range(K):  # positions are distinct within one direction only
        total[:, part[..., k]] += value[..., k, :].movedim(2, 0)


def forward(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, keep: bool
) -> tuple[Tensor, Tensor]:
    """Scans a map.

    Args:
        x: (B, H, W, D), any floating dtype; the state is float64 if x is, else float32.
        delta: (B, H, W, K, D), not negative.
        A: (K, D, N), negative.
        B: (B, H, W, K, N).
        C: (B, H, W, K, N).
        skip: (K, D).
        keep: Whether to keep the state that enters every chunk, for `backward`.

    Returns:
        y (B, H, W, D) in x's dtype, and the kept states (B, K, chunks, N, D) in the state's dtype, or an empty tensor.
    """
    with torch.autocast(x.device.type, enabled=False):
        inputs = _Map(x, delta, A, B, C, skip)
        y = torch.zeros_like(inputs.x, memory_format=torch.contiguous_format)
        h = y.new_zeros(x.shape[0], *inputs.A.shape)
        kept = []
        for part in inputs.parts:
            x_t, delta_t, B_t, C_t = inputs.read(part)
            a, states = inputs.terms(x_t, delta_t, B_t)
            starts, h = _scan(a, states, h)
            if keep:
                kept.append(starts)
            _add(y, part, torch.matmul(C_t.unsqueeze(-2), states).squeeze(-2) + inputs.skip * x_t)
        states = torch.cat(kept).permute(1, 2, 0, 3, 4).contiguous() if keep else y.new_empty(0)
        return y.view(x.shape).to(x.dtype), states


def backward(
    dy: Tensor, x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, states: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of `forward`, by the chain rule through the recurrence.

    Let g_t be the gradient for h_t, u_t = delta_t x_t, and s_t = a_t g_t what reaches h_{t-1}. Then

        s_t = a_t s_{t+1} + a_t C_t dy_t      g_t = C_t dy_t + s_{t+1}      (the same recurrence, run backwards)
        dB_t = g_t . u_t      dC_t = h_t . dy_t      du_t = g_t . B_t

    and q_t = s_t h_{t-1} is the gradient for the exponent delta_t A: A takes the sum of q_t delta_t, delta_t takes
    q_t . A + du_t x_t, x_t takes du_t delta_t + skip dy_t.

    Args:
        dy: (B, H, W, D), the gradient for y.
        x: As for `forward`.
        delta: As for `forward`.
        A: As for `forward`.
        B: As for `forward`.
        C: As for `forward`.
        skip: As for `forward`.
        states: (B, K, chunks, N, D), what `forward` kept.

    Returns:
        The gradients for (x, delta, A, B, C, skip), each in its input's shape and in the state's dtype.
    """
    with torch.autocast(x.device.type, enabled=False):
        inputs = _Map(x, delta, A, B, C, skip)
        dy_flat = inputs.flat(dy)
        dx, ddelta, dA, dB, dC, dskip = (
            torch.zeros_like(v, memory_format=torch.contiguous_format)
            for v in (inputs.x, inputs.delta, inputs.A, inputs.B, inputs.C, inputs.skip)
        )
        carry = torch.zeros_like(states[:, :, 0])  # s_{t+1} (B, K, N, D)
        kept = states.permute(2, 0, 1, 3, 4).split([part.shape[1] for part in inputs.parts])
        for part, starts in zip(reversed(inputs.parts), reversed(kept), strict=True):
            x_t, delta_t, B_t, C_t = inputs.read(part)
            dy_t = dy_flat[:, part].movedim(0, 2)  # (T, M, B, K, D)
            a, h = inputs.terms(x_t, delta_t, B_t)
            _step(a, h, starts, slice(None))
            g = C_t.unsqueeze(-1) * dy_t.unsqueeze(-2)  # C_t dy_t so far
            s = a * g
            ends, carry = _scan(a, s, carry, reverse=True)
            g[:-1] += s[1:]
            g[-1] += ends
            dC[:, part, inputs.k] = torch.matmul(h, dy_t.unsqueeze(-1)).squeeze(-1).movedim(2, 0)
            dB[:, part, inputs.k] = torch.matmul(g, (delta_t * x_t).unsqueeze(-1)).squeeze(-1).movedim(2, 0)
            du = torch.matmul(B_t.unsqueeze(-2), g).squeeze(-2)  # (T, M, B, K, D)
            s[0] *= starts
            s[1:] *= h[:-1]  # s is q from here on
            dA += (s * delta_t.unsqueeze(-2)).sum((0, 1, 2))
            ddelta[:, part, inputs.k] = ((s.mul_(inputs.A)).sum(-2) + du * x_t).movedim(2, 0)
            dskip += (dy_t * x_t).sum((0, 1, 2))
            _add(dx, part, du * delta_t + dy_t * inputs.skip)
    return dx.view(x.shape), ddelta.view(delta.shape), dA.transpose(1, 2), dB.view(B.shape), dC.view(C.shape), dskip
