"""A network trained on own data: `scgcnet train`.

While it works, everything lies in a hidden folder within the output folder: the recipe first, then a checkpoint for
each epoch. The finished files are put in place at the end, the weights last.
"""

from __future__ import annotations

import hashlib
import json
import resource
import shlex
import sys
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import scgcnet
from scgcnet import files, zoo
from scgcnet.data import DatasetError, LandslideDataset, Merged
from scgcnet.data.pairs import stamp
from scgcnet.data.windows import Windows
from scgcnet.own.evaluation import Evaluation, predict, score, write_tables
from scgcnet.own.parts import CONSTANT, Division, Survey, common_ground, divide, survey
from scgcnet.own.report import write_report
from scgcnet.own.source import Pieces, Source, SourceError, cut, find_source
from scgcnet.scene.models import choose_scales
from scgcnet.scene.options import SceneError
from scgcnet.scene.predict import folded
from scgcnet.scene.score import MapCounts, best_threshold, mean_iou
from scgcnet.scene.source import Scene
from scgcnet.train.config import TrainConfig
from scgcnet.train.fit import VALIDATION_WINDOWS, fit, new_network
from scgcnet.train.losses import composite_loss

WORK, RECIPE = ".work", "recipe.json"
WEIGHTS, REPORT, SCORES = "weights.safetensors", "report.html", "scores.csv"
OUTPUTS = (SCORES, REPORT, WEIGHTS)  # in the order in which they are put in place
SIDE = 512  # pixels of the working grid; largest side of a piece
ZOOM = (0.7, 1.4)  # of windows, by the factors from the lowest and the highest scale that a map has
EPOCHS, BATCH = 30, 8
EPOCH_IMAGES = (64, 800)  # fewest and most windows of an epoch, which cover the ground about once between these
RATES = {"new": 1e-3, "trained": 5e-4}  # highest learning rate
FEWEST_LANDSLIDES = 10  # in validation, to choose a threshold
CARRIED = ("threshold", "peak", "temperature")  # of the weights that are started from, where validation holds fewer
LEAST_FREE = 0.05  # share of training pieces without landslides
SHARES = (0.75, 0.5, 1.0)  # of the way from weights that map landslides already; the first where nothing can choose
STEPS, PACE = 4, 0.9  # steps that are timed, and the share of the time budget that is planned for
BUDGET_EPOCHS = (5, 100)


@dataclass(frozen=True)
class TrainOptions:
    """How a network is trained.

    Attributes:
        start: published weights by name, a file of weights, or "none"; None for the default where the bands fit.
        size: of a network from nothing.
        epochs: None for `EPOCHS`, or what fits into `minutes`.
        image_size: side of a training window, pixels; None for that of the weights, else 256.
        minutes: time budget of the training itself.
        val: share of the ground that validates, or a folder.
        landslide_free: folder of images without landslides.
        seed: of everything drawn.
    """

    start: str | None = None
    size: str | None = None
    epochs: int | None = None
    image_size: int | None = None
    minutes: float | None = None
    val: str = "0.2"
    landslide_free: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs and self.minutes:
            raise SourceError("--epochs and --time: give one of the two")
        if self.size and self.start not in (None, "none"):
            raise SourceError(
                f"--size {self.size}: {self.start} has a size of its own; leave one of --size, --from out"
            )
        if self.share is not None and not 0 < self.share < 0.6:
            raise SourceError(f"--val {self.val}: a share must lie between 0 and 0.6; or name a folder")

    @property
    def share(self) -> float | None:
        """The share of `val`; None where it is a folder."""
        try:
            return float(self.val)
        except ValueError:
            return None

    def command(self, path: Path, out: Path) -> str:
        """The command line that has these options."""
        words = ["scgcnet", "train", str(path), "--out", str(out), "--val", self.val, "--seed", str(self.seed)]
        pairs: dict[str, Any] = {
            "--from": self.start,
            "--size": self.size,
            "--epochs": self.epochs,
            "--image-size": self.image_size,
        }
        pairs |= {"--time": f"{self.minutes:g}m" if self.minutes else None, "--landslide-free": self.landslide_free}
        return shlex.join([*words, *(str(word) for pair in pairs.items() if pair[1] is not None for word in pair)])


