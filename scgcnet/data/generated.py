"""Folders of generated images: they appear at once, and a marker file tells them from real data."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scgcnet.data.sample import MARKER, DatasetError
from scgcnet.files import WriteError


def write_folder(folder: Path, settings: dict[str, Any], fill: Callable[[Path], None]) -> None:
    """Write a data set of generated images, with a marker file, so that all of it appears at once.

    Args:
        folder: the data set's own, as the loader looks for it. What is there already is kept if it was written with
            the same settings.
        settings: what the content depends on, as the marker keeps it.
        fill: writes the content into a folder.

    Raises:
        DatasetError: the folder holds something else.
        WriteError: the folder cannot be written or the disk is full; nothing is left of it.
    """
    if folder.exists():
        _require_settings(folder, settings)
        return
    partial: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
        fill(partial)
        (partial / MARKER).write_text(json.dumps(settings) + "\n", encoding="utf-8")
        partial.chmod(0o755)  # mkdtemp makes it private
        try:
            partial.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            _require_settings(folder, settings)  # another process was first
    except OSError as error:
        raise WriteError(folder, error) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def _require_settings(folder: Path, settings: dict[str, Any]) -> None:
    marker = folder / MARKER
    if not marker.is_file():
        raise DatasetError(f"{folder} exists and is not synthetic; choose another folder for generated images.")
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{marker} is damaged ({error}); remove {folder}, and it is written anew.") from error
    if found != settings:
        raise DatasetError(f"{folder} was written with {found}, not {settings}; remove it or choose another folder.")


def write_pair(images: Path, masks: Path, name: str, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    """Write an image and its mask of 0 and 1, which become 0 and 255, as PNG into two folders."""
    Image.fromarray(image).save(images / f"{name}.png", compress_level=1)
    Image.fromarray(mask * np.uint8(255)).save(masks / f"{name}.png", compress_level=1)
