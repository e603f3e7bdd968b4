"""What papermill makes of a parameter is code: a value must arrive as itself, and as nothing else."""

import ast
import base64
import math
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from templates import write_template

from scgcnet.cli import main
from scgcnet.study.chapters import (
    Parameter,
    ParameterError,
    chapter_parameters,
    check_parameters,
    declared_parameters,
    execute,
    parse_value,
)
from scgcnet.study.plan import PlanError
from scgcnet.study.plan_reader import load_plan

TEMPLATES = sorted((Path(__file__).resolve().parents[2] / "book").glob("*.ipynb"))
EVIL = "\"; import os; os.abort() #'"

texts = st.text() | st.text(alphabet="\"'\\\n\r\0\u2028{}$#;()N\u200f") | st.sampled_from(
    ['"""', "'''", "\\", '\\"', "\\N{DIGIT ONE}", "\\x41", "\n", "\0", "%run x", "!ls", "{__import__('os')}", EVIL]
)  # fmt: skip
numbers = st.integers(1 - 2**63, 2**63 - 1)
scalars = st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | texts
plain = scalars | st.lists(scalars, max_size=4)
# What YAML can give besides, nested at will.
odd = (
    st.sampled_from([math.nan, math.inf, -math.inf, 2**63, -(2**70), "\ud800", date(2020, 1, 1)])
    | st.binary()
    | st.just(EVIL.encode())
    | st.sets(texts, max_size=2)
    | st.dictionaries(texts | st.binary() | st.none() | st.integers(), scalars, max_size=2)
    | st.tuples(texts)
)
anything = st.recursive(plain | odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner))


def injected(template: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The values as papermill writes them into a template, read back from the code."""
    notebook = load_notebook_node(str(template))
    notebook.cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    notebook = parameterize_notebook(notebook, values, kernel_name="python3")
    (cell,) = [cell for cell in notebook.cells if "injected-parameters" in cell.metadata.tags]
    found = {}
    for node in ast.parse(cell.source).body:
        assert isinstance(node, ast.Assign), cell.source
        (target,) = node.targets
        assert isinstance(target, ast.Name) and target.id not in found, cell.source
        found[target.id] = ast.literal_eval(node.value)
    return found


def exactly(value: object) -> str:
    return repr(value)  # tells 1 from 1.0 and True, and 0.0 from -0.0


@pytest.fixture(scope="module", params=TEMPLATES, ids=lambda path: path.name)
def template(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@given(data=st.data())
def test_what_passes_arrives_as_itself(template: Path, data: st.DataObject) -> None:
    declared = declared_parameters(template)
    values = data.draw(st.dictionaries(st.sampled_from(sorted(declared)), anything))
    try:
        checked = check_parameters(declared, values, template)
    except ParameterError as error:
        assert "\n" not in str(error) and len(str(error)) < 5000
        return
    assert exactly(injected(template, checked)) == exactly(checked) == exactly(values)


@given(data=st.data())
def test_plain_values_pass_and_arrive(template: Path, data: st.DataObject) -> None:
    fractions = st.floats(allow_nan=False, allow_infinity=False) | numbers
    kinds = {type(None): plain, str: texts, bool: st.booleans(), int: numbers, float: fractions}
    declared = declared_parameters(template)
    values = {}
    for name, default in ((name, parameter.default) for name, parameter in declared.items()):
        many = isinstance(default, list)
        values[name] = data.draw(st.lists(kinds[type(default[0])], max_size=3) if many else kinds[type(default)])
    checked = check_parameters(declared, values, template)
    assert exactly(injected(template, checked)) == exactly(values)


@pytest.mark.parametrize(
    "text",
    [
        f"!!binary {base64.b64encode(EVIL.encode()).decode()}",
        "!!set {'\"; import os; os.abort() #': null}",
        "2020-01-01",
        ".nan",
        "-.inf",
        "1e999",
        "0x" + "f" * 20,
        "{a: 1}",
        "[[1]]",
        "[.inf]",
        "[{a: 1}]",
        '"\\ud800"',
    ],
    ids=lambda text: text[:12],
)
def test_what_yaml_can_say_but_no_literal(text: str) -> None:
    """The default None takes any plain value; before this was checked, the first two ran code in the kernel."""
    declared = {"size": Parameter("size", None, "any")}
    with pytest.raises(ParameterError, match="but a plain value is wanted"):
        check_parameters(declared, {"size": parse_value(text)}, "a.ipynb")


def test_an_odd_value_of_the_right_type_is_refused() -> None:
    declared = {"lr": Parameter("lr", 0.1, "rate"), "seeds": Parameter("seeds", [0], "numbers")}
    for name, value in (("lr", math.nan), ("lr", True), ("seeds", ["a"]), ("seeds", [True]), ("seeds", [[0]])):
        with pytest.raises(ParameterError, match=f"{name} = "):
            check_parameters(declared, {name: value}, "a.ipynb")
    assert check_parameters(declared, {"lr": 1, "seeds": []}, "a.ipynb") == {"lr": 1, "seeds": []}


@given(st.text() | st.integers() | st.none())
def test_a_name_that_is_not_declared_is_refused(name: Any) -> None:
    with pytest.raises(ParameterError, match="has no parameter"):
        check_parameters({"size": Parameter("size", None, "any")}, {f"{name}\nsize": 1}, "a.ipynb")


def test_execution_refuses_before_anything_runs(project: Path) -> None:
    template = write_template(project / "book" / "tiny.ipynb", "open('ran', 'w')")
    for values in ({"name": EVIL.encode()}, {EVIL: 1}, {"name\nimport os": 1}):
        with pytest.raises(ParameterError):
            execute(template, project / "out.ipynb", values)
    assert not (project / "ran").exists() and not (project / "out.ipynb").exists()
    execute(template, project / "out.ipynb", {"name": EVIL})
    assert (project / "ran").exists()


@pytest.mark.parametrize(
    "value", ["!!python/object/apply:os.abort []", "&a [*a]", "!!set {x}", "2020-13-45", "!!binary IjsgMSAvIDA="]
)
def test_the_command_line_says_it_in_one_line(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "chapter", "bijie", "-p", "size", value]) == 2
    error = capsys.readouterr().err
    assert error.startswith("scgcnet: ") and error.count("\n") == 1


def test_study_yml_cannot_either(project: Path) -> None:
    text = (project / "study.yml").read_text()
    wanted = "parameters: {dataset: bijie}"
    assert text.count(wanted) == 1
    faults = {
        "{!!python/name:os.abort : 1}": "is not valid YAML: could not determine",
        "&a {dataset: *a}": "is not valid YAML: its aliases",
        "{'x; import os': 1}": "chapters.bijie.parameters",
        "{1: 2}": "chapters.bijie.parameters",
    }
    for changed, message in faults.items():
        (project / "study.yml").write_text(text.replace(wanted, f"parameters: {changed}"))
        with pytest.raises(PlanError, match=message) as error:
            load_plan()
        assert "\n" not in str(error.value)
    (project / "study.yml").write_text(text.replace(wanted, "parameters: {dataset: !!binary IjsgMSAvIDA=}"))
    plan = load_plan()
    (project / "book").mkdir()
    (project / "book" / "dataset.ipynb").write_bytes(next(t for t in TEMPLATES if t.stem == "dataset").read_bytes())
    with pytest.raises(ParameterError, match=r"dataset = .* is bytes, but str is wanted"):
        chapter_parameters(plan, plan.chapters["bijie"], None)