@dataclass(frozen=True)
class Trained:
    """A finished training: its folder, and the metadata of the weights; `fresh` is False if it was there."""

    folder: Path
    metadata: dict[str, str]
    fresh: bool

    @property
    def summary(self) -> str:
        """Two lines: the score, and how to map with the weights."""
        reached = f"validation IoU {self.metadata['val_iou']} % at the threshold {self.metadata['threshold']}"
        use = f"scgcnet map SCENE --model {self.folder / WEIGHTS} --out map"
        return f"{self.folder}: {reached}; see {self.folder / REPORT}\n{use}"


@dataclass(frozen=True)
class _Material:
    """All that is trained and validated on."""

    train: LandslideDataset
    val: LandslideDataset  # without landslide-free images
    val_free: LandslideDataset | None
    ground: int  # pixels with data in training
    shown: Survey  # of validation
    notes: list[str]
    warnings: list[str]

    @property
    def few(self) -> bool:
        """Whether validation holds too few landslides to choose anything by."""
        return self.shown.landslides < FEWEST_LANDSLIDES

    @property
    def val_all(self) -> LandslideDataset:
        """With landslide-free images."""
        return self.val if self.val_free is None else Merged([self.val, self.val_free])


def train(path: Path, out: Path, options: TrainOptions, *, progress: bool = False) -> Trained:
    """Trains a network on a source and writes `OUTPUTS` into a folder.

    A finished training of the same data and options is kept; an unfinished one resumes from its last whole epoch.

    Args:
        path: a folder or a raster, see `source`.
        out: folder; it is made.
        options: see there.
        progress: show warnings and bars with the time left on standard error.

    Raises:
        SourceError: data or options do not suit, or the folder holds something else.
        DatasetError, SceneError: a file is damaged, or a mask does not fit its image.
        WeightsError: there are no such weights.
        TrainingError: the training cannot go on.
        WriteError: a file cannot be written; finished epochs are kept.
    """
    source = find_source(path)
    free = find_source(options.landslide_free, landslide_free=True) if options.landslide_free else None
    held = None if options.share else find_source(Path(options.val))
    for other in (free, held):
        if other and (other.bands, other.eight_bits) != (source.bands, source.eight_bits):
            raise SourceError(f"{other.path}: its rasters have other bands, or another type of values, than {path}'s.")
    start = _start(options, source)
    begun = zoo.read_metadata(start) if start else {}
    window = options.image_size or int(begun.get("window", 256))
    zoom = _zoom(begun, source, window)
    made_of = _made_of(options, start, [one for one in (source, free, held) if one])
    work = out / WORK
    if (earlier := _earlier(out, made_of)) is not None:
        return Trained(out, earlier, fresh=False)
    new = not out.exists()
    with files.lock(work / "lock"):
        if (earlier := _earlier(out, made_of)) is not None:  # by another process, which this one waited for
            files.remove_folder(work)
            return Trained(out, earlier, fresh=False)
        try:
            value_range = source.value_range()
            material = _material(source, free, held, value_range, options, zoom, begun, progress)
        except (SourceError, DatasetError, SceneError):
            files.remove_folder(work)
            if new:
                out.rmdir()
            raise
        told = (*(f"note: {note}" for note in source.notes), *(f"warning: {one}" for one in material.warnings))
        for line in told if progress else ():
            print(line, file=sys.stderr)
        model = new_network("scgcnet", options.size or "tiny", source.bands, {}, options.seed)
        if start is not None:
            model = zoo.load_model(start).train()  # Lightning keeps the mode that it is given
        config = _recipe(work, made_of, material, model, options, window, zoom, bool(begun))
        begin = time.perf_counter()
        result = fit(model, material.train, material.val_all, config, options.seed, work, progress)
        minutes, peak = (time.perf_counter() - begin) / 60, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        material.notes.append(f"Training took {minutes:.1f} minutes since it was last started, and {peak / 1e9:.1f} GB")
        metadata = {**_metadata(source, free, value_range, config, begun), "made_of": made_of}
        if material.few:
            metadata |= {key: begun[key] for key in CARRIED if key in begun}
        threshold = _settle(result.model, start, material, metadata)
        network = folded(result.model)
        found = score(network, material.val_all, threshold, metadata, material.notes, progress)
        metadata |= {"threshold": f"{threshold:g}", "val_iou": f"{found.summary.value['iou, %']:.1f}"}
        write_tables(found, work, {SCORES: "images"})
        write_report(
            work / REPORT, options.command(path, out), metadata, found, result.history, material.warnings,
            _panels(network, material.val_all, found, metadata), threshold,
        )  # fmt: skip
        zoo.save_model(result.model, work / WEIGHTS, metadata)
        for name in OUTPUTS:
            (work / name).replace(out / name)
    files.remove_folder(work)
    return Trained(out, metadata, fresh=True)


