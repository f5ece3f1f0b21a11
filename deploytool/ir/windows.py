"""The output of samples window by window: what a decoder reads, and the values that it should find.

The windows of a sample have equal durations: a spike at t falls into window t W // duration, of W. Spikes that leave
after the end of the sample, as a board may send them, count in the last window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, all_finite, frozen
from deploytool.base.errors import InputError
from deploytool.ir.decoder import Decoder
from deploytool.ir.events import EventStream, steps_at

NO_TARGETS: Final = np.zeros((0, 0), np.float32)
"""Targets of windows in which no values are asked for, and potentials of windows in which none were measured."""


@dataclass(frozen=True, eq=False)
class OutputWindows:
    """N windows of S samples, those of a sample in order of time; ``number`` (S,) is how many each sample has.

    ``counts`` (N, K) int64 are the spikes of each output neuron, numbered as in `Recording.output_counts`.
    ``targets`` (N, D) float32 are the values asked for, NaN where they are not known; it is empty if none are.
    ``potentials`` (N, K) float32 are V of each output neuron at the end of the window, empty if not measured.
    ``decoder`` is None if no values are read. Raises InputError for sizes that contradict each other, and for infinite
    targets and potentials.
    """

    number: NDArray[np.int64]
    counts: NDArray[np.int64]
    targets: NDArray[np.float32] = field(default_factory=lambda: NO_TARGETS)
    potentials: NDArray[np.float32] = field(default_factory=lambda: NO_TARGETS)
    decoder: Decoder | None = None

    def __post_init__(self) -> None:
        for name, kind in (("number", np.int64), ("counts", np.int64), ("targets", np.float32)):
            object.__setattr__(self, name, frozen(np.asarray(getattr(self, name), kind)))
        object.__setattr__(self, "potentials", frozen(np.asarray(self.potentials, np.float32)))
        total = int(self.number.sum())
        for name, array in (("counts", self.counts), ("targets", self.targets), ("potentials", self.potentials)):
            if len(array) != total and (array.size or name == "counts"):
                raise InputError("windows", f"{name} of {len(array)} windows", f"{total}, those of all samples")
        if np.isinf(self.targets).any():
            raise InputError("windows", "infinite targets", "finite numbers, or NaN where a value is not known")
        if not all_finite(self.potentials):
            raise InputError("windows", "potentials that are not finite", "finite numbers")
        if self.decoder is not None and self.counts.shape[1] != self.decoder.outputs:
            found = f"{self.counts.shape[1]} outputs"
            raise InputError("windows", found, f"{self.decoder.outputs}, which the decoder reads")
        if self.decoder is not None and self.targets.size and self.targets.shape[1] != len(self.decoder.values):
            found, need = f"targets of {self.targets.shape[1]} values", ", ".join(self.decoder.values)
            raise InputError("windows", found, f"the values of the decoder: {need}")

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def samples(self) -> NDArray[np.int64]:
        """(N,): the sample of each window."""
        return np.repeat(np.arange(len(self.number)), self.number)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """(N,): the place of each window in its sample, from 0."""
        first = np.cumsum(self.number) - self.number
        return np.arange(len(self)) - first[self.samples]

    @cached_property
    def decoded(self) -> NDArray[np.float64] | None:
        """(N, D): the values that the decoder reads; None without a decoder, or where its output was not measured."""
        if self.decoder is None:
            return None
        if self.decoder.reads == "rate":
            return self.decoder.decode(self.counts)
        return self.decoder.decode(self.potentials) if self.potentials.size else None

    def of(self, sample: int) -> slice:
        """The windows of ``sample``."""
        end = int(self.number[: sample + 1].sum())
        return slice(end - int(self.number[sample]), end)


def windows_in(stream: EventStream, decoder: Decoder | None) -> int:
    """The number of windows of ``stream``: as ``decoder`` says, or else one for each row of its targets, or none."""
    if decoder is not None:
        return decoder.windows(stream.duration_us)
    return 0 if stream.targets is None else len(stream.targets)


def targets_in(stream: EventStream, windows: int) -> NDArray[np.float32]:
    """(``windows``, D): the means of the targets of ``stream`` in each of its ``windows``; empty if it has none.

    Raises InputError unless every window holds a whole number of targets.
    """
    if stream.targets is None:
        return NO_TARGETS
    stated = len(stream.targets)
    if stated % windows:
        found = f"targets of {stated} windows, in a sample of {stream.duration_us} us that is decoded in {windows}"
        raise InputError(stream.name, found, f"a number of windows that divides {stated}", "Change task.window_ms.")
    means: NDArray[np.float32] = stream.targets.reshape(windows, stated // windows, -1).mean(axis=1)
    return means


def counted(t_us: Array, neurons: Array, outputs: int, windows: int, duration_us: int) -> NDArray[np.int64]:
    """(``windows``, ``outputs``): the spikes of each output neuron in each window of a sample of ``duration_us``.

    ``t_us`` (N,) and ``neurons`` (N,) are the output spikes in any order, neurons as in `Recording.output_counts`.
    """
    counts = np.zeros((windows, outputs), np.int64)
    np.add.at(counts, (np.minimum(steps_at(t_us, windows, duration_us), windows - 1), neurons), 1)
    return counts


def windows_of(stream: EventStream, counts: NDArray[np.int64], decoder: Decoder | None) -> OutputWindows:
    """The windows of one sample, ``stream``, with their ``counts`` (W, K). Raises InputError as `targets_in` does."""
    return OutputWindows(np.array([len(counts)]), counts, targets_in(stream, len(counts)), decoder=decoder)


def joined(found: Sequence[OutputWindows | None]) -> OutputWindows | None:
    """The windows of all samples of ``found``, in order, where None is a sample without any; None if all are.

    Values that a part lacks are NaN.
    """
    first = next((part for part in found if part is not None), None)
    if first is None:
        return None
    none = OutputWindows(np.zeros(1, np.int64), first.counts[:0], decoder=first.decoder)
    parts = [none if part is None else part for part in found]
    return OutputWindows(
        np.concatenate([part.number for part in parts]),
        np.concatenate([part.counts for part in parts]),
        _stacked([part.targets for part in parts], parts),
        _stacked([part.potentials for part in parts], parts),
        first.decoder,
    )


def _stacked(arrays: Sequence[NDArray[np.float32]], parts: Sequence[OutputWindows]) -> NDArray[np.float32]:
    """``arrays`` of all ``parts``, one after the other, with NaN for those that are empty; empty if all are."""
    width = max(array.shape[1] for array in arrays)
    if not width:
        return NO_TARGETS
    filled = [
        array if array.size else np.full((len(part), width), np.nan, np.float32)
        for array, part in zip(arrays, parts, strict=True)
    ]
    return np.concatenate(filled)
