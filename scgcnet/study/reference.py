"""Reference notebooks: what a template of the book says on every machine, for nbval to compare with."""

from __future__ import annotations

from pathlib import Path

import nbformat

from scgcnet import files
from scgcnet.study.book import PAGES
from scgcnet.study.chapters import BY_HAND, execute, read_notebook
from scgcnet.study.plan import project_root

REFERENCES = "tests/notebooks"
IGNORED = "nbval-ignore-output"  # nbval's tag for cells whose outputs may differ: figures, timings, what is at hand


def write_reference(name: str) -> Path:
    """Execute a template with its defaults and keep its code cells and what they print.

    Of an output the plain text is kept: tables and notes have their numbers there too. HTML, images, and all
    outputs of cells with the tag `nbval-ignore-output` go, and so does everything that papermill and the kernel
    note about themselves.

    Args:
        name: of a template, `book/NAME.ipynb`.

    Returns:
        The notebook, in `tests/notebooks`.

    Raises:
        ChapterError: there is no such template, or a cell failed; an older reference is left as it was.
        WriteError: the reference cannot be written.
    """
    root = project_root()
    template = root / PAGES / f"{name}.ipynb"
    executed = read_notebook(execute(template, root / BY_HAND / f"{name}.ipynb"))
    notebook = read_notebook(template)
    for cell, done in zip(notebook.cells, executed.cells, strict=True):
        if cell.cell_type == "code":
            cell.execution_count = done.execution_count  # nbval compares nothing where it is missing
            cell.outputs = [] if IGNORED in cell.metadata.get("tags", []) else _texts(done.outputs)
    title = f"The code of {PAGES}/{name}.ipynb and what it prints, written by `scgcnet study reference {name}`."
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(title, id="title"))
    path = root / REFERENCES / f"{name}.ipynb"
    files.write_text(path, nbformat.writes(notebook) + "\n")
    return path


def _texts(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    kept = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stdout":
            kept.append(output)
        elif "text/plain" in output.get("data", {}):
            output.data = {"text/plain": output.data["text/plain"]}
            output.metadata = {}
            kept.append(output)
    return kept