def _start(options: TrainOptions, source: Source) -> Path | None:
    """The weights to start from; None for a network from nothing."""
    if options.start == "none" or (options.start is None and (options.size or source.bands != 3)):
        return None
    start = zoo.find_weights(options.start or zoo.DEFAULT)
    config = json.loads(zoo.read_metadata(start)["config"])
    if config["in_channels"] != source.bands:
        raise SourceError(
            f"{source.path}: its rasters have {source.bands} bands, but {start.name} takes {config['in_channels']}: "
            "name other weights, or --from none."
        )
    if config["num_classes"] != 2:
        raise SourceError(f"{start}: a network of two classes is needed, not of {config['num_classes']}")
    return start


def _resolution(source: Source) -> float | None:
    """The median ground resolution of its rasters, metres per pixel; None if unknown."""
    metres = [picture.metres for picture in source.pictures if picture.metres]
    return float(np.median(metres)) if metres else None


def _zoom(begun: Mapping[str, str], source: Source, window: int) -> tuple[float, float]:
    """The zoom of training windows, about the scales at which the weights will map; no raster becomes a stamp."""
    seen_at = float(begun["seen_at"]) if "seen_at" in begun else None
    scales = choose_scales(_resolution(source), (), seen_at)
    stamp = window / 2 / float(np.median([max(picture.shape) for picture in source.pictures]))
    lowest = max(ZOOM[0] * min(scales), min(ZOOM[0], stamp))
    return round(lowest, 4), round(ZOOM[1] * max(scales), 4)


def _made_of(options: TrainOptions, start: Path | None, sources: list[Source]) -> str:
    """A hash of everything that the weights depend on, but the machine."""
    facts = {
        "options": {key: str(value) for key, value in asdict(options).items()},
        "start": start and hashlib.sha256(start.read_bytes()).hexdigest(),
        "files": [list(zip(map(str, one.files), stamp(one.files), strict=True)) for one in sources],
    }  # fmt: skip
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _earlier(out: Path, made_of: str) -> dict[str, str] | None:
    """Metadata of the same training if it is finished; anything else in the folder is refused."""
    if not out.exists():
        return None
    if not out.is_dir():
        raise SourceError(f"{out} is no folder: name another one with --out")
    present = {path.name for path in out.iterdir()}
    begun = out / WORK / RECIPE
    if WEIGHTS in present:
        metadata = zoo.read_metadata(out / WEIGHTS)
        if metadata.get("made_of") == made_of:
            return metadata
    elif begun.is_file():  # outputs are there if a kill came while they were put in place
        if not present - {WORK, *OUTPUTS} and json.loads(begun.read_text("utf-8"))["made_of"] == made_of:
            return None
    elif not present - {WORK}:
        return None
    raise SourceError(
        f"{out} holds other files, or a training of other data or options: name an empty or a new folder with --out"
    )


