"""What fused loops consist of: vectors of float32, bits of comparisons, and the exponential function."""

# mypy: disable-error-code="no-any-return, no-untyped-call"
# llvmlite has no types of its own.

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from llvmlite import ir

from deploytool.base.native import I32, I64, Code, word

FLOAT: Final = ir.FloatType()
BYTES: Final = 4

TERMS: Final = (
    1.53458110e-4,
    1.33999309e-3,
    9.61848907e-3,
    5.55032864e-2,
    2.40226462e-1,
    6.93147182e-1,
    1.0,
)
"""Of the polynomial of 2^r in r, the last first, for |r| <= 1/2: the smallest largest relative error, 2^-29."""

LOWEST: Final = -126.0
"""Below this, 2^x is that of this number, the smallest normal float32."""


class Loop(Code):
    """`Code` with operations on vectors of float32, at any place in memory. Lanes of 1 are vectors too."""

    def read(self, array: Any, index: Any, lanes: int) -> Any:
        """``lanes`` elements of ``array`` from ``index`` on."""
        return self.load(array, index, lanes, align=array.type.pointee.width // 8 if _whole(array) else BYTES)

    def write(self, array: Any, index: Any, value: Any) -> None:
        """Writes the vector ``value`` to ``array`` from ``index`` on."""
        self.store(array, index, value, align=array.type.pointee.width // 8 if _whole(array) else BYTES)

    def number(self, value: float, like: Any) -> Any:
        """``value`` in every lane of a vector like ``like``."""
        return ir.Constant(like.type, [value] * like.type.count)

    def spread(self, number: Any, lanes: int) -> Any:
        """A vector with ``number`` in every lane."""
        return self.filled(number, lanes)

    def part(self, vector: Any, start: int, lanes: int) -> Any:
        """``lanes`` lanes of ``vector`` from ``start`` on."""
        if lanes == vector.type.count:
            return vector
        chosen = ir.Constant(ir.VectorType(I32, lanes), list(range(start, start + lanes)))
        return self.builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), chosen)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, rounded once."""
        return self.intrinsic("fma", a, b, c)

    def intrinsic(self, name: str, *vectors: Any) -> Any:
        """LLVM's function ``name`` of vectors of float32."""
        kind = vectors[0].type
        full_name = f"llvm.{name}.v{kind.count}f32"
        function = self.module.globals.get(full_name)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(kind, [kind] * len(vectors)), full_name)
        return self.builder.call(function, vectors)

    def compare(self, sign: str, a: Any, b: Any) -> Any:
        """A vector of bits: a ``sign`` b, false if one is NaN."""
        return self.builder.fcmp_ordered(sign, a, b)

    def least(self, a: Any, b: Any) -> Any:
        """b where b < a, else a."""
        return self.builder.select(self.compare("<", b, a), b, a)

    def most(self, a: Any, b: Any) -> Any:
        """b where b > a, else a."""
        return self.builder.select(self.compare(">", b, a), b, a)

    def bits(self, mask: Any) -> Any:
        """The lanes of ``mask`` as a number of 64 bits."""
        number = self.builder.bitcast(mask, ir.IntType(mask.type.count))
        return self.builder.zext(number, I64)

    @contextmanager
    def set_bits(self, bits: Any) -> Iterator[Any]:
        """The operations of the block are repeated for the number of every set bit of ``bits``."""
        builder, left = self.builder, self.variable(bits)
        head, body, after = (builder.append_basic_block(name) for name in ("bits", "bit", "no_bits"))
        builder.branch(head)
        builder.position_at_end(head)
        now = builder.load(left)
        builder.cbranch(builder.icmp_unsigned("!=", now, word(0)), body, after)
        builder.position_at_end(body)
        yield builder.cttz(now, ir.Constant(ir.IntType(1), 1))
        builder.store(builder.and_(now, builder.sub(now, word(1))), left)
        builder.branch(head)
        builder.position_at_end(after)

    def place(self, array: Any, index: Any) -> Any:
        """Element ``index`` of ``array`` of int32, as 64 bits."""
        return self.builder.sext(self.load(array, index), I64)

    def sum_of(self, *terms: Any) -> Any:
        """The sum of ``terms`` of 64 bits; Python's numbers are constants."""
        total = None
        for term in terms:
            value = word(term) if isinstance(term, int) else term
            total = value if total is None else self.builder.add(total, value)
        return total

    def times(self, a: Any, b: int) -> Any:
        """a b of 64 bits."""
        return self.builder.mul(a, word(b))

    def power_of_two(self, x: Any) -> Any:
        """2^``x`` for x < 128, to within 2^-23 of itself; NaN stays NaN."""
        x = self.most(x, self.number(LOWEST, x))
        k = self.intrinsic("rint", x)
        r, total = self.builder.fsub(x, k), self.number(TERMS[0], x)
        for term in TERMS[1:]:
            total = self.fma(total, r, self.number(term, x))
        kind = ir.VectorType(I32, x.type.count)
        exponent = self.builder.shl(self.builder.fptosi(k, kind), ir.Constant(kind, [23] * x.type.count))
        return self.builder.bitcast(self.builder.add(self.builder.bitcast(total, kind), exponent), x.type)


def _whole(array: Any) -> bool:
    return isinstance(array.type.pointee, ir.IntType)
