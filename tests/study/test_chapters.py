import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from templates import PARAMETERS, write_template

from scgcnet.study.chapters import (
    ChapterError,
    ParameterError,
    chapter_parameters,
    declared_parameters,
    execute,
    failed_file,
    failure,
    parse_value,
    record_file,
    runs_shown,
    template_faults,
)
from scgcnet.study.plan import Chapter, PlanError
from scgcnet.study.plan_reader import load_plan

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((REPOSITORY / "book").glob("*.ipynb"))
FIGURE = {"image": {"alt": "A line."}, "figure": {"caption": "A line."}}
FIGURE_CELL = {"mystnb": FIGURE}


def text_of(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells
    return "".join(out.get("text", "") for cell in cells for out in cell.get("outputs", []))


class TestParameters:
    def test_declared(self, tmp_path: Path) -> None:
        source = "# side in pixels\nsize: int = 64\nplain = -1\nwide = [\n    1,\n    2,\n]  # two\n"
        declared = declared_parameters(write_template(tmp_path / "a.ipynb", parameters=source))
        assert [(p.name, p.default, p.comment) for p in declared.values()] == [
            ("size", 64, "side in pixels"),
            ("plain", -1, ""),  # the comment above the line before is not its own
            ("wide", [1, 2], "two"),
        ]

    @pytest.mark.parametrize("source", ["import os", "a = b = 1", "a, b = 1, 2", "a = open('x')", "a ="])
    def test_refuses_more_than_values(self, tmp_path: Path, source: str) -> None:
        with pytest.raises(ChapterError, match="more than plain values"):
            declared_parameters(write_template(tmp_path / "a.ipynb", parameters=source))

    def test_refuses_what_is_no_template(self, tmp_path: Path) -> None:
        broken = tmp_path / "broken.ipynb"
        broken.write_text("{")
        with pytest.raises(ChapterError, match="is not a notebook"):
            declared_parameters(broken)
        with pytest.raises(ChapterError, match="no such notebook"):
            declared_parameters(tmp_path / "missing.ipynb")

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("5", 5),
            ("2e-4", 2e-4),
            ("1.5E3", 1500.0),
            ("true", True),
            ("bijie", "bijie"),
            ("[0, 1]", [0, 1]),
            ("null", None),
        ],
    )
    def test_parse_value(self, text: str, value: object) -> None:
        parsed = parse_value(text)
        assert parsed == value and type(parsed) is type(value)

    def test_parse_value_refuses_tags(self) -> None:
        with pytest.raises(ParameterError, match="no value that YAML can read"):
            parse_value("!!python/object/apply:os.system [true]")

    def test_unknown_name_gets_the_nearest(self, tmp_path: Path) -> None:
        template = write_template(tmp_path / "a.ipynb", "1")
        with pytest.raises(
            ParameterError, match=r"no parameter 'epohcs' \(did you mean 'epochs'\?\); it has epochs, lr, name, seeds"
        ):
            execute(template, tmp_path / "out.ipynb", {"epohcs": 5})
        assert not (tmp_path / "out.ipynb").exists()

    @pytest.mark.parametrize(
        "values", [{"epochs": "five"}, {"epochs": True}, {"epochs": 2.5}, {"lr": "x"}, {"seeds": 1}]
    )
    def test_refuses_another_type(self, tmp_path: Path, values: dict[str, object]) -> None:
        with pytest.raises(ParameterError, match="is wanted, such as the default"):
            execute(write_template(tmp_path / "a.ipynb", "1"), tmp_path / "out.ipynb", values)


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
        output = execute(
            template, project / "build" / "tiny.ipynb", {"epochs": 5, "lr": 1, "name": "x'y", "seeds": [1, 2]}
        )
        assert text_of(output).split() == ["5", "1", "x'y", "[1,", "2]", sys.executable, str(project)]
        assert list(output.parent.iterdir()) == [output]
        assert failure(output) is None
        assert "JUPYTER_PATH" not in os.environ

    def test_a_failing_cell_leaves_its_page_and_no_older_one(self, project: Path) -> None:
        code = ("print('before')", "raise ValueError('~~~ bad *thing*\\nsecond line')", "print('after')")
        template = write_template(project / "book" / "tiny.ipynb", *code)
        output = project / "build" / "tiny.ipynb"
        output.parent.mkdir()
        output.write_text("from an earlier time")
        with pytest.raises(
            ChapterError, match=r"chapter tiny failed: ValueError: ~~~ bad \*thing\*; see build/tiny.failed"
        ):
            execute(template, output, {})
        assert list(output.parent.iterdir()) == [failed_file(output)]
        assert failure(failed_file(output)) == "ValueError: ~~~ bad *thing*"
        assert text_of(failed_file(output)) == "before\n"
        first = nbformat.read(failed_file(output), as_version=4).cells[0].source
        assert first.startswith("# Tiny\n\n:::{admonition} This chapter failed\n")
        assert "~~~~~~~~~~~~text\nValueError: ~~~ bad *thing*\n~~~~~~~~~~~~\n:::" in first

    def test_a_dead_kernel_is_a_failure(self, project: Path) -> None:
        template = write_template(project / "book" / "tiny.ipynb", "import os; os._exit(9)")
        with pytest.raises(ChapterError, match="the kernel died"):
            execute(template, project / "build" / "tiny.ipynb", {})
        assert failure(project / "build" / "tiny.failed.ipynb")


