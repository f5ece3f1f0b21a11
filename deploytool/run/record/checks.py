"""What every run checks before it starts: the program, its streams, the layers to watch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploytool.base.arrays import format_shape
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.ir.events import EventStream
from deploytool.ir.program import Program

TIMESTAMP_MAX: Final = (1 << 32) - 1
"""Largest time in us that a router word holds."""

IN_FLIGHT_MAX: Final = 1 << 22
"""Spikes that may be on delayed routes at one time: more is a network that excites itself without end."""


def check_stream(program: Program, stream: EventStream) -> None:
    """Raises InputError unless ``stream`` lives on the program's input map."""
    if stream.shape != program.input_shape:
        raise InputError(
            stream.name,
            f"events on a map of {format_shape(stream.shape)}",
            f"{format_shape(program.input_shape)}, the input of this program",
        )


def check_in_flight(where: str, spikes: int, t_us: int, most: int = IN_FLIGHT_MAX) -> None:
    """Raises UnsupportedError when more than ``most`` ``spikes`` are on delayed routes: they can only become more."""
    if spikes > most:
        raise UnsupportedError(
            where,
            f"{spikes:,} spikes on delayed routes at {t_us} us",
            f"at most {most:,}",
            "The network excites itself without end: use smaller recurrent weights, or a higher threshold.",
        )


def check_sendable(program: Program, stream: EventStream) -> None:
    """Raises InputError unless ``stream`` fits the program's input map and the 32 bits of a timestamp in us."""
    check_stream(program, stream)
    if stream.duration_us > TIMESTAMP_MAX:
        raise InputError(stream.name, f"lasts {stream.duration_us} us", f"at most {TIMESTAMP_MAX} us", "Cut it.")


def watched_layers(program: Program, watch: Sequence[str] | None) -> tuple[str, ...]:
    """The logical layers to count, in the order of the program: those in ``watch`` (None: all), and the outputs.

    A layer may be called by any graph node it was made from. Raises InputError for a name that is neither.
    """
    called = {**aliases(program), **{name: name for name in program.parts}}
    wanted = {program.place_in(name)[0] for name in program.outputs}
    for name in program.parts if watch is None else watch:
        if name not in called:
            raise InputError("watch", f"no layer {name!r}", f"one of {', '.join(program.parts)}")
        wanted.add(called[name])
    return tuple(name for name in program.parts if name in wanted)


def aliases(program: Program) -> dict[str, str]:
    """{graph node: logical layer made from it}."""
    return {source: program.place_in(name)[0] for name, layer in program.layers.items() for source in layer.sources}
