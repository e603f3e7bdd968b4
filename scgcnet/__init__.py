"""SCGC-Net for landslide segmentation: the network, its scan, and a reproducible study of the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scgcnet.zoo import create_model, load_pretrained

__version__ = "0.1.0"
__all__ = ["__version__", "create_model", "load_pretrained"]


def __getattr__(name: str) -> Any:
    """Imports torch only when a network is asked for."""
    if name in ("create_model", "load_pretrained"):
        from scgcnet import zoo

        return getattr(zoo, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
