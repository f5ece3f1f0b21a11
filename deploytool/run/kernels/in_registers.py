"""The loop for a layer of one place, where every event reaches all neurons: their V stays in the CPU's registers.

It takes the same tables as the event-stationary loop, and a block of neurons at a time: as many vectors as there are
registers for. Its optimistic form looks closer only if a neuron of the block fired, its noting form in any case; both
write a word of bits for each group of lanes.
"""

# mypy: disable-error-code="no-any-return, no-untyped-call"
# llvmlite has no types of its own.

from __future__ import annotations

from typing import Any, Final

from deploytool.base.native import Code, word
from deploytool.run.kernels.event_stationary import EventLoop, LayerCode, after_reset

REGISTERS: Final = 8
"""Number of vectors of a block, a whole number of groups."""


def write_register_loop(shape: EventLoop) -> Code:
    """The code of a function that does what `write_event_loop` describes for a settled layer of one place, but writes
    the bits of group g at event e to ``bits[e << shift | g]``; where it writes none, ``bits`` stay 0."""
    loop = LayerCode(shape)
    whole, rest = divmod(shape.vectors, REGISTERS)
    loop.code.repeat(whole, lambda block: _run(loop, block, REGISTERS), unrolled=whole == 1)
    if rest:
        _run(loop, word(whole), rest)
    return loop.code.end(loop.code.arguments["events"])


def _run(loop: LayerCode, block: Any, vectors: int) -> None:
    """Runs all events on ``vectors`` vectors of a ``block``."""
    code, shape, builder = loop.code, loop.shape, loop.builder
    state, lanes = code.arguments["state"], shape.lanes
    begin = builder.mul(block, word(REGISTERS * lanes))
    places = [builder.add(begin, word(vector * lanes)) for vector in range(vectors)]
    held = [code.variable(code.load(state, place, lanes)) for place in places]
    with code.loop(word(0), code.arguments["events"]) as event:
        window = loop.window(loop.place(event))
        for v, place in zip(held, places, strict=True):
            taps = builder.add(window.weights, place)
            builder.store(loop.added(builder.load(v), taps), v)

        def note() -> None:
            values = [builder.load(v) for v in held]
            masks = [code.above(v, loop.threshold) for v in values]
            for v, value, mask in zip(held, values, masks, strict=True):
                builder.store(after_reset(code, shape, value, mask, loop.numbers), v)
            for first in range(0, vectors, shape.vectors_per_group):
                group = builder.mul(block, word(REGISTERS // shape.vectors_per_group))
                group = builder.add(group, word(first // shape.vectors_per_group))
                loop.write_word(event, group, masks[first : first + shape.vectors_per_group])

        if shape.notes:
            note()
        else:
            highest = code.folded(code.greater, [builder.load(v) for v in held])
            with builder.if_then(code.any(code.above(highest, loop.threshold)), likely=False):
                note()
    for v, place in zip(held, places, strict=True):
        code.store(state, place, builder.load(v))