class TestWorkflowQuestions:
    def test_parameters_take_the_profile_where_it_is_declared(self, project: Path) -> None:
        plan = load_plan()
        declared = 'profile = "auto"  # p\ndataset = "bijie"  # d\nepochs = None  # e'
        write_template(project / "book" / "a.ipynb", parameters=declared)
        write_template(project / "book" / "b.ipynb")
        a, b = Chapter("a", "book/a.ipynb", {"dataset": "x"}), Chapter("b", "book/b.ipynb", {"epochs": 4})
        assert chapter_parameters(plan, a, "cpu", {"epochs": 2}) == {"dataset": "x", "profile": "cpu", "epochs": 2}
        assert chapter_parameters(plan, b, "cpu") == {"epochs": 4}
        with pytest.raises(PlanError, match="no profile 'quick'"):
            chapter_parameters(plan, a, "quick")
        with pytest.raises(ParameterError, match="'profile'"):
            chapter_parameters(plan, b, "cpu", {"profile": "cpu"})

    def test_runs_shown(self, project: Path) -> None:
        plan = load_plan()
        write_template(project / "book" / "none.ipynb")
        write_template(project / "book" / "all.ipynb", parameters='profile = "smoke"  # p')
        three = 'profile = "smoke"  # p\ndataset = "bijie"  # d\nmodels = ["scgcnet"]  # m'
        write_template(project / "book" / "one.ipynb", parameters=three)
        none, every = Chapter("none", "book/none.ipynb"), Chapter("all", "book/all.ipynb")
        one, other = Chapter("one", "book/one.ipynb"), Chapter("one", "book/one.ipynb", {"dataset": "other"})
        assert runs_shown(plan, none, "cpu") == []
        assert runs_shown(plan, every, "cpu") == []  # it says "not run" of what is not there
        assert runs_shown(plan, other, "cpu") == []
        shown = runs_shown(plan, one, "cpu")
        settings = plan.profile("cpu").settings
        assert [(run.split, run.seed) for run in shown if isinstance(run.split, int)] == [
            (0, 0), (0, 1), (0, 2), (1, 0), (2, 0),
        ]  # fmt: skip
        assert all((run.dataset, run.model, run.settings) == ("bijie", "scgcnet", settings) for run in shown)
        assert not any(run.overrides for run in shown)
        assert runs_shown(plan, one, "smoke") == []  # made in seconds, by the page itself

    def test_record_file(self, project: Path) -> None:
        plan = load_plan()
        smoke, cpu = plan.select("smoke")[0], plan.select("cpu")[0]
        assert record_file(plan, smoke) == f"build/runs/{smoke.run_id}.json"
        assert record_file(plan, cpu) == f"results/runs/{cpu.run_id}.json"


class TestTemplates:
    @pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
    def test_of_the_book(self, template: Path) -> None:
        assert template_faults(template) == []

    def test_all_are_chapters(self) -> None:
        """So the smoke book executes every one of them."""
        used = {chapter.template for chapter in load_plan(REPOSITORY / "study.yml").chapters.values()}
        assert used == {f"book/{template.name}" for template in TEMPLATES}

    def test_a_good_one(self, tmp_path: Path) -> None:
        path = write_template(tmp_path / "a.ipynb", "plt.plot([1])")
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[2].metadata["mystnb"] = FIGURE
        nbformat.write(notebook, path)
        assert template_faults(path) == []

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            (lambda nb: nb.cells[2].update(execution_count=1), "cell 2 has outputs or an execution count"),
            (lambda nb: nb.cells[2].outputs.append(nbformat.v4.new_output("stream", text="x")), "cell 2 has outputs"),
            (lambda nb: nb.metadata.update(papermill={}), "carries papermill metadata"),
            (lambda nb: nb.cells[2].metadata.update(papermill={}), "carries papermill metadata"),
            (lambda nb: nb.cells[2].update(source="plots.curves(x)"), "cell 2 draws, but has no alt"),
            (lambda nb: nb.cells[2].update(source="plt.show()"), "cell 2 draws, but has no caption"),
            (
                lambda nb: nb.cells[2].update(source="display(a)\nplots.b(x)", metadata=FIGURE_CELL),
                "draws and displays",
            ),
            (lambda nb: nb.cells[1].metadata.update(tags=[]), "0 cells are tagged `parameters`"),
            (lambda nb: nb.cells[2].metadata.update(tags=["parameters"]), "2 cells are tagged `parameters`"),
            (lambda nb: nb.cells[1].update(source="a = 1"), "parameter a has no comment"),
            (lambda nb: nb.cells[0].update(source="text"), "does not start with a title"),
            (lambda nb: nb.metadata.kernelspec.update(name="mine"), "kernelspec is not python3"),
        ],
    )
    def test_faults(self, tmp_path: Path, change, fault: str) -> None:
        path = write_template(tmp_path / "a.ipynb", "1 + 1", parameters=PARAMETERS)
        notebook = nbformat.read(path, as_version=4)
        change(notebook)
        nbformat.write(notebook, path)
        assert any(fault in found for found in template_faults(path)), template_faults(path)
