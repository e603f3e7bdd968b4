"""CONTRIBUTING.md is followed to the letter in a copy of the project: a data set, a network and a chapter."""

import re
from pathlib import Path

import numpy as np
import pytest
from pages import REPOSITORY, commands, copy_project, shell
from PIL import Image
from scgcnet.study.chapters import template_faults
from scgcnet.study.plan_reader import load_plan

from scgcnet.study.book import stage

PAGE = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
# A fenced block, with the file that the line above it names: the file's whole text, or in a diff its change.
BLOCK = re.compile(r"^(?:`(?P<file>[\w./]+)`:\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(block["file"], block["kind"], block["text"]) for block in BLOCK.finditer(PAGE)]
STEPS = [(kind, text) for file, kind, text in BLOCKS if not file]
ELSEWHERE = {"make test"}  # it would run this test


def change(text: str, diff: str) -> str:
    """Apply the parts of a diff; what stands around an added line must be there, once."""
    for part in diff.split("@@\n"):
        lines = part.splitlines(keepends=True)
        assert all(line[0] in " +-" for line in lines), part
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        assert f"\n{text}".count(f"\n{before}") == 1, f"CONTRIBUTING.md changes what is not there: {before!r}"
        text = f"\n{text}".replace(f"\n{before}", f"\n{after}")[1:]
    return text


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("contributing"))
    rng = np.random.default_rng(0)
    for kind, shape, values in (("image", (40, 50, 3), np.arange(256)), ("mask", (40, 50), np.array([0, 255]))):
        (folder / "data" / "mine" / kind).mkdir(parents=True)
        for index in range(12):
            picture = rng.choice(values.astype(np.uint8), shape)
            Image.fromarray(picture).save(folder / "data" / "mine" / kind / f"slide{index:02}.png")
    for file, kind, text in BLOCKS:
        if file and kind == "diff":
            (folder / file).write_text(change((folder / file).read_text("utf-8"), text), "utf-8")
        elif file:
            assert not (folder / file).exists(), f"CONTRIBUTING.md adds {file}, which is there already"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text, "utf-8")
    return folder


def test_every_block_is_used() -> None:
    assert len(BLOCKS) == PAGE.count("\n```") / 2
    assert {kind for _, kind, _ in BLOCKS} == {"python", "diff", "sh"}
    assert sum(kind == "sh" for kind, _ in STEPS) == PAGE.count("```sh\n")


def test_the_steps_in_their_order(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test, because each step needs those before it."""
    said = ""
    for kind, text in STEPS:
        if kind == "python":
            (project / "step.py").write_text(text, "utf-8")
            steps = ["python step.py && rm step.py"]
        else:
            lines = re.sub(r" +#.*", "", text).splitlines()
            steps = [line for line in lines if line not in ELSEWHERE]
        for step in steps:
            done = shell(step, project)
            assert done.returncode == 0, f"{step}\n{text}\n{done.stdout[-5000:]}"
            said += done.stdout
    for wanted in ("^mine: no faults$", r"\d\d passed", r"^\{.*'iou': 0\.", "/build/by-hand/parts.ipynb$"):
        assert re.search(wanted, said, re.MULTILINE), wanted
    assert len(list((project / "results" / "runs").glob("mine-plain-tiny-cpu-s0-*.json"))) == 1
    assert "The data of this page" in (project / "tests" / "notebooks" / "parts.ipynb").read_text("utf-8")

    # What the tests of the project would say of it.
    monkeypatch.chdir(project)
    assert template_faults(project / "book" / "parts.ipynb") == []
    plan = load_plan()
    assert "parts" in plan.chapters and any(run.dataset == "mine" for run in plan.runs)
    stage(plan, "smoke", project, project / "build" / "book-src")
    done = shell("ruff check . && ruff format --check .", project)
    assert done.returncode == 0, done.stdout


def test_the_page_names_what_is_there(project: Path) -> None:
    done = shell("scgcnet study list --profile cpu", project)
    assert re.search(r"^mine-scgcnet-tiny-cpu\S+ +not run", done.stdout, re.MULTILINE), done.stdout
    assert {"make test"} == ELSEWHERE & set(commands(REPOSITORY / "CONTRIBUTING.md"))
    assert "make test" in (REPOSITORY / ".ci" / "run").read_text("utf-8")
