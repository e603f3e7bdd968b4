"""Templates of the book, their parameters, and their execution."""

from __future__ import annotations

import ast
import json
import math
import os
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from templates import write_template

from scgcnet.study.notebooks import (
    ChapterError,
    Parameter,
    ParameterError,
    chapter_parameters,
    check_parameters,
    execute,
    failed_file,
    failure,
    parameters_of,
    parse_value,
)
from scgcnet.study.plan import Chapter, Plan
from scgcnet.study.runs import PlanError

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((REPOSITORY / "book").glob("*.ipynb"))
EVIL = "\"; import os; os.abort() #'"


def text_of(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells
    return "".join(out.get("text", "") for cell in cells for out in cell.get("outputs", []))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_of_the_book(template: Path) -> None:
    """Stripped, titled, with commented parameters, and with alternative text and a caption where a cell draws."""
    notebook = nbformat.read(template, as_version=4)
    declared = parameters_of(template)
    assert all(parameter.comment for parameter in declared.values()), declared
    assert notebook.metadata.kernelspec.name == "python3" and "papermill" not in notebook.metadata
    assert notebook.cells[0].source.startswith("# ")
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        assert not cell.outputs and cell.execution_count is None and "papermill" not in cell.metadata
        if re.search(r"\b(plots|drawings)\.[a-z]\w*\(", cell.source):
            shown = cell.metadata.get("mystnb", {})
            assert shown.get("image", {}).get("alt") and shown.get("figure", {}).get("caption"), cell.source
            assert "display(" not in cell.source  # its table would become a figure too


def test_all_templates_are_chapters(plan: Plan) -> None:
    assert {chapter.template for chapter in plan.chapters.values()} == {f"book/{path.name}" for path in TEMPLATES}
    assert [name for name, chapter in plan.chapters.items() if chapter.last] == ["start", "runs", "report"]


class TestParameters:
    def test_declared(self, tmp_path: Path) -> None:
        source = "size: int = 64  # side in pixels\nplain = -1\nwide = [\n    1,\n    2,\n]  # two\n"
        declared = parameters_of(write_template(tmp_path / "a.ipynb", parameters=source))
        assert declared == {
            "size": Parameter(64, "side in pixels"),
            "plain": Parameter(-1, ""),
            "wide": Parameter([1, 2], "two"),
        }

    def test_refuses_more_than_values(self, tmp_path: Path) -> None:
        with pytest.raises(ChapterError, match="more than plain values"):
            parameters_of(write_template(tmp_path / "a.ipynb", parameters="a = open('x')"))
        (tmp_path / "broken.ipynb").write_text("{")
        with pytest.raises(ChapterError, match="is not a notebook"):
            parameters_of(tmp_path / "broken.ipynb")
        with pytest.raises(ChapterError, match="no such notebook"):
            parameters_of(tmp_path / "missing.ipynb")

    @pytest.mark.parametrize(
        ("text", "value"),
        [("5", 5), ("2e-4", 2e-4), ("true", True), ("bijie", "bijie"), ("[0, 1]", [0, 1]), ("null", None)],
    )
    def test_values_are_yaml(self, text: str, value: object) -> None:
        parsed = parse_value(text)
        assert parsed == value and type(parsed) is type(value)
        with pytest.raises(ParameterError, match="no value that YAML can read"):
            parse_value("!!python/object/apply:os.system [true]")

    def test_unknown_names_and_types_are_refused(self, tmp_path: Path) -> None:
        template = write_template(tmp_path / "a.ipynb", "1")
        with pytest.raises(
            ParameterError, match=r"'epohcs' \(did you mean 'epochs'\?\); it has epochs, lr, name, seeds"
        ):
            execute(template, tmp_path / "out.ipynb", {"epohcs": 5})
        for values in ({"epochs": "five"}, {"epochs": True}, {"epochs": 2.5}, {"lr": math.nan}, {"seeds": [[0]]}):
            with pytest.raises(ParameterError, match="is wanted, such as the default"):
                execute(template, tmp_path / "out.ipynb", values)
        assert not (tmp_path / "out.ipynb").exists()

    def test_the_profile_goes_where_it_is_declared(self, project: Path, plan: Plan) -> None:
        write_template(project / "book" / "a.ipynb", parameters='profile = "auto"  # p\nepochs = None  # e')
        write_template(project / "book" / "b.ipynb")
        a = Chapter(name="a", template="book/a.ipynb", parameters={"epochs": 1})
        b = Chapter(name="b", template="book/b.ipynb", parameters={"epochs": 4})
        assert chapter_parameters(plan, a, "cpu", {"epochs": 2}) == {"profile": "cpu", "epochs": 2}
        assert chapter_parameters(plan, b, "cpu") == {"epochs": 4}
        with pytest.raises(PlanError, match="no profile 'quick'"):
            chapter_parameters(plan, a, "quick")


texts = st.text() | st.text(alphabet="\"'\\\n\r\0\u2028{}$#;()N\u200f") | st.sampled_from(['"""', "\\", "%run x", EVIL])
scalars = (
    st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
) | texts
odd = st.sampled_from([math.nan, math.inf, 2**63, "\ud800", date(2020, 1, 1), b"x", {1}, ("a",), EVIL.encode()])
anything = st.recursive(scalars | odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner))


