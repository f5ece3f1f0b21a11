"""The loop of the forward pass: a sample's spikes are added one by one, and its neurons and sums follow step by step.

With theta, V, U and n as in `neurons`, for input spikes x[t] and whole weights w, every step is

    I[t] = sum of w x[t] over the spikes x[t] != 0       exact in float32 in any order, because all are whole numbers
    U[t], n[t], V[t]                                     as `neurons` say
    out[t] = sums of n[t] over windows

Without a leak, spikes are added to V itself, whose map has margins, so that no window is cut.
"""

# mypy: disable-error-code="no-untyped-call"
# llvmlite has no types of its own.

from __future__ import annotations

import functools
from typing import Any, Final

from llvmlite import ir

from deploytool.base.native import Code, word
from deploytool.train.network.fused.code import FLOAT, Loop
from deploytool.train.network.fused.neurons import Neurons, as_stored
from deploytool.train.network.fused.shape import LANES, Layer, pieces

LARGEST: Final = 32767.0
"""The largest |U| that fits into 16 bits."""

FEW: Final = 2
"""Up to this number of additions, adding the spikes of a vector is faster than looking whether there are any."""

NOT_WHOLE: Final = 1
TOO_LARGE: Final = 2
"""The bits of the answer of a loop that could not do its work: an input is not a whole number; U needs float32."""


def write_forward(layer: Layer) -> Code:
    """The code of (given, sites, taps, sums, fan_out, numbers, membrane, out, updates, state, current, steps, count,
    first, last) -> 0, `NOT_WHOLE` or `TOO_LARGE`, for the samples from ``first`` to before ``last``.

    ``given`` is (T, B, H W C), ``membrane`` (T, B, H' W' O), ``out`` (T, B, h w O), ``fan_out`` (H W C,), ``updates``
    (B,). ``state`` and ``current`` have room for a map with margins. The loop ends at the first input that is not
    whole.
    """
    code = Loop(
        given="f4",
        sites="i4",
        taps="f4",
        sums="i4",
        fan_out="f8",
        numbers="f4",
        membrane=layer.stored,
        out="f4",
        updates="f8",
        state="f4",
        current="f4",
        steps=None,
        count=None,
        first=None,
        last=None,
    )
    return _Forward(code, layer).written()


