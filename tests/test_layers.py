"""The arrows of the house point one way: a room imports only rooms that come before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "scgcnet"
#: What a room may import of ours. `checkout` and `files` know nothing of landslides and serve everyone.
ROOMS = {
    "checkout": set(),
    "files": set(),
    "torchvision_ops": set(),
    "measures": set(),
    "views": set(),
    "cpu": set(),
    "scan": {"cpu"},
    "model": {"scan"},
    "peers": {"scan", "model", "torchvision_ops"},
    "zoo": {"model", "peers"},
    "efficiency": {"zoo"},
    "data": set(),
    "train": {"zoo", "data", "torchvision_ops"},
    "pretrained": {"zoo"},
    "study": {"zoo", "data", "train", "model", "efficiency", "peers", "measures", "views", "pretrained"},
    "plots": {"data"},
    "explain": {"zoo", "data", "train", "model", "efficiency", "measures", "plots"},
    "chapters": {"zoo", "data", "model", "pretrained", "explain", "study", "plots"},
    "scene": {"zoo", "data", "pretrained"},
    "bench": {"scan", "zoo", "peers", "data", "train", "efficiency", "scene"},
    "cli": {"data", "study", "peers", "bench", "pretrained", "scene"},
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(source: str) -> set[str]:
    """Rooms of ours that a module imports, wherever in the file, typing's imports left out."""
    tree = ast.parse(source)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "scgcnet":
            names += [f"scgcnet.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import, which this does not follow"
            names.append(node.module or "")
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("scgcnet.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_room_imports_only_what_comes_before_it(path: Path) -> None:
    room = room_of(path)
    assert imported(path.read_text()) <= ROOMS[room] | {room, "checkout", "files"}


def test_imports_are_found() -> None:
    source = "from scgcnet import zoo\nimport scgcnet.data.bijie\ndef f():\n    from scgcnet.train import fit\n"
    assert imported(source) == {"zoo", "data", "train"}
    assert imported("if TYPE_CHECKING:\n    from scgcnet.data import Sample\n") == set()


def test_the_order_has_no_circle() -> None:
    left = dict(ROOMS)
    while ready := [room for room, before in left.items() if not before & left.keys()]:
        for room in ready:
            del left[room]
    assert left == {}


@pytest.mark.parametrize(
    ("modules", "slow"),
    [
        ("scgcnet, scgcnet.cli, scgcnet.study.plan, scgcnet.study.store", {"papermill"}),
        ("scgcnet.study.book, scgcnet.study.forecast", set()),  # what the Snakefile reads
    ],
)
def test_the_command_line_and_the_graph_answer_at_once(modules: str, slow: set[str]) -> None:
    """Torch, lightning and papermill are imported where they are used; jsonschema's checks of formats never."""
    program = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    slow = slow | {"torch", "lightning", "torchvision", "timm", "rasterio", "scipy", "matplotlib", "rfc3987_syntax"}
    assert not slow & set(done.stdout.split())