def _material(
    source: Source,
    free: Source | None,
    held: Source | None,
    value_range: tuple[float, float] | None,
    options: TrainOptions,
    zoom: tuple[float, float],
    begun: Mapping[str, str],
    progress: bool,
) -> _Material:
    """Divides, reads everything once, and says what limits a training on it."""

    def opened(name: str, division: Division) -> list[tuple[Pieces, Survey]]:
        parts = (division.train, division.val)
        return [survey(Pieces(name, part, source.bands, value_range), progress) for part in parts]

    side = round(SIDE / min(zoom[0] / ZOOM[0], 1))
    if held is not None:
        train, val = ([piece for one in part.pictures for piece in cut(one, side)] for part in (source, held))
        ground = Division(train, val, "")
    else:
        assert options.share is not None
        ground = divide(source, options.share, options.seed, side)
    (own, shown), (own_val, val_shown) = opened("own", ground)
    notes = [
        f"{source.path}: {len(source.pictures)} raster(s), {len(own)} training and {len(own_val)} validation images"
    ]
    notes += [*([ground.note] if ground.note else []), *source.notes, *(held.notes if held else ())]
    warned = []
    if not shown.landslides or not val_shown.landslides:
        part = "training" if not shown.landslides else "validation"
        raise SourceError(f"{source.path}: no landslide in the {part} part. Name data with landslides.")
    quiet, pieces, trained, val_free = shown.free, len(own), [own], None
    if free is not None:
        apart = divide(free, options.share or 0.2, options.seed, side)
        (own_free, free_shown), (val_free, _) = opened("own_free", apart)
        notes.append(f"{free.path}: {len(own_free)} training and {len(val_free)} validation images without landslides")
        quiet, pieces, trained = quiet + free_shown.free, pieces + len(own_free), [own, own_free]
    if quiet < LEAST_FREE * pieces:
        warned.append(
            f"{quiet} of {pieces} training images are free of landslides: networks trained so alarm on every "
            "landslide-free image (on Bijie in 150 of 150). Add images without landslides with --landslide-free DIR"
        )
    if val_shown.landslides < FEWEST_LANDSLIDES:
        warned.append(
            f"validation holds {val_shown.landslides} landslides, too few to choose a threshold (from "
            f"{FEWEST_LANDSLIDES}): it stays at {begun.get('threshold', '0.5')}. Its scores say "
            "little; add data, or raise --val"
        )
    for band, deviation in enumerate(shown.deviation, start=1):
        if deviation < CONSTANT:
            warned.append(
                f"band {band} is constant: its standard deviation is {deviation:.2f} of 255. Leave it out, or scale "
                "bands of different ranges to 8 bits first"
            )
    if held is not None and (common := common_ground(own, own_val)):
        warned.append(f"{common} of {len(own_val)} validation images show ground of the training: their scores flatter")
    seen = Merged(trained) if free else own
    return _Material(seen, own_val, val_free, int(shown.known.sum()), val_shown, notes, warned)