class _Forward:
    """The parts of the loop. This object is mutable: its methods append to ``code``."""

    def __init__(self, code: Loop, layer: Layer) -> None:
        self.code, self.layer, self.builder = code, layer, code.builder
        self.neurons = Neurons(code, layer)
        self.answer = code.variable(word(0))
        self.highest = code.variable(ir.Constant(ir.VectorType(FLOAT, LANES), [0.0] * LANES))
        self.updates = code.variable(ir.Constant(ir.DoubleType(), 0.0))
        self.target = code.arguments["current" if layer.leaks else "state"]

    def written(self) -> Code:
        code, arguments = self.code, self.code.arguments
        with code.loop(arguments["first"], arguments["last"]) as sample:
            clear(code, arguments["state"], word(0), self.layer.size)
            self.builder.store(ir.Constant(ir.DoubleType(), 0.0), self.updates)
            with code.loop(word(0), arguments["steps"]) as t:
                step = self.builder.add(self.builder.mul(t, arguments["count"]), sample)
                if self.layer.leaks:
                    clear(code, arguments["current"], word(0), self.layer.size)
                self._add_spikes(step)
                clear(code, arguments["out"], code.times(step, self.layer.pooled_size), self.layer.pooled_size)
                self._run_neurons(step)
            code.store(arguments["updates"], sample, self.builder.load(self.updates))
        return code.end(self._verdict())

    def _verdict(self) -> Any:
        answer = self.builder.load(self.answer)
        if self.layer.stored == "float32":
            return answer
        highest = self.builder.load(self.highest)
        large = self.code.bits(self.code.compare(">", highest, self.code.number(LARGEST, highest)))
        large = self.builder.icmp_unsigned("!=", large, word(0))
        return self.builder.or_(answer, self.builder.select(large, word(TOO_LARGE), word(0)))

    def _add_spikes(self, step: Any) -> None:
        """Adds the windows of the input spikes of a ``step``."""
        code, begin, size = self.code, self.code.times(step, self.layer.given_size), self.layer.given_size
        for_each_spike(code, begin, size, self._add_spike)

    def _add_spike(self, site: Any, value: Any) -> None:
        code, builder, layer, arguments = self.code, self.builder, self.layer, self.code.arguments
        rest = builder.fsub(value, rounded(code, value))
        with builder.if_then(builder.fcmp_unordered("!=", rest, ir.Constant(FLOAT, 0.0)), likely=False):
            builder.ret(word(NOT_WHOLE))
        caused = builder.fmul(builder.fpext(value, ir.DoubleType()), code.load(arguments["fan_out"], site))
        builder.store(builder.fadd(builder.load(self.updates), caused), self.updates)
        window, taps = place_of(code, site)
        for row in range(layer.rows.reach):
            for start, lanes in layer.window_pieces:
                here = code.sum_of(window, row * layer.pitch + start)
                tap = code.read(arguments["taps"], code.sum_of(taps, row * layer.window + start), lanes)
                v = code.read(self.target, here, lanes)
                code.write(self.target, here, code.fma(tap, code.spread(value, lanes), v))

    def _run_neurons(self, step: Any) -> None:
        code, layer = self.code, self.layer
        with code.loop(word(0), word(layer.rows.made)) as row:
            inside = code.sum_of(code.times(row, layer.pitch), layer.inside)
            neuron = code.times(row, layer.width)
            for_each_piece(code, layer.width, lambda at, lanes: self._run(step, inside, neuron, at, lanes))

    def _run(self, step: Any, inside: Any, neuron: Any, at: Any, lanes: int) -> None:
        """Runs ``lanes`` neurons of a row from ``at`` on."""
        code, builder, layer, arguments = self.code, self.builder, self.layer, self.code.arguments
        here, number = code.sum_of(inside, at), code.sum_of(neuron, at)
        u = code.read(arguments["state"], here, lanes)
        if layer.leaks:
            u = code.fma(u, self.neurons.number("decay", u), code.read(arguments["current"], here, lanes))
        size = layer.rows.made * layer.width
        code.write(arguments["membrane"], code.sum_of(code.times(step, size), number), as_stored(code, u, layer))
        self._watch(u)
        n, begin = self.neurons.spikes(u), code.times(step, layer.pooled_size)
        together, alike = layer.summed
        if LANES // (together * alike) <= FEW:
            self._count(begin, number, n)
        else:
            fires = code.bits(self.neurons.fires(u))
            with builder.if_then(builder.icmp_unsigned("!=", fires, word(0))):
                self._count(begin, number, n)
        v, low = self.neurons.after(u, n), self.neurons.number("floor", u)
        code.write(arguments["state"], here, code.most(v, low))

    def _count(self, begin: Any, neuron: Any, spikes: Any) -> None:
        """Adds the ``spikes`` of neurons from ``neuron`` on to their windows."""
        code, builder, out = self.code, self.builder, self.code.arguments["out"]
        lanes, (together, alike) = spikes.type.count, self.layer.summed
        together = min(together, lanes)
        parts = [code.part(spikes, first, together) for first in range(0, lanes, together)]
        for first in range(0, len(parts), alike):
            place = code.place(code.arguments["sums"], code.sum_of(neuron, first * together))
            with builder.if_then(builder.icmp_signed(">=", place, word(0)), likely=True):
                here = code.sum_of(begin, place)
                of_window = functools.reduce(builder.fadd, parts[first : first + alike])
                code.write(out, here, builder.fadd(code.read(out, here, together), of_window))

    def _watch(self, u: Any) -> None:
        """Notes the highest |U|, where it may not fit."""
        if self.layer.stored == "float32" or u.type.count != LANES:
            self._watch_few(u)
            return
        far = self.code.intrinsic("fabs", u)
        self.builder.store(self.code.most(self.builder.load(self.highest), far), self.highest)

    def _watch_few(self, u: Any) -> None:
        if self.layer.stored == "float32":
            return
        far = self.code.intrinsic("fabs", u)
        large = self.code.bits(self.code.compare(">", far, self.code.number(LARGEST, far)))
        large = self.builder.icmp_unsigned("!=", large, word(0))
        found = self.builder.select(large, word(TOO_LARGE), word(0))
        self.builder.store(self.builder.or_(self.builder.load(self.answer), found), self.answer)


def clear(code: Loop, array: Any, begin: Any, length: int) -> None:
    """Makes ``length`` float32 of ``array`` from ``begin`` on 0."""

    def write(at: Any, lanes: int) -> None:
        code.write(array, code.sum_of(begin, at), ir.Constant(ir.VectorType(FLOAT, lanes), [0.0] * lanes))

    for_each_piece(code, length, write)


def rounded(code: Loop, value: Any) -> Any:
    """The float32 ``value`` as a whole number."""
    vector = code.intrinsic("rint", code.spread(value, 4))
    return code.builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


def for_each_spike(code: Loop, begin: Any, size: int, body: Any) -> None:
    """Appends ``body`` (site, value) for every element of ``given`` that is not 0, of ``size`` from ``begin`` on."""
    builder, given = code.builder, code.arguments["given"]

    def look(at: Any, lanes: int) -> None:
        start = code.sum_of(begin, at)
        values = code.read(given, start, lanes)
        found = code.bits(builder.fcmp_unordered("!=", values, code.number(0.0, values)))
        with code.set_bits(found) as lane:
            body(code.sum_of(at, lane), code.load(given, code.sum_of(start, lane)))

    for_each_piece(code, size, look)


def for_each_piece(code: Loop, length: int, body: Any) -> None:
    """Appends ``body`` (start, lanes) for vectors that cover ``length`` numbers."""
    whole = length // LANES
    if whole:
        with code.loop(word(0), word(whole)) as number:
            body(code.times(number, LANES), LANES)
    for start, lanes in pieces(length):
        if lanes < LANES:
            body(word(start), lanes)


def place_of(code: Loop, site: Any) -> tuple[Any, Any]:
    """Where the window and the taps of ``site`` begin: see `sites`."""
    sites, twice = code.arguments["sites"], code.times(site, 2)
    return code.place(sites, twice), code.place(sites, code.sum_of(twice, 1))
