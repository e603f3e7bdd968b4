"""torchvision, and what imports it, beside a torch without CUDA; and the study without any of these packages."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from scgcnet import torchvision_ops

USERS = ("torchvision", "timm", "lightning")
PEERS = ("torchvision", "timm", "segmentation_models_pytorch", "transformers")


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own: what is imported, and what is declared, cannot be undone here."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)


def built_for_cuda() -> bool:
    """Whether torchvision is a CUDA build, from its text: to import it may fail."""
    found = find_spec("torchvision")
    if found is None or found.origin is None:
        return False
    version = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    return re.search(r"^__version__ = '.*\+cu\d+'$", version, re.MULTILINE) is not None


installed = pytest.mark.skipif(not all(find_spec(name) for name in USERS), reason=f"needs {', '.join(USERS)}")
misfit = pytest.mark.skipif(
    bool(torch.version.cuda or torch.version.hip) or not built_for_cuda(),
    reason="no torchvision for CUDA beside a torch without it: there is nothing to mend",
)


@installed
def test_imports_work() -> None:
    done = python(
        "import scgcnet.torchvision_ops, torchvision, timm, lightning\n"
        "import scgcnet.peers, scgcnet.train\n"  # where it is imported again
        "print(scgcnet.torchvision_ops.DECLARED is not None)"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(torchvision_ops.DECLARED is not None)


@misfit
def test_imports_fail_without_it() -> None:
    done = python("import torchvision")
    assert done.returncode == 1
    assert "operator torchvision::nms does not exist" in done.stderr


@misfit
def test_only_names_are_declared() -> None:
    """A call says that the code is missing, instead of giving a wrong answer."""
    done = python(
        "import scgcnet.torchvision_ops, torch, torchvision\n"
        "torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)"
    )
    assert done.returncode == 1
    assert "Couldn't load custom C++ ops" in done.stderr


def test_nothing_to_do_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_ops, "find_spec", lambda name: None)
    assert torchvision_ops._compiled_part() is None
    assert torchvision_ops.declare() is None


def test_nothing_to_do_where_it_has_no_compiled_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        torchvision_ops, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    )
    assert torchvision_ops.declare() is None


@pytest.mark.parametrize("build", ["cuda", "hip"])
def test_nothing_to_do_where_torch_has_an_accelerator(monkeypatch: pytest.MonkeyPatch, build: str) -> None:
    """torchvision is not even looked for."""
    monkeypatch.setattr(torchvision_ops, "find_spec", lambda name: pytest.fail("looked for torchvision"))
    monkeypatch.setattr(torch.version, build, "12.6")
    assert torchvision_ops.declare() is None


def test_nothing_to_do_where_the_operators_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = tmp_path / "_C.so"
    library.touch()
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(
        torchvision_ops, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    )
    loaded: list[str] = []
    monkeypatch.setattr(torch.ops, "load_library", loaded.append)
    assert torchvision_ops.declare() is None
    assert loaded == [str(library)]


#: As if they were not installed: neither found nor listed among the distributions, which is where lightning looks.
WITHOUT = f"""
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {PEERS!r} else PathFinder.find_spec(name, path, target)

    @classmethod
    def find_distributions(cls, *context):
        found = PathFinder.find_distributions(*context)
        return (d for d in found if d.name.replace("-", "_") not in {PEERS!r})

sys.meta_path[:] = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
"""


def test_the_study_needs_none_of_them() -> None:
    done = python(
        WITHOUT
        + """
import torch
import scgcnet, scgcnet.zoo, scgcnet.train
assert scgcnet.torchvision_ops.DECLARED is None
from scgcnet.zoo import create_model, model_names
assert len(model_names()) >= 18
model = create_model("scgcnet", "tiny").eval()
with torch.no_grad():
    print(tuple(model(torch.zeros(1, 3, 32, 32)).shape))
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 2, 32, 32)"


def test_a_network_without_its_package(tmp_path: Path) -> None:
    """The message names the package and how to get it; a missing module of our own stays what it is."""
    networks = {f"needs_{package}": package for package in PEERS} | {"broken": "scgcnet.no_such_module"}
    for name, module in networks.items():
        (tmp_path / f"{name}.py").write_text(f"from {module} import anything\n", encoding="utf-8")
    done = python(
        WITHOUT
        + f"""
import scgcnet.peers
from functools import partial
from scgcnet import zoo
scgcnet.peers.__path__.append({str(tmp_path)!r})
for name in {list(networks)!r}:
    zoo.NETWORKS[name] = partial(zoo._peer, name)
    for call in (zoo.create_model, zoo.model_sizes):
        try:
            call(name)
        except ImportError as error:
            print(type(error).__name__, error, sep=": ")
"""
    )
    assert done.returncode == 0, done.stderr
    expected = [
        f"MissingPackageError: the network {name} needs the package {package}: pip install 'scgcnet[peers]'"
        for name, package in networks.items()
        if name != "broken"
    ]
    expected.append("ModuleNotFoundError: No module named 'scgcnet.no_such_module'")
    assert done.stdout.splitlines() == [line for line in expected for _ in range(2)]
