"""Sending to a board without loss: flow control, membranes at their initial value, and time-outs.

A board does not tell which events it took. So every packet of events ends with a request to read one neuron, and the
answer says that everything before it was taken: requests and events pass through one queue. Only a few packets are
under way at a time, which holds up the sender when the chip is busy. That the queue keeps its order is our assumption;
hw_tests/README.md lists it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from deploytool.base.errors import TargetError
from deploytool.chip.memory import neuron_address
from deploytool.ir.program import Program
from deploytool.run.targets.board_link import Heard, Link

Item = TypeVar("Item")

MARKED: Final = 0
"""The address of the neuron that is read at the end of a packet."""


@dataclass(frozen=True)
class Timing:
    """Delays and time-outs of a board; those marked * are guesses.

    A new configuration settles for ``settle_s``*. The first event is sent ``lead_us``* after the clock is reset. A
    sample ends when its duration has passed and nothing has arrived for ``quiet_s``*. If the board takes no event, or
    still spikes, ``patience_s`` after it should have ended, the run fails. The board is read every ``poll_s``.
    Events go in packets of ``packet``, at most ``window`` of them under way, and at most ``ahead_s`` before their time.
    """

    settle_s: float = 1.0
    lead_us: int = 100_000
    quiet_s: float = 0.5
    patience_s: float = 60.0
    poll_s: float = 0.001
    packet: int = 1024
    window: int = 4
    ahead_s: float = 0.5


TIMING: Final = Timing()


class Packet(NamedTuple):
    """``number`` input events as samna's objects, the first and last due at those times, and a ``core`` they enter."""

    events: list[Any]
    first_us: int
    last_us: int
    core: int

    @property
    def number(self) -> int:
        return len(self.events)


class Played(NamedTuple):
    """What was heard while a stream was played, and how it went.

    ``sent`` events were all taken. ``seconds`` is the time from the first packet to the last sign of the board.
    """

    heard: Heard
    sent: int
    seconds: float


@dataclass(frozen=True)
class SlowClock:
    """The slow clock of a sample: it runs at ``hz`` from the sample's start until half a period after its last tick."""

    hz: int
    ticks_us: tuple[int, ...]

    @property
    def stops_us(self) -> float:
        return self.ticks_us[-1] + 0.5e6 / self.hz


def play(link: Link, timing: Timing, packets: Iterator[Packet], end_us: int, slow: SlowClock | None = None) -> Played:
    """Sends ``packets`` and listens until ``end_us`` after the sample's start, and until the board is silent.

    The ``slow`` clock ticks meanwhile; its phase is as exact as a command to the board.
    Raises TargetError with the number of events that were not taken, or if the board does not fall silent.
    """
    heard, under_way, sent = Heard(), deque[Packet](), 0
    link.restart_clock()
    started = progress = last = time.monotonic()
    end = started + (timing.lead_us + end_us) / 1e6
    ahead = next(packets, None)
    switches = deque(_switches(slow, started + timing.lead_us / 1e6))
    while True:
        new = link.read()
        now = time.monotonic()
        while switches and now + 1e-6 >= switches[0][0]:
            link.slow_clock(switches.popleft()[1])
        for _ in range(min(len(new.states), len(under_way))):
            sent += under_way.popleft().number
            progress = now
        if len(new):
            heard += new
            last = now
        while (
            ahead is not None
            and len(under_way) < timing.window
            and started + ahead.first_us / 1e6 <= now + timing.ahead_s
        ):
            link.write(ahead.events + link.reads(ahead.core, [MARKED]))
            under_way.append(ahead)
            ahead = next(packets, None)
        if under_way and now > max(progress, started + under_way[0].last_us / 1e6) + timing.patience_s:
            raise _not_taken(link.name, timing, sent, under_way, ahead, packets)
        if ahead is None and not under_way and not switches and now >= max(end, last + timing.quiet_s):
            return Played(heard, sent, max(last, end) - started)
        if now > max(end, progress) + timing.patience_s and not under_way:
            found = f"still spiking {timing.patience_s:.2g} s after the end of the sample"
            raise TargetError(link.name, found, "silence")
        time.sleep(timing.poll_s)


def _switches(slow: SlowClock | None, starts_s: float) -> list[tuple[float, int | None]]:
    """(when, frequency or off) of every command to the slow clock of a sample that starts at ``starts_s``."""
    if slow is None or not slow.ticks_us:
        return []
    return [(starts_s, slow.hz), (starts_s + slow.stops_us / 1e6, None)]


def _not_taken(
    name: str, timing: Timing, sent: int, under_way: Iterable[Packet], ahead: Packet | None, rest: Iterator[Packet]
) -> TargetError:
    waiting = sum(packet.number for packet in under_way)
    later = sum(packet.number for packet in (*([] if ahead is None else [ahead]), *rest))
    found = (
        f"{sent:,} events were taken; the board did not answer for {timing.patience_s:.2g} s after {waiting:,} more, "
        f"and {later:,} were not sent"
    )
    return TargetError(name, found, "every event taken", "Check the cable, and send them at a slower --pace.")


def pieces(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """``items`` in lists of ``size``, the last one shorter."""
    items = iter(items)
    while piece := list(islice(items, size)):
        yield piece


def set_membranes(link: Link, timing: Timing, program: Program) -> None:
    """Writes the initial value into every neuron of ``program``, and reads all of them back.

    Raises TargetError if a neuron holds another value, or if the board does not answer.
    """
    for name, core in program.core_of.items():
        wanted = initial_values(program, name)
        for piece in pieces(wanted.items(), timing.packet):
            _exchange(link, timing, link.writes(core, dict(piece)), core, [MARKED])
        found = read_membranes(link, timing, core, list(wanted))
        if different := {address: v for address, v in found.items() if wanted[address] != v}:
            address, v = next(iter(different.items()))
            raise TargetError(
                link.name,
                f"{len(different):,} of {len(wanted):,} neurons of {name} do not hold their initial value: V = {v} at "
                f"address {address} of core {core}, where {wanted[address]} was written",
                "membranes that can be set",
                "Nothing was run on them.",
            )


def read_membranes(link: Link, timing: Timing, core: int, addresses: Sequence[int]) -> dict[int, int]:
    """{address: V} of neurons of ``core``. Raises TargetError if the board does not answer."""
    found: dict[int, int] = {}
    for piece in pieces(addresses, timing.packet):
        found |= _exchange(link, timing, [], core, piece)
    return found


def initial_values(program: Program, name: str) -> Mapping[int, int]:
    """{address: V at the start} of every neuron of layer ``name``."""
    layer = program.layers[name]
    start = np.broadcast_to(np.asarray(layer.neurons.v_init, np.int16), layer.out_shape)
    return {neuron_address(layer.out_shape, c, y, x): int(v) for (c, y, x), v in np.ndenumerate(start)}


def _exchange(link: Link, timing: Timing, events: list[Any], core: int, addresses: list[int]) -> dict[int, int]:
    """{address: V} that the board answers to reads of ``addresses`` after ``events``."""
    link.write(events + link.reads(core, addresses))
    found: dict[int, int] = {}
    started = time.monotonic()
    while len(found) < len(addresses):
        found |= {state.address: state.v for state in link.read().states if state.core == core}
        if len(found) < len(addresses):
            if time.monotonic() > started + timing.patience_s:
                read = f"{len(found)} of {len(addresses)} neurons of core {core} were read"
                raise TargetError(link.name, f"{read} in {timing.patience_s:.2g} s", "an answer to every request")
            time.sleep(timing.poll_s)
    return found
