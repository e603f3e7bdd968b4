"""SCGC-Net for landslide segmentation: the network, its scan, and a reproducible study of the paper."""

__version__ = "0.1.0"
