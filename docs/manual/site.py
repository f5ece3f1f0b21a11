"""Checks a built site: every link inside it leads somewhere, and it needs nothing from the network.

python -m manual.site FOLDER
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

LOADED: Final = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}
"""Elements that a browser loads by itself: {name: its attribute}."""
PASSIVE: Final = {"canonical", "author", "search", "index", "next", "prev", "genindex"}
"""Relations of a <link> that loads nothing."""
EXTERNAL: Final = re.compile(r"https?://[\w-]+(\.[\w-]+)+(:\d+)?([/?#]\S*)?|mailto:\S+@\S+")


@dataclass
class Page(HTMLParser):
    """The anchors of a page, the links from it, and what it loads."""

    path: Path
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if (name := LOADED.get(tag)) and name in values and not PASSIVE & set(values.get("rel", "").split()):
            self.loaded.append(values[name])


def problems(site: Path) -> Iterator[str]:
    """One sentence for each link that leads nowhere, and for each thing that is loaded from elsewhere."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site}: no pages"
    for page in pages.values():
        where = page.path.relative_to(site)
        for address in page.loaded:
            if urlsplit(address).scheme not in ("", "data") or address.startswith("//"):
                yield f"{where}: loads {address} from the network"
        for address in [*page.links, *page.loaded]:
            if problem := _problem(address, page, pages):
                yield f"{where}: {address} {problem}"


def _problem(address: str, page: Page, pages: dict[Path, Page]) -> str | None:
    """What is wrong with a link, None where nothing is."""
    parts = urlsplit(address)
    if parts.scheme == "data" or not address:
        return None
    if parts.scheme or parts.netloc:
        return None if EXTERNAL.fullmatch(address) else "is no address"
    target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path.resolve()
    if not target.is_file():
        return "does not exist"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "has no such anchor"
    return None


if __name__ == "__main__":
    found = list(problems(Path(sys.argv[1])))
    print(*found, sep="\n")
    print(f"{len(found)} broken links" if found else "every link leads somewhere, and nothing is loaded from elsewhere")
    sys.exit(bool(found))
