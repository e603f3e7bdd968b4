"""What marks a run as made by other code, and what does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scgcnet.study.fingerprint import code_sha256, deciding_files

PACKAGE = Path(__file__).resolve().parents[2] / "scgcnet"
F = '"""Text."""\n\n\ndef f(x):\n    """Text."""\n    return x + 1\n'


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in the layout of ours, with two peers and two data sets."""
    files = {
        "model/__init__.py": "from scgcnet.model.network import Net\n",
        "model/network.py": "from scgcnet.scan import scan\nNet = scan\n",
        "model/layers.py": F,
        "scan/__init__.py": "def scan(backend):\n    return import_module(f'scgcnet.scan.{backend}')\n",
        "scan/fast.py": F,
        "scan/slow.py": F,
        "peers/__init__.py": "",
        "peers/one.py": "from scgcnet.model.layers import f\nfrom scgcnet.files import g\n",
        "peers/two.py": "from scgcnet import scan\n",
        "data/__init__.py": F + "from scgcnet.data.a import open\nfrom scgcnet.data.b import open\n",
        "data/sample.py": F,
        "data/splits.py": F,
        "data/transforms.py": "from scgcnet.data.sample import f\n",
        "data/a.py": "from scgcnet.data.b import read\n",
        "data/b.py": F,
        "data/c.py": F,
        "train/__init__.py": "from scgcnet.train.fit import fit\n",
        "train/fit.py": "from scgcnet.data import Sample\nfrom scgcnet import zoo\n",
        "zoo.py": "from scgcnet.peers import one, two\n" + F,
        "files.py": F,
        "study/runner.py": F,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


COMMON = {"zoo.py", "train/__init__.py", "train/fit.py", "data/__init__.py", "data/sample.py", "data/splits.py",
          "data/transforms.py"}  # fmt: skip
SCAN = {"scan/__init__.py", "scan/fast.py", "scan/slow.py"}
MODEL = {"model/__init__.py", "model/network.py", "model/layers.py"}


@pytest.mark.parametrize(
    ("model", "datasets", "more"),
    [
        ("scgcnet", ["c"], {"data/c.py"} | MODEL | SCAN),
        ("one", ["b"], {"data/b.py", "peers/one.py", "model/layers.py"}),
        ("two", ["a"], {"data/a.py", "data/b.py", "peers/two.py"} | SCAN),
        ("two", ["b", "c"], {"data/b.py", "data/c.py", "peers/two.py"} | SCAN),
        # Without a file of that name, nothing of the room can be left out.
        ("gone", ["d"], {"data/a.py", "data/b.py", "data/c.py", "peers/__init__.py", "peers/one.py", "peers/two.py",
                         "model/layers.py"} | SCAN),
    ],
)  # fmt: skip
def test_files_that_decide_a_run(package: Path, model: str, datasets: list[str], more: set[str]) -> None:
    assert deciding_files(model, datasets, package) == COMMON | more


def test_every_file_that_is_run_counts() -> None:
    files = deciding_files("scgcnet", ["bijie"], PACKAGE)
    rooms = {"model", "scan", "train"}
    assert {f for f in files if f.split("/")[0] in rooms} == {
        path.relative_to(PACKAGE).as_posix() for room in rooms for path in (PACKAGE / room).rglob("*.py")
    }
    assert "data/bijie.py" in files and "data/synthetic.py" not in files
    assert "data/synthetic.py" in deciding_files("scgcnet", ["synthetic"], PACKAGE)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('"""Other."""\n\n\ndef f(x):  # why\n    return (x +\n            1)\n', True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(x):\n    return x + 1.0\n", False),
        ("def f(y):\n    return y + 1\n", False),
        ("def f(x, z=None):\n    return x + 1\n", False),
        ('def f(x):\n    "Text."\n    "more"\n    return x + 1\n', False),
    ],
)
def test_the_hash_follows_what_the_code_does(package: Path, text: str, same: bool) -> None:
    before = code_sha256("scgcnet", ["c"], package)
    (package / "model" / "layers.py").write_text(text)
    assert (code_sha256("scgcnet", ["c"], package) == before) is same


def test_other_networks_and_data_sets_do_not_count(package: Path) -> None:
    before = code_sha256("scgcnet", ["c"], package)
    for name in ("peers/one.py", "data/b.py", "study/runner.py", "files.py"):
        (package / name).write_text("x = 1")
    (package / "peers" / "three.py").write_text("x = 1")
    registry = package / "data" / "__init__.py"
    registry.write_text(registry.read_text() + "from scgcnet.data.e import open\nSOURCES = {'e': open}\n")
    (package / "zoo.py").write_text("from scgcnet.peers import one, two, three\nNETWORKS = {3: three}\n" + F)
    assert code_sha256("scgcnet", ["c"], package) == before
    (package / "zoo.py").write_text(F.replace("1", "2"))
    assert code_sha256("scgcnet", ["c"], package) != before
    (package / "zoo.py").write_text(F)
    registry.write_text(registry.read_text().replace("x + 1", "x + 2"))
    assert code_sha256("scgcnet", ["c"], package) != before
    registry.write_text(registry.read_text().replace("x + 2", "x + 1"))
    (package / "data" / "c.py").rename(package / "data" / "d.py")
    assert code_sha256("scgcnet", ["d"], package) != before


def test_the_code_of_views_counts_for_runs_over_several(package: Path) -> None:
    (package / "views.py").write_text("x = 1")
    plain, several = code_sha256("scgcnet", ["c"], package), code_sha256("scgcnet", ["c"], package, views=True)
    assert plain != several
    (package / "views.py").write_text("x = 2")
    assert code_sha256("scgcnet", ["c"], package) == plain
    assert code_sha256("scgcnet", ["c"], package, views=True) != several


def test_a_relative_import_is_refused(package: Path) -> None:
    (package / "model" / "network.py").write_text("from .layers import f\n")
    with pytest.raises(ValueError, match="relative import"):
        code_sha256("scgcnet", ["c"], package)


def test_a_process_tells_the_code_that_it_runs(project: Path) -> None:
    """Edited after the process began, the package on disk is not what runs: the hash stays, and no run is computed."""
    shutil.copytree(PACKAGE, project / "scgcnet", ignore=shutil.ignore_patterns("__pycache__"))
    program = """
from pathlib import Path
from scgcnet.study import fingerprint, load_plan, run
before = fingerprint.code_sha256("scgcnet", ["synthetic"])
with Path("scgcnet/model/cam.py").open("a") as file:
    file.write("x = 1")
assert fingerprint.code_sha256("scgcnet", ["synthetic"]) == before
assert fingerprint.changed_since_start() == ["model/cam.py"]
run(load_plan().select("smoke")[0])
"""
    environment = {**os.environ, "PYTHONPATH": str(project)}
    done = subprocess.run([sys.executable, "-c", program], cwd=project, env=environment, capture_output=True, text=True)
    assert "StoreError: the code has changed since this process began (model/cam.py): start again" in done.stderr
