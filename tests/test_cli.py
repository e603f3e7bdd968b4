import argparse
import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scgcnet.cli import main, values
from scgcnet.study import runner
from scgcnet.study.plan_reader import load_plan

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copy(REPOSITORY / "study.yml", tmp_path)
    shutil.copytree(REPOSITORY / "results" / "paper", tmp_path / "results" / "paper")
    shutil.copytree(REPOSITORY / "book", tmp_path / "book", ignore=shutil.ignore_patterns("vendor"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCGCNET_DATA", raising=False)
    return tmp_path


def test_help_needs_no_heavy_import():
    code = (
        "import sys; from scgcnet.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'torch', 'numpy', 'yaml'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_list_and_status(project, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["study", "list", "--profile", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(load_plan().select("cpu"))
    assert all(re.match(r"[a-z0-9]+-[a-z0-9]+-tiny-cpu-s\d-[0-9a-f]{10} +not run ", line) for line in lines)
    assert main(["study", "list", "--trials"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(load_plan().select_trials()) > 18 * 4
    assert re.match(r"bijie-scgcnet-tiny-cpu-s0-[0-9a-f]{10} +not run +rate 0\.0005$", lines[0])
    assert main(["study", "status"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"Table I, .* not run +0 of 10", out)
    assert re.search(rf"paper .* 0 of {len(load_plan().select('paper'))} +- +not known$", out, re.MULTILINE)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["study", "status"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_claims_are_lines_for_programs(project, capsys):
    assert main(["study", "claims"]) == 0
    captured = capsys.readouterr()
    lines = [line.split("\t") for line in captured.out.splitlines()]
    assert {len(fields) for fields in lines} == {6}
    with (project / "results" / "paper" / "claims.csv").open(encoding="utf-8", newline="") as file:
        assert [(name, kind) for name, kind, *_ in lines] == [(row["id"], row["kind"]) for row in csv.DictReader(file)]
    told = {name: fields for name, *fields in lines}
    assert told["bijie_iou"][:4] == ["result", "not run", "-", "-"]
    assert told["bijie_iou"][4] != "-"  # what a verdict would take
    assert told["fig10_gflops_2048"][:4] == ["fitted", "unresolved", "fitted", "-"]
    assert told["fig10_gflops_2048"][4].startswith("counted: base costs 3068 GMAC")
    assert captured.err == ""


def test_damaged_claims_are_one_line(project, capsys):
    (project / "results" / "paper" / "claims.csv").write_text("id,kind\n")
    (project / "study.yml").write_text("profiles: {}\nruns: []\nchapters: {}\nexhibits: {}\n")
    assert main(["study", "claims"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("scgcnet: results/paper/claims.csv has no column dataset")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "run", "nope"], "no run in study.yml with an id like 'nope'"),
        (["study", "run"], "name either run ids or a --profile"),
        (["study", "run", "x", "--profile", "smoke"], "name either run ids or a --profile"),
        (["study", "run", "--profile", "warp"], "no profile 'warp': choose one of smoke, cpu, domains, gpu, paper"),
        (["study", "run", "--profile", "cpu"], "Bijie"),
        (["study", "trials", "bijie-unet"], "4 trials in study.yml with an id like 'bijie-unet'"),
        (["study", "trials", "--profile", "cpu"], "Bijie"),
        (
            ["study", "trials", "nope"],
            "no trial in study.yml with an id like 'nope': see `scgcnet study list --trials`",
        ),
        (["study", "trials", "x", "--profile", "cpu"], "name either trials or a --profile"),
        (["study", "list", "--profile", "warp"], "no profile 'warp'"),
        (
            ["study", "chapter", "nope"],
            "no chapter 'nope' in study.yml: there are start, audit, network, competitors",
        ),
        (["study", "book"], "_toc.yml"),
        (["study", "chapter", "bijie", "-p", "epohcs", "5"], "did you mean 'epochs'?"),
        (["data", "check", "nope"], "no data set 'nope'"),
        (["data", "audit", "nope"], "no data set 'nope'"),
        (["data", "audit", "bijie", "--split", "mine.csv"], "Bijie"),
        (["data", "fake", "nope", "here"], "nope"),
    ],
)
def test_expected_errors_are_one_line_and_exit_2(project, capsys, arguments, message):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("scgcnet: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_broken_plan_is_one_line(project, capsys):
    (project / "study.yml").write_text("profiles: [")
    assert main(["study", "list"]) == 2
    assert "study.yml is not valid YAML" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(project, monkeypatch):
    def bug(*arguments, **options):
        raise ValueError("not meant for users")

    monkeypatch.setattr(runner, "run", bug)
    with pytest.raises(ValueError, match="not meant for users"):
        main(["study", "run", "--profile", "smoke"])


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])  # Lightning turns the first into the second
def test_an_interrupt_is_no_traceback(project, monkeypatch, capsys, stop):
    def interrupt(*arguments, **options):
        raise stop

    monkeypatch.setattr(runner, "run", interrupt)
    assert main(["study", "run", "--profile", "smoke"]) == 1
    assert capsys.readouterr().err.startswith("scgcnet: interrupted; what is done is kept: started again")


def test_fake_data_passes_the_check_and_damage_does_not(project, capsys):
    assert main(["data", "check", "bijie"]) == 1
    assert "Bijie" in capsys.readouterr().out
    assert main(["data", "fake", "bijie", "fakes", "-n", "6"]) == 0
    assert main(["data", "check", "bijie", "fakes"]) == 0
    assert capsys.readouterr().err == "bijie: no faults\n"
    lost = next((project / "fakes").rglob("mask/*.png"))
    lost.unlink()
    assert main(["data", "check", "bijie", "fakes"]) == 1
    assert lost.stem in capsys.readouterr().out


def test_unknown_commands_are_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["study", "launch"])
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (values.count, "4", 4),
        (values.whole, "0", 0),
        (values.number_or_auto, "auto", None),
        (values.number_or_auto, "0.35", 0.35),
        (values.numbers, "4,3,2", (4, 3, 2)),
        (values.reals, "1,0.5", (1.0, 0.5)),
        (values.pair, "-20,3000", (-20.0, 3000.0)),
    ],
)
def test_values_of_options_are_read(reader, text, value):
    assert reader(text) == value


@pytest.mark.parametrize(
    ("reader", "wrong", "told"),
    [
        (values.count, "0", "a whole number from 1"),
        (values.count, "1.5", "a whole number from 1"),
        (values.whole, "-1", "a whole number from 0"),
        (values.number_or_auto, "half", "a number or auto"),
        (values.numbers, "4,,2", "whole numbers with commas between"),
        (values.reals, "1;2", "numbers with commas between"),
        (values.pair, "3", "two numbers"),
        (values.pair, "1,2,3", "two numbers"),
    ],
)
def test_wrong_values_of_options_are_named(reader, wrong, told):
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected {told}.*, not '{re.escape(wrong)}'"):
        reader(wrong)


def test_trials_are_shown_in_a_table_of_rates(project, capsys):
    """Without ids or a profile nothing is trained: the table shows what is stored, here nothing."""
    assert main(["study", "trials"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Learning rates tried")
    assert re.search(r"^ +vmamba tiny +bijie, cpu( +not run){5}", out, re.MULTILINE)


def test_a_reader_that_has_enough_is_no_error(project):
    """Such as head, which closes the pipe."""
    command = [
        sys.executable,
        "-c",
        "from scgcnet.cli import main; raise SystemExit(main(['study', 'list', '--trials']))",
    ]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
