"""README.md and data/README.md say what works: each of their commands is run here, or by the test that is named."""

import re
from pathlib import Path

import pytest
from pages import REPOSITORY, blocks, commands, copy_project, shell
from scgcnet.study.chapters import declared_parameters, executed_file
from scgcnet.study.plan_reader import load_plan

from scgcnet.model import PRESETS

PAGES = ("README.md", "data/README.md")

# Run here, in this order, in a copy of the project: what must stand in the output. In the copy no data are in place,
# or where `DATA` is, made-up ones in the layout of the real set; results are in place, so nothing is trained for long,
# and those that are not are left out for want of data.
DATA = "export SCGCNET_DATA=/path/to/"
HERE = {
    "scgcnet data check bijie": (DATA, r"^bijie: no faults$"),
    "scgcnet data audit bijie --split 0": (DATA, r"^bijie, split 0: 60 generated images$"),
    """python -c "from scgcnet.data import data_sha256; print(data_sha256('bijie'))\"""": (DATA, r"^[0-9a-f]{64}$"),
    "scgcnet data fake cld fakes": ("", r"^wrote 60 synthetic images in the layout of cld below fakes$"),
    "scgcnet data check cld fakes": ("", r"^cld: no faults$"),
    "scgcnet data audit cld fakes": ("", r"^cld, split 0: 60 generated images$"),
    "scgcnet bench data cld fakes": ("", r"limits; in one process the images take \d+% of a later epoch$"),
    "scgcnet study status": ("", r"^Profiles of study\.yml"),
    "scgcnet study claims": ("", r"^bijie_iou\tresult\tunresolved\tscaled down\tbijie-scgcnet-tiny-cpu-s0-"),
    "make trials PROFILE=cpu": ("", r"^Trials: all there"),
    "make study PROFILE=cpu": (DATA, r"^Study: the results of profile cpu are in build/book/_build/html/index.html$"),
    "make book PROFILE=cpu": (DATA, r"^Book: build/book/_build/html/index.html$"),
    "papermill book/dataset.ipynb out.ipynb -p dataset bijie -p epochs 5": ("", r"100%"),
    "scgcnet study chapter bijie -p epochs 5": ("", r"/build/by-hand/bijie\.ipynb$"),
    "make clean": ("", r"^rm -rf build "),
}
# Run elsewhere: the file that does, and what must stand in it.
ELSEWHERE = {
    "snakemake --profile workflow/profiles/slurm --config profile=paper -- study": (
        "tests/study/test_workflow.py",
        r"cluster = \(\"--profile\", \"workflow/profiles/slurm\"",
    ),
    "torchrun --standalone --nproc-per-node 4 -m scgcnet.cli study run ID": (
        "tests/study/test_runner.py",
        r"\"torch\.distributed\.run\", \"--standalone\"",
    ),
    "scgcnet study list": ("tests/test_cli.py", r"main\(\[\"study\", \"list\", \"--profile\", \"cpu\"\]\)"),
    "scgcnet study run ID --threads 4": ("tests/study/test_threads.py", r"\"--threads\", \"4\""),
    "scgcnet study chapter atlas -p run ID -p compare none": (
        "tests/chapters/test_failures.py",
        r"\"chapter\", \"atlas\", \"-p\", \"run\", .*, \"-p\", \"compare\", \"none\"",
    ),
    "make book": ("tests/book/conftest.py", r"shell\(\"make book\""),
    "make test": (".ci/run", r"^make test$"),
    "source .venv/bin/activate": ("Makefile", r"\$\(PYTHON\) -m venv \$\(VENV\)"),
    "scgcnet data check cld": ("tests/data/test_cld.py", r"main\(\[\"data\", \"check\", \"cld\""),
    "scgcnet study replay": ("tests/study/test_replays.py", r"main\(\[\"study\", \"replay\"\]\)"),
    "jupyter lab book/attribution.ipynb": ("tests/explain/test_live.py", r"jupyterlab-manager"),
    "make bench": ("Makefile", r"scgcnet bench all"),
    "scgcnet bench all --device cuda": ("tests/test_bench.py", r"bench\(device=\"cuda\"\)"),
    "scgcnet peers": ("tests/study/test_competitors.py", r"cli\.main\(\[\"peers\"\]\) == 0"),
    "scgcnet peers --all": ("tests/study/test_competitors.py", r"cli\.main\(\[\"peers\", \"--all\"\]\) == 1"),
    "pip install -e '.[peers]'": ("pyproject.toml", r"^peers = \["),
    "scgcnet data check gvlm": ("tests/data/test_gvlm.py", r"main\(\[\"data\", \"check\", \"gvlm\""),
    "scgcnet data check folder mine": ("tests/data/test_folder.py", r"main\(\[\"data\", \"check\", \"folder\""),
    "pip install -e '.[data]'": ("pyproject.toml", r"^data = \["),
    "scgcnet map scene.tif --out map": ("tests/scene/test_command.py", r"\"map scene\.tif --out map\""),
    "scgcnet map scenes --out maps --model tiny-bijie": (
        "tests/scene/test_command.py",
        r"\"map\", str\(scenes\), \"--out\", str\(out\)",
    ),
    "scgcnet bench scene --side 2000": ("tests/test_bench.py", r"main\(\[\"bench\", \"scene\""),
    "scgcnet map --help": ("tests/scene/test_command.py", r"main\(\[\"map\", \"--help\"\]\)"),
    "pip install -e '.[map]'": ("pyproject.toml", r"^map = \["),
    # Experimental, says the README: it needs a compiler for CUDA.
    "pip install -e '.[cuda]'": ("pyproject.toml", r"^cuda = \["),
}


