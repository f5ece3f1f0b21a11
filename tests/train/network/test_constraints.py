"""What the chip demands holds during training: its state, its fan-in, its weights; an example that breaks each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.tiny import CONSTRAINTS, NETWORK, Sides, spec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deploytool.base.errors import FitError, RecipeError
from deploytool.base.progress import no_progress
from deploytool.chip.chips import CHIPS
from deploytool.convert.model import to_graph
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.spec.fan_in import fan_in
from deploytool.map.compile import compile_graph
from deploytool.recipe import ConstraintsSection, NetworkSection
from deploytool.run.engine.clock_driven import run_clocked
from deploytool.run.engine.discretisation import TimeSteps
from deploytool.train.methods.table import train
from deploytool.train.network.constraints import excess, fan_in_limit, masks
from deploytool.train.network.neurons import Neuron, fire
from deploytool.train.network.spiking import SpikingNetwork
from deploytool.train.task import Task

POOLED = NetworkSection.model_validate(
    {
        "input": (2, 4, 4),
        "layers": [
            {"type": "conv", "out": 2, "kernel": 1},
            {"type": "spike"},
            {"type": "avgpool", "kernel": 2},
            {"type": "flatten"},
            {"type": "linear", "out": 3},
            {"type": "spike"},
        ],
    }
)
STEPS = 12


def crowd(seed: int) -> EventStream:
    """600 events per time step on one pixel, all of one feature, which is drawn for each step."""
    rng = np.random.default_rng(seed)
    events = np.zeros(STEPS * 600, EVENT)
    events["t"] = np.repeat(np.arange(STEPS) * 1000, 600)
    events["c"] = np.repeat(rng.integers(0, 2, STEPS), 600)
    return EventStream(events, (2, 4, 4), STEPS * 1000)


def frames_of(stream: EventStream) -> torch.Tensor:
    frames = torch.zeros(STEPS, 1, *stream.shape)
    where = [torch.from_numpy(stream.events[axis].astype(np.int64)) for axis in "tcyx"]
    return frames.index_put((where[0] // 1000, torch.tensor(0), *where[1:]), torch.tensor(1.0), accumulate=True)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("spikes_per_step", ["many", "one"])
@pytest.mark.parametrize("threshold", [0.1, 30.0])
@pytest.mark.parametrize("floor", [None, -1.0])
def test_the_state_saturates_as_in_the_program_on_the_chip(reset, spikes_per_step, threshold, floor):
    """Membranes driven past 16 bits both ways: training, and the integer program in time steps, fire alike."""
    constraints = ConstraintsSection(threshold=threshold, floor=floor, reset=reset)
    weights = {
        "conv1": np.array([[1, -1], [-1, 1]], np.float32).reshape(2, 2, 1, 1),
        "fc1": np.array([[1] * 4 + [-1] * 4, [-1] * 4 + [1] * 4, [1] * 8], np.float32),
    }
    for seed in range(3):
        stream = crowd(seed)
        net = SpikingNetwork(POOLED, constraints, spec(spikes_per_step=spikes_per_step, time_steps=STEPS))
        ours = net.run({name: torch.tensor(array) for name, array in weights.items()}, frames_of(stream))
        program = compile_graph(to_graph(weights, POOLED, constraints), CHIPS["speck2e"]).program
        theirs = run_clocked(program, [stream], TimeSteps(STEPS, many=spikes_per_step == "many"))
        for name in ("conv1", "fc1"):
            np.testing.assert_array_equal(ours.spikes[name].sum(0).numpy(), theirs.counts[name], err_msg=name)


def test_a_ceiling_holds_what_is_left_after_firing():
    neuron = Neuron(2.0, -1.0, spikes_per_step="one", ceiling=5.0)
    current = torch.tensor([9.0, 0.0, 0.0, 0.0, 0.0]).view(5, 1, 1).requires_grad_()
    spikes = fire(current, neuron)
    assert spikes.flatten().tolist() == [1, 1, 1, 0, 0]  # 9 - 2 becomes 5; without the ceiling four spikes come
    spikes[1:].sum().backward()
    assert current.grad is not None
    assert current.grad[0] == 0
    assert fire(current, replace(neuron, ceiling=7.0)).sum() == 4


@given(
    weights=arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.floats(-3, 3, width=32)),
    limit=st.integers(1, 14),
    epochs=st.integers(1, 6),
    epoch=st.integers(1, 8),
)
def test_masks_keep_the_largest_weights_of_every_neuron(weights, limit, epochs, epoch):
    constraints = ConstraintsSection(fan_in=limit, fan_in_epochs=epochs)
    tensor = torch.from_numpy(weights)
    mask = masks({"fc1": tensor}, constraints, epoch)["fc1"]
    allowed = fan_in_limit(constraints, epoch, weights.shape[1])
    assert mask.sum(1).tolist() == [allowed] * len(weights)
    assert (allowed == min(limit, weights.shape[1])) if epoch >= epochs else allowed >= min(limit, weights.shape[1])
    for row, kept in zip(tensor.abs(), mask.bool(), strict=True):
        assert kept.all() or row[kept].min() >= row[~kept].max()


def test_the_limit_comes_down_step_by_step():
    constraints = ConstraintsSection(fan_in=10, fan_in_epochs=4)
    limits = [fan_in_limit(constraints, epoch, 74) for epoch in range(1, 7)]
    assert limits == [10 + 27, 10 + 8, 10 + 1, 10, 10, 10]  # 64 (3/4)^3, 64 (1/2)^3, 64 (1/4)^3, 0


PRUNED = ConstraintsSection(fan_in=5, fan_in_epochs=3)


def pruned(folder, tick=no_progress, constraints=PRUNED, **keys):
    keys = {"average": 0.9, "weight_decay": 0.01, **keys}
    return train(Task(NETWORK, constraints, spec(**keys), 0, Sides(40, 1), Sides(16, 2), folder, tick))


def test_the_limit_holds_in_the_model_and_validation_chooses_only_where_it_does(tmp_path):
    trained = pruned(tmp_path, epochs=8, average=0.0, learning_rate=0.02)
    assert trained.chosen_epoch >= 3
    assert all(fan_in(array) == 5 for array in trained.weights.values())
    assert max(row["validation_accuracy"] for row in trained.history) >= 80
    graph = to_graph(trained.weights, NETWORK, PRUNED)
    assert fan_in(graph.nodes["fc1"].weight) <= 5


@pytest.mark.parametrize("step", [4, 8, 13])
def test_pruning_resumes_where_it_was(tmp_path, step):
    whole = pruned(tmp_path / "whole")

    def tick(done, _total, _note):
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pruned(tmp_path / "parts", tick)
    resumed = pruned(tmp_path / "parts")
    assert whole.history == resumed.history
    assert all(whole.weights[name].tobytes() == resumed.weights[name].tobytes() for name in whole.weights)


def test_a_limit_that_training_never_reaches_is_refused(tmp_path):
    late = ConstraintsSection(fan_in=5, fan_in_epochs=9)
    with pytest.raises(
        RecipeError, match=r"constraints\.fan_in_epochs: found 9 with 4 epochs of training; need at most"
    ):
        pruned(tmp_path, constraints=late)
    with pytest.raises(ValueError, match=r"fan_in_epochs: found 3 without fan_in; need both, or neither"):
        ConstraintsSection(fan_in_epochs=3)


def test_conversion_refuses_a_model_with_more_inputs(tmp_path):
    trained = train(Task(NETWORK, CONSTRAINTS, spec(epochs=1), 0, Sides(16, 1), Sides(8, 2), tmp_path))
    with pytest.raises(FitError) as error:
        to_graph(trained.weights, NETWORK, PRUNED)
    assert [problem.split(";")[0] for problem in error.value.problems] == [
        f"{name}: a neuron has {count} nonzero weights" for name, count in (("conv1", 18), ("fc1", 27))
    ]


def test_excess_counts_what_is_above_the_threshold():
    net = SpikingNetwork(POOLED, ConstraintsSection(threshold=2.0), spec())
    weights = {"conv1": torch.tensor([[3.0, -9], [2.5, 1]]).view(2, 2, 1, 1), "fc1": torch.full((3, 8), 9.0)}
    assert excess(net, weights) == pytest.approx(1 + 0.5 + 24 * (9 / 4 - 2))


def test_excess_of_normalised_weights_is_that_of_the_merged_ones():
    network = NetworkSection.model_validate(
        {
            "input": (2, 4, 4),
            "layers": [{"type": "conv", "out": 2, "kernel": 1}, {"type": "batchnorm"}, {"type": "spike"}],
        }
    )
    weights = {
        "conv1": torch.tensor([[3.0, -9], [2.5, 1]]).view(2, 2, 1, 1),
        "bn1.gamma": torch.tensor([2.0, 1.0]),
        "bn1.beta": torch.ones(2),
        "bn1.mean": torch.ones(2),
        "bn1.variance": torch.tensor([4.0, 0.25]),
    }
    net = SpikingNetwork(network, ConstraintsSection(), spec())
    assert excess(net, weights) == pytest.approx(2 + 4 + 1, rel=1e-4)


def test_the_penalty_keeps_weights_at_most_at_the_threshold(tmp_path):
    def largest(penalty):
        limits = ConstraintsSection(threshold=0.1, max_weight_penalty=penalty)
        once = spec(learning_rate=0.03, batch=2, epochs=1, schedule="constant")
        trained = train(Task(NETWORK, limits, once, 0, Sides(60, 1), Sides(16, 2), tmp_path / str(penalty)))
        return max(array.max() for array in trained.weights.values())

    assert largest(0.0) > 0.3
    assert largest(100.0) < 0.11


def test_bits_thresholds_and_floor_are_the_chips(tmp_path):
    """What a trained layer computes with: integers of so many bits, and nothing of it is lost in the program."""
    for bits in (2, 5, 8):
        limits = ConstraintsSection(weight_bits=bits, threshold=0.7)
        trained = train(Task(NETWORK, limits, spec(epochs=1), 0, Sides(16, 1), Sides(8, 2), tmp_path / str(bits)))
        net = SpikingNetwork(NETWORK, limits, spec())
        integers = replace(CHIPS["speck2e"].integers, weight_bits=bits)
        program = compile_graph(to_graph(trained.weights, NETWORK, limits), CHIPS["speck2e"], integers).program
        for block in net.weighted:
            layer = net.quantised(block, {block.name: torch.tensor(trained.weights[block.name])})
            mapped = program.layers[block.name]
            assert layer.weights.abs().max() <= 2 ** (bits - 1)
            np.testing.assert_array_equal(layer.weights.flatten().numpy(), mapped.single.weights.flatten())
            assert (layer.threshold, layer.floor) == (mapped.neurons.threshold, mapped.neurons.floor)
