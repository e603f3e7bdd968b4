"""The page of the failure atlas in a browser: it opens, filters, compares two networks, and is accessible."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import browser
import pytest
from browser import DESKTOP, PHONE, Visit, look
from fake_atlas import NAMES, fake_atlas
from playwright.sync_api import BrowserContext, Page, expect

from scgcnet.explain.atlas import Entry
from scgcnet.explain.explorer import PAGE, write_explorer
from scgcnet.explain.failures import assess_prediction

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).resolve().parents[2]
ATLAS = fake_atlas()
ENTRIES = {entry.facts.name: entry for entry in (*ATLAS.entries, *ATLAS.free)}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("atlas")
    (folder / PAGE).parent.mkdir()
    (folder / PAGE).symlink_to(REPOSITORY / PAGE)
    return write_explorer(ATLAS, list(ENTRIES.values()), folder)


@pytest.fixture
def show(context: BrowserContext, file: Path) -> Iterator[Callable[..., Page]]:
    """Opens the page at an address and a width; it may not fetch from elsewhere or complain."""
    visits: list[Visit] = []

    def show(address: str = "", width: int = DESKTOP) -> Page:
        visits.append(browser.visit(context, file.as_uri() + address, width))
        opened = visits[-1].page
        opened.wait_for_selector("#panels canvas[role=img]")
        return opened

    yield show
    for visit in visits:
        assert browser.remote_requests(visit) == []
        assert visit.complaints == []
        visit.page.close()


def names(page: Page) -> list[str]:
    return page.locator("#list .label").all_text_contents()  # rows out of sight are not laid out


def scores(page: Page) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads(page.evaluate("document.body.dataset.scores"))
    return found


def test_opens_with_the_worst_test_image_and_scores_as_python_does(show: Callable[..., Page]) -> None:
    page = show()
    worst = min(ATLAS.entries, key=lambda entry: entry.predictions[0].iou)
    assert page.locator("#list [aria-selected=true] .label").text_content() == worst.facts.name
    assert page.locator("#count").inner_text() == "5 of 6 cases"
    assert "▲ 0.55 chosen on validation" in page.locator("#sliders").inner_text()
    page.locator("#b").select_option("1")
    assert page.locator("#panels figure").count() == 8  # four for each network
    for step in (13, 55, 99):
        for model in range(2):
            page.locator(f"#threshold-{model}").fill(str(step))
        for name, entry in ENTRIES.items():
            page.evaluate("name => choose(CASES.findIndex(item => item.name === name))", name)
            page.wait_for_function("name => shown.item.name === name", arg=name)
            listed = page.evaluate("MODELS.map((_, model) => now(CASES[state.at], model))")
            for model, found in enumerate(scores(page)):  # from pixels, and from the counts that the list uses
                wanted = assess_prediction(entry.sample, entry.values(model), step / 100)
                counts = (wanted.tp, wanted.fp, wanted.fn, wanted.iou, wanted.boundary_iou)
                for own in (found, listed[model]):
                    assert tuple(own[key] for key in ("tp", "fp", "fn", "iou", "boundary")) == counts, (name, model)


def test_filters_sorts_and_keeps_its_address(show: Callable[..., Page]) -> None:
    page = show()
    page.locator("#filters summary").click()
    sizes: Callable[[Entry], int] = lambda entry: entry.facts.truth  # noqa: E731
    middle = sorted(map(sizes, ATLAS.entries))[2] + 0.5
    page.locator("#size-low").fill(str(middle))
    assert set(names(page)) == {entry.facts.name for entry in ATLAS.entries if sizes(entry) >= middle}
    page.locator("#size-low").fill("1000000")
    expect(page.locator("#count")).to_have_text("0 of 6 cases")
    page.locator("#filter button[type=reset]").click()
    page.locator("#f-dataset").select_option("no slides")
    assert names(page) == [entry.facts.name for entry in ATLAS.free]
    page.locator("#f-dataset").select_option("")
    page.locator("#f-cause").select_option("any")
    assert set(names(page)) == {entry.facts.name for entry in ENTRIES.values() if entry.causes[0]}
    page.locator("#filter button[type=reset]").click()
    page.locator("#sort").select_option("size")
    assert names(page) == [entry.facts.name for entry in sorted(ATLAS.entries, key=sizes)]
    page.locator(".row").nth(2).click()
    again = show(page.evaluate("location.hash"))
    assert again.locator("#sort").input_value() == "size"
    assert again.locator("#name").inner_text() == page.locator("#name").inner_text()
    with page.expect_download() as download:
        page.locator("#csv").click()
    rows = Path(download.value.path()).read_text("utf-8").splitlines()
    assert len(rows) == 1 + 5 and not any(",=HYPERLINK" in row for row in rows)  # no formula


def test_a_filter_is_in_the_address_and_leaves_no_unlisted_case_on_view(show: Callable[..., Page]) -> None:
    page = show()
    button = page.locator("#causes button").first
    cause, number = (button.text_content() or "").rsplit(" ", 1)
    button.click()
    assert len(names(page)) == int(number) and page.locator("#f-cause option:checked").text_content() == cause
    page.locator("#filters summary").click()
    sizes = sorted(entry.facts.truth for entry in ATLAS.entries)
    page.locator("#size-low").fill(str(sizes[-1]))
    (kept,) = names(page)
    expect(page.locator("#name")).to_contain_text(kept)
    assert page.locator("#dots circle.at").count() == page.locator("#dots circle").count() == 1
    assert names(show(page.evaluate("location.hash"))) == [kept]
    page.locator("#causes [aria-pressed=true]").click()
    page.locator("#filter button[type=reset]").click()
    expect(page.locator("#count")).to_have_text("5 of 6 cases")


def test_a_moving_threshold_keeps_the_order(show: Callable[..., Page]) -> None:
    page = show()
    order, values = names(page), page.locator("#list .value").all_text_contents()
    page.locator("#threshold-0").fill("95")
    page.wait_for_function("before => document.querySelector('#list .value').textContent !== before", arg=values[0])
    assert names(page) == order


def test_the_next_disagreement_of_two_models(show: Callable[..., Page]) -> None:
    page = show("#with=fake-1&with-at=0.99")
    far = "place => Math.abs(now(CASES[place]).iou - now(CASES[place], 1).iou) >= 0.1"
    differ = page.evaluate(f"selection.filter({far})")
    assert 0 < len(differ) < 5
    seen = []
    for _ in differ:
        page.keyboard.press("d")
        seen.append(page.evaluate("state.at"))
    assert sorted(seen) == sorted(differ)


@pytest.mark.parametrize(("width", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_accessible(show: Callable[..., Page], width: int, theme: str) -> None:
    page = show("#with=fake-1", width)
    page.locator("#filters summary").click()
    page.locator("main summary").click()
    look(page, theme)
    assert browser.axe_violations(page) == []
    assert browser.overflow(page) == []


def test_without_javascript(file: Path, context: BrowserContext) -> None:
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setScriptExecutionDisabled", {"value": True})
    page.goto(file.as_uri())
    expect(page.locator("#app")).to_be_hidden()
    rows = page.locator("main.plain tbody tr")
    assert rows.locator("th").all_inner_texts() == NAMES
    page.close()
