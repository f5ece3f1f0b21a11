"""Pictures of a report, for the README and these pages: parts of the real page as Chromium shows it.

python -m manual.pictures FOLDER        the pictures of the newest report in ./artifacts, written to FOLDER
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from deploytool.store.artifact import Store
from manual.browser import browser, opened


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
                shot = Image.open(io.BytesIO(shown.screenshot(full_page=True))).convert("RGB")
            _trimmed(shot).save(path, quality=85, method=6)
            if path.stat().st_size > LARGEST:
                raise ValueError(f"{path} has {path.stat().st_size:,} bytes; need at most {LARGEST:,}")
            written.append(path)
    return written


def _trimmed(image: Image.Image) -> Image.Image:
    """``image`` without the empty space below and above what is on it, and with a border."""
    box = ImageOps.invert(image).getbbox()
    assert box is not None, "an empty page"
    top, bottom = max(0, box[1] - MARGIN), min(image.height, box[3] + MARGIN)
    return ImageOps.expand(image.crop((0, top, image.width, bottom)), SCALE, BORDER)


if __name__ == "__main__":
    newest = Store(Path("artifacts")).get("report@latest").path / "report.html"
    for picture in pictures(newest, Path(sys.argv[1])):
        print(picture, f"{picture.stat().st_size:,} bytes")
