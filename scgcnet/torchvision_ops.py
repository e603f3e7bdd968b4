"""Lets torchvision be imported beside a torch without CUDA; import this before torchvision, or what imports it.

The torchvision of the public index is built for CUDA. Beside a CPU build of torch its compiled operators cannot be
loaded; it describes two of them to torch's tracer all the same, and dies with `operator torchvision::nms does not
exist`. timm, segmentation-models-pytorch, torchmetrics and lightning import it and die with it. Nothing in this
study calls these operators (they serve object detection), so it is enough that their names are known.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch


def _compiled_part() -> Path | None:
    """The library with torchvision's operators; None without torchvision. torchvision itself is not imported."""
    found = find_spec("torchvision")
    folders = found.submodule_search_locations if found else None
    return next((path for folder in folders or () for path in sorted(Path(folder).glob("_C.*"))), None)


def declare() -> torch.library.Library | None:
    """Declares the operators that torchvision describes, where it cannot bring them itself.

    Returns:
        The declarations, to be kept: they end with the object. None where nothing has to be done: torch has CUDA or
        ROCm, torchvision is not installed, or its operators can be loaded.
    """
    library = None if torch.version.cuda or torch.version.hip else _compiled_part()
    if library is None:
        return None
    try:
        torch.ops.load_library(str(library))
    except OSError:
        declared = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return declared
    return None


DECLARED = declare()
