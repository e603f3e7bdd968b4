"""The network of the paper, one file per part."""

from scgcnet.model.config import ABLATIONS, CHOICES, DILATIONS, PRESETS, SCGCNetConfig
from scgcnet.model.network import SCGCNet

__all__ = ["ABLATIONS", "CHOICES", "DILATIONS", "PRESETS", "SCGCNet", "SCGCNetConfig"]
