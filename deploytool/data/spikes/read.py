"""Foreign recordings: the spikes or counts in a file that another program made, for the layers of a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from deploytool.base.errors import InputError
from deploytool.base.hdf5 import bytes_allowed
from deploytool.data.formats.table import FORMATS, read_raw
from deploytool.data.formats.uniform import polarities
from deploytool.data.spikes import arrays, text
from deploytool.data.spikes.gathered import Gathered, Statements
from deploytool.data.spikes.layers import maps_of
from deploytool.data.spikes.rows import Rows
from deploytool.data.spikes.samples import Samples, samples_in
from deploytool.data.spikes.schema import Header
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording

Say = Callable[[str], None]

NPY: Final = b"\x93NUMPY"
NPZ: Final = (b"PK\x03\x04", b"PK\x05\x06")
HDF5: Final = b"\x89HDF\r\n\x1a\n"
AEDAT4: Final = b"#!AER-DAT4"
HEAD: Final = 4096
NEED: Final = "a table of text, .npy, .npz, NIR data (HDF5) or AEDAT4 with spikes or counts"


def foreign_recording(
    path: Path,
    program: Program,
    statements: Statements,
    known: Samples | None = None,
    say: Say = lambda _: None,
) -> Recording:
    """The recording that the file ``path`` holds of the layers of ``program``.

    ``known`` are the samples it is of; without them they are those that the file names. ``say`` receives what a user
    should know. SynOps are not known. Raises InputError, naming the place in the file, for everything that is wrong
    with it, UsageError for ``statements`` that do not go with it.
    """
    gathered = _gathered(path, program, statements, known)
    outputs = tuple(dict.fromkeys(program.place_in(name)[0] for name in program.outputs))
    recording = gathered.recording(program.aliases, outputs)
    for line in _remarks(recording, outputs):
        say(line)
    return recording


def _gathered(path: Path, program: Program, statements: Statements, known: Samples | None) -> Gathered:
    """All that the file ``path`` holds."""
    where, head, maps = str(path), _head(path), maps_of(program)
    allowed = bytes_allowed(path)
    if head.startswith(NPZ):
        found = arrays.read_npz(path, statements.renames, allowed)
        stated = arrays.samples_in_arrays(found, where)
        gathered = Gathered(where, maps, _agreed(known, stated, where), statements, allowed)
        arrays.add_arrays(gathered, found)
        return gathered
    if head.startswith(NPY):
        array = arrays.read_npy(path)
        gathered = Gathered(where, maps, known or arrays.samples_in_arrays({"": array}, where), statements, allowed)
        arrays.add_array(gathered, array)
        return gathered
    if head.startswith(HDF5):
        from deploytool.data.spikes.nirdata import add_nir_data, read_nir_data, samples_in_nir_data

        data = read_nir_data(path, allowed)
        known = known or samples_in_nir_data(data, statements.time_unit)
        gathered = Gathered(where, maps, known, statements, allowed)
        add_nir_data(gathered, data)
        return gathered
    gathered = Gathered(where, maps, known, statements, allowed)
    if head.startswith(AEDAT4):
        gathered.add_rows(_events(path))
    elif b"\0" in head:
        raise InputError(where, "its content is neither text nor a known kind of file", NEED)
    else:
        _add_table(gathered, path)
    return gathered


def _add_table(gathered: Gathered, path: Path) -> None:
    with path.open("rb") as file:
        reader = text.Reader(file, gathered.where, gathered.statements.renames)
        if reader.header.kind == "samples":
            raise InputError(gathered.where, "a table of samples", "spikes or counts", "Give it to --samples-of.")
        for rows in reader:
            gathered.add_rows(rows)


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


def _events(path: Path) -> Rows:
    """The events in the AEDAT4 file ``path``, as spikes from the time of the first one; a polarity is a feature."""
    raw = read_raw(path, FORMATS["aedat4"])
    columns = {"t_us": raw.t.astype(np.int64), "c": polarities(raw.p, str(path))}
    columns |= {"y": raw.y.astype(np.int64), "x": raw.x.astype(np.int64)}
    columns["t_us"] -= columns["t_us"][0]
    header = Header("spikes", MappingProxyType({"t_us": "t_us", "c": "on", "y": "y", "x": "x"}))
    return Rows(str(path), header, columns, np.arange(len(raw)), "event")
