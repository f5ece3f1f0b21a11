"""The event-stationary loop: each input event adds its weights to the window of neurons that it reaches.

`deploytool.run.plan.windows` lays a layer out for it: its state is padded, so that no window is cut. Integers are kept
as V' = V - floor - 32768, so that an addition that saturates clamps at the floor too.

The loop records which lanes fired, as a word of bits for a group of up to 64 lanes of a row. It has two forms. The
optimistic one compares all lanes of an event at once and looks closer only if one fired; the CPU cannot predict this
branch, so that it suits layers that seldom fire. The noting one writes the word of each group in any case and keeps it
if it is not 0. The word that says where an event's window lies is looked up two events ahead, because vectors that wait
for their addresses fill the CPU's queues.
"""

# mypy: disable-error-code="no-any-return, no-untyped-call"
# llvmlite has no types of its own.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from deploytool.base.native import I32, I64, WORD, Code, word

PLACE_BITS: Final = 24
"""Number of bits of each of the two offsets in a word of the table, which are counted in vectors."""

UNROLLED: Final = 96
"""Number of vectors of a window up to which all are unrolled; rows of larger windows are repeated."""

NUMBERS: Final = ("threshold", "subtracted", "limit", "reset")
"""What the array ``numbers`` holds: the highest V that does not fire; what a spike subtracts; the highest V in
integers, the floor in float32; and V after a reset to zero. Integers are biased like V."""


