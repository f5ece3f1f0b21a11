"""Vectors of the CPU's native width in compiled loops.

The number of vectors in a `Window` is part of its type, and so a constant of the compiled code; numba keeps one
compiled loop for each such type on disk. The vectors are LLVM vectors: LLVM splits them if the CPU's are narrower.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, return-value, misc, no-untyped-call"
# numba has no types of its own, and to it an int is an int64.

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import NativeValue, intrinsic, models, register_model, typeof_impl, unbox
from numpy.typing import DTypeLike

from deploytool.base.arrays import Array

ALIGNMENT: Final = 64
"""Number of bytes of the widest vector, to which arrays are aligned."""

WORD: Final = 64
"""Number of bits in a word."""

SOURCE: Final = zlib.crc32(Path(__file__).read_bytes())
"""Part of the type of every `Window`: numba checks only the file of a loop to decide whether to recompile."""


@dataclass(frozen=True)
class Window:
    """``rows`` of ``vectors`` vectors of ``lanes`` neurons: what one input event reaches."""

    rows: int
    vectors: int
    lanes: int

    @property
    def words(self) -> int:
        """Number of words that hold a bit for every lane; each row begins a new word."""
        return self.rows * -(-self.vectors * self.lanes // WORD)


class WindowType(types.Type):
    """numba's type of one `Window`, whose numbers are part of the type."""

    def __init__(self, window: Window) -> None:
        self.window = window
        super().__init__(name=f"{window} of {SOURCE:08x}")


class VectorType(types.Type):
    """numba's type of a vector of ``lanes`` numbers."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")


def aligned(size: int, dtype: DTypeLike) -> Array:
    """Zeros (``size``,) that begin at a multiple of `ALIGNMENT` bytes."""
    length = size * np.dtype(dtype).itemsize
    raw = np.zeros(length + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + length].view(dtype)


def aligned_copy(array: Array) -> Array:
    """The elements of ``array``, flat, beginning at a multiple of `ALIGNMENT` bytes."""
    copy = aligned(array.size, array.dtype)
    copy[:] = array.ravel()
    return copy


register_model(WindowType)(models.OpaqueModel)


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """The data model of a vector: an LLVM vector."""

    def __init__(self, manager: Any, kind: VectorType) -> None:
        element = ir.FloatType() if isinstance(kind.dtype, types.Float) else ir.IntType(kind.dtype.bitwidth)
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


_type_of: Final = cache(WindowType)


@typeof_impl.register(Window)
def _typeof_window(window: Window, _: Any) -> WindowType:
    return _type_of(window)


@unbox(WindowType)
def _unbox_window(_: Any, __: Any, context: Any) -> NativeValue:
    return NativeValue(context.context.get_dummy_value())


def _is_integer(vector: Any) -> bool:
    return isinstance(vector.type.element, ir.IntType)


def _pointer(context: Any, builder: Any, array: tuple[Any, Any], index: Any, vector: Any) -> Any:
    """A pointer to a ``vector`` in ``array`` (type, value) at element ``index``."""
    data = context.make_array(array[0])(context, builder, array[1]).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _alignment(dtype: Any, lanes: int) -> int:
    return min(ALIGNMENT, dtype.bitwidth // 8 * lanes)


def _call(builder: Any, name: str, *vectors: Any) -> Any:
    """The result of LLVM's intrinsic ``name`` for ``vectors`` of integers."""
    kind = vectors[0].type
    full_name = f"llvm.{name}.v{kind.count}i{kind.element.width}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(vectors)), full_name)
    return builder.call(function, vectors)


def _greater(builder: Any, a: Any, b: Any) -> Any:
    if _is_integer(a):
        return _call(builder, "smax", a, b)
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _compare(builder: Any, a: Any, b: Any) -> Any:
    """A vector of bits: the lanes in which a >= b."""
    return (builder.icmp_signed if _is_integer(a) else builder.fcmp_ordered)(">=", a, b)


def _at_least(builder: Any, a: Any, b: Any) -> Any:
    """An integer with a bit for every lane in which a >= b."""
    return builder.bitcast(_compare(builder, a, b), ir.IntType(a.type.count))


def _reset(builder: Any, v: Any, threshold: Any, lanes: Any, subtract: Any) -> Any:
    """``v``, with V replaced by v - threshold, or by 0 unless ``subtract``, in ``lanes``, a vector of bits."""
    rest = (builder.sub if _is_integer(v) else builder.fsub)(v, threshold)
    return builder.select(lanes, builder.select(subtract, rest, ir.Constant(v.type, None)), v)


@intrinsic
def sizes(_: Any, window: Any) -> Any:
    """(rows, vectors, lanes, words) of a `Window`, as constants."""
    of = window.window
    numbers = [ir.Constant(ir.IntType(64), number) for number in (of.rows, of.vectors, of.lanes, of.words)]
    result = types.UniTuple(types.uint64, len(numbers))
    return result(window), lambda context, builder, *_: context.make_tuple(builder, result, numbers)


@intrinsic
def whole(_: Any, window: Any) -> Any:
    """A `Window` that has all lanes of ``window`` in one vector."""
    of = window.window
    result = WindowType(Window(1, 1, of.rows * of.vectors * of.lanes))
    return result(window), lambda context, *_: context.get_dummy_value()


