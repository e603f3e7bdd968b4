"""Each kind of failure, by its rule: what it takes, and what is one thing short of it."""

from dataclasses import replace

import pytest

from scgcnet.explain.case_numbers import Facts, Outcome
from scgcnet.explain.failures import CAUSES, OTHER, Limits, causes

LIMITS = Limits(iou=0.6, share=0.2, small=100.0, edges=0.05, contrast=0.5, greenness=0.1)
NAN = float("nan")
#: An image and a failure that meet no rule.
FACTS = Facts("set", "one", "", 100, 100, None, 10_000, 1000, 1, 1000, False, 0.01, 2.0, 0.05)
OUTCOME = Outcome(500, 300, 400, (1, 2), 1, 0.6, 0.2, 0.3, 0.1)


def test_a_failure_of_no_kind() -> None:
    assert OUTCOME.iou < LIMITS.iou
    assert causes(FACTS, OUTCOME, LIMITS) == (OTHER,)


def test_no_failure_has_no_cause() -> None:
    at_limit = replace(OUTCOME, tp=600, fp=200, fn=200)
    assert at_limit.iou == LIMITS.iou
    assert causes(replace(FACTS, edge_density=1.0), at_limit, LIMITS) == ()
    assert causes(replace(FACTS, edge_density=1.0), replace(at_limit, fn=201), LIMITS) == ("built",)


#: Kind: what of the image and of the outcome makes it, at the very limit.
KINDS = {
    "cut": ({"touches": True, "largest": 2000}, {}),
    "built": ({"edge_density": 0.05}, {}),
    "small": ({"largest": 100}, {"largest_found": 0.49}),
    "wide": ({"largest": 100}, {"fp": 401, "near": 0.5}),
    "vague": ({"contrast": 0.5}, {"near": 0.5}),
    "green": ({"greenness": 0.1}, {}),
    "bare": ({}, {"fp": 401, "near": 0.49, "alarm_greenness": 0.1}),
}
SHORT = [
    ("cut", {"touches": False}, {}),
    ("cut", {"largest": 1999}, {}),
    ("cut", {}, {"fp": 400}),
    ("built", {"edge_density": 0.049}, {}),
    ("small", {"largest": 101}, {}),
    ("small", {"largest": 0}, {}),
    ("small", {}, {"largest_found": 0.5}),
    ("small", {}, {"largest_found": NAN}),
    ("wide", {"largest": 101}, {}),
    ("wide", {}, {"fp": 400}),
    ("wide", {}, {"near": 0.49}),
    ("vague", {"contrast": 0.51}, {}),
    ("vague", {"contrast": NAN}, {}),
    ("vague", {}, {"near": 0.49}),
    ("green", {"greenness": 0.09}, {}),
    ("green", {}, {"fp": 400}),
    ("bare", {}, {"fp": 400}),
    ("bare", {}, {"near": 0.5}),
    ("bare", {}, {"alarm_greenness": 0.11}),
    ("bare", {}, {"alarm_greenness": NAN}),
]


def test_every_kind_is_tried() -> None:
    assert KINDS.keys() == CAUSES.keys() == {kind for kind, _, _ in SHORT}


@pytest.mark.parametrize("kind", KINDS)
def test_kind(kind: str) -> None:
    facts, outcome = KINDS[kind]
    assert causes(replace(FACTS, **facts), replace(OUTCOME, **outcome), LIMITS) == (kind,)


@pytest.mark.parametrize(("kind", "facts", "outcome"), SHORT)
def test_one_thing_short(kind: str, facts: dict[str, object], outcome: dict[str, object]) -> None:
    image, prediction = KINDS[kind]
    found = causes(replace(FACTS, **{**image, **facts}), replace(OUTCOME, **{**prediction, **outcome}), LIMITS)
    assert found == (OTHER,)


def test_a_landslide_free_image() -> None:
    free = replace(FACTS, truth=0, landslides=0, largest=0, contrast=NAN, greenness=NAN)
    alarm = Outcome(0, 50, 0, (0, 9), 0, NAN, 0.0, 0.05, 0.1)
    assert causes(free, alarm, LIMITS) == ("bare",)


def test_several_at_once() -> None:
    facts = replace(FACTS, largest=100, edge_density=0.2, contrast=0.1)
    assert causes(facts, replace(OUTCOME, near=0.9, largest_found=0.1), LIMITS) == ("built", "small", "vague")


class TestLimits:
    def test_quartiles_by_hand(self) -> None:
        facts = [
            replace(FACTS, largest=100 * n, edge_density=n / 10, contrast=float(n), greenness=n / 100)
            for n in (1, 2, 3, 4, 5)
        ]
        outcomes = [replace(OUTCOME, tp=n, fp=0, fn=10 - n) for n in (1, 2, 3, 4, 5)]
        found = Limits.of(facts, outcomes)
        assert found == Limits(
            iou=0.2, share=pytest.approx(0.04), small=200, edges=0.4, contrast=2.0, greenness=pytest.approx(0.04)
        )

    def test_landslide_free_images_have_no_say(self) -> None:
        free = replace(FACTS, truth=0, largest=0)
        both = Limits.of([FACTS, free], [OUTCOME, replace(OUTCOME, tp=0)])
        assert both == Limits.of([FACTS], [OUTCOME])

    def test_what_is_no_number_has_none(self) -> None:
        facts = [FACTS, replace(FACTS, contrast=NAN)]
        assert Limits.of(facts, [OUTCOME] * 2).contrast == FACTS.contrast

    def test_refuses_none(self) -> None:
        with pytest.raises(ValueError, match="no image with a landslide"):
            Limits.of([replace(FACTS, truth=0)], [OUTCOME])
