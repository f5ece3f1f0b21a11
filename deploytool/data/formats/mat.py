"""MATLAB files with events: vectors of times, columns, rows and polarities, one matrix of them, or ST-MNIST's spikes.

Vectors are variables, such as ts, x, y and pol in ASL-DVS, or fields of one struct, such as TD in the tools of N-MNIST
and N-Caltech101, which count x, y and p from 1. A matrix has four columns, whose order --columns states, or the six of
jAER's dat2mat (time, 0, -1, x, y, polarity), as used for CIFAR10-DVS. ST-MNIST (See et al. 2020) keeps ``spiketrain``
(101, N): in 100 rows what each of 10x10 sensors sent, +1 or -1, and in the last row the times in seconds.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import numpy as np

from deploytool.base.arrays import Array, doubles
from deploytool.base.errors import InputError
from deploytool.data.formats.arrays import events_in_array
from deploytool.data.formats.matlab import variables_of
from deploytool.data.formats.named import columns_named, complete
from deploytool.data.formats.parts import START, TOO_MANY, Part, Parts, Place, events_allowed
from deploytool.data.formats.reading import RawEvents, Reading
from deploytool.data.formats.stored import is_events

TRAIN: Final = "spiketrain"
SIDE: Final = 10
DAT2MAT: Final = [0, 3, 4, 5]
"""The columns of time, x, y and polarity among the six of dat2mat."""
SECONDS_MAX: Final = 10**9


def parts(path: Path, reading: Reading, _: Place = START) -> Parts:
    """The events in the file ``path``, all in one part.

    Raises InputError if it is damaged or too large when it is unpacked, or holds no events or several recordings.
    """
    variables = variables_of(path)
    train = variables.get(TRAIN)
    if isinstance(train, np.ndarray) and np.count_nonzero(train) > events_allowed(path) + train.shape[-1]:
        raise InputError(str(path), *TOO_MANY)
    yield Part(_events(variables, reading, str(path)), START)


def _events(variables: dict[str, Array | dict[str, Array]], reading: Reading, name: str) -> RawEvents:
    """The events in the ``variables`` of the file ``name``."""
    vectors = {key: array for key, array in variables.items() if isinstance(array, np.ndarray)}
    if TRAIN in vectors:
        return _spike_train(vectors[TRAIN], name)
    if complete(list(vectors)):
        return columns_named(vectors, reading, name)
    structs = {key: fields for key, fields in variables.items() if isinstance(fields, dict) and complete(list(fields))}
    matrices = {
        key: array for key, array in vectors.items() if is_events(array.shape, array.dtype) or _is_dat2mat(array)
    }
    if len(structs) + len(matrices) > 1:
        raise InputError(name, f"events in {', '.join([*structs, *matrices])}", "one recording per file")
    for fields in structs.values():
        return _of_struct(fields, reading, name)
    for array in matrices.values():
        if _is_dat2mat(array):
            return events_in_array(array[:, DAT2MAT], replace(reading, columns="txyp"), name)
        return events_in_array(array, reading, name)
    return columns_named(vectors, reading, name)


def _is_dat2mat(array: Array) -> bool:
    return array.ndim == 2 and len(array) > 0 and array.shape[1] == 6 and bool((array[:, 1:3] == array[0, 1:3]).all())


def _of_struct(fields: dict[str, Array], reading: Reading, name: str) -> RawEvents:
    """The events in the ``fields`` of a struct."""
    raw = columns_named(fields, reading, name)
    if raw.p.dtype.kind in "iuf" and raw.p.max(initial=0) == 2:
        return replace(raw, x=_from_zero(raw.x), y=_from_zero(raw.y), p=_from_zero(raw.p))
    return raw


def _from_zero(column: Array) -> Array:
    """``column``, which counts from 1, from 0 on."""
    with np.errstate(invalid="ignore"):  # what is not finite is refused later
        return cast(Array, (doubles(column) if column.dtype.kind == "f" else column.astype(np.int64)) - 1)


def _spike_train(train: Array, name: str) -> RawEvents:
    if train.ndim != 2 or len(train) != SIDE * SIDE + 1 or train.dtype.kind not in "iuf":
        found = f"{TRAIN} of shape {train.shape}"
        raise InputError(name, found, f"({SIDE * SIDE + 1}, N), the last row times in seconds")
    sent = train[:-1].T
    times, taxels = np.nonzero(sent)
    seconds = doubles(train[-1])[times]
    if not (np.abs(seconds) < SECONDS_MAX).all():
        raise InputError(name, f"times up to {seconds.max():g} s", f"times below {SECONDS_MAX} s")
    t = np.floor(seconds * 1e6).astype(np.int64)
    y, x = np.divmod(taxels.astype(np.uint8), SIDE)
    return RawEvents(t, x, y, sent[sent != 0], sensor=(SIDE, SIDE))
