"""Training on events through the pipeline: what was trained is what the chip's emulator does, spike for spike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deploytool.base.json_text import read_json
from deploytool.base.messages import Messages
from deploytool.base.tensors import read_tensors
from deploytool.bench.experiments.measures import MEASURES
from deploytool.chip.chips import chip_named
from deploytool.convert.model import blank_weights, to_graph
from deploytool.data.sets.table import load_events
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import answers
from deploytool.map.compile import compile_graph, refilled
from deploytool.recipe import Recipe, parse_recipe
from deploytool.run.targets.table import make_target
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache
from deploytool.store.file_names import HISTORY, WEIGHTS
from deploytool.train.methods.events.network import Followed
from deploytool.train.methods.table import train
from deploytool.train.network.spiking import SpikingNetwork
from deploytool.train.task import Trained
from deploytool.validate.metrics import spike_difference
from deploytool.workflow import outside
from deploytool.workflow.convert import convert_model
from deploytool.workflow.map import map_graph
from deploytool.workflow.train import task_of
from deploytool.workflow.train import train as train_model


def recipe(**keys: Any) -> Recipe:
    layers = [
        {"type": "conv", "out": 4, "kernel": 3, "padding": 1},
        {"type": "spike"},
        {"type": "sumpool", "kernel": 2},
        {"type": "flatten"},
        {"type": "linear", "out": 10},
        {"type": "spike"},
    ]
    steps = {"time_steps": 4, "epochs": 3, "batch": 20, "learning_rate": 0.01}
    return parse_recipe(
        {
            "name": "on-events",
            "data": {"set": "digits", "train_samples": 80, "test_samples": 20},
            "network": {"input": [2, 16, 16], "layers": layers},
            "constraints": {"floor": float("-inf")},
            "train": {"method": "events", **steps, "events": {"windows": [2, 8]}, **keys},
            "run": {"on": ["emulator"]},
        },
        "test",
    )


def trained(asked: Recipe, folder: Path, stop_at: float = 0) -> Trained:
    def tick(done: float, _total: float, _note: str) -> None:
        if done == stop_at:
            raise KeyboardInterrupt

    return train(replace(task_of(asked, folder), tick=tick))


def test_what_was_trained_is_what_the_emulator_does(tmp_path: Path) -> None:
    """The spikes that the loss saw are those of the program that `map` makes of the stored weights."""
    cache = StageCache(Store(tmp_path), Messages(quiet=True))
    asked = recipe(augment={"drop": 0.2, "shift": 1})
    model = train_model(cache, asked)
    weights, history = read_tensors(model.path / WEIGHTS), read_json(model.path / HISTORY)
    samples = load_events(asked.data, asked.seed).validation
    streams = [samples[index] for index in range(len(samples))]
    program = map_graph(cache, convert_model(cache, model), asked.constraints.chip, asked.map)
    deployed = make_target("emulator").run(load_program(program.path), streams)
    seen = outside.Emulator(asked, 1).record(weights, streams, single=True)
    assert spike_difference(deployed, seen).pooled == 0
    net = SpikingNetwork(asked.network, asked.constraints, asked.train)
    followed = Followed(net, (2, 8))
    spikes = followed.count(seen.spikes, np.array([stream.duration_us for stream in streams]))
    for name, counts in deployed.counts.items():
        along = spikes.fired[name].sum(0).movedim(-1, 1).numpy()
        assert np.array_equal(along, counts)
        assert np.array_equal(seen.counts[name], counts)
    activity = followed.run({name: torch.tensor(array) for name, array in weights.items()}, spikes)
    assert np.array_equal(activity.synops.numpy(), deployed.synops)
    labels = np.array([stream.label for stream in streams])
    answered = answers(deployed.counts["fc1"].reshape(len(streams), -1))
    best = max(row["validation_accuracy"] for row in history)
    assert best == pytest.approx(100 * float((answered == labels).mean()))


def test_a_claim_measures_that_difference(tmp_path: Path) -> None:
    cache = StageCache(Store(tmp_path), Messages(quiet=True))
    assert MEASURES["exactness"](cache, recipe(epochs=1), 0, {}) == {"SD from training %": 0.0}
    in_steps = MEASURES["exactness"](cache, recipe(epochs=1, method="sdt"), 0, {})
    assert in_steps["SD from training %"] > 0


def test_it_learns_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    asked = recipe(average=0.5, rate_penalty=0.5, warmup_epochs=1)
    whole = trained(asked, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(asked, tmp_path / "parts", stop_at=6)
    resumed = trained(asked, tmp_path / "parts")
    assert resumed.history == whole.history
    assert all(resumed.weights[name].tobytes() == whole.weights[name].tobytes() for name in whole.weights)
    assert whole.history[-1]["loss"] < whole.history[0]["loss"]
    assert whole.history[0]["validation_synops"] > 0


@pytest.mark.parametrize("stop_at", [8, 16])
def test_with_a_teacher_it_resumes_bit_for_bit_in_either_training(tmp_path: Path, stop_at: int) -> None:
    """The teacher takes 3 epochs of 4 steps and is told of after each, then the network 3 of 4."""
    asked = recipe(teacher={"epochs": 3, "batch": 20, "features": 4, "windows": 2})
    whole = trained(asked, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(asked, tmp_path / "parts", stop_at=stop_at)
    resumed = trained(asked, tmp_path / "parts")
    assert resumed.history == whole.history
    assert all(resumed.weights[name].tobytes() == whole.weights[name].tobytes() for name in whole.weights)
    alone = trained(recipe(), tmp_path / "alone")
    assert any(alone.weights[name].tobytes() != whole.weights[name].tobytes() for name in whole.weights)


def test_replacing_the_weights_of_a_program_is_mapping_again() -> None:
    asked = recipe()
    rng = np.random.default_rng(0)
    chip = chip_named(asked.constraints.chip)
    program = None
    for largest in (0.5, 0.9, 3.0):
        model = {
            name: rng.normal(0, largest / 3, a.shape).astype(np.float32)
            for name, a in blank_weights(asked.network).items()
        }
        graph = to_graph(model, asked.network, asked.constraints)
        whole = compile_graph(graph, chip).program
        if program is not None:
            filled = refilled(program, graph, chip)
            assert filled is not None
            assert filled.digest == replace(whole, core_of=program.core_of).digest
        program = whole
    network = outside.first_layers(asked.network, 1)
    assert refilled(whole, to_graph({"conv1": model["conv1"]}, network, asked.constraints), chip) is None
