"""MATLAB files with events: ST-MNIST's tactile spikes, and vectors of times, columns, rows and polarities.

ST-MNIST (See et al. 2020) keeps ``spiketrain`` (101, N): in 100 rows what each of 10x10 sensors sent, +1 or -1, and in
the last row the times in seconds. Others keep vectors, such as ASL-DVS with ts, x, y and pol. scipy reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.data.formats.named import columns_named
from deploytool.data.formats.reading import RawEvents, Reading

TRAIN: Final = "spiketrain"
SIDE: Final = 10


def read(path: Path, reading: Reading) -> RawEvents:
    """The events in the file ``path``. Raises InputError if it is damaged, or holds neither kind of events."""
    from scipy.io import loadmat

    try:
        variables: dict[str, Array] = {k: v for k, v in loadmat(path).items() if not k.startswith("__")}
    except (ValueError, TypeError, NotImplementedError, IndexError, KeyError, MemoryError) as error:
        raise InputError(str(path), f"cannot be read ({error})", "a MATLAB file", "Copy it again.") from None
    if TRAIN in variables:
        return _spike_train(path, np.asarray(variables[TRAIN]))
    vectors = {name: array for name, array in variables.items() if array.dtype.kind in "iufb"}
    return columns_named(vectors, reading, str(path))


def _spike_train(path: Path, train: Array) -> RawEvents:
    if train.ndim != 2 or len(train) != SIDE * SIDE + 1 or train.dtype.kind not in "iuf":
        found = f"{TRAIN} of shape {train.shape}"
        raise InputError(str(path), found, f"({SIDE * SIDE + 1}, N), the last row times in seconds")
    times, taxels = np.nonzero(train[:-1].T)
    t = np.floor(train[-1, times] * 1e6).astype(np.int64)
    return RawEvents(t, taxels % SIDE, taxels // SIDE, train[taxels, times], sensor=(SIDE, SIDE))