@given(value=anything)
def test_a_value_that_passes_arrives_as_itself(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Papermill writes parameters as code: a value must arrive as itself, and as nothing else."""
    declared = {"name": Parameter(None, "any")}
    try:
        check_parameters(declared, {"name": value}, "a.ipynb")
    except ParameterError as error:
        assert "\n" not in str(error) and len(str(error)) < 5000
        return
    template = REPOSITORY / "book" / "dataset.ipynb"
    notebook = load_notebook_node(str(template))
    notebook.cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    notebook = parameterize_notebook(notebook, {"name": value}, kernel_name="python3")
    (cell,) = [cell for cell in notebook.cells if "injected-parameters" in cell.metadata.tags]
    (node,) = ast.parse(cell.source).body
    assert isinstance(node, ast.Assign) and repr(ast.literal_eval(node.value)) == repr(value)


class TestExecute:
    def test_parameters_arrive_and_the_kernel_is_this_interpreter(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A kernel of the same name that the user once registered from elsewhere must not be taken.
        other = project / "user" / "kernels" / "python3"
        other.mkdir(parents=True)
        (other / "kernel.json").write_text(json.dumps({"argv": ["false"], "display_name": "x", "language": "python"}))
        monkeypatch.setenv("JUPYTER_DATA_DIR", str(project / "user"))
        code = "import os, sys; print(epochs, lr, name, seeds, sys.executable, os.getcwd())"
        template = write_template(project / "book" / "tiny.ipynb", code)
        values = {"epochs": 5, "lr": 1, "name": "x'y", "seeds": [1, 2]}
        output = execute(template, project / "build" / "tiny.ipynb", values)
        assert text_of(output).split() == ["5", "1", "x'y", "[1,", "2]", sys.executable, str(project)]
        assert list(output.parent.iterdir()) == [output]
        assert failure(output) is None and "JUPYTER_PATH" not in os.environ

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("raise ValueError('~~~ bad *thing*\\nsecond line')", "ValueError: ~~~ bad *thing*"),
            ("import os; os._exit(9)", "the kernel died: was there enough memory?"),
        ],
    )
    def test_a_failing_cell_leaves_its_page_and_no_older_one(self, project: Path, code: str, message: str) -> None:
        template = write_template(project / "book" / "tiny.ipynb", "print('before')", code, "print('after')")
        output = project / "build" / "tiny.ipynb"
        output.parent.mkdir()
        output.write_text("from an earlier time")
        with pytest.raises(ChapterError, match=re.escape(f"chapter tiny failed: {message}")):
            execute(template, output, {})
        assert list(output.parent.iterdir()) == [failed_file(output)]
        assert failure(failed_file(output)) == message and text_of(failed_file(output)) == "before\n"
        first = nbformat.read(failed_file(output), as_version=4).cells[0].source
        assert first.startswith("# Tiny\n\n:::{admonition} This chapter failed\n")
