"""The loop of the backward pass: a sample's gradients, step by step from the last, while its maps are in cache.

With dL/dI[t] from dL/dn[t] as `neurons` say, and w the weights, every step adds

    dL/dw += x[t] dL/dI[t]                            over the windows of the input spikes x[t] != 0
    dL/dx[t] = sum of w dL/dI[t] over a window        where the layer before needs it

The map of dL/dI[t] has margins of 0, so that no window is cut; it also carries dL/dI to the step before.
"""

# mypy: disable-error-code="no-untyped-call"
# llvmlite has no types of its own.

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

from llvmlite import ir

from deploytool.base.native import Code, lanes_of, word
from deploytool.train.network.fused.code import FLOAT, Loop
from deploytool.train.network.fused.forward import clear, for_each_piece, for_each_spike, place_of
from deploytool.train.network.fused.neurons import Neurons, as_floats
from deploytool.train.network.fused.shape import LANES, Layer, pieces

UNROLLED: Final = 4
"""The number of terms of such sums in one round of a loop."""


class Back(NamedTuple):
    """A ``layer`` whose input has gradients or has none."""

    layer: Layer
    to_input: bool


class _Rows(NamedTuple):
    """``number`` rows of inputs from the ``first`` of a phase on; that of the phase has its window at ``begin`` and its
    gradients at ``to``."""

    first: Any
    number: int
    begin: int
    to: Any


def registers() -> int:
    """The largest number of vectors of gradients that are summed side by side on this CPU."""
    return 20 if lanes_of("int16") > LANES else 6


def write_backward(shape: Back) -> Code:
    """The code of (given, sites, taps, numbers, from_out, membrane, to_given, state, spread, to_taps, steps, count,
    first, last) -> 0, for the samples from ``first`` to before ``last``.

    ``taps`` are those of `taps_back`; ``state`` has room for a map with margins, ``spread`` for a row of neurons.
    ``to_taps`` (C, phases, reach, reach O) is added to.
    """
    code = Loop(
        given="f4",
        sites="i4",
        taps="f4",
        numbers="f4",
        from_out="f4",
        membrane=shape.layer.stored,
        to_given="f4",
        state="f4",
        spread="f4",
        to_taps="f4",
        steps=None,
        count=None,
        first=None,
        last=None,
    )
    return _Backward(code, shape).written()


