"""Training and scoring on data of your own: a folder of images and masks, or rasters with outlines of landslides."""

from scgcnet.own.source import SourceError

__all__ = ["SourceError"]
