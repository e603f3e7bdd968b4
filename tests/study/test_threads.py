"""A training takes one thread, unless the environment or the command line says otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from scgcnet import cli
from scgcnet.study import runner
from scgcnet.study.threads import VARIABLE, limit_threads


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_one_thread_unless_the_environment_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "3")
    limit_threads()
    assert torch.get_num_threads() == 3
    monkeypatch.delenv(VARIABLE)
    limit_threads()
    assert torch.get_num_threads() == 1


def test_the_option_sets_the_variable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    assert cli.main(["study", "run", "--threads", "4", "nothing-like-this"]) == 2
    assert os.environ[VARIABLE] == "4"
    for wrong in ("0", "many"):
        with pytest.raises(SystemExit):
            cli._parser().parse_args(["study", "run", "--threads", wrong])
    assert "expected a whole number from 1" in capsys.readouterr().err


def test_a_training_begins_with_it(project: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen where the network is made: before any image is read through it."""
    monkeypatch.delenv(VARIABLE)
    seen = []

    def stop(*arguments: object, **options: object) -> None:
        seen.append(torch.get_num_threads())
        raise RuntimeError("enough")

    monkeypatch.setattr(runner, "_network", stop)
    run = next(run for run in runner.load_plan().runs if run.profile == "smoke")
    with pytest.raises(RuntimeError, match="enough"):
        runner.run(run, progress=False)
    assert seen == [1]
