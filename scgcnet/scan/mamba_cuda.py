"""The four-direction selective scan through mamba-ssm's CUDA kernel. Experimental: it has not run on a GPU here.

The kernel reads (B, channels, L) along one direction, so the map is rearranged into four sequences, which are scanned
as four groups of one call, and their outputs are put back in place. Gradients are mamba-ssm's and autograd's.
"""

import functools
import warnings

import torch
from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
from torch import Tensor

from scgcnet.scan.reference import K, positions


@functools.cache
def _warn_once() -> None:
    warnings.warn(
        "the scan runs in mamba-ssm's CUDA kernel, which is experimental here: compare with SCGCNET_SCAN=reference",
        stacklevel=4,
    )


def scan(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor) -> Tensor:
    """Scans a map, as `selective_scan_2d` describes, with the state and the sequences in float32."""
    _warn_once()
    batch, height, width, channels = x.shape
    where = positions(height, width, x.device)  # (K, L)
    k = torch.arange(K, device=x.device).unsqueeze(1)
    with torch.autocast(x.device.type, enabled=False):
        # Each (B, K, L, features) after indexing, (B, K, features, L) for the kernel.
        u = x.float().flatten(1, 2)[:, where].transpose(2, 3)
        delta, B, C = (v.float().flatten(1, 2)[:, where, k].transpose(2, 3).contiguous() for v in (delta, B, C))
        out: Tensor = selective_scan_fn(
            u.flatten(1, 2).contiguous(), delta.flatten(1, 2), A.float().flatten(0, 1), B, C, skip.float().flatten()
        )
        back = torch.argsort(where, dim=1)  # the step at which a direction reaches each position
        out = out.view(batch, K, channels, -1).transpose(2, 3)[:, k, back]  # (B, K, L, D), in the map's order
        return out.sum(1).view(x.shape).to(x.dtype)
