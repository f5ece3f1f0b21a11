"""One time step of a vector of neurons, forward and backward, in LLVM's operations: see `neurons` for the equations."""

# mypy: disable-error-code="no-any-return, no-untyped-call"
# llvmlite has no types of its own.

from __future__ import annotations

import math
from typing import Any, Final

from llvmlite import ir

from deploytool.base.native import word
from deploytool.train.network.fused.code import Loop
from deploytool.train.network.fused.shape import Layer

LOG2_E: Final = math.log2(math.e)

NUMBERS: Final = ("theta", "inverse", "floor", "ceiling", "decay")
"""What the array ``numbers`` of a loop holds, in this order."""


class Neurons:
    """The neurons of ``layer``, whose operations are appended to ``code``."""

    def __init__(self, code: Loop, layer: Layer) -> None:
        self.code, self.layer = code, layer
        self._numbers = {name: code.load(code.arguments["numbers"], word(i)) for i, name in enumerate(NUMBERS)}

    def number(self, name: str, like: Any) -> Any:
        """The constant ``name`` in every lane of a vector like ``like``."""
        return self.code.spread(self._numbers[name], like.type.count)

    def fires(self, u: Any) -> Any:
        """The lanes whose U reaches the threshold."""
        return self.code.compare(">=", u, self.number("theta", u))

    def spikes(self, u: Any) -> Any:
        """n[t] for ``u``, U[t]."""
        one = self.code.number(1.0, u)
        if self.layer.many:
            one = self.code.intrinsic("trunc", self.code.builder.fdiv(u, self.number("theta", u)))
        return self.code.builder.select(self.fires(u), one, self.code.number(0.0, u))

    def after(self, u: Any, n: Any) -> Any:
        """V[t] before the floor, of neurons with ``n`` spikes."""
        if not self.layer.subtract:
            return self.code.builder.select(self.fires(u), self.code.number(0.0, u), u)
        v = self.code.fma(n, self.code.builder.fneg(self.number("theta", u)), u)
        return self.code.least(v, self.number("ceiling", u)) if self.layer.saturates else v

    def removed(self, u: Any) -> Any:
        """What a spike takes from V, as the gradient of the reset sees it."""
        if self.layer.subtract:
            return self.number("theta", u)
        theta, nothing = self.number("theta", u), self.code.number(0.0, u)
        twice = self.code.builder.fadd(theta, theta)
        return self.code.builder.select(self.code.compare(">=", u, twice), nothing, u) if self.layer.many else u

    def slope(self, u: Any) -> Any:
        """theta g(U); exp(x) is 2^(x log2 e)."""
        code, builder = self.code, self.code.builder
        one, x = code.number(1.0, u), builder.fmul(u, self.number("inverse", u))
        twice = code.number(2 * LOG2_E, u)
        if self.layer.surrogate == "periodic":
            above = code.most(x, one)
            away = code.intrinsic("fabs", builder.fsub(above, code.intrinsic("rint", above)))
            below = code.fma(code.least(x, one), twice, builder.fneg(twice))
            return code.power_of_two(code.fma(away, code.number(-4 * LOG2_E, u), below))
        away = code.intrinsic("fabs", builder.fsub(x, one))
        if self.layer.surrogate == "triangle":
            return code.most(builder.fsub(one, away), code.number(0.0, u))
        return code.power_of_two(code.fma(away, builder.fneg(twice), one))

    def back(self, u: Any, from_spikes: Any, following: Any) -> Any:
        """dL/dI[t] for ``u``, U[t], dL/dn[t] and the ``following`` dL/dI[t + 1]."""
        code, builder = self.code, self.code.builder
        nothing = code.number(0.0, u)
        a = builder.select(code.compare(">", u, self.number("floor", u)), following, nothing)
        if self.layer.saturates:
            v = code.fma(self.spikes(u), self.code.builder.fneg(self.number("theta", u)), u)
            a = builder.select(code.compare("<", v, self.number("ceiling", u)), a, nothing)
        if self.layer.leaks:
            a = builder.fmul(a, self.number("decay", u))
        through = from_spikes
        if not self.layer.detached:
            through = code.fma(a, builder.fneg(self.removed(u)), from_spikes)
        if not self.layer.subtract:
            a = builder.select(self.fires(u), nothing, a)
        return code.fma(builder.fmul(through, self.number("inverse", u)), self.slope(u), a)


def as_floats(code: Loop, stored: Any) -> Any:
    """The vector ``stored`` of U as float32."""
    if not isinstance(stored.type.element, ir.IntType):
        return stored
    return code.builder.sitofp(stored, ir.VectorType(ir.FloatType(), stored.type.count))


def as_stored(code: Loop, u: Any, layer: Layer) -> Any:
    """``u`` in the type in which U is kept."""
    if layer.stored == "float32":
        return u
    return code.builder.fptosi(u, ir.VectorType(ir.IntType(16), u.type.count))
