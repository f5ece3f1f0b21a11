"""Recording files: numpy arrays without pickled objects, in the same form on disk and between processes.

The columns (named arrays) are

    version, rung, samples, labels, outputs, synops, durations_us, potentials: as in `Recording`
    network, program, arithmetic, weight_bits, time_steps, bins, perturbation: as in its `Setup`; 0 or "" is None
    alias_nodes, alias_layers: its aliases
    counts/LAYER, spikes/LAYER: of each layer that was watched
    counts+FIRST/LAYER: more of its counts, from sample FIRST on, if they are more than a piece
    weights_above/LAYER, updates/LAYER, reached/LAYER, bound/LAYER: its activity
    decisions_us: as in `Recording`
    load_names, load_layers: the placed layers whose load is known, and the layers that they are or are part of
    load (P, 4) int64: of each, its core (-1: none), synops, busiest_ms, busiest_10ms
    measured/NAME (S,) float64: each figure that only a board or a balancer gives, as in `Recording`
    windows/number (S,), windows/counts, windows/targets, windows/potentials: its windows, if it has any
    decoder/values, decoder/weights, decoder/offset, decoder/unit, decoder/reads, decoder/window_us (0: the sample): how
    values are read from them, if they are
    speech/sources, speech/networks, speech/estimates/NETWORK, speech/rate_hz, speech/says, speech/synthetic: as in
    `Separated`, if any
"""

from __future__ import annotations

import itertools
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.errors import ArtifactError, InputError
from deploytool.base.npy import DAMAGE, SUFFIX, Archive
from deploytool.ir.columns import NEED, Columns, narrow
from deploytool.ir.counts import IN_MEMORY, Maps, Stored, on_disk, samples_at_once, slices
from deploytool.ir.events import BINS
from deploytool.ir.program import WEIGHTS
from deploytool.ir.recording import (
    NO_POTENTIALS,
    NOT_KNOWN,
    RUNGS,
    SPIKE,
    LayerActivity,
    Load,
    Recording,
    RungName,
    Setup,
)
from deploytool.ir.speech_file import read_speech, speech_columns
from deploytool.ir.windows_file import read_windows, windows_columns

FILE: Final = "recording.npz"
VERSION: Final = 6
"""Format version. 6 added the separated voices, and only files with voices state it; 5 the windows; 4 the setup,
decisions_us and load; 3 potentials; 2 durations_us, perturbation and activity; 1 is not stated."""

NO_CORE: Final = -1
"""The core of a layer that is not placed, in a file."""

COMPRESSION: Final = 1
"""Level of compression. Higher levels take longer than the run, and save little: most counts are 0."""

_COUNTS, _MORE, _SPIKES = "counts/", "counts+", "spikes/"
_MEASURED: Final = "measured/"
_ABOVE, _UPDATES, _REACHED, _BOUND = "weights_above/", "updates/", "reached/", "bound/"
_COUNTED: Final = ("weight_bits", "time_steps")
"""Columns of the setup that are integers; the others are strings."""


def save_recording(recording: Recording, folder: Path) -> None:
    """Writes ``recording`` into ``folder``."""
    with (folder / FILE).open("wb") as file:
        write_recording(recording, file)


def load_recording(folder: Path) -> Recording:
    """The recording in ``folder``. Raises ArtifactError if the file is damaged or of a newer version."""
    return open_recording(folder / FILE)


def open_recording(path: Path, in_memory: int = IN_MEMORY) -> Recording:
    """The recording in the file ``path``, which must stay. Counts of more than ``in_memory`` are read when needed.

    Raises as `read_recording`, also later, when counts are read.
    """
    try:
        with path.open("rb") as file:
            return _Reader(str(path), file, partial(_stored, path), in_memory).recording()
    except OSError as error:
        raise ArtifactError(str(path), f"not readable ({error.strerror})", NEED) from None


def _stored(path: Path, name: str) -> Array:
    """The counts in column ``name`` of the file ``path``."""
    try:
        state = path.stat()
        counts = _archive(path, state.st_ino, state.st_mtime_ns, state.st_size).read(name)
    except DAMAGE as error:
        raise ArtifactError(f"{path}: {name}", f"not readable ({error})", NEED) from None
    return Columns(str(path), {name: counts}).integers(name, *counts.shape, least=0)


@lru_cache(maxsize=4)
def _archive(path: Path, *_state: int) -> Archive:
    """The archive ``path``, opened once for each of its states: a long recording has thousands of columns."""
    return Archive(path)


