"""Foreign recordings: the spikes or counts in a file that another program made, for the layers of a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from deploytool.base.errors import InputError
from deploytool.base.hdf5 import bytes_allowed
from deploytool.base.progress import Tick, no_progress, silent
from deploytool.data.formats.table import FORMATS, read_raw
from deploytool.data.formats.uniform import polarities
from deploytool.data.spikes import arrays, text
from deploytool.data.spikes.gathered import Gathered
from deploytool.data.spikes.layers import Maps, maps_of
from deploytool.data.spikes.rows import Rows
from deploytool.data.spikes.samples import Samples, samples_in
from deploytool.data.spikes.schema import Header
from deploytool.data.spikes.statements import Statements
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording

Say = Callable[[str], None]

MEGABYTE: Final = 10**6
HEAD: Final = 4096
NEED: Final = "a table of text, .npy, .npz, NIR data (HDF5) or AEDAT4 with spikes or counts"


@dataclass(frozen=True)
class Source:
    """The file ``path``, for layers of ``maps`` and the samples ``known``; its arrays may take ``bytes_allowed``."""

    path: Path
    maps: Maps
    statements: Statements
    known: Samples | None
    bytes_allowed: int
    tick: Tick

    def gathered(self, samples: Samples | None) -> Gathered:
        """Nothing gathered yet, for ``samples``."""
        return Gathered(str(self.path), self.maps, samples, self.statements, self.bytes_allowed)


def foreign_recording(
    path: Path,
    program: Program,
    statements: Statements,
    known: Samples | None = None,
    say: Say = silent,
    tick: Tick = no_progress,
) -> Recording:
    """The recording that the file ``path`` holds of the layers of ``program``.

    ``known`` are the samples it is of; without them they are those that the file names. ``say`` receives what a user
    should know, and ``tick`` the megabytes of a table that are read. SynOps are not known.
    Raises InputError, naming the place in the file, for everything that is wrong with it, and UsageError for
    ``statements`` that do not go with it.
    """
    head = _head(path)
    read = next((kind for marks, kind in KINDS.items() if head.startswith(marks)), _text)
    gathered = read(Source(path, maps_of(program), statements, known, bytes_allowed(path), tick))
    outputs = tuple(dict.fromkeys(program.place_in(name)[0] for name in program.outputs))
    recording = gathered.recording(program.aliases, outputs)
    for line in _remarks(recording, outputs):
        say(line)
    return recording


def _npz(source: Source) -> Gathered:
    where = str(source.path)
    found = arrays.read_npz(source.path, source.statements.renames, source.bytes_allowed)
    stated = arrays.samples_in_arrays(found, where, source.bytes_allowed)
    gathered = source.gathered(_agreed(source.known, stated, where))
    arrays.add_arrays(gathered, found)
    return gathered


def _npy(source: Source) -> Gathered:
    array = arrays.read_npy(source.path)
    stated = arrays.samples_in_arrays({"": array}, str(source.path), source.bytes_allowed)
    gathered = source.gathered(source.known or stated)
    arrays.add_array(gathered, array)
    return gathered


def _nir_data(source: Source) -> Gathered:
    from deploytool.data.spikes import nirdata

    data = nirdata.read_nir_data(source.path, source.bytes_allowed)
    unit = source.statements.time_unit
    stated = nirdata.samples_in_nir_data(data, unit, str(source.path), source.bytes_allowed)
    gathered = source.gathered(source.known or stated)
    nirdata.add_nir_data(gathered, data)
    return gathered


def _aedat4(source: Source) -> Gathered:
    """The events of a camera's file, as spikes from the time of the first one; a polarity is a feature."""
    where = str(source.path)
    raw = read_raw(source.path, FORMATS["aedat4"])
    t = raw.t.astype(np.int64)
    columns = {"t_us": t - t[0], "c": polarities(raw.p, where)}
    columns |= {"y": raw.y.astype(np.int64), "x": raw.x.astype(np.int64)}
    header = Header("spikes", MappingProxyType({"t_us": "t_us", "c": "on", "y": "y", "x": "x"}))
    gathered = source.gathered(source.known)
    gathered.add_rows(Rows(where, header, columns, np.arange(len(raw)), "event"))
    return gathered


def _text(source: Source) -> Gathered:
    where = str(source.path)
    if b"\0" in _head(source.path):
        raise InputError(where, "its content is neither text nor a known kind of file", NEED)
    gathered = source.gathered(source.known)
    with source.path.open("rb") as file:
        reader = text.Reader(file, where, source.statements.renames)
        if reader.header.kind == "samples":
            raise InputError(where, "a table of samples", "spikes or counts", "Give it to --samples-of.")
        megabytes = source.path.stat().st_size // MEGABYTE
        for rows in reader:
            gathered.add_rows(rows)
            source.tick(file.tell() // MEGABYTE, megabytes, "")
    return gathered


KINDS: Final[Mapping[tuple[bytes, ...], Callable[[Source], Gathered]]] = MappingProxyType(
    {
        (b"PK\x03\x04", b"PK\x05\x06"): _npz,
        (b"\x93NUMPY",): _npy,
        (b"\x89HDF\r\n\x1a\n",): _nir_data,
        (b"#!AER-DAT4",): _aedat4,
    }
)
"""{the first bytes of a kind of file: what reads it}; any other is text."""


def _remarks(recording: Recording, outputs: Sequence[str]) -> Iterator[str]:
    """One sentence for each thing that the file lacks and a user may not expect."""
    if not recording.outputs:
        missing = [name for name in outputs if name not in recording.counts]
        yield f"No spikes of the output {', '.join(missing)}: the recording has no answers and no accuracy."
    firing = np.any([counts.any(axis=(1, 2, 3)) for counts in recording.counts.values()], axis=0)
    if silent := len(recording) - int(firing.sum()):
        yield f"{silent} of {len(recording)} samples have no spike in the file."


def sample_table(path: Path) -> Samples:
    """The samples in the table ``path``. Raises InputError if it holds something else."""
    _head(path)
    with path.open("rb") as file:
        reader = text.Reader(file, str(path), MappingProxyType({}))
        if reader.header.kind != "samples":
            raise InputError(str(path), f"a table of {reader.header.kind}", "a table of samples, with a column name")
        return samples_in(list(reader), str(path))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        found = "no such file" if not path.exists() else f"cannot be read ({error.strerror})"
        raise InputError(str(path), found, NEED) from None


def _agreed(known: Samples | None, stated: Samples | None, where: str) -> Samples | None:
    """The samples ``known``, if they are those ``stated`` in the file ``where``; or those, if none are known."""
    if known is None or stated is None:
        return known or stated
    if len(known) != len(stated):
        raise InputError(where, f"{len(stated)} samples", f"{len(known)}, as many as are given")
    both = (known.labels >= 0) & (stated.labels >= 0)
    if (other := both & (known.labels != stated.labels)).any():
        index = int(other.argmax())
        found = f"label {stated.labels[index]} of sample {index}"
        raise InputError(where, found, f"{known.labels[index]}, as it is given for {known.names[index]}")
    return known