@intrinsic
def load(_: Any, array: Any, index: Any, window: Any) -> Any:
    """One vector of ``array`` from ``index`` on; ``index`` is a whole number of vectors."""
    lanes = window.window.lanes
    result = VectorType(array.dtype, lanes)

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        vector = context.get_value_type(result)
        pointer = _pointer(context, builder, (array, values[0]), values[1], vector)
        return builder.load(pointer, align=_alignment(array.dtype, lanes))

    return result(array, index, window), generate


@intrinsic
def load_as(_: Any, array: Any, index: Any, like: Any) -> Any:
    """One vector of ``array`` from ``index`` on, sign-extended to the type of ``like``."""

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        target = context.get_value_type(like)
        stored = ir.VectorType(context.get_value_type(array.dtype), like.lanes)
        pointer = _pointer(context, builder, (array, values[0]), values[1], stored)
        loaded = builder.load(pointer, align=_alignment(array.dtype, like.lanes))
        return loaded if stored == target else builder.sext(loaded, target)

    return like(array, index, like), generate


@intrinsic
def store(_: Any, array: Any, index: Any, vector: Any) -> Any:
    """Writes ``vector`` to ``array`` from ``index`` on; ``index`` is a whole number of vectors."""

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        pointer = _pointer(context, builder, (array, values[0]), values[1], values[2].type)
        builder.store(values[2], pointer, align=_alignment(array.dtype, vector.lanes))
        return context.get_dummy_value()

    return types.void(array, index, vector), generate


@intrinsic
def filled(_: Any, number: Any, window: Any) -> Any:
    """A vector with ``number`` in every lane."""
    lanes = window.window.lanes
    result = VectorType(number, lanes)

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        nothing = ir.Constant(context.get_value_type(result), ir.Undefined)
        single = builder.insert_element(nothing, values[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(single, nothing, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))

    return result(number, window), generate


@intrinsic
def integrated(_: Any, v: Any, w: Any, floor: Any) -> Any:
    """max(v + w, floor) in every lane; integers saturate."""

    def generate(_: Any, builder: Any, __: Any, values: Any) -> Any:
        v, w, floor = values
        total = _call(builder, "sadd.sat", v, w) if _is_integer(v) else builder.fadd(v, w)
        return _greater(builder, total, floor)

    return v(v, w, floor), generate


@intrinsic
def greater(_: Any, a: Any, b: Any) -> Any:
    """The greater of ``a`` and ``b`` in every lane."""
    return a(a, b), lambda _, builder, __, values: _greater(builder, *values)


@intrinsic
def any_reached(_: Any, v: Any, threshold: Any) -> Any:
    """Whether v >= threshold in any lane."""

    def generate(_: Any, builder: Any, __: Any, values: Any) -> Any:
        bits = _at_least(builder, *values)
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(v, threshold), generate


@intrinsic
def reached(_: Any, v: Any, threshold: Any) -> Any:
    """A word with a bit for every lane in which v >= threshold."""

    def generate(_: Any, builder: Any, __: Any, values: Any) -> Any:
        return builder.zext(_at_least(builder, *values), ir.IntType(WORD))

    return types.uint64(v, threshold), generate


@intrinsic
def fired(_: Any, v: Any, threshold: Any, bits: Any, subtract: Any) -> Any:
    """``v``, with V replaced by v - threshold, or by 0 unless ``subtract``, in the lanes of ``bits``."""

    def generate(_: Any, builder: Any, __: Any, values: Any) -> Any:
        v, threshold, bits, subtract = values
        lanes = builder.bitcast(
            builder.trunc(bits, ir.IntType(v.type.count)), ir.VectorType(ir.IntType(1), v.type.count)
        )
        return _reset(builder, v, threshold, lanes, subtract)

    return v(v, threshold, bits, subtract), generate


@intrinsic
def store_reached(_: Any, words: Any, index: Any, v: Any, threshold: Any, subtract: Any) -> Any:
    """The result of `fired` for the lanes in which v >= threshold; writes these lanes as bits to ``words[index:]``."""

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        array, index, v, threshold, subtract = values
        ready = _compare(builder, v, threshold)
        for first in range(0, v.type.count, WORD):
            lanes = min(WORD, v.type.count - first)
            numbers = ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(first, first + lanes)))
            bits = builder.bitcast(builder.shuffle_vector(ready, ready, numbers), ir.IntType(lanes))
            word = builder.add(index, ir.Constant(index.type, first // WORD))
            pointer = _pointer(context, builder, (words, array), word, ir.IntType(WORD))
            builder.store(builder.zext(bits, ir.IntType(WORD)) if lanes < WORD else bits, pointer)
        return _reset(builder, v, threshold, ready, subtract)

    return v(words, index, v, threshold, subtract), generate


@intrinsic
def not_zero(_: Any, words: Any, index: Any) -> Any:
    """A word with a bit for each of the 64 ``words[index:]`` that is not 0."""

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        vector = ir.VectorType(ir.IntType(WORD), WORD)
        found = builder.load(_pointer(context, builder, (words, values[0]), values[1], vector), align=8)
        return builder.bitcast(builder.icmp_unsigned("!=", found, ir.Constant(vector, None)), ir.IntType(WORD))

    return types.uint64(words, index), generate


@intrinsic
def first_bit(_: Any, bits: Any) -> Any:
    """The number of the lowest set bit in ``bits``; 64 if there is none."""
    return types.uint64(bits), lambda _, builder, __, values: builder.cttz(values[0], ir.Constant(ir.IntType(1), 0))


@intrinsic
def number_of_bits(_: Any, bits: Any) -> Any:
    """The number of set bits in ``bits``."""
    return types.uint64(bits), lambda _, builder, __, values: builder.ctpop(values[0])
