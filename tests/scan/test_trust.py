"""A backend is relied on where it was seen to agree with the reference: each way of being wrong is told."""

from types import SimpleNamespace

import pytest
import torch

from scgcnet.scan import numba_cpu, reference, trust


def test_backends_that_are_right() -> None:
    state = torch.get_rng_state()
    assert trust.fault(reference, "cpu") is None
    assert trust.fault(numba_cpu, "cpu") is None
    assert torch.equal(torch.get_rng_state(), state)


def wrong(part: str) -> SimpleNamespace:
    """The reference, with the result or one gradient a hundredth off, not finite, or not there."""

    def forward(*arguments):
        y, states = reference.forward(*arguments)
        if part == "raises":
            raise RuntimeError("no such instruction")
        return (1.01 * y if part == "y" else y * float("nan") if part == "nan" else y), states

    def backward(*arguments):
        gradients = list(reference.backward(*arguments))
        if part.startswith("d"):
            index = ["dx", "ddelta", "dA", "dB", "dC", "dskip"].index(part)
            gradients[index] = 1.01 * gradients[index]
        return tuple(gradients)

    return SimpleNamespace(forward=forward, backward=backward)


@pytest.mark.parametrize("part", ["y", "dx", "ddelta", "dA", "dB", "dC", "dskip"])
def test_a_hundredth_off_is_told(part: str) -> None:
    assert trust.fault(wrong(part), "cpu") == f"it disagrees with the reference on cpu by 0.01 of the largest {part}"


def test_nan_and_failures_are_told() -> None:
    assert trust.fault(wrong("nan"), "cpu") == "it disagrees with the reference on cpu by nan of the largest y"
    assert trust.fault(wrong("raises"), "cpu") == "it fails on cpu: RuntimeError: no such instruction"
