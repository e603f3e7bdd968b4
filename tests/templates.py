"""Small notebooks for the tests of chapters, the book and the workflow."""

from pathlib import Path

import nbformat
from nbformat import v4

PARAMETERS = """epochs = 3  # passes, from 1
lr = 0.1  # peak learning rate
name = None  # any text
seeds = [0]  # whole numbers"""


def write_template(path: Path, *code: str, parameters: str = PARAMETERS, title: str = "# Tiny") -> Path:
    """A template as it stands in book/: a title, a cell of parameters, and code."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [v4.new_markdown_cell(title), v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    cells += [v4.new_code_cell(source) for source in code]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path
