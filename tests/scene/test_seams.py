import numpy as np
import pytest
import torch
from map_scenes import Bright

from scgcnet.scene.predict import blend, predict_windows
from scgcnet.scene.seams import Mosaic, between, edges, measure, patches, read_mosaics
from scgcnet.scene.windows import Grid


class Sided(torch.nn.Module):
    """Calls the left half of whatever it sees landslide."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        odds = torch.full((images.shape[0], *images.shape[2:]), -4.0)
        odds[:, :, : images.shape[3] // 2] = 4
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


@pytest.fixture
def mosaic() -> Mosaic:
    image = np.full((256, 384, 3), 30, np.uint8)
    image[100:160, 90:200] = 230  # across the edge of tiles of 128
    mask = np.zeros((256, 384), np.uint8)
    mask[100:160, 90:190] = 1
    mask[:20] = 255
    return Mosaic("M", image, mask)


@pytest.mark.parametrize(("window", "overlap"), [(128, 0.0), (128, 0.25), (0, 0.0)])
def test_a_network_without_surroundings_leaves_no_seam(mosaic: Mosaic, window: int, overlap: float) -> None:
    mosaic.image[:20] = 230  # unknown, so it counts for nothing
    found = measure(Bright(), mosaic, 0.5, window, overlap)
    assert [found[name] for name in ("iou", "precision", "recall")] == pytest.approx([100 / 110, 100 / 110, 1])
    called, true = 110 * 60 / (236 * 384), 100 * 60 / (236 * 384)
    assert found["chance"] == pytest.approx(called * true / (called + true - called * true))
    assert found["cut"] == (0 if window else None)
    assert found["disagree"] == (0 if overlap else None)
    assert window or found["step"] is found["step_elsewhere"] is None


def test_a_network_that_sees_edges_leaves_seams(mosaic: Mosaic) -> None:
    tiles = measure(Sided(), mosaic, 0.5, 128, 0.0)
    assert tiles["polygons"] == 3  # one in each column of tiles, through both rows
    assert tiles["cut"] == pytest.approx(2 / 3)  # the first one begins with the scene, not at the edge of a tile
    assert tiles["step"] > 0.3 and tiles["step_elsewhere"] > 0.3  # it ends where the lines between the edges are
    assert measure(Sided(), mosaic, 0.5, 128, 0.5)["disagree"] > 0.3


def test_at_half_the_scale(mosaic: Mosaic) -> None:
    found = measure(Bright(), mosaic, 0.5, 128, 0.25, scale=0.5)
    assert found["iou"] == pytest.approx(100 / 110, abs=0.02) and found["polygons"] == 1


def test_windows_blend_to_the_whole() -> None:
    image = np.random.default_rng(0).integers(10, 240, (200, 150, 3), np.uint8)
    grid = Grid.of((200, 150), 64, 0.25)
    assert blend(predict_windows(Bright(), image, grid), grid) == pytest.approx(image[..., 0] / 255, abs=1e-5)


def test_lines() -> None:
    assert edges(Grid.of((256, 384), 128, 0)) == ([128], [128, 256])
    assert edges(Grid.of((100, 230), 128, 0.25)) == ([], [96, 102, 128, 224])
    assert between([128, 256], 384) == [64, 192]  # as many as the lines: what chance does is to be compared


def test_small_patches_do_not_count() -> None:
    mask = np.zeros((50, 50), bool)
    mask[0:10, 0:10] = mask[20:29, 0:11] = mask[40:50, 20:40] = True  # 100, 99 and 200 pixels
    labels, number = patches(mask)
    assert number == 2
    assert labels[0, 0] == 1 and labels[20, 0] == 0 and labels[45, 30] == 2


def test_real_mosaics(tmp_path) -> None:
    assert read_mosaics(tmp_path) == []
    if not (found := read_mosaics()):
        pytest.skip("the mosaics of AMU-Net are not there")
    assert [(one.name, one.image.shape) for one in found] == [("A", (2304, 2432, 3)), ("B", (2816, 3200, 3))]
    assert all(set(np.unique(one.mask)) <= {0, 1, 255} and one.mask.shape == one.image.shape[:2] for one in found)
