"""The command line: its help, its exit status, and one line for each error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scgcnet.cli import main

COMMANDS = [
    ["map"], ["train"], ["evaluate"], ["export"], ["list"], ["run"], ["trials"], ["claims"], ["chapter"], ["book"],
    ["weights"], ["peers"],
    ["data", "check"], ["data", "audit"], ["data", "facts"], ["data", "fake"],
    ["bench", "all"], ["bench", "scan"], ["bench", "network"], ["bench", "data"], ["bench", "scene"],
    ["bench", "seams"], ["bench", "sides"], ["bench", "labels"], ["bench", "export"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert f"Example: scgcnet {' '.join(command)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["map"],
        ["map", "scene.tif"],
        ["map", "scene.tif", "--out", "o", "--bands", "red"],
        ["map", "scene.tif", "--out", "o", "--range", "1"],
        ["map", "scene.tif", "--out", "o", "--overlap", "2"],
        ["map", "scene.tif", "--out", "o", "--bounds", "1,2,3"],
        ["map", "scene.tif", "--out", "o", "--views", "3"],
        ["map", "scene.tif", "--out", "o", "--window", "wide"],
        ["export", "--model", "nothing", "--out", "o.onnx"],
        ["run"],
        ["run", "bijie", "--profile", "cpu"],
        ["run", "no-such-run"],
        ["list", "--profile", "quick"],
        ["chapter", "no_such_chapter"],
        ["chapter", "bijie", "-p", "epochs"],
        ["chapter", "bijie", "-p", "epohcs=1"],
        ["chapter", "bijie", "-p", "size=!!python/object/apply:os.abort []"],
        ["data", "check", "no_such_data"],
        ["weights", "no-such-run", "name"],
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_error_and_status_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told and ("scgcnet: " in told or "Error: " in told)


def test_list_shows_every_run_and_its_state(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--profile", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("bijie-scgcnet-tiny-cpu-s0-3f66e797ea") and " stored " in line for line in lines)


def test_a_fake_is_written_checked_and_audited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fake", "bijie", str(tmp_path), "-n", "12"]) == 0
    assert main(["data", "check", "bijie", str(tmp_path)]) == 0
    assert main(["data", "audit", "bijie", str(tmp_path), "--split", "0"]) in (0, 2)  # of another number of images
    next(tmp_path.rglob("*.png")).write_bytes(b"broken")
    assert main(["data", "check", "bijie", str(tmp_path)]) == 1
    assert ".png" in capsys.readouterr().out


def test_importing_the_package_and_its_help_is_quick_work() -> None:
    """No torch, no pandas: neither is needed to show the help."""
    code = "import sys, scgcnet, scgcnet.cli; print(sorted({'torch', 'pandas', 'lightning'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_whoever_reads_may_stop_and_ctrl_c_says_what_is_kept(tmp_path: Path) -> None:
    """In a process of its own: `scgcnet list | head -1`, and a signal during a command."""
    listed = subprocess.run(
        f"{sys.executable} -m scgcnet.cli list | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert listed.stdout.count("\n") == 1 and not listed.stderr
    script = "import os, signal, sys; from scgcnet import cli, study\n"
    script += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
    script += "study.load_plan = lambda: signal.raise_signal(signal.SIGINT)\n"
    script += "sys.exit(cli.main(['list']))"
    stopped = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert stopped.returncode == 1 and "interrupted; finished work is kept" in stopped.stderr
    assert "Traceback" not in stopped.stderr
