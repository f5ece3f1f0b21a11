"""A made-up deployment with everything a report can show, for the tests of the report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from helpers.layers import make_layer
from helpers.report_divergence import EVENTS, explained, side

from deploytool.ir.program import Layer, Program, Route
from deploytool.ir.recording import SPIKE, Recording, RungName
from deploytool.ir.sweep import Curve, Point, Sweep
from deploytool.recipe import ValidateSection
from deploytool.report.choice import choose
from deploytool.report.content import Divergence, Origin, Provenance, ReportContent
from deploytool.validate.ladder import judge

INPUT_SHAPE = (2, 34, 34)
CLASSES = 10
NOISE: dict[RungName, float] = {"torch": 0.25, "quantised": 0.25, "simulator": 0.0, "emulator": 0.03, "board": 0.05}


def program(chip: str = "speck2e") -> Program:
    """The N-MNIST network with random weights, on four cores."""
    rng = np.random.default_rng(1)

    def layer(out: int, taken: tuple[int, int, int], made: tuple[int, int, int], kernel: int, *routes: Route) -> Layer:
        stride = 2 if made[1] * 2 == taken[1] - taken[1] % 2 else 1
        return make_layer(
            weights=rng.integers(-128, 128, (out, taken[0], kernel, kernel)).astype(np.int8),
            threshold=211,
            floor=-211,
            in_shape=taken,
            out_shape=made,
            routes=routes,
            stride=(stride, stride),
            padding=(int(kernel == 3),) * 2,
            scale=211.0,
        )

    return Program(
        chip=chip,
        arithmetic="int8/int16",
        input_shape=INPUT_SHAPE,
        input_routes=(Route("conv1"),),
        layers={
            "conv1": layer(8, (2, 34, 34), (8, 34, 34), 3, Route("conv2", (2, 2))),
            "conv2": layer(16, (8, 17, 17), (16, 17, 17), 3, Route("conv3", (2, 2))),
            "conv3": layer(16, (16, 8, 8), (16, 4, 4), 3, Route("fc1")),
            "fc1": layer(CLASSES, (16, 4, 4), (CLASSES, 1, 1), 4),
        },
        outputs=("fc1",),
        graph_digest="9f" * 32,
        core_of={} if chip == "simulator" else {"conv1": 0, "conv2": 3, "conv3": 7, "fc1": 4},
    )


def recordings(*rungs: RungName, samples: int = 60, rasters: int = 3) -> list[Recording]:
    """Recordings of the same samples on ``rungs``, each with its own noise on the same counts."""
    return [_recording(rung, samples, rasters) for rung in rungs]


def _recording(rung: RungName, samples: int, rasters: int) -> Recording:
    truth, noise = np.random.default_rng(2), np.random.default_rng(list(rung.encode()))
    labels = np.arange(samples) * 7 % CLASSES
    counts = {}
    for name, layer in program().layers.items():
        rate = np.broadcast_to(_blob(layer.out_shape, truth), (samples, *layer.out_shape))
        counts[name] = truth.poisson(rate)
        change = noise.random(counts[name].shape) < NOISE[rung]
        counts[name] = np.maximum(counts[name] + change * noise.integers(-1, 2, counts[name].shape), 0)
    answers = truth.poisson(1.2, (samples, CLASSES))
    answers[np.arange(samples), labels] += truth.poisson(7, samples)
    counts["fc1"] = np.maximum(answers + (noise.random(answers.shape) < NOISE[rung]), 0).reshape(samples, CLASSES, 1, 1)
    event_driven = rung in ("simulator", "emulator", "board")
    return Recording(
        rung=rung,
        samples=tuple(f"test/{label}/{i:05}.bin" for i, label in enumerate(labels)),
        labels=labels,
        outputs=("fc1",),
        counts=counts,
        synops=noise.integers(3_900_000, 4_600_000, samples),
        spikes=_spikes(counts["fc1"], rasters) if event_driven and rasters else {},
        aliases={"spike1": "conv1"},
    )


def _blob(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Rates (C, H, W): a ring of activity, stronger in some features."""
    y, x = np.mgrid[: shape[1], : shape[2]]
    radius = np.hypot(y - shape[1] / 2, x - shape[2] / 2) / max(shape[1], 2)
    return rng.random(shape[0])[:, None, None] * 6 * np.exp(-(((radius - 0.28) / 0.08) ** 2))


