"""Pictures for the README and these pages: parts of a real report, and views of results, as Chromium shows them.

python -m manual.pictures FOLDER        the pictures of the newest report in ./artifacts, and of views, in FOLDER
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageOps

import deploytool as dt
from deploytool.store.artifact import Store
from manual.browser import browser, opened

if TYPE_CHECKING:
    from playwright.sync_api import Page


@dataclass(frozen=True)
class Part:
    """Parts of the page: the elements that ``shown`` selects, without those that ``hidden`` selects."""

    shown: tuple[str, ...]
    hidden: tuple[str, ...] = ()


PICTURES: Final[Mapping[str, Part]] = {
    "report": Part((".top", "#verdict", ".strip", "#accuracy"), ("#accuracy h3", "#accuracy h3 ~ *")),
    "report-chip": Part(("#cores",), ("#cores .together ~ *",)),
    "report-sample": Part(("#samples .sample:first-of-type",), ("#samples .pictures",)),
}
WIDTH: Final = 860
VIEW_WIDTH: Final = 640
SCALE: Final = 2
MARGIN: Final = 24
BORDER: Final = "#d0d7de"
LARGEST: Final = 200_000

# Everything is hidden that neither is shown, nor is inside of or around what is shown.
_ONLY: Final = """
([shown, hidden]) => {
  const kept = shown.map((selector) => document.querySelector(selector));
  for (const element of document.body.querySelectorAll("*")) {
    const related = kept.some((part) => part.contains(element) || element.contains(part));
    if (!related || hidden.some((selector) => element.matches(selector))) element.style.display = "none";
  }
  for (const heading of document.querySelectorAll("h2, h3")) heading.style.marginTop = "0.5rem";
}
"""


def pictures(page: Path, folder: Path) -> list[Path]:
    """Writes each of PICTURES to ``folder`` as WebP. Raises ValueError for one that is larger than it should be."""
    written = []
    with browser() as started:
        for name, part in PICTURES.items():
            path = folder / f"{name}.webp"
            with opened(started, page, WIDTH, device_scale_factor=SCALE) as shown:
                shown.evaluate(_ONLY, [list(part.shown), list(part.hidden)])
                _save(shown, path)
            written.append(path)
    return written


def views(path: Path) -> Path:
    """Writes the views of a program and of a recording to ``path``, as a notebook shows them."""
    program = dt.compile("zoo:digits")
    recording = dt.emulate(program, dt.events("digits", count=20), rasters=1)
    with tempfile.TemporaryDirectory() as folder, browser() as started:
        page = Path(folder) / "views.html"
        shown = "".join(f"<div>{each._repr_html_()}</div>" for each in (program, recording))
        page.write_text(f'<meta charset="utf-8"><body style="margin: 24px">{shown}', encoding="utf-8")
        with opened(started, page, VIEW_WIDTH, device_scale_factor=SCALE) as opened_page:
            _save(opened_page, path)
    return path


def _save(page: Page, path: Path) -> None:
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    _trimmed(shot).save(path, quality=85, method=6)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes; need at most {LARGEST:,}")


def _trimmed(image: Image.Image) -> Image.Image:
    """``image`` without the empty space below and above what is on it, and with a border."""
    box = ImageOps.invert(image).getbbox()
    assert box is not None, "an empty page"
    top, bottom = max(0, box[1] - MARGIN), min(image.height, box[3] + MARGIN)
    return ImageOps.expand(image.crop((0, top, image.width, bottom)), SCALE, BORDER)


if __name__ == "__main__":
    newest = Store(Path("artifacts")).get("report@latest").path / "report.html"
    for picture in (*pictures(newest, Path(sys.argv[1])), views(Path(sys.argv[1]) / "notebook.webp")):
        print(picture, f"{picture.stat().st_size:,} bytes")
