"""Hostile arrays: columns of events and of spikes, and HDF5 data sets that claim more than there is."""

from __future__ import annotations

import io
from pathlib import Path
from random import Random
from typing import Any, Final

import h5py
import numpy as np

from tests.fuzz import forged

KINDS: Final = (
    *("<i8", "<i4", "<u2", "|u1", "|i1", "<u8", ">i4", "|b1", "<f4", "<f8", "<f2", "<f16", "<c8", "|S3", "<U2"),
    *("<m8[us]", "<M8[s]", "<m8[as]", "<M8[Y]", "<m8"),
)


def column(random: Random, usual: str, most: int, length: int, kinds: tuple[str, ...] = KINDS) -> np.ndarray[Any, Any]:
    """(``length``,): numbers up to ``most`` of dtype ``usual``, sometimes others of another type."""
    kind = usual if random.random() < 0.8 else random.choice(kinds)
    values = np.random.default_rng(random.getrandbits(32)).integers(0, most + 1, length)
    with np.errstate(all="ignore"):
        if random.random() < 0.25 and length:
            wide = values.astype(object)
            for _ in range(random.randrange(1, 4)):
                wide[random.randrange(length)] = forged.number(random)
            dtype = np.dtype(kind)
            if dtype.kind in "iu":
                bits = 8 * dtype.itemsize
                wide = np.array([int(value) % (1 << bits) for value in wide], f"<u{dtype.itemsize}")
                return wide.view(dtype.newbyteorder("<")).astype(dtype)
            if dtype.kind == "f":
                found = np.array([float(value) for value in wide]).astype(dtype)
                found[random.randrange(length)] = float(random.choice(forged.REALS))
                return found
        if np.dtype(kind).kind in "mM":
            return values.astype(np.int64).view(np.dtype(kind)) if values.dtype == np.int64 else values.astype(kind)
        return values.astype(kind)


def event_columns(random: Random) -> dict[str, np.ndarray[Any, Any]]:
    """Columns of events, of which some are hostile."""
    length = forged.some(random, 5000, 60)
    found = {
        "t": np.sort(column(random, "<i8", 10**6, length, ("<i8", "<u8", "<f8")))
        if random.random() < 0.6
        else column(random, "<i8", 10**6, length),
        "x": column(random, "<u2", 127, length),
        "y": column(random, "<u2", 127, length),
        "p": column(random, "|b1", 1, length),
    }
    if random.random() < 0.2:
        name = random.choice(list(found))
        match random.randrange(4):
            case 0:
                found[name] = found[name][: random.randrange(length + 1)]
            case 1:
                del found[name]
            case 2:
                found[name] = found[name].reshape(random.choice(((-1, 1), (1, -1), (1, 1, -1))))
            case 3:
                found[name] = np.array(found[name][:1].sum() if found[name].dtype.kind in "iuf" else 3)
    if random.random() < 0.2:
        name = random.choice(list(found))
        other = random.choice(("c", "polarity", "ts", "events/t", "TIME", "xy", "\u00e4", "a" * 300, "time", "on"))
        found[other] = found.pop(name)
    return found


