"""The four-direction selective scan on the CPU, compiled by numba: forward and hand-derived backward.

Symbols and formulas are those of `reference.py`. What makes it fast:

- Channels last. A task owns one image and one block of channels and walks all four directions, so the sum over
  directions needs no lock. The position of step t in direction k is arithmetic: nothing is rearranged or copied.
- The state is an (N, BLOCK) array that stays in the first-level cache.
- `_exp2` is a polynomial and a bit-cast, which the compiler turns into vector instructions; calls of `exp` it does not.
- Consecutive steps are kilobytes apart, further than the processor looks ahead: they are prefetched.
- The forward pass keeps the state at the start of every chunk of steps. The backward pass recomputes one chunk from
  it, keeps that chunk's decays in the second-level cache, and walks it in reverse: two exponentials a state and step
  for the whole of training.

Threads are plain Python threads over kernels that release the GIL. numba's own layers either must not be called from
two threads (workqueue) or bring a second OpenMP pool beside torch's. Each task writes its own numbers, and partial
sums are added in an order that follows from the shapes and the number of threads alone, so a run repeats bit for bit.
"""

import contextlib
import functools
import itertools
import math
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numba
import numba.core.cgutils
import numba.extending
import numba.np.arrayobj
import numpy as np
import torch
from llvmlite import ir
from torch import Tensor

from scgcnet.scan.reference import CHUNK, K

BLOCK = 96  # channels at most in a task: decays of a chunk at N = 16 (786 kB) fit the second-level cache
LANES = np.uint64(32)  # loops over channels run to a multiple of this, so that whole vectors are used
AHEAD = 4  # steps between a prefetch and its use; 2 to 8 measured alike
PARTIAL_SUMS = 8  # at most, of the gradients of B and C: more would cost memory, fewer parallelism
SMALL = 1 << 20  # states times steps below which threads cost more than they save (measured: even at about this)

Array = np.ndarray[Any, np.dtype[np.float32]]
F = TypeVar("F", bound=Callable[..., Any])
_numba: Any = numba  # typed in part only, and differently from version to version


def _compiled(*fastmath: str) -> Callable[[F], F]:
    """Compiles at the first call, without the GIL, cached on disk where a folder for it can be written.

    NaN and infinity stay as they are: none of the fast-math flags in use assumes them away.
    """

    def compile_(function: F) -> F:
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath)}
        try:
            compiled: F = _numba.njit(cache=True, **options)(function)
        except RuntimeError:  # neither __pycache__ nor the user's cache folder can be written
            compiled = _numba.njit(**options)(function)
        return compiled

    return compile_


def _intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function that compiled code calls, out of one that writes its instructions."""
    result: Callable[..., Any] = _numba.extending.intrinsic(function)
    return result


_LOG2_E = np.float32(math.log2(math.e))
_LN_2 = np.float32(math.log(2))
_ZERO = np.float32(0)
_ROUND = np.float32(1.5 * 2**23)  # adding it rounds to an integer, which is left in the low bits of the sum
_FLOOR = np.float32(-64)
# 2^f on [-1/2, 1/2]: interpolation at the 7 Chebyshev nodes, relative error 2e-9 before rounding.
_P0, _P1, _P2, _P3, _P4, _P5, _P6 = (
    np.float32(c)
    for c in (1, 0.6931472067, 0.24022650922, 0.055503272267, 0.0096180566784, 0.0013400428178, 0.00015461444725)
)


@_intrinsic
def _scale(context: Any, p: Any, t: Any) -> Any:
    """Multiplies p by 2^n, with n in the low bits of t, by integer addition to p's exponent."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32 = ir.IntType(32)
        exponent = builder.shl(builder.bitcast(args[1], i32), i32(23))
        return builder.bitcast(builder.add(builder.bitcast(args[0], i32), exponent), ir.FloatType())

    return _numba.float32(_numba.float32, _numba.float32), emit


