"""Synthetic landslide images, and the folders they are written into.

Each image shows hill-shaded, vegetated terrain with one landslide near the middle, as in Bijie, and sometimes a small
second one: a tongue that follows the slope. Its share of the image is drawn from a log-normal law fitted by eye to
Bijie's (median 0.08, mean 0.10). Roads, rivers, fields of the same bare soil, roofs and shadows resemble it. Nothing
measured on these images says anything about the paper.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy  # its modules load on first use
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from scgcnet.data.sample import MARKER, DatasetError
from scgcnet.files import WriteError

VERSION = 1  # of the images; raise it with every change of `render` that moves a pixel
DEFAULT_COUNT = 60  # 30 to train, 18 to validate, 12 to test

# Colours are fractions of full scale (red, green, blue), before shading.
SOILS = np.array([[0.70, 0.47, 0.27], [0.66, 0.55, 0.38], [0.60, 0.55, 0.48], [0.72, 0.66, 0.54], [0.55, 0.36, 0.24]])
FORESTS = np.array([[0.16, 0.29, 0.15], [0.20, 0.33, 0.22], [0.25, 0.35, 0.20], [0.19, 0.27, 0.21]])
GRASSES = np.array([[0.34, 0.42, 0.24], [0.40, 0.42, 0.28], [0.30, 0.40, 0.30]])
ROADS = np.array([[0.78, 0.76, 0.70], [0.50, 0.50, 0.50], [0.70, 0.60, 0.45]])
ROOFS = np.array([[0.80, 0.80, 0.80], [0.55, 0.30, 0.25], [0.40, 0.50, 0.65], [0.45, 0.45, 0.47]])
WATERS = np.array([[0.30, 0.38, 0.34], [0.45, 0.42, 0.33]])

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rng = np.random.Generator


def render(seed: int, index: int, shape: tuple[int, int] | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw image `index` of the data set with this seed: uint8 (H, W, 3), and its mask, uint8 (H, W), 0 or 1.

    `shape` is height and width, from 64 px; drawn from 64 to 200 px where not given.
    """
    rng = np.random.default_rng([seed, index])
    size, stretch = math.exp(rng.uniform(math.log(78), math.log(164))), math.exp(rng.uniform(-0.2, 0.2))
    height, width = shape or (round(size * stretch), round(size / stretch))
    land = _terrain((height, width), rng)
    colour = _vegetation(land, rng)
    if rng.random() < 0.3:
        _paint_river(colour, land, rng)
    if rng.random() < 0.7:
        for _ in range(rng.integers(1, 5)):
            _paint_field(colour, rng)
    if rng.random() < 0.65:
        _paint_road(colour, rng)
    mask = np.zeros(land.shade.shape, dtype=bool)
    share = float(np.clip(math.exp(rng.normal(math.log(0.075), 0.75)), 0.008, 0.45))
    _paint_landslide(colour, mask, land, share, rng)
    if rng.random() < 0.25:
        _paint_landslide(colour, mask, land, float(rng.uniform(0.003, 0.012)), rng)
    if rng.random() < 0.4:
        _paint_roofs(colour, mask, rng)
    return _expose(colour, land, rng), mask.astype(np.uint8)


class _Land(NamedTuple):
    height: Array  # elevation, any unit
    shade: Array  # how brightly the sun lights each pixel, about 1


def _noise(shape: tuple[int, int], exponent: float, rng: Rng) -> Array:
    """Return fractal noise of mean 0 and deviation 1 whose power falls as frequency ** -exponent."""
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * frequency ** (-exponent / 2), s=shape)
    return np.asarray(field / field.std())


def _terrain(shape: tuple[int, int], rng: Rng) -> _Land:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    direction = rng.uniform(0, 2 * math.pi)
    size = math.sqrt(shape[0] * shape[1])
    tilt = (np.cos(direction) * rows + np.sin(direction) * columns) / size * rng.uniform(1.5, 4)
    height = tilt + scipy.ndimage.gaussian_filter(_noise(shape, 3.2, rng), 2)
    sun = rng.uniform(0, 2 * math.pi)
    slope_y, slope_x = np.gradient(height * size / 4)
    relief = (math.cos(sun) * slope_y + math.sin(sun) * slope_x) / np.sqrt(1 + slope_y**2 + slope_x**2)
    return _Land(height, np.clip(1 + rng.uniform(0.15, 0.45) * relief, 0.45, 1.5))


