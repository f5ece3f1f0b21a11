"""Pictures of a report, for the README and these pages: parts of the real page as chromium shows it.

python -m manual.pictures FOLDER        the pictures of the newest report in ./artifacts, written to FOLDER
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageChops, ImageOps

from deploytool.store.artifact import Store


@dataclass(frozen=True)
class Part:
    """A part of the page: the section whose heading begins with ``heading``, without what ``hidden`` selects in it."""

    heading: str
    hidden: str
    header: bool = False
    """Whether the header, with the verdict, is shown too."""


PICTURES: Final[Mapping[str, Part]] = {
    "report": Part("Accuracy, rung by rung", "h3, h3 ~ *", header=True),
    "report-chip": Part("The network on the", ".cores ~ *"),
}
WIDTH: Final = 800
SCALE: Final = 2
MARGIN: Final = 24
BORDER: Final = "#d0d7de"
LARGEST: Final = 200_000
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")


def pictures(page: Path, folder: Path) -> list[Path]:
    """Writes each of PICTURES to ``folder`` as WebP. Raises ValueError for one that is larger than it should be."""
    html = page.read_text(encoding="utf-8")
    written = []
    for name, part in PICTURES.items():
        path = folder / f"{name}.webp"
        _trimmed(_screenshot(_only(html, part))).save(path, quality=85, method=6)
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path} has {path.stat().st_size:,} bytes; need at most {LARGEST:,}")
        written.append(path)
    return written


def _only(html: str, part: Part) -> str:
    """``html`` with nothing but ``part``."""
    headings = re.findall(r"<section>\s*<h2>(.*?)</h2>", html)
    number = next(i for i, heading in enumerate(headings, start=1) if heading.startswith(part.heading))
    inside = (f"main > section {selector.strip()}" for selector in part.hidden.split(","))
    hidden = ", ".join([f"main > section:not(:nth-of-type({number}))", *inside, *([] if part.header else ["header"])])
    style = f"<style>{hidden} {{ display: none }} body {{ padding: {MARGIN}px }} h2 {{ border: 0 }}</style></head>"
    return html.replace("</head>", style, 1)


def _screenshot(html: str) -> Image.Image:
    browser = next((name for name in BROWSERS if shutil.which(name)), None)
    if browser is None:
        raise SystemExit(f"pictures: need a browser, one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "page.html", Path(folder) / "page.png"
        page.write_text(html, encoding="utf-8")
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        size = [f"--window-size={WIDTH},2400", f"--force-device-scale-factor={SCALE}"]
        subprocess.run(
            [browser, *options, *size, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True
        )
        return Image.open(shot).convert("RGB")


def _trimmed(image: Image.Image) -> Image.Image:
    """``image`` without the empty space below and above what is on it."""
    box = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox()
    assert box is not None, "an empty page"
    top, bottom = max(0, box[1] - MARGIN), min(image.height, box[3] + MARGIN)
    return ImageOps.expand(image.crop((0, top, image.width, bottom)), SCALE, BORDER)


if __name__ == "__main__":
    newest = Store(Path("artifacts")).get("report@latest").path / "report.html"
    for picture in pictures(newest, Path(sys.argv[1])):
        print(picture, f"{picture.stat().st_size:,} bytes")