@_intrinsic
def _prefetch(context: Any, array: Any, index: Any) -> Any:
    """Asks for the cache line of array[index] (unsigned indices) without waiting for it."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = _numba.np.arrayobj.make_array(array)(context, builder, args[0])
        indices = _numba.core.cgutils.unpack_tuple(builder, args[1], count=len(index))
        address = _numba.core.cgutils.get_item_pointer(context, builder, array, struct, indices, wraparound=False)
        pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
        call = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        builder.call(call, [builder.bitcast(address, pointer), i32(0), i32(3), i32(1)])  # read, keep, data
        return context.get_dummy_value()

    return _numba.void(array, index), emit


@_compiled("contract")  # nothing else: reassociation would cancel the rounding
def _exp2(x: np.float32) -> np.float32:
    """2^x for x <= 0 to 8e-8, and 2^-64 below that: it is nothing beside 1, and its products stay normal numbers."""
    x = _FLOOR if x < _FLOOR else x
    t = x + _ROUND
    f = x - (t - _ROUND)
    p = _P6
    p = p * f + _P5
    p = p * f + _P4
    p = p * f + _P3
    p = p * f + _P2
    p = p * f + _P1
    p = p * f + _P0
    result: np.float32 = _scale(p, t)
    return result


@_compiled()
def _locate(where: Any, start: int, k: int, H: int, W: int) -> None:
    """Fills `where` with the positions in the map of the steps from `start` on in direction k (`positions`)."""
    for i in range(where.size):
        t = min(start + i, H * W - 1)  # beyond the end there is only prefetching
        s = H * W - 1 - t if k % 2 else t
        where[i] = s if k < 2 else (s % H) * W + s // H


@_compiled()
def _prefetch_row(array: Any, row: Any, d0: Any, width: Any) -> None:
    """Prefetches the channels d0 to d0 + width of a row, 16 to a cache line."""
    for d in range(np.uint64(0), width, np.uint64(16)):
        _prefetch(array, (*row, d0 + d))


# In the two kernels, loops over channels come innermost and become vector instructions; all indices that move are
# unsigned, because a signed one might count from the end, and that test for every element keeps loops from becoming
# so. Work arrays whose rows are used together are one array: the compiler then sees that they do not overlap.


@_compiled("contract")
def _forward_block(
    x: Any, delta: Any, A: Any, B: Any, C: Any, skip: Any, H: int, W: int, chunk: int,
    b: Any, d0: Any, width: Any, keep: bool, y: Any, states: Any,
) -> None:  # fmt: skip
    """Scans the channels d0 to d0 + width of image b. A comes times log2(e). Writes y and, if `keep`, states."""
    N, L = np.uint64(A.shape[2]), H * W
    lanes = (width + LANES - np.uint64(1)) // LANES * LANES
    now = np.zeros((4, BLOCK), np.float32)  # delta, u = delta x, y, skip
    state = np.zeros((N, 2, BLOCK), np.float32)  # h, A
    where = np.empty(chunk + AHEAD, np.uint64)
    for k in range(K):
        for d in range(width):
            now[3, d] = skip[k, d0 + d]
            for n in range(N):
                state[n, 0, d] = _ZERO
                state[n, 1, d] = A[k, d0 + d, n]
        for c in range((L + chunk - 1) // chunk):
            _locate(where, c * chunk, k, H, W)
            if keep:
                for n in range(N):
                    for d in range(width):
                        states[b, k, c, n, d0 + d] = state[n, 0, d]
            for i in range(min(chunk, L - c * chunk)):
                p, soon = where[i], where[i + AHEAD]
                _prefetch_row(delta, (b, soon, np.uint64(k)), d0, width)
                _prefetch_row(x, (b, soon), d0, width)
                _prefetch_row(y, (b, soon), d0, width)
                for d in range(width):
                    x_t, delta_t = x[b, p, d0 + d], delta[b, p, k, d0 + d]
                    now[0, d] = delta_t
                    now[1, d] = delta_t * x_t
                    now[2, d] = now[3, d] * x_t
                for n in range(N):
                    B_t, C_t = B[b, p, k, n], C[b, p, k, n]
                    for d in range(lanes):
                        h = _exp2(now[0, d] * state[n, 1, d]) * state[n, 0, d] + now[1, d] * B_t
                        state[n, 0, d] = h
                        now[2, d] += C_t * h
                for d in range(width):
                    y[b, p, d0 + d] = now[2, d] if k == 0 else y[b, p, d0 + d] + now[2, d]


@_compiled("contract", "reassoc", "nsz")  # reassociation: the sums over channels become vectors
def _backward_block(
    dy: Any, x: Any, delta: Any, A: Any, B: Any, C: Any, skip: Any, states: Any, H: int, W: int, chunk: int,
    b: Any, d0: Any, width: Any, dx: Any, ddelta: Any, dA: Any, dB: Any, dC: Any, dskip: Any,
) -> None:  # fmt: skip
    """Gradients of `_forward_block`: writes those of x, delta, A and skip, adds to those of B and C."""
    N, L = np.uint64(A.shape[2]), H * W
    lanes = (width + LANES - np.uint64(1)) // LANES * LANES
    now = np.zeros((5, BLOCK), np.float32)  # dy, du, gradient of delta through the decays, skip, dskip
    state = np.zeros((N, 4, BLOCK), np.float32)  # h, A, a g of the step after, dA
    steps = np.zeros((chunk, 3, BLOCK), np.float32)  # delta, u = delta x, x
    decays = np.empty((chunk, N, 2, BLOCK), np.float32)  # a_t, a_t h_{t-1}
    where = np.empty(chunk + AHEAD, np.uint64)
    for k in range(K):
        for d in range(width):
            now[3, d] = skip[k, d0 + d]
            now[4, d] = _ZERO
            for n in range(N):
                state[n, 1, d] = A[k, d0 + d, n]
                state[n, 2, d] = _ZERO
                state[n, 3, d] = _ZERO
        for c in range((L + chunk - 1) // chunk - 1, -1, -1):
            _locate(where, c * chunk, k, H, W)
            length = min(chunk, L - c * chunk)
            for n in range(N):
                for d in range(width):
                    state[n, 0, d] = states[b, k, c, n, d0 + d]
            for i in range(length):  # forward again
                p, soon = where[i], where[i + AHEAD]
                _prefetch_row(delta, (b, soon, np.uint64(k)), d0, width)
                _prefetch_row(x, (b, soon), d0, width)
                for d in range(width):
                    x_t, delta_t = x[b, p, d0 + d], delta[b, p, k, d0 + d]
                    steps[i, 0, d] = delta_t
                    steps[i, 1, d] = delta_t * x_t
                    steps[i, 2, d] = x_t
                for n in range(N):
                    B_t = B[b, p, k, n]
                    for d in range(lanes):
                        a = _exp2(steps[i, 0, d] * state[n, 1, d])
                        ah = a * state[n, 0, d]
                        decays[i, n, 0, d] = a
                        decays[i, n, 1, d] = ah
                        state[n, 0, d] = ah + steps[i, 1, d] * B_t
            for i in range(length - 1, -1, -1):  # and back
                p, soon = where[i], where[max(i - AHEAD, 0)]
                _prefetch_row(dy, (b, soon), d0, width)
                _prefetch_row(dx, (b, soon), d0, width)
                _prefetch_row(ddelta, (b, soon, np.uint64(k)), d0, width)
                for d in range(width):
                    now[0, d] = dy[b, p, d0 + d]
                    now[1, d] = _ZERO
                    now[2, d] = _ZERO
                for n in range(N):
                    B_t, C_t = B[b, p, k, n], C[b, p, k, n]
                    dB_t, dC_t = _ZERO, _ZERO
                    for d in range(lanes):
                        ah = decays[i, n, 1, d]
                        g = state[n, 2, d] + C_t * now[0, d]
                        q = g * ah
                        dB_t += g * steps[i, 1, d]
                        dC_t += (ah + steps[i, 1, d] * B_t) * now[0, d]
                        now[1, d] += g * B_t
                        now[2, d] += q * state[n, 1, d]
                        state[n, 3, d] += q * steps[i, 0, d]
                        state[n, 2, d] = decays[i, n, 0, d] * g
                    dB[b, p, k, n] += dB_t
                    dC[b, p, k, n] += dC_t
                for d in range(width):
                    dx_t = now[1, d] * steps[i, 0, d] + now[0, d] * now[3, d]
                    dx[b, p, d0 + d] = dx_t if k == 0 else dx[b, p, d0 + d] + dx_t
                    ddelta[b, p, k, d0 + d] = now[2, d] * _LN_2 + now[1, d] * steps[i, 2, d]
                    now[4, d] += now[0, d] * steps[i, 2, d]
        for d in range(width):
            dskip[b, k, d0 + d] = now[4, d]
            for n in range(N):
                dA[b, k, d0 + d, n] = state[n, 3, d]


@functools.cache
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """One pool per number of threads; keyed by process too, since threads do not survive a fork."""
    return ThreadPoolExecutor(workers, thread_name_prefix="scan")


def _run(task: Callable[..., None], arguments: list[tuple[int, int]], threads: int) -> None:
    """Calls the task with each of the arguments, on this thread and `threads - 1` others."""
    queue: deque[tuple[int, int]] = deque(arguments)

    def work() -> None:
        with contextlib.suppress(IndexError):  # deque.popleft is atomic
            while True:
                task(*queue.popleft())

    helpers = min(threads, len(arguments)) - 1
    futures = [_pool(os.getpid(), threads - 1).submit(work) for _ in range(helpers)]
    work()
    for future in futures:
        future.result()


def _plan(batch: int, steps: int, channels: int, size: int) -> tuple[int, list[tuple[int, int]]]:
    """Chooses the number of threads, and blocks of channels (first, width) that give all of them the same work."""
    threads = torch.get_num_threads() if batch * steps * channels * K * size > SMALL else 1
    blocks = -(-channels // BLOCK)
    if batch * blocks < 4 * threads:
        multiple = threads // math.gcd(batch, threads)
        blocks = min(-(-blocks // multiple) * multiple, -(-channels // int(LANES)))
    width = -(-channels // (blocks * int(LANES))) * int(LANES)
    return threads, [(first, min(width, channels - first)) for first in range(0, channels, width)]


def _array(v: Tensor) -> Array:
    """The values as a contiguous float32 array, copied only if they are not one."""
    return v.detach().to(torch.float32).contiguous().numpy()


def forward(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, keep: bool
) -> tuple[Tensor, Tensor]:
    """Scans a map: `reference.forward`, for tensors on the CPU, with the state in float32."""
    batch, H, W, channels = x.shape
    size = A.shape[2]
    x_, delta_, B_, C_ = (_array(v.flatten(1, 2)) for v in (x, delta, B, C))
    A_, skip_ = _array(A) * _LOG2_E, _array(skip)
    y = np.empty(x_.shape, np.float32)
    states = np.empty((batch, K, -(-H * W // CHUNK), size, channels) if keep else (0,) * 5, np.float32)
    threads, blocks = _plan(batch, H * W, channels, size)

    def task(image: int, block: int) -> None:
        first, width = blocks[block]
        _forward_block(
            x_, delta_, A_, B_, C_, skip_, H, W, CHUNK,
            np.uint64(image), np.uint64(first), np.uint64(width), keep, y, states,
        )  # fmt: skip

    _run(task, list(itertools.product(range(batch), range(len(blocks)))), threads)
    return torch.from_numpy(y).view(x.shape).to(x.dtype), torch.from_numpy(states if keep else states.ravel())


def backward(
    dy: Tensor, x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, states: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of `forward` for (x, delta, A, B, C, skip) in float32: `reference.backward`."""
    batch, H, W, channels = x.shape
    size = A.shape[2]
    dy_, x_, delta_, B_, C_ = (_array(v.flatten(1, 2)) for v in (dy, x, delta, B, C))
    A_, skip_, states_ = _array(A) * _LOG2_E, _array(skip), _array(states)
    threads, blocks = _plan(batch, H * W, channels, size)
    in_group = -(-len(blocks) // PARTIAL_SUMS)
    groups = [blocks[i : i + in_group] for i in range(0, len(blocks), in_group)]
    dx, ddelta = np.empty_like(x_), np.empty_like(delta_)
    dA, dskip = np.empty((batch, *A_.shape), np.float32), np.empty((batch, *skip_.shape), np.float32)
    dB, dC = (np.zeros((len(groups), *v.shape), np.float32) for v in (B_, C_))

    def task(image: int, group: int) -> None:
        for first, width in groups[group]:
            _backward_block(
                dy_, x_, delta_, A_, B_, C_, skip_, states_, H, W, CHUNK, np.uint64(image), np.uint64(first),
                np.uint64(width), dx, ddelta, dA, dB[group], dC[group], dskip,
            )  # fmt: skip

    _run(task, list(itertools.product(range(batch), range(len(groups)))), threads)
    gradients = (dx, ddelta, dA.sum(0), dB.sum(0), dC.sum(0), dskip.sum(0))
    shapes = (v.shape for v in (x, delta, A, B, C, skip))
    dx_, ddelta_, dA_, dB_, dC_, dskip_ = (
        torch.from_numpy(v).view(shape) for v, shape in zip(gradients, shapes, strict=True)
    )
    return dx_, ddelta_, dA_, dB_, dC_, dskip_
