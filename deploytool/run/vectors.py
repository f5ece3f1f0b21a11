"""The fast loops: layers whose input events each reach a window of neurons, in vectors of the CPU's own width.

The state of such a layer is padded, so that no window is cut: `deploytool.run.windows` lays it out. How many vectors
a window has is part of the type of a `Window`, so that it is a constant of the compiled code; numba keeps one
compiled loop for each such type on disk. Vectors are LLVM's: it splits them where the CPU's are narrower.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, return-value, misc, no-untyped-call"
# numba has no types of its own.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import (
    intrinsic,
    models,
    register_model,
    typeof_impl,
    register_jitable,
    unbox,
    NativeValue,
)

from deploytool.graph import Array
from deploytool.run.kernels import compiled


ALIGNMENT: Final = 64
"""Bytes of the widest vector, to which arrays are aligned."""


MARGIN: Final = 2
"""Spikes that are written past the end whether there are any or not."""


class Windows(NamedTuple):
    """Where the windows of a layer lie, and what is in them; see `deploytool.run.windows`.

    A row of ``table`` (N, 4) says of one source neuron: where in the state its window begins; the number of its block
    in ``weights`` (blocks, rows, vectors, lanes), flat; the neuron in the window's first lane; its row of ``masks``
    (M, rows * vectors) uint64, the lanes that are targets, of which there are ``updates`` (M,). The lane n of a
    window's row is ``lane_neuron[n]`` neurons after the first. Rows of the state are ``pitch`` apart, those of the
    output map ``row_step`` neurons.
    """

    weights: Array
    table: Array
    masks: Array
    updates: Array
    lane_neuron: Array
    pitch: int
    row_step: int


@dataclass(frozen=True)
class Window:
    """``rows`` of ``vectors`` vectors of ``lanes`` neurons: what one input event reaches. All are compile-time."""

    rows: int
    vectors: int
    lanes: int


class WindowType(types.Type):
    """numba's type of one `Window`: its numbers are part of the type."""

    def __init__(self, rows: int, vectors: int, lanes: int) -> None:
        self.rows, self.vectors, self.lanes = rows, vectors, lanes
        super().__init__(name=f"Window({rows}, {vectors}, {lanes})")


class VectorType(types.Type):
    """numba's type of a vector of ``lanes`` numbers."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")


register_model(WindowType)(models.OpaqueModel)


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """A vector is an LLVM vector."""

    def __init__(self, manager: Any, kind: VectorType) -> None:
        element = ir.FloatType() if isinstance(kind.dtype, types.Float) else ir.IntType(kind.dtype.bitwidth)
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


@typeof_impl.register(Window)
def _typeof_window(window: Window, _: Any) -> WindowType:
    return WindowType(window.rows, window.vectors, window.lanes)


@unbox(WindowType)
def _unbox_window(kind: Any, window: Any, context: Any) -> NativeValue:  # noqa: ARG001
    return NativeValue(context.context.get_dummy_value())


@intrinsic
def sizes(_: Any, window: Any) -> Any:
    """(rows, vectors, lanes) of a `Window`, as constants."""
    numbers = window.rows, window.vectors, window.lanes
    result = types.UniTuple(types.uint64, len(numbers))

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ARG001
        constants = [ir.Constant(ir.IntType(64), number) for number in numbers]
        return context.make_tuple(builder, signature.return_type, constants)

    return result(window), generate


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> Any:
    """Pointer to a ``vector`` in ``array`` at element ``index``."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _alignment(array: Any, lanes: Any) -> int:
    """The alignment in bytes that a vector of as many lanes as ``lanes`` has in ``array``."""
    return min(ALIGNMENT, array.dtype.bitwidth // 8 * lanes.lanes)


def _call(builder: Any, name: str, *arguments: Any) -> Any:
    """The result of LLVM's ``name`` for ``arguments`` of one vector type."""
    kind = arguments[0].type
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind] * len(arguments)),
        f"llvm.{name}.v{kind.count}i{kind.element.width}",
    )
    return builder.call(function, arguments)


@intrinsic
def load(_: Any, array: Any, index: Any, window: Any) -> Any:
    """One vector of ``array`` from ``index`` on, which is a whole number of vectors."""
    result = VectorType(array.dtype, window.lanes)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = context.get_value_type(result)
        pointer = _address(context, builder, signature.args[0], values[0], values[1], vector)
        return builder.load(pointer, align=_alignment(array, window))

    return result(array, index, window), generate


@intrinsic
def load_as(_: Any, array: Any, index: Any, like: Any) -> Any:
    """One vector of ``array`` from ``index`` on, sign-extended to the type of ``like``."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        target = context.get_value_type(like)
        stored = ir.VectorType(context.get_value_type(array.dtype), like.lanes)
        pointer = _address(context, builder, signature.args[0], values[0], values[1], stored)
        loaded = builder.load(pointer, align=_alignment(array, like))
        return loaded if stored == target else builder.sext(loaded, target)

    return like(array, index, like), generate


@intrinsic
def store(_: Any, array: Any, index: Any, vector: Any) -> Any:
    """Writes ``vector`` to ``array`` from ``index`` on, which is a whole number of vectors."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _address(context, builder, signature.args[0], values[0], values[1], values[2].type)
        builder.store(values[2], pointer, align=_alignment(array, vector))
        return context.get_dummy_value()

    return types.void(array, index, vector), generate


