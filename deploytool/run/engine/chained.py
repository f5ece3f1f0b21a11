"""A run of samples through a chain of layers, each part of it in one compiled call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deploytool.base.arrays import Array
from deploytool.ir.decision import UNDECIDED
from deploytool.ir.events import EventStream, channels_last
from deploytool.ir.program import Program
from deploytool.run.engine.limits import Limits, chunks
from deploytool.run.engine.outputs import places_of_outputs
from deploytool.run.engine.timing import WINDOWS_MS
from deploytool.run.kernels.chain import Answers, Load, run_chain
from deploytool.run.plan.chain import Chain
from deploytool.run.record.samples import Samples


def run_chained(
    program: Program, chain: Chain, streams: Sequence[EventStream], counts: Mapping[str, Array], limits: Limits
) -> Samples:
    """The results of ``program``, which is ``chain``, for ``streams`` without targets; see
    `deploytool.run.engine.event_driven.run_samples`."""
    begun = chain.begun(counts)
    rows = np.zeros((len(chain.names), len(streams), 1 + len(WINDOWS_MS)), np.int64)
    load = Load(WINDOWS_MS, rows, np.empty(0, np.int64), np.empty((len(chain.names), 0), np.int64))
    ((output, places),) = places_of_outputs(program).items()
    answers = Answers(
        link=chain.names.index(output),
        places=places,
        counts=np.zeros((len(streams), len(places)), np.int64),
        answers=np.full(len(streams), -1, np.int64),
        starts_us=np.full(len(streams), -1, np.int64),
        found_us=np.full(len(streams), UNDECIDED, np.int64),
    )
    sent = [stream.events for stream in streams]
    strides, passed, total = channels_last(program.input_shape), 0, sum(map(len, sent))
    for events, ends in chunks(sent, limits.chunk):
        ms, loads = run_chain(begun.links, events, ends, strides, load, answers)
        load = load._replace(ms=ms, loads=loads)
        passed += len(events)
        limits.heard(passed / max(1, total))
    chain.ended(begun)
    return Samples(
        names=tuple(stream.name for stream in streams),
        labels=tuple(stream.label for stream in streams),
        counts=counts,
        synops=rows[:, :, 0].sum(axis=0),
        decisions_us=answers.found_us,
        load=dict(zip(chain.names, rows, strict=True)),
        windows=[None] * len(streams),
    )