def _vegetation(land: _Land, rng: Rng) -> Array:
    shape = land.shade.shape
    forest, grass = rng.choice(FORESTS), rng.choice(GRASSES)
    cover = scipy.ndimage.gaussian_filter(_noise(shape, 2.5, rng), 1.5) + rng.normal(0.6, 0.8)
    trees = 1 / (1 + np.exp(-cover * 6))[..., None]
    crown = rng.uniform(0.7, 1.6)
    crowns = scipy.ndimage.gaussian_filter(rng.standard_normal(shape), crown) - scipy.ndimage.gaussian_filter(
        rng.standard_normal(shape), 2.5 * crown
    )
    crowns *= 0.22 / crowns.std()
    meadow = 0.07 * _noise(shape, 1.0, rng)
    colour = trees * forest * (1 + crowns)[..., None] + (1 - trees) * grass * (1 + meadow)[..., None]
    return np.asarray(colour * (1 + 0.08 * _noise(shape, 2.5, rng))[..., None])


def _blend(colour: Array, paint: Array, alpha: Array) -> None:
    """Lay `paint` (3 or H, W, 3) over the picture in place with opacity alpha (H, W)."""
    colour += alpha[..., None] * (paint - colour)


def _stroke(shape: tuple[int, int], points: Array, width: float) -> Array:
    """Return the opacity (H, W), 0 to 1, of a line through points (n, 2) of (x, y); 4 x 4 samples a pixel."""
    canvas = Image.new("L", (shape[1] * 4, shape[0] * 4))
    line = [(float(x) * 4, float(y) * 4) for x, y in points]
    ImageDraw.Draw(canvas).line(line, fill=255, width=max(1, round(width * 4)), joint="curve")
    return np.asarray(canvas.resize((shape[1], shape[0]), Image.Resampling.BOX)) / 255.0


def _axes(angle: float) -> tuple[Array, Array]:
    """Unit vectors (x, y) along an angle and across it."""
    return np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])


def _bend(shape: tuple[int, int], rng: Rng, bends: float) -> Array:
    """Return a smooth curve (n, 2) of (x, y) that crosses the picture."""
    height, width = shape
    centre = np.array([width, height]) * rng.uniform(0.15, 0.85, 2)
    angle = rng.uniform(0, math.pi)
    along, across = _axes(angle)
    t = np.linspace(-1.5, 1.5, 80)
    swing = np.zeros_like(t)
    for k in (1, 2, 3):
        swing += rng.normal(0, bends / k) * np.sin(k * 2 * t + rng.uniform(0, 2 * math.pi))
    size = math.sqrt(height * width)
    return np.asarray(centre + size * (t[:, None] * along + (0.1 * swing)[:, None] * across))


def _paint_road(colour: Array, rng: Rng) -> None:
    shape = (colour.shape[0], colour.shape[1])
    curve = _bend(shape, rng, bends=0.8)
    width = rng.uniform(0.015, 0.05) * math.sqrt(shape[0] * shape[1])
    _blend(colour, rng.choice(SOILS) * 0.85, 0.5 * _stroke(shape, curve, width * 1.7))
    _blend(colour, rng.choice(ROADS) * rng.uniform(0.8, 1.1), _stroke(shape, curve, width))
    if width > 4:  # a marked carriageway
        _blend(colour, np.array([0.35, 0.35, 0.36]), 0.7 * _stroke(shape, curve, width * 0.75))


def _paint_river(colour: Array, land: _Land, rng: Rng) -> None:
    shape = (colour.shape[0], colour.shape[1])
    curve = _bend(shape, rng, bends=1.5)
    width = rng.uniform(0.04, 0.1) * math.sqrt(shape[0] * shape[1])
    bank = scipy.ndimage.gaussian_filter(_stroke(shape, curve, width * 1.8), 1.0)
    gravel = SOILS[2] * (1 + 0.12 * _noise(shape, 0.8, rng))[..., None]
    _blend(colour, gravel, bank / (1 + np.exp(-4 * (_noise(shape, 2.0, rng) + 0.3))))
    _blend(colour, rng.choice(WATERS), scipy.ndimage.gaussian_filter(_stroke(shape, curve, width), 0.7))


