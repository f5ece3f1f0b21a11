"""The pipeline: artifact in, stage, artifact out. Caching, resume and lineage live here.

Every function asks one question of the store (`Workspace.stored`); what is there already is not made again.
Stages are imported inside the functions, so that a command loads only what it needs.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from deploytool.base.digest import canonical_json
from deploytool.base.errors import FitError, UsageError
from deploytool.base.tensors import read_tensors, write_tensors
from deploytool.ir.fan_in import over_fan_in
from deploytool.ir.graph import Graph
from deploytool.ir.program import SIMULATOR, Program, load_program, save_program
from deploytool.ir.recording import Recording, load_recording, save_recording
from deploytool.ir.verdict import save_verdict
from deploytool.recipe import (
    ConstraintsSection,
    MapSection,
    NetworkSection,
    Recipe,
    TrainSection,
    ValidateSection,
)
from deploytool.recipe.nodes import output_count, trained_network
from deploytool.store.artifact import Artifact
from deploytool.store.caching import Workspace
from deploytool.store.files import CALIBRATION, CONFIGURATION, HISTORY, NETWORK, QUANTISATION, SPLITS, WEIGHTS
from deploytool.workflow import sources, tandem
from deploytool.workflow.preflight import refuse_impossible
from deploytool.workflow.report import report
from deploytool.workflow.sources import NOTHING, SampleSource, Unsaid, chip_named

if TYPE_CHECKING:
    from deploytool.base.progress import Tick
    from deploytool.map.calibrate import Calibration
    from deploytool.map.compile import CheckReport, Mapped
    from deploytool.run.jobs.perturbation import Perturbation
    from deploytool.train.loop.loop import Trained

FREE: Final = MapSection(target=SIMULATOR)
PLAIN: Final = MapSection()


def pipeline(
    space: Workspace, recipe: Recipe, tensorboard: Path | None = None
) -> tuple[Artifact, Artifact | None]:  # fmt: skip
    """The (verdict, report) of the whole chain: train, convert, map, run on every rung, validate, report.

    With nothing in ``run.on`` the chain ends with the verdict on the trained network: a report shows a program.
    """
    model = train(space, recipe, tensorboard)
    recordings = [run_trained(space, model, recipe)]
    if recipe.run.on:
        recordings += _deployed(space, recipe, model)
    verdict = validate(space, [recording.name for recording in recordings], recipe.validation)
    return verdict, report(space, verdict.name, recipe.report.samples, recipe.name) if recipe.run.on else None


def _deployed(space: Workspace, recipe: Recipe, model: Artifact) -> list[Artifact]:
    """The recordings of ``model`` on everything that the recipe runs it on."""
    graph = convert_model(space, model)
    calibration = (
        sources.calibration(recipe.data, recipe.seed, recipe.map.calibration_samples)
        if recipe.map.quantise == "calibrated" else None
    )  # fmt: skip
    limits = recipe.constraints
    program = map_graph(space, graph.name, recipe.map, limits.chip_bits, calibration, limits.fan_in)
    recordings = []
    for rung in recipe.run.on:
        mapped = map_graph(space, graph.name, FREE) if rung == "simulator" else program
        samples = sources.dataset(recipe.data, recipe.seed)
        time_steps = recipe.train.time_steps if rung == "quantised" else None
        recordings.append(run(space, mapped.name, rung, samples, time_steps, None, recipe.run.rasters))
    return recordings


def train(space: Workspace, recipe: Recipe, tensorboard: Path | None = None) -> Artifact:
    """The trained model of ``recipe``; an interrupted training goes on where it was.

    Its history also goes to event files in the folder ``tensorboard``. Of processes that torchrun started, the first
    goes on from here and all others end.

    Raises RecipeError or FitError, before the first step, when a later stage could not do what the recipe asks.
    """
    refuse_impossible(recipe)
    decided = recipe.section("seed", "data", "network", "constraints", "train")
    ann = tandem.given_ann(recipe)
    inputs = {"data": sources.dataset(recipe.data, recipe.seed).fingerprint, **tandem.fingerprint(ann)}

    def compute() -> Trained:
        from deploytool.data.loader import loader
        from deploytool.data.sets.table import load
        from deploytool.train.loop.loop import unobserved
        from deploytool.train.loop.tensorboard import EventFile
        from deploytool.train.methods.table import train as run_training

        data = load(recipe.data, recipe.seed)
        data.require(recipe.network.input)
        if recipe.train.loss != "mse":
            data.require_outputs(output_count(recipe.network))
        training = loader(data.train, recipe.data, recipe.train.augment)
        validation = loader(data.validation, recipe.data)
        observe = EventFile(tensorboard).add if tensorboard and space.leads else unobserved
        if recipe.train.method == "ptl":
            run_training = tandem.method(recipe, ann, threads())
        with space.progress("train", "step") as tick:
            return run_training(
                recipe.network, recipe.constraints, recipe.train, training, validation, recipe.seed, unfinished, tick,
                observe=observe,
            )  # fmt: skip

    def write(trained: Trained, folder: Path) -> None:
        write_tensors(trained.weights, folder / WEIGHTS)
        (folder / HISTORY).write_text(canonical_json(trained.history), encoding="utf-8")

    with space.unfinished("model", inputs, decided) as unfinished:
        return space.stored("model", inputs, decided, compute, write)


def run_trained(space: Workspace, model: Artifact, recipe: Recipe) -> Artifact:
    """The recording of the trained network itself, clock-driven at its own number of time steps."""
    samples = sources.dataset(recipe.data, recipe.seed)
    inputs = {"model": model.digest, "data": samples.fingerprint}

    def compute() -> Recording:
        from deploytool.data.loader import loader
        from deploytool.data.sets.table import load
        from deploytool.train.loop.evaluate import evaluate

        test = load(recipe.data, recipe.seed).test
        with space.progress("torch", "sample") as tick:
            return evaluate(
                read_tensors(model.path / WEIGHTS), trained_network(recipe.network, recipe.train), recipe.constraints,
                recipe.train,
                loader(test, recipe.data), tuple(sample.name for sample in test), tick,
            )  # fmt: skip

    decided = {"rung": "torch", "data": samples.says}
    return space.stored("recording", inputs, decided, compute, save_recording)


def convert(space: Workspace, source: str, unsaid: Unsaid = NOTHING, output: Path | None = None) -> Artifact:
    """The graph in ``source`` (a model, a file, or ``package.module:function``), also written to ``output``."""
    if sources.is_artifact(source):
        sources.refuse_said("a trained model", unsaid)
        graph = convert_model(space, space.store.get(source, "model"))
    else:
        network = sources.read_network(source, unsaid)
        graph = _stored_graph(space, network, {"source": network.digest}, {})
    if output is not None:
        sources.write_file(output, (graph.path / NETWORK).read_bytes())
    return graph


def lint(source: Path) -> dict[str, Any]:
    """What other frameworks would make of a .nir file, node by node."""
    from deploytool.convert.nir.lint import lint as lint_file

    return lint_file(source).as_json()


def convert_model(space: Workspace, model: Artifact) -> Artifact:
    """The graph of a trained model, with the weights its chip will compute with."""
    from deploytool.convert.model import require_deployable, to_graph

    spec = TrainSection.model_validate(model.manifest.recipe["train"])
    require_deployable(spec)
    network = trained_network(NetworkSection.model_validate(model.manifest.recipe["network"]), spec)
    constraints = ConstraintsSection.model_validate(model.manifest.recipe["constraints"])
    graph = to_graph(read_tensors(model.path / WEIGHTS), network, constraints)
    return _stored_graph(space, graph, {"model": model.digest}, {})


def _stored_graph(space: Workspace, graph: Graph, inputs: Mapping[str, str], decided: Mapping[str, Any]) -> Artifact:
    def write(graph: Graph, folder: Path) -> None:
        from deploytool.convert.nir import write_nir

        write_nir(graph, folder / NETWORK)

    return space.stored("graph", inputs, decided, lambda: graph, write)


def check(
    space: Workspace, source: str, chip: str, pins: Mapping[str, int], split: bool = True
) -> CheckReport:  # fmt: skip
    """Whether the network in ``source``, a graph, a .nir file or a recipe, fits, layer by layer, split or not."""
    from deploytool.map.compile import check as check_fit

    return check_fit(sources.geometry(space.store, source), chip_named(chip), pins, split)


def map_graph(
    space: Workspace, source: str, spec: MapSection, weight_bits: int = 8, calibration: SampleSource | None = None,
    fan_in: int | None = None,
) -> Artifact:  # fmt: skip
    """The program of a graph (or of a .nir file that states its reset rule) for a chip or the simulator.

    With ``calibration`` these samples choose scale and rounding, where that is better than the plain rule.
    Raises FitError for neurons with more than ``fan_in`` inputs, and as `deploytool.map.compile.compile_graph` does.
    """
    from deploytool.convert.nir import read_nir

    stored = convert(space, source) if Path(source).is_file() else space.store.get(source, "graph")
    graph = read_nir(stored.path / NETWORK)
    inputs = {"graph": stored.digest}
    if spec.target == SIMULATOR:
        if calibration is not None or spec.pins or weight_bits != 8:
            raise UsageError(
                "--quantise, --pin, --weight-bits", "given for the simulator, in float32 and without cores",
                "a chip as --target",
            )  # fmt: skip
        from deploytool.map.group import group

        return space.stored("program", inputs, {"target": spec.target}, lambda: group(graph), save_program)

    def compute() -> Mapped:
        from deploytool.map.compile import compile_graph

        chip = chip_named(spec.target)
        integers = replace(chip.integers, weight_bits=weight_bits)
        with space.progress("calibrate", "layer") as tick:
            asked = _calibration(calibration, graph, tick) if calibration else None
            mapped = compile_graph(graph, chip, integers, spec.pins, spec.split, calibration=asked)
        over = [over_fan_in(name, layer.weights, fan_in) for name, layer in mapped.program.layers.items()]
        if problems := [problem for problem in over if problem]:
            raise FitError.together(problems)
        return mapped

    def write(mapped: Mapped, folder: Path) -> None:
        save_program(mapped.program, folder)
        written: dict[str, Any] = {
            CONFIGURATION: configure(mapped.program, spec),
            QUANTISATION: [asdict(layer) for layer in mapped.quantisation],
            SPLITS: [asdict(split) for split in mapped.splits],
        }
        if mapped.calibrated:
            written[CALIBRATION] = mapped.calibrated.as_json()
        for name, value in written.items():
            (folder / name).write_text(canonical_json(value), encoding="utf-8")

    decided: dict[str, Any] = {"map": spec.model_dump(mode="json"), "weight_bits": weight_bits}
    if fan_in is not None:
        decided["fan_in"] = fan_in
    if calibration is not None:
        decided["calibration"] = calibration.says
        inputs["calibration"] = calibration.fingerprint
    return space.stored("program", inputs, decided, compute, write)


def _calibration(source: SampleSource, graph: Graph, tick: Tick) -> Calibration:
    from deploytool.map.calibrate import Calibration
    from deploytool.map.group import group
    from deploytool.run.targets.simulator import Simulator

    found = source.load(group(graph).input_shape)
    parts = sources.CALIBRATION_PARTS
    held_out = [stream for index, stream in enumerate(found) if index % parts]
    return Calibration(Simulator(threads()), found[::parts], held_out, tick)


def configure(program: Program, spec: MapSection = PLAIN) -> Mapping[str, Any]:
    """The chip's configuration, in the vendor's terms, of a mapped program."""
    from deploytool.map.emit import configuration

    return configuration(program, chip_named(program.chip), spec.dvs, spec.readout)


def threads() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    space: Workspace, program: str, on: str, samples: SampleSource, time_steps: int | None = None,
    watch: Sequence[str] | None = None, rasters: int = 0, extremes: bool = False, scheduler: str | None = None,
    perturbation: Perturbation | None = None, device: str = "cpu",
) -> Artifact:  # fmt: skip
    """The recording of a program ``on`` a target, or clock-driven ("quantised") in ``time_steps``.

    An interrupted run goes on where it was. ``scheduler`` names Dask workers to spread the samples over, ``device``
    "cuda" computes on a GPU; what comes out is the same. The other options are those of `deploytool.run.jobs.job.Job`.
    """
    mapped = space.store.get(program, "program")
    if time_steps is not None and on != "quantised":
        raise UsageError("--time-steps", f"given with --on {on}, which knows no time steps", "--on quantised")
    if device != "cpu":
        from deploytool.run.targets.processor import check_device

        check_device(device, on, scheduler)
    decided: dict[str, Any] = {"on": on, "data": samples.says, "watch": watch and sorted(watch), "rasters": rasters}
    if on == "quantised":
        decided["time_steps"] = time_steps
    if extremes:
        decided["extremes"] = True
    if perturbation is not None:
        decided["perturbation"] = asdict(perturbation)
    inputs = {"program": mapped.digest, "data": samples.fingerprint}

    with space.unfinished("recording", inputs, decided) as unfinished:

        def compute() -> Recording:
            from deploytool.run.jobs.job import Job
            from deploytool.run.jobs.resume import finished, here, run_job
            from deploytool.run.targets.table import Options

            loaded = load_program(mapped.path)
            watched = None if watch is None else tuple(watch)
            job = Job(loaded, on, time_steps, watched, rasters, extremes, perturbation)
            if kept := finished(unfinished):
                space.say(f"{on:<10} {kept} samples were finished before")
            with space.progress(on, "sample") as tick:
                if scheduler is None:
                    perform = here(Options(configure, threads(), tick, device), space.say)
                else:
                    from deploytool.run.jobs.dask import spread

                    perform = spread(scheduler, threads(), tick)
                return run_job(job, samples.load(loaded.input_shape), unfinished, perform)

        return space.stored("recording", inputs, decided, compute, save_recording)


def robustness(
    perturbation: Perturbation, repeats: int, run: Callable[[Perturbation | None], Artifact]
) -> dict[str, Any]:
    """What ``repeats`` draws of ``perturbation`` do to what ``run`` records, against the run without it."""
    from deploytool.validate.spread import spread

    plain = run(None)
    perturbed = [run(replace(perturbation, repeat=repeat)) for repeat in range(repeats)]
    found = spread(load_recording(plain.path), [load_recording(artifact.path) for artifact in perturbed])
    names = {"unperturbed": plain.name, "perturbed": [artifact.name for artifact in perturbed]}
    return {"perturbation": perturbation.models, "seed": perturbation.seed, **found, **names}


def energy(space: Workspace, reference: str, picojoule_per_synop: float) -> dict[str, Any]:
    """The estimated energy of a sample, with an assumption of the caller's."""
    from deploytool.validate.activity import energy

    recording = space.store.get(reference, "recording")
    return {"artifact": recording.name, "energy": energy(load_recording(recording.path), picojoule_per_synop)}


