"""The four-direction selective scan on the CPU, compiled by numba: forward and hand-derived backward.

Symbols and formulas are those of `reference.py`. What makes it fast:

- Channels last, in vectors of `LANES` channels (lanes.py). A task owns one image and one block of channels and walks
  all four directions, so the sum over directions needs no lock. The position of step t in direction k is arithmetic:
  nothing is rearranged or copied.
- The steps are walked in chunks, and within a chunk one vector of channels after the other: what is read together
  stays in the first-level cache, the few numbers of B and C of a chunk too.
- Exponentials are a polynomial and a bit-cast, in registers.
- Consecutive steps are kilobytes apart, further than the processor looks ahead: they are prefetched.
- The forward pass keeps the state at the start of every chunk of steps. The backward pass recomputes one chunk from
  it, keeps that chunk's decays in the cache, and walks it in reverse: two exponentials a state and step for the whole
  of training.

What bounds it at one state a channel is not the arithmetic: a step of a map that stays in the second-level cache takes
half the time of one that does not (`scgcnet bench scan` has one of each). In trials on one busy machine columns were
walked as fast as rows, and neither large pages nor leaving out the sums over channels in the backward pass changed it.

Not taken, since it moves the last digits of gradients and so begins every training again: all vectors of a step before
the next step, which reads what lies together in memory. In trials by hand (AVX2, one thread, one state) it took 0.55 to
0.9 of the time forward, with the same bits, and 0.7 to 0.95 backward; on two threads that share a core, no clear gain.

Each task writes its own numbers, and partial sums are added in an order that follows from the shapes and the number of
threads alone, so a run repeats bit for bit.
"""

import itertools
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scgcnet.scan.lanes import LANES, compiled, exp2, load, prefetch, run_tasks, splat, store, total
from scgcnet.scan.reference import CHUNK, K

BLOCK = 6  # vectors of channels at most in a task
AHEAD = 4  # steps between a prefetch and its use; 2 to 12 measured alike
PARTIAL_SUMS = 8  # at most, of the gradients of B and C: more would cost memory, fewer parallelism
SMALL = 1 << 20  # states times steps below which threads cost more than they save (measured: even at about this)

Array = np.ndarray[Any, np.dtype[np.float32]]
_LOG2_E = np.float32(math.log2(math.e))
_LN_2 = np.float32(math.log(2))
_ZERO = np.float32(0)
_WIDTH = np.uint64(LANES)


@compiled
def _locate(where: Any, start: int, k: int, H: int, W: int) -> None:
    """Fills `where` with the positions in the map of the steps from `start` on in direction k (`positions`)."""
    last = H * W - 1
    step = -1 if k % 2 else 1
    # Beyond the end there is only prefetching, which may ask for anything inside the map.
    s = max(last - start, 0) if k % 2 else min(start, last)
    if k < 2:
        for i in range(where.size):
            where[i] = min(max(s + step * i, 0), last)
        return
    column = s // H
    row = s - column * H
    for i in range(where.size):
        where[i] = min(max(row * W + column, 0), last)
        row += step
        if row == H or row < 0:
            row -= step * H
            column += step


# Indices that move are unsigned: a signed one might count from the end, and is tested for it. Where a matter of speed
# is not obvious, it was measured.


