"""Which code made a run: a hash of what the modules do that decide its result, so that a run of other code is seen."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

#: Rooms whose code decides a result, beside the run's configuration.
CODE_ROOMS = ("model", "scan", "cpu", "peers", "data", "train")
#: What every run uses: the training, and what is common to all data sets.
_COMMON = ("train", "data/sample.py", "data/splits.py", "data/transforms.py")
#: What runs that predict over several views use besides.
_VIEWS = "views.py"
#: They name every data set and network. Which of them a run takes is told by the run: of these only functions count.
_REGISTRIES = ("data/__init__.py", "zoo.py")


PACKAGE = Path(__file__).resolve().parents[1]
#: The package as it was when this process began: its modules are read from disk once, whatever happens to them then.
_AT_START = {path.relative_to(PACKAGE).as_posix(): path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))}


def changed_since_start() -> list[str]:
    """Files of the package that were edited, added or removed since this process began; it still runs the old ones."""
    now = {path.relative_to(PACKAGE).as_posix(): path.read_bytes() for path in PACKAGE.rglob("*.py")}
    return sorted(file for file in now.keys() | _AT_START.keys() if now.get(file) != _AT_START.get(file))


def code_sha256(model: str, datasets: Collection[str], package: Path | None = None, *, views: bool = False) -> str:
    """Hash of what the code does that decides the result of a run.

    That is the training, the modules of the run's network and data sets, and all that these import from
    `CODE_ROOMS`: a change of one network leaves the runs of the others as they are. Each file is parsed and hashed as
    a tree without docstrings, so a comment, a docstring or a line break does not mark a run as stale, while any
    change of a statement does, whether or not it changes a number. Fields that are empty are left out, because newer
    versions of Python add some. The libraries that a network is taken from do not count: a run file has their versions,
    and the hash of the lock.

    Args:
        model: the network's name in the zoo.
        datasets: names of the data sets trained and tested on.
        package: the package's folder; by default the one at hand, as it was when this process began.
        views: whether the run predicts over several views: then the code that does so counts.

    Returns:
        SHA-256 in hexadecimal, over the files' names and trees.
    """
    if package is None:  # what it was when this process began does not change: tables ask for every run
        return _own_sha256(model, frozenset(datasets), views)
    return _sha256(model, datasets, package, views)


@cache
def _own_sha256(model: str, datasets: frozenset[str], views: bool) -> str:
    return _sha256(model, datasets, PACKAGE, views)


def _sha256(model: str, datasets: Collection[str], package: Path, views: bool) -> str:
    digest = hashlib.sha256()
    for file in sorted({*deciding_files(model, datasets, package), *([_VIEWS] if views else [])}):
        shape, _ = _parsed(_source(package, file), file in _REGISTRIES)
        digest.update(f"{file}\n{shape}\n".encode())
    return digest.hexdigest()


def deciding_files(model: str, datasets: Collection[str], package: Path) -> set[str]:
    """The files that `code_sha256` covers, relative to the package.

    A network is looked for in `peers/NAME.py`, or `model` where it is the paper's own, and a data set in
    `data/NAME.py`; where there is no such file, the whole room counts.
    """
    network = "model" if model == "scgcnet" else _file_or_room(package, "peers", model)
    entries = [*_COMMON, *_REGISTRIES, network, *(_file_or_room(package, "data", name) for name in datasets)]
    found: set[str] = set()
    waiting = [file for entry in entries for file in _files(package, entry)]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            _, imports = _parsed(_source(package, file), file in _REGISTRIES)
            waiting += _ours(package, imports)
    return found


def _source(package: Path, file: str) -> bytes:
    found = _AT_START.get(file) if package == PACKAGE else None
    return (package / file).read_bytes() if found is None else found


def _file_or_room(package: Path, room: str, name: str) -> str:
    return file if (package / (file := f"{room}/{name}.py")).is_file() else room


def _files(package: Path, entry: str) -> list[str]:
    path = package / entry
    return [entry] if path.is_file() else [p.relative_to(package).as_posix() for p in path.rglob("*.py")]


def _ours(package: Path, imports: Iterable[str]) -> Iterator[str]:
    """The files of `CODE_ROOMS` among some imported names, such as scgcnet.model.layers.conv_bn."""
    for name in imports:
        parts = name.split(".")[1:]
        # The last parts of a name may be what a module holds.
        for end in range(len(parts), 0, -1):
            module = "/".join(parts[:end])
            file = next((f for f in (f"{module}.py", f"{module}/__init__.py") if (package / f).is_file()), None)
            if file:
                if parts[0] == "scan":  # it picks its backends by name, which no import shows
                    yield from _files(package, "scan")
                elif parts[0] in CODE_ROOMS:
                    yield file
                break


@cache
def _parsed(source: bytes, definitions_only: bool) -> tuple[str, frozenset[str]]:
    """A file's tree as text and the names that it imports of ours; kept by content, since tables ask for every run."""
    tree = ast.parse(source)
    if definitions_only:
        tree.body = [node for node in tree.body if isinstance(node, _DOCUMENTED)]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"line {node.lineno}: a relative import, which this does not follow")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return _shape(tree), frozenset(name for name in names if name.startswith("scgcnet."))


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _shape(node: object) -> str:
    if isinstance(node, list):
        return "[" + ",".join(map(_shape, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            value = value[1:]
        if value is not None and value != []:
            parts.append(f"{name}={_shape(value)}")
    return f"{type(node).__name__}({','.join(parts)})"
