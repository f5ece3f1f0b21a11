"""Spikes and counts that other programs recorded, as `import-recording` takes them."""

from __future__ import annotations

import functools
import tempfile
import warnings
from pathlib import Path
from random import Random
from typing import Any, Final

import h5py
import numpy as np
from helpers.aedat4 import aedat4
from helpers.foreign import PROGRAM, read

from deploytool.base.errors import DeployError
from deploytool.data.spikes.nirdata import write_nir_data
from deploytool.data.spikes.read import sample_table
from deploytool.data.spikes.samples import Samples
from tests.fuzz import forged, hostile_columns
from tests.fuzz.families.events import file_of
from tests.fuzz.family import Family

TABLE: Final = "sample,layer,t_us,c,y,x\nset/a,conv,5,3,1,2\n1,fc,7,2,0,0\n0,input,4,1,0,0\n"
HOW: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"known": None},
    {"known": None, "time_unit": "ms"},
    {"layer": "conv", "known": Samples(("a",), np.array([0]))},
    {"layer": "fc", "known": None, "time_unit": "s"},
    {"known": None, "renames": {"other": "conv", "x1": ""}, "watch": ("fc",)},
)
"""Samples and options that a file is read with."""


def _read(path: Path) -> None:
    refusals = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for how in HOW:
            try:
                read(path, **how)
            except DeployError as refusal:
                refusals.append(refusal)
        try:
            sample_table(path)
        except DeployError as refusal:
            refusals.append(refusal)
    if len(refusals) == len(HOW) + 1:
        raise max(refusals, key=lambda refusal: len(str(refusal)))


HEADERS: Final = (
    *("sample,layer,t_us,c,y,x", "sample,layer,t,neuron", "sample,core,timestamp,feature,y,x", "t_us,c,y,x", "a,b,c"),
    *("layer,feature,timestamp,x,y", "sample,layer,c,y,x,count", "layer,neuron,count", "name,label,duration_us"),
    *("sample,name", "sample,layer,t_us,c,y", "t_us,t,c,y,x"),
)
USUAL: Final = {
    "sample": "0 1 set/a b",
    "layer": "conv fc input relu conv_a 3",
    "core": "3 5 0",
    "c": "0 1",
    "feature": "0 1",
    "y": "0 1",
    "x": "0 1 2",
    "neuron": "0 2",
    "count": "0 3",
    "name": "n1 n2 n3",
    "label": "0 -1",
    "duration_us": "1000",
}
"""Values of columns, those of times left out."""


def _table(random: Random) -> tuple[str, bytes]:
    separator = random.choice((",", ",", ";", "\t"))
    names = random.choice(HEADERS).split(",")
    if random.random() < 0.1:
        names[random.randrange(len(names))] = random.choice((*forged.TEXTS, "node", "counts", "x" * 70_000))
    lines, hostile = [separator.join(names)], random.random() < 0.6
    if random.random() < 0.1:
        lines = ["# " + random.choice(forged.TEXTS)] * random.choice((1, 200)) + lines
    for number in range(forged.some(random, 5000, 30)):
        cells = [random.choice(USUAL.get(name, str(number * 3)).split()) for name in names]
        if hostile and random.random() < 0.1:
            cells[random.randrange(len(cells))] = random.choice(
                (*forged.TEXTS, *forged.REALS, str(forged.number(random)), '"a\n"', '"' * 3, "'=1")
            )
        if hostile and random.random() < 0.02:
            cells = cells[: random.randrange(len(cells) + 1)] + ["1"] * random.choice((0, 1, 40_000))
        lines.append(separator.join(cells))
    text = random.choice(("\n", "\n", "\r\n", "\r")).join(lines) + random.choice(("\n", ""))
    content = text.encode(random.choice(("utf-8",) * 6 + ("utf-8-sig", "utf-16", "latin-1")), "replace")
    if random.random() < 0.1:
        at = random.randrange(len(content) + 1)
        content = content[:at] + random.choice(forged.BYTES) + content[at:]
    return "a.csv", content


