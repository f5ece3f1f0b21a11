"""Samples of events, from wherever a script has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

from deploytool.api.result import counted
from deploytool.api.words import speaks_python
from deploytool.base.arrays import format_shape
from deploytool.base.errors import UsageError
from deploytool.base.messages import warn
from deploytool.data.formats.reading import Reading
from deploytool.ir.events import EventStream
from deploytool.workflow.sources.samples import SampleSource, samples
from deploytool.workflow.sources.script_samples import Stated, sensor_of, source_of, streams_of

if TYPE_CHECKING:
    from deploytool.base.arrays import Shape


@dataclass(frozen=True, eq=False, repr=False)
class Events(Sequence[EventStream]):
    """A sequence of samples, each a `deploytool.ir.events.EventStream`, read when it is asked for.

    Those of a file, a folder or a data set are read from ``named`` for a map of ``shape`` (C, H, W); all others are
    the ``streams``.
    """

    streams: Sequence[EventStream] | None
    named: SampleSource | None = None
    shape: Shape | None = None

    @cached_property
    def source(self) -> SampleSource:
        """The samples as the workflows take them. Reads samples that a script gave once, to fingerprint them."""
        if self.named is not None:
            return self.named
        return source_of(self._read)

    @cached_property
    def _read(self) -> Sequence[EventStream]:
        if self.streams is not None:
            return self.streams
        assert self.named is not None
        if self.shape is None:
            raise UsageError("events", "the size of their map is not known", "shape=(C, H, W)")
        return self.named.load(self.shape)

    def __len__(self) -> int:
        return len(self._read)

    @overload
    def __getitem__(self, index: int) -> EventStream: ...
    @overload
    def __getitem__(self, index: slice) -> Events: ...
    def __getitem__(self, index: int | slice) -> EventStream | Events:
        if isinstance(index, slice):
            return Events([self._read[each] for each in range(len(self))[index]])
        return self._read[index]

    def _repr_html_(self) -> str:
        from deploytool.report.views.spikes import events_view

        return events_view(repr(self), () if self.shape is None and self.named is not None else self._read)

    def __repr__(self) -> str:
        if self.named is not None:
            return f"Events({self.named.says.get('set') or self.named.says.get('files')})"
        facts = [counted(len(self), "sample")]
        if len(self):
            facts.append(format_shape(self[0].shape))
        if isinstance(self._read, list):
            facts.append(counted(sum(map(len, self._read)), "event"))
        return f"Events({', '.join(facts)})"


@speaks_python
def events(
    source: object,
    shape: Shape | None = None,
    *,
    labels: int | Sequence[int] | None = None,
    targets: Sequence[object] | None = None,
    dt_ms: float | None = None,
    duration_ms: float | None = None,
    columns: str | None = None,
    time_unit: str | None = None,
    absolute_time: bool = False,
    root: str | Path | None = None,
    count: int | None = None,
) -> Events:
    """The samples in ``source``, on maps of ``shape`` (C, H, W).

    ``source`` is one of

    * a structured array of numpy with the fields t, x, y and p (or c), times in microseconds; a table of pandas with
      these columns; or a plain array (N, 4) whose ``columns``, such as "txyp", are stated
    * counts per time step of ``dt_ms``, an array or a tensor (T, C, H, W), or (S, T, C, H, W) for several samples;
      each event is at the start of its step
    * an EventStream
    * a sample of tonic: a pair (one of the above, label)
    * a list or tuple of these, or a data set of tonic's, whose samples are read when they are needed
    * the path of an event file or of a folder of them, or the name of a data set, of which ``count`` test samples are
      taken, with its folder ``root``

    As with files, a sample of events begins at its first event, unless ``absolute_time``, and lasts until its last one,
    or for ``duration_ms``. ``labels`` are the classes, and ``targets`` the values of each sample, an array (W, D) for W
    windows of equal duration or (D,) for one, if the samples do not have them.

    Raises InputError for anything else and for invalid events, naming the sample, and UsageError for what is missing.
    """
    reading = Reading(columns, time_unit, absolute_time)
    if isinstance(source, Events):
        return source
    if isinstance(source, str | Path):
        folder = None if root is None else str(root)
        named = samples(str(source), folder, None, count, reading, warn)
        if shape is None:
            return Events(None, named, _shape_of(str(source)))
        return Events(None, replace(named, load=lambda _: named.load(shape), stored=False), shape)
    if root is not None or count is not None:
        raise UsageError("root=, count=", "given with samples that a script holds", "the name of a data set")
    classes = [labels] if isinstance(labels, int) else labels
    stated = Stated(shape, _us("dt_ms", dt_ms), _us("duration_ms", duration_ms), classes, targets, reading)
    return Events(streams_of(source, stated))


def _shape_of(name: str) -> Shape | None:
    """The map of the samples of the data set ``name``; None if it is no data set, or its images differ in size."""
    from deploytool.data.sets.sources import DATASETS

    shape = DATASETS[name].shape if name in DATASETS else None
    return shape if shape and all(shape) else None


def _us(name: str, value_ms: float | None) -> int | None:
    """``value_ms`` in microseconds. Raises UsageError unless it is a whole number of them, at least 1."""
    if value_ms is None:
        return None
    value_us = round(value_ms * 1000)
    if value_us < 1 or abs(value_us - value_ms * 1000) > 1e-6:
        raise UsageError(f"{name}={value_ms}", "not a whole number of microseconds above 0", "0.001 or a multiple")
    return value_us


def source_in(source: object, shape: Shape) -> SampleSource:
    """``source`` as the workflows take samples; events without a map of their own are on one of ``shape`` (C, H, W).

    A data set with another sensor keeps its own map, which a network then refuses.
    """
    if isinstance(source, str | Path):
        return events(source).source
    sensor = sensor_of(source)
    return events(source, shape if sensor is None or sensor[1:] == shape[1:] else sensor).source
