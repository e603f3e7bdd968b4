"""The references are compared by nbval, they say something, and nbval would notice."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from scgcnet.study.reference import IGNORED

REPOSITORY = Path(__file__).resolve().parents[2]
REFERENCES = sorted(Path(__file__).parent.glob("*.ipynb"))
DECIMAL = re.compile(r"\d+\.\d+")
LEAST = 2  # outputs with numbers that every reference has compared

reference = pytest.mark.parametrize("reference", REFERENCES, ids=lambda path: path.stem)


def nbval(notebook: Path) -> subprocess.CompletedProcess[str]:
    """What `pytest --nbval NOTEBOOK` says in the root of the project, whatever the options of the tests at hand."""
    options = ["--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "--color=no", "-c", "pyproject.toml"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["OMP_NUM_THREADS"] = "1"  # the other cores have tests of their own
    command = [sys.executable, "-m", "pytest", *options, str(notebook)]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=900)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def compared(notebook: nbformat.NotebookNode) -> Iterator[tuple[int, nbformat.NotebookNode]]:
    """The outputs that nbval compares, with the number of their code cell."""
    for index, cell in enumerate(code(notebook)):
        if IGNORED not in cell.metadata.get("tags", []) and cell.execution_count is not None:
            yield from ((index, output) for output in cell.outputs)


def text(output: nbformat.NotebookNode) -> str:
    return str(output.get("text") or output.data["text/plain"])


def test_there_are_references() -> None:
    assert {"audit", "network", "start"} <= {path.stem for path in REFERENCES}


@reference
def test_what_it_says_holds(reference: Path) -> None:
    done = nbval(reference)
    told = f"if that is meant to change: scgcnet study reference {reference.stem}"
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{told}"


@reference
def test_a_changed_number_is_noticed(reference: Path, tmp_path: Path) -> None:
    shutil.copy(reference.parent / "conftest.py", tmp_path)
    notebook = nbformat.read(reference, as_version=4)
    # The first table with a decimal; the cells after it need not run.
    tables = ((i, out) for i, out in compared(notebook) if "\n" in text(out) and DECIMAL.search(text(out)))
    index, output = next(tables)
    number = DECIMAL.findall(text(output))[-1]
    changed = number[:-1] + str((int(number[-1]) + 1) % 10)
    before, _, after = text(output).rpartition(number)
    output.data["text/plain"] = before + changed + after
    notebook.cells = code(notebook)[: index + 1]
    copy = tmp_path / reference.name
    nbformat.write(notebook, copy)

    done = nbval(copy)
    assert done.returncode == 1, done.stdout[-6000:]
    assert re.search(rf"^=+ 1 failed, {index} passed", done.stdout, re.MULTILINE), done.stdout[-6000:]
    assert f"Cell {index}: Cell outputs differ" in done.stdout and "mismatch 'text/plain'" in done.stdout
    assert changed in done.stdout


@reference
def test_enough_is_compared(reference: Path) -> None:
    outputs = [text(output) for _, output in compared(nbformat.read(reference, as_version=4))]
    with_numbers = [said for said in outputs if re.search(r"\d{2}|\d\.\d", said)]
    assert len(with_numbers) >= LEAST


@reference
def test_it_holds_text_alone(reference: Path) -> None:
    notebook = nbformat.read(reference, as_version=4)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    for cell in code(notebook):
        assert set(cell.metadata) <= {"tags", "mystnb"}
        for output in cell.outputs:
            assert set(output.get("data", {})) <= {"text/plain"}
            assert output.output_type in ("stream", "execute_result", "display_data")
            assert not re.search(r"\d{4}-\d\d-\d\dT|(^|\s)(/|[A-Z]:\\)\w+[/\\]|0x[0-9a-f]{6}", text(output)), text(
                output
            )


@reference
def test_its_code_is_the_templates(reference: Path) -> None:
    template = nbformat.read(REPOSITORY / "book" / reference.name, as_version=4)
    wanted = [(cell.source, cell.metadata) for cell in code(template)]
    found = [(cell.source, cell.metadata) for cell in code(nbformat.read(reference, as_version=4))]
    assert found == wanted, f"book/{reference.name} has changed: scgcnet study reference {reference.stem}"