def _counts(random: Random, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    shape = (random.choice((2, 2, 2, 1, 0, 3)), *shape)
    if random.random() < 0.2:
        shape = random.choice(((2, int(np.prod(shape[1:]))), shape[1:], (*shape, 1), (2,), ()))
    flat = hostile_columns.column(
        random, random.choice(("<i8", "<u4", "|u1", "<f4")), 5, int(np.prod(shape, dtype=np.int64))
    )
    return flat.reshape(shape)


def _spikes(random: Random) -> np.ndarray[Any, Any]:
    length = forged.some(random, 3000, 20)
    found = {
        "sample": hostile_columns.column(random, "<u4", 1, length),
        "t_us": hostile_columns.column(random, random.choice(("<i8", "<f8")), 900, length),
        "c": hostile_columns.column(random, "<u2", 1, length),
        "y": hostile_columns.column(random, "<u2", 1, length),
        "x": hostile_columns.column(random, "<u2", 2, length),
    }
    if random.random() < 0.2:
        key = random.choice(list(found))
        found[random.choice(("t", "layer", "core", "neuron", "count", "\u00e4", "a" * 300, "node"))] = found.pop(key)
    return hostile_columns.structured(random, found)


def _numpy(random: Random) -> tuple[str, bytes]:
    match random.randrange(5):
        case 0:
            return "a.npy", forged.npy(random)
        case 1:
            return "a.npy", hostile_columns.saved(_counts(random, (4, 2, 3)))
        case 2:
            return "a.npy", hostile_columns.saved(_spikes(random))
    members = {
        "counts/conv.npy": hostile_columns.saved(_counts(random, (4, 2, 3))),
        "counts/fc.npy": hostile_columns.saved(_counts(random, (3, 1, 1))),
        "spikes/conv.npy": hostile_columns.saved(_spikes(random)),
        "samples.npy": hostile_columns.saved(
            np.array(["set/a", "set/b"])
            if random.random() < 0.7
            else hostile_columns.column(random, "<U3", 9, random.randrange(4))
        ),
        "labels.npy": hostile_columns.saved(hostile_columns.column(random, "<i8", 9, random.choice((2, 2, 2, 3, 0)))),
        "durations_us.npy": hostile_columns.saved(hostile_columns.column(random, "<i8", 2000, 2)),
    }
    for key in random.sample(list(members), random.randrange(5)):
        if random.random() < 0.7:
            del members[key]
        else:
            members[key] = forged.npy(random)
    if random.random() < 0.1:
        members[random.choice(("alias_nodes.npy", "fc.npy", "other.npy", "x1.npy", "spikes/.npy"))] = (
            hostile_columns.saved(_counts(random, (3, 1, 1)))
        )
    return "a.npz", forged.zipped(random, members or {"a.npy": b""}, random.random() < 0.5)


@functools.cache
def _nir_file() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "a.csv"
        table.write_text(TABLE, encoding="utf-8")
        write_nir_data(read(table), Path(name) / "a.h5", PROGRAM.input_shape)
        return (Path(name) / "a.h5").read_bytes()


def _nir_data(random: Random, folder: Path) -> Path:
    path = folder / "a.h5"
    if random.random() < 0.3:
        path.write_bytes(random.choice((forged.damaged, forged.struck))(random, _nir_file()))
        return path
    made = hostile_columns.Hdf5(random, path)
    try:
        made.attribute("__type__", *["NIRGraphData"] * 9)
        if random.random() < 0.8:
            made.attribute("time_unit", "us", "ms")
        for node, neurons in (("relu", 24), ("lin", 3), ("input", 12)):
            if random.random() < 0.8:
                _node(random, made, f"nodes/{node}", neurons)
        if random.random() < 0.1:
            group = made.group("nodes")
            for _ in range(random.choice((2, 20, 400))):
                inner = group.require_group("g")
                inner.attrs["__type__"] = "NIRGraphData"
                group = inner.require_group("nodes")
        if random.random() < 0.05 and "nodes" in made.file:
            made.file["nodes"]["again"] = made.file
    finally:
        made.close()
    return path


def _node(random: Random, made: hostile_columns.Hdf5, place: str, neurons: int) -> None:
    samples, events = random.choice((2, 2, 2, 1, 0)), random.choice((3, 3, 0, 1, 200))
    name = random.choice(("spikes",) * 8 + ("v", "\u00e4"))
    if random.random() < 0.8:
        made.put(
            f"{place}/observables/{name}/idx",
            hostile_columns.column(random, "<i8", neurons - 1, samples * events).reshape(samples, events),
        )
        made.put(
            f"{place}/observables/{name}/time",
            hostile_columns.column(random, "<f8", 900, samples * events).reshape(samples, events),
        )
        kind = "EventData"
    else:
        made.put(
            f"{place}/observables/{name}/data",
            hostile_columns.column(random, "|b1", 1, samples * 5 * neurons).reshape(samples, 5, neurons),
        )
        kind = "TimeGriddedData"
    attributes = {"__type__": kind, "n_neurons": neurons, "t_max": 900.0, "dt": 1.0}
    for key, value in attributes.items():
        if random.random() < 0.97:
            odd = (
                np.zeros(2),
                "text",
                float(random.choice(forged.REALS)),
                forged.number(random) % 2**63,
                b"\xff",
                h5py.Empty("f"),
            )
            made.file[f"{place}/observables/{name}"].attrs[key] = (
                value if random.random() < 0.95 else random.choice(odd)
            )
    if random.random() < 0.98:
        made.file[place].attrs["__type__"] = (
            "NIRNodeData" if random.random() < 0.97 else random.choice(("NIRGraphData", 3, "x"))
        )


def _aedat4(random: Random) -> tuple[str, bytes]:
    t, rows = random.choice((0, 9, 2**40)), []
    for number in range(random.randrange(1, 30)):
        t += random.randrange(30) if random.random() < 0.95 else forged.number(random) % 2**40
        rows.append((t, random.randrange(3), random.randrange(2), number % 2))
    content = aedat4(rows)
    if random.random() < 0.3:
        return "a.aedat4", forged.struck(random, content)
    packet = 16 * len(rows) + 40
    return "a.aedat4", content[:-packet] + forged.struck(random, content[-packet:], 2)


FAMILIES: Final = (
    Family("spikes-table", file_of(_table), _read),
    Family("spikes-numpy", file_of(_numpy), _read),
    Family("spikes-nir", _nir_data, _read),
    Family("spikes-aedat4", file_of(_aedat4), _read),
)
