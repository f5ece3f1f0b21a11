"""The views in Chromium, in a page with the rules of a notebook: light and dark, wide and narrow, accessible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers.command import network
from manual.browser import browser, executable, opened

import deploytool as dt
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("playwright", reason="no Playwright: pip install -e '.[browser]'")
if executable() is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)

NOTEBOOK = """
body { margin: 8px; font: 14px sans-serif; background: BACK; color: TEXT }
.output table { border-collapse: collapse; border: none; font-size: 12px; table-layout: fixed; margin: 0 auto 1em }
.output th, .output td { text-align: right; vertical-align: middle; padding: 0.5em; white-space: normal;
  max-width: none; border: none; line-height: normal }
.output tbody tr:nth-child(odd) { background: STRIPE }
"""
"""What the style sheet of JupyterLab says of tables in outputs."""
COLOURS = {"light": ("#ffffff", "#212121", "#f5f5f5"), "dark": ("#111111", "#e0e0e0", "#212121")}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def views() -> str:
    """The views of one result of each kind, and of a network that does not fit."""
    net = dt.load(network())
    program = dt.compile(net)
    samples = dt.events(np.random.default_rng(1).integers(0, 2, (3, 5, 2, 16, 16)), dt_ms=2, labels=[0, 1, 2])
    recording, simulated = dt.emulate(program, samples, rasters=1), dt.simulate(net, samples)
    weight = np.ones((64, 2, 5, 5), np.float32)
    long = "a_layer_with_a_name_that_is_much_longer_than_a_column"
    big = chain([("in", Input((2, 128, 128))), (long, Conv(weight)), ("spike", Spike()), ("out", Output())])
    shown = (
        *(net, dt.load(big), dt.check(net, rate=1e4), dt.check(big), program, samples, recording, simulated),
        dt.compare(recording, simulated, explain=1),
        dt.validate([recording, simulated], min_accuracy=50),
    )
    return "".join(f'<div class="output">{each._repr_html_()}</div>' for each in shown)


@pytest.fixture(params=COLOURS)
def page(request: pytest.FixtureRequest, views: str, tmp_path: Path) -> Path:
    style = NOTEBOOK
    for name, colour in zip(("BACK", "TEXT", "STRIPE"), COLOURS[request.param], strict=True):
        style = style.replace(name, colour)
    head = f'<meta charset="utf-8"><title>Views</title><style>{style}</style>'
    (tmp_path / "page.html").write_text(f'<!doctype html><html lang="en">{head}<main>{views}</main></html>')
    return tmp_path / "page.html"


@pytest.mark.parametrize("width", [360, 700])
def test_views_fit_and_texts_do_not_overlap(chromium: Browser, page: Path, width: int) -> None:
    with opened(chromium, page, width) as shown:
        assert shown.evaluate("document.documentElement.scrollWidth") == width
        cells = shown.evaluate(
            "[...document.querySelectorAll('td')].filter(cell => cell.scrollWidth > cell.clientWidth + 1)"
            ".map(cell => cell.textContent)"
        )
        assert cells == []
        assert set(
            shown.evaluate("[...document.querySelectorAll('table')].map(t => getComputedStyle(t).tableLayout)")
        ) == {"auto"}


def test_axe_finds_nothing_serious(chromium: Browser, page: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with opened(chromium, page, 700) as shown:
        found = Axe().run(shown).response["violations"]
        serious = {
            rule["id"]: [node["html"][:160] for node in rule["nodes"][:3]]
            for rule in found
            if rule["impact"] in ("serious", "critical")
        }
        assert serious == {}