def is_data(command: str) -> bool:
    """The line that says where the data are; the path in it is the reader's."""
    return command.startswith(DATA)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("readme"))
    # A chapter without a profile is the same at every one, and the smoke book has it: its page here is empty.
    plan = load_plan(folder / "study.yml")
    for name, chapter in plan.chapters.items():
        if "profile" not in declared_parameters(folder / chapter.template):
            page = folder / executed_file(name, "cpu")
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_bytes((folder / chapter.template).read_bytes())
    assert shell("scgcnet data fake bijie elsewhere", folder).returncode == 0
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_tried(page: str) -> None:
    for command in commands(REPOSITORY / page):
        told = (
            f"{page} has a command that nothing runs: {command!r}; add it to HERE or ELSEWHERE in {Path(__file__).name}"
        )
        assert command in HERE or command in ELSEWHERE or is_data(command), told


def test_nothing_is_tried_that_no_page_says() -> None:
    said = {command for page in PAGES for command in commands(REPOSITORY / page)}
    assert (HERE.keys() | ELSEWHERE.keys()) - said == set()
    assert any(map(is_data, said))


@pytest.mark.parametrize(("file", "text"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_is_run_elsewhere(file: str, text: str) -> None:
    assert re.search(text, (REPOSITORY / file).read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", HERE)
def test_runs(project: Path, command: str) -> None:
    needs, wanted = HERE[command]
    done = shell(command, project, **{"SCGCNET_DATA": "elsewhere"} if needs else {})
    assert done.returncode == 0, done.stdout[-6000:]
    assert re.search(wanted, done.stdout, re.MULTILINE), done.stdout[-6000:]


def test_the_python_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    (block,) = blocks(REPOSITORY / "README.md", "python")
    names: dict[str, object] = {}
    exec(block, names)
    assert str(tuple(names["logits"].shape)) in block
    assert not names["trained"].training
    assert ", ".join(PRESETS) in block


def test_a_new_command_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Run `scgcnet study new`, or `scgcnet.scan`.\n\n1. So:\n\n   ```sh\n   make all  # it\n   ```\n")
    assert commands(page) == ["make all", "scgcnet study new"]
