"""Templates of the book executed by papermill, with what papermill lets pass refused.

A template is a notebook of book/ without outputs whose cell tagged `parameters` assigns plain values, each with a
comment beside it. papermill only warns about a parameter that the template does not have, and then computes with the
default; here it is an error, and so is a value of another type than the default's.
"""

from __future__ import annotations

import ast
import difflib
import math
import os
import re
import reprlib
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from papermill.execute import remove_error_markers

from scgcnet.study.plan import Chapter, Plan
from scgcnet.study.runs import project_root
from scgcnet.study.show import TABLES

CHAPTERS = "build/chapters"
TABLE_FOLDER = "build/tables"  # the tables of each executed chapter as CSV, by profile
BY_HAND = "build/by-hand"  # those executed with other parameters than the book's
KERNEL = "python3"
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SHORT = reprlib.Repr()  # for messages: a value may be as long as memory
_SHORT.maxlevel = 2
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


class ParameterError(ValueError):
    """A chapter was asked for with a parameter it does not have, or a value it cannot take."""


class ChapterError(RuntimeError):
    """A chapter could not be executed to its end; the message names the chapter and the error's last line."""


@dataclass(frozen=True)
class Parameter:
    """One assignment of a template's parameters cell: its default and its comment."""

    default: Any
    comment: str