def validate(
    space: Workspace, recordings: Sequence[str], limits: ValidateSection, against: str | None = None
) -> Artifact:
    """The verdict on recordings of the same samples; all pairs worth comparing, or all ``against`` one."""
    from deploytool.validate.ladder import judge

    found = [space.store.get(reference, "recording") for reference in recordings]
    inputs = {f"recording{i}": artifact.digest for i, artifact in enumerate(found)}
    reference = None
    if against is not None:
        stored = space.store.get(against, "recording")
        inputs["against"], reference = stored.digest, load_recording(stored.path)
    return space.stored(
        "verdict", inputs, {"validate": limits.model_dump()},
        lambda: judge([load_recording(a.path) for a in found], limits, reference),
        save_verdict,
    )  # fmt: skip


def export_counts(space: Workspace, reference: str, layer: str, output: Path) -> dict[str, Any]:
    """Writes spikes per neuron of ``layer``, before pooling, to ``output``: int64 (samples, C, H, W)."""
    recording = load_recording(space.store.get(reference, "recording").path)
    counts = recording.counts[recording.layer(layer)]
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(counts, np.int64), allow_pickle=False)
    sources.write_file(output, buffer.getvalue())
    return {"written": str(output), "layer": recording.layer(layer), "shape": list(counts.shape)}
