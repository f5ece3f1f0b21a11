"""NIR files: HDF5 whose nodes, edges, fields, statements and links contradict each other, or are not what they seem."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import h5py
import numpy as np

from deploytool.base.errors import UsageError
from deploytool.convert.nir.statements import KNOWN
from deploytool.workflow.convert import lint
from deploytool.workflow.sources.networks import ImportOptions
from tests.fuzz.damage import DTYPES, FLOATS, NAMES, NUMBERS, damaged
from tests.fuzz.family import Family
from tests.fuzz.networks import TYPES, foreign_network, own_network
from tests.fuzz.reading import convert_and_map

Tree: TypeAlias = dict[str, Any]
"""A group: {name: tree, array, text, or a function that writes it}."""


@dataclass(frozen=True)
class Written:
    """A member that ``write(group, name)`` writes as h5py cannot by itself."""

    write: Callable[[h5py.Group, str], object]


def _leaves(tree: Tree, above: tuple[str, ...] = ()) -> Iterator[tuple[Tree, str]]:
    """(group, name) of everything in ``tree`` that is no group."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        else:
            yield tree, name


def _groups(tree: Tree) -> list[Tree]:
    """``tree`` and all groups in it."""
    return [tree, *(group for value in tree.values() if isinstance(value, dict) for group in _groups(value))]


def _other_array(random: random.Random, array: np.ndarray) -> Any:
    """``array`` with another type, shape or value."""
    found: np.ndarray
    match random.randrange(8):
        case 0:
            with np.errstate(all="ignore"):
                return array.astype(random.choice(DTYPES))
        case 1 | 2:
            found = array.astype(np.float64)
            if found.size:
                found.flat[random.randrange(found.size)] = random.choice(FLOATS)
            return found
        case 3:
            number = random.choice((*FLOATS, *[n for n in NUMBERS if abs(n) < 2**63]))
            return np.full_like(array, number, dtype=np.float64 if isinstance(number, float) else np.int64)
        case 4:
            return np.ones([random.choice((0, 1, 2, 3, 5)) for _ in range(random.randrange(7))])
        case 5:
            return array.reshape((1,) * random.randrange(1, 4) + array.shape)
        case 6:
            return array.T if array.ndim > 1 else np.repeat(array, 2)
        case _:
            return array.reshape(-1)[: random.randrange(array.size + 1)]


def _shape(random: random.Random) -> tuple[int, ...]:
    return tuple(random.choice((1, 2, 1000, 10**5, 2**31)) for _ in range(random.randrange(1, 5)))


def _odd_member(random: random.Random) -> Any:
    """A member of a file that takes the place of an array or group."""
    kind = random.choice(("f4", "f8", "i8", "u1"))
    bomb = tuple(random.choice((1, 64, 4096)) for _ in range(random.randrange(1, 4)))
    packed = (random.choice((1, 64, 2**22)),)
    vector = h5py.vlen_dtype(np.float64)
    compound = np.dtype([("a", "f4"), ("b", "i8")])
    choices: tuple[Any, ...] = (
        h5py.SoftLink(random.choice(("/", "/node", "/node/nodes", "/nothing", "."))),
        h5py.ExternalLink(random.choice(("net.nir", "other", "/etc/hostname")), random.choice(("/", "/node"))),
        Written(lambda group, name: group.create_dataset(name, _shape(random), kind, chunks=True)),
        Written(lambda group, name: group.create_dataset(name, bomb, kind, compression="gzip", fillvalue=1)),
        Written(lambda group, name: group.create_dataset(name, data=np.zeros(packed, kind), compression="gzip")),
        Written(lambda group, name: group.create_dataset(name, data=np.ones((2, 2)), compression="lzf", shuffle=True)),
        Written(lambda group, name: group.create_dataset(name, data=np.ones((2, 2)), fletcher32=True)),
        Written(lambda group, name: group.create_dataset(name, data=np.ones((2, 2)), scaleoffset=2)),
        Written(lambda group, name: group.create_dataset(name, (4,), kind, external=[("other", 0, 64)])),
        Written(lambda group, name: group.create_dataset(name, data=h5py.Empty(kind))),
        Written(lambda group, name: group.create_dataset(name, (2,), vector)),
        Written(lambda group, name: group.create_dataset(name, (2,), h5py.ref_dtype)),
        Written(lambda group, name: group.create_dataset(name, (2,), h5py.regionref_dtype)),
        Written(lambda group, name: group.create_dataset(name, (2,), compound)),
        Written(lambda group, name: group.create_dataset(name, (2,), h5py.enum_dtype({"a": 1, "b": 2}))),
        Written(lambda group, name: group.create_dataset(name, (2,), h5py.opaque_dtype(np.dtype("M8[s]")))),
        Written(lambda group, name: group.create_dataset(name, (2,), np.dtype(("f8", (2, 3))))),
        Written(lambda group, name: group.create_dataset(name, (3,), h5py.string_dtype(length=4))),
        Written(lambda group, name: group.create_dataset(name, data=b"\xff\xfe\x80")),
        Written(lambda group, name: group.create_dataset(name, data=np.array([b"\xff", b"a"]))),
        Written(_virtual),
        Written(lambda group, name: group.__setitem__(name, np.dtype(kind))),
        Written(lambda group, name: group.__setitem__(name, group)),
        Written(lambda group, name: group.__setitem__(name, group.file["/"])),
        Written(lambda group, name: _deep(group, name, random.choice((3, 70, 500)))),
        Written(lambda group, name: _wide(group, name, random.choice((3, 300)))),
        Written(lambda group, name: _attributes(group, name, random)),
        random.choice((*NAMES[:10], *NAMES[15:])).replace("\0", ""),
        random.choice((*FLOATS, True)),
        random.choice(tuple(n for n in NUMBERS if abs(n) < 2**63)),
        {},
    )
    return random.choice(choices)


