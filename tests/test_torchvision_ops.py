"""torchvision beside a torch without CUDA, and the study without the packages of the comparison methods."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from scgcnet import torchvision_ops


def run(code: str) -> list[str]:
    """Lines that code prints in an interpreter of its own: imports and declarations cannot be undone in this one."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_what_imports_torchvision_can_be_imported() -> None:
    pytest.importorskip("timm")
    declared = run("import scgcnet.peers, scgcnet.train, torchvision, timm; print(scgcnet.torchvision_ops.DECLARED)")
    assert (declared == ["None"]) == (torchvision_ops.DECLARED is None)


@pytest.mark.parametrize("case", ["accelerator", "not installed", "loads", "does not load"])
def test_operators_are_declared_only_where_they_cannot_be_loaded(
    case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "_C.so").write_bytes(b"no library")
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(torch.version, "cuda", "12.6" if case == "accelerator" else None)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torchvision_ops, "find_spec", lambda name: None if case == "not installed" else found)
    if case == "loads":
        monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    library = SimpleNamespace(define=lambda schema: None)
    monkeypatch.setattr(torch.library, "Library", lambda *names: library)
    assert torchvision_ops.declare() is (library if case == "does not load" else None)


def test_without_the_packages_of_the_peers() -> None:
    """Other networks work; the message names the package and how to get it."""
    code = """
import sys
packages = ("torchvision", "timm", "segmentation_models_pytorch", "transformers")
sys.modules |= dict.fromkeys(packages)  # importing them raises ModuleNotFoundError
import scgcnet.zoo, torch
print(tuple(scgcnet.zoo.create_model("scgcnet", "tiny").eval()(torch.zeros(1, 3, 32, 32)).shape))
try:
    scgcnet.zoo.create_model("segformer", "tiny")
except scgcnet.zoo.MissingPackageError as error:
    print(error)
"""
    shape, message = run(code)
    assert shape == "(1, 2, 32, 32)"
    assert message == "the network segformer needs the package transformers: pip install 'scgcnet[peers]'"
