"""Prepared samples: those of a data set as events in the store, so that a data set is read and converted once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from deploytool.base.arrays import Shape
from deploytool.data.recordings.classes import NOT_KNOWN, Classes
from deploytool.ir.events import EventStream
from deploytool.ir.streams_file import BYTES_MAX, TooManyEventsError, load_streams, save_streams
from deploytool.store.artifact import Request, StoreError
from deploytool.store.cache import StageCache
from deploytool.workflow.sources.samples import SampleSource


def streams_of(
    cache: StageCache, samples: SampleSource, shape: Shape, classes: Classes = NOT_KNOWN, bytes_max: int = BYTES_MAX
) -> Sequence[EventStream]:
    """The ``samples`` for a network with an input of ``shape`` and ``classes``: from the store if they are there.

    Otherwise they are read, and stored if they are those of a data set and have at most ``bytes_max`` of events; more
    are read and converted on every run, as are all if the store cannot be written.
    """
    source = samples.of(classes)
    if not samples.stored:
        return source.load(shape)
    decided: dict[str, Any] = {"data": samples.says, "input": list(shape)}
    if classes.names:
        decided["classes"] = list(classes.names)
    request = Request("samples", {"data": samples.fingerprint}, decided)
    try:
        return _kept(cache, request, lambda: source.load(shape), bytes_max)
    except StoreError:
        return source.load(shape)


def _kept(
    cache: StageCache, request: Request, load: Callable[[], Sequence[EventStream]], bytes_max: int
) -> Sequence[EventStream]:
    """The samples for ``request``, which are stored if they are few enough. Raises StoreError if they cannot be."""
    with cache.turn(request) as found:
        if found is not None:
            return load_streams(found.path)
        streams = load()
        if len(streams) and streams[0].events.nbytes * len(streams) <= bytes_max:
            with contextlib.suppress(TooManyEventsError):
                made = cache.store.put(request, partial(save_streams, streams, bytes_max=bytes_max))
                cache.messages.say(f"{made.kind:<10} {made.name}  made")
                return load_streams(made.path)
        return streams
