"""Vectors of float32 and threads for functions that numba compiles: loops over channels written as whole vectors.

The compiler makes vector instructions of most plain loops, but not of one that carries a state from step to step in
registers, and it tests at run time whether arrays overlap. A `Lanes` value is a vector of `LANES` numbers, which LLVM
maps to whatever registers the processor has. It is loaded from and stored to arrays at an index whose last entry
counts in numbers, not in vectors, and knows + and * with another vector, or with a single float32 on the right.
"""

import contextlib
import functools
import hashlib
import operator
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numba
import numba.core.cgutils
import numba.extending
import numba.np.arrayobj
import numpy as np
from llvmlite import ir

LANES = 32  # measured best of 16, 32: two cache lines, which processors fetch in pairs

F = TypeVar("F", bound=Callable[..., Any])
_OWN = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
_numba: Any = numba  # typed in part only, and differently from version to version
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_VECTOR, _INTEGERS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT, LANES)


def compiled(function: F) -> F:
    """Compiles at the first call, without the GIL, cached on disk where a folder for it can be written.

    Products and sums may be contracted to one instruction; NaN and infinity stay as they are.
    """
    # numba keeps compiled code until the function's own file changes. It is named after this file too.
    function.__qualname__ += f"_{_OWN}"
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        result: F = _numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither __pycache__ nor the user's cache folder can be written
        result = _numba.njit(**options)(function)
    return result


class _Lanes(_numba.types.Type):  # type: ignore[misc]  # numba is not typed
    """The type of a vector in compiled code."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


_lanes = _Lanes()


@_numba.extending.register_model(_Lanes)
class _LanesModel(_numba.extending.models.PrimitiveModel):  # type: ignore[misc]
    """In memory and in registers it is what LLVM has for it."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function that compiled code calls, out of one that writes its instructions."""
    result: Callable[..., Any] = _numba.extending.intrinsic(function)
    return result


def _address(context: Any, builder: Any, array: Any, value: Any, index: Any, indices: Any) -> Any:
    """Where array[index] is; negative indices do not count from the end."""
    struct = _numba.np.arrayobj.make_array(array)(context, builder, value)
    unpacked = _numba.core.cgutils.unpack_tuple(builder, indices, count=len(index))
    return _numba.core.cgutils.get_item_pointer(context, builder, array, struct, unpacked, wraparound=False)


@_intrinsic
def load(context: Any, array: Any, index: Any) -> Any:
    """The vector that starts at array[index] (a tuple). Nothing checks that it ends inside."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, array, args[0], index, args[1])
        return builder.load(builder.bitcast(address, _VECTOR.as_pointer()), align=4)

    return _lanes(array, index), emit


@_intrinsic
def store(context: Any, array: Any, index: Any, vector: Any) -> Any:
    """Writes a vector from array[index] (a tuple) on. Nothing checks that it ends inside."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, array, args[0], index, args[1])
        builder.store(args[2], builder.bitcast(address, _VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return _numba.void(array, index, vector), emit


@_intrinsic
def prefetch(context: Any, array: Any, index: Any) -> Any:
    """Asks for the cache lines of the vector at array[index] without waiting; the index may lie outside."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _INT, _INT, _INT])
        call = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        start = builder.bitcast(_address(context, builder, array, args[0], index, args[1]), pointer)
        for line in range(0, 4 * LANES, 64):  # bytes
            builder.call(call, [builder.gep(start, [_INT(line)]), _INT(0), _INT(3), _INT(1)])  # read, keep, data
        return context.get_dummy_value()

    return _numba.void(array, index), emit


@_intrinsic
def splat(context: Any, number: Any) -> Any:
    """A vector of one float32, repeated."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        empty = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(empty, args[0], _INT(0))
        return builder.shuffle_vector(first, empty, ir.Constant(_INTEGERS, [0] * LANES))

    return _lanes(_numba.float32), emit


@_intrinsic
def total(context: Any, vector: Any) -> Any:
    """The sum of a vector's numbers, as a float32; added in pairs, always the same."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_FLOAT, [_FLOAT, _VECTOR])
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        call = _numba.core.cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(call, [_FLOAT(0.0), args[0]], fastmath=("reassoc",))

    return _numba.float32(_lanes), emit


def _operation(instruction: str) -> Callable[..., Any]:
    @_intrinsic
    def apply(context: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, instruction)(args[0], args[1])

        return _lanes(_lanes, _lanes), emit

    return apply


def _teach(operation: Callable[..., Any], instruction: str) -> None:
    """Gives compiled code an operator between two vectors, and between a vector and a float32."""
    apply = _operation(instruction)

    # Not strict: numba would want the inner functions to repeat the annotations.
    @_numba.extending.overload(operation, strict=False)  # type: ignore[untyped-decorator]
    def _(a: Any, b: Any) -> Any:
        if a == b == _lanes:
            return lambda a, b: apply(a, b)
        if a == _lanes and b == _numba.float32:
            return lambda a, b: apply(a, splat(b))
        return None


_teach(operator.add, "fadd")
_teach(operator.mul, "fmul")


def _constant(number: float) -> Any:
    return ir.Constant(_VECTOR, [float(np.float32(number))] * LANES)


_ROUND = 1.5 * 2**23  # adding it rounds to an integer, which is left in the low bits of the sum
_FLOOR = -64.0
# 2^f on [-1/2, 1/2]: interpolation at the 7 Chebyshev nodes, relative error 2e-9 before rounding.
_POLYNOMIAL = (1, 0.6931472067, 0.24022650922, 0.055503272267, 0.0096180566784, 0.0013400428178, 0.00015461444725)


@_intrinsic
def exp2(context: Any, vector: Any) -> Any:
    """2^x for each x <= 0 to 8e-8, and 2^-64 below that: it is nothing beside 1, and its products stay normal numbers.

    A polynomial and an addition to the exponent's bits: calls of the C library's exponential do not become vectors.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        floor, rounder = _constant(_FLOOR), _constant(_ROUND)
        x = builder.select(builder.fcmp_ordered("<", args[0], floor), floor, args[0])  # NaN stays
        rounded = builder.fadd(x, rounder)
        f = builder.fsub(x, builder.fsub(rounded, rounder))
        p = _constant(_POLYNOMIAL[-1])
        for coefficient in _POLYNOMIAL[-2::-1]:
            p = builder.fadd(builder.fmul(p, f), _constant(coefficient))
        exponent = builder.shl(builder.bitcast(rounded, _INTEGERS), ir.Constant(_INTEGERS, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(p, _INTEGERS), exponent), _VECTOR)

    return _lanes(_lanes), emit


@functools.cache
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """One pool per number of threads; keyed by process too, since threads do not survive a fork."""
    return ThreadPoolExecutor(workers, thread_name_prefix="scan")


def run_tasks(task: Callable[..., None], arguments: Sequence[tuple[int, ...]], threads: int) -> None:
    """Calls the task, which releases the GIL, with each of the arguments, on this thread and `threads - 1` others.

    The threads are Python's: numba's own layers either must not be called from two threads (workqueue) or bring a
    second OpenMP pool beside torch's.
    """
    queue: deque[tuple[int, ...]] = deque(arguments)

    def work() -> None:
        with contextlib.suppress(IndexError):  # deque.popleft is atomic
            while True:
                task(*queue.popleft())

    helpers = min(threads, len(arguments)) - 1
    futures = [_pool(os.getpid(), threads - 1).submit(work) for _ in range(helpers)]
    work()
    for future in futures:
        future.result()
