"""Pages as Chromium shows them: the browser that is installed, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """The path of the installed Chromium, or None."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Chromium without a window. Raises SystemExit if none is installed."""
    from playwright.sync_api import sync_playwright

    path = executable()
    if path is None:
        raise SystemExit(f"need a browser, one of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@contextlib.contextmanager
def opened(started: Browser, file: Path, width: int = 1280, **settings: Any) -> Iterator[Page]:
    """The page ``file``, in a window ``width`` pixels wide; ``settings`` are those of a browser context."""
    context = started.new_context(viewport={"width": width, "height": 900}, **settings)
    try:
        page = context.new_page()
        page.goto(file.resolve().as_uri())
        yield page
    finally:
        context.close()
