"""Loops as native code: LLVM code for one shape of layer, compiled in milliseconds when they are needed.

numba needs seconds for a loop of known shape and would have to keep every shape on disk. What these loops consist of,
vectors at known distances, is written here directly in LLVM's operations, unrolled. LLVM splits vectors that are wider
than the CPU's. `call` calls such a loop from code compiled by numba, without the GIL.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, no-untyped-call, misc"
# llvmlite and numba have no types of their own.

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, reduce
from threading import Lock
from typing import Any, Final

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic
from numpy.typing import DTypeLike

from deploytool.base.arrays import Array
from deploytool.base.compiled import kept
from deploytool.base.digest import digest

ALIGNMENT: Final = 64
"""Number of bytes of the widest vector, to which arrays are aligned."""

WORD: Final = 64
"""Number of bits in a word."""

I1: Final = ir.IntType(1)
I32: Final = ir.IntType(32)
I64: Final = ir.IntType(64)

_LOCK: Final = Lock()
_ENGINES: Final[list[Any]] = []
"""The owners of compiled code, which lives as long as the process."""


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


def lanes_of(state: DTypeLike) -> int:
    """The number of lanes of a vector of V of type ``state`` that suits this CPU best, by measurement.

    Integers fill a vector of the CPU; float32 has 16 lanes, which LLVM splits where needed, so that windows are alike.
    """
    wide = np.dtype(state).kind == "i" and "+avx512bw" in _cpu()[1].split(",")
    return 32 if wide else 16


def word(number: int) -> Any:
    """``number`` as a constant of 64 bits."""
    return ir.Constant(I64, number)


def number_type(dtype: DTypeLike) -> Any:
    """LLVM's type of a number of ``dtype``."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return ir.DoubleType() if kind.itemsize == 8 else ir.FloatType()
    return ir.IntType(8 * kind.itemsize)


class Code:
    """The code of one function of ``arguments`` {name: type} that returns 64 bits. This object is mutable: its methods
    append operations, and return their values. An argument's type is a dtype for an array, or None for 64 bits."""

    def __init__(self, **arguments: DTypeLike | None) -> None:
        self.module = ir.Module("loop")
        kinds = [I64 if kind is None else number_type(kind).as_pointer() for kind in arguments.values()]
        function = ir.Function(self.module, ir.FunctionType(I64, kinds), "loop")
        for argument in function.args:
            if argument.type.is_pointer:
                argument.add_attribute("noalias")
        self.arguments = dict(zip(arguments, function.args, strict=True))
        self.places = ir.IRBuilder(function.append_basic_block("places"))
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.entry = self.builder.block

    def variable(self, value: Any) -> Any:
        """A place for a value that changes, at first ``value``."""
        place = self.places.alloca(value.type)
        self.builder.store(value, place)
        return place

    def end(self, result: Any) -> Code:
        """This code, whose function returns ``result``."""
        self.builder.ret(result)
        self.places.branch(self.entry)
        return self

    @contextmanager
    def loop(self, start: Any, stop: Any) -> Iterator[Any]:
        """The operations of the block are repeated for every number from ``start`` to before ``stop``."""
        place = self.variable(start)
        head, body, after = (self.builder.append_basic_block(name) for name in ("head", "body", "after"))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        number = self.builder.load(place)
        self.builder.cbranch(self.builder.icmp_unsigned("<", number, stop), body, after)
        self.builder.position_at_end(body)
        yield number
        self.builder.store(self.builder.add(number, word(1)), place)
        self.builder.branch(head)
        self.builder.position_at_end(after)

    def repeat(self, count: int, body: Callable[[Any], None], unrolled: bool) -> None:
        """Appends ``body`` of every number below ``count``, or a loop that repeats it unless ``unrolled``."""
        if unrolled:
            for number in range(count):
                body(word(number))
            return
        with self.loop(word(0), word(count)) as number:
            body(number)

    def load(self, array: Any, index: Any, lanes: int = 0, align: int | None = None) -> Any:
        """Element ``index`` of ``array``, or a vector of ``lanes`` elements from it on, by default aligned."""
        pointer = self.builder.gep(array, [index])
        if not lanes:
            return self.builder.load(pointer)
        vector = ir.VectorType(array.type.pointee, lanes)
        pointer = self.builder.bitcast(pointer, vector.as_pointer())
        return self.builder.load(pointer, align=align or _bytes_of(vector))

    def store(self, array: Any, index: Any, value: Any, align: int | None = None) -> None:
        """Writes ``value``, an element or a vector, by default aligned, to ``array`` from ``index`` on."""
        pointer = self.builder.bitcast(self.builder.gep(array, [index]), value.type.as_pointer())
        self.builder.store(value, pointer, align=align or _bytes_of(value.type))

    def filled(self, number: Any, lanes: int) -> Any:
        """A vector with ``number`` in every lane."""
        nothing = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
        single = self.builder.insert_element(nothing, number, ir.Constant(I32, 0))
        return self.builder.shuffle_vector(single, nothing, _lanes([0] * lanes))

    def widened(self, vector: Any, like: Any) -> Any:
        """``vector`` of integers, sign-extended to the type of ``like``."""
        return vector if vector.type == like.type else self.builder.sext(vector, like.type)

    def sum(self, a: Any, b: Any) -> Any:
        """a + b; integers saturate."""
        return self._call("sadd.sat", a, b) if _is_integer(a) else self.builder.fadd(a, b)

    def difference(self, a: Any, b: Any) -> Any:
        """a - b; integers wrap around."""
        return (self.builder.sub if _is_integer(a) else self.builder.fsub)(a, b)

    def greater(self, a: Any, b: Any) -> Any:
        """The greater of ``a`` and ``b`` in every lane."""
        if _is_integer(a):
            return self._call("smax", a, b)
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def less(self, a: Any, b: Any) -> Any:
        """The smaller of ``a`` and ``b``, vectors of integers, in every lane."""
        return self._call("smin", a, b)

    def above(self, a: Any, b: Any) -> Any:
        """A vector of bits: the lanes in which a > b."""
        return (self.builder.icmp_signed if _is_integer(a) else self.builder.fcmp_ordered)(">", a, b)

    def any(self, bits: Any) -> Any:
        """Whether any lane of ``bits`` is set."""
        number = self.builder.bitcast(bits, ir.IntType(bits.type.count))
        return self.builder.icmp_unsigned("!=", number, ir.Constant(number.type, 0))

    def word_of(self, masks: Sequence[Any]) -> Any:
        """A word with the lanes of ``masks``, vectors of bits of one length, side by side."""
        joined, (first, *_) = list(masks), masks
        lanes, found, at = first.type.count, word(0), 0
        while joined:
            bits = joined.pop(0)
            if joined and lanes < WORD:
                bits = self.builder.shuffle_vector(bits, joined.pop(0), _lanes(range(2 * lanes)))
            number = self.builder.bitcast(bits, ir.IntType(bits.type.count))
            number = self.builder.zext(number, I64) if bits.type.count < WORD else number
            found = self.builder.or_(found, self.builder.shl(number, word(at)))
            at += bits.type.count
        return found

    def folded(self, function: Callable[[Any, Any], Any], values: Sequence[Any]) -> Any:
        """``function`` of all ``values`` in pairs, then of the results in pairs, and so on."""
        while len(values) > 1:
            pairs = [values[i : i + 2] for i in range(0, len(values), 2)]
            values = [reduce(function, pair) for pair in pairs]
        return values[0]

    def _call(self, name: str, *vectors: Any) -> Any:
        kind = vectors[0].type
        full_name = f"llvm.{name}.v{kind.count}i{kind.element.width}"
        function = self.module.globals.get(full_name)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(kind, [kind] * len(vectors)), full_name)
        return self.builder.call(function, vectors)