@intrinsic
def filled(_: Any, number: Any, window: Any) -> Any:
    """A vector of ``number`` in every lane."""
    result = VectorType(number, window.lanes)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ARG001
        vector = context.get_value_type(result)
        single = builder.insert_element(ir.Constant(vector, ir.Undefined), values[0], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), window.lanes), [0] * window.lanes)
        return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), zeros)

    return result(number, window), generate


def _greater(builder: Any, a: Any, b: Any) -> Any:
    """The greater of ``a`` and ``b`` in every lane; ``b`` where they cannot be compared."""
    if isinstance(a.type.element, ir.IntType):
        return _call(builder, "smax", a, b)
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@intrinsic
def integrated(_: Any, v: Any, w: Any, floor: Any) -> Any:
    """max(v + w, floor) in every lane; integers saturate."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ARG001
        v, w, floor = values
        integers = isinstance(v.type.element, ir.IntType)
        return _greater(builder, _call(builder, "sadd.sat", v, w) if integers else builder.fadd(v, w), floor)

    return v(v, w, floor), generate


@intrinsic
def greater(_: Any, a: Any, b: Any) -> Any:
    """The greater of ``a`` and ``b`` in every lane."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ARG001
        return _greater(builder, *values)

    return a(a, b), generate


def _at_least(builder: Any, a: Any, b: Any) -> Any:
    compare = builder.icmp_signed if isinstance(a.type.element, ir.IntType) else builder.fcmp_ordered
    return builder.bitcast(compare(">=", a, b), ir.IntType(a.type.count))


@intrinsic
def any_reached(_: Any, v: Any, threshold: Any) -> Any:
    """Whether v >= threshold in any lane."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ARG001
        bits = _at_least(builder, *values)
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(v, threshold), generate


@intrinsic
def reached(_: Any, v: Any, threshold: Any) -> Any:
    """uint64 with a bit for every lane in which v >= threshold."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ARG001
        bits = _at_least(builder, *values)
        return bits if bits.type.width == 64 else builder.zext(bits, ir.IntType(64))

    return types.uint64(v, threshold), generate


