"""What validates: whole rasters, or of a single scene a block with a gap; and what should be known before training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from scgcnet.data import Subset
from scgcnet.data.overlap import shared_ground
from scgcnet.own.source import Picture, Piece, Pieces, Source, SourceError, Span, cut

NEAR = 0.1  # of a raster's extent: one nearer than that to another counts as the same ground
GAP = 0.05  # of the longer side of a single scene, between training and validation
DRAWS = 50  # random choices of rasters, of which the most typical is taken
CONSTANT = 1.0  # grey levels of 255; a band of a smaller standard deviation shows nothing


class Division(NamedTuple):
    """Pieces to train and to validate on, and how they were told apart."""

    train: list[Piece]
    val: list[Piece]
    note: str


class Survey(NamedTuple):
    """What a pass over all pixels found.

    Attributes:
        known: pixels with data of each piece.
        landslide: landslide pixels of each.
        landslides: connected patches of them, over all pieces.
        deviation: standard deviation of each band over all pixels with data, grey levels.
    """

    known: NDArray[np.int64]
    landslide: NDArray[np.int64]
    landslides: int
    deviation: NDArray[np.float64]

    @property
    def free(self) -> int:
        """Pieces with data and without a landslide."""
        return int(np.count_nonzero((self.known > 0) & (self.landslide == 0)))


class _Weight(NamedTuple):
    """Pixels of a candidate, and how many of them are landslide."""

    pixels: float
    landslide: float

    def differs(self, other: _Weight, share: float) -> float:
        """How far a part is from a share of the whole, in pixels and in landslides (logarithms of ratios)."""
        density = [(one.landslide + 1) / (one.pixels + 1) for one in (self, other)]
        return abs(math.log(self.pixels / (share * other.pixels))) + abs(math.log(density[0] / density[1]))


def divide(source: Source, share: float, seed: int, side: int) -> Division:
    """Holds back a share of the ground for validation, never windows that lie beside those of training.

    Rasters that overlap or nearly touch stay together. A single scene, or tiles of one, give a block at one end, and
    what touches it is left out.

    Args:
        source: what was found.
        share: of the pixels, between 0 and 1.
        seed: of the choice of rasters.
        side: largest side of a piece, pixels.

    Raises:
        SourceError: landslides cannot be in both parts.
    """
    pictures = source.pictures
    if len(pictures) == 1:
        ways = list(_blocks(pictures[0], share, side))
        note = f"validation is a block of {pictures[0].name}, apart from training by a gap"
    else:
        weights = [_weigh(picture) for picture in pictures]
        unit = _units(source)
        sizes = np.bincount(unit, [weight.pixels for weight in weights])
        if sizes.max() <= (1 - share) * sizes.sum():
            ways = list(_drawn(pictures, weights, unit, share, seed, side))
            note = f"validation is {{}} of {len(pictures)} rasters; those that overlap or touch stay together"
        else:
            ways = list(_ends(pictures, weights, share, side))
            note = (
                f"validation is {{}} of {len(pictures)} rasters, at one end of the ground; {{}} beside it are left out"
            )
    whole = _sum(weight for way in ways[:1] for weight in way[2])
    good = [way for way in ways if min(weight.landslide for weight in way[2]) > 0 or not whole.landslide]
    good = [way for way in good if min(weight.pixels for weight in way[2]) > 0]
    if not good:
        raise SourceError(
            f"{source.path} holds too few landslides, or too few rasters, to hold some back for validation: name other "
            "data with --val DIR."
        )
    train, val, _ = min(good, key=lambda way: way[2][1].differs(whole, share))
    count = [len({piece.picture for piece in part}) for part in (val, train)]
    return Division(train, val, note.format(count[0], len(pictures) - sum(count)))


Way = tuple[list[Piece], list[Piece], tuple[_Weight, _Weight]]  # training, validation, and what each weighs


def _sum(weights: Iterator[_Weight]) -> _Weight:
    pairs = list(weights)
    return _Weight(sum(pair.pixels for pair in pairs), sum(pair.landslide for pair in pairs))


def _weigh(picture: Picture) -> _Weight:
    truth, step = picture.coarse_truth()
    return _Weight(float(np.count_nonzero(truth != 255)) * step**2, float(np.count_nonzero(truth == 1)) * step**2)


def _units(source: Source) -> NDArray[np.int64]:
    """A number for each picture, the same for those of the same ground."""
    boxes = [picture.box for picture in source.pictures if picture.box is not None]
    if len(boxes) == len(source.pictures):
        west, south, east, north = np.array(boxes).T
        across, down = NEAR * (east - west), NEAR * (north - south)
        wide = shapely.box(west - across, south - down, east + across, north + down)
        first, second = shapely.STRtree(wide).query(wide, predicate="intersects")
    else:  # pixels tell
        whole = Pieces("own", [p for picture in source.pictures for p in cut(picture, max(picture.shape))],
                       source.bands, source.value_range())  # fmt: skip
        group = shared_ground(Subset(whole, list(range(len(whole)))))
        first = np.arange(len(group))
        second = np.array([group.index(label) for label in group])
    links = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(source.pictures),) * 2)
    return np.asarray(connected_components(links, directed=False)[1])


def _way(pictures: Sequence[Picture], weights: Sequence[_Weight], part: Sequence[str], side: int) -> Way:
    """Each picture goes to its part: train, val, or neither."""
    pieces: dict[str, list[Piece]] = {"train": [], "val": []}
    for picture, name in zip(pictures, part, strict=True):
        if name in pieces:
            pieces[name] += cut(picture, side)
    weigh = [_sum(w for w, name in zip(weights, part, strict=True) if name == wanted) for wanted in pieces]
    return pieces["train"], pieces["val"], (weigh[0], weigh[1])


def _drawn(
    pictures: Sequence[Picture],
    weights: Sequence[_Weight],
    unit: NDArray[np.int64],
    share: float,
    seed: int,
    side: int,
) -> Iterator[Way]:
    """Units drawn at random until they make up the share."""
    pixels = np.bincount(unit, [weight.pixels for weight in weights])
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        order = rng.permutation(len(pixels))
        before = np.cumsum(pixels[order]) - pixels[order]
        chosen = set(order[before < share * pixels.sum()])
        yield _way(pictures, weights, ["val" if number in chosen else "train" for number in unit], side)


def _ends(pictures: Sequence[Picture], weights: Sequence[_Weight], share: float, side: int) -> Iterator[Way]:
    """Tiles at the west, south, east or north end of their common ground; those that touch them are left out."""
    if any(picture.box is None for picture in pictures):
        return
    boxes = np.array([picture.box for picture in pictures])
    for axis, sign in ((0, 1), (1, 1), (2, -1), (3, -1)):
        edge = sign * boxes[:, axis]
        val = edge <= np.quantile(edge, share)
        far = sign * boxes[val, (axis + 2) % 4]  # where validation ends
        end = far.max() + NEAR * np.abs(boxes[:, axis] - boxes[:, (axis + 2) % 4]).mean()
        part = ["val" if inside else "train" if begin > end else "gap" for inside, begin in zip(val, edge, strict=True)]
        yield _way(pictures, weights, part, side)


def _blocks(picture: Picture, share: float, side: int) -> Iterator[Way]:
    """A block at each of the four ends of a scene."""
    truth, step = picture.coarse_truth()
    gap = math.ceil(GAP * max(picture.shape))
    for axis, first in ((0, True), (0, False), (1, True), (1, False)):
        length = picture.shape[axis]
        held = max(1, round(share * length))
        spans: tuple[Span, Span] = ((held + gap, length), (0, held))  # of training and validation
        if not first:
            spans = ((0, length - held - gap), (length - held, length))
        if min(end - begin for begin, end in spans) < 1:
            continue
        parts, weights = [], []
        for span in spans:
            where = {"rows": span} if axis == 0 else {"columns": span}
            parts.append(cut(picture, side, **where))
            part = np.moveaxis(truth, axis, 0)[span[0] // step : math.ceil(span[1] / step)]
            weights.append(_Weight(float(np.count_nonzero(part != 255)), float(np.count_nonzero(part == 1))))
        yield parts[0], parts[1], (weights[0], weights[1])


def survey(data: Pieces, progress: bool) -> tuple[Pieces, Survey]:
    """Reads every piece once; returns those with data, and what they show.

    Raises:
        SourceError: none has data.
        DatasetError, SceneError: a file is damaged, or a mask does not fit its image.
    """
    known, landslide, landslides = [], [], 0
    moments = np.zeros((2, data.channels))
    for sample in tqdm(data, desc="reading", unit="piece", disable=not progress, leave=False):
        inside = sample.image[sample.mask != 255].astype(np.float64)
        moments += inside.sum(axis=0), (inside**2).sum(axis=0)
        known.append(len(inside))
        landslide.append(int(np.count_nonzero(sample.mask == 1)))
        landslides += int(ndimage.label(sample.mask == 1, np.ones((3, 3)))[1])
    total = sum(known)
    if not total:
        raise SourceError(f"{data.pieces[0].picture.path.parent}: no raster has a pixel with data. Name other rasters.")
    mean, square = moments / total
    kept = [piece for piece, count in zip(data.pieces, known, strict=True) if count]
    left = [index for index, count in enumerate(known) if count]
    full = data if len(kept) == len(data) else Pieces(data.dataset, kept, data.channels, data.value_range)
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return full, Survey(np.array(known)[left], np.array(landslide)[left], landslides, deviation)


def common_ground(train: Pieces, val: Pieces) -> int:
    """How many validation pieces show ground that training pieces show too, where they were named apart."""
    pictures = [list(dict.fromkeys(piece.picture for piece in part.pieces)) for part in (train, val)]
    if all(picture.box for part in pictures for picture in part):
        seen, held = ([shapely.box(*p.box) for p in part if p.box is not None] for part in pictures)
        inner = shapely.buffer(held, -0.01 * np.sqrt(shapely.area(held)))  # rasters that only touch share none
        names = {pictures[1][index] for index in shapely.STRtree(seen).query(inner, predicate="intersects")[0]}
        return sum(piece.picture in names for piece in val.pieces)
    both = Pieces(train.dataset, [*train.pieces, *val.pieces], train.channels, train.value_range)
    group = shared_ground(Subset(both, list(range(len(both)))))
    return sum(label in set(group[: len(train)]) for label in group[len(train) :])
