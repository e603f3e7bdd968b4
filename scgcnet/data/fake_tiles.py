"""Synthetic data sets in the on-disk layouts of HR-GLDD and of Landslide4Sense, both as RGB pictures and as HDF5.

What is visible is drawn by the generator of `synthetic`; the other bands follow from it by simple rules, and only have
to be plausible. Loaders do not import this module: a change here decides no result on real images.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scgcnet.data import hrgldd, landslide4sense, landslide4sense_h5
from scgcnet.data.generated import write_folder, write_pair
from scgcnet.data.sample import PARTS, Part
from scgcnet.data.splits import random_split
from scgcnet.data.synthetic import DEFAULT_COUNT, generator_id, render

Parts = dict[Part, list[int]]  # the images of each part, by the index that they are drawn from


def write_fake_hrgldd(root: Path, n: int = DEFAULT_COUNT, seed: int = 0) -> Path:
    """Write n tiles below `root` in HR-GLDD's layout, about 5:3:2 in its parts, with a marker file.

    Returns:
        The data set's folder, `root/HR-GLDD`.

    Raises:
        DatasetError: fewer than 3 tiles are asked for, or the folder holds something else, such as the real data.
        WriteError: the folder cannot be written or the disk is full; nothing is left of it.
    """

    def fill(folder: Path, parts: Parts) -> None:
        for part, indices in parts.items():
            drawn = [render(seed, index, (hrgldd.SIZE, hrgldd.SIZE)) for index in indices]
            images = np.empty((len(drawn), hrgldd.SIZE, hrgldd.SIZE, hrgldd.BANDS), np.float32)
            visible = np.stack([image for image, _ in drawn]) / 255
            images[..., hrgldd.RGB] = visible * hrgldd.WHITE[0]  # so that the loader gives the drawn colours back
            images[..., 3] = _near_infrared(visible)
            np.save(folder / f"{part}X.npy", images)
            np.save(folder / f"{part}Y.npy", np.stack([mask for _, mask in drawn])[..., None].astype(np.float32))

    return _write(Path(root) / hrgldd.FOLDER, n, seed, fill)


def write_fake_landslide4sense(root: Path, n: int = DEFAULT_COUNT, seed: int = 0) -> Path:
    """Write n tiles below `root` in the layout of Landslide4Sense-RGB, about 5:3:2 in its parts, with a marker file.

    Returns:
        The data set's folder, `root/Landslide4Sense-RGB`; it raises as `write_fake_hrgldd` does.
    """

    def fill(folder: Path, parts: Parts) -> None:
        for part, indices in parts.items():
            images, masks = folder / part / "image", folder / part / "mask"
            images.mkdir(parents=True)
            masks.mkdir()
            for index in indices:
                write_pair(images, masks, f"image_{index}", *render(seed, index, (128, 128)))

    return _write(Path(root) / landslide4sense.FOLDER, n, seed, fill)


def write_fake_landslide4sense_h5(root: Path, n: int = DEFAULT_COUNT, seed: int = 0) -> Path:
    """Write n tiles below `root` in the layout of Landslide4Sense's HDF5 files, all in TrainData, with a marker file.

    Returns:
        The data set's folder, `root/Landslide4Sense`; it raises as `write_fake_hrgldd` does, and DatasetError where
        h5py is not installed.
    """
    h5py = landslide4sense_h5.require_h5py()

    def fill(folder: Path, parts: Parts) -> None:
        images, masks = (folder / landslide4sense_h5.FOLDERS["train"] / sub for sub in ("img", "mask"))
        images.mkdir(parents=True)
        masks.mkdir()
        for index in range(n):
            image, mask = render(seed, index, (landslide4sense_h5.SIZE, landslide4sense_h5.SIZE))
            with h5py.File(images / f"image_{index + 1}.h5", "w") as file:
                file["img"] = _sentinel(image / 255)
            with h5py.File(masks / f"mask_{index + 1}.h5", "w") as file:
                file["mask"] = mask

    return _write(Path(root) / landslide4sense_h5.FOLDER, n, seed, fill)


def _write(folder: Path, n: int, seed: int, fill: Callable[[Path, Parts], None]) -> Path:
    folder = folder.absolute()
    split = random_split([str(index) for index in range(n)], seed)
    parts = {part: [int(index) for index, chosen in split.items() if chosen == part] for part in PARTS}
    settings = {"generator": generator_id(), "n": n, "seed": seed}
    write_folder(folder, settings, lambda partial: fill(partial, parts))
    return folder


def _near_infrared(visible: NDArray[np.float64]) -> NDArray[np.float64]:
    """From colours (..., 3) of 0 to 1 to a band (...): bright where it is green, dark where it is bare."""
    return np.clip(0.5 + 2 * (visible[..., 1] - visible[..., 0]), 0.05, 1)


def _sentinel(visible: NDArray[np.float64]) -> NDArray[np.float64]:
    """From colours (H, W, 3) of 0 to 1 to 14 bands (H, W, 14) around 1, as Landslide4Sense has them."""
    red, green, blue = np.moveaxis(
        visible * landslide4sense_h5.WHITE[0], 2, 0
    )  # so that the loader gives the drawn colours back
    near_infrared = 2 * _near_infrared(visible)
    edge, shortwave, haze = (green + near_infrared) / 2, red + 0.5, np.ones_like(red)
    height = np.linspace(0.5, 1.5, len(red))[:, None] + 0 * red
    bands = [blue, blue, green, red, edge, near_infrared, near_infrared, near_infrared, haze, haze]
    return np.stack([*bands, shortwave, shortwave, haze, height], axis=-1)
