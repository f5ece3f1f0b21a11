"""The output-stationary loop: the neurons of one place stay in registers while all input events that reach it pass.

Events are first sorted into lists in their order, one for each row of the output, and those of a row into one for each
of its columns. The loop then takes a place and a block of its features at a time. Its hits, the events at which neurons
fired, are sorted by event at the end.

Lists grow by a block of events at once: the counters of all lists are lanes of a vector, which is kept as it was before
each event. Counters in memory would have to wait for one another.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, no-untyped-call, misc"
# llvmlite and numba have no types of their own.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir
from numba.extending import register_jitable

from deploytool.base.arrays import Array
from deploytool.base.compiled import compiled
from deploytool.base.native import I32, I64, WORD, Code, call, first_bit, number_of_bits, word
from deploytool.run.kernels.batches import copy
from deploytool.run.kernels.event_stationary import NUMBERS, after_reset
from deploytool.run.kernels.general import grown

PLACES: Final = 64
"""Number of lists of one axis, at most: a counter of one byte each, in one vector."""

BLOCK: Final = 128
"""Number of events whose counters are kept: no counter exceeds a byte."""

EVENTS: Final = 1 << 13
"""Number of events that pass together; the number of one has 16 bits."""


class TileLoop(NamedTuple):
    """The shape of a layer on which its loop depends: ``vectors`` of ``lanes`` neurons stay in registers.

    ``subtract`` and ``capped`` are as in `EventLoop`.
    """

    weights: str
    vectors: int
    lanes: int
    subtract: bool
    capped: bool
    state: str = "int16"

    @property
    def words(self) -> int:
        """Number of words for the neurons in registers."""
        return -(-self.vectors * self.lanes // WORD)

    @property
    def features(self) -> int:
        """Number of neurons in registers."""
        return self.vectors * self.lanes


class ListLoop(NamedTuple):
    """The number of lists of an axis, ``reach``, in which an event is."""

    reach: int


def write_row_lists(shape: ListLoop) -> Code:
    """The code of (table, sites, events, ones, kept, items, ends, lists, step) that adds ``events`` to lists of rows.

    ``table`` holds for each site its first row (the 16 highest bits), its first column (16), 16 bits for the number of
    the event, and the place of its weights (16). An event is appended to all lists of rows that it reaches, its place
    ``step`` further in each. ``ends`` (PLACES,) is where each of the ``lists`` ends. Row n of ``ones`` has 1 in the
    lanes of the lists from n on that an event reaches. ``kept`` and ``items`` are room for a block of events.
    """
    arguments = dict.fromkeys(("ones", "kept"), "u1") | dict.fromkeys(("items", "ends", "lists"), "u8")
    code = Code(table="u8", sites="i4", events=None, **arguments, step=None)

    def item(event: Any) -> Any:
        site = code.builder.zext(code.load(code.arguments["sites"], event), I64)
        return code.builder.or_(code.load(code.arguments["table"], site), code.builder.shl(event, word(16)))

    return _append(code, item, shape.reach, 48)


def write_column_lists(shape: ListLoop) -> Code:
    """The code of (rows, begin, events, ones, kept, items, ends, lists, step): as `write_row_lists`, for ``events`` of
    the list of a row, from ``begin`` on, and the lists of its columns."""
    arguments = dict.fromkeys(("ones", "kept"), "u1") | dict.fromkeys(("items", "ends"), "u8")
    code = Code(rows="u8", begin=None, events=None, **arguments, lists="u4", step=None)

    def item(event: Any) -> Any:
        return code.load(code.arguments["rows"], code.builder.add(code.arguments["begin"], event))

    return _append(code, item, shape.reach, 32)


def _append(code: Code, item: Any, reach: int, shift: int) -> Code:
    """``code`` that appends ``item`` of every event to lists, which are numbered by its bits from ``shift`` on."""
    builder, arguments = code.builder, code.arguments
    events, last = arguments["events"], word(BLOCK - 1)
    kind = arguments["lists"].type.pointee
    zero = ir.Constant(ir.VectorType(arguments["kept"].type.pointee, PLACES), None)
    blocks = builder.lshr(builder.add(events, last), word(BLOCK.bit_length() - 1))
    with code.loop(word(0), blocks) as block:
        first = builder.mul(block, word(BLOCK))
        left = builder.sub(events, first)
        count = builder.select(builder.icmp_unsigned("<", left, word(BLOCK)), left, word(BLOCK))
        counters = code.variable(zero)
        with code.loop(word(0), count) as number:
            found = item(builder.add(first, number))
            builder.store(found, builder.gep(arguments["items"], [number]))
            code.store(arguments["kept"], builder.mul(number, word(PLACES)), builder.load(counters))
            own = code.load(arguments["ones"], builder.mul(builder.lshr(found, word(shift)), word(PLACES)), PLACES)
            builder.store(builder.add(builder.load(counters), own), counters)
        with code.loop(word(0), count) as number:
            found = code.load(arguments["items"], number)
            place = builder.lshr(found, word(shift))
            kept = builder.add(builder.mul(number, word(PLACES)), place)
            entry = builder.and_(found, word((1 << shift) - 1))
            for one in range(reach):
                before = code.load(arguments["ends"], builder.add(place, word(one)))
                own = builder.zext(code.load(arguments["kept"], builder.add(kept, word(one))), I64)
                moved = builder.add(entry, builder.mul(arguments["step"], word(one)))
                moved = builder.trunc(moved, kind) if kind.width < WORD else moved
                builder.store(moved, builder.gep(arguments["lists"], [builder.add(before, own)]))
        total = builder.zext(builder.load(counters), ir.VectorType(I64, PLACES))
        ends = code.load(arguments["ends"], word(0), PLACES)
        code.store(arguments["ends"], word(0), builder.add(ends, total))
    return code.end(events)


def write_tile_loop(shape: TileLoop) -> Code:
    """The code of (weights, state, list, numbers, hits, block, place, begin, stop, end) -> new end of ``hits``.

    Passes entries ``begin`` to ``stop`` of ``list``, the places of whose weights are vectors after ``block``, through
    the neurons at ``place``. A hit is the number of an event and the words of neurons that fired.
    """
    code = Code(
        weights=shape.weights,
        state=shape.state,
        list="u4",
        numbers=shape.state,
        hits="u8",
        **dict.fromkeys(("block", "place", "begin", "stop", "end")),
    )
    builder, arguments, lanes = code.builder, code.arguments, shape.lanes
    numbers = [code.filled(code.load(arguments["numbers"], word(i)), lanes) for i in range(len(NUMBERS))]
    places = [builder.add(arguments["place"], word(vector * lanes)) for vector in range(shape.vectors)]
    held = [code.variable(code.load(arguments["state"], place, lanes)) for place in places]
    end = code.variable(arguments["end"])
    with code.loop(arguments["begin"], arguments["stop"]) as number:
        entry = code.load(arguments["list"], number)
        taps = builder.zext(builder.and_(entry, I32(0xFFFF)), I64)
        taps = builder.add(arguments["block"], builder.mul(taps, word(lanes)))
        for vector, v in enumerate(held):
            weights = code.load(arguments["weights"], builder.add(taps, word(vector * lanes)), lanes)
            value = builder.load(v)
            builder.store(code.sum(value, code.widened(weights, value)), v)
        highest = code.folded(code.greater, [builder.load(v) for v in held])
        with builder.if_then(code.any(code.above(highest, numbers[0])), likely=False):
            values = [builder.load(v) for v in held]
            masks = [code.above(value, numbers[0]) for value in values]
            for v, value, mask in zip(held, values, masks, strict=True):
                builder.store(after_reset(code, shape, value, mask, numbers), v)
            hit, each = builder.load(end), WORD // lanes
            event = builder.zext(builder.lshr(entry, I32(16)), I64)
            builder.store(event, builder.gep(arguments["hits"], [hit]))
            for i in range(shape.words):
                bits = code.word_of(masks[i * each : (i + 1) * each])
                builder.store(bits, builder.gep(arguments["hits"], [builder.add(hit, word(1 + i))]))
            builder.store(builder.add(hit, word(1 + shape.words)), end)
    for v, place in zip(held, places, strict=True):
        code.store(arguments["state"], place, builder.load(v))
    return code.end(builder.load(end))


class Tiles(NamedTuple):
    """A layer as `integrate_tiles` takes it. ``rows_of``, ``columns_of`` and ``loop`` are the addresses of what
    `write_row_lists`, `write_column_lists` and `write_tile_loop` write; ``table`` (N,) is that of the first.

    ``weights``, as bytes, are for ``blocks`` of ``lanes`` features, each with ``block`` numbers. ``row_step`` and
    ``column_step`` are how many vectors the weights for neighbouring places lie apart. The map of ``height`` x
    ``width`` places of ``features`` begins at the lists ``first_row`` and ``first_column``. An event is in ``reach``
    lists of rows and reaches ``most`` places. A hit has this number of ``words``.
    """

    rows_of: int
    columns_of: int
    loop: int
    table: Array
    weights: Array
    numbers: Array
    row_ones: Array
    column_ones: Array
    row_step: int
    column_step: int
    first_row: int
    first_column: int
    height: int
    width: int
    features: int
    blocks: int
    block: int
    lanes: int
    words: int
    reach: int
    most: int


class _Room(NamedTuple):
    """What a block of events needs: see `write_row_lists`, `write_tile_loop`, and `_sorted`."""

    kept: Array
    items: Array
    row_ends: Array
    column_ends: Array
    rows: Array
    columns: Array
    hits: Array
    segments: Array
    places: Array


@compiled
def integrate_tiles(
    tiles: Any, state: Array, start: Array, sites: Array, ends: Array, neurons: Array, caused: Array
) -> tuple[Array, Array]:
    """As `deploytool.run.kernels.batches.integrate_samples`, for a layer in ``tiles``; the state is int16."""
    fired, room = np.empty(len(ends), np.int64), _room(tiles, min(EVENTS, len(sites)))
    begin = end = 0
    for sample in range(len(ends)):
        if sample:
            copy(start, state)
        while begin < ends[sample]:
            count = min(EVENTS, ends[sample] - begin)
            hits = _pass(tiles, state, sites, begin, count, room)
            effect = caused[begin : begin + count]
            until = end + _count(tiles, hits, room, effect)
            if until > len(neurons):
                neurons = grown(neurons, until)
            _write(tiles, room, effect, neurons, end)
            end = until
            begin += count
        fired[sample] = end
    return neurons[:end], fired


@register_jitable
def _room(tiles: Any, events: int) -> Any:
    """Room for ``events``, most of which is never touched."""
    raw = np.empty((BLOCK + 1) * PLACES + 64, np.uint8)
    begin = -raw.ctypes.data & 63
    ends = np.empty(2 * PLACES + 8, np.uint64)
    first = (-ends.ctypes.data & 63) >> 3
    return _Room(
        kept=raw[begin:],
        items=np.empty(BLOCK, np.uint64),
        row_ends=ends[first : first + PLACES],
        column_ends=ends[first + PLACES : first + 2 * PLACES],
        rows=np.empty(PLACES * events, np.uint64),
        columns=np.empty(PLACES * events * tiles.reach, np.uint32),
        hits=np.empty(events * tiles.most * tiles.blocks * (1 + tiles.words), np.uint64),
        segments=np.empty(tiles.height * tiles.blocks * (tiles.width + 1), np.int64),
        places=np.empty(events, np.int64),
    )


@register_jitable
def _pass(tiles: Any, state: Array, sites: Array, begin: int, count: int, room: Any) -> int:
    """Passes ``count`` events through all neurons; returns the end of the hits, and leaves where each tile's begin."""
    pitch = len(room.places)
    wide = pitch * tiles.reach
    for place in range(PLACES):
        room.row_ends[place] = place * pitch
    first = sites.ctypes.data + begin * sites.itemsize
    lists = (room.kept, room.items, room.row_ends, room.rows, tiles.row_step)
    call(tiles.rows_of, (tiles.table, first, count, tiles.row_ones, *lists))
    end = segment = place = 0
    for row in range(tiles.first_row, tiles.first_row + tiles.height):
        for column in range(PLACES):
            room.column_ends[column] = column * wide
        length = np.int64(room.row_ends[row]) - row * pitch
        lists_of_row = (room.kept, room.items, room.column_ends, room.columns, tiles.column_step)
        call(tiles.columns_of, (room.rows, row * pitch, length, tiles.column_ones, *lists_of_row))
        for block in range(tiles.blocks):
            weights = block * tiles.block
            for column in range(tiles.first_column, tiles.first_column + tiles.width):
                room.segments[segment] = end
                stop = np.int64(room.column_ends[column])
                where = (weights, place, column * wide, stop, end)
                end = call(tiles.loop, (tiles.weights, state, room.columns, tiles.numbers, room.hits, *where))
                segment += 1
                place += tiles.lanes
            room.segments[segment] = end
            segment += 1
    return end


