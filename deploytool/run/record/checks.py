"""Checks before every run: the streams and the layers to watch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploytool.base.arrays import format_shape
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.base.memory import OPTION, memory_allowed
from deploytool.ir.events import EventStream
from deploytool.ir.program import Program

TIMESTAMP_MAX: Final = (1 << 32) - 1
"""Largest timestamp in us that fits in a router word."""

IN_FLIGHT_MAX: Final = 1 << 22
"""Largest number of spikes on delayed routes at one time. More indicates runaway recurrent excitation."""

KEPT_MAX: Final = 1 << 25
"""Largest number of single spikes that a run keeps in memory: 600 MB."""

KEPT_BYTES: Final = 64
"""Bytes of a single spike that is kept, while the recording is made and written."""


def check_stream(program: Program, stream: EventStream) -> None:
    """Raises InputError unless ``stream`` has the shape of the program's input map."""
    if stream.shape != program.input_shape:
        raise InputError(
            stream.name,
            f"events on a map of {format_shape(stream.shape)}",
            f"{format_shape(program.input_shape)}, the input of this program",
        )


def check_in_flight(where: str, spikes: int, t_us: int, most: int = IN_FLIGHT_MAX) -> None:
    """Raises UnsupportedError if more than ``most`` ``spikes`` are on delayed routes (runaway excitation)."""
    if spikes > most:
        raise UnsupportedError(
            where,
            f"{spikes:,} spikes on delayed routes at {t_us} us",
            f"at most {most:,}",
            "Recurrent excitation grows without limit: use smaller recurrent weights, or a higher threshold.",
        )


def check_kept(where: str, spikes: int) -> None:
    """Raises UnsupportedError if more single ``spikes`` are to be kept than `KEPT_MAX`, or than memory is allowed."""
    most = min(KEPT_MAX, memory_allowed() // KEPT_BYTES)
    if spikes > most:
        raise UnsupportedError(
            where,
            f"{spikes:,} single spikes to keep",
            f"at most {most:,} in a run",
            "Use fewer --rasters, --watch fewer layers, or --outputs-only in a sweep"
            f"{'.' if most == KEPT_MAX else f', or allow more memory with {OPTION}.'} "
            "If a few samples spike this much, thresholds are too small.",
        )


def check_sendable(program: Program, stream: EventStream) -> None:
    """Raises InputError unless ``stream`` fits the program's input map and the 32 bits of a timestamp in us."""
    check_stream(program, stream)
    if stream.duration_us > TIMESTAMP_MAX:
        raise InputError(
            stream.name, f"lasts {stream.duration_us} us", f"at most {TIMESTAMP_MAX} us", "Cut it into shorter samples."
        )


def watched_layers(program: Program, watch: Sequence[str] | None) -> tuple[str, ...]:
    """The logical layers to count, in the order of the program: those in ``watch`` (None: all), and the outputs.

    Each name is a layer or a graph node from which one was made. Raises InputError for any other name.
    """
    called = {**program.aliases, **{name: name for name in program.parts}}
    wanted = {program.place_in(name)[0] for name in program.outputs}
    for name in program.parts if watch is None else watch:
        if name not in called:
            raise InputError("watch", f"no layer {name!r}", f"one of {', '.join(program.parts)}")
        wanted.add(called[name])
    return tuple(name for name in program.parts if name in wanted)
