"""Recordings in the store, each with the setup of its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import load_recording
from deploytool.store.artifact import Artifact, Store
from deploytool.store.lineage import ancestors
from deploytool.store.manifest import Kind
from deploytool.workflow.sources.stated import stated


def load(store: Store, artifact: Artifact) -> Recording:
    """The recording ``artifact``. For an older file, what its setup lacks is taken from its manifest."""
    recording = load_recording(artifact.path)
    return recording if recording.setup.network else with_source(store, artifact, recording)


def with_source(store: Store, made_from: Artifact, recording: Recording) -> Recording:
    """``recording`` with the network, width of weights and time steps that the lineage of ``made_from`` states.

    ``made_from`` is the artifact of the recording, or the model or program that ran. The network is the same whatever
    else of its lineage is in ``store``; for programs of older versions, which do not state it, the model's digest is
    known while their graph is there.
    """
    sources = {artifact.kind: artifact for artifact in reversed((made_from, *ancestors(store, made_from)))}
    network = _network_of(sources)
    known = recording.setup
    if recording.rung == "torch" and "model" in sources:
        steps = known.time_steps or stated(sources["model"], "train")["time_steps"]
        known = replace(known, time_steps=steps, bins=stated(sources["model"], "data").get("bins", "time"))
    elif "recording" in sources:
        asked = sources["recording"].manifest.recipe
        known = replace(known, time_steps=asked.get("time_steps"), bins=asked.get("bins", "time"))
    setup = replace(
        known,
        network=network or known.network,
        weight_bits=sources["program"].manifest.recipe.get("weight_bits") if "program" in sources else None,
    )
    return replace(recording, setup=setup)


def _network_of(sources: Mapping[Kind, Artifact]) -> str | None:
    """The digest of the network that ``sources`` {kind: artifact} are made from; None if they do not state it."""
    program, graph, model = (sources.get(kind) for kind in ("program", "graph", "model"))
    if program and program.manifest.network:
        return program.manifest.network
    if model:
        return model.digest
    return graph.manifest.inputs.get("model", graph.digest) if graph else None
