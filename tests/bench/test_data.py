"""The benchmark of the input path: that it times what it says, on a few fakes; never how fast that is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scgcnet.bench.data import Rates, bench_data
from scgcnet.data import write_fake


def test_rates_are_printed_and_what_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_fake("bijie", tmp_path, n=20, seed=0)
    rates = bench_data("bijie", tmp_path, image_size=32)
    assert rates.images == 8  # a whole batch of the ten training images
    printed = capsys.readouterr().out
    numbers = [int(n) for n in re.findall(r" (\d+) images/s", printed)]
    assert numbers == [round(r) for r in (rates.decode, rates.augment, rates.first_epoch, rates.train)]
    assert min(numbers) > 0
    assert f"{rates.limit} limits" in printed


def test_what_limits() -> None:
    fast = Rates(decode=100.0, augment=300.0, train=60.0, images=8)
    assert fast.first_epoch == pytest.approx(75)
    assert fast.share == pytest.approx(60 / 360)
    assert fast.limit == "training"
    assert Rates(100.0, 30.0, 60.0, 8).limit == "the images"
