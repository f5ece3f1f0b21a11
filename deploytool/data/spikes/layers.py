"""What a name or a core in a file is: a map of neurons, whole or a part of a program's layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.ir.program import INPUT, Program

SIDE_MAX: Final = 1 << 16
"""Coordinates of recorded spikes have 16 bits."""
NAMES_TOLD: Final = 12


@dataclass(frozen=True)
class Map:
    """Neurons of ``shape`` (C, H, W): those of ``layer`` from feature ``first`` on."""

    layer: str
    first: int
    shape: Shape


@dataclass(frozen=True)
class Maps:
    """The maps that a file may name: {name: map}, {core: map}, and the shapes of whole logical layers."""

    named: Mapping[str, Map]
    on_core: Mapping[int, Map]
    whole: Mapping[str, Shape]

    def of_name(self, name: str, where: str) -> Map:
        """The map called ``name``, or else that on the core of this number. Raises InputError if there is none."""
        name = name if name in self.named else name.strip()
        if name in self.named:
            return self.named[name]
        if name.isascii() and name.isdecimal() and len(name) < 4 and self.on_core:
            return self.of_core(int(name), where)
        names = [each for each in self.whole if each != INPUT]
        layers = ", ".join(names[:NAMES_TOLD]) + ", ..." * (len(names) > NAMES_TOLD)
        need = f"one of the layers {layers}, a node or core of one, or {INPUT}"
        todo = f"Say which it is with --rename {name}=LAYER, or leave it out with --rename {name}=."
        raise InputError(where, f"no layer {name!r} in the program", need, "" if where.startswith("--") else todo)

    def of_core(self, number: int, where: str) -> Map:
        """The map on core ``number``. Raises InputError if no layer is there."""
        if number in self.on_core:
            return self.on_core[number]
        if not self.on_core:
            raise InputError(where, f"core {number}", "names of layers, because the program is on no chip's cores")
        cores = ", ".join(map(str, sorted(self.on_core)))
        raise InputError(where, f"no layer on core {number}", f"one of the cores {cores}")


def maps_of(program: Program) -> Maps:
    """The maps of ``program``. Raises UnsupportedError if a spike of one could not be recorded."""
    whole = {name: program.map_of(name) for name in (INPUT, *program.parts)}
    for name, shape in whole.items():
        if max(shape) > SIDE_MAX:
            found = f"a map of {format_shape(shape)}"
            raise UnsupportedError(f"layer {name!r}", found, f"at most {SIDE_MAX:,} features, rows and columns")
    named = {name: Map(name, 0, shape) for name, shape in whole.items()}
    parts = {name: Map(*program.place_in(name), program.map_of(name)) for name in program.layers}
    nodes = {node: named[layer] for node, layer in program.aliases.items()}
    on_core = {core: parts[name] for name, core in program.core_of.items()}
    return Maps(MappingProxyType({**nodes, **parts, **named}), MappingProxyType(on_core), MappingProxyType(whole))