@compiled
def _forward_block(
    x: Any, delta: Any, A: Any, B: Any, C: Any, skip: Any, H: int, W: int, chunk: int,
    b: Any, first: Any, end: Any, keep: bool, y: Any, states: Any,
) -> None:  # fmt: skip
    """Scans the channels `first` to `end` of image b; A (K, N, D) is times log2(e). Writes y and, if `keep`, states."""
    N, L = np.uint64(A.shape[1]), H * W
    state = np.empty((N, end - first), np.float32)
    maps = np.empty((chunk, 2, N), np.float32)  # B, C
    where = np.empty(chunk + AHEAD, np.uint64)
    for k in range(K):
        state[:] = _ZERO
        for c in range((L + chunk - 1) // chunk):
            _locate(where, c * chunk, k, H, W)
            length = min(chunk, L - c * chunk)
            for i in range(length):
                for n in range(N):
                    maps[i, 0, n] = B[b, where[i], k, n]
                    maps[i, 1, n] = C[b, where[i], k, n]
            for v in range(first, end, _WIDTH):
                if keep:
                    for n in range(N):
                        store(states, (b, k, c, n, v), load(state, (n, v - first)))
                direct = load(skip, (k, v))
                for i in range(length):
                    p, soon = where[i], where[i + AHEAD]
                    prefetch(delta, (k, b, soon, v))
                    prefetch(x, (b, soon, v))
                    prefetch(y, (b, soon, v))
                    delta_t, x_t = load(delta, (k, b, p, v)), load(x, (b, p, v))
                    u_t = delta_t * x_t
                    y_t = direct * x_t
                    for n in range(N):
                        a_t = exp2(delta_t * load(A, (k, n, v)))
                        h = a_t * load(state, (n, v - first)) + u_t * maps[i, 0, n]
                        store(state, (n, v - first), h)
                        y_t = y_t + h * maps[i, 1, n]
                    if k > 0:
                        y_t = y_t + load(y, (b, p, v))
                    store(y, (b, p, v), y_t)


@compiled
def _backward_block(
    dy: Any, x: Any, delta: Any, A: Any, B: Any, C: Any, skip: Any, states: Any, H: int, W: int, chunk: int,
    b: Any, first: Any, end: Any, dx: Any, ddelta: Any, dA: Any, dB: Any, dC: Any, dskip: Any,
) -> None:  # fmt: skip
    """Gradients of `_forward_block`: writes those of x, delta, A and skip, adds to those of B and C."""
    N, L = np.uint64(A.shape[1]), H * W
    width = end - first
    nothing, ln_2 = splat(_ZERO), splat(_LN_2)
    h = np.empty((N, _WIDTH), np.float32)
    carry = np.empty((N, width), np.float32)  # a g of the step after
    sums_A, sums_skip = np.empty((N, width), np.float32), np.empty(width, np.float32)
    steps = np.empty((chunk, 2, _WIDTH), np.float32)  # delta, x
    decays = np.empty((chunk, N, 2, _WIDTH), np.float32)  # a_t, a_t h_{t-1}
    maps = np.empty((chunk, 4, N), np.float32)  # B, C and their gradients
    where = np.empty(chunk + AHEAD, np.uint64)
    for k in range(K):
        carry[:], sums_A[:], sums_skip[:] = _ZERO, _ZERO, _ZERO
        for c in range((L + chunk - 1) // chunk - 1, -1, -1):
            _locate(where, c * chunk, k, H, W)
            length = min(chunk, L - c * chunk)
            for i in range(length):
                for n in range(N):
                    maps[i, 0, n] = B[b, where[i], k, n]
                    maps[i, 1, n] = C[b, where[i], k, n]
                    maps[i, 2, n] = _ZERO
                    maps[i, 3, n] = _ZERO
            for v in range(first, end, _WIDTH):
                for n in range(N):
                    store(h, (n, 0), load(states, (b, k, c, n, v)))
                for i in range(length):  # forward again
                    p, soon = where[i], where[i + AHEAD]
                    prefetch(delta, (k, b, soon, v))
                    prefetch(x, (b, soon, v))
                    delta_t, x_t = load(delta, (k, b, p, v)), load(x, (b, p, v))
                    store(steps, (i, 0, 0), delta_t)
                    store(steps, (i, 1, 0), x_t)
                    u_t = delta_t * x_t
                    for n in range(N):
                        a_t = exp2(delta_t * load(A, (k, n, v)))
                        ah = a_t * load(h, (n, 0))
                        store(decays, (i, n, 0, 0), a_t)
                        store(decays, (i, n, 1, 0), ah)
                        store(h, (n, 0), ah + u_t * maps[i, 0, n])
                direct = load(skip, (k, v))
                dskip_v = load(sums_skip, (v - first,))
                for i in range(length - 1, -1, -1):  # and back
                    p, soon = where[i], where[max(i - AHEAD, 0)]
                    prefetch(dy, (b, soon, v))
                    prefetch(dx, (b, soon, v))
                    prefetch(ddelta, (k, b, soon, v))
                    dy_t, delta_t, x_t = load(dy, (b, p, v)), load(steps, (i, 0, 0)), load(steps, (i, 1, 0))
                    u_t = delta_t * x_t
                    du_t, exponent = nothing, nothing  # the latter: gradient for the exponents, times A
                    for n in range(N):
                        ah = load(decays, (i, n, 1, 0))
                        g = load(carry, (n, v - first)) + dy_t * maps[i, 1, n]
                        q = g * ah
                        maps[i, 2, n] += total(g * u_t)
                        maps[i, 3, n] += total((ah + u_t * maps[i, 0, n]) * dy_t)
                        du_t = du_t + g * maps[i, 0, n]
                        exponent = exponent + q * load(A, (k, n, v))
                        store(sums_A, (n, v - first), load(sums_A, (n, v - first)) + q * delta_t)
                        store(carry, (n, v - first), load(decays, (i, n, 0, 0)) * g)
                    dx_t = du_t * delta_t + dy_t * direct
                    if k > 0:
                        dx_t = dx_t + load(dx, (b, p, v))
                    store(dx, (b, p, v), dx_t)
                    store(ddelta, (k, b, p, v), exponent * ln_2 + du_t * x_t)
                    dskip_v = dskip_v + dy_t * x_t
                store(sums_skip, (v - first,), dskip_v)
            for i in range(length):
                for n in range(N):
                    dB[b, where[i], k, n] += maps[i, 2, n]
                    dC[b, where[i], k, n] += maps[i, 3, n]
        for v in range(first, end, _WIDTH):
            store(dskip, (b, k, v), load(sums_skip, (v - first,)))
            for n in range(N):
                store(dA, (b, k, n, v), load(sums_A, (n, v - first)))


def _plan(batch: int, steps: int, vectors: int, size: int) -> tuple[int, list[tuple[int, int]]]:
    """Chooses the number of threads, and blocks of vectors (first, end) that give all of them the same work."""
    threads = torch.get_num_threads() if batch * steps * vectors * LANES * K * size > SMALL else 1
    blocks = -(-vectors // BLOCK)
    if batch * blocks < 4 * threads:
        multiple = threads // math.gcd(batch, threads)
        blocks = min(-(-blocks // multiple) * multiple, vectors)
    width = -(-vectors // blocks)
    return threads, [(first, min(first + width, vectors)) for first in range(0, vectors, width)]


def _array(v: Tensor) -> Array:
    """The values as a contiguous float32 array, copied only if they are not one."""
    return v.detach().to(torch.float32).contiguous().numpy()


def _padded(v: Tensor) -> Array:
    """Likewise, with channels, the last dimension, up to a whole number of vectors: what is added is 0."""
    missing = -v.shape[-1] % LANES
    return _array(F.pad(v.detach(), (0, missing)) if missing else v)


def _by_direction(delta: Tensor) -> Array:
    """Delta (B, H, W, K, D) as the kernels take it: (K, B, L, D), padded; no copy where it is so in memory.

    What is read one after the other then lies together.
    """
    return _padded(delta.permute(3, 0, 1, 2, 4).flatten(2, 3))


def _rates(A: Tensor) -> Array:
    """A (K, D, N) as the kernels take it: (K, N, D), padded, times log2(e)."""
    return _padded(A.transpose(1, 2)) * _LOG2_E


def forward(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, keep: bool
) -> tuple[Tensor, Tensor]:
    """Scans a map: `reference.forward`, for tensors on the CPU, with the state in float32."""
    batch, H, W, channels = x.shape
    size = A.shape[2]
    x_, delta_, A_, skip_ = _padded(x.flatten(1, 2)), _by_direction(delta), _rates(A), _padded(skip)
    B_, C_ = (_array(v.flatten(1, 2)) for v in (B, C))
    y = np.empty(x_.shape, np.float32)
    states = np.empty((batch, K, -(-H * W // CHUNK), size, x_.shape[2]) if keep else (0,) * 5, np.float32)
    threads, blocks = _plan(batch, H * W, x_.shape[2] // LANES, size)

    def task(image: int, block: int) -> None:
        first, end = (np.uint64(vector * LANES) for vector in blocks[block])
        _forward_block(
            x_, delta_, A_, B_, C_, skip_, H, W, CHUNK, np.uint64(image), first, end, keep, y, states,
        )  # fmt: skip

    run_tasks(task, list(itertools.product(range(batch), range(len(blocks)))), threads)
    y_, states_ = (torch.from_numpy(v)[..., :channels].contiguous() for v in (y, states))
    return y_.view(x.shape).to(x.dtype), states_ if keep else states_.view(0)


def backward(
    dy: Tensor, x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, states: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of `forward` for (x, delta, A, B, C, skip) in float32: `reference.backward`."""
    batch, H, W, channels = x.shape
    size = A.shape[2]
    dy_, x_, delta_ = _padded(dy.flatten(1, 2)), _padded(x.flatten(1, 2)), _by_direction(delta)
    A_, skip_, states_ = _rates(A), _padded(skip), _padded(states)
    B_, C_ = (_array(v.flatten(1, 2)) for v in (B, C))
    threads, blocks = _plan(batch, H * W, x_.shape[2] // LANES, size)
    in_group = -(-len(blocks) // PARTIAL_SUMS)
    groups = [blocks[i : i + in_group] for i in range(0, len(blocks), in_group)]
    dx, ddelta = np.empty_like(x_), np.empty_like(delta_)
    dA, dskip = np.empty((batch, *A_.shape), np.float32), np.empty((batch, *skip_.shape), np.float32)
    dB, dC = (np.zeros((len(groups), *v.shape), np.float32) for v in (B_, C_))

    def task(image: int, group: int) -> None:
        for block in groups[group]:
            first, end = (np.uint64(vector * LANES) for vector in block)
            _backward_block(
                dy_, x_, delta_, A_, B_, C_, skip_, states_, H, W, CHUNK, np.uint64(image), first, end,
                dx, ddelta, dA, dB[group], dC[group], dskip,
            )  # fmt: skip

    run_tasks(task, list(itertools.product(range(batch), range(len(groups)))), threads)
    dx_, ddelta_, dA_, dskip_ = (torch.from_numpy(v)[..., :channels] for v in (dx, ddelta, dA.sum(0), dskip.sum(0)))
    dB_, dC_ = (torch.from_numpy(v.sum(0)).view(B.shape) for v in (dB, dC))
    ddelta_ = ddelta_.unflatten(2, (H, W)).permute(1, 2, 3, 0, 4)
    return dx_.reshape(x.shape), ddelta_, dA_.transpose(1, 2), dB_, dC_, dskip_