def write_recording(recording: Recording, file: IO[bytes]) -> None:
    """Writes the columns of ``recording`` to ``file``."""
    columns: dict[str, Array] = {
        "version": np.array(VERSION - (recording.speech is None)),
        "rung": np.array(recording.rung),
        "samples": np.array(recording.samples, dtype=np.str_),
        "labels": recording.labels,
        "outputs": np.array(recording.outputs),
        "synops": recording.synops,
        "durations_us": recording.durations_us,
        **_setup_columns(recording.setup),
        "potentials": recording.potentials,
        "alias_nodes": np.array(list(recording.aliases), dtype=np.str_),
        "alias_layers": np.array(list(recording.aliases.values()), dtype=np.str_),
        "decisions_us": recording.decisions_us,
        "load_names": np.array(list(recording.load), dtype=np.str_),
        "load_layers": np.array([load.layer for load in recording.load.values()], dtype=np.str_),
        "load": np.array([_row(load) for load in recording.load.values()], np.int64).reshape(-1, 4),
    }
    columns |= {_SPIKES + layer: array for layer, array in recording.spikes.items()}
    columns |= {_MEASURED + name: values for name, values in recording.measured.items()}
    columns |= windows_columns(recording.windows) | speech_columns(recording.speech)
    for layer, activity in recording.activity.items():
        columns[_ABOVE + layer] = np.array(activity.weights_above)
        columns |= {
            prefix + layer: np.array(value)
            for prefix, value in ((_REACHED, activity.reached), (_BOUND, activity.bound))
            if value is not None
        }
        if activity.updates is not None:
            columns[_UPDATES + layer] = narrow(activity.updates)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION) as archive:
        for name, column in itertools.chain(columns.items(), _counts_columns(recording)):
            with archive.open(name + SUFFIX, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(column), allow_pickle=False)


def _counts_columns(recording: Recording) -> Iterator[tuple[str, Array]]:
    """The columns of all counts, a piece at a time."""
    for layer, maps in recording.counts.items():
        yield _COUNTS + layer, narrow(maps[: samples_at_once(maps.shape[1:])])
        for part in itertools.islice(slices(maps.shape), 1, None):
            yield f"{_MORE}{part.start:09}/{layer}", narrow(maps[part])


def _setup_columns(setup: Setup) -> dict[str, Array]:
    return {name: np.array(value or (0 if name in _COUNTED else "")) for name, value in vars(setup).items()}


def _row(load: Load) -> tuple[int, int, int, int]:
    return NO_CORE if load.core is None else load.core, load.synops, load.busiest_ms, load.busiest_10ms


def read_recording(file: IO[bytes], where: str) -> Recording:
    """The recording that ``write_recording`` wrote to ``file``, called ``where`` in errors.

    Raises ArtifactError, naming the column, if a column is missing or has the wrong type or shape.
    """
    return _Reader(where, file).recording()