class _Backward:
    """The parts of the loop. This object is mutable: its methods append to ``code``."""

    def __init__(self, code: Loop, shape: Back) -> None:
        self.code, self.layer, self.builder = code, shape.layer, code.builder
        self.to_input, self.neurons = shape.to_input, Neurons(code, shape.layer)

    def written(self) -> Code:
        code, arguments = self.code, self.code.arguments
        with code.loop(arguments["first"], arguments["last"]) as sample:
            clear(code, arguments["state"], word(0), self.layer.size)
            with code.loop(word(0), arguments["steps"]) as number:
                t = self.builder.sub(self.builder.sub(arguments["steps"], word(1)), number)
                step = self.builder.add(self.builder.mul(t, arguments["count"]), sample)
                self._run_neurons(step)
                for_each_spike(code, code.times(step, self.layer.given_size), self.layer.given_size, self._learn)
                if self.to_input:
                    self._send_back(step)
        return code.end(word(0))

    def _run_neurons(self, step: Any) -> None:
        code, layer, spread = self.code, self.layer, self.code.arguments["spread"]
        if layer.pool == 1:
            with code.loop(word(0), word(layer.rows.made)) as row:
                self._run_row(step, row, code.arguments["from_out"], self._place_of_row(step, row))
            return
        clear(code, spread, word(0), layer.width)
        high = layer.pooled[0]
        with code.loop(word(0), word(high)) as window:
            self._spread(step, window)
            for more in range(layer.pool):
                self._run_row(step, code.sum_of(code.times(window, layer.pool), more), spread, word(0))
        if high * layer.pool < layer.rows.made:
            clear(code, spread, word(0), layer.width)
            with code.loop(word(high * layer.pool), word(layer.rows.made)) as row:
                self._run_row(step, row, spread, word(0))

    def _place_of_row(self, step: Any, row: Any) -> Any:
        """Where a ``row`` of neurons is in (T, B, H' W' O)."""
        layer = self.layer
        return self.code.sum_of(self.code.times(step, layer.rows.made * layer.width), self.code.times(row, layer.width))

    def _spread(self, step: Any, window: Any) -> None:
        """Fills ``spread`` with the gradients of a row of windows."""
        code, layer, arguments = self.code, self.layer, self.code.arguments
        _, wide = layer.pooled
        begin = code.times(step, layer.pooled_size)
        begin = code.sum_of(begin, code.times(window, wide * layer.features))
        with code.loop(word(0), word(wide)) as place:
            source = code.sum_of(begin, code.times(place, layer.features))
            for start, lanes in pieces(layer.features):
                value = code.read(arguments["from_out"], code.sum_of(source, start), lanes)
                for more in range(layer.pool):
                    to = code.sum_of(code.times(place, layer.pool * layer.features), more * layer.features + start)
                    code.write(arguments["spread"], to, value)

    def _run_row(self, step: Any, row: Any, source: Any, begin: Any) -> None:
        """Runs a ``row`` of neurons, whose dL/dn are in ``source`` from ``begin`` on."""
        code, layer, arguments = self.code, self.layer, self.code.arguments
        inside = code.sum_of(code.times(row, layer.pitch), layer.inside)
        neuron = self._place_of_row(step, row)

        def run(at: Any, lanes: int) -> None:
            u = as_floats(code, code.read(arguments["membrane"], code.sum_of(neuron, at), lanes))
            here = code.sum_of(inside, at)
            from_spikes = code.read(source, code.sum_of(begin, at), lanes)
            following = code.read(arguments["state"], here, lanes)
            code.write(arguments["state"], here, self.neurons.back(u, from_spikes, following))

        for_each_piece(code, layer.width, run)

    def _learn(self, site: Any, value: Any) -> None:
        """Adds a spike's share to the gradients of the weights."""
        code, layer, arguments = self.code, self.layer, self.code.arguments
        window, taps = place_of(code, site)
        for row in range(layer.rows.reach):
            for start, lanes in layer.window_pieces:
                slope = code.read(arguments["state"], code.sum_of(window, row * layer.pitch + start), lanes)
                here = code.sum_of(taps, row * layer.window + start)
                total = code.read(arguments["to_taps"], here, lanes)
                code.write(arguments["to_taps"], here, code.fma(slope, code.spread(value, lanes), total))

    def _send_back(self, step: Any) -> None:
        """Fills the map of input gradients of a ``step``, place by place of each phase."""
        rows, columns = self.layer.rows, self.layer.columns
        for down in range(rows.stride):
            for across in range(columns.stride):
                places = rows.places(down), columns.places(across)
                if len(places[0]) and len(places[1]):
                    self._send_phase(step, (down, across), places)

    def _send_phase(self, step: Any, phase: tuple[int, int], places: tuple[range, range]) -> None:
        """Fills the input gradients at ``places``, rows and columns of one ``phase``, some rows at a time."""
        code, layer, (rows, columns) = self.code, self.layer, places
        groups = -(-len(columns) // layer.group)
        together = min(max(1, registers() // groups), len(rows))
        begin = layer.origin + layer.rows.first(rows.start) * layer.pitch
        begin += layer.columns.first(columns.start) * layer.features
        to = code.sum_of(code.times(step, layer.given_size), rows.start * layer.columns.given * layer.inputs)
        whole, rest = divmod(len(rows), together)
        with code.loop(word(0), word(whole)) as number:
            self._send_rows(phase, places, _Rows(code.times(number, together), together, begin, to))
        if rest:
            self._send_rows(phase, places, _Rows(word(whole * together), rest, begin, to))

    def _send_rows(self, phase: tuple[int, int], places: tuple[range, range], part: _Rows) -> None:
        code, layer, (rows, columns) = self.code, self.layer, places
        groups = -(-len(columns) // layer.group)
        window = code.sum_of(code.times(part.first, layer.pitch), part.begin)
        to = code.sum_of(code.times(part.first, rows.step * layer.columns.given * layer.inputs), part.to)
        blocks = -(-groups // registers())
        for first, last in pairwise(groups * block // blocks for block in range(blocks + 1)):
            inputs = [(row, group) for row in range(part.number) for group in range(first, last)]
            for vectors in self._vectors(len(inputs)):
                self._write_sums(to, places, self._summed(phase, window, inputs, vectors))

    def _vectors(self, groups: int) -> list[range]:
        """The vectors of input features that are summed side by side, for some ``groups`` of inputs."""
        count, most = max(1, self.layer.padded // LANES), max(1, registers() // groups)
        return [range(first, min(first + most, count)) for first in range(0, count, most)]

    def _summed(
        self, phase: tuple[int, int], window: Any, inputs: list[tuple[int, int]], vectors: range
    ) -> dict[tuple[int, int, int], Any]:
        """{(row, group, vector): sum of taps times dL/dI over the window}, for the groups ``inputs`` (row, group)."""
        code, builder, layer = self.code, self.builder, self.layer
        lanes = layer.group * layer.padded
        apart, terms = min(lanes, LANES), layer.window + (layer.group - 1) * layer.features
        nothing = ir.Constant(ir.VectorType(FLOAT, apart), [0.0] * apart)
        totals = {(*place, vector): code.variable(nothing) for place in inputs for vector in vectors}
        begin = (phase[0] * layer.columns.stride + phase[1]) * layer.rows.reach * terms * lanes
        unrolled = next(count for count in range(UNROLLED, 0, -1) if terms % count == 0)
        with code.loop(word(0), word(layer.rows.reach)) as row, code.loop(word(0), word(terms // unrolled)) as many:
            first = code.times(many, unrolled)
            source = code.sum_of(window, code.times(row, layer.pitch), first)
            here = code.sum_of(code.times(code.sum_of(code.times(row, terms), first), lanes), begin)
            for term in range(unrolled):
                at = [code.sum_of(here, term * lanes + vector * apart) for vector in vectors]
                taps = [code.read(code.arguments["taps"], place, apart) for place in at]
                for down, group in inputs:
                    place = down * layer.pitch + group * layer.group * layer.features + term
                    slope = code.spread(code.load(code.arguments["state"], code.sum_of(source, place)), apart)
                    for vector, tap in zip(vectors, taps, strict=True):
                        total = totals[down, group, vector]
                        builder.store(code.fma(slope, tap, builder.load(total)), total)
        return {key: builder.load(total) for key, total in totals.items()}

    def _write_sums(self, to: Any, places: tuple[range, range], sums: Mapping[tuple[int, int, int], Any]) -> None:
        """Writes the ``sums`` of `_summed` to their places, without what lies beyond a row or a place."""
        code, layer, (rows, columns) = self.code, self.layer, places
        for (row, group, vector), total in sums.items():
            for number in range(min(layer.group, len(columns) - group * layer.group)):
                column, first = columns[group * layer.group + number], vector * LANES
                for start, lanes in pieces(min(layer.inputs - first, LANES)):
                    place = row * rows.step * layer.columns.given + column
                    part = code.part(total, number * layer.padded + start, lanes)
                    code.write(code.arguments["to_given"], code.sum_of(to, place * layer.inputs + first + start), part)
