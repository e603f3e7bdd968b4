"""TIFF and PNG files of any type, number of bands and place, for any test that needs them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning


def write_raster(
    path: Path, pixels: np.ndarray, valid: np.ndarray | None = None, bands: tuple[str, ...] = (), **profile: Any
) -> Path:
    """Write pixels (H, W) or (H, W, C) by rasterio, with its options such as crs, transform, nodata, driver.

    Args:
        path: of the file.
        pixels: any type that rasterio knows.
        valid: bool (H, W), written as the file's mask band.
        bands: their colours, such as "blue".
        profile: further options.
    """
    stack = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    shape = {"count": len(stack), "height": stack.shape[1], "width": stack.shape[2], "dtype": stack.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(path, "w", **{"driver": "GTiff", **shape, **profile}) as file,
        ):
            if bands:
                file.colorinterp = [rasterio.enums.ColorInterp[band] for band in bands]
            file.write(stack)
            if valid is not None:
                file.write_mask(valid)
    return path
