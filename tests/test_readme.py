"""The commands and the Python block of README.md and data/README.md run in a copy of the checkout."""

import shutil
from pathlib import Path

import pytest
from checkout import REPOSITORY, blocks, commands, copy_checkout, shell
from map_scenes import UTM, scene_pixels
from own_data import write_tiles
from raster_files import write_raster

from scgcnet.data import write_fake

pytestmark = pytest.mark.slow
PAGES = ("README.md", "data/README.md")
#: Run by tests/book, the same at another profile (tests/study/test_workflow.py), and the command that runs this test.
ELSEWHERE = ("make book", "make book PROFILE=cpu", "make study PROFILE=cpu", "make test")
#: What would take long, and what is run instead.
SHORT = {"--time 30m": "--from none --epochs 1 --image-size 64"}
COMMANDS = dict.fromkeys(
    command
    for page in PAGES
    for command in commands(REPOSITORY / page)
    if command not in ELSEWHERE and not command.startswith("export ")
)
DATA = ("check bijie", "audit bijie", "data_sha256", "check cld")  # parts of commands that need a data set


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with a scene, a folder of scenes, own images to train on and to score, and fakes of Bijie and CLD."""
    folder = copy_checkout(tmp_path_factory.mktemp("readme"))
    write_raster(folder / "scene.tif", scene_pixels(), **UTM)
    (folder / "scenes").mkdir()
    shutil.copy(folder / "scene.tif", folder / "scenes")
    for name in ("bijie", "cld"):
        write_fake(name, folder / "sets")
    write_fake("folder", folder / "mine")
    for name in ("region", "elsewhere"):
        write_tiles(folder / name, 12)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_command(project: Path, command: str) -> None:
    data = {"SCGCNET_DATA": "sets"} if any(part in command for part in DATA) else {}
    for long, short in SHORT.items():
        command = command.replace(long, short)
    done = shell(command, project, **data)
    assert done.returncode == 0, done.stdout[-6000:]


def test_python_block(project: Path) -> None:
    (block,) = blocks(REPOSITORY / "README.md", "python")
    (project / "block.py").write_text(block, "utf-8")
    done = shell("python block.py", project)
    assert done.returncode == 0, done.stdout[-6000:]
