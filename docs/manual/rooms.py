"""The house as it is: every room and file with its first line, who imports whom, and the nouns."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import deploytool
from deploytool.ir.events import EventStream
from deploytool.ir.graph import Graph
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording
from deploytool.ir.target import Target
from deploytool.ir.verdict import Verdict
from deploytool.recipe import Recipe
from deploytool.store.artifact import Artifact
from manual.markdown import definitions, first_sentence, listed, prose, slug

ROOT: Final = Path(deploytool.__file__).parent
NOUNS: Final = (Recipe, EventStream, Graph, Program, Target, Recording, Verdict, Artifact)


def rooms() -> str:
    """Every room: what is in it, its size, and the rooms it imports."""
    entries = []
    for room in _order():
        files = sorted((ROOT / room).rglob("*.py"))
        lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
        says = first_sentence(_docstring(ROOT / room / "__init__.py"))
        imports = ", ".join(f"`{other}`" for other in _order() if other in _imports(room))
        facts = f"{len(files)} files, {lines:,} lines. Imports {imports or 'no other room'}."
        entries.append((f"[`{room}`](files.md#{slug('room', room)})", f"{says}\n\n{facts}"))
    return definitions(entries)


def files() -> str:
    """Every file of every room with the first sentence of its docstring."""
    return "\n".join(f"({slug('room', room)})=\n## {room}\n\n{_room(ROOT / room)}" for room in _order())


def nouns() -> str:
    """The eight nouns: what each is, where it is, and its fields."""
    entries = []
    for noun in NOUNS:
        module = noun.__module__.replace(".", "/") + ".py"
        says = prose(inspect.getdoc(noun) or "").split("\n\n")[0]
        entries.append((f"`{noun.__name__}`", f"{says}\n\n`{module}`{_fields(noun)}"))
    return definitions(entries)


def _fields(noun: Any) -> str:
    names = [field.name for field in dataclasses.fields(noun)] if dataclasses.is_dataclass(noun) else []
    return f", fields {listed([f'`{name}`' for name in names], 'and')}" if names else ""


def _order() -> list[str]:
    """The rooms from the ground up: each after all that it imports, else by name."""
    left = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    order: list[str] = []
    while left:
        floor = sorted(room for room in left if not _imports(room) & left)
        assert floor, f"the rooms {sorted(left)} import one another"
        order += floor
        left -= set(floor)
    return order


@functools.cache
def _imports(room: str) -> frozenset[str]:
    """The other rooms that ``room`` imports."""
    found: set[str] = set()
    for file in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("deploytool."):
                found.add(node.module.split(".")[1])
    return frozenset(found - {room})


def _room(folder: Path) -> str:
    says = first_sentence(_docstring(folder / "__init__.py"))
    return f"{says}\n\n{definitions(_entries(folder))}"


def _entries(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file below ``folder`` and what it says of itself; empty ``__init__.py`` are left out."""
    for file in sorted(folder.rglob("*.py"), key=lambda path: (len(path.parts), path)):
        if file != folder / "__init__.py":
            name = file.relative_to(ROOT).as_posix()
            yield f"`{name}`", prose(first_sentence(_docstring(file)))


def _docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