def _virtual(group: h5py.Group, name: str) -> None:
    layout = h5py.VirtualLayout((2, 2), np.float64)
    layout[:] = h5py.VirtualSource("other", "weight", (2, 2))
    group.create_virtual_dataset(name, layout)


def _deep(group: h5py.Group, name: str, depth: int) -> None:
    for _ in range(depth):
        group = group.create_group(name)


def _wide(group: h5py.Group, name: str, number: int) -> None:
    inner = group.create_group(name)
    for index in range(number):
        inner[str(index)] = index


def _attributes(group: h5py.Group, name: str, random: random.Random) -> None:
    item = group.create_dataset(name, data=np.ones(2))
    item.attrs[random.choice(("type", "dtype", "é"))] = random.choice(("text", 3, np.ones(3)))


def _json_value(random: random.Random, depth: int = 2) -> Any:
    """A value of JSON, or what Python writes in its place."""
    texts = ("zero", "subtract", "count", "rate", "", "x" * 2000, "\x1b[1m", "\ud800")
    match random.randrange(8 if depth else 5):
        case 0:
            return random.choice(NUMBERS)
        case 1:
            return random.choice(FLOATS)
        case 2:
            return random.choice(texts)
        case 3:
            return random.choice((True, False, None))
        case 4:
            return random.choice((0, 1, 2, 4, 8, -1, 0.5))
        case 5:
            return [_json_value(random, depth - 1) for _ in range(random.choice((0, 1, 2, 3, 18)))]
        case 6:
            return [["input", "conv"], ["conv", "spike"], [random.choice(NAMES), random.choice(NAMES)]][
                : random.randrange(4)
            ]
        case _:
            keys = ("kind", "classes", "window", "name", "tau_ms", "weights", *NAMES[:6])
            return {random.choice(keys): _json_value(random, depth - 1) for _ in range(random.randrange(4))}


def _statements(random: random.Random, group: Tree) -> None:
    """States something in the metadata of ``group``, in place of what it stated or besides."""
    held = group.get("metadata")
    text = held.get("deploytool") if isinstance(held, dict) else None
    stated: dict[str, Any] = {}
    if isinstance(text, str) and random.random() < 0.7:
        with contextlib.suppress(ValueError, RecursionError):  # of an earlier change
            stated = json.loads(text)
    for _ in range(random.choice((1, 1, 2))):
        stated[random.choice((*KNOWN, *KNOWN, "unknown", ""))] = _json_value(random)
    text = json.dumps(stated)
    match random.randrange(12):
        case 0:
            text = "[" * random.choice((5, 10**5))
        case 1:
            text = text[: random.randrange(len(text) + 1)]
        case 2:
            text = text[:-1] + ', "a": {"b": ' * random.choice((1, 2000)) + "0"
    group["metadata"] = {random.choice(("deploytool",) * 9 + ("other",)): text}


def _edges_changed(random: random.Random, graph: Tree) -> None:
    """Other ``edges``: more, fewer, between other nodes, or no edges at all."""
    names = [*graph["nodes"]] if isinstance(graph.get("nodes"), dict) else []
    edges = graph.get("edges")
    rows = [list(row) for row in edges] if isinstance(edges, np.ndarray) and edges.shape[1:] == (2,) else []
    for _ in range(random.choice((1, 1, 2, 30))):
        match random.randrange(5):
            case 0 if rows:
                del rows[random.randrange(len(rows))]
            case 1 if rows:
                rows[random.randrange(len(rows))][random.randrange(2)] = random.choice((*names, *NAMES[:5])).replace(
                    "\0", ""
                )
            case 2 if rows:
                rows.append(random.choice(rows))
            case _ if names:
                rows.append([random.choice(names), random.choice(names)])
    graph["edges"] = np.array(rows, dtype=object).reshape(-1, 2)
    if random.random() < 0.1:
        graph["edges"] = random.choice(
            (np.ones((2, 2)), np.zeros((0,)), np.array([["a", "b", "c"]], object), np.array("a", object), "edges", {})
        )


