"""Samples that go through the layers together come out as each does alone, whichever they are and however many."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from helpers.layers import changed, make_layer
from helpers.programs import delayed_programs, programs, specified, streams, vector_programs
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.chip.chips import CHIPS
from deploytool.ir.events import EVENT, EventStream, channels_last, neurons_of
from deploytool.ir.program import Layer, Program, Route
from deploytool.ir.recording import Recording
from deploytool.map.split import split
from deploytool.run.engine.event_driven import batches, run_samples, run_streams
from deploytool.run.engine.limits import Limits
from deploytool.run.kernels.batches import Queue, merge, sites_of, spread
from deploytool.run.plan.layers import make_plan, state_type
from deploytool.run.record.samples import Room, Sample, Samples, recording_of
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.table import make_target


@st.composite
def all_programs(draw: st.DrawFn) -> Program:
    """Programs for every loop: with merges, layers in parts, neurons that leak."""
    kind = draw(st.sampled_from(["whole", "parts", "leaks"]))
    program: Program = draw(st.one_of(programs(), vector_programs()))
    if kind == "parts":
        features = {name: layer.out_shape[0] for name, layer in program.layers.items() if splits(layer)}
        return split(program, {name: (1, number - 1) for name, number in features.items()}, CHIPS["speck2e"])
    if kind == "leaks" and program.arithmetic == "float32":
        leak = {"tau_ms": draw(st.sampled_from([0.01, 0.1])), "v_leak": -0.2}
        return program.with_layers({name: changed(layer, **leak) for name, layer in program.layers.items()})
    return program


def splits(layer: Layer) -> bool:
    return layer.single.groups == 1 and np.ndim(layer.neurons.threshold) == 0 and layer.out_shape[0] > 1


def several(program: Program, most: int = 30) -> st.SearchStrategy[list[EventStream]]:
    """One to five streams, some of them empty, each with a name and a label of its own."""
    listed = st.lists(
        st.one_of(streams(program.input_shape, most), streams(program.input_shape, 2)), min_size=1, max_size=6
    )
    return listed.map(lambda found: [replace(stream, name=f"s{i}", label=i % 3) for i, stream in enumerate(found)])


def together(program: Program, sent: list[EventStream], vectors: bool, keep_spikes: bool = True) -> Samples:
    plan = make_plan(program, state_type(program), vectors)
    return run_samples(plan, sent, Room(program, list(program.parts)).take(0, len(sent)), keep_spikes)


def in_chunks(
    program: Program, sent: Iterable[EventStream], limits: Limits, rasters: int = 0, threads: int = 1
) -> Recording:
    """The recording that the simulator makes, by an engine with these ``limits``."""
    room = Room(program, list(program.parts), operator.length_hint(sent, 0), rasters)
    plan = make_plan(program, state_type(program), vectors=True)
    return recording_of(program, "simulator", room, run_streams(plan, sent, room, threads, limits=limits))


def assert_same(found: Sample, wanted: Sample) -> None:
    assert (found.name, found.label, found.synops) == (wanted.name, wanted.label, wanted.synops)
    for name, counts in wanted.counts.items():
        assert np.array_equal(found.counts[name], counts), name
    for name, spikes in found.spikes.items():
        assert spikes.tolist() == wanted.spikes[name].tolist(), name
    assert all(found.extremes[name] == wanted.extremes[name] for name in found.extremes)
    assert (found.decision_us, found.load) == (wanted.decision_us, wanted.load)


@pytest.mark.parametrize("vectors", [True, False])
@given(st.data())
@settings(max_examples=80)
def test_each_sample_of_a_batch_equals_the_specification(vectors: bool, data: st.DataObject) -> None:
    program = data.draw(all_programs())
    sent = data.draw(several(program))
    wanted = [run_reference(program, stream) for stream in sent]
    found, uncounted = together(program, sent, vectors), together(program, sent, vectors, keep_spikes=False)
    assert set(found.spikes) == {"input", *program.parts}
    assert not uncounted.spikes
    for index, alone in enumerate(wanted):
        assert_same(found[index], alone)
        assert_same(uncounted[index], alone)


@given(st.data())
@settings(max_examples=30)
def test_samples_with_delayed_spikes_are_counted_in_the_same_room(data: st.DataObject) -> None:
    program = data.draw(delayed_programs())
    sent = data.draw(several(program, most=8))
    wanted = [specified(program, stream, in_flight=300) for stream in sent]
    recording = make_target("simulator").run(program, sent)
    assert recording.synops.tolist() == [sample.synops for sample in wanted]
    for name, counts in recording.counts.items():
        assert np.array_equal(counts, [sample.counts[name] for sample in wanted])


@given(st.data())
@settings(max_examples=40)
def test_neither_batches_nor_threads_show(data: st.DataObject) -> None:
    program = data.draw(all_programs())
    sent = data.draw(several(program))
    rasters = data.draw(st.integers(0, 7))
    alone = [run_reference(program, stream) for stream in sent]
    known, threads = data.draw(st.booleans()), data.draw(st.integers(1, 3))
    limits = Limits(chunk=data.draw(st.integers(1, 120)))
    recording = in_chunks(program, sent if known else (each for each in sent), limits, rasters, threads)
    assert recording.samples == tuple(stream.name for stream in sent)
    assert recording.labels.tolist() == [stream.label for stream in sent]
    assert recording.synops.tolist() == [sample.synops for sample in alone]
    for name, counts in recording.counts.items():
        assert np.array_equal(counts, [sample.counts[name] for sample in alone])
    for name, spikes in recording.spikes.items():
        wanted = [(i, *event) for i, sample in enumerate(alone[:rasters]) for event in sample.spikes[name].tolist()]
        assert spikes.tolist() == wanted, name
    assert set(recording.spikes) == ({"input", *program.parts} if rasters else set())


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(0, 14), st.integers(1, 20))
def test_batches_are_as_large_as_they_may_be(lengths: list[int], rasters: int, most: int) -> None:
    sent = [EventStream(np.zeros(length, EVENT), (1, 1, 1), 1, name=str(i)) for i, length in enumerate(lengths)]
    found = list(batches(sent, rasters, most))
    assert [stream for batch in found for stream in batch.streams] == sent
    assert [batch.first for batch in found] == [sent.index(batch.streams[0]) for batch in found]
    for batch in found:
        assert len(batch.streams) == 1 or sum(map(len, batch.streams)) <= most
        assert {int(stream.name) < rasters for stream in batch.streams} == {batch.keep_spikes}
    for batch, following in itertools.pairwise(found):
        full = sum(map(len, batch.streams)) + len(following.streams[0]) > most
        assert full or batch.keep_spikes != following.keep_spikes


@given(st.data())
def test_merged_queues_are_sorted_stably(data: st.DataObject) -> None:
    pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)
    by_neuron = data.draw(st.booleans())
    sides = [sorted(data.draw(pairs), key=None if by_neuron else lambda pair: pair[0]) for _ in range(2)]
    queues = [
        Queue(np.array([c for c, _ in side], np.int32), np.array([n for _, n in side], np.int32), np.zeros(1, np.int64))
        for side in sides
    ]
    causes, neurons = merge(*queues, by_neuron)
    wanted = sorted(sides[0] + sides[1], key=None if by_neuron else lambda pair: pair[0])
    assert list(zip(causes.tolist(), neurons.tolist(), strict=True)) == wanted


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=20))
def test_causes_are_spread_as_often_as_they_caused(pairs: list[tuple[int, int]]) -> None:
    tags, caused = (np.array(column, np.int32) for column in zip(*pairs, strict=True)) if pairs else [NOTHING, NOTHING]
    assert spread(tags, caused, int(caused.sum())).tolist() == np.repeat(tags, caused).tolist()


NOTHING = np.empty(0, np.int32)


@given(st.data())
def test_sites_are_the_neurons_of_events(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(1, 1, 1), (2, 34, 34), (3, 5, 7), (65535, 1, 2), (1, 300, 400)]))
    stream = data.draw(streams(shape))
    assert np.array_equal(sites_of(stream.events, channels_last(shape)), neurons_of(stream.events, shape))


@pytest.mark.parametrize("threshold", [1, 40])
def test_buffers_grow_within_a_batch(threshold: int) -> None:
    """More spikes than a buffer begins with, from samples before and after one that has no event."""
    weights = np.full((32, 1, 19, 19), 90, np.int8)
    layer = make_layer(weights, threshold, (1, 10, 10), (32, 10, 10), (), padding=(9, 9), reset="zero")
    program = Program("simulator", "int8/int16", (1, 10, 10), (Route("all"),), {"all": layer}, ("all",), "")
    events = np.zeros(40, EVENT)
    events["t"] = np.arange(40)
    sent = [EventStream(events[:length], (1, 10, 10), 100, name=str(length)) for length in (3, 0, 40, 1, 7)]
    found = together(program, sent, vectors=True)
    assert found.synops.tolist() == [3200 * length for length in (3, 0, 40, 1, 7)]
    for index, stream in enumerate(sent):
        assert_same(found[index], together(program, [stream], vectors=False)[0])


def test_a_long_sample_between_short_ones_streams_in_chunks() -> None:
    rng = np.random.default_rng(3)
    weights = rng.integers(-40, 60, (4, 2, 3, 3)).astype(np.int8)
    layer = make_layer(weights, 70, (2, 8, 8), (4, 8, 8), (), padding=(1, 1))
    program = Program("simulator", "int8/int16", (2, 8, 8), (Route("it"),), {"it": layer}, ("it",), "")
    sent = []
    for length in (10, 20, 1000, 5, 0, 30):
        events = np.zeros(length, EVENT)
        events["t"] = np.arange(length)
        for axis, size in zip("cyx", program.input_shape, strict=True):
            events[axis] = rng.integers(0, size, length)
        sent.append(EventStream(events, program.input_shape, 1000, name=str(length)))
    assert [len(batch.streams) for batch in batches(sent, 0, 64)] == [2, 1, 3]
    recording = in_chunks(program, sent, Limits(chunk=64))
    for index, stream in enumerate(sent):
        assert np.array_equal(recording.counts["it"][index], run_reference(program, stream).counts["it"])