@register_jitable
def _count(tiles: Any, hits: int, room: Any, caused: Array) -> int:
    """Adds the spikes of all ``hits`` to what their events ``caused`` (N,), zeros; returns their number."""
    total = 0
    for hit in range(0, hits, 1 + tiles.words):
        spikes = 0
        for i in range(tiles.words):
            spikes += number_of_bits(room.hits[hit + 1 + i])
        caused[room.hits[hit]] += spikes
        total += spikes
    return total


@register_jitable
def _write(tiles: Any, room: Any, caused: Array, neurons: Array, end: int) -> None:
    """Writes the neurons that fired to ``neurons[end:]``: event by event, those of each in their order."""
    place, one = end, np.uint64(1)
    for event in range(len(caused)):
        room.places[event] = place
        place += caused[event]
    for row in range(tiles.height):
        for column in range(tiles.width):
            for block in range(tiles.blocks):
                segment = (row * tiles.blocks + block) * (tiles.width + 1) + column
                first = (row * tiles.width + column) * tiles.features + block * tiles.lanes
                for hit in range(room.segments[segment], room.segments[segment + 1], 1 + tiles.words):
                    event = room.hits[hit]
                    spike = room.places[event]
                    for i in range(tiles.words):
                        left = room.hits[hit + 1 + i]
                        while left:
                            neurons[spike] = first + i * WORD + np.int64(first_bit(left))
                            left &= left - one
                            spike += 1
                    room.places[event] = spike
