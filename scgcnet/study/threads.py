"""How many threads a training takes: one, unless somebody asks for more.

The networks of this study are small. With a thread on each core theirs wait for one another, and beside any other load
a training takes several times as long as with one; as many trainings as cores, of one thread each, are done soonest.
"""

from __future__ import annotations

import os

VARIABLE = "OMP_NUM_THREADS"  # what OpenMP, Snakemake and torchrun go by; whoever sets it has decided


def limit_threads() -> None:
    """Compute with one thread from now on, unless the environment says how many or there is a graphics card."""
    import torch

    if not os.environ.get(VARIABLE) and not torch.cuda.is_available():
        torch.set_num_threads(1)