def _nodes_changed(random: random.Random, graph: Tree) -> None:
    """Nodes of other types, names and number, or moved into a graph of their own."""
    nodes = graph.get("nodes")
    if not isinstance(nodes, dict) or not nodes:
        return
    name = random.choice([*nodes])
    match random.randrange(8):
        case 0:
            del nodes[name]
        case 1 if isinstance(nodes[name], dict):
            nodes[name]["type"] = random.choice((*TYPES, *TYPES, *NAMES)).replace("\0", "")
        case 2:
            new = random.choice(NAMES).replace("\0", "").replace("/", "")
            graph["nodes"] = {(new or "x") if key == name else key: value for key, value in nodes.items()}
        case 3:
            new = random.choice([*nodes])
            nodes[name], nodes[new] = nodes[new], nodes[name]
        case 4:
            copies = random.choice((1, 1, 5, 50))
            nodes.update({f"{name}{number}": nodes[name] for number in range(copies)})
        case 5:
            inner = {
                "input": {"type": "Input", "shape": np.array([2])},
                "it": nodes[name],
                "output": {"type": "Output", "shape": np.array([2])},
            }
            inner_edges = np.array([["input", "it"], ["it", "output"]], object)
            nodes[name] = {"type": "NIRGraph", "nodes": inner, "edges": inner_edges}
        case 6:
            nodes[name + "2"] = foreign_network(random)["node"]
        case _:
            nodes[random.choice(("extra", "input", "output"))] = {"type": random.choice(TYPES)}


def _mutate(random: random.Random, tree: Tree) -> None:
    """One change anywhere in ``tree``."""
    graphs = [group for group in _groups(tree) if str(group.get("type")) == "NIRGraph"]
    leaves = list(_leaves(tree))
    match random.randrange(12):
        case 0 if graphs:
            _edges_changed(random, random.choice(graphs))
        case 1 if graphs:
            _nodes_changed(random, random.choice(graphs))
        case 2 | 3:
            _statements(random, random.choice([group for group in _groups(tree) if "type" in group] or [tree]))
        case 4 if leaves:
            group, name = random.choice(leaves)
            del group[name]
        case 5 if leaves:
            group, name = random.choice(leaves)
            group[name] = _odd_member(random)
        case 6:
            group = random.choice(_groups(tree))
            name = random.choice([*group, "extra", "metadata", "reset", "v_reset", "w_in", "input_type"])
            group[name] = _odd_member(random)
        case 7 if leaves:
            (group, name), (_, other) = random.choice(leaves), random.choice(leaves)
            group[other] = group[name]
        case _ if leaves:
            arrays = [(group, name) for group, name in leaves if isinstance(group[name], np.ndarray | int | float)]
            if arrays:
                group, name = random.choice(arrays)
                value = np.asarray(group[name])
                if value.dtype != object:
                    group[name] = _other_array(random, value)


def _write(group: h5py.Group, tree: Tree) -> None:
    for name, value in tree.items():
        with contextlib.suppress(OSError, ValueError, TypeError, RuntimeError, KeyError, OverflowError):
            if isinstance(value, dict):
                _write(group.create_group(name), value)
            elif isinstance(value, Written):
                value.write(group, name)
            elif isinstance(value, np.ndarray) and value.dtype == object:
                group.create_dataset(name, data=value, dtype=h5py.string_dtype())
            else:
                group[name] = value


def _mutated(random: random.Random, folder: Path) -> Path:
    tree = own_network(random, folder) if random.random() < 0.5 else foreign_network(random)
    for _ in range(random.choice((0, 1, 1, 1, 1, 2, 2, 3, 8))):
        _mutate(random, tree)
    path = folder / "net.nir"
    (folder / "other").write_bytes(bytes(64))
    with h5py.File(path, "w", libver=random.choice((None, "latest"))) as file:
        _write(file, tree)
    if random.random() < 0.2:
        path.write_bytes(damaged(random, path.read_bytes()))
    return path


def _read(path: Path) -> object:
    """Imports the file, and states what it leaves out when the refusal asks for that."""
    floor = -1.0 if path.stat().st_size % 2 else None
    stated: dict[str, Any] = {"floor": floor}
    for more in ({}, {"reset": "subtract"}, {"dt_ms": 1.0}, {"delay_us": 1000}, {"dt_ms": None}):
        stated |= more
        with contextlib.suppress(UsageError):
            return convert_and_map(path, ImportOptions(**stated))
    return convert_and_map(path, ImportOptions(reset="zero"))


def _lint(path: Path) -> object:
    return json.dumps(lint(path))


FAMILIES: Final = (Family("nir", _mutated, _read), Family("nir-lint", _mutated, _lint))
