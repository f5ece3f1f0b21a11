"""Pages filled when they are built: ``<!-- generated: NAME ARGUMENT -->`` becomes what NAME gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from manual import chips, commands, data, foreign, python, recipe, rooms, store, zoo
from manual.sandbox import PROJECT

GENERATED: Final[Mapping[str, Callable[..., str]]] = MappingProxyType(
    {
        "command": commands.synopsis,
        "commands": commands.overview,
        "common-options": commands.common_options,
        "recipe": recipe.reference,
        "presets": recipe.presets,
        "chips": chips.overview,
        "cores": chips.cores,
        "limits": chips.limits,
        "rules": chips.rules,
        "memory": chips.memory,
        "data-sets": data.sets,
        "event-formats": data.formats,
        "foreign-schema": foreign.schema,
        "rooms": rooms.rooms,
        "files": rooms.files,
        "nouns": rooms.nouns,
        "exit-codes": store.exit_codes,
        "manifest": store.manifest,
        "models": zoo.models,
        "functions": python.functions,
        "results": python.results,
    }
)
MARK: Final = re.compile(r"^<!-- generated: (?P<name>[\w-]+) ?(?P<argument>[^>]*?) ?-->$", re.MULTILINE)

PAGES: Final = tuple(sorted(path.relative_to(PROJECT).as_posix() for path in (PROJECT / "docs").rglob("*.md")))
"""The pages, as paths in the project."""


def filled(text: str) -> str:
    """``text`` with every mark replaced. Raises KeyError for an unknown name."""
    return MARK.sub(lambda match: GENERATED[match["name"]](*filter(None, [match["argument"]])), text)
