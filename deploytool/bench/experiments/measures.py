"""Measurements of a trained model. Each function trains the model first if it is not in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import numpy as np

from deploytool.base.tensors import read_tensors
from deploytool.bench.experiments.untrained import Figures, gradients, memory, size, step_time
from deploytool.ir.recording_file import load_recording
from deploytool.store.file_names import HISTORY, WEIGHTS
from deploytool.workflow.convert import convert_model
from deploytool.workflow.map import map_graph
from deploytool.workflow.run import run
from deploytool.workflow.sources.samples import dataset
from deploytool.workflow.train import run_trained, task_of, train

if TYPE_CHECKING:
    from torch import Tensor

    from deploytool.data.images import Image
    from deploytool.data.samples import Samples
    from deploytool.recipe import Recipe
    from deploytool.store.cache import StageCache
    from deploytool.train.network.spiking import SpikingNetwork

Measure: TypeAlias = "Callable[[StageCache, Any, int, Mapping[str, Any]], Figures]"
"""(store, recipe, seed, options) -> figures; measures that train nothing get no recipe."""


def ladder(cache: StageCache, recipe: Recipe, _seed: int, _options: Mapping[str, Any]) -> Figures:
    """Test accuracy clock-driven and event-driven in the chip's integers, and the spike difference between them.

    Spike difference: pooled over samples, of the output layer, the event-driven run being the reference.
    """
    from deploytool.run.jobs.job import Job
    from deploytool.validate import metrics

    model = train(cache, recipe)
    torch_run = load_recording(run_trained(cache, model, recipe).path)
    graph = convert_model(cache, model)
    program = map_graph(cache, graph, recipe.constraints.chip, recipe.map)
    samples = dataset(recipe.data, recipe.seed)
    chip_run = load_recording(run(cache, program.name, Job("emulator"), samples).path)
    trained, deployed = metrics.accuracy(torch_run), metrics.accuracy(chip_run)
    assert trained is not None
    assert deployed is not None
    return {
        "torch %": trained,
        "event-driven %": deployed,
        "lost points": trained - deployed,
        "SD %": metrics.spike_difference(chip_run, torch_run).pooled,
        "MSynOps": float(chip_run.synops.mean()) / 1e6,
    }


def exactness(cache: StageCache, recipe: Recipe, _seed: int, _options: Mapping[str, Any]) -> Figures:
    """Spike difference at the output between what training ran and the program on the emulator, on test samples.

    A method that trains on events runs the emulator itself; all others run in their time steps.
    """
    from deploytool.base.machine import threads
    from deploytool.data.sets.table import load_events
    from deploytool.run.jobs.job import Job
    from deploytool.train.methods.table import method_of
    from deploytool.validate import metrics
    from deploytool.workflow.outside import Emulator

    model = train(cache, recipe)
    program = map_graph(cache, convert_model(cache, model), recipe.constraints.chip, recipe.map)
    chip_run = load_recording(run(cache, program.name, Job("emulator"), dataset(recipe.data, recipe.seed)).path)
    if method_of(recipe.train).trains_on_events:
        test = load_events(recipe.data, recipe.seed).test
        streams = [test[index] for index in range(len(test))]
        in_training = Emulator(recipe, threads()).record(read_tensors(model.path / WEIGHTS), streams, single=False)
    else:
        in_training = load_recording(run_trained(cache, model, recipe).path)
    return {"SD from training %": metrics.spike_difference(chip_run, in_training).pooled}


def trained(cache: StageCache, recipe: Recipe, _seed: int, _options: Mapping[str, Any]) -> Figures:
    """Test accuracy of the trained network, and the training cost from its history."""
    from deploytool.base.json_text import read_json
    from deploytool.validate import metrics

    model = train(cache, recipe)
    history = read_json(model.path / HISTORY)
    accuracy = metrics.accuracy(load_recording(run_trained(cache, model, recipe).path))
    cost = {"step-epochs": history[-1]["step_epochs"]} if "step_epochs" in history[-1] else {}
    return {"torch %": accuracy, **cost}


def tandem(cache: StageCache, recipe: Recipe, _seed: int, _options: Mapping[str, Any]) -> Figures:
    """Figures of PTL: validation accuracy with ReLUs and after the last stage, and the largest weight in thresholds.

    If the largest weight is above 1, an event causes more than one spike, and the chip allows only one.
    """
    from deploytool.base.json_text import read_json

    history = read_json(train(cache, recipe).path / HISTORY)
    relu = min((row for row in history if row["stage"] == 0), key=lambda row: row["validation_loss"])
    last = next(row for row in history if row.get("chosen"))
    return {
        "ReLU validation %": relu["validation_accuracy"],
        "spikes validation %": last["validation_accuracy"],
        "max w / theta": max(row["weight_max"] for row in history if "weight_max" in row),
    }


def stages(cache: StageCache, recipe: Recipe, _seed: int, _options: Mapping[str, Any]) -> Figures:
    """The number of epochs in which PTL trained spiking layers, all stages together."""
    from deploytool.base.json_text import read_json

    history = read_json(train(cache, recipe).path / HISTORY)
    return {"stage epochs": sum(row["stage"] > 0 for row in history)}


def operations(cache: StageCache, recipe: Recipe, _seed: int, _options: Mapping[str, Any]) -> Figures:
    """Synaptic operations per test sample, and multiply-accumulates (MACs) of the same network with ReLUs, thousands.

        SynOps = sum over t, layers l and neurons j of f_out s_j[t]        MACs = sum over layers of synapses

    Source: Wu et al., TPAMI 44(11), 2022, equations 14 and 15, with the synapses that are inside the map. An analog
    input costs its layer's MACs in both.
    """
    net = _trained_network(recipe)
    recording = load_recording(run_trained(cache, train(cache, recipe), recipe).path)
    synops, macs = float(recording.synops.mean()), float(sum(synapses.sum() for synapses in net.fan_out.values()))
    return {"kSynOps": synops / 1e3, "kMACs": macs / 1e3, "SynOps / MACs": synops / macs}


def reconstruction(cache: StageCache, recipe: Recipe, _seed: int, _options: Mapping[str, Any]) -> Figures:
    """Figures of an autoencoder by PTL: how close it, and its network with ReLUs (ANN), come to test pictures.

    Means over pictures, compared with the pictures themselves and not their events; see `deploytool.validate.images`.
    """
    from deploytool.data.loader import loader
    from deploytool.data.sets.table import load
    from deploytool.train.methods.ptl.spiking import given_by
    from deploytool.train.methods.ptl.training import pretrained
    from deploytool.validate.images import psnr, ssim

    recording = load_recording(run_trained(cache, train(cache, recipe), recipe).path)
    data = load(recipe.data, recipe.seed)
    ann, weights = pretrained(task_of(recipe, cache.store.root))
    frames, _ = next(iter(loader(data.test, recipe.data)(recipe.train.time_steps, len(data.test), None)))
    as_images = {"coding": "direct", "levels": None, "duration_ms": None, "bins": "time"}
    images = load(recipe.data.model_copy(update=as_images), recipe.seed).test
    pictures = np.stack([image.pixels / image.top for image in cast("Samples[Image]", images)])
    answers = {
        "": recording.potentials * recipe.train.time_steps,
        "ANN ": ann.ann(weights, given_by(frames, recipe.train)).numpy(force=True),
    }
    found = {}
    for whose, potentials in answers.items():
        restored = 1 / (1 + np.exp(-potentials.reshape(pictures.shape)))
        found[f"{whose}PSNR dB"] = float(psnr(pictures, restored).mean())
        found[f"{whose}SSIM"] = float(ssim(pictures, restored).mean())
    return found


def separation(cache: StageCache, recipe: Recipe, _seed: int, _options: Mapping[str, Any]) -> Figures:
    """Mean SI-SDR of separated test mixtures: by PTL, by its network with ReLUs, converted without training, and of the
    mixtures themselves; see `deploytool.validate.speech`."""
    from deploytool.ir.verdict import MIXTURE
    from deploytool.validate.speech import si_sdr_of

    found = si_sdr_of(load_recording(run_trained(cache, train(cache, recipe), recipe).path))
    before, (ran, *others) = found[MIXTURE], [name for name in found if name != MIXTURE]
    return {
        "SI-SDR dB": found[ran],
        **{f"{name} SI-SDR dB": found[name] for name in others},
        "mixture SI-SDR dB": before,
    }


def scalability(cache: StageCache, recipe: Recipe, _seed: int, options: Mapping[str, Any]) -> Figures:
    """Test accuracy at each of ``steps`` time steps, clock-driven."""
    found = {}
    model = train(cache, recipe)
    for steps in options["steps"]:
        other = recipe.model_copy(update={"train": recipe.train.model_copy(update={"time_steps": steps})})
        found[f"T={steps}"] = _accuracy(model, other)
    return found


def early_exit(cache: StageCache, recipe: Recipe, _seed: int, options: Mapping[str, Any]) -> Figures:
    """Accuracy and mean time steps of ``samples`` test samples, answered at each of the ``confidence`` thresholds."""
    import torch

    from deploytool.bench.early_exit import early_exit as exit_at
    from deploytool.train.loop.losses import prefixes_of

    net, weights, frames, labels = _subject(cache, recipe, options["samples"], test=True)
    with torch.no_grad():
        prefixes = prefixes_of(net.run(weights, frames).output, net.spec)
    found: Figures = {}
    for threshold in options["confidence"]:
        left = exit_at(prefixes, labels, threshold)
        found |= {f"exit at {threshold}: %": left.accuracy, f"exit at {threshold}: T": left.steps}
    return found


def flatness(cache: StageCache, recipe: Recipe, seed: int, options: Mapping[str, Any]) -> Figures:
    """How much the training loss rises in random directions, at each of ``radii`` of every layer's own norm.

    The mean over ``directions`` directions, d_l = r ||w_l|| n_l / ||n_l|| with n_l normal, as in Li et al. 2018,
    "Visualizing the loss landscape of neural nets"; the plain cross-entropy for every arm.
    """
    import torch

    net, weights, frames, labels = _subject(cache, recipe, options["samples"])
    generator = torch.Generator().manual_seed(seed)

    def loss(of: Mapping[str, Tensor]) -> float:
        from deploytool.train.loop.losses import logits_of, sdt_loss

        with torch.no_grad():
            output = net.run(of, frames).output
        return float(sdt_loss(logits_of(output, net.spec), labels))

    at_rest = loss(weights)
    found = {"loss": at_rest}
    for radius in options["radii"]:
        rises = []
        for _ in range(options["directions"]):
            noise = {name: torch.randn(w.shape, generator=generator) for name, w in weights.items()}
            moved = {name: w + radius * w.norm() * noise[name] / noise[name].norm() for name, w in weights.items()}
            rises.append(loss(moved) - at_rest)
        found[f"rise r={radius}"] = float(np.mean(rises))
    return found


def robustness(cache: StageCache, recipe: Recipe, seed: int, options: Mapping[str, Any]) -> Figures:
    """Accuracy % on test samples unchanged, with events ``lost``, with events ``added``, and attacked.

    ``lost``: a share of the events at random; ``added``: this number of random events per real one; ``attacked``: input
    counts moved by epsilon along the sign of the loss's gradient (FGSM: Goodfellow et al. 2015). The result is no
    longer an event stream, so this is a bound on what an attacker could do.
    """
    import torch

    from deploytool.train.loop.losses import logits_of, sdt_loss

    net, weights, frames, labels = _subject(cache, recipe, options["samples"], test=True)
    generator = torch.Generator().manual_seed(seed)

    def right(given: Tensor) -> float:
        with torch.no_grad():
            counts = net.run(weights, given).output.sum(0)
        return 100 * float(((counts.argmax(1) == labels) & (counts.amax(1) > 0)).double().mean())

    found = {"clean %": right(frames)}
    for share in options["lost"]:
        found[f"lost {share}"] = right(torch.binomial(frames, torch.full_like(frames, 1 - share), generator=generator))
    rate = frames.mean()
    for ratio in options["added"]:
        found[f"added {ratio}"] = right(frames + torch.poisson(torch.full_like(frames, rate * ratio), generator))
    for epsilon in options["attacked"]:
        given = frames.clone().requires_grad_()
        output = net.run(weights, given).output
        (slope,) = torch.autograd.grad(sdt_loss(logits_of(output, net.spec), labels), given)
        found[f"attacked {epsilon}"] = right((frames + epsilon * slope.sign()).clamp(min=0))
    return found


def motivation(cache: StageCache, recipe: Recipe, seed: int, options: Mapping[str, Any]) -> Figures:
    """Cosines between the gradients of BPTT and those without some temporal gradients, at the start and trained.

    The spike layers ``ends``, those at the ends of stages, keep theirs alone, or lose theirs alone. Controls keep, or
    lose, those of as many of the first layers, and of those in the middle. See `deploytool.bench.temporal`.
    """
    import torch

    from deploytool.bench.temporal import cosine, online, through_time
    from deploytool.recipe import SpikeLayer

    net, trained_weights, frames, labels = _subject(cache, recipe, options["samples"])
    layers = [block.name for block in net.blocks if isinstance(block.layer, SpikeLayer)]
    count, middle = len(options["ends"]), (len(layers) - len(options["ends"])) // 2
    groups = {"ends": options["ends"], "first": layers[:count], "middle": layers[middle : middle + count]}
    start = net.initial_weights(torch.Generator().manual_seed(seed))
    found = {}
    for when, weights in (("at start", start), ("trained", trained_weights)):
        whole = through_time(net, weights, frames, labels)
        for name, group in groups.items():
            for what, cut in (("kept", set(layers) - set(group)), ("cut", set(group))):
                found[f"{name} {what}, {when}"] = cosine(whole, through_time(net, weights, frames, labels, cut))
        for name, traced in (("SLTT", False), ("OTTT", True)):
            found[f"{name}, {when}"] = cosine(whole, online(net, weights, frames, labels, traced))
    return found


def _trained_network(recipe: Recipe) -> SpikingNetwork:
    """The network of the weights that ``recipe`` trains, without batch norms where training removes them."""
    from deploytool.train.methods.table import build, method_of

    network = method_of(recipe.train).trained_network(recipe.network, recipe.train)
    return build(network, recipe.constraints, recipe.train)


def _accuracy(model: Any, recipe: Recipe) -> float | None:
    """Test accuracy in % of ``model`` run as ``recipe`` says."""
    from deploytool.data.loader import loader
    from deploytool.data.sets.table import load
    from deploytool.train.loop.evaluate import evaluate
    from deploytool.validate import metrics

    test = load(recipe.data, recipe.seed).test
    recording = evaluate(
        _trained_network(recipe),
        read_tensors(model.path / WEIGHTS),
        loader(test, recipe.data),
        tuple(sample.name for sample in test),
    )
    return metrics.accuracy(recording)


def _subject(
    cache: StageCache, recipe: Recipe, count: int, test: bool = False
) -> tuple[SpikingNetwork, dict[str, Tensor], Tensor, Tensor]:
    """(network, weights, frames (T, B, C, H, W), labels (B,)) of ``count`` training or test samples."""
    from deploytool.data.loader import loader
    from deploytool.data.sets.table import load
    from deploytool.train.loop.evaluate import as_tensors

    model = train(cache, recipe)
    data = load(recipe.data, recipe.seed)
    batches = loader(data.test if test else data.train, recipe.data)
    frames, labels = next(iter(batches(recipe.train.time_steps, count, None)))
    net = _trained_network(recipe)
    return net, as_tensors(read_tensors(model.path / WEIGHTS)), frames, labels


MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {
        "ladder": ladder,
        "exactness": exactness,
        "trained": trained,
        "tandem": tandem,
        "stages": stages,
        "operations": operations,
        "reconstruction": reconstruction,
        "separation": separation,
        "scalability": scalability,
        "early_exit": early_exit,
        "step_time": step_time,
        "flatness": flatness,
        "robustness": robustness,
        "memory": memory,
        "gradients": gradients,
        "motivation": motivation,
        "size": size,
    }
)
