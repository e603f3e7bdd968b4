"""Reference notebooks: what templates of the book print on every machine, compared by nbval.

    python tests/notebooks/test_references.py --write NAME

executes book/NAME.ipynb with its defaults and writes its code and printed text to NAME.ipynb here.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from scgcnet.study.notebooks import BY_HAND, execute

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parents[1]
REFERENCES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
IGNORED = "nbval-ignore-output"  # nbval's tag for cells whose output depends on the machine or its data: figures, times
REMEDY = "if that is meant to change: python tests/notebooks/test_references.py --write"


def template(name: str) -> nbformat.NotebookNode:
    return nbformat.read(REPOSITORY / "book" / f"{name}.ipynb", as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Printed text and the plain text of tables, without HTML, images and metadata."""
    kept = []
    for output in outputs:
        if "text/plain" in output.get("data", {}):
            output.data, output.metadata = {"text/plain": output.data["text/plain"]}, {}
            kept.append(output)
        elif output.output_type == "stream" and output.name == "stdout":
            kept.append(output)
    return kept


def write(name: str) -> Path:
    """Write the reference of a template; a cell that fails leaves the older one."""
    os.chdir(REPOSITORY)
    notebook = template(name)
    executed = execute(Path("book") / f"{name}.ipynb", Path(BY_HAND) / f"{name}.ipynb")
    for cell, done in zip(notebook.cells, nbformat.read(executed, as_version=4).cells, strict=True):
        if cell.cell_type == "code":
            cell.execution_count = done.execution_count  # nbval compares nothing where it is missing
            cell.outputs = [] if IGNORED in cell.metadata.get("tags", []) else texts(done.outputs)
    title = f"The code of book/{name}.ipynb and what it prints, written by test_references.py."
    notebook.cells = [nbformat.v4.new_markdown_cell(title, id="title"), *code(notebook)]
    nbformat.write(notebook, FOLDER / f"{name}.ipynb")
    return FOLDER / f"{name}.ipynb"


def nbval(notebook: Path) -> subprocess.CompletedProcess[str]:
    """Run nbval in the root of the project, whatever the options of these tests."""
    options = ["--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "--color=no", "-c", "pyproject.toml"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "pytest", *options, str(notebook)]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=900)


@pytest.mark.parametrize("name", REFERENCES)
def test_the_code_is_the_templates(name: str) -> None:
    wanted = [(cell.source, cell.metadata) for cell in code(template(name))]
    found = [(cell.source, cell.metadata) for cell in code(nbformat.read(FOLDER / f"{name}.ipynb", as_version=4))]
    assert found == wanted, f"book/{name}.ipynb has changed; {REMEDY} {name}"


LONG = {"audit"}  # half a minute; it checks the paper's printed tables alone


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in REFERENCES])
def test_the_output_is_the_same(name: str) -> None:
    done = nbval(FOLDER / f"{name}.ipynb")
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{REMEDY} {name}"


@pytest.mark.slow
def test_a_changed_number_is_noticed(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "conftest.py", tmp_path)
    notebook = nbformat.read(FOLDER / "audit.ipynb", as_version=4)
    cells = code(notebook)
    index = next(i for i, cell in enumerate(cells) if cell.outputs)
    shown = cells[index].outputs[-1].data
    shown["text/plain"] = re.sub(r"\d\.\d", "x.x", shown["text/plain"], count=1)
    notebook.cells = cells[: index + 1]
    nbformat.write(notebook, tmp_path / "audit.ipynb")
    done = nbval(tmp_path / "audit.ipynb")
    assert done.returncode == 1 and f"Cell {index}: Cell outputs differ" in done.stdout, done.stdout[-6000:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", metavar="NAME", required=True, help="a template of book/, without its ending")
    print(write(parser.parse_args().write))
