"""CONTRIBUTING.md is followed to the letter in a copy of the checkout."""

import re
from pathlib import Path

import pytest
from checkout import REPOSITORY, copy_checkout, shell

from scgcnet.data.synthetic import render, write_pair

pytestmark = pytest.mark.slow
PAGE = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
# A fenced block; the line above it may name a file, of which it is the whole text or in a diff the change.
BLOCK = re.compile(
    r"(?:^`(?P<file>[\w./]+)`[^\n]*:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def change(text: str, diff: str) -> str:
    """Apply the parts of a diff; what stands around an added line must be there, once."""
    for part in diff.split("@@\n"):
        lines = part.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        assert f"\n{text}".count(f"\n{before}") == 1, f"CONTRIBUTING.md changes what is missing: {before!r}"
        text = f"\n{text}".replace(f"\n{before}", f"\n{after}")[1:]
    return text


def test_every_step_works(tmp_path: Path) -> None:
    """All files first, then the steps in their order; each step needs those before it."""
    project, steps, said = copy_checkout(tmp_path), [], ""
    for index in range(12):
        folder = project / "data" / "mine"
        write_pair(folder / "image", folder / "mask", f"slide{index:02}", *render(7, index))
    for block in BLOCK.finditer(PAGE):
        file, kind, text = block["file"], block["kind"], block["text"]
        if file is None:
            steps.append((kind, text))
        elif kind == "diff":
            (project / file).write_text(change((project / file).read_text("utf-8"), text), "utf-8")
        else:
            assert not (project / file).exists(), f"CONTRIBUTING.md adds {file}, which exists"
            (project / file).write_text(text, "utf-8")
    for kind, text in steps:
        if kind == "python":
            (tmp_path / "step.py").write_text(text, "utf-8")
        done = shell("python step.py && rm step.py" if kind == "python" else f"set -e\n{text}", project)
        assert done.returncode == 0, f"{text}\n{done.stdout[-5000:]}"
        said += done.stdout
    assert re.search(r"^results/runs/mine-scgcnet-tiny-cpu-s0-\w+\.json", said, re.MULTILINE)
    assert "Parts of synthetic, split 0" in (project / "tests" / "notebooks" / "parts.ipynb").read_text("utf-8")
    rest = "scgcnet list --profile cpu && ruff check . && ruff format --check . && mypy && lint-imports --no-logo"
    done = shell(rest, project)
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(r"^mine-scgcnet-tiny-cpu\S+ +not run", done.stdout, re.MULTILINE)


def test_the_files_that_it_names_exist() -> None:
    made = {block["file"] for block in BLOCK.finditer(PAGE)}
    named = set(re.findall(r"`((?:scgcnet|tests|book|data|results)/[\w./]+)`", PAGE))
    assert [name for name in sorted(named - made) if "NAME" not in name and not (REPOSITORY / name).exists()] == []
