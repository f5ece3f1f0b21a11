"""Classes by name: the order of those in a folder, and the outputs of a network that they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from deploytool.base.errors import InputError

NUMBER_DIGITS: Final = 3
"""A folder whose name is a longer number is a date or an identifier, not a class."""
TOLD: Final = 10


@dataclass(frozen=True)
class Classes:
    """What a network tells apart: its number of ``outputs``, 0 if not known, and their ``names``, if it has any."""

    outputs: int = 0
    names: tuple[str, ...] = ()


NOT_KNOWN: Final = Classes()


@dataclass(frozen=True)
class Numbered:
    """{name: class} ``numbers`` of the names that are classes, and what a person should know of it."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, name: str) -> int:
        """The class called ``name``, -1 if it is none."""
        return self.numbers.get(name, -1)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """``names`` in order, each once: of numbers if all are, otherwise of text."""
    once = sorted(set(names))
    return tuple(sorted(once, key=int)) if all(map(is_number, once)) else tuple(once)


def is_number(name: str) -> bool:
    """Whether ``name`` is the number of a class."""
    return name.isascii() and name.isdecimal() and len(name) <= NUMBER_DIGITS


def numbered(names: Iterable[str], classes: Classes, where: str) -> Numbered:
    """The outputs of a network with ``classes`` that the ``names`` of folders and labels in ``where`` belong to.

    A network with names knows each; without, a number means itself, and other names are its outputs in order if there
    are as many. Raises InputError for a name that is not one of the network's.
    """
    found = in_order(names)
    if classes.names:
        known = {name: number for number, name in enumerate(classes.names)}
        if unknown := [name for name in found if name not in known]:
            are = "which is no class" if len(unknown) == 1 else "which are no classes"
            need = f"the network's: {listed(classes.names, TOLD)}"
            todo = "Rename the folders, or name one without others."
            raise InputError(where, f"recordings of {listed(unknown)}, {are} of the network", need, todo)
        return Numbered(known)
    numbers = {name: int(name) for name in found if is_number(name)}
    if len(numbers) == len(found):
        return Numbered(numbers)
    if not numbers and len(found) == classes.outputs:
        pairs = listed([f"{name} = {number}" for number, name in enumerate(found)], TOLD)
        note = f"The network does not name its classes. The names in order are taken for its outputs: {pairs}."
        return Numbered({name: number for number, name in enumerate(found)}, (note,))
    return Numbered(numbers, tuple(_unlabelled([name for name in found if name not in numbers], classes)))


def _unlabelled(names: Sequence[str], classes: Classes) -> Iterator[str]:
    """The remark that recordings in folders or spans called ``names`` have no label."""
    if len(names) > 1 or classes.outputs:
        why = "the network does not name its classes, and only a name that is a number states one"
        if classes.outputs:
            why += f"; as many names as the network has outputs, {classes.outputs}, would be taken in order"
        yield f"No labels for recordings in {listed(names)}: {why}."


def listed(names: Sequence[str], told: int = 3) -> str:
    """The first ``told`` of ``names``."""
    return ", ".join(names[:told]) + ", ..." * (len(names) > told)
