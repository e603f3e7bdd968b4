"""Landslide probabilities of a whole scene, window by window, in a stream that can be stopped at any time.

Each window's probabilities are written to a file of their own. After each row of windows, the rows that no later window
contributes to are blended and appended to one file, and windows no longer needed are removed. So memory is bounded by a
row of windows, and a killed process resumes at the first window without a file. Threads predict different windows, each
by itself, so the result is the same to the last bit on the same processor whatever their number.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm

from scgcnet import files
from scgcnet.data.transforms import normalise
from scgcnet.scene.source import Mask, Scene, with_margin
from scgcnet.scene.windows import Grid

JOINED = "joined.f16"
ROWS = "rows"  # number of rows that are done

LEAST_STAMP = 48  # pixels, of the shorter side at a scale
AHEAD = 2  # windows that are read while each thread predicts one

Prob = NDArray[np.float32]
Engine = Callable[[NDArray[np.uint8]], Prob]  # probability of landslide (h, w) of an image (h, w, C), from any thread
Predict = Callable[[NDArray[np.uint8]], Prob]  # likewise (layers, h, w), see `combined`
Windows = dict[tuple[int, int], Prob]  # probabilities (h, w) by row and column in the grid
Read = Callable[[tuple[int, int], tuple[int, int]], tuple[NDArray[np.uint8], bool]]


def folded(network: nn.Module) -> nn.Module:
    """A copy without the batch normalisations that directly follow a convolution in an `nn.Sequential`.

    In evaluation mode each is a scale and shift per channel, which the convolution's weights can hold: the same logits
    up to rounding, and windows from 512 px on gain a tenth of their time on a CPU.
    """
    network = deepcopy(network)
    for module in network.modules():
        # A subclass may call its parts in another order.
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            for (name, convolution), (after, norm) in pairwise(list(module.named_children())):
                if type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
                    setattr(module, name, fuse_conv_bn_eval(convolution, norm))
                    setattr(module, after, nn.Identity())
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def landslide_probability(
    network: Callable[[Tensor], Tensor], image: NDArray[np.uint8], temperature: float = 1.0
) -> Prob:
    """Probability of landslide, float32 (h, w), of a uint8 image (h, w, C).

    The network gives logits (1, 2, h, w), in evaluation mode; they are divided by the temperature.
    """
    pixels = normalise(np.ascontiguousarray(np.moveaxis(image, 2, 0), dtype=np.float32))
    with torch.inference_mode():
        other, landslide = network(torch.from_numpy(pixels)[None])[0].float()
        found: Prob = torch.sigmoid((landslide - other) / temperature).numpy()  # the softmax of two
    return found


def torch_engine(network: Callable[[Tensor], Tensor], temperature: float = 1.0) -> Engine:
    """A network as a map asks it."""
    return lambda image: landslide_probability(network, image, temperature)


def combined(engines: Sequence[Engine], views: int = 1) -> Predict:
    """Mean probability over engines and views of an image, (1, h, w); of several with their deviation, (2, h, w).

    Nadir images have no up. Of 8 views four are quarter turns and four their mirror images; the 4 are without the
    quarter turns between, the 2 without any turn.
    """
    ways = [(turns, mirrored) for turns in ((0, 2) if views == 4 else (0, 1, 2, 3)) for mirrored in (False, True)]

    def predict(image: NDArray[np.uint8]) -> Prob:
        found = []
        for engine in engines:
            for turns, mirrored in ways[:views]:
                seen = np.rot90(image, turns)
                part = engine(seen[:, ::-1] if mirrored else seen)
                found.append(np.rot90(part[:, ::-1] if mirrored else part, -turns))
        if len(found) == 1:
            return found[0][None]
        return np.stack([np.mean(found, axis=0), np.std(found, axis=0)])

    return predict


def predict_windows(network: nn.Module, image: NDArray[np.uint8], grid: Grid, temperature: float = 1.0) -> Windows:
    """The windows of a grid, each by itself."""
    found = {}
    for row, column in product(range(len(grid.rows.starts)), range(len(grid.columns.starts))):
        part = image[slice(*grid.rows.span(row)), slice(*grid.columns.span(column))]
        found[row, column] = grid.unpadded(landslide_probability(network, grid.padded(part), temperature)).copy()
    return found


def blend(found: Windows, grid: Grid) -> Prob:
    """The windows joined by their weights, (H, W)."""
    joined = np.zeros((grid.rows.length, grid.columns.length), np.float32)
    for (row, column), part in found.items():
        weights = grid.rows.weights(row)[:, None] * grid.columns.weights(column)
        joined[slice(*grid.rows.span(row)), slice(*grid.columns.span(column))] += part * weights
    return joined


def grids_of(shape: tuple[int, int], scales: Sequence[float], window: int, overlap: float) -> dict[float, Grid]:
    """The working grid of an image at each scale but those at which it would be a stamp; the finest is always there."""
    usable = [scale for scale in scales if scale == max(scales) or scale * min(shape) >= LEAST_STAMP]
    sizes = {scale: (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))) for scale in usable}
    return {scale: Grid.of(size, window, overlap) for scale, size in sizes.items()}


def predict_image(
    network: nn.Module,
    image: NDArray[np.uint8],
    window: int,
    overlap: float,
    scales: Sequence[float] = (1.0,),
    temperature: float = 1.0,
) -> Prob:
    """Probability of landslide of an image in memory as a map of it has it, float32 (H, W).

    Args:
        network: gives logits (1, 2, h, w), in evaluation mode.
        image: uint8 (H, W, C).
        window: side, pixels of the working grid.
        overlap: share of the side that neighbours have in common.
        scales: pixels of each working grid per pixel of the image; the mean over the grids is taken.
        temperature: by which logits are divided.
    """
    found = []
    for grid in grids_of(image.shape[:2], scales, window, overlap).values():
        shape = (grid.rows.length, grid.columns.length)
        part = blend(predict_windows(network, _resized(image, shape), grid, temperature), grid)
        found.append(_resized(part[..., None], image.shape[:2])[..., 0])
    mean: Prob = np.mean(found, axis=0)
    return mean


def _resized(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Each band of an image (h, w, C), bilinear."""
    if image.shape[:2] == shape:
        return image
    bands = [Image.fromarray(np.ascontiguousarray(band)) for band in np.moveaxis(image, 2, 0)]
    return np.stack([np.asarray(band.resize(shape[::-1], Image.Resampling.BILINEAR)) for band in bands], axis=2)