def _is_integer(vector: Any) -> bool:
    return isinstance(vector.type.element, ir.IntType)


def _lanes(numbers: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(I32, len(numbers)), list(numbers))


def _bytes_of(kind: Any) -> int:
    if isinstance(kind, ir.VectorType):
        return min(ALIGNMENT, kind.count * _bytes_of(kind.element))
    if isinstance(kind, ir.IntType):
        return kind.width // 8
    return 8 if isinstance(kind, ir.DoubleType) else 4


@cache
def native(write: Callable[[Any], Code], shape: Any) -> int:
    """The address of the compiled function that ``write`` writes for ``shape``, a tuple; it is kept on disk."""
    with _LOCK:
        machine = _machine()
        name = f"{write.__name__}-{digest([*map(str, shape), *_cpu()])[:32]}.o"
        code = kept(write.__code__.co_filename, name, lambda: _compiled(write(shape), machine))
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        _ENGINES.append(engine)
        return engine.get_function_address("loop")


def _compiled(code: Code, machine: Any) -> bytes:
    module = llvm.parse_assembly(str(code.module))
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_unrolling = False
    passes = llvm.create_pass_builder(machine, tuning)
    passes.getModulePassManager().run(module, passes)
    return machine.emit_object(module)


@cache
def _cpu() -> tuple[str, str]:
    """The name and the features of the CPU for which numba compiles too."""
    features = config.CPU_FEATURES
    if features is None:
        features = "" if config.CPU_NAME else llvm.get_host_cpu_features().flatten()
    return config.CPU_NAME or llvm.get_host_cpu_name(), features


def _machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = _cpu()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=name, features=features, opt=2, jit=True, codemodel="jitdefault")


@intrinsic
def call(_: Any, address: Any, arguments: Any) -> Any:
    """What the `native` function at ``address`` returns for ``arguments``, a tuple of arrays and whole numbers."""

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        passed = []
        for number, kind in enumerate(arguments):
            value = builder.extract_value(values[1], number)
            if isinstance(kind, types.Array):
                value = context.make_array(kind)(context, builder, value).data
            passed.append(value)
        function = ir.FunctionType(I64, [value.type for value in passed]).as_pointer()
        return builder.call(builder.inttoptr(values[0], function), passed)

    return types.int64(address, arguments), generate


@intrinsic
def pointer(_: Any, address: Any) -> Any:
    """A pointer to ``address``."""

    def generate(_: Any, builder: Any, __: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], ir.IntType(8).as_pointer())

    return types.voidptr(address), generate


@intrinsic
def first_bit(_: Any, bits: Any) -> Any:
    """The number of the lowest set bit in ``bits``; 64 if there is none."""
    return types.uint64(bits), lambda _, builder, __, values: builder.cttz(values[0], ir.Constant(I1, 0))


@intrinsic
def number_of_bits(_: Any, bits: Any) -> Any:
    """The number of set bits in ``bits``."""
    return types.uint64(bits), lambda _, builder, __, values: builder.ctpop(values[0])


@intrinsic
def not_zero(_: Any, words: Any, index: Any) -> Any:
    """A word with a bit for each of the 64 ``words[index:]`` that is not 0."""

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        vector = ir.VectorType(I64, WORD)
        data = context.make_array(words)(context, builder, values[0]).data
        found = builder.load(builder.bitcast(builder.gep(data, [values[1]]), vector.as_pointer()), align=8)
        return builder.bitcast(builder.icmp_unsigned("!=", found, ir.Constant(vector, None)), I64)

    return types.uint64(words, index), generate
