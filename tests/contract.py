"""The contract: what any Target must do, on networks small enough to be worked out by hand.

A test module makes it run on a target by a fixture `target` and a class that inherits `Contract`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from helpers.layers import make_layer

from deploytool.base.arrays import Shape
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import INPUT, Layer, Program, Route
from deploytool.ir.recording import RUNGS
from deploytool.ir.target import Target, Watch

WEIGHTS = [[[[3]], [[0]]], [[[-2]], [[4]]]]


def layer(weights: object, in_shape: Shape, out_shape: Shape, *routes: Route, **changes: object) -> Layer:
    """A layer of int8 ``weights``, threshold 5 and floor -4 unless ``changes`` say otherwise."""
    fields = {"threshold": 5, "floor": -4, "scale": 5.0, "sources": ()} | changes
    return make_layer(np.array(weights, np.int8), in_shape=in_shape, out_shape=out_shape, routes=routes, **fields)


def mapped(layers: dict[str, Layer], *input_routes: Route, outputs: tuple[str, ...] = ()) -> Program:
    """A program mapped for Speck2e, layer i on core i; the last layer is the output unless ``outputs`` are given."""
    first = next(iter(layers))
    return Program(
        chip="speck2e",
        arithmetic="int8/int16",
        input_shape=layers[first].single.in_shape,
        input_routes=input_routes or (Route(first),),
        layers=layers,
        outputs=outputs or (list(layers)[-1],),
        graph_digest="",
        core_of={name: core for core, name in enumerate(layers)},
    )


def two_neurons(**changes: object) -> Program:
    """Two inputs (features of one pixel) and two neurons: weights 3 and 0 to the first, -2 and 4 to the second."""
    return mapped({"fc": layer(WEIGHTS, (2, 1, 1), (2, 1, 1), **changes)})


def stream(features: list[int], shape: Shape = (2, 1, 1), name: str = "sample", label: int = -1) -> EventStream:
    """Events 1 ms apart at the pixel (0, 0), of these ``features``."""
    events = np.zeros(len(features), EVENT)
    events["t"] = 1000 * np.arange(len(features))
    events["c"] = features
    return EventStream(events, shape, 1000 * len(features) + 1, label, name)


def at(c: int, y: int, x: int, shape: Shape) -> EventStream:
    """One event."""
    return EventStream(np.array([(0, c, y, x)], EVENT), shape, 1000)


class Contract:
    """Every method is one promise."""

    def counts(self, target: Target, program: Program, *streams: EventStream) -> list[list[int]]:
        return target.run(program, streams).output_counts.tolist()

    def test_a_neuron_adds_up_its_inputs_and_fires_at_the_threshold(self, target: Target) -> None:
        # 3 6>1 4 7>2 5>0: fires three times, the last time at exactly 5; the other one sinks.
        assert self.counts(target, two_neurons(), stream([0] * 5)) == [[3, 0]]

    def test_one_spike_that_lifts_v_exactly_to_the_threshold_fires(self, target: Target) -> None:
        program = mapped({"fc": layer([[[[5]]], [[[4]]]], (1, 1, 1), (2, 1, 1))})
        assert self.counts(target, program, stream([0], (1, 1, 1))) == [[1, 0]]

    def test_reset_to_zero_forgets_the_rest(self, target: Target) -> None:
        # 3 6>0 3 6>0 3
        assert self.counts(target, two_neurons(reset="zero"), stream([0] * 5)) == [[2, 0]]

    def test_the_floor_stops_inhibition(self, target: Target) -> None:
        # -2 -4 -4 -4 0 4 8>3 : without the floor it would stay below
        events = stream([0, 0, 0, 0, 1, 1, 1])
        assert self.counts(target, two_neurons(), events)[0][1] == 1
        assert self.counts(target, two_neurons(floor=-32768), events)[0][1] == 0

    def test_one_spike_per_update_and_the_rest_waits(self, target: Target) -> None:
        # 12>7, then two updates by a weight of 0: 7>2, 2
        program = mapped({"fc": layer([[[[12]], [[0]]]], (2, 1, 1), (1, 1, 1))})
        assert self.counts(target, program, stream([0])) == [[1]]
        assert self.counts(target, program, stream([0, 1])) == [[2]]
        assert self.counts(target, program, stream([0, 1, 1])) == [[2]]

    def test_inhibition_at_the_same_time_does_not_take_a_spike_back(self, target: Target) -> None:
        program = mapped({"fc": layer([[[[6]], [[-6]]]], (2, 1, 1), (1, 1, 1))})
        together = np.array([(7, 0, 0, 0), (7, 1, 0, 0)], EVENT)
        apart = together[::-1].copy()
        assert self.counts(target, program, EventStream(together, (2, 1, 1), 10)) == [[1]]
        assert self.counts(target, program, EventStream(apart, (2, 1, 1), 10)) == [[0]]

    def test_state_is_reset_before_every_sample(self, target: Target) -> None:
        assert self.counts(target, two_neurons(), *[stream([0])] * 4) == [[0, 0]] * 4

    def test_the_same_input_gives_the_same_output(self, target: Target) -> None:
        samples = [stream([0, 1, 0, 0, 1, 1, 1]), stream([1] * 9)]
        first, second = (target.run(two_neurons(), samples) for _ in range(2))
        assert np.array_equal(first.counts["fc"], second.counts["fc"])
        assert np.array_equal(first.synops, second.synops)

    def test_samples_keep_their_order_names_and_labels(self, target: Target) -> None:
        def samples() -> Iterator[EventStream]:
            for n in (6, 0, 3, 9):
                yield stream([0] * n, name=f"n{n}", label=n)

        recording = target.run(two_neurons(), samples())
        assert recording.samples == ("n6", "n0", "n3", "n9")
        assert recording.labels.tolist() == [6, 0, 3, 9]
        assert recording.output_counts[:, 0].tolist() == [3 * n // 5 for n in (6, 0, 3, 9)]
        assert recording.outputs == ("fc",)
        assert recording.rung in RUNGS

    def test_an_empty_stream_gives_no_spikes(self, target: Target) -> None:
        recording = target.run(two_neurons(), [EventStream(np.empty(0, EVENT), (2, 1, 1), 1000)])
        assert recording.output_counts.tolist() == [[0, 0]]
        assert recording.synops.tolist() == [0]
        assert recording.predictions.tolist() == [-1]

    def test_watch_chooses_layers_and_outputs_are_always_watched(self, target: Target) -> None:
        program = self.pooled_chain()
        one = at(0, 0, 0, (1, 4, 4))
        assert list(target.run(program, [one]).counts) == ["conv", "fc"]
        assert list(target.run(program, [one], Watch(())).counts) == ["fc"]
        assert list(target.run(program, [one], Watch(("conv",))).counts) == ["conv", "fc"]
        with pytest.raises(InputError, match="nonsense"):
            target.run(program, [one], Watch(("nonsense",)))

    def test_a_layer_can_be_called_by_a_node_it_was_made_from(self, target: Target) -> None:
        recording = target.run(self.pooled_chain(), [at(0, 0, 0, (1, 4, 4))], Watch(("spike1",)))
        assert recording.layer("spike1") == "conv"

    def test_counts_are_per_neuron_before_pooling_and_a_route_sums(self, target: Target) -> None:
        shape = (1, 4, 4)
        events = np.array([(t, 0, y, x) for t, (y, x) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1), (3, 2)])], EVENT)
        recording = target.run(self.pooled_chain(), [EventStream(events, shape, 100)])
        expected = np.zeros(shape, int)
        expected[0, events["y"], events["x"]] = 1
        assert np.array_equal(recording.counts["conv"][0], expected)
        assert recording.counts["fc"].tolist() == [[[[4]], [[1]]]]
        assert recording.synops.tolist() == [5 + 2 * 5]

    def test_kernel_stride_and_padding_reach_the_right_neuron(self, target: Target) -> None:
        # target = (y + p - ky) / s = (1 + 1 - 2) / 2, (x + p - kx) / s = (2 + 1 - 1) / 2
        kernel = np.zeros((1, 1, 3, 3), np.int8)
        kernel[0, 0, 2, 1] = 5
        program = mapped({"conv": layer(kernel, (1, 5, 5), (1, 3, 3), stride=(2, 2), padding=(1, 1))})
        recording = target.run(program, [at(0, 1, 2, (1, 5, 5))])
        assert np.argwhere(recording.counts["conv"][0]).tolist() == [[0, 0, 1]]
        assert recording.synops.tolist() == [2]  # rows 0 and 1, column 1

    def test_feature_shifts_put_maps_side_by_side(self, target: Target) -> None:
        a = layer([[[[5]], [[0]]]], (2, 1, 1), (1, 1, 1), Route("join"))
        b = layer([[[[0]], [[5]]]], (2, 1, 1), (1, 1, 1), Route("join", feature_shift=1))
        join = layer([[[[5]], [[0]]], [[[0]], [[5]]]], (2, 1, 1), (2, 1, 1))
        program = mapped({"a": a, "b": b, "join": join}, Route("a"), Route("b"))
        assert self.counts(target, program, stream([0, 0, 1])) == [[2, 1]]

    def test_two_destinations_have_a_pooling_and_a_shift_each(self, target: Target) -> None:
        """The pixel (3, 2) of two relays: one sends it to (1, 1) of a layer and feature 1 of another, one to feature 0.

        Without the shift neuron 1 of the other layer would get 3 twice.
        """
        routes = Route("half", (2, 2)), Route("quarter", (4, 4), feature_shift=1)
        one = layer([[[[5]]]], (1, 4, 4), (1, 4, 4), *routes)
        two = layer([[[[5]]]], (1, 4, 4), (1, 4, 4), Route("quarter", (4, 4)))
        half = layer([[[[5]]]], (1, 2, 2), (1, 2, 2))
        quarter = layer([[[[0]], [[5]]], [[[3]], [[0]]]], (2, 1, 1), (2, 1, 1))
        layers = {"one": one, "two": two, "half": half, "quarter": quarter}
        program = mapped(layers, Route("one"), Route("two"), outputs=("half", "quarter"))
        recording = target.run(program, [at(0, 3, 2, (1, 4, 4))])
        assert np.argwhere(recording.counts["half"][0]).tolist() == [[0, 1, 1]]
        assert recording.counts["quarter"][0].ravel().tolist() == [1, 0]
        assert recording.outputs == ("half", "quarter")

    def test_overload_is_counted_and_nothing_is_lost(self, target: Target) -> None:
        """1,500 events in one microsecond, each with 36 synaptic updates: every neuron in reach fires at every one."""
        program = mapped({"conv": layer(np.full((4, 1, 3, 3), 5), (1, 3, 3), (4, 3, 3), padding=(1, 1))})
        burst = np.zeros(1500, EVENT)
        burst["y"] = burst["x"] = 1
        recording = target.run(program, [EventStream(burst, (1, 3, 3), 1000)])
        assert (recording.counts["conv"] == 1500).all()
        assert recording.synops.tolist() == [1500 * 36]

    def test_the_same_features_from_two_layers_are_added(self, target: Target) -> None:
        """Neuron 0 gets weight 3 from each spike of a and of b: 3, 6 (fires, 1 left), 4, 7 (fires)."""
        a, b = (layer([[[[5]], [[0]]]], (2, 1, 1), (1, 1, 1), Route("sum")) for _ in "ab")
        program = mapped({"a": a, "b": b, "sum": layer([[[[3]]]], (1, 1, 1), (1, 1, 1))}, Route("a"), Route("b"))
        assert self.counts(target, program, stream([0, 0, 1])) == [[2]]

    def test_a_layer_in_parts_is_one_layer(self, target: Target) -> None:
        parts = {
            f"fc_part{i}": layer([weights], (2, 1, 1), (1, 1, 1), part_of=("fc", i), sources=("linear", "spike"))
            for i, weights in enumerate(WEIGHTS)
        }
        program = mapped(parts, *map(Route, parts), outputs=tuple(parts))
        events = [stream([0, 1, 1, 0, 0, 1, 1, 1])]
        found, whole = (target.run(each, events, Watch(rasters=1)) for each in (program, two_neurons()))
        assert found.outputs == ("fc",)
        assert list(found.counts) == ["fc"]
        assert np.array_equal(found.counts["fc"], whole.counts["fc"])
        assert np.array_equal(found.spikes["fc"], whole.spikes["fc"])
        assert np.array_equal(found.synops, whole.synops)
        assert found.layer("spike") == "fc"
        assert list(target.run(program, events, Watch(("linear",))).counts) == ["fc"]

    def test_spikes_are_kept_for_the_first_samples_only(self, target: Target) -> None:
        recording = target.run(two_neurons(), [stream([0] * 5), stream([0, 0]), stream([0] * 9)], Watch(rasters=2))
        spikes = recording.spikes["fc"]
        assert spikes["sample"].tolist() == [0, 0, 0, 1]
        assert spikes["c"].tolist() == [0] * 4
        assert (np.diff(spikes["t"][:3]) >= 0).all()
        assert len(recording.spikes[INPUT]) == 7
        assert not target.run(two_neurons(), [stream([0] * 5)]).spikes

    def test_a_bias_without_a_clock_is_refused_and_zeros_are_none(self, target: Target) -> None:
        with pytest.raises(UnsupportedError, match="fc: has a bias"):
            target.run(two_neurons(bias=np.array([0, 1], np.int16)), [stream([0])])
        assert self.counts(target, two_neurons(bias=np.zeros(2, np.int16)), stream([0] * 5)) == [[3, 0]]
        clocked = replace(two_neurons(bias=np.zeros(2, np.int16)), slow_clock_hz=500)
        assert self.counts(target, clocked, stream([0] * 5)) == [[3, 0]]

    def test_a_stream_of_another_map_is_refused(self, target: Target) -> None:
        with pytest.raises(InputError, match=r"wrong\.bin"):
            target.run(two_neurons(), [stream([0], shape=(3, 1, 1), name="wrong.bin")])

    @staticmethod
    def pooled_chain() -> Program:
        """Every pixel of 4x4 fires; the upper left quarter drives neuron 0, the lower right one neuron 1."""
        conv = layer([[[[5]]]], (1, 4, 4), (1, 4, 4), Route("fc", (2, 2)), sources=("conv", "spike1"))
        fc = layer([[[[5, 0], [0, 0]]], [[[0, 0], [0, 5]]]], (1, 2, 2), (2, 1, 1), sources=("fc", "spike2"))
        return mapped({"conv": conv, "fc": fc})


class DecimatorContract(Contract):
    """The contract of targets with output decimators."""

    def test_a_decimator_lets_the_last_of_n_spikes_of_a_core_leave(self, target: Target) -> None:
        # Neuron 0 fires at 0 and 2 ms, neuron 1 at 1 and 3 ms: the second and the fourth spike leave.
        program = mapped({"fc": layer([[[[5]], [[0]]], [[[0]], [[5]]]], (2, 1, 1), (2, 1, 1), decimation=2)})
        recording = target.run(program, [stream([0, 1, 0, 1])] * 2, Watch(rasters=1))
        assert recording.output_counts.tolist() == [[0, 2]] * 2
        assert recording.spikes["fc"]["c"].tolist() == [1, 1]
        assert recording.synops.tolist() == [8, 8]

    def test_a_decimated_layer_feeds_only_the_spikes_that_leave(self, target: Target) -> None:
        a = layer([[[[5]]]], (1, 1, 1), (1, 1, 1), Route("b"), decimation=4)
        program = mapped({"a": a, "b": layer([[[[5]]]], (1, 1, 1), (1, 1, 1))})
        for spikes, leave in ((4, 1), (12, 3), (11, 2)):
            assert self.counts(target, program, stream([0] * spikes, (1, 1, 1))) == [[leave]]


class ClockedContract(DecimatorContract):
    """The contract of targets with output decimators and a slow clock."""

    def test_every_tick_adds_the_bias_and_the_floor_holds(self, target: Target) -> None:
        # Ticks of 500 Hz at 2, 4, ... 12 ms; inputs of weight 0 (neuron 0) and 4 (neuron 1) at 12 ms, after the tick.
        program = replace(two_neurons(bias=np.array([2, -3], np.int16)), slow_clock_hz=500)
        events = EventStream(np.array([(12000, 1, 0, 0)], EVENT), (2, 1, 1), 12001)
        # Neuron 0: 2 4 6>1 3 5>0 2, and 2 after the input. Neuron 1: -3 -4 -4 -4 -4 -4, then 0.
        recording = target.run(program, [events], Watch(rasters=1))
        assert recording.output_counts.tolist() == [[2, 0]]
        assert recording.spikes["fc"]["t"].tolist() == [6000, 10000]
        assert recording.synops.tolist() == [2]
        silent = EventStream(np.empty(0, EVENT), (2, 1, 1), 10000)
        assert self.counts(target, program, silent, events) == [[1, 0], [2, 0]]

    def test_a_tick_precedes_the_events_of_its_time_and_its_spikes_go_on(self, target: Target) -> None:
        # The tick at 2 ms brings a to its threshold, the event at 2 ms would bring it below.
        a = layer([[[[-3]]]], (1, 1, 1), (1, 1, 1), Route("b"), bias=np.array([5], np.int16))
        b = layer([[[[5]]]], (1, 1, 1), (1, 1, 1))
        program = replace(mapped({"a": a, "b": b}), slow_clock_hz=500)
        events = EventStream(np.array([(2000, 0, 0, 0)], EVENT), (1, 1, 1), 2001)
        assert self.counts(target, program, events) == [[1]]


class BalancerContract(Contract):
    """The contract of targets that model congestion balancers."""

    def test_events_are_dropped_while_the_core_is_busy(self, target: Target) -> None:
        # Every event makes two updates, which take 2 ms at 1000 SynOps/s: those at 1, 3 and 5 ms are lost.
        balanced = mapped({"fc": layer([[[[5]], [[0]]], [[[0]], [[5]]]], (2, 1, 1), (2, 1, 1), balancer=1000)})
        recording = target.run(balanced, [stream([0, 1, 0, 1, 0, 1])] * 2, Watch(rasters=1))
        assert recording.output_counts.tolist() == [[3, 0]] * 2
        assert recording.spikes["fc"]["t"].tolist() == [0, 2000, 4000]
        assert recording.synops.tolist() == [6, 6]
        assert recording.measured["dropped fc"].tolist() == [3, 3]

    def test_a_core_that_is_fast_enough_drops_nothing(self, target: Target) -> None:
        balanced = mapped({"fc": layer([[[[5]], [[0]]], [[[0]], [[5]]]], (2, 1, 1), (2, 1, 1), balancer=2000)})
        recording = target.run(balanced, [stream([0, 1, 0, 1, 0, 1])])
        assert recording.output_counts.tolist() == [[3, 3]]
        assert recording.measured["dropped fc"].tolist() == [0]

    def test_only_the_first_of_the_spikes_of_one_time_passes(self, target: Target) -> None:
        a = layer([[[[5]]]] * 3, (1, 1, 1), (3, 1, 1), Route("b"))
        b = layer([[[[5]], [[6]], [[7]]]], (3, 1, 1), (1, 1, 1), balancer=1_000_000)
        recording = target.run(mapped({"a": a, "b": b}), [stream([0, 0], (1, 1, 1))])
        assert recording.counts["a"].ravel().tolist() == [2, 2, 2]
        assert recording.counts["b"].ravel().tolist() == [2]
        assert recording.measured["dropped b"].tolist() == [4]

    def test_the_counters_of_a_recording_without_balancers_are_absent(self, target: Target) -> None:
        assert not target.run(two_neurons(), [stream([0])]).measured
