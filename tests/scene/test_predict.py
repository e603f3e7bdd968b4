from pathlib import Path

import numpy as np
import pytest
import torch
from map_scenes import UTM, Bright
from raster_files import write_raster
from torch import nn

from scgcnet import zoo
from scgcnet.scene.predict import (
    Predict,
    Stream,
    blend,
    combined,
    folded,
    landslide_probability,
    predict_windows,
    torch_engine,
)
from scgcnet.scene.source import Scene
from scgcnet.scene.windows import Grid
from scgcnet.train.predict import ManyViews

IMAGE = np.random.default_rng(0).integers(20, 230, (300, 260, 3), np.uint8)


def asked(network: nn.Module) -> Predict:
    return combined([torch_engine(network)])


def read(rows: tuple[int, int], columns: tuple[int, int]) -> tuple[np.ndarray, bool]:
    return IMAGE[slice(*rows), slice(*columns)], True


class Edgy(torch.nn.Module):
    """Differs between windows: the probability falls from their left edge to the right."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        slope = torch.linspace(3, -3, images.shape[3]).expand(images.shape[0], images.shape[2], -1)
        return torch.stack([torch.zeros_like(slope), slope], dim=1)


class Killed(Edgy):
    """Dies after so many windows."""

    def __init__(self, windows: int) -> None:
        super().__init__()
        self.windows = windows

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.windows == 0:
            raise KeyboardInterrupt
        self.windows -= 1
        return super().forward(images)


def test_probability() -> None:
    found = landslide_probability(Bright(), IMAGE)
    assert found.dtype == np.float32
    assert found == pytest.approx(IMAGE[..., 0] / 255, abs=1e-5)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
def test_pixels_that_every_window_sees_alike_stay(tmp_path: Path, overlap: float) -> None:
    stream = Stream(tmp_path, Grid.of((300, 260), 96, overlap))
    stream.run(asked(Bright()), read, progress=False)
    assert stream.rows(0, 300)[0] == pytest.approx(IMAGE[..., 0] / 255, abs=1e-3)
    assert stream.rows(70, 72)[0] == pytest.approx(stream.rows(0, 300)[0][70:72])


def test_windows_pass_into_each_other(tmp_path: Path) -> None:
    """Tiles leave a step of almost 1 where they touch; overlapping windows, ten times less."""
    steps = []
    for overlap in (0, 0.5):
        stream = Stream(tmp_path / str(overlap), Grid.of((300, 260), 130, overlap))
        stream.run(asked(Edgy()), read, progress=False)
        steps.append(np.abs(np.diff(stream.rows(0, 300)[0], axis=1)).max())
    assert steps[0] > 0.9 and steps[1] < 0.09


@pytest.mark.parametrize("windows", [0, 3, 7, 15])
def test_resumes_where_it_was_stopped(tmp_path: Path, windows: int) -> None:
    grid = Grid.of((300, 260), 96, 0.25)
    whole, broken = Stream(tmp_path / "whole", grid), Stream(tmp_path / "broken", grid)
    whole.run(asked(Killed(len(grid))), read, progress=False)
    with pytest.raises(KeyboardInterrupt):
        broken.run(asked(Killed(windows)), read, progress=False)
    with (broken.folder / "joined.f16").open("ab") as file:
        file.write(b"half of what comes next")  # written, and not noted as done
    broken.run(asked(Killed(len(grid) - windows)), read, progress=False)  # no window is computed twice
    assert (broken.rows(0, 300)[0] == whole.rows(0, 300)[0]).all()
    assert sorted(path.name for path in broken.folder.iterdir()) == ["joined.f16", "rows"]  # no window is left


def test_the_network_is_not_asked_where_nothing_is_known(tmp_path: Path) -> None:
    stream = Stream(tmp_path, Grid.of((300, 260), 96, 0.25))
    stream.run(asked(Killed(0)), lambda rows, columns: (read(rows, columns)[0], False), progress=False)
    assert (stream.rows(0, 300)[0] == 0).all()


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.5])
def test_on_the_scenes_own_grid(tmp_path: Path, scale: float) -> None:
    rows, columns = np.mgrid[:300, :260]
    pixels = np.dstack([(rows * 0.5 + columns * 0.2).astype(np.uint8)] * 3)  # smooth, so that resizing keeps it
    shape = round(300 * scale), round(260 * scale)
    with Scene(write_raster(tmp_path / "a.tif", pixels, **UTM), 3) as scene:
        stream = Stream(tmp_path, Grid.of(shape, 96, 0.25))
        stream.run(asked(Bright()), lambda r, c: scene.read(r, c, shape), progress=False)
        parts = [stream.on_scene(scene, top, min(top + 70, 300)) for top in range(0, 300, 70)]
    found = np.concatenate([part[0] for part, _ in parts])
    assert all(valid.all() for _, valid in parts)
    assert np.abs(found - np.maximum(pixels[..., 0], 2.55) / 255)[3:-3, 3:-3].max() < 0.006


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_same_bits_whatever_the_number_of_threads(tmp_path: Path, threads: int) -> None:
    """By the network itself, whose convolutions add in another order if torch shares them among threads."""
    predict = combined([torch_engine(folded(zoo.load_model(zoo.pretrained_file())))], views=2)
    grid = Grid.of((300, 260), 128, 0.25)
    stream = Stream(tmp_path, grid, layers=2)
    stream.run(predict, read, progress=False, threads=threads)
    joined = stream.rows(0, 300)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        parts = predict_windows(folded(zoo.load_model(zoo.pretrained_file())), IMAGE, grid)  # one view
        again = Stream(tmp_path / "again", grid, layers=2)
        again.run(predict, read, progress=False)
    finally:
        torch.set_num_threads(before)
    assert (joined == again.rows(0, 300)).all()
    assert joined[1].max() > 0 and np.abs(joined[0] - blend(parts, grid)).max() < 0.5


@pytest.mark.parametrize("views", [1, 2, 4, 8])
def test_views_are_turned_back(views: int) -> None:
    """Each sees the image another way, and what it finds lies where it is."""
    seen = []

    def engine(image: np.ndarray) -> np.ndarray:
        seen.append(image.tobytes())
        return image[..., 0] / np.float32(255)

    found = combined([engine], views)(IMAGE[:64, :64])
    assert len(set(seen)) == len(seen) == views
    assert found[0] == pytest.approx(IMAGE[:64, :64, 0] / 255, abs=1e-6)
    assert len(found) == (1 if views == 1 else 2) and (found[1:] < 1e-6).all()


def test_as_the_study_has_many_views() -> None:
    """The mean probability of `train.predict.ManyViews`, which shifts it by the threshold alone."""
    network = folded(zoo.load_model(zoo.pretrained_file()))
    image = IMAGE[:64, :96]
    expected = landslide_probability(ManyViews(network, 8), image)
    assert combined([torch_engine(network)], 8)(image)[0] == pytest.approx(expected, abs=1e-5)


def test_a_window_that_fails_stops_the_others(tmp_path: Path) -> None:
    grid = Grid.of((300, 260), 64, 0.25)
    asked_for = []

    def predict(image: np.ndarray) -> np.ndarray:
        asked_for.append(image)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Stream(tmp_path, grid).run(predict, read, progress=False, threads=2)
    assert len(asked_for) < 8 < len(grid)


def worn(network: nn.Module) -> nn.Module:
    """With normalisations as after a training: each channel with a scale and shift of its own."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("name", ["scgcnet", "danet", "hrnet"])
def test_the_same_logits_with_fewer_layers(name: str) -> None:
    network = worn(zoo.create_model(name, "tiny"))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    image = torch.randn(1, 3, 96, 64)
    short = folded(network)
    with torch.inference_mode():
        expected, found = network(image), short(image)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert norms(short) < norms(network) and (name != "scgcnet" or norms(short) == 0)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


class Backwards(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        convolution, norm = self
        return convolution(norm(x))


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)),
        Backwards(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)),  # calls its parts in another order than they stand in
    ],
)
def test_a_normalisation_that_does_not_follow_a_convolution_stays(network: nn.Module) -> None:
    assert norms(folded(network.eval())) == 1
