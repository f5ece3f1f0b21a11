"""What flows through a program: the spikes of every neuron follow from its own input events, replayed alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from contract import stream, two_neurons
from helpers.families import FAMILIES, without_decimators
from helpers.programs import streams
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.base.errors import UnsupportedError
from deploytool.run.jobs.follow import follow
from deploytool.run.jobs.job import Job
from deploytool.run.reference.neuron import replay, replay_steps
from deploytool.validate.divergence.history import subjects


@pytest.mark.parametrize("name", FAMILIES)
def test_a_neuron_alone_fires_as_in_its_run(name: str) -> None:
    family = FAMILIES[name]

    @settings(max_examples=25)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        program = without_decimators(data.draw(family.programs()))
        stream = data.draw(streams(program.input_shape, family.events[1], family.events[0]))
        try:
            traffic = follow(Job("simulator"), program, stream, 0)
        except UnsupportedError:
            assume(False)
        assume(sum(map(len, traffic.spikes.values())) < 2000)
        for layer in program.parts:
            at = tuple(data.draw(st.integers(0, size - 1)) for size in program.map_of(layer))
            one, other = subjects(traffic, traffic, layer, at)
            inputs = one.inputs(traffic, other)
            moments = replay(one.cell, inputs.times_us, one.weights(inputs), stream.duration_us - 1)
            found = [moment.t_us for moment in moments for _ in range(moment.spikes)]
            spikes = traffic.spikes[layer]
            own = (spikes["c"] == at[0]) & (spikes["y"] == at[1]) & (spikes["x"] == at[2])
            assert found == spikes["t"][own].tolist()

    check()


@settings(max_examples=60)
@given(st.data())
def test_a_neuron_alone_fires_in_time_steps_as_in_its_run(data: st.DataObject) -> None:
    program = data.draw(FAMILIES["general loop"].programs())
    stream = data.draw(streams(program.input_shape))
    steps = data.draw(st.integers(1, 6))
    traffic = follow(Job("quantised", steps, bins=data.draw(st.sampled_from(["time", "count"]))), program, stream, 0)
    for layer in program.parts:
        at = tuple(data.draw(st.integers(0, size - 1)) for size in program.map_of(layer))
        one, other = subjects(traffic, traffic, layer, at)
        inputs = one.inputs(traffic, other)
        weights = np.array(one.weights(inputs), object)
        moments = replay_steps(
            one.cell, traffic.starts_us.tolist(), [weights[inputs.causes == step].tolist() for step in range(steps)]
        )
        spikes = traffic.spikes[layer]
        own = (spikes["c"] == at[0]) & (spikes["y"] == at[1]) & (spikes["x"] == at[2])
        found = np.bincount(traffic.causes[layer][own], minlength=steps)
        assert [moment.spikes for moment in moments] == found.tolist()


def test_a_neuron_behind_a_decimator_cannot_be_followed() -> None:
    program = two_neurons()
    layers = {name: replace(layer, decimation=2) for name, layer in program.layers.items()}
    with pytest.raises(UnsupportedError, match="need layers without a decimator to follow single neurons"):
        follow(Job("simulator"), program.with_layers(layers, slow_clock_hz=100_000), stream([0]), 0)
