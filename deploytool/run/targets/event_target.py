"""The targets that run a Program event by event on this machine: the emulator and the simulator."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from deploytool.ir.events import EventStream
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import Recording, RungName
from deploytool.ir.target import ALL_LAYERS, Watch
from deploytool.run.engine import event_driven
from deploytool.run.plan.layers import Plan, make_plan, state_type
from deploytool.run.record.checks import watched_layers
from deploytool.run.record.samples import Room, Sample, Samples, as_recording, recording_of
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.options import CPU, DEFAULTS, Options


@dataclass(frozen=True)
class EventTarget:
    """An event-driven Target. Its ``options`` do not affect results.

    ``admits(program)`` raises UnsupportedError for a program that it cannot run; ``accepts(program, stream)`` raises
    InputError for a stream that cannot be sent to it.
    """

    name: RungName
    admits: Callable[[Program], object]
    accepts: Callable[[Program, EventStream], None]
    options: Options = DEFAULTS

    def run(self, program: Program, streams: Iterable[EventStream], watch: Watch = ALL_LAYERS) -> Recording:
        """See `deploytool.ir.target.Target`. Raises TargetError if a GPU is requested and none is available."""
        self.admits(program)
        if self.options.device == CPU and any(layer.balancer for layer in program.layers.values()):
            return self._by_reference(program, streams, watch)
        plan = make_plan(program, state_type(program), vectors=not watch.extremes)
        sent = _Accepted(self, program, streams)
        room = Room(program, watched_layers(program, watch.layers), operator.length_hint(sent, 0), watch.rasters)
        return recording_of(program, self.name, room, self._computed(plan, sent, room))

    def _by_reference(self, program: Program, streams: Iterable[EventStream], watch: Watch) -> Recording:
        """The recording of a program with congestion balancers, which only the slow reference models."""
        watched = watched_layers(program, watch.layers)
        sent = _Accepted(self, program, streams)
        total = operator.length_hint(sent, 0)

        def samples() -> Iterator[Sample]:
            for index, stream in enumerate(sent):
                sample = run_reference(program, stream)
                kept = {name: sample.spikes[name] for name in (INPUT, *watched)} if index < watch.rasters else {}
                yield replace(sample, spikes=kept)
                self.options.tick(index + 1, max(total, index + 1), "")

        return as_recording(program, self.name, watched, samples())

    def _computed(self, plan: Plan, sent: Iterable[EventStream], room: Room) -> Iterable[Samples]:
        """The results for ``sent``, batch by batch, computed on the device."""
        if self.options.device == CPU:
            threads, tick = self.options.threads, self.options.tick
            return event_driven.run_streams(plan, sent, room, threads, tick)
        from deploytool.run.cuda.engine import run_streams as run_on_gpu

        return run_on_gpu(plan, sent, room, self.options.tick)


@dataclass(frozen=True, eq=False)
class _Accepted:
    """Iterates over ``streams`` and checks that the target accepts each one."""

    target: EventTarget
    program: Program
    streams: Iterable[EventStream]

    def __iter__(self) -> Iterator[EventStream]:
        for stream in self.streams:
            self.target.accepts(self.program, stream)
            yield stream

    def __length_hint__(self) -> int:
        return operator.length_hint(self.streams, 0)