def _recipe(
    work: Path,
    made_of: str,
    material: _Material,
    model: nn.Module,
    options: TrainOptions,
    window: int,
    zoom: tuple[float, float],
    trained: bool,
) -> TrainConfig:
    """The recipe, which is stored with the number of epochs, so that a resumed training has the same."""
    stored = work / RECIPE
    if stored.is_file():
        return TrainConfig(**json.loads(stored.read_text("utf-8"))["config"])
    images = BATCH * round(float(np.clip(material.ground / window**2, *EPOCH_IMAGES)) / BATCH)
    settings: dict[str, Any] = {
        "epochs": options.epochs or EPOCHS, "batch_size": BATCH, "image_size": window, "optimizer": "adamw",
        "lr": RATES["trained" if trained else "new"], "weight_decay": 1e-2, "warmup_epochs": 0.5, "gradient_clip": 1.0,
        "ema_decay": 0.998, "views": "windows", "zoom": zoom, "epoch_images": images,
    }  # fmt: skip
    config = TrainConfig(**settings)
    if options.minutes:
        step, validation = _pace(model, material, config, options.seed)
        seconds = PACE * 60 * options.minutes
        epochs = int(np.clip(seconds / (images / BATCH * step + validation), *BUDGET_EPOCHS))
        steps = max(1, int((seconds / epochs - validation) / step))  # fewer than planned where time is short
        settings |= {"epochs": epochs, "epoch_images": BATCH * min(steps, images // BATCH)}
        config = TrainConfig(**settings)
    files.write_text(stored, json.dumps({"made_of": made_of, "config": settings}, indent=1))
    return config


def _pace(model: nn.Module, material: _Material, config: TrainConfig, seed: int) -> tuple[float, float]:
    """Seconds of a training step, and of a validation."""
    copy, views = deepcopy(model), Windows(material.train, config.image_size, seed, zoom=config.zoom)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    copy.to(device).train()
    optimizer = torch.optim.AdamW(copy.parameters(), config.lr)
    taken = []
    for step in range(STEPS + 1):  # the first compiles
        begin = time.perf_counter()
        pairs = [views[step, index] for index in range(config.batch_size)]
        images, masks = (torch.stack(part).to(device) for part in zip(*pairs, strict=True))
        loss = composite_loss(copy(images), masks, config.loss, config.focal_exponent)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device
        taken.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    with torch.no_grad():
        copy.eval()(images).sum().item()
    batches = len(material.val_all.sources) * VALIDATION_WINDOWS / config.batch_size
    return float(np.median(taken[1:])), batches * (time.perf_counter() - begin)


def _metadata(
    source: Source,
    free: Source | None,
    value_range: tuple[float, float] | None,
    config: TrainConfig,
    begun: Mapping[str, str],
) -> dict[str, str]:
    """What a map needs to know of the training data."""
    first = source.pictures[0]
    with Scene(first.path, source.bands, None, value_range) as scene:
        bands = scene.bands
    known = {}
    if "seen_at" in begun:
        known = {"seen_at": begun["seen_at"]}
    elif (metres := _resolution(source)) is not None:
        known = {"resolutions": f"{metres:.6g}", "zooms": "{:g}-{:g}".format(*ZOOM)}
    stretch = {"value_range": ",".join(f"{value:.9g}" for value in value_range)} if value_range else {}
    names = [one.path.resolve().name for one in (source, free) if one]
    return {
        "scgcnet": scgcnet.__version__, "sources": ", ".join(names), "bands": ",".join(map(str, bands)),
        "window": str(config.image_size), **known, **stretch,
    }  # fmt: skip


def _settle(model: nn.Module, start: Path | None, material: _Material, metadata: dict[str, str]) -> float:
    """Takes the model a part of the way back to the weights it began with, and returns its threshold.

    Weights between the two keep what the first knew of other ground (Wortsman et al., CVPR 2022); those without a
    threshold know nothing of landslides. Share and threshold are best on validation, landslide-free images counted;
    where it holds few landslides, the first share and the threshold of the weights begun with.
    """
    back = start if start is not None and "threshold" in zoo.read_metadata(start) else None
    tuned = {key: value.clone() for key, value in model.state_dict().items()}
    begun = zoo.load_model(back).state_dict() if back else tuned

    def go(share: float) -> None:
        model.load_state_dict(
            {
                key: torch.lerp(begun[key].to(value), value, share) if value.is_floating_point() else value
                for key, value in tuned.items()
            }
        )

    def measured() -> tuple[float, float]:
        network, counts = folded(model), []
        for part in (material.val, material.val_free or ()):
            counts.append(MapCounts())
            for sample in part:
                counts[-1].add(predict(network, sample, metadata), sample)
        quiet = [one for one in counts[1:] if one.images]
        threshold = best_threshold(counts[:1], quiet)
        return mean_iou(counts[:1], quiet, threshold), threshold

    shares, found = SHARES if back else (1.0,), dict[float, tuple[float, float]]()
    if material.few:
        share, threshold = shares[0], float(metadata.get("threshold", 0.5))
    else:
        for share in shares:
            go(share)
            found[share] = measured()
        share = max(found, key=lambda one: found[one][0])
        threshold = found[share][1]
    go(share)
    if back:
        metadata["share"] = f"{share:g}"
        material.notes.append(f"The weights are {share:g} of the way from {back.name} to what training reached")
    return threshold


def _panels(
    network: nn.Module, data: LandslideDataset, found: Evaluation, metadata: dict[str, str]
) -> list[tuple[Any, Any, float]]:
    """Up to six validation images with landslides, evenly spaced by IoU: sample, probability, IoU."""
    shown = found.images[found.images.landslides > 0].sort_values("iou", kind="stable")
    ranks = np.unique(np.linspace(0, len(shown) - 1, 6).round().astype(int))
    cases = []
    for index in shown.index[ranks]:
        sample = data[int(index)]
        cases.append((sample, predict(network, sample, metadata), shown.iou[index] / 100))
    return cases
