"""Whether a backend computes the scan on a device: two small maps against the reference, before it is relied on.

The kernels for GPUs were written without one. A wrong result would train to a worse network and say nothing, so
`auto` takes them on a device only after they were seen to agree there.
"""

from types import ModuleType

import torch
from torch import Tensor

from scgcnet.scan import reference
from scgcnet.scan.reference import K

#: Largest difference from the reference, as a fraction of the largest value: mamba-ssm's tolerance in float32.
TOLERANCE = 2e-3
#: Batch, height, width, channels, state size: several chunks, no multiple of a warp; one state a channel, and many.
MAPS = ((2, 9, 50, 24, 1), (1, 13, 40, 40, 16))
_NAMES = ("x", "delta", "A", "B", "C", "skip")


def fault(backend: ModuleType, device: torch.device | str) -> str | None:
    """What is wrong with a backend on a device, in words; None where it agrees with the reference.

    Args:
        backend: A module with `forward` and `backward` as `reference` has them.
        device: One that both take.
    """
    for shape in MAPS:
        try:
            wrong = _difference(backend, torch.device(device), shape)
        except Exception as error:  # a compiler has many; each means that it cannot be used
            return f"it fails on {device}: {type(error).__name__}: {error}"
        if wrong:
            return f"it disagrees with the reference on {device} {wrong}"
    return None


def _difference(backend: ModuleType, device: torch.device, shape: tuple[int, ...]) -> str | None:
    batch, height, width, channels, size = shape
    generator = torch.Generator().manual_seed(0)  # of its own: the caller's random numbers stay as they are

    def normal(*sides: int) -> Tensor:
        return torch.randn(*sides, generator=generator).to(device)

    inputs = (
        normal(batch, height, width, channels),
        normal(batch, height, width, K, channels).abs(),
        -normal(K, channels, size).abs() - 0.0625,
        normal(batch, height, width, K, size),
        normal(batch, height, width, K, size),
        normal(K, channels),
    )
    dy = normal(batch, height, width, channels)
    found, wanted = (_run(module, inputs, dy) for module in (backend, reference))
    for name, one, other in zip(("y", *(f"d{name}" for name in _NAMES)), found, wanted, strict=True):
        distance = float((one.float() - other).abs().max() / other.abs().max())
        if not distance <= TOLERANCE:  # so that NaN counts
            return f"by {distance:.2g} of the largest {name}"
    return None


@torch.no_grad()
def _run(module: ModuleType, inputs: tuple[Tensor, ...], dy: Tensor) -> tuple[Tensor, ...]:
    y, states = module.forward(*inputs, True)
    return y, *module.backward(dy, *inputs, states)