class Stream:
    """What a map predicts on its working grid, in a folder that may hold what an earlier process has done.

    Args:
        folder: is made if it is missing.
        grid: the windows.
        layers: that are predicted, see `combined`.
    """

    def __init__(self, folder: Path, grid: Grid, layers: int = 1) -> None:
        self.folder, self.grid, self.layers = folder, grid, layers
        folder.mkdir(exist_ok=True)
        self.width = grid.columns.length

    @property
    def rows_done(self) -> int:
        """Rows of the working grid that are blended."""
        note = self.folder / ROWS
        return int(note.read_text()) if note.exists() else 0

    def run(self, predict: Predict, read: Read, progress: bool, threads: int = 1) -> None:
        """Predicts the windows that are missing, with a bar of progress if wanted.

        `read` gives the image of a window by its rows and columns, and whether any of its pixels is valid; it is called
        from this thread, ahead of those that predict.

        Raises:
            WriteError: the disk is full, or the folder cannot be written; everything done so far is kept.
        """
        across, done = len(self.grid.columns.starts), self.rows_done
        first = sum(final <= done for final in self.grid.rows.final)
        waiting: deque[tuple[int, int, Future[None] | None]] = deque()
        pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        with tqdm(total=len(self.grid), unit="window", smoothing=0.05, disable=not progress) as bar:

            def finish(most: int) -> None:
                """Waits until at most so many windows are not done, and blends the rows that are."""
                while len(waiting) > most:
                    row, column, future = waiting.popleft()
                    if future is not None:
                        future.result()
                    bar.update()
                    if column == across - 1:
                        self._join(row)

            bar.update(first * across)
            try:
                for row, column in product(range(first, len(self.grid.rows.starts)), range(across)):
                    future = None
                    if not (path := self._path(row, column)).is_file():
                        image, known = read(self.grid.rows.span(row), self.grid.columns.span(column))
                        future = pool.submit(self._predict, path, predict, image, known)
                    waiting.append((row, column, future))
                    finish(threads * AHEAD)
                finish(0)
            finally:
                pool.shutdown(cancel_futures=True)

    def _path(self, row: int, column: int) -> Path:
        return self.folder / f"window-{row}-{column}.npy"

    def _predict(self, path: Path, predict: Predict, image: NDArray[np.uint8], known: bool) -> None:
        if known:
            found = self.grid.unpadded(predict(self.grid.padded(image)))
        else:
            found = np.zeros((self.layers, *image.shape[:2]), np.float32)
        with files.atomic(path) as temporary, temporary.open("wb") as file:
            np.save(file, found)

    def _join(self, row: int) -> None:
        """Appends the rows that are final once this row of windows is done."""
        begin, end = self.rows_done, self.grid.rows.final[row]
        joined = np.zeros((end - begin, self.layers, self.width), np.float32)
        needed = [above for above in range(row + 1) if self.grid.rows.span(above)[1] > begin]
        for above in needed:
            top, bottom = self.grid.rows.span(above)
            first, last = max(begin, top), min(end, bottom)
            inside = slice(first - top, last - top)
            down = self.grid.rows.weights(above)[inside, None]
            for column in range(len(self.grid.columns.starts)):
                found = np.load(self._path(above, column), mmap_mode="r")[:, inside]
                part = joined[first - begin : last - begin, :, slice(*self.grid.columns.span(column))]
                part += (found * (down * self.grid.columns.weights(column))).swapaxes(0, 1)
        target = self.folder / JOINED
        try:
            with target.open("r+b" if target.exists() else "w+b") as file:
                file.seek(
                    2 * begin * self.layers * self.width
                )  # a kill may have left rows that are not counted as done
                file.write(np.minimum(joined, 1).astype(np.float16).tobytes())
                file.flush()
                os.fsync(file.fileno())  # before they are counted as done, and before their windows are removed
        except OSError as error:
            raise files.WriteError(target, error) from error
        files.write_text(self.folder / ROWS, str(end))
        for above in needed:
            if self.grid.rows.span(above)[1] <= end:
                for column in range(len(self.grid.columns.starts)):
                    self._path(above, column).unlink(missing_ok=True)

    def rows(self, begin: int, end: int) -> NDArray[np.float32]:
        """What is blended of the rows from begin to end (excluded), float32 (layers, end - begin, width)."""
        size = self.layers * self.width
        with (self.folder / JOINED).open("rb") as file:
            file.seek(2 * begin * size)
            values = np.fromfile(file, np.float16, (end - begin) * size)
        return values.reshape(-1, self.layers, self.width).swapaxes(0, 1).astype(np.float32)

    def on_scene(self, scene: Scene, top: int, bottom: int) -> tuple[NDArray[np.float32], Mask]:
        """What is predicted on the scene's own grid, float32 (layers, bottom - top, W), and the valid pixels, bool."""
        height, width = scene.shape
        if (self.grid.rows.length, self.width) == scene.shape:
            return self.rows(top, bottom), scene.valid(top, bottom)
        factor = self.grid.rows.length / height
        begin, end, (upper, lower) = with_margin((top, bottom), factor, self.grid.rows.length)
        size, box = (width, bottom - top), (0, upper, self.width, lower)
        layers = [Image.fromarray(np.ascontiguousarray(layer)) for layer in self.rows(begin, end)]
        found = np.stack([np.asarray(layer.resize(size, Image.Resampling.BILINEAR, box=box)) for layer in layers])
        return found, scene.valid(top, bottom)


def on_scene(streams: Sequence[Stream], scene: Scene, top: int, bottom: int) -> tuple[NDArray[np.float32], Mask]:
    """`Stream.on_scene`, the mean over several."""
    found = [stream.on_scene(scene, top, bottom) for stream in streams]
    mean: NDArray[np.float32] = np.mean([part for part, _ in found], axis=0)
    return mean, found[0][1]