@intrinsic
def fired(_: Any, v: Any, amount: Any, bits: Any, subtract: Any) -> Any:
    """``v`` where ``bits`` has none; elsewhere v - amount, or 0 unless ``subtract``."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ARG001
        v, amount, bits, subtract = values
        lanes = v.type.count
        narrow = bits if lanes == 64 else builder.trunc(bits, ir.IntType(lanes))
        where = builder.bitcast(narrow, ir.VectorType(ir.IntType(1), lanes))
        minus = builder.sub if isinstance(v.type.element, ir.IntType) else builder.fsub
        rest = builder.select(builder.trunc(subtract, ir.IntType(1)), minus(v, amount), ir.Constant(v.type, None))
        return builder.select(where, rest, v)

    return v(v, amount, types.uint64, types.boolean), generate


@intrinsic
def first_bit(_: Any, bits: Any) -> Any:
    """The number of the lowest bit in ``bits``; 64 where there is none."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ARG001
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@intrinsic
def number_of_bits(_: Any, bits: Any) -> Any:
    """How many bits are in ``bits``."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ARG001
        return builder.ctpop(values[0])

    return types.uint64(types.uint64), generate


@intrinsic
def whole(_: Any, window: Any) -> Any:
    """The `Window` that has all lanes of ``window`` in one vector."""
    result = WindowType(1, 1, window.rows * window.vectors * window.lanes)
    return result(window), lambda context, *_: context.get_dummy_value()


@register_jitable
def write(neurons: Array, end: Any, first: Any, lane_neuron: Array, lane: Any, bits: Any) -> Any:
    """Writes the neurons of ``bits``, of which the lowest is ``lane``, to ``neurons[end:]``; the new end.

    Two are always written, and the end moves past those there are: no branch to mispredict.
    """
    one, last = np.uint64(1), np.uint64(63)
    others = bits & (bits - one)
    neurons[end] = first + lane_neuron[lane + (first_bit(bits) & last)]
    neurons[end + one] = first + lane_neuron[lane + (first_bit(others) & last)]
    more = others & (others - one)
    place = end + np.uint64(2)
    while more:
        neurons[place] = first + lane_neuron[lane + first_bit(more)]
        place += one
        more &= more - one
    return end + number_of_bits(bits)


@register_jitable
def fire(
    window: Any, windows: Any, state: Array, here: Any, site: Any, rows_hit: Any,
    at: Any, subtract: Any, anywhere: Any, neurons: Array, end: Any,
) -> Any:  # fmt: skip
    """Lets the neurons of the window at ``here`` fire, resets them, writes them to ``neurons[end:]``; the new end."""
    rows, vectors, lanes = sizes(window)
    one, per_word = np.uint64(1), np.uint64(64) // lanes
    pitch, masks, kind = np.uint64(windows.pitch), windows.masks, np.uint64(windows.table[site, 3])
    first_row = windows.table[site, 2]
    if vectors <= 2 * per_word:
        for row in range(rows):
            first = first_row + row * windows.row_step
            for word in range((vectors + per_word - one) // per_word):
                bits = np.uint64(0)
                for k in range(per_word):
                    j = word * per_word + k
                    if j < vectors:
                        real = settle(
                            state,
                            here + row * pitch + j * lanes,
                            window,
                            at,
                            subtract,
                            anywhere,
                            masks[kind, row * vectors + j],
                        )
                        bits |= real << (k * lanes)
                end = write(neurons, end, first, windows.lane_neuron, word * np.uint64(64), bits)
        return end
    while rows_hit:
        row = first_bit(rows_hit)
        rows_hit &= rows_hit - one
        first = first_row + row * windows.row_step
        for group in range(np.uint64(0), vectors, np.uint64(64)):
            vectors_hit = np.uint64(0)
            for j in range(min(np.uint64(64), vectors - group)):
                place = here + row * pitch + (group + j) * lanes
                vectors_hit |= np.uint64(any_reached(load(state, place, window), at)) << j
            while vectors_hit:
                j = group + first_bit(vectors_hit)
                vectors_hit &= vectors_hit - one
                place, mask = here + row * pitch + j * lanes, masks[kind, row * vectors + j]
                real = settle(state, place, window, at, subtract, anywhere, mask)
                end = write(neurons, end, first, windows.lane_neuron, j * lanes, real)
    return end


@register_jitable
def settle(state: Array, place: Any, window: Any, at: Any, subtract: Any, anywhere: Any, real: Any) -> Any:
    v = load(state, place, window)
    bits = reached(v, at)
    store(state, place, fired(v, at, bits & (anywhere | real), subtract))
    return bits & real


@compiled
def convolve(
    window: Any, windows: Any, state: Array, threshold: Any, floor: Any, subtract: bool, settled: bool,
    sites: Array, begin: int, neurons: Array, caused: Array,
) -> tuple[int, int, int]:  # fmt: skip
    pitch, table, weights = np.uint64(windows.pitch), windows.table, windows.weights
    rows, vectors, lanes = sizes(window)
    at, low = filled(threshold, window), filled(floor, window)
    room = np.uint64(len(neurons)) - rows * vectors * lanes - np.uint64(2)
    anywhere = ~np.uint64(0) if settled else np.uint64(0)
    end = np.uint64(0)
    updates = 0
    event = np.uint64(begin)
    while event < np.uint64(len(sites)) and end <= room:
        site = np.uint64(sites[event])
        here = np.uint64(table[site, 0])
        taps = np.uint64(table[site, 1]) * rows * vectors * lanes
        updates += windows.updates[np.uint64(table[site, 3])]
        rows_hit = np.uint64(0)
        for row in range(rows):
            top = low
            for j in range(vectors):
                place = here + row * pitch + j * lanes
                v = integrated(
                    load(state, place, window), load_as(weights, taps + (row * vectors + j) * lanes, low), low
                )
                store(state, place, v)
                top = greater(top, v)
            rows_hit |= np.uint64(any_reached(top, at)) << row
        before = end
        if rows_hit:
            end = fire(window, windows, state, here, site, rows_hit, at, subtract, anywhere, neurons, end)
        caused[event] = end - before
        event += np.uint64(1)
    return event, end, updates


@compiled
def connect(
    window: Any, windows: Any, state: Array, threshold: Any, floor: Any, subtract: bool, settled: bool,
    sites: Array, begin: int, neurons: Array, caused: Array,
) -> tuple[int, int, int]:  # fmt: skip
    table, weights = windows.table, windows.weights
    rows, vectors, lanes = sizes(window)
    everything = whole(window)
    zero, one = np.uint64(0), np.uint64(1)
    at, at_all, low = filled(threshold, window), filled(threshold, everything), filled(floor, everything)
    room = np.uint64(len(neurons)) - vectors * lanes - np.uint64(2)
    anywhere = ~zero if settled else zero
    end = zero
    updates = 0
    event = np.uint64(begin)
    v = load(state, zero, everything)
    while event < np.uint64(len(sites)) and end <= room:
        site = np.uint64(sites[event])
        updates += windows.updates[np.uint64(table[site, 3])]
        v = integrated(v, load_as(weights, np.uint64(table[site, 1]) * vectors * lanes, low), low)
        before = end
        if any_reached(v, at_all):
            store(state, zero, v)
            end = fire(window, windows, state, zero, site, one, at, subtract, anywhere, neurons, end)
            v = load(state, zero, everything)
        caused[event] = end - before
        event += one
    store(state, zero, v)
    return event, end, updates
