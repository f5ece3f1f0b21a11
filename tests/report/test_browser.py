"""The page in Chromium: without errors, by keyboard, on a phone, in the dark, on paper, and accessible."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import report_example as example
from manual.browser import browser, executable, opened

from deploytool.report.page import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("playwright", reason="no Playwright: pip install -e '.[browser]'")
if executable() is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)

SECTIONS = (
    "verdict",
    "accuracy",
    "divergence",
    "difference",
    "cores",
    "cost",
    "samples",
    "curves",
    "weights",
    "training",
    "unknown",
    "origin",
    "glossary",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    write_report(example.content(), folder)
    return folder / "report.html"


@contextlib.contextmanager
def shown(chromium: Browser, file: Path, width: int = 1280, **settings: object) -> Iterator[Page]:
    """The page; fails if the browser reports an error, or a violation of the page's policy."""
    with opened(chromium, file, width, **settings) as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.reload()
        yield page
        assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_section_is_visible_and_nothing_is_wider_than_the_page(
    chromium: Browser, file: Path, width: int, scheme: str
) -> None:
    with shown(chromium, file, width, color_scheme=scheme) as page:
        for section in SECTIONS:
            assert page.locator(f"#{section}").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        if width == 390:
            cut = page.evaluate(
                "[...document.querySelectorAll('.scroll')].filter(b => b.scrollWidth > b.clientWidth).length"
            )
            assert cut == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(chromium: Browser, file: Path, width: int, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with shown(chromium, file, width, color_scheme=scheme) as page:
        found = Axe().run(page).response["violations"]
        serious = {
            rule["id"]: [node["html"][:120] for node in rule["nodes"][:3]]
            for rule in found
            if rule["impact"] in ("serious", "critical")
        }
        assert serious == {}


def test_the_page_is_whole_without_scripts(chromium: Browser, file: Path) -> None:
    with shown(chromium, file, java_script_enabled=False) as page:
        for section in SECTIONS:
            assert page.locator(f"#{section}").is_visible()
        assert page.locator(".controls").count() == 0
        assert page.locator(".panel svg").first.is_visible()
        assert page.locator(".placement .core").first.is_visible()


def test_dark_pages_show_dark_maps(chromium: Browser, file: Path) -> None:
    sources = []
    for scheme in ("light", "dark"):
        with shown(chromium, file, color_scheme=scheme) as page:
            sources.append(page.locator(".pictures img").first.evaluate("image => image.currentSrc"))
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (paper == "rgb(255, 255, 255)") is (scheme == "light")
    assert sources[0] != sources[1]


def test_the_first_stop_skips_to_the_content_and_the_next_are_the_contents(chromium: Browser, file: Path) -> None:
    with shown(chromium, file) as page:
        stops = []
        for _ in range(3):
            page.keyboard.press("Tab")
            stops.append(page.evaluate("document.activeElement.textContent"))
        assert stops == ["Skip to the content", "Verdict", "Accuracy"]
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#accuracy"


def test_arrow_keys_go_from_core_to_core_and_enter_leads_to_the_row(chromium: Browser, file: Path) -> None:
    with shown(chromium, file) as page:
        focused = "document.activeElement.dataset.layer"
        page.locator(".placement .core").first.focus()
        lit = "[...document.querySelectorAll('.lit')].map(e => e.dataset.layer ?? e.dataset.from + '>' + e.dataset.to)"
        assert set(page.evaluate(lit)) == {"conv1", "input>conv1", "conv1>conv2"}
        page.keyboard.press("ArrowDown")
        assert page.evaluate(focused) == "conv2"
        page.keyboard.press("End")
        assert page.evaluate(focused) == "fc1"
        page.keyboard.press("ArrowDown")
        assert page.evaluate(focused) == "fc1"
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#layer-0"
        page.locator(".placement .core").nth(2).hover()
        assert "conv3>fc1" in page.evaluate(lit)


def test_the_player_is_moved_by_arrow_keys_and_ends_at_the_prediction(chromium: Browser, file: Path) -> None:
    with shown(chromium, file) as page:
        player = page.locator(".player").first
        said, slider = player.locator("output"), player.locator("input")
        prediction = page.locator(".sample").first.locator("tbody tr:last-child .prediction").inner_text().split()[0]
        assert f"prediction {prediction}" in said.inner_text()
        assert player.locator("canvas").count() == 2
        slider.focus()
        page.keyboard.press("Home")
        assert slider.input_value() == "0"
        assert said.inner_text().startswith("3.0 ms")
        before = player.locator(".cursor").first.get_attribute("x1")
        page.keyboard.press("ArrowRight")
        assert slider.input_value() == "1"
        assert player.locator(".cursor").first.get_attribute("x1") != before
        assert slider.get_attribute("aria-valuetext") == said.inner_text()


def test_the_player_plays_and_pauses_by_keyboard(chromium: Browser, file: Path) -> None:
    with shown(chromium, file) as page:
        player = page.locator(".player").first
        button = player.locator("button")
        button.focus()
        page.keyboard.press("Space")
        assert button.inner_text() == "Pause"
        # Not wait_for_function, which evaluates text inside the page: its policy forbids that.
        for _ in range(100):
            page.wait_for_timeout(50)
            if int(player.locator("input").input_value()) > 3:
                break
        else:
            pytest.fail("the player does not play")
        page.keyboard.press("Enter")
        assert button.inner_text() == "Play"
        stopped = player.locator("input").input_value()
        page.wait_for_timeout(200)
        assert player.locator("input").input_value() == stopped


def test_a_command_is_copied(chromium: Browser, file: Path) -> None:
    from playwright.sync_api import expect

    with shown(chromium, file, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.locator(".commands .copy").first.click()
        expect(page.locator(".commands .copy").first).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == "deploytool pipeline nmnist.toml"


def test_paper_has_what_is_folded_and_no_controls(chromium: Browser, file: Path) -> None:
    with shown(chromium, file) as page:
        page.emulate_media(media="print")
        assert not page.locator(".controls").first.is_visible()
        assert not page.locator(".contents").is_visible()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details pre").first.is_visible()
        assert len(page.pdf()) > 10_000