def _paint_field(colour: Array, rng: Rng) -> None:
    """A ploughed plot: the soil of landslides, but straight edges and furrows that ignore the slope."""
    height, width = colour.shape[:2]
    size = math.sqrt(height * width)
    cx, cy = rng.uniform(0, width), rng.uniform(0, height)
    angle = rng.uniform(0, math.pi)
    half_long, half_short = rng.uniform(0.06, 0.2) * size, rng.uniform(0.04, 0.12) * size
    along, across = _axes(angle)
    corners = [
        np.array([cx, cy])
        + a * half_long * along * rng.uniform(0.8, 1.2)
        + b * half_short * across * rng.uniform(0.8, 1.2)
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    canvas = Image.new("L", (width * 4, height * 4))
    ImageDraw.Draw(canvas).polygon([(float(x) * 4, float(y) * 4) for x, y in corners], fill=255)
    alpha = np.asarray(canvas.resize((width, height), Image.Resampling.BOX)) / 255.0
    rows, columns = np.mgrid[:height, :width]
    furrows = np.sin((columns * across[0] + rows * across[1]) * 2 * math.pi / rng.uniform(3, 6))
    paint = rng.choice(np.concatenate([SOILS, GRASSES[:1]])) * rng.uniform(0.75, 1.05)
    _blend(colour, paint * (1 + rng.uniform(0.03, 0.12) * furrows)[..., None], alpha * rng.uniform(0.75, 1.0))


def _paint_roofs(colour: Array, mask: Mask, rng: Rng) -> None:
    """A few houses with cast shadows, beside the landslide rather than on it."""
    size = np.array(mask.shape[::-1])
    village = rng.uniform(0.1, 0.9, 2) * size
    angle = rng.uniform(0, math.pi)
    for _ in range(rng.integers(2, 7)):
        centre = village + rng.normal(0, 0.1, 2) * size
        length, depth = rng.uniform(4, 10), rng.uniform(3, 6)
        along = np.array([math.cos(angle), math.sin(angle)]) * length / 2
        roof = _stroke(mask.shape, np.array([centre - along, centre + along]), depth)
        if (roof > 0.5)[mask].any():
            continue
        _blend(colour, np.array([0.08, 0.09, 0.1]), 0.7 * scipy.ndimage.shift(roof, (2, 2), order=1))
        _blend(colour, rng.choice(ROOFS) * rng.uniform(0.8, 1.15), roof)


def _fall_line(land: _Land, length: float, rng: Rng) -> Array:
    """Return a landslide's way, head to toe, through a point near the middle: (n, 2) rows and columns."""
    size = np.array(land.height.shape)
    slope = np.array(np.gradient(scipy.ndimage.gaussian_filter(land.height, max(3.0, size.mean() / 10))))
    start = size * (0.5 + rng.uniform(-0.2, 0.2, 2))
    halves = []
    for uphill in (1.0, -1.0):
        point, heading = start.copy(), np.zeros(2)
        walk = [point.copy()]
        for _ in range(max(2, round(length / 2))):
            row, column = np.clip(point, 0, size - 1).astype(int)
            pull = uphill * slope[:, row, column]
            heading = 0.85 * heading + 0.15 * pull / (np.hypot(*pull) + 1e-9) + rng.normal(0, 0.02, 2)
            point = point + heading / (np.hypot(*heading) + 1e-9)
            walk.append(point.copy())
        halves.append(np.array(walk))
    return np.concatenate([halves[0][::-1], halves[1][1:]])


def _paint_landslide(colour: Array, mask: Mask, land: _Land, share: float, rng: Rng) -> None:
    """Paint one scar that covers about `share` of the picture and add it to the mask."""
    shape = (mask.shape[0], mask.shape[1])
    area = share * mask.size
    aspect = rng.uniform(1.1, 4.0)
    length = math.sqrt(area * aspect * 1.2)
    line = _fall_line(land, length, rng)
    t = np.linspace(0, 1, len(line))
    profile = (
        1
        + rng.uniform(-0.5, 0.5) * (2 * t - 1)
        + 0.25 * np.sin(2 * math.pi * (t * rng.uniform(0.5, 1.5) + rng.random()))
    )
    half = length / aspect / 2 * np.clip(profile, 0.4, None)

    pixels = np.moveaxis(np.indices(shape), 0, -1)  # (H, W, 2)
    steps = line[:: max(1, len(line) // 40)]
    widths = half[:: max(1, len(line) // 40)]
    away = pixels[:, :, None] - steps  # (H, W, n, 2)
    ratio = np.hypot(away[..., 0], away[..., 1]) / widths
    nearest = ratio.argmin(axis=2)
    reach = ratio.min(axis=2) * np.exp(0.22 * scipy.ndimage.gaussian_filter(_noise(shape, 2.6, rng), 1.0))
    scar = scipy.ndimage.gaussian_filter((reach <= np.quantile(reach, share)).astype(float), 1.5) > 0.5
    labels, count = scipy.ndimage.label(scar)
    if count == 0:  # too small to survive smoothing
        scar = reach <= np.quantile(reach, share)
    elif count > 1:
        scar = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    scar = np.asarray(scipy.ndimage.binary_fill_holes(scar))

    # Streaks run along the path: noise over (step along the path, side offset), smoothed far more along than
    # across.
    along = nearest * (len(line) / len(steps))
    heading = np.gradient(steps, axis=0)[nearest]
    heading /= np.hypot(heading[..., 0], heading[..., 1])[..., None] + 1e-9
    offset = away[np.arange(shape[0])[:, None], np.arange(shape[1]), nearest]
    side = offset[..., 0] * heading[..., 1] - offset[..., 1] * heading[..., 0]
    sheet = scipy.ndimage.gaussian_filter(rng.standard_normal((128, 128)), (8, 0.8), mode="wrap")
    sheet /= sheet.std()
    streaks = scipy.ndimage.map_coordinates(sheet, [along, side], order=1, mode="grid-wrap")

    soil = rng.choice(SOILS) * rng.uniform(0.75, 1.1)
    second = rng.choice(SOILS) * rng.uniform(0.75, 1.1)
    mixture = 1 / (1 + np.exp(-2 * scipy.ndimage.gaussian_filter(_noise(shape, 2.0, rng), 1)))[..., None]
    relief = 1 + 0.10 * streaks + 0.08 * _noise(shape, 1.0, rng)
    depth = scipy.ndimage.distance_transform_edt(scar)
    down = nearest / max(1, len(steps) - 1)
    relief *= 1 - 0.35 * np.exp(-depth / 2.0) * (down < 0.25)  # the shadow below the head scarp
    paint = (mixture * soil + (1 - mixture) * second) * relief[..., None]

    old = rng.random() < 0.25
    growth = scipy.ndimage.gaussian_filter(_noise(shape, 1.6, rng), 0.7) + (0.3 if old else -1.0)
    green = (0.75 if old else 0.6) / (1 + np.exp(-4 * (growth - 0.25 * np.minimum(depth, 6) / 3)))
    opacity = np.clip(scipy.ndimage.gaussian_filter(scar.astype(float), 0.8), 0, 1) * (1 - green)
    _blend(colour, paint, opacity * (0.8 if old else 1.0))
    mask |= scar


def _expose(colour: Array, land: _Land, rng: Rng) -> NDArray[np.uint8]:
    """Light, cast shadows, haze, sensor blur and noise; then 8 bits."""
    shape = land.shade.shape
    light = land.shade.copy()
    if rng.random() < 0.4:
        dark = scipy.ndimage.gaussian_filter(_noise((shape[0], shape[1]), 3.0, rng), 1) - 3 * (
            land.shade - land.shade.mean()
        )
        light *= 1 - 0.45 / (1 + np.exp(-8 * (dark - 1.6)))
    image = colour * light[..., None]
    haze = rng.uniform(0, 0.35) * (rng.random() < 0.6)
    image = (1 - haze) * image + haze * np.array([0.48, 0.52, 0.54])
    image = image * rng.uniform(0.8, 1.15) * rng.normal(1, 0.04, 3)
    image = scipy.ndimage.gaussian_filter(image, (*(rng.uniform(0.3, 0.8),) * 2, 0))
    image += rng.normal(0, 0.012, image.shape)
    return np.asarray(np.clip(255 * image + 0.5, 0, 255), dtype=np.uint8)


def near_infrared(visible: Array) -> Array:
    """Turn colours (..., 3) of 0 to 1 into a plausible band (...): bright where it is green, dark where it is bare."""
    return np.clip(0.5 + 2 * (visible[..., 1] - visible[..., 0]), 0.05, 1)


def write_folder(folder: Path, settings: dict[str, Any], fill: Callable[[Path], None]) -> None:
    """Write a synthetic data set with a marker file of its settings; all of it appears at once, also with two writers.

    A folder that was written with the same settings is kept. `fill` writes the content into an empty folder.

    Raises:
        DatasetError: the folder holds something else.
        WriteError: the folder cannot be written or the disk is full; nothing is left of it.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        _require_settings(folder, settings)
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent, ignore_cleanup_errors=True) as place:
            partial = Path(place)
            fill(partial)
            (partial / MARKER).write_text(json.dumps(settings) + "\n", encoding="utf-8")
            partial.chmod(0o755)  # it was made private
            try:
                partial.rename(folder)  # over an empty folder too
            except OSError:
                if not folder.exists():
                    raise
                _require_settings(folder, settings)  # another process was first
    except OSError as error:
        raise WriteError(folder, error) from error


def _require_settings(folder: Path, settings: dict[str, Any]) -> None:
    marker = folder / MARKER
    if not marker.is_file():
        raise DatasetError(f"{folder} exists and is not synthetic; choose another folder for synthetic images.")
    if (found := marker.read_text(encoding="utf-8").strip()) != json.dumps(settings):
        raise DatasetError(f"{folder} was written with {found}, not {settings}; remove it or choose another folder.")


def write_pair(images: Path, masks: Path | None, name: str, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    """Write an image, and its mask of 0 and 1 as one of 0 and 255, as PNG into two folders, which are made."""
    for folder, pixels in ((images, image), (masks, mask * np.uint8(255))):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{name}.png", compress_level=1)