class EventLoop(NamedTuple):
    """The shape of a layer on which its loop depends: an event reaches ``rows`` of ``vectors`` of ``lanes`` neurons,
    and rows of the state are ``pitch`` lanes apart.

    ``settled``: V < threshold before every event. Lanes that are not targets may then fire and be reset like the
    others; otherwise each lane has a threshold, out of reach where it is no target. ``capped``: V may exceed an int16.
    ``notes`` chooses the noting form.
    """

    state: str
    weights: str
    rows: int
    vectors: int
    lanes: int
    pitch: int
    subtract: bool
    settled: bool
    capped: bool
    notes: bool = False

    @property
    def vectors_per_group(self) -> int:
        """Number of vectors whose lanes are bits of one word."""
        return WORD // self.lanes

    @property
    def groups_per_row(self) -> int:
        """Number of words for a row; each row begins a new word."""
        return -(-self.vectors // self.vectors_per_group)

    @property
    def groups(self) -> int:
        """Number of words for a window."""
        return self.rows * self.groups_per_row

    @property
    def unrolled(self) -> bool:
        """Whether all rows of the window are unrolled."""
        return self.rows * self.vectors <= UNROLLED

    @property
    def shift(self) -> int:
        """Number of bits of a record's number below the number of its event."""
        return (self.groups - 1).bit_length()


def write_event_loop(shape: EventLoop) -> Code:
    """The code of (table, sites, events, weights, state, numbers, thresholds, bits, records) -> number of records.

    ``table`` (N,) holds for each site, in vectors, where its window begins (`PLACE_BITS`) and where its weights begin
    (`PLACE_BITS`), then the number of its row of ``thresholds`` (K, rows * vectors * lanes). Record i is the lanes that
    fired, ``bits[i]``, in group g at event e, (e << shift | g) = ``records[i]``.
    """
    loop = LayerCode(shape)
    code, builder = loop.code, loop.builder
    following, after = code.variable(loop.place(word(0))), code.variable(loop.place(word(1)))
    with code.loop(word(0), code.arguments["events"]) as event:
        place = builder.load(following)
        builder.store(builder.load(after), following)
        builder.store(loop.place(builder.add(event, word(2))), after)
        window = loop.window(place)
        if shape.notes:
            loop.note(event, window, loop.integrated)
        else:
            fired = loop.integrate(window)
            with builder.if_then(fired, likely=False):
                loop.note(event, window, loop.stored)
    return code.end(builder.load(loop.end))


def after_reset(code: Code, shape: Any, v: Any, fired: Any, numbers: Sequence[Any]) -> Any:
    """``v``, reset in the lanes that ``fired``, with vectors of `NUMBERS`."""
    _, subtracted, limit, reset = numbers
    if not shape.subtract:
        return code.builder.select(fired, reset, v)
    rest = code.less(v, limit) if shape.capped else v
    return code.builder.select(fired, code.difference(rest, subtracted), v)


class _Window(NamedTuple):
    """Where the state, the weights and the thresholds of an event begin."""

    state: Any
    weights: Any
    thresholds: Any


class LayerCode:
    """The parts of a loop over events. This object is mutable: its methods append to ``code``."""

    def __init__(self, shape: EventLoop) -> None:
        code = Code(
            table="u8",
            sites="i4",
            events=None,
            weights=shape.weights,
            state=shape.state,
            numbers=shape.state,
            thresholds=shape.state,
            bits="u8",
            records="u4",
        )
        self.code, self.shape, self.builder = code, shape, code.builder
        numbers = [code.load(code.arguments["numbers"], word(i)) for i in range(len(NUMBERS))]
        self.numbers = [code.filled(number, shape.lanes) for number in numbers]
        self.threshold, _, self.limit, _ = self.numbers
        self.last = self.builder.sub(code.arguments["events"], word(1))
        self.end = code.variable(word(0))

    def place(self, event: Any) -> Any:
        """The word of the table for ``event``; past the last event, that of the last one."""
        builder, arguments = self.builder, self.code.arguments
        event = builder.select(builder.icmp_unsigned("<", event, self.last), event, self.last)
        return self.code.load(arguments["table"], builder.zext(self.code.load(arguments["sites"], event), I64))

    def window(self, place: Any) -> _Window:
        """The window of the word ``place`` of the table."""
        builder, shape, mask = self.builder, self.shape, word((1 << PLACE_BITS) - 1)
        lanes = word(shape.lanes)
        kind = builder.lshr(place, word(2 * PLACE_BITS))
        return _Window(
            state=builder.mul(builder.and_(place, mask), lanes),
            weights=builder.mul(builder.and_(builder.lshr(place, word(PLACE_BITS)), mask), lanes),
            thresholds=builder.mul(kind, word(shape.rows * shape.vectors * shape.lanes)),
        )

    def integrate(self, window: _Window) -> Any:
        """Adds the weights of an event; returns whether a neuron fires."""
        code, shape, builder = self.code, self.shape, self.builder
        nothing = self.threshold if shape.settled else code.above(self.threshold, self.threshold)
        seen = code.variable(nothing)

        def add(row: Any) -> None:
            found = [builder.load(seen)]
            for vector in range(shape.vectors):
                here, v, threshold = self.integrated(window, row, vector)
                code.store(code.arguments["state"], here, v)
                found.append(v if shape.settled else code.above(v, threshold))
            builder.store(code.folded(code.greater if shape.settled else builder.or_, found), seen)

        code.repeat(shape.rows, add, shape.unrolled)
        found = builder.load(seen)
        return code.any(code.above(found, self.threshold) if shape.settled else found)

    def note(self, event: Any, window: _Window, v_of: Any) -> None:
        """Resets the neurons of ``v_of`` (window, row, vector) that are above the threshold, and records them."""
        code, shape = self.code, self.shape

        def reset(row: Any) -> None:
            for group in range(shape.groups_per_row):
                first, masks = group * shape.vectors_per_group, []
                for vector in range(first, min(first + shape.vectors_per_group, shape.vectors)):
                    here, v, threshold = v_of(window, row, vector)
                    masks.append(code.above(v, threshold))
                    code.store(code.arguments["state"], here, after_reset(code, shape, v, masks[-1], self.numbers))
                number = code.builder.add(code.builder.mul(row, word(shape.groups_per_row)), word(group))
                self.record(event, number, masks)

        code.repeat(shape.rows, reset, shape.unrolled)

    def integrated(self, window: _Window, row: Any, vector: int) -> tuple[Any, Any, Any]:
        """(place, V, threshold) of a vector after the event."""
        here, v, threshold = self.stored(window, row, vector)
        taps = self.at(window.weights, row, self.shape.vectors * self.shape.lanes, vector)
        return here, self.added(v, taps), threshold

    def added(self, v: Any, taps: Any) -> Any:
        """``v`` after the weights from ``taps`` on are added, and clamped at the floor."""
        code = self.code
        v = code.sum(v, code.widened(code.load(code.arguments["weights"], taps, self.shape.lanes), v))
        return v if self.shape.weights != "float32" else code.greater(v, self.limit)

    def stored(self, window: _Window, row: Any, vector: int) -> tuple[Any, Any, Any]:
        """(place, V, threshold) of a vector as it is stored."""
        code, shape, arguments = self.code, self.shape, self.code.arguments
        here = self.at(window.state, row, shape.pitch, vector)
        v = code.load(arguments["state"], here, shape.lanes)
        if shape.settled:
            return here, v, self.threshold
        at = self.at(window.thresholds, row, shape.vectors * shape.lanes, vector)
        return here, v, code.load(arguments["thresholds"], at, shape.lanes)

    def at(self, begin: Any, row: Any, pitch: int, vector: int) -> Any:
        """The index of ``vector`` in ``row`` of an array from ``begin`` on whose rows are ``pitch`` lanes apart."""
        row = self.builder.mul(row, word(pitch))
        return self.builder.add(begin, self.builder.add(row, word(vector * self.shape.lanes)))

    def record(self, event: Any, group: Any, masks: Sequence[Any]) -> None:
        """Notes a ``group`` with the lanes of ``masks``: as a record that is kept if a lane is set, or as a word."""
        if self.shape.notes:
            self.write_word(event, group, masks)
            return
        code, builder = self.code, self.builder
        end, bits = builder.load(self.end), code.word_of(masks)
        code.store(code.arguments["bits"], end, bits)
        code.store(code.arguments["records"], end, builder.trunc(self.number(event, group), I32))
        found = builder.zext(builder.icmp_unsigned("!=", bits, word(0)), I64)
        builder.store(builder.add(end, found), self.end)

    def write_word(self, event: Any, group: Any, masks: Sequence[Any]) -> None:
        """Writes the lanes of ``masks`` as the word of a ``group``."""
        self.code.store(self.code.arguments["bits"], self.number(event, group), self.code.word_of(masks))

    def number(self, event: Any, group: Any) -> Any:
        """The number of a ``group`` among those of all events."""
        return self.builder.or_(self.builder.shl(event, word(self.shape.shift)), group)