def _spikes(answers: np.ndarray, rasters: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    inputs, outputs = [], []
    for index in range(rasters):
        number = 4000
        angle = rng.random(number) * 2 * np.pi
        events = np.zeros(number, SPIKE)
        events["sample"], events["t"] = index, np.sort(rng.integers(0, 300_000, number))
        drift = 4 * np.sin(events["t"] / 300_000 * 3 * np.pi)
        events["y"] = np.clip(17 + 9 * np.sin(angle) + rng.normal(0, 0.8, number), 0, 33)
        events["x"] = np.clip(17 + drift + 6 * np.cos(angle) + rng.normal(0, 0.8, number), 0, 33)
        events["c"] = rng.integers(0, 2, number)
        inputs.append(events)
        for neuron, count in enumerate(answers[index].ravel()):
            spikes = np.zeros(count, SPIKE)
            spikes["sample"], spikes["c"], spikes["t"] = index, neuron, rng.integers(0, 300_000, count)
            outputs.append(spikes)
    return {"input": np.concatenate(inputs), "fc1": np.concatenate(outputs)}


def content(
    *rungs: RungName, limits: ValidateSection | None = None, samples: int = 3, **changes: object
) -> ReportContent:
    """A whole report of ``rungs``; by default all but the board, with every check asked."""
    made = recordings(*(rungs or ("torch", "quantised", "simulator", "emulator")), rasters=60)
    runs = {recording.rung: recording for recording in made}
    limits = limits or ValidateSection(
        min_accuracy=90, max_accuracy_drop=5, max_spike_difference=10, max_synops=5_000_000
    )
    history = tuple(
        {
            "epoch": e,
            "loss": 2.3 * 0.8**e + 0.1,
            "accuracy": 98 - 60 * 0.75**e,
            "validation_loss": 2.2 * 0.82**e + 0.16,
            "validation_accuracy": 95.5 - 55 * 0.7**e + (e % 3) * 0.3,
        }
        for e in range(1, 21)
    )
    quantisation = tuple(
        {
            "layer": name,
            "scale": 211.37,
            "threshold": 211,
            "floor": -211,
            "levels": 97 + 11 * i,
            "levels_before": 4608,
            "zeros": 0.004 * (i + 1),
            "zeros_before": 0.0,
            "relative_error": 0.0081,
            "weight_max": 0.59 + i / 5,
            "outlier": None,
            "warnings": ["fc1: the largest weight is 1.19 thresholds"] if i == 3 else [],
        }
        for i, name in enumerate(program().layers)
    )
    values: dict[str, object] = {
        "title": "nmnist",
        "verdict": judge(runs, limits),
        "runs": runs,
        "program": program(),
        "chosen": choose(runs, samples),
        "history": history,
        "quantisation": quantisation,
        "origin": origin(),
        "divergence": divergence(),
        "sweeps": (sweep(),),
    }
    return ReportContent(**(values | changes))  # type: ignore[arg-type]


def divergence() -> Divergence:
    """Two samples in which the emulator and the network in time steps part."""
    steps = side("quantised", 0, [(0, 0.25, 0), (2000, 0.5, 0), (4000, 0.0, 0)], steps=True)
    found = explained(side("emulator", 1, EVENTS), steps)
    return Divergence("emulator", "quantised", (found, replace(found, sample=8)), "sample 9 cannot be run again.")


def sweep() -> Sweep:
    """Accuracy of two networks at three numbers of time steps."""
    curves = []
    for i, model in enumerate(("sdt", "mtt")):
        points = [
            Point(t, 60, 60, 40, 60.0 + t + i, (55.0, 80.0), 0, 20.0 - t, 20.0 - t, 90.0, 1e5 * t, None, 1.0 * t, ())
            for t in (1, 4, 16)
        ]
        curves.append(Curve(model, "model-deadbeef0123", "time_steps", "torch", "the simulator", tuple(points)))
    return Sweep("nmnist", 60, tuple(curves))


def origin() -> Origin:
    """Where a deployment came from: five artifacts, a command, a recipe."""
    chain = ("verdict-5f0c1d7a92be", "recording-0aa4bb1c77de", "program-1b2c3d4e5f60", "graph-77aa88bb99cc")
    names = (*chain, "model-deadbeef0123")
    return Origin(
        artifacts=tuple(
            Provenance(name, name.partition("-")[0], name.partition("-")[2] + str(i) * 52, names[i + 1 : i + 2])
            for i, name in enumerate(names)
        ),
        commands=(("Run the whole chain.", "deploytool pipeline nmnist.toml"),),
        recipe='name = "nmnist"\nseed = 0\n\n[data]\nset = "nmnist"\n\n[train]\ntime_steps = 30\nepochs = 20\n',
        versions={"deploytool": "0.1.0", "python": "3.11.9", "numpy": "2.4.0"},
    )
