"""The four-direction selective scan on a GPU, compiled by Triton: forward and hand-derived backward.

It has not run on a GPU yet: it is compiled for some, and tested in Triton's interpreter, which runs the kernels on the
CPU, slowly, if TRITON_INTERPRET=1 is set when Triton is imported. What is said of speed is reckoned, not measured.

Symbols and formulas are those of `reference.py`. What it rests on:

- Channels last. A program is one warp that walks over steps. Its lanes run over channels, so loads are coalesced, and
  its state stays in registers. The position of step t in direction k is arithmetic: nothing is rearranged or copied.
- One image alone must fill the chip, so the steps are cut into segments of whole chunks. `_ends` scans each segment as
  if nothing entered it; `_enter` runs over the segments, where one exponential, exp(A sum delta), stands for the
  product of a segment's decays; then `_forward` scans each segment from the state that enters it. This computes every
  exponential twice. So there are no more segments than fill the chip: where the images and channels do, there is one.
- A program walks one direction and its reverse over the same positions, and adds the second to the first itself. Rows
  and columns write two results in float32, which are summed at the end: no atomics, a run repeats bit for bit.
- The backward pass takes up chunks at the states that the forward pass kept. It walks a chunk forward, leaving every
  other state in a scratch buffer, and then backward, two steps at a time, with their states and decays in registers.
  To keep all states from the forward pass would save that walk, but eight bytes to write and read back take longer on
  an H100 than an exponential. To divide by decays on the way back would need neither, and blow up where they are small.

Registers are what limits it. A state is a tile (Q, R, LANES): the N states of a channel are Q registers in each of R
threads, and a thread has four neighbouring channels. That balances sums over states, for y, against sums over channels,
for the gradients of B and C: what lies in one thread is summed there, the rest through shuffles between threads.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from scgcnet.scan.reference import CHUNK, K

if tuple(int(part) for part in triton.__version__.split(".")[:2]) < (3, 3):
    raise ImportError(f"Triton {triton.__version__} has no tuples of tensors: 3.3 does")

PROGRAMS = 2048  # warps to fill a GPU with: about 16 for each of the 132 processors of an H100
STEPS = 4  # walked at a time, so that their loads are under way together
STEPS_BACK = 2  # likewise in the backward pass: as many as there are registers for

# Kernels see global values of this type only.
_K = tl.constexpr(K)
_LN_2 = tl.constexpr(math.log(2))


def _jit(function: Callable[..., Any]) -> Any:
    """Compiles a kernel when it is first called with these dtypes, this N, and a D that 16 divides, or not, or 1."""
    return triton.jit(function, do_not_specialize=["batch", "H", "W", "blocks", "segments", "per"])


@_jit
@no_type_check
def _program(blocks, segments):
    """The image (int64), the place of the segment and the block of channels of this program."""
    program = tl.program_id(0)
    return (program // (blocks * segments)).to(tl.int64), program // blocks % segments, program % blocks


@_jit
@no_type_check
def _tile(block, Q: tl.constexpr, R: tl.constexpr, LANES: tl.constexpr):
    """The states n (Q, R, 1), rows r (1, R, 1) and channels d (1, R, LANES) of a tile.

    Channels are given in each of the R rows: what is loaded by them then comes to all threads that share a channel at
    once, where a value loaded by one thread would pass through shared memory.
    """
    r = tl.arange(0, R)[None, :, None]
    d = block * LANES + tl.arange(0, LANES)[None, None, :] + r * 0
    return tl.arange(0, Q)[:, None, None] * R + r, r, d


@_jit
@no_type_check
def _segment(place, segments, per, k, L, T: tl.constexpr):
    """Number, first chunk and end of the chunks, in the order of direction k, of the segment at a place of the map."""
    chunks = tl.cdiv(L, T)
    begin, end = place * per, tl.minimum(place * per + per, chunks)
    forward = k % 2 == 0
    number = tl.where(forward, place, segments - 1 - place)
    return number, tl.where(forward, begin, chunks - end), tl.where(forward, end, chunks - begin)


@_jit
@no_type_check
def _chunk(c, k, L, T: tl.constexpr):
    """First step and end of the steps of chunk c of direction k.

    A reverse direction is cut where its partner is: it is its first chunk that may be short, not its last.
    """
    first = c * T - k % 2 * (tl.cdiv(L, T) * T - L)
    return tl.maximum(first, 0), tl.minimum(first + T, L)


@_jit
@no_type_check
def _step(t, end, k, H, W, D, N):
    """Where step t of direction k stands in the row-major map (`reference.positions`), int64; its channels, states.

    A step that does not come before `end` has none: delta = 0 is read for it, which leaves the state as it is.
    """
    run = tl.where(k < 2, H * W, H)
    p = t % run * tl.where(k < 2, 1, W) + t // run
    p = tl.where(k % 2 == 0, p, H * W - 1 - p).to(tl.int64)
    return p, tl.where(t < end, D, 0), tl.where(t < end, N, 0)


@_jit
@no_type_check
def _read(pointer, mask):
    """Values in float32, 0 where masked."""
    return tl.load(pointer, mask=mask, other=0.0).to(tl.float32)


@_jit
@no_type_check
def _over_states(v):
    """Sums v (Q, R, LANES) over the states; all R rows get the sum."""
    return tl.sum(tl.sum(v, axis=0), axis=0)[None, None, :]


@_jit
@no_type_check
def _ends(
    v, delta, rates, maps, ends, totals, H, W, D, blocks, segments, per,
    N: tl.constexpr, Q: tl.constexpr, R: tl.constexpr, LANES: tl.constexpr, T: tl.constexpr, STEPS: tl.constexpr,
    BACK: tl.constexpr,
):  # fmt: skip
    """What leaves a segment that nothing enters, and the segment's sum of delta.

    That is the state after its last step, with v = x and maps = B, or, if BACK, the gradient for the state before its
    first step, s = a_1 (C_1 dy_1 + a_2 (C_2 dy_2 + ...)), with v = dy and maps = C.
    """
    L = H * W
    k = tl.program_id(1)
    image, place, block = _program(blocks, segments)
    n, r, d = _tile(block, Q, R, LANES)
    v += image * L * D
    delta += (image * L * _K + k) * D
    maps += (image * L * _K + k) * N
    rate = _read(rates + (k * N + n) * D + d, (n < N) & (d < D))
    number, first_chunk, end_chunk = _segment(place, segments, per, k, L, T)
    first, _ = _chunk(first_chunk, k, L, T)
    _, end = _chunk(end_chunk - 1, k, L, T)
    end = tl.where(number == (0 if BACK else segments - 1), first, end)  # what leaves it enters none
    h = tl.zeros([Q, R, LANES], tl.float32)
    product = h + 1
    total = tl.zeros([1, R, LANES], tl.float32)
    for t in range(first, end, STEPS):
        for j in tl.static_range(STEPS):
            p, d_end, n_end = _step(t + j, end, k, H, W, D, N)
            v_t = _read(v + p * D + d, d < d_end)
            delta_t = _read(delta + p * (_K * D) + d, d < d_end)
            map_t = _read(maps + p * (_K * N) + n, n < n_end)
            a = tl.exp2(delta_t * rate)
            if BACK:
                product *= a
                h += product * (v_t * map_t)
            else:
                h = a * h + delta_t * v_t * map_t
            total += delta_t
    at = (image * _K + k) * segments + number
    tl.store(ends + (at * N + n) * D + d, h, mask=(n < N) & (d < D))
    tl.store(totals + at * D + d, total, mask=(r == 0) & (d < D))


@_jit
@no_type_check
def _enter(ends, totals, rates, entering, D, size, segments, BLOCK: tl.constexpr, BACK: tl.constexpr):
    """What enters each segment: what the one before it adds, and what passes through that one.

    A program has some of the size = N D elements of a state of one image and direction.
    """
    blocks = tl.cdiv(size, BLOCK)
    k = tl.program_id(1)
    row = (tl.program_id(0) // blocks).to(tl.int64) * _K + k
    e = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    rate = _read(rates + k * size + e, e < size)
    h = tl.zeros([BLOCK], tl.float32)
    for i in tl.range(0, segments, num_stages=4):
        at = row * segments + (segments - 1 - i if BACK else i)
        own = _read(ends + at * size + e, e < size)
        total = _read(totals + at * D + e % D, e < size)
        tl.store(entering + at * size + e, h, mask=e < size)
        h = tl.exp2(total * rate) * h + own


@_jit
@no_type_check
def _forward(
    x, delta, rates, B, C, skip, entering, y, states, batch, H, W, D, blocks, segments, per,
    N: tl.constexpr, Q: tl.constexpr, R: tl.constexpr, LANES: tl.constexpr, T: tl.constexpr, STEPS: tl.constexpr,
    KEEP: tl.constexpr,
):  # fmt: skip
    """Scans a segment one way and back: writes y, of rows or columns, and the states that enter chunks, if KEEP."""
    L = H * W
    pair = tl.program_id(1)
    image, place, block = _program(blocks, segments)
    n, r, d = _tile(block, Q, R, LANES)
    x += image * L * D
    y += (pair * batch + image) * L * D
    for back in range(2):
        k = 2 * pair + back
        delta_k = delta + (image * L * _K + k) * D
        B_k, C_k = B + (image * L * _K + k) * N, C + (image * L * _K + k) * N
        rate = _read(rates + (k * N + n) * D + d, (n < N) & (d < D))
        direct = _read(skip + k * D + d, d < D)
        number, first_chunk, end_chunk = _segment(place, segments, per, k, L, T)
        at = (image * _K + k) * segments + number
        h = _read(entering + (at * N + n) * D + d, (n < tl.where(number > 0, N, 0)) & (d < D))
        for c in range(first_chunk, end_chunk):
            if KEEP:
                at = (image * _K + k) * tl.cdiv(L, T) + c
                tl.store(states + (at * N + n) * D + d, h, mask=(n < N) & (d < D))
            first, end = _chunk(c, k, L, T)
            for t in range(first, end, STEPS):
                # Loads first and stores last: a load is not moved before a store, which might be to its address.
                rows = ()
                for j in tl.static_range(STEPS):
                    p, d_end, n_end = _step(t + j, end, k, H, W, D, N)
                    x_t = _read(x + p * D + d, d < d_end)
                    delta_t = _read(delta_k + p * (_K * D) + d, d < d_end)
                    B_t = _read(B_k + p * (_K * N) + n, n < n_end)
                    C_t = _read(C_k + p * (_K * N) + n, n < n_end)
                    y_t = _read(y + p * D + d, d < d_end * back) + direct * x_t  # on the way back
                    rows += ((p, d_end, delta_t, delta_t * x_t, B_t, C_t, y_t),)
                out = ()
                for j in tl.static_range(STEPS):
                    p, d_end, delta_t, u_t, B_t, C_t, y_t = rows[j]
                    h = tl.exp2(delta_t * rate) * h + u_t * B_t
                    out += ((p, d_end, y_t + _over_states(C_t * h)),)
                for j in tl.static_range(STEPS):
                    p, d_end, y_t = out[j]
                    tl.store(y + p * D + d, y_t, mask=(r == 0) & (d < d_end))
        tl.debug_barrier()  # y is written in row 0 of the tile and read in all


@_jit
@no_type_check
def _backward(
    dy, x, delta, rates, B, C, skip, states, entering, scratch, dx, ddelta, dA, dB, dC, dskip,
    batch, H, W, D, blocks, segments, per,
    N: tl.constexpr, Q: tl.constexpr, R: tl.constexpr, LANES: tl.constexpr, T: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """Gradients of `_forward`: writes ddelta, dx of rows or columns, and its part of the sums dA, dB, dC and dskip."""
    L = H * W
    pair = tl.program_id(1)
    image, place, block = _program(blocks, segments)
    n, r, d = _tile(block, Q, R, LANES)
    dy += image * L * D
    x += image * L * D
    dx += (pair * batch + image) * L * D
    scratch += (tl.program_id(0) * 2 + pair).to(tl.int64) * (tl.cdiv(T, STEPS) * Q * R * LANES)
    scratch += n * LANES + tl.arange(0, LANES)[None, None, :]
    for back in range(2):
        k = 2 * pair + back
        delta_k, ddelta_k = delta + (image * L * _K + k) * D, ddelta + (image * L * _K + k) * D
        B_k, C_k = B + (image * L * _K + k) * N, C + (image * L * _K + k) * N
        dB_k = dB + ((block * batch + image) * L * _K + k) * N
        dC_k = dC + ((block * batch + image) * L * _K + k) * N
        rate = _read(rates + (k * N + n) * D + d, (n < N) & (d < D))
        direct = _read(skip + k * D + d, d < D)
        number, first_chunk, end_chunk = _segment(place, segments, per, k, L, T)
        at = (image * _K + k) * segments + number
        s = _read(entering + (at * N + n) * D + d, (n < tl.where(number < segments - 1, N, 0)) & (d < D))
        dA_k, dskip_k = tl.zeros_like(s), tl.zeros_like(direct)
        for c in range(end_chunk - 1, first_chunk - 1, -1):
            first, end = _chunk(c, k, L, T)
            groups = tl.cdiv(end - first, STEPS)
            at_chunk = (image * _K + k) * tl.cdiv(L, T) + c
            h = _read(states + (at_chunk * N + n) * D + d, (n < N) & (d < D))
            for i in range(groups):
                tl.store(scratch + i * (Q * R * LANES), h)
                for j in tl.static_range(STEPS):
                    p, d_end, n_end = _step(first + i * STEPS + j, end, k, H, W, D, N)
                    x_t = _read(x + p * D + d, d < d_end)
                    delta_t = _read(delta_k + p * (_K * D) + d, d < d_end)
                    B_t = _read(B_k + p * (_K * N) + n, n < n_end)
                    h = tl.exp2(delta_t * rate) * h + delta_t * x_t * B_t
            tl.debug_barrier()  # what a thread wrote to scratch, another may read
            for i in range(groups - 1, -1, -1):
                h = tl.load(scratch + i * (Q * R * LANES))
                rows = ()
                for j in tl.static_range(STEPS):
                    p, d_end, n_end = _step(first + i * STEPS + j, end, k, H, W, D, N)
                    x_t = _read(x + p * D + d, d < d_end)
                    dy_t = _read(dy + p * D + d, d < d_end)
                    delta_t = _read(delta_k + p * (_K * D) + d, d < d_end)
                    B_t = _read(B_k + p * (_K * N) + n, n < n_end)
                    C_t = _read(C_k + p * (_K * N) + n, n < n_end)
                    dx_t = _read(dx + p * D + d, d < d_end * back) + direct * dy_t
                    dskip_k += dy_t * x_t
                    a = tl.exp2(delta_t * rate)
                    ah = a * h
                    h = ah + delta_t * x_t * B_t
                    rows += ((p, d_end, n_end, x_t, dy_t, delta_t, B_t, C_t, dx_t, a, ah),)
                out = ()
                for j in tl.static_range(STEPS - 1, -1, -1):
                    p, d_end, n_end, x_t, dy_t, delta_t, B_t, C_t, dx_t, a, ah = rows[j]
                    u_t = delta_t * x_t
                    g = C_t * dy_t + s
                    s = a * g
                    q = g * ah
                    dA_k += q * delta_t
                    du_t = _over_states(g * B_t)
                    dx_t += du_t * delta_t
                    ddelta_t = _over_states(q * rate) * _LN_2 + du_t * x_t
                    dB_t = tl.sum(g * u_t, axis=2, keep_dims=True)
                    dC_t = tl.sum((ah + u_t * B_t) * dy_t, axis=2, keep_dims=True)
                    out += ((p, d_end, n_end, dx_t, ddelta_t, dB_t, dC_t),)
                for j in tl.static_range(STEPS):
                    p, d_end, n_end, dx_t, ddelta_t, dB_t, dC_t = out[j]
                    tl.store(dx + p * D + d, dx_t, mask=(r == 0) & (d < d_end))
                    tl.store(ddelta_k + p * (_K * D) + d, ddelta_t, mask=(r == 0) & (d < d_end))
                    tl.store(dB_k + p * (_K * N) + n, dB_t, mask=n < n_end)
                    tl.store(dC_k + p * (_K * N) + n, dC_t, mask=n < n_end)
            tl.debug_barrier()  # before it is written again
        tl.store(dA + (at * N + n) * D + d, dA_k, mask=(n < N) & (d < D))
        tl.store(dskip + at * D + d, dskip_k, mask=(r == 0) & (d < D))
        tl.debug_barrier()  # as in `_forward`, for dx


#: A warp for each program. Products and sums may be fused: Triton's default for that is about to change.
_LAUNCH = {"num_warps": 1, "enable_fp_fusion": True}

#: Whether the kernels run on the CPU, in Triton's interpreter.
INTERPRETED = not isinstance(_forward, triton.JITFunction)


class _Plan(NamedTuple):
    """How a scan is shared out among programs.

    Attributes:
        Q: States of a tile in one thread.
        R: Threads that share a channel.
        LANES: Channels of a tile. R LANES = 128: four channels for each of the 32 threads of a warp.
        blocks: Tiles that hold all channels.
        per: Chunks in a segment.
        segments: Segments of a direction.
    """

    Q: int
    R: int
    LANES: int
    blocks: int
    per: int
    segments: int


def _plan(batch: int, steps: int, channels: int, size: int) -> _Plan:
    """Chooses tiles by the state size, and as many segments as make `PROGRAMS` programs, if there are the chunks."""
    states = 1 << (size - 1).bit_length()
    R = min(max(states // 4, 1), 32)
    blocks = -(-channels * R // 128)
    chunks = -(-steps // CHUNK)
    per = -(-chunks // -(-PROGRAMS // (2 * batch * blocks)))
    return _Plan(states // R, R, 128 // R, blocks, per, -(-chunks // per))


def _entering(v: Tensor, delta: Tensor, rates: Tensor, maps: Tensor, plan: _Plan, back: bool) -> Tensor:
    """What enters the segments (B, K, segments, N, D), each direction's in its own order; see `_ends` for v, maps."""
    if plan.segments == 1:
        return rates  # nothing of it is read
    batch, H, W, channels = v.shape
    size = maps.shape[-1]
    ends = rates.new_empty(batch, K, plan.segments, size, channels)
    totals = rates.new_empty(batch, K, plan.segments, channels)
    entering = torch.empty_like(ends)
    _ends[batch * plan.blocks * plan.segments, K](
        v, delta, rates, maps, ends, totals, H, W, channels, plan.blocks, plan.segments, plan.per,
        N=size, Q=plan.Q, R=plan.R, LANES=plan.LANES, T=CHUNK, STEPS=STEPS, BACK=back, **_LAUNCH,
    )  # fmt: skip
    _enter[batch * -(-size * channels // 128), K](
        ends, totals, rates, entering, channels, size * channels, plan.segments,
        BLOCK=128, BACK=back, **_LAUNCH,
    )  # fmt: skip
    return entering


def _parameters(A: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
    """The rates A log2(e) as (K, N, D), so that a decay is a power of 2, and skip, in float32."""
    return (A.float() * math.log2(math.e)).transpose(1, 2).contiguous(), skip.float().contiguous()


def forward(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, keep: bool
) -> tuple[Tensor, Tensor]:
    """Scans a map: `reference.forward`, for tensors on a GPU, with fewer than 2^31 steps, and the state in float32.

    Inputs are read in their own dtype. States are kept for other steps than in the reference: see `_chunk`.
    """
    batch, H, W, channels = x.shape
    size = A.shape[2]
    plan = _plan(batch, H * W, channels, size)
    x, delta, B, C = (v.contiguous() for v in (x, delta, B, C))
    rates, skip = _parameters(A, skip)
    y = rates.new_empty(2, *x.shape)
    states = rates.new_empty(batch, K, -(-H * W // CHUNK), size, channels) if keep else y.new_empty(0)
    with torch.cuda.device_of(x):  # no-op on a CPU
        entering = _entering(x, delta, rates, B, plan, back=False)
        _forward[batch * plan.blocks * plan.segments, 2](
            x, delta, rates, B, C, skip, entering, y, states, batch, H, W, channels, plan.blocks, plan.segments,
            plan.per, N=size, Q=plan.Q, R=plan.R, LANES=plan.LANES, T=CHUNK, STEPS=STEPS, KEEP=keep, **_LAUNCH,
        )  # fmt: skip
    return (y[0] + y[1]).to(x.dtype), states


def backward(
    dy: Tensor, x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, states: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of `forward` for (x, delta, A, B, C, skip): `reference.backward`, that of delta in delta's dtype."""
    batch, H, W, channels = x.shape
    size = A.shape[2]
    plan = _plan(batch, H * W, channels, size)
    dy, x, delta, B, C = (v.contiguous() for v in (dy, x, delta, B, C))
    rates, skip = _parameters(A, skip)
    programs = batch * plan.blocks * plan.segments
    scratch = rates.new_empty(programs * 2 * -(-CHUNK // STEPS_BACK) * plan.Q * 128)
    dx = rates.new_empty(2, *x.shape)
    ddelta = torch.empty_like(delta)
    dA = rates.new_empty(batch, K, plan.segments, size, channels)
    dB, dC = rates.new_empty(2, plan.blocks, *B.shape)
    dskip = rates.new_empty(batch, K, plan.segments, channels)
    with torch.cuda.device_of(x):
        entering = _entering(dy, delta, rates, C, plan, back=True)
        _backward[programs, 2](
            dy, x, delta, rates, B, C, skip, states, entering, scratch, dx, ddelta, dA, dB, dC, dskip,
            batch, H, W, channels, plan.blocks, plan.segments, plan.per,
            N=size, Q=plan.Q, R=plan.R, LANES=plan.LANES, T=CHUNK, STEPS=STEPS_BACK, **_LAUNCH,
        )  # fmt: skip
    return dx[0] + dx[1], ddelta, dA.sum((0, 2)).transpose(1, 2), dB.sum(0), dC.sum(0), dskip.sum((0, 2))