def structured(random: Random, parts: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """The columns of ``parts`` that go together as fields of one array."""
    flat = {name: part.ravel() for name, part in parts.items()}
    length = min((len(part) for part in flat.values()), default=0)
    dtype = np.dtype([(name, part.dtype) for name, part in flat.items()], align=random.random() < 0.3)
    found = np.zeros(length, dtype)
    for name, part in flat.items():
        found[name] = part[:length]
    return found


def plain(random: Random) -> np.ndarray[Any, Any]:
    """(N, 4) or nearly."""
    length, wide = forged.some(random, 5000, 40), random.choice((4, 4, 4, 4, 3, 5, 6, 0, 1))
    found = column(random, random.choice(("<i8", "<f8", "<f4", "<i4")), 100, length * wide).reshape(length, wide)
    if random.random() < 0.7 and wide == 4 and length and found.dtype.kind in "iuf":
        found[:, 0].sort()
        found[:, 3] = found[:, 3] == found[0, 3]
    return np.asfortranarray(found) if random.random() < 0.3 else found


def saved(array: np.ndarray[Any, Any]) -> bytes:
    """``array`` as a .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()


def _storable(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``array``, of a type that HDF5 has."""
    if array.dtype.kind == "U":
        return array.astype("S")
    return array.view("<i8") if array.dtype.kind in "mM" else array


_OTHER_KINDS: Final = (
    *(h5py.string_dtype(), h5py.vlen_dtype("i4"), h5py.ref_dtype, h5py.enum_dtype({"a": 1})),
    *(h5py.opaque_dtype("V8"), np.dtype(("i4", (3,)))),
)


class Hdf5:
    """An HDF5 file under construction, whose data sets ``random`` makes hostile."""

    def __init__(self, random: Random, path: Path) -> None:
        self.random, self.path = random, path
        self.file = h5py.File(path, "w", libver=random.choice(("earliest", "latest")))

    def group(self, name: str) -> h5py.Group:
        """The group ``name``, made with all above it one by one, because HDF5 stores when it makes several at once."""
        found = self.file
        for part in name.split("/") if name else ():
            found = found.require_group(part)
        return found

    def put(self, name: str, array: np.ndarray[Any, Any]) -> None:
        """Stores ``array`` as ``name``, in one of many ways, or something else in its place."""
        self.group(name.rpartition("/")[0])
        way = self.random.random()
        if way < 0.5:
            self._stored(name, array)
        elif way < 0.7:
            self._packed(name, array)
        else:
            self._odd(name, array)

    def _stored(self, name: str, array: np.ndarray[Any, Any]) -> None:
        self.file[name] = _storable(array)

    def _packed(self, name: str, array: np.ndarray[Any, Any]) -> None:
        array = _storable(array)
        if not array.ndim:
            self._stored(name, array)
            return
        whole = {"scaleoffset": 0} if array.dtype.kind in "iu" else {}
        named = {"compression": "gzip"}, {"compression": "lzf"}, {"shuffle": True}, {"fletcher32": True}, whole
        how: dict[str, Any] = self.random.choice(named)
        chunks = (self.random.choice((1, 7, 1000, 2**16)), *(max(1, size) for size in array.shape[1:]))
        self.file.create_dataset(name, data=array, chunks=chunks, maxshape=(None,) * array.ndim, **how)

    def _odd(self, name: str, array: np.ndarray[Any, Any]) -> None:
        """A data set of another kind, or a link, called ``name``."""
        random, shape = self.random, array.shape
        claimed = tuple(abs(forged.number(random)) % 2**62 + 1 for _ in shape) if random.random() < 0.6 else shape
        dtype = array.dtype if array.dtype.kind in "iufb" else np.dtype("<i4")
        match random.randrange(10):
            case 0 | 1 | 2:
                sides = (1, 1000, 2**20, 2**26, 2**27)
                how: dict[str, Any] = {}
                if shape and random.random() < 0.8:
                    how = {"chunks": tuple(random.choice(sides) for _ in shape), "maxshape": (None,) * len(shape)}
                    how |= {"compression": "gzip"} if random.random() < 0.5 else {}
                self._tried(name, claimed, dtype, **how)
            case 3:
                self.file[name] = h5py.SoftLink(random.choice(("/elsewhere", name, "/", "..")))
            case 4:
                self.file[name] = h5py.ExternalLink(random.choice(("/etc/passwd", "other.h5", self.path.name)), "/t")
            case 5:
                self._tried(name, shape, dtype, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
            case 6:
                self._virtual(name, shape or (1,), dtype)
            case 7:
                self._tried(name, shape, random.choice(_OTHER_KINDS))
            case 8:
                self.file.create_group(name)
            case 9:
                self.file[name] = h5py.Empty(dtype)

    def _virtual(self, name: str, shape: tuple[int, ...], dtype: Any) -> None:
        """A data set without values that are its own; the time of its making is not stored."""
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_layout(h5py.h5d.VIRTUAL)
        how.set_obj_track_times(False)
        links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        links.set_create_intermediate_group(True)
        kind, space = h5py.h5t.py_create(dtype), h5py.h5s.create_simple(shape)
        h5py.h5d.create(self.file.id, name.encode(), kind, space, how, links)

    def _tried(self, name: str, shape: tuple[int, ...], dtype: Any, **how: Any) -> None:
        try:
            self.file.create_dataset(name, shape, dtype, **how)
        except (ValueError, TypeError, OSError, RuntimeError, OverflowError):
            self.file[name + "_"] = 1

    def attribute(self, name: str, *usual: Any) -> None:
        """An attribute of the file, which may be of another type."""
        random = self.random
        hostile = (
            np.zeros(3),
            "x" * 60_000,
            forged.number(random) % 2**63,
            b"\xff\xfe",
            h5py.Empty("f"),
            np.array(["a", "b"], "S"),
            random.choice(forged.TEXTS).replace("\0", ""),
        )
        self.file.attrs[name] = random.choice(usual) if random.random() < 0.6 else random.choice(hostile)

    def nested(self, depth: int) -> None:
        """Groups in groups."""
        group = self.file
        for _ in range(depth):
            group = group.create_group("g")

    def close(self) -> None:
        self.file.close()
        if self.random.random() < 0.25:
            how = forged.damaged if self.random.random() < 0.5 else forged.struck
            self.path.write_bytes(how(self.random, self.path.read_bytes()))
