"""The recording: what came out of a run, the same for every rung of the ladder from torch to silicon."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.errors import ArtifactError, InputError
from deploytool.graph import Array, frozen

Rung: TypeAlias = Literal["torch", "quantised", "simulator", "emulator", "board"]
RUNGS: Final[tuple[Rung, ...]] = ("torch", "quantised", "simulator", "emulator", "board")
"""Torch: the trained network, clock-driven. Quantised: its integers, clock-driven. The others are event-driven."""

SPIKE: Final = np.dtype([("sample", "<u4"), ("t", "<i8"), ("c", "<u2"), ("y", "<u2"), ("x", "<u2")])
"""One recorded spike: index of its sample, time in microseconds, feature, row, column."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Spikes of S samples on one rung.

    ``counts`` {layer: (S, C, H, W) int64} are spikes per neuron before pooling, of every layer that was watched.
    ``outputs`` are the layers whose spikes are the answer. ``synops`` (S,) is the number of synaptic updates of each
    sample. ``labels`` (S,) is -1 where unknown.
    ``spikes`` {layer or "input": (N,) of dtype SPIKE} are the single spikes that were asked for.
    ``aliases`` {graph node: layer} lets a layer be called by any node it was made from.
    """

    rung: Rung
    samples: tuple[str, ...]
    labels: NDArray[np.int64]
    outputs: tuple[str, ...]
    counts: Mapping[str, NDArray[np.int64]]
    synops: NDArray[np.int64]
    spikes: Mapping[str, Array]
    aliases: Mapping[str, str]

    def __post_init__(self) -> None:
        for name in ("labels", "synops"):
            object.__setattr__(self, name, frozen(np.asarray(getattr(self, name), np.int64)))
        counts = {layer: frozen(np.asarray(array, np.int64)) for layer, array in self.counts.items()}
        object.__setattr__(self, "counts", MappingProxyType(counts))
        object.__setattr__(self, "spikes", MappingProxyType({k: frozen(v) for k, v in self.spikes.items()}))
        object.__setattr__(self, "aliases", MappingProxyType(dict(self.aliases)))
        if missing := [name for name in self.outputs if name not in self.counts]:
            raise InputError("recording", f"no counts of the output {missing[0]!r}", "every output among the counts")

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def output_counts(self) -> NDArray[np.int64]:
        """(S, classes): spikes of each output neuron, the outputs side by side."""
        counts = [self.counts[name] for name in self.outputs]
        return np.concatenate([array.reshape(len(self), math.prod(array.shape[1:])) for array in counts], axis=1)

    def layer(self, name: str) -> str:
        """The layer called ``name``, or made from the graph node ``name``. Raises InputError when there is none."""
        found = name if name in self.counts else self.aliases.get(name, "")
        if found not in self.counts:
            raise InputError("recording", f"no counts of layer {name!r}", f"one of {', '.join(self.counts)}")
        return found

    @cached_property
    def predictions(self) -> NDArray[np.int64]:
        """(S,): what ``answers`` makes of the output counts."""
        return answers(self.output_counts)


def answers(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(S,) for output ``counts`` (S, classes): the neuron with the most spikes, the first of equals; -1 where none."""
    return np.where(counts.max(axis=1) > 0, counts.argmax(axis=1), -1)


_COUNTS, _SPIKES = "counts/", "spikes/"


def save_recording(recording: Recording, folder: Path) -> None:
    """Writes ``recording.npz`` into ``folder``: columns only, no pickled objects."""
    columns: dict[str, Array] = {
        "rung": np.array(recording.rung), "samples": np.array(recording.samples, dtype=np.str_),
        "labels": recording.labels, "outputs": np.array(recording.outputs), "synops": recording.synops,
        "alias_nodes": np.array(list(recording.aliases), dtype=np.str_),
        "alias_layers": np.array(list(recording.aliases.values()), dtype=np.str_),
    }  # fmt: skip
    columns |= {_COUNTS + layer: _narrow(array) for layer, array in recording.counts.items()}
    columns |= {_SPIKES + layer: array for layer, array in recording.spikes.items()}
    np.savez_compressed(folder / "recording.npz", allow_pickle=False, **columns)


def load_recording(folder: Path) -> Recording:
    """The recording that ``save_recording`` wrote into ``folder``. Raises ArtifactError when it is damaged."""
    path = folder / "recording.npz"
    try:
        with np.load(path, allow_pickle=False) as columns:
            return Recording(
                rung=str(columns["rung"]),  # type: ignore[arg-type]
                samples=tuple(map(str, columns["samples"])),
                labels=columns["labels"],
                outputs=tuple(map(str, columns["outputs"])),
                counts={k.removeprefix(_COUNTS): columns[k] for k in columns.files if k.startswith(_COUNTS)},
                synops=columns["synops"],
                spikes={k.removeprefix(_SPIKES): columns[k] for k in columns.files if k.startswith(_SPIKES)},
                aliases=dict(zip(map(str, columns["alias_nodes"]), map(str, columns["alias_layers"]), strict=True)),
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ArtifactError(str(path), f"not readable ({error})", "a recording that deploytool wrote") from None


def _narrow(counts: NDArray[np.int64]) -> Array:
    """The same counts in the smallest unsigned type that holds them."""
    return np.asarray(counts.astype(np.min_scalar_type(int(counts.max(initial=0)))))
