from pathlib import Path

import pytest
from map_scenes import UTM, Bright, scene_pixels
from raster_files import write_raster


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """230 x 150 px at 2 m, see `map_scenes.scene_pixels`."""
    return write_raster(tmp_path / "scene.tif", scene_pixels(), **UTM)


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever weights are named, the network is `map_scenes.Bright`."""
    monkeypatch.setattr("scgcnet.zoo.load_model", lambda _: Bright())