def parameters_of(template: Path) -> dict[str, Parameter]:
    """The parameters of a template, in its order.

    Raises:
        ChapterError: the file is no notebook, or its parameters cell is missing, double, or not of plain values.
    """
    cells = [cell for cell in read_notebook(template).cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ChapterError(f"{template}: {len(cells)} cells are tagged `parameters`; a template has one")
    found = papermill.inspect_notebook(str(template))
    try:
        return {name: Parameter(ast.literal_eval(one["default"]), one["help"]) for name, one in found.items()}
    except (SyntaxError, ValueError) as error:
        raise ChapterError(f"{template}: the parameters cell holds more than plain values: {error}") from None


def executed_file(name: str, profile: str) -> str:
    """Where the workflow puts an executed chapter, relative to the project root."""
    return f"{CHAPTERS}/{profile}/{name}.ipynb"


def failed_file(output: Path) -> Path:
    """Where a chapter that failed is kept: beside the file that it would have become, as X.failed.ipynb."""
    return output.with_suffix(".failed.ipynb")


def chapter_parameters(
    plan: Plan, chapter: Chapter, profile: str | None, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a chapter is executed with: study.yml's parameters, the profile if it has one, the caller's changes.

    Raises:
        PlanError: there is no such profile.
        ParameterError: see `check_parameters`.
    """
    template = project_root() / chapter.template
    declared, values = parameters_of(template), dict(chapter.parameters)
    if profile is not None:
        values |= chapter.quick if plan.profile(profile).data == "synthetic" else {}
        values |= {"profile": profile} if "profile" in declared else {}
    values |= changes or {}
    check_parameters(declared, values, chapter.template)
    return values


def parse_value(text: str) -> Any:
    """A value typed on the command line, read as YAML: 5, 2e-4, true, bijie, [0, 1, 2].

    YAML 1.1 reads 2e-4 as text; here it is the number that was meant.

    Raises:
        ParameterError: the text is not valid YAML.
    """
    if _EXPONENT.fullmatch(text.strip()):
        return float(text)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ParameterError(f"{_SHORT.repr(text)} is no value that YAML can read: {error}") from None


def check_parameters(declared: Mapping[str, Parameter], values: Mapping[str, Any], template: str | Path) -> None:
    """Refuse values that a template cannot take.

    A value has the type of the default, and what a list holds the type of what the default holds; a whole number
    also passes for a fraction. For None anything plain passes: None, a truth value, a finite number, text, or a list
    of those. Nothing else ever does: papermill writes a value into the notebook as code, and would write a date, a
    set or bytes unescaped.

    Raises:
        ParameterError: the first that it cannot take, with the nearest name and all allowed ones.
    """
    for name, value in values.items():
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ParameterError(f"{template} has no parameter {name!r}{hint}; it has {', '.join(declared) or 'none'}")
        default = declared[name].default
        if _is_plain(value) and _fits(value, default):
            continue
        wanted = "a plain value" if default is None else type(default).__name__
        raise ParameterError(
            f"{template}: {name} = {_SHORT.repr(value)} is {type(value).__name__}, but {wanted} is "
            f"wanted, such as the default {default!r} ({declared[name].comment})"
        )


def _is_plain(value: object, inner: bool = False) -> bool:
    """Tell whether papermill writes the value as a literal that reads as the same value."""
    if type(value) is list:
        return not inner and all(_is_plain(item, inner=True) for item in value)
    if type(value) is str:
        return not _SURROGATE.search(value)  # no file can hold one
    if type(value) is int:
        return abs(value) < 2**63  # Python refuses to print the longest
    return value is None or type(value) is bool or (type(value) is float and math.isfinite(value))


def _fits(value: object, default: object) -> bool:
    if isinstance(value, list) and isinstance(default, list):
        return all(_fits(item, default[0] if default else None) for item in value)
    return default is None or type(value) is type(default) or (type(value), type(default)) == (int, float)


def execute(template: Path, output: Path, parameters: Mapping[str, Any] | None = None) -> Path:
    """Execute a template in the project root with this very interpreter.

    Progress goes to stderr. The output appears whole when the last cell has run. Where a cell fails, what ran
    up to it is left at `failed_file(output)` with the error on top, and an older output is removed.

    Args:
        template: notebook of book/.
        output: file to write.
        parameters: values for names of the template's parameters cell.

    Returns:
        `output`.

    Raises:
        ParameterError: the template cannot take the parameters; nothing was executed.
        ChapterError: the template is none, or a cell failed.
    """
    notebook, values = read_notebook(template), dict(parameters or {})
    check_parameters(parameters_of(template), values, template)
    output, failed = output.absolute(), failed_file(output.absolute())
    partial = output.with_suffix(f".{os.getpid()}.partial.ipynb")  # of this process alone
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    started = time.monotonic()
    print(f"chapter {output.stem}: executing {len(notebook.cells)} cells of {template.name}", file=sys.stderr)
    tables = project_root() / TABLE_FOLDER / output.parent.name / output.stem
    shutil.rmtree(tables, ignore_errors=True)
    try:
        with _environment(JUPYTER_PATH=_own_kernels(), **{TABLES: str(tables)}):
            papermill.execute_notebook(
                str(template.absolute()),
                str(partial),
                values,
                kernel_name=KERNEL,
                cwd=str(project_root()),
                progress_bar=sys.stderr.isatty(),
                # It warns of its own transport each time; and torch and numba take seconds to leave in order.
                extra_arguments=[
                    "--IPKernelApp.log_level=40",
                    "--IPKernelApp.exec_lines=import atexit, os; atexit.register(os._exit, 0)",
                ],
            )
    except (PapermillExecutionError, DeadKernelError) as error:
        message = _last_line(error)
        nbformat.write(_mark_failed(read_notebook(partial) if partial.exists() else notebook, message), partial)
        partial.replace(failed)
        raise ChapterError(f"chapter {output.stem} failed: {message}; see {_relative(failed)}") from None
    partial.replace(output)
    failed.unlink(missing_ok=True)
    print(f"chapter {output.stem}: done in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return output


def write_not_executed(template: Path, page: Path, reason: str) -> None:
    """Write a template as a page of the book that says on top why it was not executed."""
    nbformat.write(_mark_failed(read_notebook(template), reason), page)


def failure(page: Path) -> str | None:
    """Why the chapter on this page failed, or None where it did not."""
    message: str | None = read_notebook(page).metadata.get("scgcnet", {}).get("failure")
    return message


def set_title(page: Path, title: str) -> None:
    """Replace the title of a page, the first line of its first cell."""
    notebook = read_notebook(page)
    _, _, rest = notebook.cells[0].source.partition("\n")
    notebook.cells[0].source = f"# {title}\n{rest}"
    nbformat.write(notebook, page)


def dress(page: Path, name: str, template: Path) -> None:
    """Make a page of an executed chapter: code folded away, and how to run it again.

    Code is left out where it shows nothing, or where what it shows is folded itself (tag `hide-output`). The notebook
    that was executed stays whole; this is the book's copy.

    Args:
        page: the copy.
        name: of the chapter.
        template: the notebook that it was executed from.
    """
    notebook = read_notebook(page)
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            tags = cell.metadata.get("tags", [])
            silent, folded = "parameters" in tags or not cell.outputs, "hide-output" in tags
            cell.metadata["tags"] = [*tags, "remove-cell" if silent else "remove-input" if folded else "hide-input"]
    notebook.cells.append(nbformat.v4.new_markdown_cell(_rerun_box(notebook, name, template), id=f"rerun-{name}"[:60]))
    nbformat.write(notebook, page)


def _rerun_box(notebook: nbformat.NotebookNode, name: str, template: Path) -> str:
    ran: Mapping[str, Any] = notebook.metadata.get("papermill", {})
    values, file = ran.get("parameters", {}), f"{template.parent.name}/{template.name}"
    rows, example = [], ""
    for key, parameter in parameters_of(template).items():
        used = values.get(key, parameter.default)
        rows.append(f"| `{key}` | `{used!r}` | {parameter.comment} |".replace("\n", " "))
        example = example or f" -p {key} {shlex.quote(str(used))}" * isinstance(used, (str, int, float))
    lines = [
        ":::{dropdown} Rerun this chapter",
        f"```sh\npapermill {file} {name}.ipynb{example}\n```",
        f"or `scgcnet chapter {name}`, which also refuses a parameter that the chapter does not have.",
        "",
        "| parameter | value here | meaning |\n|---|---|---|\n" + "\n".join(rows) if rows else "It has no parameters.",
    ]
    if ended := ran.get("end_time"):
        lines += ["", f"Last executed on {ended[:10]}, in {ran.get('duration') or 0:.0f} s."]
    return "\n".join([*lines, ":::"])


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """A notebook in the current format.

    Raises:
        ChapterError: the file is missing, or no notebook.
    """
    try:
        notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
        return notebook
    except FileNotFoundError:
        raise ChapterError(f"{path}: no such notebook") from None
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, AttributeError, KeyError) as error:
        raise ChapterError(f"{path} is not a notebook: {error}") from None


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Environment variables for a kernel that is started in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _own_kernels() -> str:
    """JUPYTER_PATH under which `python3` means this interpreter, whatever kernel of that name the user registered."""
    own, before = str(Path(sys.prefix) / "share" / "jupyter"), os.environ.get("JUPYTER_PATH")
    return own if not before else own + os.pathsep + before


def _last_line(error: Exception) -> str:
    if isinstance(error, PapermillExecutionError):
        return f"{error.ename}: {error.evalue}".strip().splitlines()[0].rstrip(": ")
    return "the kernel died: was there enough memory?"


def _mark_failed(notebook: nbformat.NotebookNode, message: str) -> nbformat.NotebookNode:
    """Put the error below the title, where no reader misses it and the title remains the first heading."""
    notebook = remove_error_markers(notebook)  # papermill's own come before the title, in red
    if not notebook.cells or notebook.cells[0].cell_type != "markdown":
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# Untitled"))
    notebook.metadata["scgcnet"] = {"failure": message}
    title, _, rest = notebook.cells[0].source.partition("\n")
    fence = "~" * 12  # longer than any in a message
    notebook.cells[0].source = (
        f"{title}\n\n:::{{admonition}} This chapter failed\n:class: error\n"
        f"It is not complete, and nothing in it should be used. The error was:\n\n"
        f"{fence}text\n{message}\n{fence}\n:::\n{rest}"
    )
    return notebook


def _relative(path: Path) -> str:
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)
