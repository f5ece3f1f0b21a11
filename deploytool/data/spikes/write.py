"""Recordings as files that other programs read, and that `deploytool.data.spikes.read` reads again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.cells import escaped
from deploytool.base.files import write_file
from deploytool.data.spikes.arrays import COUNTS, DURATIONS, LABELS, NAMES, SPIKES
from deploytool.ir.program import INPUT
from deploytool.ir.recording import SPIKE, Recording

SPIKE_FIELDS: Final = ("sample", "t_us", "c", "y", "x")
CHUNK: Final = 1 << 16
"""Rows of a table that are made into text at once."""


def kept_samples(recording: Recording) -> NDArray[np.bool_]:
    """(S,): whether all spikes of a sample were kept, so that they account for its counts."""
    kept = np.ones(len(recording), bool)
    for layer, spikes in recording.spikes.items():
        if layer != INPUT:
            found = np.bincount(spikes["sample"], minlength=len(recording))
            kept &= found == recording.counts[layer].sum(axis=(1, 2, 3))
    return kept if recording.spikes else ~kept


def write_spike_table(recording: Recording, path: Path) -> None:
    """Writes every single spike that ``recording`` kept to the table ``path``."""
    lines = ["sample,layer,t_us,c,y,x\n"]
    for layer, spikes in recording.spikes.items():
        columns = [spikes[name] for name in ("sample", "t", "c", "y", "x")]
        lines += _lines(columns, f"{{}},{_cell(layer)},{{}},{{}},{{}},{{}}")
    write_file(path, "".join(lines).encode())


def write_count_table(recording: Recording, path: Path, layers: Sequence[str]) -> None:
    """Writes the counts of ``layers`` to the table ``path``: those above 0, and one of a layer that has none."""
    lines = ["sample,layer,c,y,x,count\n"]
    for layer in layers:
        counts = recording.counts[layer]
        places = np.nonzero(counts) if counts.any() else tuple(np.zeros((4, min(1, counts.size)), np.int64))
        lines += _lines([*places, counts[places]], f"{{}},{_cell(layer)},{{}},{{}},{{}},{{}}")
    write_file(path, "".join(lines).encode())


def write_sample_table(recording: Recording, path: Path, chosen: NDArray[np.bool_]) -> None:
    """Writes the ``chosen`` (S,) samples of ``recording`` to the table ``path``: number, name, label and duration."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    timed = len(recording.durations_us) == len(recording)
    writer.writerow(("sample", "name", "label", *(["duration_us"] if timed else [])))
    for index in np.flatnonzero(chosen).tolist():
        durations = [int(recording.durations_us[index])] if timed else []
        writer.writerow((index, escaped(recording.samples[index]), int(recording.labels[index]), *durations))
    write_file(path, text.getvalue().encode())


def write_arrays(recording: Recording, path: Path) -> None:
    """Writes counts, single spikes and the samples of ``recording`` to the .npz file ``path``."""
    kind = np.dtype({"names": SPIKE_FIELDS, "formats": [SPIKE[name] for name in ("sample", "t", "c", "y", "x")]})
    arrays: dict[str, Array] = {NAMES: np.array(recording.samples, np.str_), LABELS: recording.labels}
    if len(recording.durations_us):
        arrays[DURATIONS] = recording.durations_us
    arrays |= {COUNTS + layer: counts for layer, counts in recording.counts.items()}
    arrays |= {SPIKES + layer: spikes.astype(SPIKE).view(kind) for layer, spikes in recording.spikes.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_file(path, buffer.getvalue())


def _lines(columns: Sequence[Array], form: str) -> Iterator[str]:
    """The rows of ``columns`` as text, each as ``form`` says."""
    for first in range(0, len(columns[0]), CHUNK):
        part = [column[first : first + CHUNK].tolist() for column in columns]
        yield "\n".join(map(form.format, *part)) + "\n"


def _cell(text: str) -> str:
    """``text`` as a cell of a table, with braces doubled for a format."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([escaped(text)])
    return buffer.getvalue().removesuffix("\r\n").replace("{", "{{").replace("}", "}}")
