"""Progressive tandem learning through the pipeline: the emulator in its spiking branch, and the rungs of its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploytool.base.errors import UsageError
from deploytool.base.json_text import read_json
from deploytool.base.messages import Messages
from deploytool.bench.experiments.measures import MEASURES
from deploytool.convert.model import blank_weights
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.recording_file import load_recording
from deploytool.ir.verdict_file import load_verdict
from deploytool.recipe import Recipe, parse_recipe
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache
from deploytool.store.file_names import HISTORY
from deploytool.workflow import outside
from deploytool.workflow.pipeline import pipeline
from deploytool.workflow.show import describe
from deploytool.workflow.train import run_trained, train

LAYERS = [
    {"type": "conv", "out": 4, "kernel": 3, "stride": 2, "padding": 1},
    {"type": "batchnorm"},
    {"type": "spike"},
    {"type": "flatten"},
    {"type": "linear", "out": 10},
    {"type": "spike"},
]


def recipe(**ptl: Any) -> Recipe:
    return parse_recipe(
        {
            "name": "tandem",
            "data": {"set": "digits", "train_samples": 60, "test_samples": 20},
            "network": {"input": [2, 16, 16], "layers": LAYERS},
            "constraints": {"floor": float("-inf")},
            "train": {"method": "ptl", "time_steps": 4, "epochs": 2, "batch": 20, "learning_rate": 0.01, "ptl": ptl},
            "run": {"on": ["quantised", "emulator"]},
        },
        "test",
    )


def streams(count: int) -> list[EventStream]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        events = np.zeros(200, EVENT)
        events["t"] = np.sort(rng.integers(0, 1000, 200))
        events["c"], events["y"], events["x"] = (rng.integers(0, size, 200) for size in (2, 16, 16))
        found.append(EventStream(events, (2, 16, 16), 1000))
    return found


def test_more_layers_do_not_change_the_spikes_of_the_first() -> None:
    asked = recipe()
    rng = np.random.default_rng(0)
    network = outside.first_layers(asked.network, 2)
    assert [layer.type for layer in network.layers] == ["conv", "spike", "flatten", "linear", "spike"]
    model = {name: rng.normal(0, 0.3, a.shape).astype(np.float32) for name, a in blank_weights(network).items()}
    model |= {"conv1.v_init": rng.normal(0, 1, 4).astype(np.float32)}
    emulator = outside.Emulator(asked, 1)
    whole = emulator.counts(model, 2, streams(3))
    first = emulator.counts({name: model[name] for name in ("conv1", "conv1.v_init")}, 1, streams(3))
    assert np.array_equal(whole["conv1"], first["conv1"])
    assert whole["conv1"].any()
    assert whole["fc1"].shape == (3, 10, 1, 1)


@pytest.mark.parametrize("forward", ["counts", "emulator"])
def test_the_pipeline_ends_in_a_verdict(tmp_path: Path, forward: str) -> None:
    cache = StageCache(Store(tmp_path), Messages(quiet=True))
    asked = recipe(forward=forward, stage_epochs=1)
    verdict, report = pipeline(cache, asked)
    assert (verdict.path / "manifest.json").is_file()
    assert report is not None
    torch, quantised, emulator = (
        load_recording(cache.store.get(inputs).path)
        for inputs in (f"recording-{digest[:12]}" for digest in verdict.manifest.inputs.values())
    )
    assert {rung.rung for rung in (torch, quantised, emulator)} == {"torch", "quantised", "emulator"}
    recordings = {found.rung: found for found in (torch, quantised, emulator)}
    for name in ("conv1", "fc1"):
        assert np.array_equal(recordings["torch"].counts[name], recordings["quantised"].counts[name])


def autoencoder(**keys: Any) -> Recipe:
    layers = [
        {"type": "flatten"},
        {"type": "linear", "out": 12},
        {"type": "batchnorm"},
        {"type": "spike"},
        {"type": "linear", "out": 64},
    ]
    return parse_recipe(
        {
            "name": "pictures",
            "data": {"set": "digits-images", "train_samples": 60, "test_samples": 20, **keys},
            "network": {"input": [1, 8, 8], "layers": layers},
            "constraints": {"floor": float("-inf")},
            "train": {
                "method": "ptl",
                "loss": "mse",
                "time_steps": 4,
                "epochs": 2,
                "batch": 20,
                "learning_rate": 0.01,
                "ptl": {"stage_epochs": 1},
            },
            "run": {"on": []},
        },
        "test",
    )


def test_white_is_what_a_white_pixel_counts() -> None:
    assert outside.white(autoencoder()) == 16
    assert outside.white(autoencoder(levels=5)) == 5
    assert outside.white(autoencoder(coding="rate", levels=5)) == 5
    assert outside.white(autoencoder(coding="direct")) == 4
    assert outside.white(recipe()) is None


@pytest.mark.parametrize("coding", ["count", "direct"])
def test_the_pipeline_of_an_autoencoder_ends_without_an_accuracy(tmp_path: Path, coding: str) -> None:
    cache = StageCache(Store(tmp_path), Messages(quiet=True))
    asked = autoencoder(coding=coding)
    verdict, report = pipeline(cache, asked)
    assert report is None
    assert load_verdict(verdict.path).rungs[0].accuracy is None
    figures = MEASURES["reconstruction"](cache, asked, 0, {})
    assert set(figures) == {"PSNR dB", "SSIM", "ANN PSNR dB", "ANN SSIM"}
    assert all(0 < figures[name] < 30 for name in ("PSNR dB", "ANN PSNR dB"))
    assert describe(cache.store, train(cache, asked))["validation_accuracy_percent"] is None
    assert describe(cache.store, run_trained(cache, train(cache, asked), asked))["samples"] == 20


def test_an_ann_of_no_known_kind_is_refused() -> None:
    with pytest.raises(UsageError, match=r"train.ptl.ann: found 'net.h5'; need a .onnx file"):
        outside.given_ann(recipe(ann="net.h5"))


BUILDER = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)
    ).eval()
"""


def test_training_begins_with_the_ann_that_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trained_ann.py").write_text(BUILDER, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    cache = StageCache(Store(tmp_path / "store"), Messages(quiet=True))
    model = train(cache, recipe(ann="trained_ann:build", stage_epochs=1))
    history = read_json(model.path / HISTORY)
    assert [row["stage"] for row in history] == [1, 2]
    assert set(model.manifest.inputs) == {"data", "ann"}
