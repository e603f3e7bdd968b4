"""What a verdict would take: hours by hand, and words for every claim."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scgcnet import zoo
from scgcnet.cost import count_cost
from scgcnet.study.needs import _OTHER, DATA, EPOCHS, GMAC, gpu_hours, needed
from scgcnet.study.paper import read_claims
from scgcnet.study.plan_reader import load_plan


def test_hours_by_hand() -> None:
    """Three passes of 191.8e9 multiply-accumulates, each two operations, for every image and epoch."""
    assert gpu_hours(10_432) == pytest.approx(2 * 3 * 191.8e9 * 10_432 * 400 / 1e14 / 3600)
    assert gpu_hours(10_432) == pytest.approx(13.34, abs=0.01)
    assert gpu_hours(385) == pytest.approx(0.49, abs=0.01)
    assert gpu_hours(0) == 0


def test_the_cost_is_that_of_base_in_the_papers_protocol(project: Path) -> None:
    settings = load_plan().profile("paper").settings
    side = settings["image_size"]
    with torch.device("meta"):
        model = zoo.create_model("scgcnet", "base")
    assert count_cost(model, (1, 3, side, side)).gmac == pytest.approx(GMAC, abs=0.06)
    assert (side, settings["epochs"]) == (512, EPOCHS)


def test_half_of_the_papers_images_are_trained_on(project: Path) -> None:
    claims = read_claims()
    counts = {"CLD": "ds_cld", "HR-GLDD": "ds_gldd", "Bijie": "ds_bijie"}
    whole = {name: int(claims[row].number) for name, row in counts.items()}
    assert DATA.keys() == {*whole, "GVLM"}
    for name, count in whole.items():
        what, images = DATA[name]
        assert images == count // 2
        assert f"{count:,}" in what
    assert DATA["GVLM"][1] == sum(whole.values()) // 2  # trained on those three first


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("cld_iou", "20,865 tiles); about 13.3 GPU hours a training of base at 512 px (estimated, not measured)"),
        ("gldd_iou_gain", "1,758 tiles); about 1.1 GPU hours"),
        ("bijie_iou", "770 images); about 0.5 GPU hours"),
        ("fig8_best_at_0", "after a training on CLD, HR-GLDD and Bijie together; about 15.0 GPU hours"),
        ("lr", "a training in the paper's protocol, such as on Bijie (770 images): about 0.5 GPU hours"),
        ("fig10_iou_2048", "and Bijie together, at six image sizes; about 15.0 GPU hours a training of base at 512 px"),
        ("fig11_urban", "failures sorted by type"),
        ("ds_gvlm", "the download"),
        ("split_val", "not published"),
        ("mamba_linear", "timed with and without its scan"),
        ("silu_best", "other activations"),
        ("best_all_metrics", "all 18 networks"),
    ],
)  # fmt: skip
def test_what_claims_need(project: Path, claim: str, words: str) -> None:
    assert words in needed(read_claims()[claim])


def test_every_claim_gets_words_and_every_word_a_claim(project: Path) -> None:
    claims = read_claims()
    assert all(needed(claim) for claim in claims.values())
    assert [prefix for prefix in _OTHER if not any(name.startswith(prefix) for name in claims)] == []
    # A prefix speaks of no claim that it was not meant for.
    taken = {prefix: [name for name in claims if name.startswith(prefix)] for prefix in _OTHER}
    assert taken["silu"] == ["silu_best"] and taken["mamba"] == ["mamba_linear"]
    assert taken["split"] == ["split_train", "split_val", "split_test"]