class _Reader(Columns):
    """Reads columns from ``file`` and checks their types and shapes.

    Counts are read only when needed if there are more than ``in_memory``, by ``stored(column)``.
    """

    def __init__(
        self, where: str, file: IO[bytes], stored: Callable[[str], Array] | None = None, in_memory: int = IN_MEMORY
    ) -> None:
        self.stored, self.in_memory = stored, in_memory
        try:
            archive = Archive(file)
            self.later = {name: header for name, header in archive.headers.items() if name.startswith((_COUNTS, _MORE))}
            if stored is None or sum(math.prod(header.shape) for header in self.later.values()) <= in_memory:
                self.later = {}
            columns = archive.read_together(name for name in archive.headers if name not in self.later)
            version = int(columns.get("version", np.array(1)))
        except DAMAGE as error:
            raise ArtifactError(where, f"not readable ({error})", NEED) from None
        if version > VERSION:
            found = f"columns of version {version}"
            raise ArtifactError(where, found, f"version {VERSION} or older", "Update deploytool.")
        super().__init__(where, columns)

    def recording(self) -> Recording:
        """The recording made from all columns."""
        samples = self.texts("samples")
        count = len(samples)
        recorded = self.under(_COUNTS)
        outputs = self.texts("outputs")
        if missing := [name for name in outputs if name not in recorded]:
            raise self.error(_COUNTS + missing[0], "missing", "the counts of every output")
        counts = {layer: self.counts(layer, count) for layer in recorded}
        try:
            return Recording(
                rung=self.rung(),
                samples=samples,
                labels=self.integers("labels", count, least=-1),
                outputs=outputs,
                counts=counts,
                synops=self.each("synops", count),
                spikes={layer: self.spikes(layer, count, counts) for layer in self.under(_SPIKES)},
                aliases=self.aliases(),
                durations_us=self.each("durations_us", count, default=NOT_KNOWN),
                activity={layer: self.activity(layer, counts) for layer in self.under(_ABOVE)},
                setup=self.setup(),
                potentials=self.potentials(count),
                decisions_us=self.each("decisions_us", count, least=-1, default=NOT_KNOWN),
                load=self.load(),
                measured={name: self.measures(_MEASURED + name, count) for name in self.under(_MEASURED)},
                windows=read_windows(self, count),
                speech=read_speech(self),
            )
        except InputError as error:
            raise ArtifactError(self.where, f"columns that contradict each other ({error})", NEED) from None

    def under(self, prefix: str) -> list[str]:
        """The layers that have a column with ``prefix``."""
        return [name.removeprefix(prefix) for name in (*self.later, *self.columns) if name.startswith(prefix)]

    def counts(self, layer: str, count: int) -> Maps:
        """The counts of ``layer`` in ``count`` samples, all its pieces together."""
        more = sorted(name for name in (*self.later, *self.columns) if name.startswith(_MORE))
        names = [_COUNTS + layer, *(name for name in more if name.split("/", 1)[1] == layer)]
        if len(names) == 1 and not self.later:
            return self.integers(names[0], count, None, None, None, least=0)
        headers = [self.header(name) for name in names]
        shape, first = headers[0][0][1:], 0
        for name, (found, kind) in zip(names, headers, strict=True):
            if kind.kind not in "iu" or len(found) != 4 or found[1:] != shape:
                need = f"integers of shape ({', '.join(map(str, ('any', *shape)))})"
                raise self.error(name, f"found {kind} of shape {found}", need)
            if name != names[0] and name != f"{_MORE}{first:09}/{layer}":
                raise self.error(name, "counts of other samples", f"those from sample {first} on")
            first += found[0]
        if first != count:
            raise self.error(names[-1], f"counts of {first} samples in all", f"{count}")
        if self.stored is None or not self.later:
            pieces = [self.integers(name, *found, least=0) for name, (found, _) in zip(names, headers, strict=True)]
            return np.concatenate(pieces, dtype=np.int64, casting="unsafe")
        kept = zip(names, headers, strict=True)
        return on_disk([Stored(found[0], partial(self.stored, name)) for name, (found, _) in kept], shape)

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """The shape and type of column ``name``."""
        found = self.later.get(name) or self.columns[name]
        return found.shape, found.dtype

    def rung(self) -> RungName:
        return self.one_of("rung", RUNGS)

    def setup(self) -> Setup:
        stated = {name: int(self.integers(name, least=0, default=np.array(0))) or None for name in _COUNTED}
        return Setup(
            network=self.text("network", default=""),
            program=self.text("program", default=""),
            arithmetic=self.one_of("arithmetic", tuple(WEIGHTS)) if self.text("arithmetic", default="") else None,
            bins=self.one_of("bins", BINS, default="time"),
            perturbation=self.text("perturbation", default=""),
            imported=self.text("imported", default=""),
            **stated,
        )

    def spikes(self, layer: str, count: int, counts: Mapping[str, Maps]) -> Array:
        """The single spikes of ``layer`` in ``count`` samples, on the map of its ``counts``, if these are known."""
        name, array = _SPIKES + layer, self.column(_SPIKES + layer)
        if array.dtype != SPIKE or array.ndim != 1:
            raise self.error(name, f"found {array.dtype} of shape {array.shape}", "a one-dimensional array of spikes")
        limits = {
            "sample": count,
            **(dict(zip("cyx", counts[layer].shape[1:], strict=True)) if layer in counts else {}),
        }
        for field, limit in limits.items():
            if len(array) and (most := int(array[field].max())) >= limit:
                raise self.error(name, f"found a spike with {field} {most}", f"less than {limit}")
        return array

    def aliases(self) -> dict[str, str]:
        nodes, layers = self.texts("alias_nodes"), self.texts("alias_layers")
        if len(nodes) != len(layers):
            raise self.error("alias_layers", f"found {len(layers)} entries", f"{len(nodes)}, as in alias_nodes")
        return dict(zip(nodes, layers, strict=True))

    def activity(self, layer: str, counts: Mapping[str, Maps]) -> LayerActivity:
        """The statistics of ``layer``, on the map of its ``counts``, if these are known."""
        updates = _UPDATES + layer
        shape = counts[layer].shape[1:] if layer in counts else (None, None, None)
        return LayerActivity(
            weights_above=int(self.integers(_ABOVE + layer, least=0)),
            updates=self.integers(updates, *shape, least=0) if updates in self.columns else None,
            reached=self.pair(_REACHED + layer),
            bound=self.pair(_BOUND + layer),
        )

    def pair(self, name: str) -> tuple[int, int] | None:
        if name not in self.columns:
            return None
        low, high = self.integers(name, 2).tolist()
        return low, high

    def load(self) -> dict[str, Load]:
        if "load" not in self.columns:
            return {}
        names, layers = self.texts("load_names"), self.texts("load_layers")
        if len(names) != len(layers):
            raise self.error("load_layers", f"found {len(layers)} entries", f"{len(names)}, as in load_names")
        rows = self.integers("load", len(names), 4, least=NO_CORE).tolist()
        return {
            name: Load(layer, None if core == NO_CORE else core, *figures)
            for name, layer, (core, *figures) in zip(names, layers, rows, strict=True)
        }

    def measures(self, name: str, count: int) -> NDArray[np.float64]:
        array = self.column(name)
        if array.dtype != np.float64 or array.shape != (count,):
            raise self.error(name, f"found {array.dtype} of shape {array.shape}", f"float64 of shape ({count},)")
        return array

    def potentials(self, count: int) -> NDArray[np.float32]:
        array = self.reals("potentials", np.float32, 2, default=NO_POTENTIALS)
        if array.size and len(array) != count:
            raise self.error("potentials", f"found those of {len(array)} samples", f"{count}")
        return array
