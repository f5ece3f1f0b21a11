"""The data sets, from their table and from the files that read them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

from deploytool.base.arrays import format_shape
from deploytool.data.formats.table import FORMATS
from deploytool.data.sets.source import Source
from deploytool.data.sets.sources import DATASETS, EVENT_SETS, IMAGE_SETS, SPEECH_SETS
from manual.markdown import definitions, prose


def sets() -> str:
    """The data sets, of events and of images, and what each file that reads them says of its layout."""
    parts = []
    for title, found in (("Event sets", EVENT_SETS), ("Image sets", IMAGE_SETS), ("Speech", SPEECH_SETS)):
        entries = [
            (
                f"`{name}`{{#set-{name}}}",
                f"{_capital(source.says)}\n\n{_form(name, source)}.",
            )
            for name, source in found.items()
        ]
        parts.append(f"## {title}\n\n{definitions(entries)}")
    return "\n".join([*parts, "## Where each set is read from\n", *_layouts()])


def formats() -> str:
    """The formats of event files, with the usual ends of their names and what some need."""
    entries = []
    for each in FORMATS.values():
        names = ", ".join(f"`{suffix}`" for suffix in each.suffixes)
        entries.append((_capital(each.says)[:-1], f"{names}. Needs `{each.install}`." if each.install else names))
    return definitions(entries)


def _layouts() -> Iterator[str]:
    """One entry for each file that reads data sets, with the names of its sets."""
    readers: dict[str, list[str]] = {}
    for name, source in DATASETS.items():
        readers.setdefault(_module(source.parts), []).append(name)
    for module, names in readers.items():
        title = ", ".join(f"`{name}`" for name in names)
        yield f"### {title}\n\n{prose(sys.modules[module].__doc__ or '')}\n"


def _module(parts: Any) -> str:
    """The module of a function, also of one that some arguments were given already."""
    inner = parts.func if isinstance(parts, functools.partial) else parts
    return str(inner.__module__)


def _form(name: str, source: Source[Any]) -> str:
    if name in SPEECH_SETS:
        return "Mono, `data.rate_hz` samples per second, `data.duration_ms` long"
    return f"{_shape(source)}, {_classes(source.classes)}"


def _shape(source: Source[Any]) -> str:
    if all(source.shape):
        return f"Map {format_shape(source.shape)}"
    return f"{source.shape[0]} features, map of {'the camera' if source.opens else '`data.size`'}"


def _classes(count: int) -> str:
    return f"{count} classes" if count else "a class per folder"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:] + "."
